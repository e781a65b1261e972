"""Clients of doors without connections, such as a verify service: a request was admitted, and counts until its evidence
ends. For people who ask who is in; nothing is decided by it.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Final

from dnsbound.edge.board_lines import Inside
from dnsbound.limits import BOARD_SEEN
from dnsbound.names import ClientName
from dnsbound.times import Moment
from dnsbound.verify.sessions import session_numbers

if TYPE_CHECKING:
    from dnsbound.verify.peer import VerifiedPeer

_Key = tuple[str, str, str]
"""Canonical name, door, source."""


@dataclass(slots=True)
class _Seen:
    number: int
    since: Moment
    until: Moment
    name: ClientName
    protocol: str


class SeenClients:
    """Thread-safe. When it is full, who was seen first is no longer shown."""

    def __init__(self, *, limit: int | None = None, clock: Callable[[], Moment] = time.time) -> None:
        self._limit: Final = BOARD_SEEN.checked(limit)
        self._clock = clock
        self._seen: dict[_Key, _Seen] = {}
        self._lock = Lock()

    def add(self, peer: "VerifiedPeer", *, source: str, protocol: str) -> None:
        key = (peer.name.canonical, peer.door, source)
        now = self._clock()
        with self._lock:
            known = self._seen.get(key)
            if known is not None and now < known.until:
                known.until, known.protocol = peer.valid_until, protocol
                return
            self._seen.pop(key, None)
            if len(self._seen) >= self._limit:
                del self._seen[next(iter(self._seen))]
            self._seen[key] = _Seen(next(session_numbers), now, peer.valid_until, peer.name, protocol)

    def remove(self, name: ClientName, *, source: str | None = None) -> int:
        """How many entries of this name there were, of one source or of all."""
        return sum(self.remove_by_door(name, source=source).values())

    def remove_by_door(self, name: ClientName, *, source: str | None = None) -> "Counter[str]":
        with self._lock:
            meant = [key for key in self._seen if key[0] == name.canonical and source in (None, key[2])]
            for key in meant:
                del self._seen[key]
        return Counter(door for _, door, _ in meant)

    def doors(self) -> set[str]:
        with self._lock:
            return {door for _, door, _ in self._seen}

    def rows(self) -> Iterator[tuple[int, Inside]]:
        """Those whose evidence holds, with their numbers, in the order of these."""
        now = self._clock()
        with self._lock:
            over = [key for key, seen in self._seen.items() if seen.until <= now]
            for key in over:
                del self._seen[key]
            rest = [
                (key, seen.number, seen.since, seen.until, seen.name, seen.protocol) for key, seen in self._seen.items()
            ]
        for (_, door, source), number, since, until, name, protocol in rest:
            yield (
                number,
                Inside(name=name, door=door, since=since, until=until, source=source, protocol=protocol, is_live=False),
            )
