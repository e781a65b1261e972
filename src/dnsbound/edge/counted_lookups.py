"""A resolver whose lookups are counted, for metrics: between an authenticator and the resolver that answers it.

What this is not: a resolver, or a cache. It asks nobody and remembers no answer.
"""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Self

import dns.name
import dns.rdatatype

from dnsbound.dns.answer import Answer
from dnsbound.edge.authenticator import Forgets, LookupSource
from dnsbound.times import Seconds

SECONDS_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Upper bounds of the histogram's buckets; the last one has none."""


@dataclass(slots=True, kw_only=True)
class LookupCounts:
    """at_hand: questions that evidence at hand answered. asked: those the DNS was asked, by security and outcome of the
    answer. seconds: how many of those took up to each of `SECONDS_BOUNDS`, and longer; seconds_sum: all together."""

    at_hand: int = 0
    asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    seconds: list[int] = field(default_factory=lambda: [0] * (len(SECONDS_BOUNDS) + 1))
    seconds_sum: Seconds = 0.0

    def answered(self, answer: Answer, seconds: Seconds) -> None:
        """Count one question that the DNS was asked."""
        self.asked[answer.security.value, answer.outcome.value] += 1
        self.seconds[bisect_left(SECONDS_BOUNDS, seconds)] += 1
        self.seconds_sum += seconds

    def add(self, other: Self) -> None:
        """Take another process's counts in."""
        self.at_hand += other.at_hand
        self.asked.update(other.asked)
        self.seconds = [mine + theirs for mine, theirs in zip(self.seconds, other.seconds, strict=True)]
        self.seconds_sum += other.seconds_sum

    def to_json(self) -> dict[str, Any]:
        """In plain types; `from_json` is the inverse."""
        return {
            "at_hand": self.at_hand,
            "asked": [[*key, number] for key, number in self.asked.items()],
            "seconds": list(self.seconds),
            "seconds_sum": self.seconds_sum,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Of our own processes: what is missing is an error of this program."""
        return cls(
            at_hand=value["at_hand"],
            asked=Counter({(security, outcome): number for security, outcome, number in value["asked"]}),
            seconds=list(value["seconds"]),
            seconds_sum=value["seconds_sum"],
        )


class CountedLookups:
    """`inner`, and what was asked of it. A LookupSource."""

    def __init__(self, inner: LookupSource, *, monotonic: Callable[[], Seconds] = time.monotonic) -> None:
        self.counts: Final = LookupCounts()
        self._inner = inner
        self._monotonic = monotonic

    def cached(self, name: str, rdtype: dns.rdatatype.RdataType) -> Answer | None:
        """As of `inner`."""
        answer = self._inner.cached(name, rdtype)
        if answer is not None:
            self.counts.at_hand += 1
        return answer

    def forget(self, name: str) -> int:
        """As of `inner`."""
        return self._inner.forget(name) if isinstance(self._inner, Forgets) else 0

    async def lookup(
        self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, *, deadline: Seconds, refresh: bool = False
    ) -> Answer:
        """As of `inner`."""
        began = self._monotonic()
        answer = await self._inner.lookup(name, rdtype, deadline=deadline, refresh=refresh)
        self.counts.answered(answer, self._monotonic() - began)
        return answer

    def lookup_blocking(
        self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, *, deadline: Seconds, refresh: bool = False
    ) -> Answer:
        """As of `inner`."""
        began = self._monotonic()
        answer = self._inner.lookup_blocking(name, rdtype, deadline=deadline, refresh=refresh)
        self.counts.answered(answer, self._monotonic() - began)
        return answer
