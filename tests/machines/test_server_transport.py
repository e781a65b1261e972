"""The application's side of an admitted connection: flow control both ways, closing, faults of applications."""

import asyncio
import os
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest

from dnsbound import limits
from dnsbound.testing import World
from machines.doors import LOOPS, PATIENCE, SERVER, car, dial, door, hang_up, run, serving, until

pytestmark = pytest.mark.parametrize("kind", LOOPS)

MUCH = 3_000_000
MORE = 512 * 65_536
"""More than the kernel's buffers on both sides take."""


class Kept(asyncio.Protocol):
    """Keeps its transport and what it was told."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.paused: list[bool] = []
        self.lost = False
        made.append(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self.received += data

    def pause_writing(self) -> None:
        self.paused.append(True)

    def resume_writing(self) -> None:
        self.paused.append(False)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True


made: list[Any] = []


@pytest.fixture(autouse=True)
def _forget() -> None:
    made.clear()


def talk_to(port: int, context: ssl.SSLContext) -> ssl.SSLSocket:
    """A blocking client, its handshake done."""
    plain = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    return context.wrap_socket(plain, server_hostname=SERVER)


async def end_of(reader: asyncio.StreamReader) -> bytes:
    """What came before the end; a reset is an end as well."""
    try:
        return await reader.read()
    except OSError:
        return b""


def test_much_goes_both_ways_unchanged(kind: str, world: World) -> None:
    device, at = car(world), door(world)
    octets = os.urandom(MUCH)

    class Echo(Kept):
        def data_received(self, data: bytes) -> None:
            self.transport.write(data)

    async def main() -> bytes:
        async with serving(Echo, at) as port:
            reader, writer = await dial(port, at.client(device))
            writer.write(octets)
            echoed = await reader.readexactly(MUCH)
            await hang_up(writer)
            return echoed

    assert run(kind, main) == octets


def test_a_buffered_protocol_gets_the_same_octets(kind: str, world: World) -> None:
    device, at = car(world), door(world)
    octets = os.urandom(300_000)

    class Buffered(asyncio.BufferedProtocol):
        def __init__(self) -> None:
            self.received = bytearray()
            self.buffer = bytearray(1000)
            made.append(self)

        def get_buffer(self, sizehint: int) -> bytearray:
            return self.buffer

        def buffer_updated(self, nbytes: int) -> None:
            self.received += self.buffer[:nbytes]

    async def main() -> None:
        async with serving(Buffered, at) as port:
            _, writer = await dial(port, at.client(device))
            writer.write(octets)
            await until(lambda: bool(made) and len(made[0].received) == len(octets))
            await hang_up(writer)

    run(kind, main)
    assert made[0].received == octets


def test_a_client_that_does_not_read_pauses_the_application(kind: str, world: World) -> None:
    """The plain transport's water marks reach the application; nothing piles up beside them."""
    device, at = car(world), door(world)
    chunk = os.urandom(65_536)

    class Source(Kept):
        sent = 0

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            self.transport.set_write_buffer_limits(high=100_000, low=20_000)
            self.pump()

        def pump(self) -> None:
            while self.sent < MORE and not (self.paused and self.paused[-1]):
                self.transport.write(chunk)
                self.sent += len(chunk)
            self.most = max(getattr(self, "most", 0), self.transport.get_write_buffer_size())

        def resume_writing(self) -> None:
            super().resume_writing()
            self.pump()

    async def main() -> None:
        async with serving(Source, at) as port:
            reader, writer = await dial(port, at.client(device))
            await until(lambda: bool(made) and bool(made[0].paused))
            stalled = made[0].sent
            assert stalled < MORE
            assert made[0].transport.get_write_buffer_limits() == (20_000, 100_000)
            left = MORE
            while left:
                left -= len(await reader.read(min(left, 1_000_000)))
            await hang_up(writer)

    run(kind, main)
    assert made[0].paused[:2] == [True, False]
    assert made[0].most < 100_000 + 2 * len(chunk)


def test_an_application_that_pauses_gets_nothing_until_it_resumes(kind: str, world: World) -> None:
    device, at = car(world), door(world)
    octets = os.urandom(MUCH)

    class Shy(Kept):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.transport.pause_reading()
            assert not self.transport.is_reading()

    async def main() -> None:
        async with serving(Shy, at) as port:
            _, writer = await dial(port, at.client(device))
            writer.write(octets)
            await until(lambda: bool(made) and bool(made[0].received))
            shy = made[0]
            first = len(shy.received)
            await asyncio.sleep(0.1)
            assert len(shy.received) == first
            assert first < MUCH
            while len(shy.received) < MUCH:
                before = len(shy.received)
                shy.transport.resume_reading()
                await until(lambda before=before: len(shy.received) > before)
            # The client's end waits as well, and is not lost.
            writer.close()
            await asyncio.sleep(0.05)
            assert not shy.lost
            shy.transport.resume_reading()
            await until(lambda: shy.lost)

    run(kind, main)
    assert made[0].received == octets


