"""A door on World, and loops to serve it on, for the tests of servers."""

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from dnsbound import AccessList, Authenticator, Context, Resolver, loop_factory
from dnsbound.testing import Device, World
from dnsbound.verify.decision import Decision

_T = TypeVar("_T")

LOOPS = ("asyncio", "uvloop")
SERVER = "localhost"
PATIENCE = 60.0
"""Seconds after which a test that waits has failed. No test waits for it to pass: it may be long, for busy machines."""

LONGEST_STALL = 20.0
"""Seconds that a busy machine may be late by."""


def run(kind: str, main: Callable[[], Coroutine[Any, Any, _T]], *, factory: Callable[[], Any] | None = None) -> _T:
    """Run on a fresh loop of ours; whatever a callback of the loop raised fails the test."""
    unhandled: list[dict[str, Any]] = []

    async def watched() -> _T:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
        return await asyncio.wait_for(main(), PATIENCE)

    with asyncio.Runner(loop_factory=factory or (lambda: loop_factory(kind))) as runner:
        result = runner.run(watched())
    assert unhandled == []
    return result


@dataclass
class Door:
    """One server Context on World's zone cars.example, with what was decided at it."""

    world: World
    context: Context
    authenticator: Authenticator
    resolver: Resolver
    decisions: list[Decision] = field(default_factory=list)

    @property
    def reasons(self) -> list[str]:
        return [decision.reason.value if decision.reason else "admitted" for decision in self.decisions]

    def client(self, device: Device | None, **options: Any) -> Context:
        """A client's Context that trusts World's web servers."""
        made = Context.client(None if device is None else device.credential, **options)
        made.load_verify_locations(cadata=self.world.web_root_pem.decode())
        return made

    def stock_client(self, device: Device | None, tmp_path: Path) -> ssl.SSLContext:
        """The standard library's, which sends no extension; the name is in its certificate."""
        made = ssl.create_default_context(cadata=self.world.web_root_pem.decode())
        if device is not None:
            file = tmp_path / f"{device.name}.pem"
            file.write_bytes(device.credential.to_pem())
            made.load_cert_chain(file)
        return made


def door(world: World, *allow: str, deadline: float = 5.0, grace: float = PATIENCE, **options: Any) -> Door:
    """A door that lets in these names; by default every device of cars.example.

    grace: long, so that a busy machine, which gets no answer within the two seconds that a record of World's lasts,
    cuts nobody as undecided. What is revoked is cut at once all the same.
    """
    names = allow or ("*._device.cars.example",)
    access = AccessList.from_toml(f"[door.api]\nallow = {list(names)!r}\n".replace("'", '"'))
    decisions: list[Decision] = []
    resolver = world.resolver()
    authenticator = Authenticator(
        access, resolver, door="api", deadline=deadline, grace=grace, on_decision=decisions.append
    )
    context = Context.server(world.web_credential(SERVER, "127.0.0.1"), authenticator=authenticator, **options)
    return Door(world, context, authenticator, resolver, decisions)


def car(world: World, label: str = "car54", **options: Any) -> Device:
    return world.organisation("cars.example").device(label, **options)


async def dial(port: int, context: ssl.SSLContext) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=SERVER)


async def ended(server: asyncio.Server) -> None:
    """Close a server and wait until every connection of its is gone, so that none is left open on a closed loop."""
    # From before the end: `wait_closed` of Python 3.11 waits for nothing once `close` was called.
    gone = asyncio.ensure_future(server.wait_closed())
    await asyncio.sleep(0)
    server.close()
    await asyncio.wait_for(gone, PATIENCE)


@asynccontextmanager
async def ending(server: asyncio.Server) -> AsyncIterator[asyncio.Server]:
    """The server for as long as the block lasts, and `ended`."""
    try:
        yield server
    finally:
        await ended(server)


@asynccontextmanager
async def serving(factory: Callable[[], asyncio.BaseProtocol], at: Door, **options: Any) -> AsyncIterator[int]:
    """A TCP server of this door on a free port; yields the port."""
    server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0, ssl=at.context, **options)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        await ended(server)
        await at.resolver.aclose()


@contextmanager
def in_thread(server: Any) -> Iterator[int]:
    """A blocking server of a socketserver's kind, until the block ends; yields the port."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join(PATIENCE)
        server.server_close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for it to become true; the caller's time-out bounds it."""
    while not condition():  # noqa: ASYNC110 (what is waited for is code that knows nothing of the test)
        await asyncio.sleep(0.01)


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
