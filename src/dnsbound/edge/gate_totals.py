"""What the worker processes of gates count, for `worker_totals`."""

from dataclasses import dataclass, field
from typing import Any, Self

from dnsbound.edge.counted_lookups import LookupCounts
from dnsbound.edge.gate_counters import GateCounters
from dnsbound.edge.worker_totals import Totals


@dataclass(slots=True, kw_only=True)
class GateTotals(Totals):
    """gates: by label. lookups: of the DNS. starts: how often a worker began."""

    gates: dict[str, GateCounters] = field(default_factory=dict)
    lookups: LookupCounts = field(default_factory=LookupCounts)
    starts: int = 0

    def add(self, other: Self) -> None:
        """Take another process's counts in."""
        for label, counters in other.gates.items():
            self.gates.setdefault(label, GateCounters()).add(counters)
        self.lookups.add(other.lookups)
        self.starts += other.starts

    def to_json(self) -> dict[str, Any]:
        """In plain types; `from_json` is the inverse."""
        gates = {label: counters.to_json() for label, counters in self.gates.items()}
        return {"gates": gates, "lookups": self.lookups.to_json(), "starts": self.starts}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Of our own processes: what is missing is an error of this program."""
        return cls(
            gates={label: GateCounters.from_json(counters) for label, counters in value["gates"].items()},
            lookups=LookupCounts.from_json(value["lookups"]),
            starts=value["starts"],
        )

    def outlive(self) -> None:
        """Its connections are gone."""
        for counters in self.gates.values():
            counters.open = 0
