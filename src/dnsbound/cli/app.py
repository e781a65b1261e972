"""The program: its commands, and running it so that every error is one line and an exit code.

Each module of this package holds the commands of one group and loads what it needs inside its functions, so that
`--help` and completion are quick: no database, web framework or event loop is loaded for them.
"""

import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from dnsbound.cli import (
    access,
    adopt,
    authority,
    chain,
    check,
    config_server,
    decrypt,
    demo,
    discover,
    doctor,
    eap,
    encrypt,
    enrol,
    explain,
    gate,
    git,
    identity,
    identity_block,
    identity_owner,
    identity_transfer,
    inventory,
    key,
    lab,
    lease,
    match,
    privacy,
    publish,
    radius_sessions,
    record,
    report,
    revoke,
    roll,
    serve,
    sign,
    ssh,
    verify,
    who,
    zone,
)
from dnsbound.cli import bytes as byte_accounts
from dnsbound.cli import run as runner
from dnsbound.cli.exit_codes import ExitCode, exit_code_of_error, line_of_error
from dnsbound.cli.options import example

PROGRAM = "dnsbound"
_COMPLETE = "_DNSBOUND_COMPLETE"
_STANDARD_ERROR = 2
_PLAIN_CONTEXT = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    name=PROGRAM,
    help="Clients that log in by their DNS name: issue, publish, check, revoke.",
    epilog="Exit codes: 0 yes, 1 no, 2 usage, 3 undecided.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings=_PLAIN_CONTEXT,
)


def _version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        from dnsbound._native import OPENSSL_VERSION

        typer.echo(f"{PROGRAM} {version('dnsbound')} ({OPENSSL_VERSION}, Python {sys.version.split()[0]})")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the versions of dnsbound and its OpenSSL.", callback=_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Clients that log in by their DNS name: issue, publish, check, revoke."""


identity.app.command(
    "roll",
    epilog=example(
        "dnsbound id roll car54._device.cars.example --csr new.csr",
        "dnsbound id roll --tag fleet-2024 --parameters '3 1 1, 3 1 2'",
    ),
)(roll.roll)
identity.app.command("status", epilog=example("dnsbound id status --state switch --json"))(roll.status)
identity.app.command(
    "confirm",
    epilog=example(
        "dnsbound id confirm car54._device.cars.example", "tail -F door.log | dnsbound id confirm --from-log -"
    ),
)(roll.confirm)
identity.app.command("cancel", epilog=example("dnsbound id cancel car54._device.cars.example"))(roll.cancel)
identity.app.command(
    "adopt", epilog=example("dnsbound id adopt devices.csv --below cars.example --dry-run", "dnsbound id adopt certs/")
)(adopt.adopt)
identity.app.command("tag", epilog=example("dnsbound id tag car54._device.cars.example model=x5 batch:7"))(
    identity_owner.tag
)
identity.app.command("untag", epilog=example("dnsbound id untag car54._device.cars.example batch:7"))(
    identity_owner.untag
)
identity.app.command("set-owner", epilog=example("dnsbound id set-owner car54._device.cars.example 'Rental Ltd'"))(
    identity_owner.set_owner
)
identity.app.command("block", epilog=example("dnsbound id block car54._device.cars.example --reason stolen"))(
    identity_block.block
)
identity.app.command("unblock", epilog=example("dnsbound id unblock car54._device.cars.example"))(
    identity_block.unblock
)
identity.app.command(
    "transfer",
    epilog=example(
        "dnsbound id transfer car54._device.cars.example van1._device.hire.example --overlap 30d",
        "… --import car54.json --csr van1.csr",
    ),
)(identity_transfer.transfer)
app.add_typer(identity.app, name="id")
app.add_typer(access.app, name="access")
app.add_typer(lease.app, name="lease")
app.add_typer(authority.app, name="authority")
app.add_typer(zone.app, name="zone")
app.add_typer(inventory.app, name="inventory")
app.add_typer(serve.app, name="serve")
app.add_typer(radius_sessions.app, name="radius")
app.add_typer(gate.app, name="gate")
app.add_typer(enrol.app, name="enrol")
app.add_typer(privacy.app, name="privacy")
app.add_typer(chain.app, name="chain")
app.add_typer(eap.app, name="eap")
app.add_typer(ssh.app, name="ssh")
app.add_typer(git.app, name="git")
app.add_typer(report.app, name="report")
app.command("record", epilog=example("dnsbound record car54.pem --name car54._device.cars.example"))(record.record)
app.command(
    "publish", epilog=example("dnsbound publish", "dnsbound publish cars.example --check", "dnsbound publish --wait 60")
)(publish.publish)
app.command(
    "revoke",
    epilog=example("dnsbound revoke car54._device.cars.example --yes --reason stolen"),
)(revoke.revoke)
app.add_typer(key.app, name="key")
app.command(
    "encrypt",
    epilog=example(
        "dnsbound encrypt route.json --to gov.example --out route.jwe",
        "… --sign-with car54.pem --format cose < route.json > route.cose",
    ),
)(encrypt.encrypt)
app.command(
    "decrypt",
    epilog=example(
        "dnsbound decrypt route.jwe --credential gov.encryption.pem --from car54._device.cars.example --out route.json"
    ),
)(decrypt.decrypt)
app.command(
    "sign",
    epilog=example(
        "dnsbound sign big.mp4 --credential car54.pem", "dnsbound sign route/ --credential car54.pem --resume"
    ),
)(sign.sign)
app.command(
    "verify",
    epilog=example(
        "dnsbound verify big.mp4 --from car54._device.cars.example",
        "dnsbound verify report.jws --access access.toml --door reports --payload",
    ),
)(verify.verify)
app.command("match", epilog=example("dnsbound match car54._device.cars.example --cert car54.pem"))(match.match)
app.command(
    "discover",
    epilog=example(
        "dnsbound discover car54._device.cars.example",
        "dnsbound discover ann@cars.example --json",
        "dnsbound discover 'dns:car54._device.cars.example?type=TLSA'",
    ),
)(discover.discover)
app.command("explain", epilog=example("dnsbound explain car54._device.cars.example"))(explain.explain)
app.command(
    "bytes", epilog=example("dnsbound bytes --version dtls12 --mtu 1280", "dnsbound bytes --key ml-dsa-44 --json")
)(byte_accounts.measure)
app.command(
    "check",
    epilog=example("dnsbound check", "dnsbound check cars.example --metrics /var/lib/node_exporter/dnsbound.prom"),
)(check.check)
app.command(
    "config",
    epilog=example(
        "dnsbound config nginx --server-name api.cars.example > dnsbound.conf", "dnsbound config nginx --check"
    ),
)(config_server.config)
app.command("demo", epilog=example("dnsbound demo --json"))(demo.demo)
app.command("doctor", epilog=example("dnsbound doctor car54._device.cars.example"))(doctor.doctor)
app.command("run", epilog=example("dnsbound run", "dnsbound run --once --json"))(runner.run)
app.command("who", epilog=example("dnsbound who", "dnsbound who '*._device.cars.example' --door api --json"))(who.who)
app.command("lab", epilog=example("dnsbound lab", "dnsbound lab --directory lab --port 5300"))(lab.lab)


