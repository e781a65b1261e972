"""A RADIUS client's bookkeeping without input or output: identifiers, when to send again, when a connection is dead.

    Identifiers       256 of them on each source port or connection (RFC 2865 section 3; RFC 6613 section 2.6.5)
    Retransmission    over datagrams alone (RFC 5080 section 2.2.1)
    Watchdog          over connections (RFC 3539 section 3.4.1, with Status-Server for the watchdog: RFC 5997)

Moments and chance are arguments: `now` in seconds of any clock that never goes back, and numbers from -1 to 1.
Sections: RFC 2865 section 3; RFC 5080 section 2.2.1; RFC 3539 section 3.4.1.
"""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dnsbound.errors import Misuse
from dnsbound.limits import RADIUS_WATCHDOG_SECONDS
from dnsbound.times import Seconds

IDENTIFIERS: Final = 256
"""An octet holds one."""
JITTER: Final = 0.1
"""RAND of RFC 5080 is from -0.1 to 0.1."""
WATCHDOG_JITTER: Final[Seconds] = 2.0
"""RFC 3539 section 3.4.1: each interval varies by so much, so that many clients do not ask in step."""


class Identifiers:
    """Those of one source port or connection that no request under way has. The one used longest ago is given out
    first, so that a late answer to an earlier request rarely meets a new one."""

    __slots__ = ("_free", "_taken")

    def __init__(self) -> None:
        self._free = deque(range(IDENTIFIERS))
        self._taken: set[int] = set()

    def __len__(self) -> int:
        """How many are taken."""
        return len(self._taken)

    def take(self) -> int | None:
        """One that is free; None when all are in use."""
        if not self._free:
            return None
        identifier = self._free.popleft()
        self._taken.add(identifier)
        return identifier

    def give_back(self, identifier: int) -> None:
        """The request that had it is over; Misuse for one that is not taken."""
        try:
            self._taken.remove(identifier)
        except KeyError:
            raise Misuse(f"identifier {identifier} is not in use") from None
        self._free.append(identifier)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How a client repeats what is not answered (RFC 5080 section 2.2.1). first: IRT, seconds before the first
    repetition; longest: MRT, between two; times: MRC, how often it is sent at most, the first time included; seconds:
    MRD, in all."""

    first: Seconds = 2.0
    longest: Seconds = 16.0
    times: int = 5
    seconds: Seconds = 30.0

    def __post_init__(self) -> None:
        if not 0 < self.first <= self.longest:
            raise Misuse("the first wait is above 0 seconds and no longer than the longest")
        if self.times < 1 or self.seconds <= 0:
            raise Misuse("a request is sent at least once and waited for")


class Retransmission:
    """When one request is sent again and when its client gives up. The caller sends it first, then as `send_again`
    says at each `due`."""

    __slots__ = ("_ends", "_patience", "_sent", "_wait", "due")

    def __init__(self, patience: Patience, *, now: Seconds, chance: float) -> None:
        self._patience = patience
        self._ends = now + patience.seconds
        self._sent = 1
        self._wait = patience.first * (1 + JITTER * chance)
        self.due: Seconds = min(now + self._wait, self._ends)
        """When the next decision is to be made."""

    @property
    def sent(self) -> int:
        """How often, the first time included."""
        return self._sent

    def send_again(self, *, now: Seconds, chance: float) -> bool:
        """At `due`: True to send it once more, False to give up."""
        if now >= self._ends or self._sent >= self._patience.times:
            return False
        self._sent += 1
        wait = self._wait * (2 + JITTER * chance)
        if wait > self._patience.longest:
            wait = self._patience.longest * (1 + JITTER * chance)
        self._wait = wait
        self.due = min(now + wait, self._ends)
        return True


class Alarm(StrEnum):
    """What a watchdog says when its time has come."""

    ASK = "ask"
    """Send Status-Server and see."""
    DEAD = "dead"
    """The answer to it did not come: close the connection."""


class Watchdog:
    """Whether the peer of a connection still answers: after an interval in which nothing was heard it is asked, and
    after another one it is given up. Whatever arrives counts as a sign of life."""

    __slots__ = ("_asked", "_interval", "due")

    def __init__(self, interval: int | None = None, *, now: Seconds, chance: float) -> None:
        self._interval = RADIUS_WATCHDOG_SECONDS.checked(interval)
        self._asked = False
        self.due: Seconds = 0.0
        """When `bark` is to be called."""
        self._begin(now, chance)

    def heard(self, *, now: Seconds, chance: float) -> None:
        """Something came from the peer."""
        self._asked = False
        self._begin(now, chance)

    def bark(self, *, now: Seconds, chance: float) -> Alarm:
        """At `due`."""
        if self._asked:
            return Alarm.DEAD
        self._asked = True
        self._begin(now, chance)
        return Alarm.ASK

    def _begin(self, now: Seconds, chance: float) -> None:
        self.due = now + self._interval + min(WATCHDOG_JITTER, self._interval / 2) * chance
