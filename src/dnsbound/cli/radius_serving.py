"""What `dnsbound serve radius` runs: one RADIUS server in as many worker processes as the configuration says.

All that workers need is imported here, before they are forked: they share its memory, and a worker that is started
later runs the same code as the others. Resolvers, databases and metrics have threads and sockets of their own, which
are opened by whichever worker uses them.
"""

import gc
import logging
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dnsbound.cli.as_service import log_to_stderr, notify
from dnsbound.cli.door_process import open_board, write_decisions
from dnsbound.cli.opened import opened_resolver
from dnsbound.cli.output import advise, emit, say
from dnsbound.cli.radius_metrics import radius_metrics
from dnsbound.edge.decision_log import DecisionLog
from dnsbound.edge.radius_configuration import RadiusConfiguration
from dnsbound.edge.radius_live import LiveAccess
from dnsbound.edge.radius_server import RadiusServer
from dnsbound.edge.radius_sockets import bind_all
from dnsbound.edge.radius_supervision import keeps_account, kept_routing_key, look_after, supervised
from dnsbound.edge.radius_workers import RadiusWorker, RadiusWorkers
from dnsbound.edge.worker import Announcements, Worker
from dnsbound.edge.worker_processes import run_workers, workers_for

_MADE_BETWEEN_COLLECTIONS: Final = 20_000
"""Objects; Python's own 700 are made for every second authentication."""


_log: Final = logging.getLogger("dnsbound.radius")


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What the command line says beside the configuration. resolver, anchors: as their options. metrics_file,
    metrics_listen: where metrics are told, if anywhere."""

    resolver: list[str] | None
    anchors: Path | None
    metrics_file: Path | None
    metrics_listen: str | None
    as_json: bool


class RadiusServing:
    """The service. Misuse, in one line, for an address that cannot be had; AccountingFailed for a database."""

    def __init__(self, configuration: RadiusConfiguration, around: Around) -> None:
        settings = configuration.server
        if settings.decisions is not None:
            DecisionLog(settings.decisions).close()  # what is wrong with it is said before any worker is there
        self._configuration = configuration
        self._around = around
        self._count = workers_for(settings.workers)
        self._bound = bind_all(configuration, workers=self._count)
        self._shared = RadiusWorkers(
            self._count, ticket_seconds=settings.ticket_seconds, routing_key=kept_routing_key(settings)
        )

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT. As `run_workers`."""
        log_to_stderr()
        announcements = Announcements(ready=self._ready, alive=self._alive, ending=self._ending)
        with closing(self._shared):
            run_workers(self._work, count=self._count, announcements=announcements)

    async def _work(self, worker: Worker) -> None:
        around = self._around
        async with AsyncExitStack() as held:
            resolver = held.enter_context(opened_resolver(around.resolver, around.anchors))
            part = held.enter_context(RadiusWorker(self._shared, worker.index, resolver))
            live = await held.enter_async_context(
                supervised(self._configuration, worker=worker.index, workers=self._count, marked=part.marked)
            )
            server = self._server(worker, part, live)
            worker.at_beats(lambda: part.leave_totals(live))
            worker.at_reload(server.reload)
            if worker.index == 0:
                metrics = radius_metrics(self._shared.snapshots, file=around.metrics_file, listen=around.metrics_listen)
                held.enter_context(metrics)
            await held.enter_async_context(server)
            write_decisions(held, self._configuration.server.decisions)
            networks = server.networks
            open_board(held, "radius", authenticators=lambda: [network.authenticator for network in networks])
            await look_after(live, server, ask_back=part.ask_back(server.ask_back))
            _collect_seldom()
            worker.ready()
            await worker.ending.wait()

    def _server(self, worker: Worker, part: RadiusWorker, live: LiveAccess) -> RadiusServer:
        return RadiusServer(
            self._configuration,
            part.lookups,
            self._bound[worker.index],
            marked=part.marked,
            route=part.route,
            supervision=live,
            recorder=live if keeps_account(self._configuration.server) else None,
            ticket_keys=self._shared.ticket_keys,
        )

    # --- what others hear

    def _ready(self) -> None:
        self._tell()
        notify(READY="1", STATUS=f"{len(self._configuration.networks)} networks, {self._count} workers")

    def _alive(self) -> None:
        notify(WATCHDOG="1")
        self._shared.forget()

    def _ending(self) -> None:
        notify(STOPPING="1")
        _log.info("ending, because it was asked to")

    def _tell(self) -> None:
        networks = [network.label for network in self._configuration.networks]
        endpoints = self._bound[0].endpoints()
        if self._around.as_json:
            emit({**endpoints, "networks": networks})
            return
        say(f"Admitting to {', '.join(networks)}.")
        for key, addresses in endpoints.items():
            say(f"{key}: {', '.join(addresses)}")
        advise("Each authentication follows as a line of JSON. Ctrl-C ends it.")


def _collect_seldom() -> None:
    """What is there when a worker begins to serve stays there, and what a request makes is gone by itself when it is
    over: to look for garbage among it all the time finds none."""
    gc.freeze()
    gc.set_threshold(_MADE_BETWEEN_COLLECTIONS)