@app.command("completion", epilog=example("dnsbound completion bash >> ~/.bashrc"))
def completion(
    shell: Annotated[str, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")],
) -> None:
    """Print the script that completes commands and options in a shell."""
    from typer.completion import get_completion_script  # type: ignore[attr-defined] # re-exported without saying so

    if shell not in ("bash", "zsh", "fish"):
        raise typer.BadParameter(f"{shell!r} is not one of bash, zsh, fish", param_hint="SHELL")
    typer.echo(get_completion_script(prog_name=PROGRAM, complete_var=_COMPLETE, shell=shell))


def run(arguments: Sequence[str]) -> int:
    """Run one command; its exit code. Nothing but the end of the process escapes."""
    _prepare_streams()
    command = typer.main.get_command(app)
    if _COMPLETE in os.environ:
        from typer.completion import completion_init  # type: ignore[attr-defined] # re-exported without saying so

        completion_init()
        return _exit_code(command.main(args=list(arguments), prog_name=PROGRAM, standalone_mode=False))
    try:
        # Not Command.main: it has exit codes of its own, 1 for a reader that went away among them.
        with command.make_context(PROGRAM, list(arguments)) as context:
            outcome = command.invoke(context)
        sys.stdout.flush()
        return _exit_code(outcome)
    except typer.Exit as ended:
        return _ended(ended.exit_code)
    except BaseException as error:  # noqa: BLE001 (the one place where every error becomes a line)
        return _failed(error)


def _prepare_streams() -> None:
    """Whatever the locale, a character it lacks is no error. Streams that are closed lead nowhere: a file opened later
    must not take their numbers and be written to by mistake."""
    spare = os.open(os.devnull, os.O_RDWR)
    while spare <= _STANDARD_ERROR:
        spare = os.open(os.devnull, os.O_RDWR)
    os.close(spare)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 (stays open)
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _exit_code(outcome: object) -> int:
    return int(outcome) if isinstance(outcome, int) else ExitCode.YES


def _ended(code: int) -> int:
    try:
        sys.stdout.flush()
    except OSError as error:
        return _failed(error)
    return code


def _failed(error: BaseException) -> int:
    if isinstance(error, SystemExit) and isinstance(error.__context__, BrokenPipeError):
        error = error.__context__  # Rich's way to say it, with the exit code of a no.
    if isinstance(error, SystemExit):
        return _exit_code(error.code)
    code = exit_code_of_error(error)
    if os.environ.get("DNSBOUND_TRACEBACK"):
        import traceback

        traceback.print_exception(error)
    _drop_what_cannot_be_written()
    if code is ExitCode.READER_GONE:
        return code
    if type(error).__name__ == "NoArgsIsHelpError":
        return code  # Typer has printed the help page.
    if type(error).__name__ == "Abort":
        typer.echo(err=True)  # The question left its line open.
    context = getattr(error, "ctx", None)
    hint = f" (see {context.command_path} --help)" if context is not None else ""
    typer.echo(f"{PROGRAM}: {line_of_error(error)}{hint}", err=True)
    return code


def _drop_what_cannot_be_written() -> None:
    """Output whose reader is gone, or whose disk is full: without this the interpreter would try once more on its way
    out, complain, and end with a status of its own."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
