"""`dnsbound serve radius`: network access for devices known by DNS name, until Ctrl-C or SIGTERM.

SIGHUP reads radius.toml, its secrets, the server's credential and the access list again. Each authentication is a line
of JSON on standard error (logger `dnsbound.radius`), beside the decision of the door (`dnsbound.decisions`).
"""

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
    _serve(RadiusConfiguration.load(path), resolver, anchors, as_json=as_json)


def _serve(
    configuration: "RadiusConfiguration", resolver: list[str] | None, anchors: Path | None, *, as_json: bool
) -> None:
    from dnsbound.cli.as_service import log_to_stderr, notify
    from dnsbound.edge.radius_server import RadiusServer
    from dnsbound.edge.radius_sockets import bind_all
    from dnsbound.edge.worker import Announcements
    from dnsbound.edge.worker_processes import run_workers

    log_to_stderr()
    (bound,) = bind_all(configuration)

    async def body(worker: "Worker") -> None:
        # The resolver has threads and sockets, which belong to the process that serves.
        with opened_resolver(resolver, anchors) as asked:
            async with RadiusServer(configuration, asked, bound) as server:
                worker.at_reload(server.reload)
                worker.ready()
                await worker.ending.wait()

    def ready() -> None:
        _tell(configuration, bound, as_json=as_json)
        notify(READY="1", STATUS=f"{len(configuration.networks)} networks")

    announcements = Announcements(ready=ready, alive=lambda: notify(WATCHDOG="1"), ending=lambda: notify(STOPPING="1"))
    run_workers(body, count=1, announcements=announcements)


def _tell(configuration: "RadiusConfiguration", bound: "Bound", *, as_json: bool) -> None:
    networks = [network.label for network in configuration.networks]
    if as_json:
        emit({**bound.endpoints(), "networks": networks})
        return
    say(f"Admitting to {', '.join(networks)}.")
    for key, addresses in bound.endpoints().items():
        say(f"{key}: {', '.join(addresses)}")
    advise("Each authentication follows as a line of JSON. Ctrl-C ends it.")
