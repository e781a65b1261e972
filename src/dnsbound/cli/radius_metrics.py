"""Prometheus metrics of `dnsbound serve radius`: what all its workers counted together, as a file and over HTTP.

No metric names a client's device or an address. docs/howto/monitoring.md lists them all.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from dnsbound.cli.told_metrics import told_metrics
from dnsbound.edge.counted_lookups import SECONDS_BOUNDS
from dnsbound.edge.radius_counters import LATENCY_BOUNDS
from dnsbound.edge.radius_totals import RadiusTotals
from dnsbound.times import Seconds

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from dnsbound.edge.shared_snapshots import SharedSnapshots

    Counts: TypeAlias = Iterable[tuple[tuple[str, ...], int]]
    """By values of the labels."""

_log: Final = logging.getLogger("dnsbound.radius")

DEFAULT_PORT: Final = 9754
EXCHANGE_TOLD: Final = {
    "asked": "Requests passed on to the worker they belong to.",
    "answered": "Requests of other workers that were worked on.",
    "inbox_full": "Requests and answers that found no room at another worker.",
    "too_many": "Requests not passed on because too many were.",
    "unanswered": "Requests given up because another worker did not answer.",
    "unread": "Answers that came too late.",
}


class RadiusCollector:
    """Adds up when somebody asks."""

    def __init__(self, snapshots: "SharedSnapshots") -> None:
        self._snapshots = snapshots

    def collect(self) -> "Iterator[Metric]":
        """All families."""
        totals = RadiusTotals.of_all(self._snapshots)
        yield from _of_service(totals)
        yield from _of_lookups(totals)
        yield from _of_sessions(totals)
        yield from _of_workers(totals)


def _of_service(totals: RadiusTotals) -> "Iterator[Metric]":
    radius = totals.radius
    yield _counter("requests", "Requests whose sender has the secret.", ["code"], _single(radius.requests))
    yield _counter("dropped", "Packets that got no answer.", ["cause"], _single(radius.dropped))
    yield _counter("duplicates", "Requests answered with a former answer.", [], [((), radius.duplicates)])
    yield _counter(
        "authentications",
        "Authentications that ended.",
        ["network", "verdict", "reason"],
        radius.authentications.items(),
    )
    yield _histogram(
        "dnsbound_radius_authentication_seconds",
        "From a conversation's first request to its end.",
        LATENCY_BOUNDS,
        radius.latency,
        radius.latency_seconds,
    )
    yield _gauge("conversations", "EAP conversations that are not over.", radius.conversations)
    yield _counter(
        "conversations_abandoned",
        "Conversations that gave way to others, or ran out of time.",
        ["why"],
        [(("gave-way",), radius.gave_way), (("time",), radius.expired)],
    )
    yield _counter(
        "old_secrets", "Requests made with a secret that is being replaced.", ["client"], _single(radius.old_secrets)
    )


def _of_lookups(totals: RadiusTotals) -> "Iterator[Metric]":
    lookups = totals.lookups
    yield _counter("lookups_spared", "Questions that evidence at hand answered.", [], [((), lookups.at_hand)])
    yield _counter("lookups", "Questions to the DNS.", ["security", "outcome"], lookups.asked.items())
    yield _histogram(
        "dnsbound_radius_lookup_seconds",
        "How long the DNS took.",
        SECONDS_BOUNDS,
        lookups.seconds,
        lookups.seconds_sum,
    )


def _of_sessions(totals: RadiusTotals) -> "Iterator[Metric]":
    sessions = totals.sessions
    yield _gauge("sessions", "Sessions that are in.", sessions.sessions)
    yield _counter("sessions_ended", "Sessions that were in, by how they ended.", ["how"], _single(sessions.ended))
    yield _counter(
        "disconnects", "Access servers asked to end a session, by answer.", ["answer"], _single(sessions.disconnected)
    )
    yield _counter("accounting_reports", "Reports of access servers.", [], [((), sessions.reports)])
    yield _counter(
        "accounting_foreign_classes", "Reports with a Class of nobody here.", [], [((), sessions.foreign_classes)]
    )
    rows = {
        "written": sessions.written,
        "refused": sessions.refused,
        "unacknowledged": sessions.unacknowledged,
        "lost": sessions.lost,
    }
    yield _counter("accounting_rows", "Rows for the database, by what became of them.", ["what"], _single(rows))
    yield _gauge("accounting_rows_waiting", "Rows that wait to be written.", sessions.waiting)
    yield _gauge("accounting_database_down", "Workers whose accounting database does not answer.", sessions.down)


def _of_workers(totals: RadiusTotals) -> "Iterator[Metric]":
    for word, told in EXCHANGE_TOLD.items():
        yield _counter(f"exchange_{word}", told, [], [((), getattr(totals.exchange, word))])
    yield _counter("worker_starts", "Worker processes that began.", [], [((), totals.starts)])


def _single(counts: Mapping[str, int]) -> "Counts":
    return [((word,), number) for word, number in counts.items()]


def _counter(name: str, told: str, labels: list[str], counts: "Counts") -> "Metric":
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily(f"dnsbound_radius_{name}", told, labels=labels)
    for values, number in counts:
        family.add_metric(list(values), number)
    return family


def _gauge(name: str, told: str, value: float) -> "Metric":
    from prometheus_client.core import GaugeMetricFamily

    return GaugeMetricFamily(f"dnsbound_radius_{name}", told, value=value)


def _histogram(name: str, told: str, bounds: Sequence[float], counts: list[int], seconds: Seconds) -> "Metric":
    from prometheus_client.core import HistogramMetricFamily

    words = [*map(str, bounds), "+Inf"]
    return HistogramMetricFamily(
        name, told, buckets=list(zip(words, map(float, accumulate(counts)), strict=True)), sum_value=seconds
    )


@contextmanager
def radius_metrics(snapshots: "SharedSnapshots", *, file: Path | None, listen: str | None) -> Iterator[None]:
    """As `told_metrics`."""
    collector = RadiusCollector(snapshots)
    with told_metrics(collector, file=file, listen=listen, port=DEFAULT_PORT, log=_log):
        yield
