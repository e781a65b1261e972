"""`dnsbound enrol request` and `renew`: a device makes its own key, asks for its name, and looks for it in the DNS.

What is begun is on disk before the server hears of it, and a command that was cut short goes on where it was.
"""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from dnsbound.cli.exit_codes import ExitCode
from dnsbound.cli.opened import opened_resolver
from dnsbound.cli.options import AnchorsOption, JsonOption, NameArgument, ResolverOption
from dnsbound.cli.output import advise, emit, say
from dnsbound.errors import Misuse
from dnsbound.names import ClientName
from dnsbound.times import Seconds, seconds_of_text

if TYPE_CHECKING:
    from dnsbound.credential.credential import Credential
    from dnsbound.edge.context import Context
    from dnsbound.edge.enrolment_client import EnrolmentServer, Given
    from dnsbound.edge.enrolment_files import EnrolmentFiles
    from dnsbound.edge.resolver import Resolver

TOKEN_VARIABLE: Final = "DNSBOUND_ENROL_TOKEN"  # noqa: S105 (the name of a variable)
_TOKEN_OCTETS: Final = 4096
_FIRST_PAUSE: Final[Seconds] = 0.5
_LONGEST_PAUSE: Final[Seconds] = 30.0
_LOOKUP_SECONDS: Final[Seconds] = 5.0

ServerOption = Annotated[
    str,
    typer.Option("--server", help="https://HOST:PORT of the enrolment server, and /LABEL where its operator says so."),
]
CaOption = Annotated[
    Path | None,
    typer.Option(
        "--ca", help="PEM file of the authorities that the server is verified by.", show_default="the system's"
    ),
]
ServerTlsaOption = Annotated[
    bool, typer.Option("--server-tlsa", help="Verify the server by its TLSA record instead (DANE).")
]
RawOption = Annotated[bool, typer.Option("--raw", help="A bare key (RFC 7250) instead of a certificate.")]
AlgorithmOption = Annotated[
    str | None,
    typer.Option("--algorithm", help="p256, ed25519, rsa3072, ml-dsa-44 and so on.", show_default="p256"),
]
KeyOption = Annotated[
    str | None, typer.Option("--key", help="pkcs11: URI of a key on a token; made there when there is none.")
]
UncheckedOption = Annotated[
    bool, typer.Option("--danger-unchecked", help="Do not look whether the DNS shows the key; believe the server.")
]


