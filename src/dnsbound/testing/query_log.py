"""What arrived at World's network faces, in order."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnsbound.dns.authority import Transport
    from dnsbound.times import Moment

KEPT_QUERIES: Final = 100_000
"""So that a World that runs for days does not grow for days."""


class Face(StrEnum):
    """Which of World's servers was asked."""

    RESOLVER = "resolver"
    AUTHORITY = "authority"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One query that arrived."""

    name: str
    """Lower case, without the final dot; the root is `.`."""
    rdtype: str
    face: Face
    transport: Transport
    at: Moment


class QueryLog:
    """The last KEPT_QUERIES queries; iterate, measure and clear it from any thread."""

    __slots__ = ("_lock", "_queries")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queries: deque[Query] = deque(maxlen=KEPT_QUERIES)

    def add(self, query: Query) -> None:
        with self._lock:
            self._queries.append(query)

    def clear(self) -> None:
        with self._lock:
            self._queries.clear()

    def snapshot(self) -> tuple[Query, ...]:
        with self._lock:
            return tuple(self._queries)

    def __iter__(self) -> Iterator[Query]:
        return iter(self.snapshot())

    def __len__(self) -> int:
        with self._lock:
            return len(self._queries)

    def __getitem__(self, index: int) -> Query:
        with self._lock:
            return self._queries[index]
