"""Prometheus metrics of `dnsbound gate`: what all its workers counted together. No metric names a client or an address.
docs/howto/monitoring.md lists them all.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from dnsbound.edge.gate_counters import GateCounters
from dnsbound.edge.gate_totals import GateTotals

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from dnsbound.edge.shared_snapshots import SharedSnapshots

_Single = tuple[str, str, Callable[[GateCounters], int]]
_SINGLE: Final[tuple[_Single, ...]] = (
    ("accepted", "Connections that were accepted.", lambda one: one.accepted),
    ("clear_failed", "Connections that ended before TLS began.", lambda one: one.clear_failed),
    ("client_octets", "Octets of clients that went to the back end.", lambda one: one.from_clients),
    ("backend_octets", "Octets of the back end that went to clients.", lambda one: one.to_clients),
    ("backend_failures", "Back ends that were not reached, or reset a connection.", lambda one: one.backend_failures),
)
_BY_WORD: Final = {
    "handshakes": ("outcome", "Handshakes by outcome."),
    "verdicts": ("verdict", "Verdicts: admitted, or the reason of another one; live sessions asked again included."),
    "turned_away": ("limit", "Connections closed because a limit was reached."),
    "ended": ("how", "Connections that had come through, by how they ended."),
}


class GateCollector:
    """Adds up when somebody asks."""

    def __init__(self, snapshots: "SharedSnapshots") -> None:
        self._snapshots = snapshots

    def collect(self) -> "Iterator[Metric]":
        """All families."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        totals = GateTotals.of_all(self._snapshots)
        opened = GaugeMetricFamily("dnsbound_gate_connections", "Connections that are through now.", labels=["gate"])
        for label, counters in totals.gates.items():
            opened.add_metric([label], counters.open)
        yield opened
        for word, told, count in _SINGLE:
            family = CounterMetricFamily(f"dnsbound_gate_{word}", told, labels=["gate"])
            for label, counters in totals.gates.items():
                family.add_metric([label], count(counters))
            yield family
        for word, (kind, told) in _BY_WORD.items():
            family = CounterMetricFamily(f"dnsbound_gate_{word}", told, labels=["gate", kind])
            for label, counters in totals.gates.items():
                for value, number in getattr(counters, word).items():
                    family.add_metric([label, value], number)
            yield family
        lookups = CounterMetricFamily("dnsbound_gate_lookups", "Questions to the DNS.", labels=["security", "outcome"])
        for (security, outcome), number in totals.lookups.asked.items():
            lookups.add_metric([security, outcome], number)
        yield lookups
        yield CounterMetricFamily(
            "dnsbound_gate_lookups_spared", "Questions that evidence at hand answered.", value=totals.lookups.at_hand
        )
        yield CounterMetricFamily("dnsbound_gate_worker_starts", "Worker processes that began.", value=totals.starts)