def request(
    name: NameArgument,
    *,
    server: ServerOption,
    token_file: Annotated[
        str | None,
        typer.Option("--token-file", help="File with the one-time token, or - for standard input.", metavar="FILE"),
    ] = None,
    factory: Annotated[
        str | None,
        typer.Option(
            "--factory", metavar="FILE", help="Credential the device was made with, which the server expects."
        ),
    ] = None,
    factory_name: Annotated[
        str | None,
        typer.Option("--factory-name", metavar="NAME", help="Its maker's name for it, which is then authenticated."),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", help="Directory for the credential, NAME.pem.", file_okay=False)
    ] = Path(),
    ca: CaOption = None,
    server_tlsa: ServerTlsaOption = False,
    raw: RawOption = False,
    algorithm: AlgorithmOption = None,
    key: KeyOption = None,
    wait: Annotated[str, typer.Option("--wait", help="How long to wait until the record is there.")] = "10m",
    danger_unchecked: UncheckedOption = False,
    resolver: ResolverOption = None,
    anchors: AnchorsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key and enrol it under a name. The token comes from a file, standard input or DNSBOUND_ENROL_TOKEN; with
    --factory the device shows the key it was made with."""
    from dnsbound.cli.hardware_key import ask_pin
    from dnsbound.edge.enrolment_client import Operation
    from dnsbound.edge.enrolment_files import EnrolmentFiles

    client = ClientName.parse(name.removesuffix("."))
    files = EnrolmentFiles(out / f"{client.canonical}.pem", ask_pin=ask_pin)
    until = time.monotonic() + seconds_of_text(wait)
    if files.path.exists() and not files.is_in_place():
        raise Misuse(f"{files.path}: exists already; `dnsbound enrol renew` changes its key")
    token = _token(token_file, needed=factory is None)
    shown = None if factory is None else _of_the_factory(factory, factory_name)
    with opened_resolver(resolver, anchors) as asked:
        context = _context(shown, ca, asked if server_tlsa else None)
        device = _Device.at(server, context, asked, until=until, server_tlsa=server_tlsa)
        begun = files.begin(client, _maker(client, key, algorithm))
        given = device.ask(Operation.ENROL, begun, client, token=token, raw=raw)
        made = _completed(begun, given)
        if not danger_unchecked:
            device.look(client, made)
    files.put_in_place(made)
    _tell(files, client, made, as_json=as_json)


def renew(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The credential in use.", dir_okay=False)],
    *,
    server: ServerOption,
    ca: CaOption = None,
    server_tlsa: ServerTlsaOption = False,
    raw: RawOption = False,
    algorithm: AlgorithmOption = None,
    key: KeyOption = None,
    wait: Annotated[
        str, typer.Option("--wait", help="How long to wait until the new key may be used; asked once without it.")
    ] = "0s",
    danger_unchecked: UncheckedOption = False,
    resolver: ResolverOption = None,
    anchors: AnchorsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change the key of a device: ask, wait until the new key is known everywhere, use it, and end the old one. Run it
    again (from cron, say) until it says so: 3 means not yet."""
    from dnsbound.cli.hardware_key import ask_pin
    from dnsbound.edge.enrolment_client import Operation
    from dnsbound.edge.enrolment_files import EnrolmentFiles

    files = EnrolmentFiles(path, ask_pin=ask_pin)
    present = files.read(path)
    if present.name is None:
        raise Misuse(f"{path}: names no client")
    client, until = present.name, time.monotonic() + seconds_of_text(wait)
    with opened_resolver(resolver, anchors) as asked:

        def device(credential: "Credential") -> _Device:
            context = _context(credential, ca, asked if server_tlsa else None)
            return _Device.at(server, context, asked, until=until, server_tlsa=server_tlsa)

        if files.is_in_place():
            files.put_in_place(present)
        if not files.former.exists():
            begun = files.begin(client, _maker(client, key, algorithm))
            if begun.spki == present.spki:
                files.new.unlink()
                raise Misuse(f"the key on the token is the one in use: let {key} name an object for the next one")
            given = device(present).ask(Operation.RENEW, begun, client, token=None, raw=raw)
            made = _completed(begun, given)
            if not danger_unchecked:
                device(made).look(client, made)
            files.put_in_place(made)
            present = made
        device(present).ask(Operation.RENEW, present, client, token=None, raw=raw)
        files.confirmed()
    _tell(files, client, present, as_json=as_json)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Device:
    """Asking and waiting, up to a moment of the clock that never goes back."""

    server: "EnrolmentServer"
    resolver: "Resolver"
    until: float
    server_tlsa: bool

    @classmethod
    def at(cls, url: str, context: "Context", resolver: "Resolver", *, until: float, server_tlsa: bool) -> "_Device":
        """Of the server at an address."""
        from dnsbound.edge.enrolment_client import EnrolmentServer

        server = EnrolmentServer.parse(url, context)
        return cls(server=server, resolver=resolver, until=until, server_tlsa=server_tlsa)

    def ask(
        self, operation: str, credential: "Credential", name: ClientName, *, token: str | None, raw: bool
    ) -> "Given":
        """Until the server has given what was asked for. Ends the program with 3 when the time is over."""
        from dnsbound.edge.enrolment_client import AskAgain, Operation

        told = ""
        while True:
            if self.server_tlsa:
                self.server.context.prepare_blocking(self.server.host, self.server.port)
            answer = self.server.ask(Operation(operation), credential.signer, name, token=token, wants_records=raw)
            if not isinstance(answer, AskAgain):
                return answer
            if time.monotonic() + answer.seconds > self.until:
                advise(
                    f"Not yet: {_printable(answer.words)}. Run the same command again, in {answer.seconds} s or later."
                )
                raise typer.Exit(ExitCode.UNDECIDED)
            if answer.words != told:
                told = answer.words
                advise(f"Not yet: {_printable(told)}. Asking again every {answer.seconds} s.")
            time.sleep(answer.seconds)

    def look(self, name: ClientName, credential: "Credential") -> None:
        """Until the DNS shows the key of this credential, signed. Ends the program with 3 when the time is over."""
        from dnsbound.cli.judging import judge

        pause = _FIRST_PAUSE
        while True:
            found = judge(name, credential.presented, self.resolver, deadline=_LOOKUP_SECONDS, roots=())
            if found.reason is None:
                return
            if time.monotonic() + pause > self.until:
                advise(
                    f"The server says that {name} is published, and the DNS does not show it from here"
                    f" ({found.reason.value}). Run the same command again."
                )
                raise typer.Exit(ExitCode.UNDECIDED)
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)


