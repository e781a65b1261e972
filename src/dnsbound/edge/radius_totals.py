"""What all worker processes of a RADIUS server have counted together, those included that have died.

Each worker leaves what it counted in memory that all share, each second; the one that takes a dead one's place counts
on from there, so that no total ever falls back. What a worker that was killed had counted in its last second is lost.
"""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, Self

from dnsbound.edge.counted_lookups import LookupCounts
from dnsbound.edge.radius_counters import RadiusCounters
from dnsbound.edge.radius_live import LiveAccess
from dnsbound.edge.shared_snapshots import SharedSnapshots
from dnsbound.edge.worker_exchange import ExchangeCounts


@dataclass(slots=True, kw_only=True)
class SessionCounts:
    """Of live sessions and accounting. sessions: there now. ended, disconnected: by what became of them. written,
    refused, unacknowledged, lost: rows, as `WriterCounters`. waiting: rows now; down: databases that do not answer."""

    sessions: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    disconnected: Counter[str] = field(default_factory=Counter)
    reports: int = 0
    foreign_classes: int = 0
    written: int = 0
    refused: int = 0
    unacknowledged: int = 0
    lost: int = 0
    waiting: int = 0
    down: int = 0

    @classmethod
    def of(cls, live: LiveAccess) -> Self:
        """As they stand."""
        counted, rows = live.counters, live.writer_counters
        return cls(
            sessions=len(live),
            ended=Counter(counted.ended),
            disconnected=Counter(counted.disconnects),
            reports=counted.reports,
            foreign_classes=counted.foreign_classes,
            written=rows.written,
            refused=rows.refused,
            unacknowledged=rows.unacknowledged,
            lost=rows.lost,
            waiting=rows.waiting,
            down=int(rows.is_down),
        )

    def add(self, other: Self) -> None:
        """Take another process's counts in."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))

    def to_json(self) -> dict[str, Any]:
        """In plain types; `from_json` is the inverse."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Of our own processes: what is missing is an error of this program."""
        return cls(**{**value, "ended": Counter(value["ended"]), "disconnected": Counter(value["disconnected"])})


@dataclass(slots=True, kw_only=True)
class RadiusTotals:
    """radius: of the service. lookups: of the DNS. exchange: requests that passed from worker to worker. starts: how
    often a worker began."""

    radius: RadiusCounters = field(default_factory=RadiusCounters)
    lookups: LookupCounts = field(default_factory=LookupCounts)
    sessions: SessionCounts = field(default_factory=SessionCounts)
    exchange: ExchangeCounts = field(default_factory=ExchangeCounts)
    starts: int = 0

    def add(self, other: Self) -> None:
        """Take another process's counts in."""
        self.radius.add(other.radius)
        self.lookups.add(other.lookups)
        self.sessions.add(other.sessions)
        self.exchange.add(other.exchange)
        self.starts += other.starts

    def to_octets(self) -> bytes:
        """`from_octets` is the inverse."""
        value = {
            "radius": self.radius.to_json(),
            "lookups": self.lookups.to_json(),
            "sessions": self.sessions.to_json(),
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
            sessions=SessionCounts.from_json(value["sessions"]),
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
        # What there was in the dead worker is not there now.
        former.radius.conversations = 0
        former.sessions.sessions = former.sessions.waiting = former.sessions.down = 0
        return former

    def leave(self, now: RadiusTotals) -> None:
        """Say how it stands now. now: what this worker counted itself."""
        # A copy takes the former counts in, not the counters that go on counting.
        total = RadiusTotals.from_octets(now.to_octets())
        total.add(self._former)
        self._snapshots.put(self._worker, total.to_octets())
