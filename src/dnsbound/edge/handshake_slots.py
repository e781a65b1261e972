"""How many handshakes a server Context may have unfinished at once, in all and of one source; and what became of them.

A slot is taken when a connection arrives and given back when it was admitted or is gone; a refused client that keeps
its socket open keeps its slot. Beyond the limits, connections are closed at once and counted.

A source is a /24 or /56, what one subscriber or attacker usually holds. Its share is less than all slots, so that
nobody alone keeps the others out; several networks together can. Local sockets have no source and no share.
"""

import logging
import threading
from collections import Counter
from enum import StrEnum
from functools import lru_cache
from typing import Final

from dnsbound import limits
from dnsbound.dns.authority_budget import source_prefix

_log: Final = logging.getLogger("dnsbound.listen")


class HandshakeOutcome(StrEnum):
    """What became of a connection that arrived."""

    ADMITTED = "admitted"
    """Usable: the peer was verified, or made no claim at a door whose policy is `optional`."""
    REFUSED = "refused"
    """A verdict other than yes, or TLS itself failed."""
    TIMED_OUT = "timed-out"
    """No verdict before the deadline."""
    GONE = "gone"
    """The client went away first."""
    TURNED_AWAY = "turned-away"
    """Closed on arrival: no slot was free, or none of its source's share."""


_LOCAL: Final = ""
_EVERYBODY: Final = "*"
_SHARES: Final = 4
"""A door with few slots gives one source the same part of them as one with the default limits."""


class HandshakeSlots:
    """Slots and counts of one Context; safe to share between event loops and threads."""

    __slots__ = ("_counts", "_held", "_lock", "_unfinished", "_warned", "at_once", "per_source", "seconds")

    def __init__(
        self, *, at_once: int | None = None, per_source: int | None = None, seconds: int | None = None
    ) -> None:
        self.at_once: Final = limits.HANDSHAKES_AT_ONCE.checked(at_once)
        share = limits.HANDSHAKES_PER_SOURCE.checked(per_source)
        self.per_source: Final = min(share, max(self.at_once // _SHARES, 1)) if per_source is None else share
        """As many as `at_once`, or more, is no limit: for a door behind a proxy, where all come from one address."""
        self.seconds: Final = limits.HANDSHAKE_SECONDS.checked(seconds)
        """From the arrival of the connection to the verdict."""
        self._unfinished = 0
        self._held: Counter[str] = Counter()
        self._counts = dict.fromkeys(HandshakeOutcome, 0)
        self._warned: set[str] = set()
        self._lock = threading.Lock()

    @property
    def unfinished(self) -> int:
        """Slots taken now."""
        return self._unfinished

    def counts(self) -> dict[HandshakeOutcome, int]:
        """How often each outcome happened since the Context was made."""
        with self._lock:
            return dict(self._counts)

    def take(self, address: str) -> bool:
        """Take a slot; False, counted as TURNED_AWAY, when there is none. address: the client's, in text form; empty
        on a local socket."""
        source = source_of(address)
        with self._lock:
            full = self._full(source)
            if full is None:
                self._unfinished += 1
                self._held[source] += 1
                return True
            self._counts[HandshakeOutcome.TURNED_AWAY] += 1
            warn = full not in self._warned
            self._warned.add(full)
        if warn and full == _EVERYBODY:
            _log.warning("%d handshakes are unfinished: new connections are closed until some end", self.at_once)
        elif warn:
            _log.warning("%d handshakes of %s are unfinished: its new connections are closed", self.per_source, full)
        return False

    def has_share(self, address: str) -> bool:
        """Whether this client's source may have one more unfinished handshake."""
        with self._lock:
            return self._full(source_of(address)) in {None, _EVERYBODY}

    def give_back(self, address: str) -> None:
        """Return a slot that `take` gave to this address."""
        source = source_of(address)
        with self._lock:
            self._unfinished -= 1
            self._held[source] -= 1
            # One warning per flood: speak again only after the number of unfinished handshakes has halved.
            if self._held[source] * 2 <= self.per_source:
                self._warned.discard(source)
            if not self._held[source]:
                del self._held[source]
            if self._unfinished * 2 <= self.at_once:
                self._warned.discard(_EVERYBODY)

    def _full(self, source: str) -> str | None:
        """Whose limit is reached: the source's, or everybody's."""
        if source != _LOCAL and self._held[source] >= self.per_source:
            return source
        return _EVERYBODY if self._unfinished >= self.at_once else None

    def count(self, outcome: HandshakeOutcome) -> None:
        with self._lock:
            self._counts[outcome] += 1


@lru_cache(maxsize=4096)
def source_of(address: str) -> str:
    """The /24 or /56 whose share an address takes from. Connections come in numbers, and from few networks."""
    return source_prefix(address)
