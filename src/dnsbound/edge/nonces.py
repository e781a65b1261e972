"""Nonces that have been seen: what keeps a signed request from being taken twice.

A nonce is remembered under its signer's name until no clock takes its signature any more. What is remembered is never
dropped before that: a memory that is full says so, and the request is undecided. One signer can fill its own share
alone. A memory is asked after the signature is known to be a permitted signer's, so that strangers leave nothing in it.

`NoncesHere` is for one process. Several workers, or several machines, share a `NonceMemory` of their own: with one
memory each, a request could be taken once by every worker.
"""

from collections import deque
from threading import Lock
from typing import Final, Protocol

from dnsbound.errors import Reason, Undecided
from dnsbound.http_limits import HTTP_NONCES, HTTP_NONCES_PER_NAME
from dnsbound.names import ClientName
from dnsbound.times import Moment


class NonceMemory(Protocol):
    """Where nonces are remembered. Any number of threads ask it."""

    @property
    def waits(self) -> bool:
        """Whether asking it may take a while, so that an event loop asks it in a thread."""
        ...

    def is_new(self, name: ClientName, nonce: str, *, until: Moment, now: Moment) -> bool:
        """Remember the nonce; False when it was there before. Of any number that ask at once with the same nonce, one
        is told True. Undecided when it cannot be remembered."""
        ...


class NoncesHere:
    """In the memory of this process."""

    waits: Final = False

    def __init__(self, *, limit: int | None = None, per_name: int | None = None) -> None:
        self._limit = HTTP_NONCES.checked(limit)
        self._per_name = HTTP_NONCES_PER_NAME.checked(per_name)
        self._lock = Lock()
        self._seen: dict[str, _Seen] = {}
        self._count = 0

    def __len__(self) -> int:
        """How many are remembered."""
        return self._count

    def is_new(self, name: ClientName, nonce: str, *, until: Moment, now: Moment) -> bool:
        with self._lock:
            seen = self._seen.get(name.canonical)
            if seen is not None:
                self._count -= seen.forget(now)
                if nonce in seen.nonces:
                    return False
            if self._count >= self._limit:
                self._forget_all(now)
            if self._count >= self._limit or (seen is not None and len(seen.nonces) >= self._per_name):
                raise Undecided(Reason.WORK_BUDGET, "too many nonces are remembered to take another")
            self._seen.setdefault(name.canonical, _Seen()).add(nonce, until)
            self._count += 1
            return True

    def _forget_all(self, now: Moment) -> None:
        for name, seen in list(self._seen.items()):
            self._count -= seen.forget(now)
            if not seen.nonces:
                del self._seen[name]


class _Seen:
    """The nonces of one signer."""

    __slots__ = ("_ends", "nonces")

    def __init__(self) -> None:
        self.nonces: set[str] = set()
        self._ends: deque[tuple[Moment, str]] = deque()

    def add(self, nonce: str, until: Moment) -> None:
        self.nonces.add(nonce)
        self._ends.append((until, nonce))

    def forget(self, now: Moment) -> int:
        """Drop what has ended; how many. In the order of arrival: one that lasts longer keeps those behind it a little
        longer, which costs memory and admits nobody."""
        dropped = 0
        while self._ends and self._ends[0][0] < now:
            self.nonces.discard(self._ends.popleft()[1])
            dropped += 1
        return dropped
