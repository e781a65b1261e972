"""A connection that has ended is forgotten at once: nothing of it waits for the garbage collector.

Each holds some 40 kB of OpenSSL's memory, which the collector does not see. A ring of references would keep that as
long as the collector likes, and clients that are refused could make a server grow.
"""

import asyncio
import gc
from collections.abc import Iterator
from contextlib import suppress

import pytest

from dnsbound.edge.exported_authentication import ExportedAuthentication, answer_request
from dnsbound.edge.server_protocol import ServerProtocol
from dnsbound.edge.server_transport import ServerTransport
from dnsbound.errors import Refused, Undecided
from dnsbound.testing import Fault, World
from dnsbound.tls.server_shim import ServerShim
from machines.doors import LOOPS, Door, car, dial, door, hang_up, run, serving, until

pytestmark = pytest.mark.parametrize("kind", LOOPS)

CONNECTIONS = 5


KINDS = (ServerProtocol, ServerShim, ServerTransport)

earlier: list[object] = []
"""What other tests keep; held here, so that no new object gets the identity of one of them."""


@pytest.fixture(autouse=True)
def _no_collector() -> Iterator[None]:
    gc.collect()
    earlier[:] = [thing for thing in gc.get_objects() if type(thing) in KINDS]
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        earlier.clear()


def remembered() -> list[str]:
    known = set(map(id, earlier))
    return [type(thing).__name__ for thing in gc.get_objects() if type(thing) in KINDS and id(thing) not in known]


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, ServerTransport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


async def visit(port: int, context: object, *, expect_echo: bool) -> None:
    """A client that says hello and leaves, let in or not."""
    echoed = b""
    with suppress(OSError):
        reader, writer = await dial(port, context)  # type: ignore[arg-type]
        try:
            writer.write(b"hello")
            echoed = await reader.read(100)
        finally:
            await hang_up(writer)
    assert echoed == (b"hello" if expect_echo else b"")


def serve_and_visit(kind: str, at: Door, context: object, *, expect_echo: bool) -> None:
    async def main() -> None:
        async with serving(Echo, at) as port:
            for _ in range(CONNECTIONS):
                await visit(port, context, expect_echo=expect_echo)
            await until(lambda: not at.context.handshake_slots.unfinished and remembered() == [])

    run(kind, main)


def test_an_admitted_client(kind: str, world: World) -> None:
    at = door(world)
    serve_and_visit(kind, at, at.client(car(world)), expect_echo=True)
    assert at.reasons == ["admitted"] * CONNECTIONS


def test_a_client_that_is_refused_without_a_lookup(kind: str, world: World) -> None:
    at = door(world, "another._device.cars.example")
    serve_and_visit(kind, at, at.client(car(world)), expect_echo=False)
    assert at.reasons == ["not-permitted"] * CONNECTIONS


def test_a_client_that_is_refused_after_a_lookup(kind: str, world: World) -> None:
    at, stranger = door(world), car(world)
    stranger.credential = stranger.renew()
    serve_and_visit(kind, at, at.client(stranger), expect_echo=False)
    assert at.reasons == ["tlsa-mismatch"] * CONNECTIONS


def test_a_client_about_whom_nothing_can_be_found_out(kind: str, world: World) -> None:
    at, device = door(world), car(world)
    world.fault(device.name.text, Fault.SERVFAIL)
    serve_and_visit(kind, at, at.client(device), expect_echo=False)
    assert at.reasons == ["dns-failed"] * CONNECTIONS


def test_a_client_that_speaks_no_tls(kind: str, world: World) -> None:
    at = door(world)

    async def main() -> None:
        async with serving(Echo, at) as port:
            for _ in range(CONNECTIONS):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"GET / HTTP/1.1\r\n\r\n")
                await hang_up(writer)
            await until(lambda: not at.context.handshake_slots.unfinished and remembered() == [])

    run(kind, main)
    assert at.reasons == []


def test_a_client_that_breaks_off(kind: str, world: World) -> None:
    """No close_notify: the application is told of an error, which is not kept either."""
    at = door(world)
    client = at.client(car(world))

    async def main() -> None:
        async with serving(Echo, at) as port:
            for _ in range(CONNECTIONS):
                reader, writer = await dial(port, client)
                writer.write(b"hello")
                assert await reader.read(100) == b"hello"
                writer.transport.abort()
            await until(lambda: remembered() == [])

    run(kind, main)


class LateEcho(asyncio.Protocol):
    """Authenticates its client late, in both ways, before it answers."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, ServerTransport)
        self.transport = transport
        self.late = ExportedAuthentication(transport)
        request = self.late.request()
        transport.write(len(request).to_bytes(2, "big") + request)

    def data_received(self, data: bytes) -> None:
        self.task = asyncio.get_running_loop().create_task(self.judge(data[2:]))

    async def judge(self, answer: bytes) -> None:
        with suppress(OSError, Refused, Undecided):
            await self.late.verify(answer)
            await self.transport.authenticate_client()
            self.transport.write(b"hello")


@pytest.mark.parametrize("known", [True, False])
def test_a_client_that_is_authenticated_late(kind: str, known: bool, world: World) -> None:
    """By an exported authenticator and after the handshake; or refused then."""
    at = door(world, policy="optional", post_handshake=True)
    own = car(world) if known else world.organisation("strangers.example").device("x")
    driver = car(world, "driver")
    context = at.client(own, request_signal=None)
    context.post_handshake_auth = True

    async def visit_late(port: int) -> None:
        reader, writer = await dial(port, context)
        request = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        answer = answer_request(writer, request, driver.credential)
        writer.write(len(answer).to_bytes(2, "big") + answer)
        with suppress(OSError):
            assert await reader.read(100) == (b"hello" if known else b"")
        await hang_up(writer)

    async def main() -> None:
        async with serving(LateEcho, at) as port:
            for _ in range(CONNECTIONS):
                await visit_late(port)
            await until(lambda: remembered() == [] and len(at.authenticator.sessions) == 0)

    run(kind, main)
    assert at.reasons == ["admitted", "admitted" if known else "not-permitted"] * CONNECTIONS
