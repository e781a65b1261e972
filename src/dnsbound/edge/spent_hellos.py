"""Hellos that have begun an association, remembered for as long as their cookies hold: none begins a second one.

A cookie says where a hello came from, not when. Whoever has seen one on its way, or the network by delivering it twice,
could otherwise end the association that its client has begun since (RFC 6347 section 4.2.8), and have a server sign
once more for each copy.
"""

from collections.abc import Hashable
from typing import Final

from dnsbound.times import Seconds


class SpentHellos:
    """seconds: how long a cookie may hold. most: hellos; above them the oldest is forgotten."""

    __slots__ = ("_most", "_seconds", "_until")

    def __init__(self, *, seconds: Seconds, most: int) -> None:
        self._seconds: Final = seconds
        self._most: Final = most
        self._until: dict[tuple[Hashable, bytes], Seconds] = {}
        """The oldest first."""

    def __len__(self) -> int:
        return len(self._until)

    def add(self, address: Hashable, random: bytes, *, now: Seconds) -> None:
        """This hello's cookie was verified, so only its own address can spend it."""
        until = self._until
        while until and (len(until) >= self._most or next(iter(until.values())) <= now):
            del until[next(iter(until))]
        until[address, random] = now + self._seconds

    def holds(self, address: Hashable, random: bytes, *, now: Seconds) -> bool:
        return now < self._until.get((address, random), 0.0)
