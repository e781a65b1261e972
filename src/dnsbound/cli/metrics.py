"""Prometheus metrics of `dnsbound check`, as a file, and of services, over HTTP: here, those of `dnsbound run`.

No metric has a client's name as a label: their number would have no bound, and names are nobody else's business.
docs/howto/monitoring.md lists them all.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dnsbound.cli.checks import Finding, Level
from dnsbound.errors import DnsboundError, Malformed, Misuse
from dnsbound.provision.publish.endpoint import Endpoint
from dnsbound.provision.publish.outbox import Outbox

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric
    from prometheus_client.registry import Collector

    from dnsbound.cli.fleet_checks import ZoneFacts
    from dnsbound.provision.inventory import Inventory
    from dnsbound.provision.lifecycle.machine import RollState
    from dnsbound.provision.runner.counters import Counters

DEFAULT_PORT: Final = 9753


def write_check(
    path: Path,
    *,
    findings: Iterable[Finding],
    zones: "Mapping[str, ZoneFacts]",
    rolls: "Mapping[RollState, int]",
) -> None:
    """Write what a check found, at once or not at all (the file is replaced)."""
    require_library()
    from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

    registry = CollectorRegistry()
    levels = Counter(finding.level for finding in findings)
    found = Gauge("dnsbound_check_findings", "Findings of the last check.", ["level"], registry=registry)
    for level in Level:
        found.labels(level.value).set(levels[level])
    ended = Gauge("dnsbound_check_end_timestamp_seconds", "When the last check ended.", registry=registry)
    ended.set(time.time())
    names = Gauge("dnsbound_zone_names", "Names with records of ours, as asked about.", ["zone"], registry=registry)
    lacking = Gauge(
        "dnsbound_zone_names_lacking", "Names not served as they should be.", ["zone", "why"], registry=registry
    )
    until = Gauge(
        "dnsbound_zone_signed_until_timestamp_seconds", "End of the first signature seen.", ["zone"], registry=registry
    )
    for zone, facts in zones.items():
        names.labels(zone).set(facts.names)
        lacking.labels(zone, "behind").set(facts.behind)
        lacking.labels(zone, "unknown").set(facts.unknown)
        if facts.signed_until is not None:
            until.labels(zone).set(facts.signed_until)
    _count_rolls(registry, rolls)
    write_to_textfile(str(path), registry)


@contextmanager
def served_metrics(address: str, collector: "Collector", *, port: int = DEFAULT_PORT) -> Iterator[str]:
    """Serve what a collector collects at `http://ADDRESS/metrics` while the context lasts, in a thread; yields where.

    address: `127.0.0.1`, `[::1]:9753`. port: where it says none. Misuse where nothing can be listened on
    there.
    """
    require_library()
    from prometheus_client import CollectorRegistry, start_http_server

    try:
        at = Endpoint.parse(address, port=port)
    except Malformed as error:
        raise Misuse(f"--metrics-listen: {error}") from None
    registry = CollectorRegistry()
    registry.register(collector)
    try:
        server, thread = start_http_server(at.port, at.host, registry)
    except OSError as error:
        raise Misuse(f"--metrics-listen {address}: {error.strerror or error}") from None
    try:
        yield f"http://{at.host}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


COUNTED: Final = {
    "parts": "How often the mover was asked to work.",
    "moved": "Rows it moved on.",
    "refused": "Rows a server or a rule refused.",
    "undecided": "Rows whose outcome is not known yet.",
    "failures": "Parts that could not be done at all.",
}


class RunnerCollector:
    """What a runner counted, and what the inventory says now, read when somebody asks."""

    def __init__(self, counters: "Counters", store: "Inventory") -> None:
        self._counters = counters
        self._store = store

    def collect(self) -> "Iterator[Metric]":
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        counts = self._counters.snapshot()
        for word, told in COUNTED.items():
            family = CounterMetricFamily(f"dnsbound_run_{word}", told, labels=["mover"])
            for mover, of in counts.items():
                family.add_metric([mover], getattr(of, word))
            yield family
        waiting = GaugeMetricFamily(
            "dnsbound_run_waiting", "Rows looked at in the last part that have to wait.", labels=["mover"]
        )
        worked = GaugeMetricFamily(
            "dnsbound_run_worked_timestamp_seconds", "When the mover last worked without failing.", labels=["mover"]
        )
        for mover, of in counts.items():
            waiting.add_metric([mover], of.waiting)
            if of.worked_at is not None:
                worked.add_metric([mover], of.worked_at)
        yield waiting
        yield worked
        yield from self._of_inventory()

    def _of_inventory(self) -> "Iterator[Metric]":
        """Nothing, but that it could not be read, where the database does not answer."""
        from prometheus_client.core import GaugeMetricFamily

        up = "dnsbound_inventory_up", "Whether the inventory could be read."
        try:
            states = self._store.rolls.counts()
            backlog = Outbox(self._store.database).backlog()
        except DnsboundError:
            yield GaugeMetricFamily(*up, value=0)
            return
        yield GaugeMetricFamily(*up, value=1)
        rolls = GaugeMetricFamily("dnsbound_rolls", "Rolls by state.", labels=["state"])
        for state, number in states.items():
            rolls.add_metric([state.value], number)
        yield rolls
        yield GaugeMetricFamily("dnsbound_outbox_names", "Names that wait to be published.", value=backlog.names)
        if backlog.since is not None:
            since = "dnsbound_outbox_since_timestamp_seconds", "Since when the first of them waits."
            yield GaugeMetricFamily(*since, value=backlog.since)


def _count_rolls(registry: "CollectorRegistry", rolls: "Mapping[RollState, int]") -> None:
    from prometheus_client import Gauge

    states = Gauge("dnsbound_rolls", "Rolls by state.", ["state"], registry=registry)
    for state, number in rolls.items():
        states.labels(state.value).set(number)


def require_library() -> None:
    """Misuse where the extra is not installed."""
    if find_spec("prometheus_client") is None:
        raise Misuse("metrics need the extra: pip install 'dnsbound[metrics]'")
