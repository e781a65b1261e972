"""`dnsbound serve radius`: network access for devices known by DNS name, until Ctrl-C or SIGTERM.

SIGHUP reads radius.toml, its secrets, the server's credential and the access list again. Each authentication is a line
of JSON on standard error (logger `dnsbound.radius`), beside the decision of the door (`dnsbound.decisions`).
"""

from pathlib import Path
from typing import Annotated

import typer

from dnsbound.cli.options import AnchorsOption, CheckOption, JsonOption, MetricsFileOption, ResolverOption


def serve_radius(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The configuration, such as radius.toml.")],
    *,
    check: CheckOption = False,
    metrics: MetricsFileOption = None,
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
    if check:
        from dnsbound.cli.finding_output import tell_findings
        from dnsbound.cli.radius_checks import radius_findings

        raise typer.Exit(tell_findings(radius_findings(path, resolver, anchors), as_json=as_json))
    from dnsbound.cli.radius_serving import Around, RadiusServing
    from dnsbound.edge.radius_configuration import RadiusConfiguration

    around = Around(
        resolver=resolver, anchors=anchors, metrics_file=metrics, metrics_listen=metrics_listen, as_json=as_json
    )
    RadiusServing(RadiusConfiguration.load(path), around).run()
