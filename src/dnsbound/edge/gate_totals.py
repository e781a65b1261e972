"""What all worker processes of gates have counted together, those included that have died.

Each worker leaves what it counted in memory that all share, each second; the one that takes a dead one's place counts
on from there, so that no total ever falls back.
"""

import json
from dataclasses import dataclass, field
from typing import Any, Final, Self

from dnsbound.edge.counted_lookups import LookupCounts
from dnsbound.edge.gate_counters import GateCounters
from dnsbound.edge.shared_snapshots import SharedSnapshots


@dataclass(slots=True, kw_only=True)
class GateTotals:
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

    def to_octets(self) -> bytes:
        """`from_octets` is the inverse."""
        gates = {label: counters.to_json() for label, counters in self.gates.items()}
        value = {"gates": gates, "lookups": self.lookups.to_json(), "starts": self.starts}
        return json.dumps(value, separators=(",", ":")).encode()

    @classmethod
    def from_octets(cls, octets: bytes) -> Self:
        """Of our own processes: what is missing is an error of this program."""
        value: dict[str, Any] = json.loads(octets)
        return cls(
            gates={label: GateCounters.from_json(counters) for label, counters in value["gates"].items()},
            lookups=LookupCounts.from_json(value["lookups"]),
            starts=value["starts"],
        )

    @classmethod
    def of_all(cls, snapshots: SharedSnapshots) -> Self:
        """Added up over all workers."""
        total = cls()
        for octets in snapshots.all():
            total.add(cls.from_octets(octets))
        return total


class GateWorkerTotals:
    """What one worker counts, and what those counted who had its place before."""

    def __init__(self, snapshots: SharedSnapshots, worker: int) -> None:
        self._snapshots = snapshots
        self._worker = worker
        octets = snapshots.get(worker)
        self._former: Final = GateTotals() if octets is None else GateTotals.from_octets(octets)
        self._former.starts += 1
        for counters in self._former.gates.values():
            counters.open = 0  # What there was in the dead worker is not there now.

    def leave(self, now: GateTotals) -> None:
        """Say how it stands now. now: what this worker counted itself."""
        # A copy takes the former counts in, not the counters that go on counting.
        total = GateTotals.from_octets(now.to_octets())
        total.add(self._former)
        self._snapshots.put(self._worker, total.to_octets())
