"""Prometheus metrics of `dnsbound serve authz`: what all its workers counted together.

No metric names a client or an address. docs/howto/monitoring.md lists them all.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dnsbound.cli.told_metrics import told_metrics
from dnsbound.edge.authz_counters import ALLOWED, LATENCY_BOUNDS
from dnsbound.edge.authz_totals import AuthzTotals
from dnsbound.edge.counted_lookups import SECONDS_BOUNDS
from dnsbound.errors import UNDECIDED_REASONS
from dnsbound.verify.decision import Verdict

if TYPE_CHECKING:
    from prometheus_client.core import HistogramMetricFamily, Metric

    from dnsbound.edge.shared_snapshots import SharedSnapshots

_log: Final = logging.getLogger("dnsbound.authz")

DEFAULT_PORT: Final = 9755
_UNDECIDED: Final = frozenset(reason.value for reason in UNDECIDED_REASONS)


class AuthzCollector:
    """Adds up when somebody asks."""

    def __init__(self, snapshots: "SharedSnapshots") -> None:
        self._snapshots = snapshots

    def collect(self) -> "Iterator[Metric]":
        """All families."""
        totals = AuthzTotals.of_all(self._snapshots)
        yield from _of_fronts(totals)
        yield from _of_lookups(totals)
        yield _counter("worker_starts", "Worker processes that began.", [], [([], totals.starts)])


def _of_fronts(totals: AuthzTotals) -> "Iterator[Metric]":
    from prometheus_client.core import GaugeMetricFamily

    fronts = totals.fronts
    yield _counter(
        "answers",
        "Questions of fronts that were answered.",
        ["front", "verdict", "reason"],
        (
            ([label, verdict_of_reason(reason).value, reason], number)
            for label, counted in fronts.items()
            for reason, number in counted.answers.items()
        ),
    )
    yield _counter(
        "turned_away",
        "Connections and requests of fronts that got no answer about a client.",
        ["front", "why"],
        (([label, why], number) for label, counted in fronts.items() for why, number in counted.turned_away.items()),
    )
    connections = GaugeMetricFamily("dnsbound_authz_connections", "Open connections of fronts.", labels=["front"])
    seconds = _histogram("dnsbound_authz_answer_seconds", "From a request to its answer.", ["front"])
    for label, counted in fronts.items():
        connections.add_metric([label], counted.connections)
        seconds.add_metric([label], _buckets(LATENCY_BOUNDS, counted.latency), counted.latency_seconds)
    yield connections
    yield seconds


def _of_lookups(totals: AuthzTotals) -> "Iterator[Metric]":
    lookups = totals.lookups
    yield _counter("lookups_spared", "Questions that evidence at hand answered.", [], [([], lookups.at_hand)])
    asked = (([security, outcome], number) for (security, outcome), number in lookups.asked.items())
    yield _counter("lookups", "Questions to the DNS.", ["security", "outcome"], asked)
    seconds = _histogram("dnsbound_authz_lookup_seconds", "How long the DNS took.", [])
    seconds.add_metric([], _buckets(SECONDS_BOUNDS, lookups.seconds), lookups.seconds_sum)
    yield seconds


def verdict_of_reason(reason: str) -> Verdict:
    """What an answer of this reason was."""
    if reason == ALLOWED:
        return Verdict.ADMITTED
    return Verdict.UNDECIDED if reason in _UNDECIDED else Verdict.REFUSED


def _counter(name: str, told: str, labels: list[str], counts: Iterable[tuple[list[str], int]]) -> "Metric":
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily(f"dnsbound_authz_{name}", told, labels=labels)
    for values, number in counts:
        family.add_metric(values, number)
    return family


def _histogram(name: str, told: str, labels: list[str]) -> "HistogramMetricFamily":
    from prometheus_client.core import HistogramMetricFamily

    return HistogramMetricFamily(name, told, labels=labels)


def _buckets(bounds: Sequence[float], counts: list[int]) -> list[tuple[str, float]]:
    return list(zip([*map(str, bounds), "+Inf"], map(float, accumulate(counts)), strict=True))


@contextmanager
def authz_metrics(snapshots: "SharedSnapshots", *, file: Path | None, listen: str | None) -> Iterator[None]:
    """As `told_metrics`."""
    collector = AuthzCollector(snapshots)
    with told_metrics(collector, file=file, listen=listen, port=DEFAULT_PORT, log=_log):
        yield
