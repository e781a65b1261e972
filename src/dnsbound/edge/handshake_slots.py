"""How many handshakes a server Context may have unfinished at once, for how long, and what became of them.

A slot is taken when a connection arrives and given back when it was admitted or is gone; a refused client that keeps
its socket open keeps its slot. Beyond the limit, connections are closed at once and counted.
"""

import logging
import threading
from enum import StrEnum
from typing import Final

from dnsbound import limits

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
    """Closed on arrival: no slot was free."""


class HandshakeSlots:
    """Slots and counts of one Context; safe to share between event loops and threads."""

    __slots__ = ("_counts", "_lock", "_unfinished", "_warned", "at_once", "seconds")

    def __init__(self, *, at_once: int | None = None, seconds: int | None = None) -> None:
        self.at_once: Final = limits.HANDSHAKES_AT_ONCE.checked(at_once)
        self.seconds: Final = limits.HANDSHAKE_SECONDS.checked(seconds)
        """From the arrival of the connection to the verdict."""
        self._unfinished = 0
        self._counts = dict.fromkeys(HandshakeOutcome, 0)
        self._warned = False
        self._lock = threading.Lock()

    @property
    def unfinished(self) -> int:
        """Slots taken now."""
        return self._unfinished

    def counts(self) -> dict[HandshakeOutcome, int]:
        """How often each outcome happened since the Context was made."""
        with self._lock:
            return dict(self._counts)

    def take(self) -> bool:
        """Take a slot; False, counted as TURNED_AWAY, when there is none."""
        with self._lock:
            if self._unfinished < self.at_once:
                self._unfinished += 1
                return True
            self._counts[HandshakeOutcome.TURNED_AWAY] += 1
            warn, self._warned = not self._warned, True
        if warn:
            _log.warning("%d handshakes are unfinished: new connections are closed until some end", self.at_once)
        return False

    def give_back(self) -> None:
        """Return a slot that `take` gave."""
        with self._lock:
            self._unfinished -= 1
            # One warning per flood: speak again only after the number of unfinished handshakes has halved.
            if self._warned and self._unfinished * 2 <= self.at_once:
                self._warned = False

    def count(self, outcome: HandshakeOutcome) -> None:
        with self._lock:
            self._counts[outcome] += 1
