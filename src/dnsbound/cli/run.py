"""`dnsbound run`: everything that time or other servers move on, as a service or from cron.

One line for each part in which something happened. SIGTERM and Ctrl-C end it between two parts; what was not done yet
is in the inventory, for the next runner.
"""

import contextlib
import os
import secrets
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer

from dnsbound.cli.configuration import actor
from dnsbound.cli.exit_codes import ExitCode, printable
from dnsbound.cli.opened import opened_inventory, opened_resolver, publish_targets
from dnsbound.cli.options import AnchorsOption, InventoryOption, JsonOption, ResolverOption, TargetsOption
from dnsbound.cli.output import advise, emit
from dnsbound.times import iso

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dnsbound.edge.resolver import Resolver
    from dnsbound.provision.inventory import Inventory
    from dnsbound.provision.publish.targets import Targets
    from dnsbound.provision.runner.mover import Mover
    from dnsbound.provision.runner.runner import Part

_ENDING: Final = (signal.SIGTERM, signal.SIGINT)


def run(
    *,
    once: Annotated[
        bool,
        typer.Option("--once", help="Do what is due, then end, as cron wants it."),
    ] = False,
    interval: Annotated[
        int | None, typer.Option("--interval", help="Seconds between looks at what others added.", show_default="15")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", help="Rows of one kind of work before the next has its turn.")
    ] = None,
    metrics_listen: Annotated[
        str | None,
        typer.Option("--metrics-listen", metavar="ADDRESS", help="Serve Prometheus metrics there, port 9753 if none."),
    ] = None,
    targets: TargetsOption = None,
    resolver: ResolverOption = None,
    anchors: AnchorsOption = None,
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Move on what waits for time or for servers: rolls of keys, leases, transfers, names to publish.

    Any number of runners may work on one inventory.
    """
    from dnsbound.cli.as_service import log_to_stderr, notify
    from dnsbound.provision.runner.runner import Runner

    log_to_stderr()
    with ExitStack() as held:
        store = held.enter_context(opened_inventory(inventory))
        asked = held.enter_context(opened_resolver(resolver, anchors))
        movers = _movers(store, asked, publish_targets(targets))
        stop = held.enter_context(_stopped_by_signals())
        runner = Runner(movers, interval=interval, limit=limit, tell=lambda part: _tell(part, as_json=as_json))
        if metrics_listen is not None:
            from dnsbound.cli.metrics import RunnerCollector, served_metrics

            collector = RunnerCollector(runner.counters, store)
            advise(f"Metrics at {held.enter_context(served_metrics(metrics_listen, collector))}")
        notify(READY="1", STATUS=f"moving {', '.join(mover.name for mover in movers)}")
        if once:
            raise typer.Exit(_exit_code(runner.until_nothing_moves(stop)))
        runner.run(stop)
        notify(STOPPING="1")


def _movers(store: "Inventory", resolver: "Resolver", targets: "Targets") -> "list[Mover]":
    from dnsbound.edge.lease_targets import LeaseTargets
    from dnsbound.edge.publishers import open_publisher
    from dnsbound.edge.roll_observer import RollObserver
    from dnsbound.provision.ownership.movers import LeaseMover, TransferMover
    from dnsbound.provision.publish.mover import OutboxMover
    from dnsbound.provision.publish.reconcile import Publishing

    # Names this runner among others at the same inventory, of this machine and of others.
    by = f"{socket.gethostname()} {os.getpid()} {secrets.token_hex(4)}"
    who = actor()
    observe = RollObserver(resolver, targets=targets, zones=lambda: (zone.name for zone in store.zones.all()))
    outbox = OutboxMover(lambda: Publishing(store, targets, open_publisher))
    return [
        # What ends a lease or a transfer comes before what publishes it.
        LeaseMover(store.leases, LeaseTargets(resolver), actor=who),
        TransferMover(store.transfers, actor=who),
        outbox,
        store.roll_mover(observe, by=by, actor=who),
    ]


@contextmanager
def _stopped_by_signals() -> Iterator[threading.Event]:
    """An event that SIGTERM and Ctrl-C set. The second signal of a kind does what it always does."""
    stop = threading.Event()

    def end(number: int, _frame: object) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.signal(number, end) for number in _ENDING}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            with contextlib.suppress(ValueError):
                signal.signal(number, handler)


def _tell(part: "Part", *, as_json: bool) -> None:
    from dnsbound.cli.as_service import notify
    from dnsbound.provision.runner.runner import logger

    notify(WATCHDOG="1")
    if part.is_quiet:
        return
    report = part.report
    counts = {
        "moved": report.moved,
        "waiting": report.waiting,
        "refused": report.refused,
        "undecided": report.undecided,
    }
    lines = [printable(line) for line in (*report.lines, *([part.failure] if part.failure else []))]
    if as_json:
        emit({"at": iso(part.at), "mover": part.mover, **counts, "failed": bool(part.failure), "lines": lines})
        return
    told = ", ".join(f"{number} {word}" for word, number in counts.items() if number) or "nothing done"
    level = logger.warning if part.failure or report.refused or report.undecided else logger.info
    level("%s: %s%s", part.mover, told, f" ({'; '.join(lines)})" if lines else "")


def _exit_code(parts: "Sequence[Part]") -> ExitCode:
    if any(part.failure or part.report.undecided for part in parts):
        return ExitCode.UNDECIDED
    return ExitCode.NO if any(part.report.refused for part in parts) else ExitCode.YES
