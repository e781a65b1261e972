"""`dnsbound ssh`: keys of accounts and hosts as OpenSSH asks for them, and what it needs beside them.

What the verify service answers to sshd and ssh (`dnsbound.edge.authz_ssh`) is answered here by it, or without it by
the same code, which is slow: each question starts a Python and asks the DNS with nothing at hand.
"""

from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from dnsbound.cli import ssh_agent, ssh_certificate, ssh_check
from dnsbound.cli.exit_codes import ExitCode
from dnsbound.cli.opened import opened_resolver
from dnsbound.cli.options import AnchorsOption, JsonOption, ResolverOption, TimeoutOption, TtlOption, example
from dnsbound.cli.output import emit, say
from dnsbound.cli.ssh_files import read_ssh_key
from dnsbound.errors import Misuse, Reason, Undecided

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dnsbound.edge.authenticator import Authenticator
    from dnsbound.edge.authz_routes import HttpResponse, HttpRoute
    from dnsbound.verify.access import AccessSource

app = typer.Typer(help="OpenSSH: keys of accounts and hosts by the DNS, certificates, an agent.", no_args_is_help=True)

_HOSTNAME: Final = "HOSTNAME"
"""ssh_config(5), token %I."""
TypeOption = Annotated[str, typer.Option("--type", help="Kind of the key: %t.")]
KeyOption = Annotated[str, typer.Option("--key", help="The key in base64: %k of sshd, %K of ssh.")]
SocketOption = Annotated[
    Path | None,
    typer.Option("--socket", help="The verify service's socket.", show_default="none: look up here"),
]
AccessOption = Annotated[
    Path | None, typer.Option("--access", help="The access list, where no service is asked.", dir_okay=False)
]
DoorOption = Annotated[str, typer.Option("--door", help="The door of the access list.")]


@app.command(
    "authorized-keys",
    epilog=example("dnsbound ssh authorized-keys --user deploy --type %t --key %k --socket /run/dnsbound/ssh.sock"),
)
def authorized_keys(
    *,
    user: Annotated[str, typer.Option("--user", help="The account: %u.")],
    kind: TypeOption,
    key: KeyOption,
    socket: SocketOption = None,
    access: AccessOption = None,
    door: DoorOption = "ssh",
    resolver: ResolverOption = None,
    anchors: AnchorsOption = None,
    timeout: TimeoutOption = 5.0,
) -> None:
    """Print the line that lets a key in to an account, for sshd's AuthorizedKeysCommand; nothing where it is none's.

    Slow: sshd asks twice for each login, and each time a Python starts. curl asks the service in milliseconds.
    """
    from dnsbound.edge.authenticator import Authenticator
    from dnsbound.edge.authz_ssh import AuthorizedKeysRoute

    fields = {"account": user, "type": kind, "key": key}
    if socket is not None:
        _tell(*_asked(socket, AuthorizedKeysRoute.path, fields, timeout))
    elif access is None:
        raise Misuse("--socket asks a verify service; without one, --access says who may come in")
    else:
        listed = _access_file(access, door)
        with opened_resolver(resolver, anchors) as asked:
            here = Authenticator(listed, asked, door=door, deadline=timeout)
            _tell(*_answered(AuthorizedKeysRoute(), fields, here))


@app.command(
    "known-hosts",
    epilog=example("dnsbound ssh known-hosts --host %H --type %t --key %K --why %I"),
)
def known_hosts(
    *,
    host: Annotated[str, typer.Option("--host", help="The host as ssh calls it: %H.")],
    kind: TypeOption,
    key: KeyOption,
    why: Annotated[str, typer.Option("--why", help="What ssh wants to know: %I.")] = _HOSTNAME,
    socket: SocketOption = None,
    access: AccessOption = None,
    door: DoorOption = "ssh",
    resolver: ResolverOption = None,
    anchors: AnchorsOption = None,
    timeout: TimeoutOption = 5.0,
) -> None:
    """Print a host's key where its TLSA or SSHFP record is that key's, for ssh's KnownHostsCommand.

    Without --socket and --access the host that was asked for is looked up, and no other. A key that is not the host's
    ends ssh, whatever StrictHostKeyChecking says.
    """
    from dnsbound.edge.authenticator import Authenticator
    from dnsbound.edge.ssh_hosts import KnownHostsRoute

    if why != _HOSTNAME:
        return  # ssh wants to know kinds of keys, or keys of addresses: there are none, and an error would end it.
    fields = {"host": host, "type": kind, "key": key, "why": why}
    if socket is not None:
        _tell(*_asked(socket, KnownHostsRoute.path, fields, timeout))
        return
    listed = _this_host_alone(host, door) if access is None else _access_file(access, door)
    with opened_resolver(resolver, anchors) as asked:
        here = Authenticator(listed, asked, door=door, deadline=timeout)
        _tell(*_answered(KnownHostsRoute(), fields, here))