def test_what_was_written_before_close_arrives_whole(kind: str, world: World, tmp_path: Path) -> None:
    """Also when the client is still sending: no reset overtakes the end."""
    device, at = car(world), door(world)
    octets = os.urandom(MUCH)

    class Answer(Kept):
        def data_received(self, data: bytes) -> None:
            if not self.transport.is_closing():
                self.transport.write(octets)
                self.transport.close()
                self.transport.write(b"too late")

    def client(port: int) -> bytes:
        with talk_to(port, at.stock_client(device, tmp_path)) as tls:
            tls.sendall(b"x" * 50_000)
            answer = b""
            while data := tls.recv(65_536):
                answer += data
            return answer

    async def main() -> bytes:
        async with serving(Answer, at) as port:
            answer = await asyncio.to_thread(client, port)
            await until(lambda: made[0].lost)
            return answer

    assert run(kind, main) == octets


def test_a_client_that_never_leaves_is_left(kind: str, world: World, tmp_path: Path) -> None:
    """A closed connection lingers for the caller's ssl_shutdown_timeout when that is shorter than the limit."""
    device, at = car(world), door(world)
    enough = threading.Event()

    class Closing(Kept):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            self.transport.close()

    def client(port: int) -> None:
        with talk_to(port, at.stock_client(device, tmp_path)):
            assert enough.wait(PATIENCE)

    async def main() -> float:
        loop = asyncio.get_running_loop()
        async with serving(Closing, at, ssl_shutdown_timeout=0.3) as port:
            staying = loop.run_in_executor(None, client, port)
            await until(lambda: bool(made))
            began = loop.time()
            await until(lambda: made[0].lost)
            took = loop.time() - began
            enough.set()
            await staying
            return took

    assert 0.2 < run(kind, main) < limits.LINGER_SECONDS.default - 1


def test_abort_ends_at_once(kind: str, world: World) -> None:
    device, at = car(world), door(world)

    async def main() -> None:
        async with serving(Kept, at) as port:
            _, writer = await dial(port, at.client(device))
            await until(lambda: bool(made))
            made[0].transport.abort()
            assert made[0].transport.is_closing()
            await until(lambda: made[0].lost)
            await hang_up(writer)

    run(kind, main)


def test_an_error_in_one_application_ends_its_connection_only(kind: str, world: World) -> None:
    device, at = car(world), door(world)
    unhandled: list[dict[str, Any]] = []

    class Fragile(Kept):
        def data_received(self, data: bytes) -> None:
            if data == b"break":
                raise ZeroDivisionError("an application's mistake")
            self.transport.write(data)

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
        async with serving(Fragile, at) as port:
            first, second = await dial(port, at.client(device)), await dial(port, at.client(device))
            await until(lambda: len(made) == 2)
            first[1].write(b"break")
            assert await end_of(first[0]) == b""
            second[1].write(b"still here")
            assert await second[0].readexactly(10) == b"still here"
            await hang_up(second[1])
            await hang_up(first[1])
            await until(lambda: all(protocol.lost for protocol in made))

    run(kind, main)
    assert [type(context["exception"]) for context in unhandled] == [ZeroDivisionError]


def test_an_application_that_cannot_be_made(kind: str, world: World) -> None:
    device, at = car(world), door(world)
    unhandled: list[dict[str, Any]] = []

    def broken() -> asyncio.Protocol:
        raise ZeroDivisionError("a factory's mistake")

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
        async with serving(broken, at) as port:
            reader, writer = await dial(port, at.client(device))
            assert await end_of(reader) == b""
            await hang_up(writer)
            await until(lambda: at.context.handshake_slots.unfinished == 0)

    run(kind, main)
    assert [type(context["exception"]) for context in unhandled] == [ZeroDivisionError]
    assert len(at.authenticator.sessions) == 0


def test_facts_of_the_transport(kind: str, world: World) -> None:
    device, at = car(world), door(world)

    async def main() -> None:
        async with serving(Kept, at) as port:
            _, writer = await dial(port, at.client(device))
            await until(lambda: bool(made))
            transport = made[0].transport
            assert transport.get_protocol() is made[0]
            assert transport.get_extra_info("sslcontext") is at.context
            assert transport.get_extra_info("ssl_object").version() == "TLSv1.3"
            assert transport.get_extra_info("cipher")[1] == "TLSv1.3"
            assert transport.get_extra_info("compression") is None
            assert transport.get_extra_info("peername")[0] == "127.0.0.1"
            assert str(transport.get_extra_info("verified_peer").name) == str(device.name)
            assert transport.get_extra_info("nothing of this name", 7) == 7
            assert not transport.can_write_eof()
            with pytest.raises(NotImplementedError):
                transport.write_eof()
            with pytest.raises(TypeError):
                transport.write("text")
            transport.writelines([b"a", b"b"])
            await hang_up(writer)
            await until(lambda: made[0].lost)
            assert transport.get_extra_info("peername")[0] == "127.0.0.1"

    run(kind, main)
