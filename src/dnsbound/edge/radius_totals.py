"""What all worker processes of a RADIUS server have counted together, those included that have died.

Each worker leaves what it counted in memory that all share, each second; the one that takes a dead one's place counts
on from there, so that no total ever falls back. What a worker that was killed had counted in its last second is lost.
"""

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Self

from dnsbound.edge.counted_lookups import LookupCounts
from dnsbound.edge.radius_counters import RadiusCounters
from dnsbound.edge.shared_snapshots import SharedSnapshots
from dnsbound.edge.worker_exchange import ExchangeCounts


@dataclass(slots=True, kw_only=True)
class RadiusTotals:
    """radius: of the service. lookups: of the DNS. exchange: requests that passed from worker to worker. starts: how
    often a worker began."""

    radius: RadiusCounters = field(default_factory=RadiusCounters)
    lookups: LookupCounts = field(default_factory=LookupCounts)
    exchange: ExchangeCounts = field(default_factory=ExchangeCounts)
    starts: int = 0

    def add(self, other: Self) -> None:
        """Take another process's counts in."""
        self.radius.add(other.radius)
        self.lookups.add(other.lookups)
        self.exchange.add(other.exchange)
        self.starts += other.starts

    def to_octets(self) -> bytes:
        """`from_octets` is the inverse."""
        value = {
            "radius": self.radius.to_json(),
            "lookups": self.lookups.to_json(),
            "exchange": asdict(self.exchange),
            "starts": self.starts,
        }
        return json.dumps(value, separators=(",", ":")).encode()

    @classmethod
    def from_octets(cls, octets: bytes) -> Self:
        """Of our own processes: what is missing is an error of this program."""
        value: dict[str, Any] = json.loads(octets)
        return cls(
            radius=RadiusCounters.from_json(value["radius"]),
            lookups=LookupCounts.from_json(value["lookups"]),
            exchange=ExchangeCounts(**value["exchange"]),
            starts=value["starts"],
        )

    @classmethod
    def of_all(cls, snapshots: SharedSnapshots) -> Self:
        """Added up over all workers."""
        total = cls()
        for octets in snapshots.all():
            total.add(cls.from_octets(octets))
        return total


class WorkerTotals:
    """What one worker counts, and what those counted who had its place before."""

    def __init__(self, snapshots: SharedSnapshots, worker: int) -> None:
        self._snapshots = snapshots
        self._worker = worker
        self._former: Final = self._left_behind()
        self._former.starts += 1

    def _left_behind(self) -> RadiusTotals:
        octets = self._snapshots.get(self._worker)
        if octets is None:
            return RadiusTotals()
        former = RadiusTotals.from_octets(octets)
        former.radius.conversations = 0  # they died with their worker
        return former

    def leave(self, radius: RadiusCounters, lookups: LookupCounts, exchange: ExchangeCounts) -> None:
        """Say how it stands now."""
        total = RadiusTotals(radius=radius, lookups=lookups, exchange=exchange)
        # A copy of its own counts takes the former ones in, not those that go on counting.
        total = RadiusTotals.from_octets(total.to_octets())
        total.add(self._former)
        self._snapshots.put(self._worker, total.to_octets())