def _maker(name: ClientName, key: str | None, algorithm: str | None) -> Callable[[], "Credential"]:
    def make() -> "Credential":
        from dnsbound.cli.hardware_key import new_key
        from dnsbound.credential.credential import Credential

        with new_key(key, algorithm, label=name.canonical) as signer:
            return Credential.for_signer(name, signer, now=time.time(), kind="raw")

    return make


def _completed(begun: "Credential", given: "Given") -> "Credential":
    from dnsbound.credential.credential import Credential

    chain = () if given.certificate is None else (given.certificate,)
    return Credential(begun.name, begun.private_key, chain, signer=begun.signer)


def _context(shown: "Credential | None", ca: Path | None, resolver: "Resolver | None") -> "Context":
    from dnsbound.edge.context import Context

    if ca is not None and resolver is not None:
        raise Misuse("--ca and --server-tlsa exclude each other")
    context = Context.client(shown, resolver=resolver, server_tlsa="off" if resolver is None else "require")
    if ca is not None:
        context.load_verify_locations(cafile=str(ca))
    return context


def _of_the_factory(source: str, name: str | None) -> "Credential":
    """What the device was made with. Without a name its key alone is shown, in a certificate that says nothing."""
    from dnsbound.cli.hardware_key import ask_pin
    from dnsbound.credential.certificate import self_signed
    from dnsbound.credential.credential import Credential
    from dnsbound.credential.signing_key import private_key_of
    from dnsbound.edge.credential_files import load_credential

    made = load_credential(source, name=name, ask_pin=ask_pin)
    if name is not None:
        return made
    chain = made.chain or (self_signed(private_key_of(made.signer), None, now=time.time()),)
    return Credential(None, made.private_key, chain, signer=made.signer)


def _token(source: str | None, *, needed: bool) -> str | None:
    """Never from the command line, which every user of the machine can read."""
    if source == "-":
        text = sys.stdin.read(_TOKEN_OCTETS)
    elif source is not None:
        from dnsbound.edge.secret_files import read_secret_file

        text = read_secret_file(source)[:_TOKEN_OCTETS].decode("ascii", "replace")
    else:
        text = os.environ.get(TOKEN_VARIABLE, "")
    if text.strip():
        return text.strip()
    if needed:
        raise Misuse(f"give the token by --token-file, or in {TOKEN_VARIABLE}; or the device's own key by --factory")
    return None


def _printable(text: str) -> str:
    from dnsbound.cli.exit_codes import printable

    return printable(text)


def _tell(files: "EnrolmentFiles", name: ClientName, made: "Credential", *, as_json: bool) -> None:
    record = made.tlsa().to_text()
    if as_json:
        emit({"name": name.text, "file": str(files.path), "record": record, "kind": "x509" if made.chain else "raw"})
        return
    say(f"{name}  enrolled  TLSA {record}")
    advise(f"The credential is {files.path}; nobody else has its key.")