@app.command("sshfp", epilog=example("dnsbound ssh sshfp host.cars.example /etc/ssh/ssh_host_ed25519_key.pub"))
def sshfp(
    host: Annotated[str, typer.Argument(metavar="HOST", help="The host's name.")],
    keys: Annotated[list[str], typer.Argument(metavar="FILE...", help="Its public keys; - for standard input.")],
    *,
    port: Annotated[int, typer.Option("--port", min=1, max=65_535, help="Of the host's sshd.")] = 22,
    ttl: TtlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print a host's SSHFP records, by SHA-256 alone, and the TLSA records of its port, as lines of a zone file."""
    from dnsbound.credential.association import tlsa_for_spki
    from dnsbound.iana import MatchingType, Usage
    from dnsbound.limits import RECORD_TTL
    from dnsbound.protocols.ssh_keys import SshHost
    from dnsbound.records.sshfp import SSHFP

    place = SshHost.from_text(f"[{host.removesuffix('.')}]:{port}")
    seconds = RECORD_TTL.checked(ttl)
    read = [read_ssh_key(source) for source in keys]
    rows = [(place.name, "SSHFP", SSHFP.of(key.kind, key.blob).to_text()) for key in read]
    rows += [
        (place.owner, "TLSA", tlsa_for_spki(key.spki, Usage.DANE_EE, MatchingType.SHA2_256).to_text()) for key in read
    ]
    if as_json:
        emit(
            {"records": [{"name": str(name), "ttl": seconds, "type": kind, "data": data} for name, kind, data in rows]}
        )
        return
    for name, kind, data in rows:
        say(f"{name}. {seconds} IN {kind} {data}")


def _this_host_alone(host: str, door: str) -> "AccessSource":
    from dnsbound.protocols.ssh_keys import SshHost
    from dnsbound.verify.access import AccessList

    asked = SshHost.from_text(host)
    return AccessList.allowing(door, (asked.owner.canonical, asked.name.canonical))


def _access_file(path: Path, door: str) -> "AccessSource":
    from dnsbound.cli.expected_signer import with_door
    from dnsbound.edge.access_file import AccessFile

    return with_door(AccessFile(path), door)


def _asked(socket: Path, target: str, fields: "Mapping[str, str]", seconds: float) -> tuple[HTTPStatus, bytes]:
    from dnsbound.edge.authz_client import ask

    # The service waits for the DNS as long as it was told to; this waits for the service.
    reply = ask(socket, target, fields, seconds=seconds + 1)
    return reply.status, reply.body


def _answered(route: "HttpRoute", fields: "Mapping[str, str]", here: "Authenticator") -> tuple[HTTPStatus, bytes]:
    """What the verify service would answer."""
    import asyncio
    from urllib.parse import quote, urlencode

    from dnsbound.edge.authz_routes import HttpRequest
    from dnsbound.edge.front import Front, FrontDoor
    from dnsbound.verify.claim import NameSource

    front = Front(label="sshd", door=here.door, protocol="ssh", claim_from=(NameSource.STATED,))
    asked = FrontDoor(front, here)
    request = HttpRequest(method="GET", path=route.path, query=urlencode(fields, quote_via=quote, safe=""))

    async def answered() -> "HttpResponse":
        from dnsbound.edge.authz_routes import HttpResponse

        answer = route.answer(request, asked)
        return answer if isinstance(answer, HttpResponse) else await answer

    response = asyncio.run(answered())
    return HTTPStatus(response.status), response.body


def _tell(status: HTTPStatus, body: bytes) -> None:
    if status is not HTTPStatus.OK:
        raise Undecided(Reason.DNS_FAILED, "the records could not be looked up")
    if not body:
        raise typer.Exit(ExitCode.NO)
    say(body.decode("ascii").removesuffix("\n"))


app.command("key", epilog=example("dnsbound ssh key --credential car54.pem --out ~/.ssh/car54"))(ssh_agent.write_key)
app.command("agent", epilog=ssh_agent.EPILOG)(ssh_agent.agent)
app.command("check", epilog=ssh_check.EPILOG)(ssh_check.check)
app.add_typer(ssh_certificate.app, name="certificate")
