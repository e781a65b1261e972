"""What `dnsbound report receive` runs: one receiver, and the three ways in which reports come to it."""

import asyncio
import contextlib
import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from dnsbound.cli.exit_codes import ExitCode, line_of_error
from dnsbound.cli.output import advise, emit, say
from dnsbound.cli.report_receive import code_of, tell
from dnsbound.cli.serving import decisions_shown, ended_by_signals, listening
from dnsbound.edge.credential_files import load_credential
from dnsbound.edge.object_verifier import ObjectVerifier
from dnsbound.edge.report_chains import ReportChains
from dnsbound.edge.report_receiver import Answer, ReportReceiver, Standing
from dnsbound.edge.secret_files import write_public_file
from dnsbound.errors import DnsboundError, LimitExceeded, Malformed, Misuse
from dnsbound.object_limits import REPORT_OCTETS

if TYPE_CHECKING:
    import socket

    import uvicorn

    from dnsbound.edge.resolver import Resolver
    from dnsbound.provision.reports.intake import Intake
    from dnsbound.verify.access import AccessSource

SUFFIX: Final = ".report"
JUDGE_SECONDS: Final = 60.0
"""How often what could not be decided is judged again while HTTP is served."""
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_log: Final = logging.getLogger("dnsbound.reports")


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiving:
    """A receiver that is open, and how it tells what it decided."""

    receiver: ReportReceiver
    as_json: bool

    @classmethod
    def begin(
        cls,
        credential: Path,
        intake: "Intake",
        permitted: "AccessSource",
        asked: "Resolver",
        *,
        door: str,
        evidence: bool,
        as_json: bool,
    ) -> Self:
        """evidence: keep the DNSSEC chains with the reports."""
        receiver = ReportReceiver(
            load_credential(credential),
            intake,
            ObjectVerifier(permitted, asked, door=door),
            chains=ReportChains(asked) if evidence else None,
        )
        return cls(receiver=receiver, as_json=as_json)


def take_lines(receiving: Receiving) -> ExitCode:
    """One report a line from standard input. The largest exit code of them."""
    code = ExitCode.YES
    with asyncio.Runner() as runner:
        while line := sys.stdin.buffer.readline(REPORT_OCTETS.default + 2):
            if token := line.strip():
                code = max(code, _take(receiving, runner, token, "standard input"))
    return code


def take_spool(receiving: Receiving, directory: Path) -> ExitCode:
    """Every report of a directory, in the order of their names. One that was decided is taken away, and its receipt put
    where it was; of a stranger's, which nobody keeps, the suffix is `.refused` then. One that was not decided stays."""
    code = ExitCode.YES
    with asyncio.Runner() as runner:
        for path in sorted(directory.iterdir()):
            if path.suffix == SUFFIX and path.is_file() and not path.name.startswith("."):
                code = max(code, _take_file(receiving, runner, path))
    return code


def _take_file(receiving: Receiving, runner: asyncio.Runner, path: Path) -> ExitCode:
    with path.open("rb") as file:
        token = file.read(REPORT_OCTETS.default + 1).strip()
    answer = _judged(receiving, runner, token, path.name)
    if answer is None:
        return ExitCode.USAGE
    if answer.receipt is not None:
        write_public_file(path.with_suffix(".receipt"), answer.receipt + b"\n")
    if answer.standing is Standing.ACCEPTED or (answer.kept and answer.standing is Standing.REFUSED):
        path.unlink(missing_ok=True)
    elif answer.standing is Standing.REFUSED:
        path.rename(path.with_suffix(".refused"))
    return code_of(answer)


def _take(receiving: Receiving, runner: asyncio.Runner, token: bytes, label: str) -> ExitCode:
    answer = _judged(receiving, runner, token, label)
    return ExitCode.USAGE if answer is None else code_of(answer)


def _judged(receiving: Receiving, runner: asyncio.Runner, token: bytes, label: str) -> Answer | None:
    """None for what is no report, which is said."""
    try:
        answer = runner.run(receiving.receiver.receive(token))
    except (Malformed, LimitExceeded) as error:
        if receiving.as_json:
            emit({"from": label, "outcome": "malformed", "detail": str(error)})
        else:
            say(f"malformed  {label}: {line_of_error(error)}")
        return None
    tell(answer, as_json=receiving.as_json, label=label)
    return answer


def serve_http(receiving: Receiving, place: str, *, path: str, danger_clear: bool) -> None:
    """Serve until SIGTERM or SIGINT."""
    import uvicorn

    from dnsbound.adapters.report_asgi import ReportApp

    host, port = _host_and_port(place)
    if host not in _LOOPBACK and not danger_clear:
        raise Misuse(f"{host} is reached from elsewhere, and this speaks HTTP in clear: let a front do TLS")
    if not path.startswith("/"):
        raise Misuse(f"--path begins with /, not {path!r}")
    config = uvicorn.Config(
        ReportApp(receiving.receiver, path=path),
        log_level="warning",
        access_log=False,
        lifespan="off",
        server_header=False,
    )
    with decisions_shown(), contextlib.closing(listening(host, port)) as listener:
        shown = f"[{host}]" if ":" in host else host
        url = f"http://{shown}:{listener.getsockname()[1]}{path}"
        server = uvicorn.Server(config)
        with ended_by_signals(server):
            if receiving.as_json:
                emit({"url": url, "name": receiving.receiver.name.canonical})
            else:
                say(url)
                advise(f"Reports for {receiving.receiver.name}; each decision follows as a line of JSON.")
            asyncio.run(_serve(server, receiving, listener))


async def _serve(server: "uvicorn.Server", receiving: Receiving, listener: "socket.socket") -> None:
    judging = asyncio.create_task(_judge_now_and_then(receiving.receiver))
    try:
        await server.serve(sockets=[listener])
    finally:
        judging.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await judging
        await receiving.receiver.close()


async def _judge_now_and_then(receiver: ReportReceiver) -> None:
    while True:
        await asyncio.sleep(JUDGE_SECONDS)
        try:
            for answer in await receiver.judge_again():
                _log.info("judged again: %s from %s", answer.standing.value, answer.signer)
        except DnsboundError as error:
            _log.warning("nothing was judged again: %s", error)


def _host_and_port(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65_535:
        raise Misuse(f"{text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)
