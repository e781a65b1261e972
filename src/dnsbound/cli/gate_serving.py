"""What `dnsbound gate` runs: the gates of one configuration, in as many worker processes as it says.

All that workers need is imported here, before they are forked. Limits of connections and rates are each worker's own.
Each runs on uvloop where that is installed, which takes less of the processor for a connection.
"""

import logging
from collections.abc import Callable
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dnsbound.cli.as_service import log_to_stderr, notify
from dnsbound.cli.door_process import open_board, write_decisions
from dnsbound.cli.gate_status import GateStatus, served_status
from dnsbound.cli.opened import opened_resolver, trust_anchors
from dnsbound.cli.output import advise, emit, say
from dnsbound.edge.counted_lookups import CountedLookups
from dnsbound.edge.decision_log import DecisionLog
from dnsbound.edge.gate_configuration import GateConfiguration
from dnsbound.edge.gate_server import GateServer
from dnsbound.edge.gate_sockets import bind_clients, bind_gates, place_bound
from dnsbound.edge.gate_totals import GateTotals
from dnsbound.edge.loop import loop_factory
from dnsbound.edge.outward_configuration import OutwardRule
from dnsbound.edge.shared_snapshots import SharedSnapshots
from dnsbound.edge.ticket_keys import SharedTicketKeys, TicketSecrets
from dnsbound.edge.worker import Announcements, Worker
from dnsbound.edge.worker_ports import endpoint_of
from dnsbound.edge.worker_processes import Patience, run_workers, workers_for
from dnsbound.edge.worker_totals import WorkerTotals
from dnsbound.limits import WORKER_DRAIN_SECONDS
from dnsbound.verify.access import AccessList

_log: Final = logging.getLogger("dnsbound.gate")

_DRAIN_SLACK: Final = 10
"""Seconds that a worker may take after its time to drain before it is killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What the command line says beside the configuration. access: in place of its file. reread: reads it again."""

    resolver: list[str] | None
    anchors: Path | None
    as_json: bool
    access: AccessList | None
    reread: Callable[[], GateConfiguration]


class GateServing:
    """The service. Misuse, in one line, for an address that cannot be had."""

    def __init__(self, configuration: GateConfiguration, around: Around) -> None:
        self._configuration = configuration
        self._around = around
        self._count = workers_for(configuration.server.workers)
        if configuration.server.decisions is not None:
            DecisionLog(configuration.server.decisions).close()  # what is wrong is said before any worker is there
        gates = bind_gates(configuration.gates, workers=self._count)
        clients = bind_clients(configuration.clients, workers=self._count)
        self._bound = [{**one, **other} for one, other in zip(gates, clients, strict=True)]
        self._snapshots = SharedSnapshots(self._count)
        self._secrets = TicketSecrets(max((rule.tls.ticket_seconds for rule in configuration.gates), default=0))

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT. As `run_workers`."""
        log_to_stderr()
        announcements = Announcements(ready=self._ready, alive=self._alive, ending=lambda: notify(STOPPING="1"))
        drain = self._configuration.server.shutdown_seconds + _DRAIN_SLACK
        patience = Patience(drain=min(max(drain, WORKER_DRAIN_SECONDS.minimum), WORKER_DRAIN_SECONDS.maximum))
        with closing(self._snapshots):
            run_workers(
                self._work, count=self._count, announcements=announcements, patience=patience, loop_factory=loop_factory
            )

    async def _work(self, worker: Worker) -> None:
        around = self._around
        async with AsyncExitStack() as held:
            resolver = held.enter_context(opened_resolver(around.resolver, around.anchors))
            write_decisions(held, self._configuration.server.decisions)
            lookups = CountedLookups(resolver)
            server = GateServer(
                self._configuration,
                lookups,
                self._bound[worker.index],
                access=around.access,
                reread=around.reread,
                ticket_keys=lambda door: SharedTicketKeys(self._secrets, door=door),
                anchors=trust_anchors(around.anchors),
            )
            open_board(held, "gate", authenticators=lambda: server.authenticators)
            totals = WorkerTotals(GateTotals, self._snapshots, worker.index)

            def leave() -> None:
                totals.leave(GateTotals(gates=server.counted(), lookups=lookups.counts))

            worker.at_beats(leave)
            worker.at_reload(server.reload)
            if worker.index == 0:
                status = GateStatus(lambda: server.configuration, self._snapshots)
                where = held.enter_context(served_status(self._configuration.server.status, status))
                if where is not None:
                    advise(f"Status at {where}")
            await held.enter_async_context(server)
            worker.ready()
            await worker.ending.wait()
            await server.drain()

    # --- what others hear

    def _ready(self) -> None:
        self._tell()
        ways = len(self._configuration.gates) + len(self._configuration.clients)
        notify(READY="1", STATUS=f"{ways} gates, {self._count} workers")

    def _alive(self) -> None:
        notify(WATCHDOG="1")
        self._secrets.at(self._secrets.monotonic())

    def _tell(self) -> None:
        gates = {
            rule.label: {
                "listen": [str(endpoint_of(each)) for each in self._bound[0][rule.label]],
                "target": str(rule.target),
                "protocol": rule.protocol,
                "door": rule.door,
            }
            for rule in self._configuration.gates
        }
        clients = {
            rule.label: {
                "listen": [place_bound(each) for each in self._bound[0][rule.label]],
                "target": str(rule.server),
                "protocol": rule.protocol,
            }
            for rule in self._configuration.clients
        }
        for rule in self._configuration.clients:
            self._warn_of_open(rule)
        if self._around.as_json:
            emit({"gates": gates, "clients": clients})
            return
        for label, out in clients.items():
            say(f"{label}: {', '.join(out['listen'])} to {out['target']} ({out['protocol']}), as its credential's name")
        for label, told in gates.items():
            listen = ", ".join(told["listen"])
            say(f"{label}: {listen} to {told['target']} ({told['protocol']}), door {told['door']}")
        advise("Each decision follows as a line of JSON. Ctrl-C ends it.")

    @staticmethod
    def _warn_of_open(rule: OutwardRule) -> None:
        for place in rule.open_places:
            who = "every user of this machine" if place.is_loopback else "every machine that reaches it"
            _log.warning(
                "client %s: at %s %s may speak as its name: say users, or listen on a Unix socket",
                rule.label,
                place,
                who,
            )
