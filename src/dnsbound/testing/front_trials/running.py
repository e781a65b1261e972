"""A server under trial: the snippet's files, what it needs beside them, and its process."""

import contextlib
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dnsbound.adapters.fronts.snippet import ConfigFile, Settings, Snippet
from dnsbound.errors import PeerError
from dnsbound.iana import Selector
from dnsbound.testing.front_trials.clients import Way
from dnsbound.testing.front_trials.programs import (
    STOP_SECONDS,
    UNPRIVILEGED,
    Program,
    free_port,
    listens,
    started,
)
from dnsbound.testing.front_trials.stage import SERVER_NAME, Kind, Stage

if TYPE_CHECKING:
    from dnsbound.testing.front_trials.service_clients import Attempt, Seen

_STARTS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What a server needs around the snippet to run alone. files: names to texts. command: the program's arguments."""

    command: Sequence[str]
    files: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    stop: Sequence[str] = ()
    """What ends a server that leaves processes behind when it is only asked to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTrial:
    """How one server is tried. around: from its program, its directory, and the snippet's files as they lie there."""

    snippet: Snippet
    kind: Kind
    around: Callable[[str, Path, Sequence[Path]], Around]
    tells_name: bool = True
    """Whether the back end learns who the client is."""
    waits_for_client: bool = False
    """Before TCP: whether nothing happens until the client has spoken."""
    account: str = UNPRIVILEGED
    """Whom the server asks the verify service as, where root tries it."""
    starts_as_root: bool = False
    """Whether it leaves for that account by itself."""
    grants: str = ""
    """What clients need beside being listed: an inline table of TOML."""
    whole_certificates: bool = False
    """Whether records have to be of the certificate, 3 0 1, because the server tells nothing else."""
    asks: "Callable[[Running, Attempt], Seen] | None" = None
    """Of a service: one client of it."""
    over_tls: bool = True
    """Whether clients speak TLS."""
    names_itself: bool = True
    """Whether a client can say who it is beside showing its key."""
    forges: bool = False
    """Whether what a client sends can have fields that look like the server's own."""

    def stage(self) -> Stage:
        """To be entered."""
        return Stage(
            self.kind,
            account=self.account,
            starts_as_root=self.starts_as_root,
            grants=self.grants,
            selector=Selector.CERT if self.whole_certificates else Selector.SPKI,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """The server, started. way: how clients reach it."""

    stage: Stage
    trial: ServerTrial
    settings: Settings
    program: Program
    way: Way


@contextlib.contextmanager
def running(stage: Stage, trial: ServerTrial, program: str, settings: Settings) -> Iterator[Running]:
    """The server and the verify service, while the block lasts. PeerError when one of them does not start."""
    stage.start_verifier(trial.snippet, settings)
    with contextlib.ExitStack() as held:
        yield _started(held, stage, trial, program, settings)


def _started(held: contextlib.ExitStack, stage: Stage, trial: ServerTrial, program: str, settings: Settings) -> Running:
    """The server is told its port, which another process may take first: then with another one."""
    for left in reversed(range(_STARTS)):
        if listens(settings.listen.port):
            settings = replace(settings, listen=replace(settings.listen, port=free_port()))
        paths = [written(stage, file) for file in trial.snippet.rendered(settings)]
        around = trial.around(program, stage.place, paths)
        for name, text in around.files.items():
            written(stage, ConfigFile(name=name, text=text, place=""))
        port, log = settings.listen.port, stage.directory / "server.log"
        with contextlib.ExitStack() as starting:
            account = None if trial.starts_as_root else stage.account
            server = starting.enter_context(
                started(around.command, log, account=account, environment=around.environment, directory=stage.place)
            )
            starting.enter_context(_ended_by(around.stop))
            try:
                server.wait_until(partial(listens, port), f"{trial.snippet.facts.title} listens")
            except PeerError:
                if not left:
                    raise
                settings = replace(settings, listen=replace(settings.listen, port=free_port()))
                continue
            held.push(starting.pop_all())
            way = Way(port=port, server_name=SERVER_NAME, roots=stage.roots)
            return Running(stage=stage, trial=trial, settings=settings, program=server, way=way)
    raise AssertionError  # the last start ends by one of the two ways above


def written(stage: Stage, file: ConfigFile) -> Path:
    """The file in the server's directory, for its account alone."""
    path = stage.place / file.name
    path.touch(0o600)
    path.write_text(file.text)
    stage.give(path)
    return path


@contextlib.contextmanager
def _ended_by(command: Sequence[str]) -> Iterator[None]:
    try:
        yield
    finally:
        if command:
            subprocess.run(command, capture_output=True, timeout=STOP_SECONDS, check=False)  # noqa: S603 (made here)
