"""Requests that came a short while ago: a repetition gets the former answer, and is never worked on twice.

A repetition has the source, code, identifier and authenticator of a former request; the same identifier with another
authenticator is a new request, and the old one is over (RFC 5080 section 2.2.2). Only requests whose sender has the
shared secret belong here: strangers then cannot fill the table.

Sections: RFC 2865 section 2.5, RFC 5080 section 2.2.2.
"""

from collections.abc import Hashable
from dataclasses import dataclass

from dnsbound.limits import RADIUS_DUPLICATE_SECONDS, RADIUS_DUPLICATES
from dnsbound.protocols.radius import RadiusPacket
from dnsbound.times import Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated:
    """A request that came before. answer: to be sent again; None while it is worked on: say nothing."""

    answer: bytes | None


@dataclass(slots=True, eq=False)
class Begun:
    """A request that is new, and is worked on: to be handed to `RecentRequests.answered`."""

    key: Hashable
    authenticator: bytes
    expires: Seconds
    answer: bytes | None = None


class RecentRequests:
    """The requests of one process. Where there are too many, the oldest is forgotten."""

    def __init__(self, *, entries: int | None = None, seconds: int | None = None) -> None:
        """entries: remembered at most. seconds: for how long, from the request and again from its answer."""
        self._entries = RADIUS_DUPLICATES.checked(entries)
        self._seconds = RADIUS_DUPLICATE_SECONDS.checked(seconds)
        # In order of expiry: all live equally long, and what is answered moves to the end.
        self._known: dict[Hashable, Begun] = {}

    def __len__(self) -> int:
        return len(self._known)

    def begin(self, source: Hashable, request: RadiusPacket, *, now: Seconds) -> Begun | Repeated:
        """source: whatever has identifiers of its own: address and port, or a connection. now: of a clock that never
        goes back."""
        self._expire(now)
        key = (source, request.code, request.identifier)
        known = self._known.get(key)
        if known is not None:
            if known.authenticator == request.authenticator:
                return Repeated(answer=known.answer)
            del self._known[key]
        if len(self._known) >= self._entries:
            del self._known[next(iter(self._known))]
        begun = self._known[key] = Begun(key, request.authenticator, now + self._seconds)
        return begun

    def answered(self, begun: Begun, answer: bytes | None, *, now: Seconds) -> None:
        """Remember what was answered. None: nothing was, so that a repetition is worked on like a new request."""
        if self._known.get(begun.key) is not begun:
            return
        del self._known[begun.key]
        if answer is not None:
            begun.answer, begun.expires = answer, now + self._seconds
            self._known[begun.key] = begun

    def _expire(self, now: Seconds) -> None:
        while self._known:
            key, oldest = next(iter(self._known.items()))
            if oldest.expires > now:
                return
            del self._known[key]
