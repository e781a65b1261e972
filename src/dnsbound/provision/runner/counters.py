"""What a runner has done since it began, for metrics and health: read by another thread than the one that counts."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace

from dnsbound.provision.runner.mover import Report
from dnsbound.times import Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Of one mover. Totals but for the last line."""

    parts: int = 0
    """How often it was asked to work."""
    moved: int = 0
    refused: int = 0
    undecided: int = 0
    failures: int = 0
    """Parts that could not be done at all: no database, a wrong configuration, a defect."""
    waiting: int = 0
    """Rows that were looked at in the last part and have to wait."""
    worked_at: Moment | None = None
    """When it last worked without failing."""


class Counters:
    """See the module."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, Counts] = {}

    def worked(self, mover: str, report: Report, *, at: Moment) -> None:
        with self._lock:
            now = self._counts.get(mover, Counts())
            self._counts[mover] = replace(
                now,
                parts=now.parts + 1,
                moved=now.moved + report.moved,
                refused=now.refused + report.refused,
                undecided=now.undecided + report.undecided,
                waiting=report.waiting,
                worked_at=at,
            )

    def failed(self, mover: str) -> None:
        with self._lock:
            now = self._counts.get(mover, Counts())
            self._counts[mover] = replace(now, parts=now.parts + 1, failures=now.failures + 1)

    def snapshot(self) -> Mapping[str, Counts]:
        """Counts by the name of the mover."""
        with self._lock:
            return dict(self._counts)
