"""The stage the other examples play on: files as a real door has them, and a signed miniature Internet.

    server.pem     key and certificate of the server      car54.pem       of car54._device.cars.example, published
    access.toml    who may come in                        car55.pem       of car55._device.cars.example, published
    anchors.txt    whom to trust in the DNS               web-root.pem    the CA of the server's certificate

With the root's anchors, a resolver of yours and a public certificate, `door` is a program's own.
"""

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dnsbound
from dnsbound.testing import World

ACCESS = """
[door.api]
allow = ["*._device.cars.example"]
deny = ["car55._device.cars.example"]
"""


@dataclass(frozen=True)
class Stage:
    world: World
    files: Path


def door(files: Path, resolver: dnsbound.Resolver) -> dnsbound.Context:
    access = dnsbound.AccessFile(files / "access.toml")  # read again when it changes
    authenticator = dnsbound.Authenticator(access, resolver, door="api")
    return dnsbound.Context.server(dnsbound.load_credential(files / "server.pem"), authenticator=authenticator)


def client(files: Path, car: str = "car54") -> dnsbound.Context:
    context = dnsbound.Context.client(dnsbound.load_credential(files / f"{car}.pem"))
    context.load_verify_locations(files / "web-root.pem")  # a CA of one's own; the system's are there already
    return context


@contextmanager
def stage() -> Iterator[Stage]:
    with World() as world:
        files = world.directory
        (files / "access.toml").write_text(ACCESS)
        dnsbound.save_credential(world.web_credential("localhost"), files / "server.pem")
        for label in ("car54", "car55"):
            device = world.organisation("cars.example").device(label)
            dnsbound.save_credential(device.credential, files / f"{label}.pem")
        yield Stage(world, files)


@contextmanager
def listening() -> Iterator[tuple[socket.socket, int]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener, listener.getsockname()[1]


@contextmanager
def on_a_thread(run: Callable[[], None], stop: Callable[[], None]) -> Iterator[None]:
    """A server beside its client; in life they are two programs on two machines."""
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop()
        thread.join(20)


@contextmanager
def running(serve: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> Iterator[None]:
    """The same for a coroutine, on a dnsbound event loop; it ends when the event is set."""
    loop = dnsbound.loop_factory()
    ended = asyncio.Event()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve(ended))

    def stop() -> None:
        loop.call_soon_threadsafe(ended.set)

    with on_a_thread(run, stop):
        yield


@contextmanager
def greeting_api(at: Stage) -> Iterator[str]:
    """An HTTPS API that greets its callers; for the examples of clients. Its URL."""
    from door_uvicorn import server

    with listening() as (listener, port):
        serving = server(door(at.files, at.world.resolver()))

        def stop() -> None:
            serving.should_exit = True

        with on_a_thread(lambda: serving.run(sockets=[listener]), stop):
            yield f"https://localhost:{port}/"
