"""`dnsbound serve demo-api`: a small HTTPS API that knows its callers by DNS name, on unmodified uvicorn and Starlette.

It shows what an application has to do: give uvicorn our Context and loop, and ask who the peer is. Not for production:
its own certificate is made anew at each start unless one is given.
"""

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dnsbound.cli.opened import opened_resolver
from dnsbound.cli.options import AnchorsOption, JsonOption, ResolverOption
from dnsbound.cli.output import advise, emit, say
from dnsbound.cli.serving import always, decisions_shown, ended_by_signals, listening, url_of
from dnsbound.errors import Misuse
from dnsbound.times import iso
from dnsbound.tls.clientid import Profile

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse

    from dnsbound.credential.credential import Credential
    from dnsbound.verify.access import AccessSource

_AS_LOCALHOST = frozenset({"127.0.0.1", "0.0.0.0", "::"})  # noqa: S104 (compared with, not bound to)


def demo_api(
    *,
    access: Annotated[
        Path | None, typer.Option("--access", help="Access list (TOML); read again when it changes.", dir_okay=False)
    ] = None,
    allow: Annotated[
        list[str] | None, typer.Option("--allow", help="Instead of a list: a name or pattern; may be repeated.")
    ] = None,
    door: Annotated[str, typer.Option("--door", help="The door's name in the access list.")] = "api",
    credential: Annotated[
        Path | None,
        typer.Option("--credential", help="The server's PEM file.", show_default="made for localhost at each start"),
    ] = None,
    ca_out: Annotated[
        Path | None, typer.Option("--ca-out", help="Write here the CA certificate that a made credential has.")
    ] = None,
    optional: Annotated[bool, typer.Option("--optional", help="Let clients without a claim in, as nobody.")] = False,
    ask_always: Annotated[
        bool, typer.Option("--ask-always", help="With --optional: ask clients too that do not signal, such as curl.")
    ] = False,
    profile: Annotated[
        list[Profile] | None,
        typer.Option(
            "--profile",
            help="Text of dane_clientid that is spoken; may be repeated, best first. cid07 lets TLS 1.2 in.",
            show_default="ca13",
        ),
    ] = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 8443,
    resolver: ResolverOption = None,
    anchors: AnchorsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Serve a small HTTPS API that greets its callers by their verified DNS name, until Ctrl-C."""
    import uvicorn

    from dnsbound.edge.authenticator import Authenticator
    from dnsbound.edge.context import Context

    own = _credential(credential, host, ca_out)
    admitted = _access_list(access, allow, door)
    if door not in admitted.current().doors:
        advise(f"The access list has no door {door!r}: nobody gets in until it has.")
    with (
        decisions_shown(),
        opened_resolver(resolver, anchors) as asked,
        contextlib.closing(listening(host, port)) as listener,
    ):
        authenticator = Authenticator(admitted, asked, door=door)
        context = Context.server(
            own,
            authenticator=authenticator,
            policy="optional" if optional else "required",
            ask="always" if ask_always else None,
            profiles=profile or [Profile.CA13],
        )
        config = uvicorn.Config(
            application(),
            # uvicorn's own words for "take this loop" and "take this ssl context".
            loop="dnsbound:loop_factory",
            ssl_context_factory=always(context),
            log_level="warning",
            access_log=False,
        )
        url = url_of("localhost" if credential is None and host in _AS_LOCALHOST else host, listener)
        server = uvicorn.Server(config)
        with ended_by_signals(server):
            if as_json:
                emit({"url": url, "door": door, "ca": None if ca_out is None else str(ca_out)})
            else:
                say(url)
                advise(f"Door {door!r}; each decision follows as a line of JSON. Ctrl-C ends it.")
            server.run(sockets=[listener])


def application() -> "Starlette":
    """The API: `GET /` says who is calling, and by which evidence."""
    from starlette.applications import Starlette
    from starlette.routing import Route

    return Starlette(routes=[Route("/", _greet)])


async def _greet(_request: "Request") -> "JSONResponse":
    from starlette.responses import JSONResponse

    from dnsbound.edge.current_peer import verified_peer

    peer = verified_peer()
    if peer is None:
        return JSONResponse({"name": None})
    return JSONResponse(
        {
            "name": peer.name.text,
            "name_from": peer.name_source.value,
            "door": peer.door,
            "record": peer.record.to_text(),
            "valid_until": iso(peer.valid_until),
            "grants": dict(peer.grants),
        }
    )


def _access_list(path: Path | None, allow: list[str] | None, door: str) -> "AccessSource":
    from dnsbound.edge.access_file import AccessFile
    from dnsbound.verify.access import AccessList

    if (path is None) == (not allow):
        raise Misuse("say who may come in: either --access FILE or --allow NAME")
    if path is not None:
        return AccessFile(path)
    return AccessList.allowing(door, allow or [])


def _credential(path: Path | None, host: str, ca_out: Path | None) -> "Credential":
    from dnsbound.edge.credential_files import load_credential

    if path is not None:
        if ca_out is not None:
            raise Misuse("--ca-out is for a credential that is made here")
        return load_credential(path)
    from dnsbound.testing.web_authority import WebAuthority

    authority = WebAuthority("dnsbound demo API", now=time.time())
    made = authority.issue(*dict.fromkeys(["localhost", "127.0.0.1", host]))
    if ca_out is not None:
        try:
            ca_out.write_bytes(authority.root_pem)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(ca_out)) from error
    return made
