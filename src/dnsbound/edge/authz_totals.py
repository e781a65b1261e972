"""What the worker processes of a verify service count, for `worker_totals`."""

from dataclasses import dataclass, field
from typing import Any, Self

from dnsbound.edge.authz_counters import FrontCounters
from dnsbound.edge.counted_lookups import LookupCounts
from dnsbound.edge.worker_totals import Totals


@dataclass(slots=True, kw_only=True)
class AuthzTotals(Totals):
    """fronts: by label. starts: workers that began."""

    fronts: dict[str, FrontCounters] = field(default_factory=dict)
    lookups: LookupCounts = field(default_factory=LookupCounts)
    starts: int = 0

    def add(self, other: Self) -> None:
        """Take another process's counts in."""
        for label, counted in other.fronts.items():
            self.fronts.setdefault(label, FrontCounters()).add(counted)
        self.lookups.add(other.lookups)
        self.starts += other.starts

    def to_json(self) -> dict[str, Any]:
        """In plain types; `from_json` is the inverse."""
        return {
            "fronts": {label: counted.to_json() for label, counted in self.fronts.items()},
            "lookups": self.lookups.to_json(),
            "starts": self.starts,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Of our own processes: what is missing is an error of this program."""
        return cls(
            fronts={label: FrontCounters.from_json(counted) for label, counted in value["fronts"].items()},
            lookups=LookupCounts.from_json(value["lookups"]),
            starts=value["starts"],
        )

    def outlive(self) -> None:
        """Its connections are gone."""
        for counted in self.fronts.values():
            counted.connections = 0
