"""`dnsbound serve est`: the enrolment server, on unmodified uvicorn behind our Context, until Ctrl-C or SIGTERM."""

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dnsbound.cli.configuration import actor
from dnsbound.cli.opened import opened_inventory, opened_resolver, publish_targets
from dnsbound.cli.options import AnchorsOption, InventoryOption, JsonOption, ResolverOption, TargetsOption, TtlOption
from dnsbound.cli.output import advise, emit, say
from dnsbound.cli.serving import always, decisions_shown, ended_by_signals, listening, url_of
from dnsbound.errors import Malformed, Misuse
from dnsbound.tls.clientid import Profile

if TYPE_CHECKING:
    import uvicorn

    from dnsbound.adapters.est import EnrolmentApplication
    from dnsbound.adapters.est_service import EnrolmentService
    from dnsbound.credential.issuer import CertificateAuthority
    from dnsbound.edge.context import Context
    from dnsbound.provision.inventory import Inventory
    from dnsbound.provision.owner import OwnerName
    from dnsbound.provision.publish.targets import Targets

_ISSUER_NAME = "dnsbound enrolment"
_HEADER_OCTETS = 16_384
_CONNECTIONS = 1024


def serve_est(
    *,
    credential: Annotated[
        Path, typer.Option("--credential", help="PEM file with the server's own key and certificates.", dir_okay=False)
    ],
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 8085,
    issuer: Annotated[
        Path | None,
        typer.Option(
            "--issuer",
            help="PEM file with key and certificate that sign what devices get; made there when there is none.",
            dir_okay=False,
            show_default="made anew at each start",
        ),
    ] = None,
    targets: TargetsOption = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label",
            metavar="LABEL=NAME",
            help="Path label whose users may ask for names below NAME; may be repeated.",
        ),
    ] = None,
    ttl: TtlOption = None,
    require_linking: Annotated[
        bool,
        typer.Option(
            "--require-linking", help="Refuse requests that are not linked to their connection (RFC 7030 3.5)."
        ),
    ] = False,
    requests: Annotated[
        int | None,
        typer.Option("--requests", help="Requests that one address may make in a minute.", show_default="600"),
    ] = None,
    guesses: Annotated[
        int | None,
        typer.Option(
            "--guesses",
            help="Tokens and keys nobody expects that one address may try in a minute before all of its are put off.",
            show_default="10",
        ),
    ] = None,
    profile: Annotated[
        list[Profile] | None,
        typer.Option(
            "--profile",
            help="Text of dane_clientid that is spoken; may be repeated, best first. cid07 lets TLS 1.2 in.",
            show_default="ca13",
        ),
    ] = None,
    inventory: InventoryOption = None,
    resolver: ResolverOption = None,
    anchors: AnchorsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let devices enrol by EST (RFC 7030): a token or a known key, a request, and the record is published."""
    from dnsbound.adapters.est import EnrolmentApplication
    from dnsbound.adapters.est_door import EnrolmentAuthenticator
    from dnsbound.adapters.est_limits import EnrolmentLimits
    from dnsbound.adapters.est_publication import ServersOfZones
    from dnsbound.edge.context import Context
    from dnsbound.edge.credential_files import load_credential

    own = load_credential(credential)
    labels, limits = _labels(label or []), EnrolmentLimits(requests=requests, failures=guesses)
    published = publish_targets(targets)
    with (
        decisions_shown(),
        opened_inventory(inventory) as store,
        opened_resolver(resolver, anchors) as asked,
        contextlib.closing(listening(host, port)) as listener,
    ):
        door = EnrolmentAuthenticator(store, asked)
        service = _service(store, published, issuer, ttl=ttl, require_linking=require_linking)
        servers = ServersOfZones(store, published, asked)
        application = EnrolmentApplication(
            service, authenticator=door, publication=servers, labels=labels, limits=limits
        )
        context = Context.server(
            own, authenticator=door, policy="optional", ask="always", claim_from=("extension",), profiles=profile
        )
        server = _server(application, context)
        url = url_of(host, listener)
        with ended_by_signals(server):
            if as_json:
                emit({"url": url, "zones": [zone.name.text for zone in store.zones.all()] + list(published)})
            else:
                say(url)
                advise("Each decision follows as a line of JSON. Ctrl-C ends it.")
            server.run(sockets=[listener])


def _server(application: "EnrolmentApplication", context: "Context") -> "uvicorn.Server":
    import uvicorn

    config = uvicorn.Config(
        application.asgi(),
        # uvicorn's own words for "take this loop" and "take this ssl context".
        loop="dnsbound:loop_factory",
        ssl_context_factory=always(context),
        log_level="warning",
        access_log=False,
        lifespan="off",
        limit_concurrency=_CONNECTIONS,
        h11_max_incomplete_event_size=_HEADER_OCTETS,
        server_header=False,
    )
    return uvicorn.Server(config)


def _service(
    store: "Inventory",
    targets: "Targets",
    issuer: Path | None,
    *,
    ttl: int | None,
    require_linking: bool,
) -> "EnrolmentService":
    from dnsbound.adapters.est_door import DOOR
    from dnsbound.adapters.est_renewals import RollRenewals
    from dnsbound.adapters.est_service import EnrolmentService

    return EnrolmentService(
        store,
        issuer=_issuer(issuer),
        renewals=RollRenewals(store, door=DOOR),
        elsewhere=[target.zone for target in targets.values()],
        ttl=ttl,
        actor=f"enrolment by {actor()}",
        require_linking=require_linking,
        clock=time.time,
    )


def _issuer(path: Path | None) -> "CertificateAuthority":
    from dnsbound.credential.issuer import CertificateAuthority
    from dnsbound.edge.secret_files import read_secret_file, write_secret_file

    if path is None:
        return CertificateAuthority.create(_ISSUER_NAME, now=time.time(), path_length=0)
    if not path.exists():
        made = CertificateAuthority.create(_ISSUER_NAME, now=time.time(), path_length=0)
        with contextlib.suppress(Misuse):
            write_secret_file(path, made.to_pem())
            return made
        # Another server made it meanwhile, or it cannot be written; reading tells which.
    try:
        return CertificateAuthority.from_pem(read_secret_file(path))
    except (Malformed, Misuse) as error:
        raise type(error)(f"{path}: {error}") from error


def _labels(given: list[str]) -> "dict[str, OwnerName]":
    from dnsbound.provision.owner import OwnerName

    labels: dict[str, OwnerName] = {}
    for text in given:
        label, equals, name = text.partition("=")
        if not equals or not label or not label.replace("-", "").isalnum() or label in labels:
            raise Misuse(f"--label {text!r} is not LABEL=NAME, with a label of letters, digits and hyphens, once each")
        labels[label] = OwnerName.parse(name)
    return labels
