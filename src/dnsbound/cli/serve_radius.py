"""`dnsbound serve radius`: network access for devices known by DNS name, until Ctrl-C or SIGTERM.

SIGHUP reads radius.toml, its secrets, the server's credential and the access list again. Each authentication is a line
of JSON on standard error (logger `dnsbound.radius`), beside the decision of the door (`dnsbound.decisions`).
"""

from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dnsbound.cli.opened import opened_resolver
from dnsbound.cli.options import AnchorsOption, JsonOption, ResolverOption
from dnsbound.cli.output import advise, emit, say

if TYPE_CHECKING:
    from dnsbound.edge.radius_configuration import RadiusConfiguration
    from dnsbound.edge.radius_sockets import Bound
    from dnsbound.edge.worker import Worker


def serve_radius(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The configuration, such as radius.toml.")],
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Look at all that it needs, say what is wrong, and end.")
    ] = False,
    metrics: Annotated[
        Path | None, typer.Option("--metrics", help="Keep a file of Prometheus metrics up to date.", dir_okay=False)
    ] = None,
    metrics_listen: Annotated[
        str | None,
        typer.Option("--metrics-listen", metavar="ADDRESS", help="Serve Prometheus metrics there, port 9754 if none."),
    ] = None,
    resolver: ResolverOption = None,
    anchors: AnchorsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Admit devices to networks by their DNS names: a RADIUS server for EAP-TLS, as access points and switches ask it.

    SIGHUP reads the files again; with an error in one of them, all stays as it was.
    """
    from dnsbound.edge.radius_configuration import RadiusConfiguration

    if check:
        from dnsbound.cli.finding_output import tell_findings
        from dnsbound.cli.radius_checks import radius_findings

        raise typer.Exit(tell_findings(radius_findings(path, resolver, anchors), as_json=as_json))
    telling = _Metrics(file=metrics, listen=metrics_listen)
    _Serving(RadiusConfiguration.load(path), resolver, anchors, telling, as_json=as_json).run()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Metrics:
    """Where metrics are told, if anywhere."""

    file: Path | None
    listen: str | None


class _Serving:
    """The service: what is made before the workers are forked, and what each of them does."""

    def __init__(
        self,
        configuration: "RadiusConfiguration",
        resolver: list[str] | None,
        anchors: Path | None,
        metrics: _Metrics,
        *,
        as_json: bool,
    ) -> None:
        from dnsbound.edge.radius_sockets import bind_all
        from dnsbound.edge.radius_workers import RadiusWorkers
        from dnsbound.edge.worker_processes import workers_for

        self._configuration = configuration
        self._resolver = resolver
        self._anchors = anchors
        self._metrics = metrics
        self._as_json = as_json
        self._count = workers_for(configuration.server.workers)
        self._bound = bind_all(configuration, workers=self._count)
        self._shared = RadiusWorkers(self._count, ticket_seconds=configuration.server.ticket_seconds)

    def run(self) -> None:
        """Until a signal."""
        from dnsbound.cli.as_service import log_to_stderr, notify
        from dnsbound.edge.worker import Announcements
        from dnsbound.edge.worker_processes import run_workers

        log_to_stderr()
        announcements = Announcements(ready=self._ready, alive=self._alive, ending=lambda: notify(STOPPING="1"))
        with closing(self._shared):
            run_workers(self._work, count=self._count, announcements=announcements)

    async def _work(self, worker: "Worker") -> None:
        from dnsbound.cli.radius_metrics import radius_metrics
        from dnsbound.edge.radius_server import RadiusServer
        from dnsbound.edge.radius_workers import RadiusWorker

        # The resolver and the metrics have threads and sockets, which belong to the process that serves.
        with ExitStack() as held:
            asked = held.enter_context(opened_resolver(self._resolver, self._anchors))
            part = held.enter_context(RadiusWorker(self._shared, worker.index, asked))
            server = RadiusServer(
                self._configuration,
                part.lookups,
                self._bound[worker.index],
                marked=part.marked,
                route=part.route,
                ticket_keys=self._shared.ticket_keys,
            )
            worker.at_beats(part.leave_totals)
            worker.at_reload(server.reload)
            if worker.index == 0:
                told = radius_metrics(self._shared.snapshots, file=self._metrics.file, listen=self._metrics.listen)
                held.enter_context(told)
            async with server:
                worker.ready()
                await worker.ending.wait()

    def _ready(self) -> None:
        from dnsbound.cli.as_service import notify

        _tell(self._configuration, self._bound[0], as_json=self._as_json)
        notify(READY="1", STATUS=f"{len(self._configuration.networks)} networks, {self._count} workers")

    def _alive(self) -> None:
        from dnsbound.cli.as_service import notify

        notify(WATCHDOG="1")
        self._shared.forget()


def _tell(configuration: "RadiusConfiguration", bound: "Bound", *, as_json: bool) -> None:
    networks = [network.label for network in configuration.networks]
    if as_json:
        emit({**bound.endpoints(), "networks": networks})
        return
    say(f"Admitting to {', '.join(networks)}.")
    for key, addresses in bound.endpoints().items():
        say(f"{key}: {', '.join(addresses)}")
    advise("Each authentication follows as a line of JSON. Ctrl-C ends it.")
