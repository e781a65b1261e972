"""Other people's programs beside a test: found, started with a log, awaited, and ended by their own id.

No wait is without a bound; what does not come to pass fails the test with the end of the program's log.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import dns.exception
import dns.message
import dns.query

from dnsbound.testing.peer_configuration import Stub, unbound_text

START_SECONDS: Final = 20.0
STOP_SECONDS: Final = 15.0
RUN_SECONDS: Final = 30.0
ASK_SECONDS: Final = 1.0
PAUSE_SECONDS: Final = 0.05
STARTS: Final = 3
LOG_CHARACTERS: Final = 10_000

NOT_YET: Final = (dns.exception.DNSException, OSError, EOFError)
"""What asking a server raises that does not listen, or does not know its zones, yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """A running program. log: what it complains of. output: what it says; often the same file."""

    process: subprocess.Popen[bytes]
    log: Path
    output: Path

    def wait_for(self, condition: Callable[[], bool], what: str, *, seconds: float = START_SECONDS) -> None:
        """Until the condition holds; raising one of NOT_YET is not holding."""

        def holds() -> bool:
            ended = self.process.poll()
            assert ended is None, f"{what}: it ended with {ended}: {self.log_tail()}"
            with contextlib.suppress(*NOT_YET):
                return condition()
            return False

        eventually(holds, seconds, otherwise=lambda: f"{what}: not within {seconds} s: {self.log_tail()}")

    def wait_for_line(self) -> str:
        """The first line of its output, whole."""
        self.wait_for(lambda: b"\n" in self.output.read_bytes(), "its first line")
        return self.output.read_text().splitlines()[0]

    def log_tail(self) -> str:
        return self.log.read_text(errors="replace")[-LOG_CHARACTERS:]


@contextlib.contextmanager
def started(
    command: Sequence[str],
    log: Path,
    *,
    output: Path | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Iterator[Daemon]:
    """Run the program while the block lasts. output: where its standard output goes, if not to the log."""
    with contextlib.ExitStack() as files:
        complaints = files.enter_context(log.open("wb"))
        said = complaints if output is None else files.enter_context(output.open("wb"))
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=complaints, cwd=cwd, env=env)
    try:
        yield Daemon(process=process, log=log, output=output or log)
    finally:
        stop(process)


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Ask it to end, then end it."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_SECONDS)


def eventually(condition: Callable[[], bool], seconds: float, *, otherwise: Callable[[], str] = str) -> float:
    """The seconds it took to come true. otherwise: what to say when it does not."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, otherwise()
        time.sleep(PAUSE_SECONDS)
    return time.monotonic() - began


def run(
    command: Sequence[str],
    *,
    text: str = "",
    seconds: float = RUN_SECONDS,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> "subprocess.CompletedProcess[str]":
    """A program that ends by itself, whatever its exit code."""
    return subprocess.run(
        command,
        input=text,
        capture_output=True,
        text=True,
        timeout=seconds,
        cwd=cwd,
        env=env,
        check=False,
    )


def program(name: str) -> str:
    """Where it is installed: servers are not on everybody's path."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    assert found is not None, f"{name} is not installed"
    return found


def free_port() -> int:
    """A loopback port nobody has at this moment, over TCP or over UDP."""
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
        ):
            stream.bind(("127.0.0.1", 0))
            with contextlib.suppress(OSError):
                datagrams.bind(stream.getsockname())
                return int(stream.getsockname()[1])


def ask(port: int, name: str, rdtype: str, *, seconds: float = ASK_SECONDS) -> dns.message.Message:
    """What a DNS server on loopback says over TCP to somebody who wants DNSSEC records."""
    query = dns.message.make_query(name, rdtype, want_dnssec=True)
    return dns.query.tcp(query, "127.0.0.1", port=port, timeout=seconds)


@contextlib.contextmanager
def unbound(
    directory: Path, *, anchors: str, stubs: Iterable[Stub], options: Iterable[str] = ()
) -> Iterator[tuple[Daemon, int]]:
    """An Unbound that answers on the port, TCP and UDP. anchors: DS records as lines. options: of its `server` clause.

    It is told its port, which another process may take first: then with another one.
    """
    (directory / "anchors.txt").write_text(anchors)
    configuration = directory / "unbound.conf"
    stubs, options, complaints = list(stubs), list(options), []
    for _ in range(STARTS):
        port = free_port()
        configuration.write_text(unbound_text(directory=directory, port=port, stubs=stubs, options=options))
        with started([program("unbound"), "-d", "-c", str(configuration)], directory / "unbound.log") as daemon:
            try:
                daemon.wait_for(partial(_answers, port), "it answers")
            except AssertionError as complaint:
                complaints.append(str(complaint))
                continue
            yield daemon, port
            return
    raise AssertionError(f"Unbound does not start: {complaints}")


def _answers(port: int) -> bool:
    # Of its own knowledge: what it looks up, and holds in its cache, is the test's business.
    return bool(ask(port, "localhost", "A").answer)
