"""A server under trial: the snippet's files, what it needs beside them, and its process."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dnsbound.adapters.fronts.snippet import ConfigFile, Settings, Snippet
from dnsbound.testing.front_trials.clients import Way
from dnsbound.testing.front_trials.programs import Program, listens, started
from dnsbound.testing.front_trials.stage import SERVER_NAME, Kind, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What a server needs around the snippet to run alone. files: names to texts. command: the program's arguments."""

    command: Sequence[str]
    files: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


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
    paths = [written(stage, file) for file in trial.snippet.rendered(settings)]
    around = trial.around(program, stage.place, paths)
    for name, text in around.files.items():
        written(stage, ConfigFile(name=name, text=text, place=""))
    log = stage.directory / "server.log"
    with started(
        around.command, log, account=stage.account, environment=around.environment, directory=stage.place
    ) as server:
        port = settings.listen.port
        server.wait_until(lambda: listens(port), f"{trial.snippet.facts.title} listens")
        way = Way(port=port, server_name=SERVER_NAME, roots=stage.roots)
        yield Running(stage=stage, trial=trial, settings=settings, program=server, way=way)


def written(stage: Stage, file: ConfigFile) -> Path:
    """The file in the server's directory, for its account alone."""
    path = stage.place / file.name
    path.touch(0o600)
    path.write_text(file.text)
    stage.account.give(path)
    return path
