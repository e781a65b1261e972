"""`dnsbound config`: other people's servers, configured so that they admit clients by DNS name.

The text is for the version that this machine has, and says so where nobody has tried it. `--check` starts the server
with exactly that text, on loopback and beside throw-away identities.
"""

import signal
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Final

import typer

from dnsbound.cli.exit_codes import ExitCode
from dnsbound.cli.options import JsonOption
from dnsbound.cli.output import advise, emit, say
from dnsbound.errors import Misuse

if TYPE_CHECKING:
    from dnsbound.adapters.fronts.installed import Installed
    from dnsbound.adapters.fronts.snippet import ConfigFile, Facts, Settings, Snippet, Verifier

_NAME: Final = "api.example"
_AT: Final = "127.0.0.1:9301"
_RADIUS_AT: Final = "192.0.2.10:1812"


def config(
    server: Annotated[
        str | None, typer.Argument(metavar="[SERVER]", help="Such as nginx. Without it: the servers there are.")
    ] = None,
    *,
    server_name: Annotated[str, typer.Option("--server-name", help="Name by which clients reach the server.")] = _NAME,
    door: Annotated[
        str | None, typer.Option("--door", help="Door of the access list.", show_default="the server's name")
    ] = None,
    certificate: Annotated[
        str | None, typer.Option("--certificate", help="File of the server's chain.", show_default="below /etc/ssl")
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", help="File of the server's key.", show_default="below /etc/ssl")
    ] = None,
    listen: Annotated[
        str | None, typer.Option("--listen", metavar="[HOST]:PORT", help="Where clients come.", show_default=":443")
    ] = None,
    backend: Annotated[
        str | None,
        typer.Option("--backend", metavar="HOST:PORT", help="What is behind it.", show_default="127.0.0.1:8080"),
    ] = None,
    socket: Annotated[
        str | None,
        typer.Option("--socket", help="Where the verify service is.", show_default="/run/dnsbound/LABEL.sock"),
    ] = None,
    user: Annotated[
        list[str] | None, typer.Option("--user", help="Account the server runs under; may be repeated.")
    ] = None,
    verifier: Annotated[
        str | None,
        typer.Option("--verifier", metavar="HOST:PORT", help="The verify service over TCP, or the RADIUS server."),
    ] = None,
    secret_file: Annotated[
        Path | None,
        typer.Option(
            "--secret-file", help="That secret (mode 0600).", dir_okay=False, show_default="LABEL.secret, or a new one"
        ),
    ] = None,
    roots: Annotated[
        str | None,
        typer.Option("--roots", help="For clients: authorities of servers.", show_default="the system's, on Debian"),
    ] = None,
    label: Annotated[
        str | None, typer.Option("--label", help="Of the front in authz.toml.", show_default="the server's word")
    ] = None,
    directory: Annotated[
        str | None,
        typer.Option("--directory", help="Where its files will lie.", show_default="--output's, or /etc/dnsbound"),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="Write the files into this directory.", file_okay=False)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="With --output: over files that are there.")] = False,
    authz: Annotated[bool, typer.Option("--authz", help="Print the part of authz.toml alone.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Start the server with this text, try who comes in, and end it.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Print a configuration by which a server admits clients by their DNS names, or try it.

    With --check: 0 all is as it must be, 1 something is not, 3 it could not be tried.
    """
    if server is None:
        _tell_servers(as_json=as_json)
        return
    from dnsbound.adapters.fronts.installed import installed
    from dnsbound.adapters.fronts.listing import snippet as snippet_of
    from dnsbound.adapters.fronts.snippet import DIRECTORY, ROOTS, Address, Settings

    snippet = snippet_of(server)
    facts, here = snippet.facts, installed(snippet.facts)
    if check:
        raise typer.Exit(
            _check(server, here, over_tcp=verifier is not None or secret_file is not None, as_json=as_json)
        )
    label = label or server
    whole = f"/etc/ssl/dnsbound/{server_name}"
    place = PurePosixPath(directory or (output.absolute() if output is not None else DIRECTORY))
    secret: tuple[ConfigFile, ...] = ()
    if facts.unix and verifier is None and secret_file is None:
        way = _over_unix(facts, label, socket, user)
    elif socket is not None or user:
        raise Misuse(f"--socket and --user are for a Unix socket; {facts.title} asks over the network here")
    else:
        way, secret = _over_the_network(facts, label, place, verifier, secret_file)
    settings = Settings(
        label=label,
        door=door or server_name,
        server_name=server_name,
        certificate=PurePosixPath(certificate or f"{whole}.pem"),
        key=PurePosixPath(key or f"{whole}.key"),
        listen=Address.from_text(listen or facts.listen),
        backend=Address.from_text(backend or facts.backend),
        verifier=way,
        version=here.version if here is not None else None,
        directory=place,
        roots=PurePosixPath(roots) if roots is not None else ROOTS,
    )
    files = snippet.rendered(settings) + secret
    if output is not None:
        _write(files, output, force=force)
    elif authz:
        _tell_ours(facts, settings)
    else:
        _tell(snippet, settings, files, as_json=as_json)


def _over_unix(facts: "Facts", label: str, socket: str | None, users: list[str] | None) -> "Verifier":
    from dnsbound.adapters.fronts.snippet import OverUnix

    path = PurePosixPath(socket or f"/run/dnsbound/{label}.sock")
    return OverUnix(path=path, users=tuple(users or ()) or facts.users)


def _over_the_network(
    facts: "Facts", label: str, directory: PurePosixPath, address: str | None, secret_file: Path | None
) -> "tuple[Verifier, tuple[ConfigFile, ...]]":
    """The way to the verify service or the RADIUS server, and the file of a secret that is made here where there is
    none yet."""
    import secrets

    from dnsbound.adapters.fronts.snippet import Address, ConfigFile, OverRadius, OverTcp
    from dnsbound.edge.secret_files import read_secret_file

    if not facts.tcp and not facts.asks_radius:
        raise Misuse(f"{facts.title} cannot show a secret: it asks over a Unix socket alone")
    file = directory / f"{label}.secret" if secret_file is None else PurePosixPath(secret_file.absolute())
    made: tuple[ConfigFile, ...] = ()
    if secret_file is not None or Path(file).exists():
        secret = read_secret_file(file).decode("ascii", "replace").strip()
    else:
        secret = secrets.token_urlsafe(32)
        made = (ConfigFile(name=file.name, text=f"{secret}\n", place=str(file), secret=True),)
    if facts.asks_radius:
        return OverRadius(address=Address.from_text(address or _RADIUS_AT), secret=secret, secret_file=file), made
    return OverTcp(address=Address.from_text(address or _AT), secret=secret, secret_file=file), made


def _check(server: str, here: "Installed | None", *, over_tcp: bool, as_json: bool) -> ExitCode:
    from contextlib import closing

    from dnsbound.testing.front_trials.trials import outcomes, server_trial

    trial = server_trial(server)
    if here is None:
        advise(f"{trial.snippet.facts.title} is not installed here: nothing was tried")
        return ExitCode.UNDECIDED
    passed = True
    # What a trial has started ends with it, also where a service manager ends the trial.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with closing(outcomes(trial, here.path, here.version, over_tcp=over_tcp)) as tried:
        for outcome in tried:
            passed = passed and outcome.passed
            if as_json:
                emit({"what": outcome.what, "expected": outcome.expected, "came": outcome.came, "ok": outcome.passed})
            else:
                say(f"{'ok  ' if outcome.passed else 'FAIL'}  {outcome.what}: {outcome.came}")
    return ExitCode.YES if passed else ExitCode.NO


def _tell_servers(*, as_json: bool) -> None:
    from dnsbound.adapters.fronts.installed import installed
    from dnsbound.adapters.fronts.listing import MODULES, snippet

    for server in MODULES:
        facts = snippet(server).facts
        here = installed(facts)
        version = here.version.to_text() if here is not None and here.version is not None else None
        tried = None if facts.tried is None else facts.tried.to_text()
        if as_json:
            row = {"server": server, "title": facts.title, "here": version, "tried": tried}
            emit({**row, "works": list(facts.works), "limits": list(facts.limits)})
        else:
            found = f"{version or 'here'} here" if here is not None else "not here"
            say(f"{server:14} {facts.title}: {'tried with ' + tried if tried else 'UNTESTED'}; {found}")


def _tell(snippet: "Snippet", settings: "Settings", files: "tuple[ConfigFile, ...]", *, as_json: bool) -> None:
    from dnsbound.adapters.fronts.snippet import access_door, authz_front

    if as_json:
        texts = [{"name": file.name, "place": file.place, "text": _shown(file, settings)} for file in files]
        ours = {"authz": authz_front(snippet.facts, settings), "access": access_door(snippet.facts, settings)}
        emit({"server": snippet.facts.server, "files": texts, **ours, "limits": list(snippet.facts.limits)})
        return
    for file in files:
        if len(files) > 1:
            say(f"==> {file.place} <==")
        say(_shown(file, settings).rstrip("\n"))


def _tell_ours(facts: "Facts", settings: "Settings") -> None:
    from dnsbound.adapters.fronts.snippet import authz_front

    if facts.protocol is None:
        raise Misuse(f"{facts.title} asks nobody: nothing of it belongs into authz.toml")
    say(authz_front(facts, settings).rstrip("\n"))


def _shown(file: "ConfigFile", settings: "Settings") -> str:
    from dnsbound.adapters.fronts.snippet import OverUnix

    if not file.secret:
        return file.text
    verifier = settings.verifier
    hidden = "" if isinstance(verifier, OverUnix) else file.text.replace(verifier.secret, "SECRET")
    return f"# With the secret in the place of SECRET: --output writes it.\n{hidden}"


def _write(files: "tuple[ConfigFile, ...]", output: Path, *, force: bool) -> None:
    from dnsbound.edge.secret_files import write_public_file, write_secret_file

    there = [output / file.name for file in files if (output / file.name).exists()]
    if there and not force:
        raise Misuse(f"{there[0]}: exists already; --force writes over it")
    output.mkdir(parents=True, exist_ok=True)
    for file in files:
        path, octets = output / file.name, file.text.encode()
        if file.secret:
            write_secret_file(path, octets, replace=force)
        else:
            write_public_file(path, octets)
        advise(f"{path}{'' if str(path) == file.place else f', for {file.place}'}")
