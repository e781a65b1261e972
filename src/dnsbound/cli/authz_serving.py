"""What `dnsbound serve authz` runs: one verify service in as many worker processes as the configuration says.

The sockets are bound before the workers are forked, which share them: whichever is free takes the next connection. Each
has a resolver, and so a cache of evidence, of its own.
"""

import logging
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dnsbound.cli.as_service import log_to_stderr, notify
from dnsbound.cli.authz_metrics import authz_metrics
from dnsbound.cli.door_process import open_board, write_decisions
from dnsbound.cli.opened import opened_resolver
from dnsbound.cli.output import advise, emit, say
from dnsbound.edge.access_file import AccessFile
from dnsbound.edge.authz_configuration import AuthzConfiguration
from dnsbound.edge.authz_server import AuthzServer, bind_fronts
from dnsbound.edge.authz_totals import AuthzTotals
from dnsbound.edge.counted_lookups import CountedLookups
from dnsbound.edge.decision_log import DecisionLog
from dnsbound.edge.shared_snapshots import SharedSnapshots
from dnsbound.edge.worker import Announcements, Worker
from dnsbound.edge.worker_processes import run_workers, workers_for
from dnsbound.edge.worker_totals import WorkerTotals

_log: Final = logging.getLogger("dnsbound.authz")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthzAround:
    """What the command line says beside the configuration. resolver, anchors: as their options. metrics_file,
    metrics_listen: where metrics are told, if anywhere; the latter before what the configuration says."""

    resolver: list[str] | None
    anchors: Path | None
    metrics_file: Path | None
    metrics_listen: str | None
    as_json: bool


class AuthzServing:
    """The service. Misuse or Malformed, in one line, for what it cannot begin with."""

    def __init__(self, configuration: AuthzConfiguration, around: AuthzAround) -> None:
        settings = configuration.server
        # What is wrong with them is said before any socket, or any worker, is there.
        configuration.check_doors(AccessFile(settings.access).current().doors)
        if settings.decisions is not None:
            DecisionLog(settings.decisions).close()
        self._configuration = configuration
        self._around = around
        self._count = workers_for(settings.workers)
        self._snapshots = SharedSnapshots(self._count)
        self._bound = bind_fronts(configuration)

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT. As `run_workers`."""
        log_to_stderr()
        announcements = Announcements(ready=self._ready, alive=lambda: notify(WATCHDOG="1"), ending=self._ending)
        with closing(self._snapshots), closing(self._bound):
            run_workers(self._work, count=self._count, announcements=announcements)

    async def _work(self, worker: Worker) -> None:
        around, settings = self._around, self._configuration.server
        async with AsyncExitStack() as held:
            lookups = CountedLookups(held.enter_context(opened_resolver(around.resolver, around.anchors)))
            totals = WorkerTotals(AuthzTotals, self._snapshots, worker.index)
            write_decisions(held, settings.decisions)
            server = AuthzServer(self._configuration, lookups, self._bound)
            worker.at_beats(lambda: totals.leave(_totals(server, lookups)))
            worker.at_reload(server.reload)
            if worker.index == 0:
                listen = around.metrics_listen or settings.metrics
                held.enter_context(authz_metrics(self._snapshots, file=around.metrics_file, listen=listen))
            server.board = open_board(held, "authz", authenticators=server.authenticators)
            await held.enter_async_context(server)
            for materialiser in server.materialisers() if worker.index == 0 else ():
                await held.enter_async_context(materialiser)
            worker.ready()
            await worker.ending.wait()

    def _ready(self) -> None:
        self._tell()
        notify(READY="1", STATUS=f"{len(self._configuration.fronts)} fronts, {self._count} workers")

    def _ending(self) -> None:
        notify(STOPPING="1")
        _log.info("ends: what was asked is answered, and nothing more is asked")

    def _tell(self) -> None:
        places = self._bound.places()
        if self._around.as_json:
            emit({"fronts": places})
            return
        for label, place in places.items():
            door = next(settings.front.door for settings in self._configuration.fronts if settings.front.label == label)
            say(f"{label} asks at {place} about door {door}.")
        advise("Each verdict follows as a line of JSON. Ctrl-C ends it.")


def _totals(server: AuthzServer, lookups: CountedLookups) -> AuthzTotals:
    fronts = {label: served.door.counters for label, served in server.fronts.items()}
    return AuthzTotals(fronts=fronts, lookups=lookups.counts)
