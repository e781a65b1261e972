"""What the verify service counts of each front, in one process, for metrics: answers by reason, and how long they took.

No client is named in it.
"""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final, Self

from dnsbound.times import Seconds

LATENCY_BOUNDS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Upper bounds of the histogram's buckets; the last one has none."""
ALLOWED: Final = ""
"""The reason of a yes."""


@dataclass(slots=True, kw_only=True)
class FrontCounters:
    """answers: by reason, `ALLOWED` or a word of `Reason` or `malformed`. latency: answers by `LATENCY_BOUNDS`, and
    longer; latency_seconds: all together. turned_away: connections and requests that got no answer about a client, by
    why. connections: open now."""

    answers: Counter[str] = field(default_factory=Counter)
    latency: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BOUNDS) + 1))
    latency_seconds: Seconds = 0.0
    turned_away: Counter[str] = field(default_factory=Counter)
    connections: int = 0

    def answered(self, reason: str) -> None:
        """A question was answered. reason: `ALLOWED` for a yes."""
        self.answers[reason] += 1

    def took(self, seconds: Seconds) -> None:
        """From a request to its answer."""
        self.latency[bisect_left(LATENCY_BOUNDS, seconds)] += 1
        self.latency_seconds += seconds

    def add(self, other: Self) -> None:
        """Take another process's counts in."""
        self.answers.update(other.answers)
        self.latency = [mine + theirs for mine, theirs in zip(self.latency, other.latency, strict=True)]
        self.latency_seconds += other.latency_seconds
        self.turned_away.update(other.turned_away)
        self.connections += other.connections

    def to_json(self) -> dict[str, Any]:
        """In plain types; `from_json` is the inverse."""
        return {
            "answers": dict(self.answers),
            "latency": list(self.latency),
            "latency_seconds": self.latency_seconds,
            "turned_away": dict(self.turned_away),
            "connections": self.connections,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Of our own processes: what is missing is an error of this program."""
        return cls(
            answers=Counter(value["answers"]),
            latency=list(value["latency"]),
            latency_seconds=value["latency_seconds"],
            turned_away=Counter(value["turned_away"]),
            connections=value["connections"],
        )
