"""Fair timing: contenders take turns, and of each the least of its rounds counts.

Other work on the machine can only make a round longer, so the least is the nearest to what the work itself costs.
"""

import gc
import time
from collections.abc import Callable, Mapping

Clock = Callable[[], float]


def seconds_each(once: Callable[[], object], repeats: int, *, clock: Clock = time.process_time) -> float:
    """Seconds one call takes, by this clock, over `repeats` calls."""
    once()
    gc.collect()
    start = clock()
    for _ in range(repeats):
        once()
    return (clock() - start) / repeats


def least(work: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """work: by label, one round each, returning its figure. The least figure by label."""
    best = {label: float("inf") for label in work}
    for _ in range(rounds):
        for label, one_round in work.items():
            best[label] = min(best[label], one_round())
    return best
