"""What all worker processes of a verify service have counted together, those included that have died.

As `radius_totals`: each worker leaves what it counted in memory that all share, each second; the one that takes a dead
one's place counts on from there, so that no total ever falls back.
"""

import json
from dataclasses import dataclass, field
from typing import Any, Final, Self

from dnsbound.edge.authz_counters import FrontCounters
from dnsbound.edge.counted_lookups import LookupCounts
from dnsbound.edge.shared_snapshots import SharedSnapshots


@dataclass(slots=True, kw_only=True)
class AuthzTotals:
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

    def to_octets(self) -> bytes:
        """`from_octets` is the inverse."""
        value = {
            "fronts": {label: counted.to_json() for label, counted in self.fronts.items()},
            "lookups": self.lookups.to_json(),
            "starts": self.starts,
        }
        return json.dumps(value, separators=(",", ":")).encode()

    @classmethod
    def from_octets(cls, octets: bytes) -> Self:
        """Of our own processes: what is missing is an error of this program."""
        value: dict[str, Any] = json.loads(octets)
        return cls(
            fronts={label: FrontCounters.from_json(counted) for label, counted in value["fronts"].items()},
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


class AuthzWorkerTotals:
    """What one worker counts, and what those counted who had its place before."""

    def __init__(self, snapshots: SharedSnapshots, worker: int) -> None:
        self._snapshots = snapshots
        self._worker = worker
        octets = snapshots.get(worker)
        self.takes_over: Final = octets is not None
        """Another worker was in this place before."""
        self._former: Final = AuthzTotals() if octets is None else AuthzTotals.from_octets(octets)
        for counted in self._former.fronts.values():
            counted.connections = 0  # What there was in the dead worker is not there now.
        self._former.starts += 1

    def leave(self, now: AuthzTotals) -> None:
        """Say how it stands now. now: what this worker counted itself."""
        # A copy takes the former counts in, not the counters that go on counting.
        total = AuthzTotals.from_octets(now.to_octets())
        total.add(self._former)
        self._snapshots.put(self._worker, total.to_octets())
