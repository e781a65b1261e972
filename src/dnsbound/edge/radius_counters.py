"""What a RADIUS server has counted since it began: one value for each process, which can be added up and sent on."""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Self

from dnsbound.edge.radius_audit import AccessEvent

LATENCY_BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds: upper bounds of the histogram's buckets; the last one has none."""


class Dropped(StrEnum):
    """Why a packet got no answer, beside the words of `protocols.radius.Discard`."""

    UNKNOWN_CLIENT = "unknown-client"
    """From an address that is no client's."""
    MALFORMED = "malformed"
    """No RADIUS, or no EAP inside it."""
    UNEXPECTED_CODE = "unexpected-code"
    """A request that is not for this port."""
    IN_PROGRESS = "in-progress"
    """The former one is still being worked on."""
    NOT_EXPECTED = "not-expected"
    """An EAP packet that answers nothing."""
    OVERLOADED = "overloaded"
    """Shed: more requests than can be worked on."""
    NOT_RECORDED = "not-recorded"
    """Accounting that could not be kept, so that the NAS tries again."""
    NO_ROOM = "no-room"
    """The answer, with what it has to carry back to proxies, is longer than a packet."""
    NOT_SENT = "not-sent"
    """The system would not take the answer."""
    FAILED = "failed"
    """A defect of this program; the log has it."""


@dataclass(slots=True, kw_only=True)
class RadiusCounters:
    """requests: by name of the code. dropped: by word. duplicates: requests answered with a former answer.
    authentications: by network, verdict and reason. latency: how many authentications ended within each of
    `LATENCY_BOUNDS`, and beyond; latency_seconds: their sum. conversations: there now; the next two are those that had
    to give way, and those that ran out of time."""

    requests: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    authentications: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    latency: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BOUNDS) + 1))
    latency_seconds: float = 0.0
    conversations: int = 0
    gave_way: int = 0
    expired: int = 0
    old_secrets: Counter[str] = field(default_factory=Counter)
    """Requests made with a secret that is being replaced, by client: at zero it can go."""

    def concluded(self, event: AccessEvent) -> None:
        """Count one authentication."""
        self.authentications[event.network, str(event.verdict), event.reason] += 1
        self.latency[bisect_left(LATENCY_BOUNDS, event.seconds)] += 1
        self.latency_seconds += event.seconds

    def add(self, other: Self) -> None:
        """Take another process's counts in."""
        self.requests.update(other.requests)
        self.dropped.update(other.dropped)
        self.authentications.update(other.authentications)
        self.old_secrets.update(other.old_secrets)
        self.latency = [mine + theirs for mine, theirs in zip(self.latency, other.latency, strict=True)]
        self.latency_seconds += other.latency_seconds
        self.duplicates += other.duplicates
        self.conversations += other.conversations
        self.gave_way += other.gave_way
        self.expired += other.expired

    def to_json(self) -> dict[str, Any]:
        """In plain types; `from_json` is the inverse."""
        return {
            "requests": dict(self.requests),
            "dropped": dict(self.dropped),
            "duplicates": self.duplicates,
            "authentications": [[*key, number] for key, number in self.authentications.items()],
            "latency": list(self.latency),
            "latency_seconds": self.latency_seconds,
            "conversations": self.conversations,
            "gave_way": self.gave_way,
            "expired": self.expired,
            "old_secrets": dict(self.old_secrets),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Of our own processes: what is missing is an error of this program."""
        return cls(
            requests=Counter(value["requests"]),
            dropped=Counter(value["dropped"]),
            duplicates=value["duplicates"],
            authentications=Counter({tuple(key): number for *key, number in value["authentications"]}),
            latency=list(value["latency"]),
            latency_seconds=value["latency_seconds"],
            conversations=value["conversations"],
            gave_way=value["gave_way"],
            expired=value["expired"],
            old_secrets=Counter(value["old_secrets"]),
        )
