"""`dnsbound lab`: World for people. A signed miniature Internet on loopback ports, with files and commands that point
other software at it. It runs until Ctrl-C and takes lines on standard input meanwhile (`help` lists them).
"""

import contextlib
import os
import select
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from dnsbound.cli.options import JsonOption
from dnsbound.cli.output import advise, emit, say
from dnsbound.errors import Misuse

if TYPE_CHECKING:
    from types import FrameType

    from dnsbound.cli.lab_console import LabConsole
    from dnsbound.testing import World

_ORGANISATION: Final = "cars.example"
_DEVICE: Final = "car54"
_POLL_SECONDS: Final = 0.2
_STANDARD_INPUT: Final = 0
_LINE_OCTETS: Final = 4096


def lab(
    *,
    directory: Annotated[
        Path | None,
        typer.Option("--directory", help="Where to write files.", show_default="a temporary one", file_okay=False),
    ] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Of the resolver; 0 takes a free one.")] = 0,
    tls_port: Annotated[int, typer.Option("--tls-port", min=0, max=65535, help="Of DNS over TLS.")] = 0,
    authority_port: Annotated[int, typer.Option("--authority-port", min=0, max=65535, help="Of the authority.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Run a signed miniature Internet on this machine, to try everything against; until Ctrl-C."""
    from dnsbound.cli.lab_console import LabConsole
    from dnsbound.testing import World

    with (
        _until_signalled() as ended,
        World(resolver_port=port, resolver_tls_port=tls_port, authority_port=authority_port) as world,
    ):
        written = _prepared(directory, world)
        console = LabConsole(world, written)
        console.device([_DEVICE])
        world.organisation("unsigned.example", signed=False).device("car1")
        unbound_port = _free_port()
        _write_configuration(world, written, unbound_port)
        if as_json:
            emit(_facts(world, written) | {"unbound_port": unbound_port})
        else:
            _tell(world, written, unbound_port)
        _take_lines(console, ended)


def _prepared(directory: Path | None, world: "World") -> Path:
    """The directory for files; nothing that is there already is overwritten."""
    if directory is None:
        return world.directory
    directory = directory.absolute()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise Misuse(f"{directory} is not empty; the lab writes into a directory of its own")
    (directory / "anchors.txt").write_text(world.anchors_text)
    (directory / "web-root.pem").write_bytes(world.web_root_pem)
    return directory


def _free_port() -> int:
    """A port for a program that may be started later; somebody else may have taken it by then."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def _write_configuration(world: "World", directory: Path, unbound_port: int) -> None:
    from dnsbound.testing.peer_configuration import delv_anchors, unbound_configuration

    (directory / "delv.conf").write_text(delv_anchors(world.anchors))
    text = unbound_configuration(world, directory=directory, port=unbound_port)
    (directory / "unbound.conf").write_text(text)


def _facts(world: "World", directory: Path) -> dict[str, object]:
    from dnsbound.testing import RESOLVER_NAME

    return {
        "resolver": str(world.resolver_address),
        "resolver_tls": f"tls://{world.resolver_tls_address}#{RESOLVER_NAME}",
        "authority": str(world.authority_address),
        "directory": str(directory),
        "anchors": str(directory / "anchors.txt"),
        "web_root": str(directory / "web-root.pem"),
        "delv": str(directory / "delv.conf"),
        "unbound": str(directory / "unbound.conf"),
        "name": f"{_DEVICE}._device.{_ORGANISATION}",
        "credential": str(directory / f"{_DEVICE}.pem"),
    }


def _tell(world: "World", directory: Path, unbound_port: int) -> None:
    from dnsbound.testing.peer_configuration import commands

    name = f"{_DEVICE}._device.{_ORGANISATION}"
    say(f"A signed Internet runs here. {name} is published; its credential is {directory / _DEVICE}.pem")
    say()
    for command in commands(world, directory=directory, name=name, unbound_port=unbound_port):
        say(f"# {command.program}: {command.purpose}")
        say(command.line)
    say()
    say("# for programs of this package, in another shell")
    say(f"export DNSBOUND_RESOLVER={world.resolver_address} DNSBOUND_ANCHORS={directory / 'anchors.txt'}")
    say()
    advise("Lines such as `revoke car54`, `fault car54 bogus` or `help` are taken here. Ctrl-C ends the lab.")


@contextlib.contextmanager
def _until_signalled() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set, so that files and ports are given back."""
    ended = threading.Event()

    def end(_number: int, _frame: "FrameType | None") -> None:
        ended.set()

    former = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield ended
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _take_lines(console: "LabConsole", ended: threading.Event) -> None:
    """Run lines of standard input until a signal comes; the end of the input alone ends nothing."""
    begun = b""
    reading = True
    while not ended.is_set():
        if not reading:
            ended.wait(_POLL_SECONDS)
            continue
        readable, _, _ = select.select([_STANDARD_INPUT], [], [], _POLL_SECONDS)
        if not readable:
            continue
        octets = os.read(_STANDARD_INPUT, _LINE_OCTETS)
        reading = bool(octets)
        *lines, begun = (begun + octets).split(b"\n")
        for line in lines:
            for told in console.run(line.decode(errors="replace")):
                say(told)
        begun = begun[-_LINE_OCTETS:]
