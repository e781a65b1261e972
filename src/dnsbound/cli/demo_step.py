"""One step of the demonstration: what was expected before it was tried, and what came of it."""

import time
from dataclasses import dataclass
from typing import Final

SKIPPED: Final = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """One step: what was expected, what happened, why, and how long it took."""

    step: str
    expected: str
    outcome: str
    reason: str
    ms: float

    @property
    def as_expected(self) -> bool:
        return self.outcome in {self.expected, SKIPPED}


def ms_since(started: float) -> float:
    """Milliseconds since that reading of `time.perf_counter`."""
    return round((time.perf_counter() - started) * 1000, 1)
