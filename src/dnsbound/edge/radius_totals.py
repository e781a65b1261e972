"""What the worker processes of a RADIUS server count, for `worker_totals`."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from dnsbound.edge.counted_lookups import LookupCounts
from dnsbound.edge.radius_counters import RadiusCounters
from dnsbound.edge.radius_live import LiveAccess
from dnsbound.edge.worker_exchange import ExchangeCounts
from dnsbound.edge.worker_totals import Counts, Totals


@dataclass(slots=True, kw_only=True)
class SessionCounts(Counts):
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


@dataclass(slots=True, kw_only=True)
class RadiusTotals(Totals):
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

    def to_json(self) -> dict[str, Any]:
        """In plain types; `from_json` is the inverse."""
        return {
            "radius": self.radius.to_json(),
            "lookups": self.lookups.to_json(),
            "sessions": self.sessions.to_json(),
            "exchange": asdict(self.exchange),
            "starts": self.starts,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Of our own processes: what is missing is an error of this program."""
        return cls(
            radius=RadiusCounters.from_json(value["radius"]),
            lookups=LookupCounts.from_json(value["lookups"]),
            sessions=SessionCounts.from_json(value["sessions"]),
            exchange=ExchangeCounts(**value["exchange"]),
            starts=value["starts"],
        )

    def outlive(self) -> None:
        """Its conversations are gone, and so is what it knew of sessions and databases."""
        self.radius.conversations = 0
        self.sessions.sessions = self.sessions.waiting = self.sessions.down = 0
