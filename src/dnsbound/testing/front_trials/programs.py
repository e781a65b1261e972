"""Programs that a trial starts: as another user where that is possible, with their output kept, and ended with it."""

import contextlib
import os
import pwd
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from dnsbound.errors import Misuse, PeerError
from dnsbound.times import Seconds

START_SECONDS: Final[Seconds] = 20.0
STOP_SECONDS: Final[Seconds] = 10.0
_PAUSE: Final[Seconds] = 0.02
_LOG_OCTETS: Final = 2_000
UNPRIVILEGED: Final = "nobody"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Whom a server under trial runs as."""

    name: str
    uid: int
    gid: int

    @classmethod
    def unprivileged(cls, name: str = UNPRIVILEGED) -> Self:
        """The account of this name for root; otherwise whoever this is."""
        try:
            entry = pwd.getpwnam(name) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        except KeyError:
            raise Misuse(f"this user has no account here, or there is no user {name} to run the server as") from None
        return cls(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid)

    def give(self, *paths: Path) -> None:
        """Make them this account's; nothing to do for one's own."""
        if os.geteuid() == 0:
            for path in paths:
                os.chown(path, self.uid, self.gid)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One that runs."""

    process: subprocess.Popen[bytes]
    log: Path

    def wait_until(self, holds: Callable[[], bool], what: str, *, seconds: Seconds = START_SECONDS) -> None:
        """PeerError with the end of its log when it ends before, or when that takes too long."""

        def holds_or_ended() -> bool:
            if self.process.poll() is not None:
                raise PeerError(f"{what}: it ended with {self.process.returncode}: {self.log_tail()}")
            return holds()

        if not eventually(holds_or_ended, seconds):
            raise PeerError(f"{what}: not within {seconds:.0f} s: {self.log_tail()}")

    def log_tail(self) -> str:
        """The end of what it said, on one line."""
        return " | ".join(self.log.read_text(errors="replace")[-_LOG_OCTETS:].split("\n")).strip(" |")

    def stop(self) -> None:
        """Ask it to end, then end it. Once more does nothing."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(STOP_SECONDS)


@contextlib.contextmanager
def started(
    command: Sequence[str],
    log: Path,
    *,
    account: Account | None = None,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> Iterator[Program]:
    """Run it while the block lasts. account: None for one's own. environment: beside this process's own."""
    other = account is not None and os.geteuid() == 0
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 (a program of this machine, with arguments made here)
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=directory,
            env={**os.environ, **(environment or {})},
            user=account.uid if account is not None and other else None,
            group=account.gid if account is not None and other else None,
            extra_groups=[] if other else None,
        )
    program = Program(process=process, log=log)
    try:
        yield program
    finally:
        program.stop()


def eventually(holds: Callable[[], bool], seconds: Seconds) -> bool:
    """Whether it came to hold within the time."""
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(_PAUSE)
    return True


def listens(port: int) -> bool:
    """Whether somebody takes connections at this port of 127.0.0.1."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0) as asked:
        # A free port may be the one that the system gives this very socket, which then reaches itself.
        return bool(asked.getsockname() != asked.getpeername())
    return False


def listens_at(path: Path) -> bool:
    """The same for a Unix socket."""
    with socket.socket(socket.AF_UNIX) as asked, contextlib.suppress(OSError):
        asked.connect(str(path))
        return True
    return False


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has at this moment."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
