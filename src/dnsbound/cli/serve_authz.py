"""`dnsbound serve authz`: the verify service that other servers ask, until Ctrl-C or SIGTERM.

SIGHUP reads authz.toml, its secrets and the access list again. Each verdict is a line of JSON on standard error (logger
`dnsbound.decisions`), and in the decision log where one is configured.
"""

from pathlib import Path
from typing import Annotated, Final

import typer

from dnsbound.cli.options import AnchorsOption, CheckOption, JsonOption, MetricsFileOption, ResolverOption

DEFAULT_CONFIGURATION: Final = Path("/etc/dnsbound/authz.toml")


def serve_authz(
    *,
    config: Annotated[
        Path, typer.Option("--config", metavar="FILE", help="The configuration.", dir_okay=False)
    ] = DEFAULT_CONFIGURATION,
    check: CheckOption = False,
    materialise: Annotated[
        bool, typer.Option("--materialise-once", help="Write the files of \\[materialise] once, and end.")
    ] = False,
    metrics: MetricsFileOption = None,
    metrics_listen: Annotated[
        str | None,
        typer.Option("--metrics-listen", metavar="ADDRESS", help="Serve Prometheus metrics there, port 9755 if none."),
    ] = None,
    resolver: ResolverOption = None,
    anchors: AnchorsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell nginx, HAProxy, Envoy, Postfix and others whether a client may come in: by its DNS name and TLSA record.

    SIGHUP reads the files again; with an error in one of them, all stays as it was.
    """
    if check:
        from dnsbound.cli.authz_checks import authz_findings
        from dnsbound.cli.finding_output import tell_findings

        raise typer.Exit(tell_findings(authz_findings(config, resolver, anchors), as_json=as_json))
    from dnsbound.edge.authz_configuration import AuthzConfiguration

    configuration = AuthzConfiguration.load(config)
    if materialise:
        from dnsbound.cli.materialising import materialise_once

        materialise_once(configuration, resolver=resolver, anchors=anchors, as_json=as_json)
        return
    from dnsbound.cli.authz_serving import AuthzAround, AuthzServing

    around = AuthzAround(
        resolver=resolver, anchors=anchors, metrics_file=metrics, metrics_listen=metrics_listen, as_json=as_json
    )
    AuthzServing(configuration, around).run()
