"""How many connections a gate has, in all and of one client name, and how often a name may come. One worker's: several
workers each have limits of their own. Handshakes are limited before (`handshake_slots`).
"""

from collections import Counter
from dataclasses import dataclass

from dnsbound.door_limits import GATE_CONNECTIONS, GATE_CONNECTIONS_PER_NAME, GATE_NAMES_RATED, GATE_RATE_PER_NAME
from dnsbound.edge.gate_counters import TurnedAway
from dnsbound.times import Moment
from dnsbound.verify.token_buckets import TokenBuckets


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionLimits:
    """See `dnsbound.limits`. rate_per_name: new connections a minute."""

    connections: int = GATE_CONNECTIONS.default
    per_name: int = GATE_CONNECTIONS_PER_NAME.default
    rate_per_name: int = GATE_RATE_PER_NAME.default


class Admissions:
    """Who is in at one gate. A stranger has no name, and the limit of all connections alone."""

    def __init__(self, limits: AdmissionLimits) -> None:
        self._limits = limits
        self._names: Counter[str] = Counter()
        self._open = 0
        self._rates = TokenBuckets(limits.rate_per_name, GATE_NAMES_RATED.default)

    def configure(self, limits: AdmissionLimits) -> None:
        """Go by these from now on; whoever is in stays."""
        if limits.rate_per_name != self._limits.rate_per_name:
            self._rates = TokenBuckets(limits.rate_per_name, GATE_NAMES_RATED.default)
        self._limits = limits

    def __len__(self) -> int:
        return self._open

    def has_room(self, unfinished: int) -> bool:
        """Whether one more may begin its handshake. unfinished: handshakes under way."""
        return self._open + unfinished < self._limits.connections

    def enter(self, name: str | None, now: Moment) -> TurnedAway | None:
        """Let one in, until `leave`; or why not. name: canonical."""
        if self._open >= self._limits.connections:
            return TurnedAway.CONNECTIONS
        if name is not None:
            if self._names[name] >= self._limits.per_name:
                return TurnedAway.NAME_CONNECTIONS
            if self._rates.level(name, now) < 1:
                return TurnedAway.NAME_RATE
            self._rates.take(name, 1, now)
            self._names[name] += 1
        self._open += 1
        return None

    def leave(self, name: str | None) -> None:
        self._open -= 1
        if name is not None:
            self._names[name] -= 1
            if not self._names[name]:
                del self._names[name]
