"""A thousand handshakes that never end: bounded in number, in time and in memory, and no bar to others."""

import asyncio
import resource
import socket
import ssl
import tracemalloc
from pathlib import Path

import pytest

from dnsbound import verified_peer
from dnsbound.edge.handshake_slots import HandshakeOutcome
from dnsbound.testing import Fault, World
from machines.doors import LOOPS, PATIENCE, SERVER, car, dial, door, ending, hang_up, run, serving, until

pytestmark = pytest.mark.parametrize("kind", LOOPS)

CROWD = 1000
UNHURRIED = 300
"""Seconds of a handshake, where its deadline is not what is tried; longer than any test may take."""


class Greeter(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(f"{verified_peer() and 'known'}\n".encode())


@pytest.fixture(autouse=True)
def _enough_descriptors() -> None:
    """The crowd's sockets and the server's are all in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * CROWD + 500
    if soft < needed:
        if hard != resource.RLIM_INFINITY and hard < needed:
            pytest.skip(f"this process may open {hard} files only")
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def first_flight(context: ssl.SSLContext) -> bytes:
    """A client's hello and nothing more."""
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=SERVER)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


async def crowd(port: int, octets: bytes, size: int = CROWD) -> list[socket.socket]:
    """Connections that send this and stay."""
    loop = asyncio.get_running_loop()
    made = []
    for number in range(size):
        plain = socket.socket()
        plain.setblocking(False)
        await loop.sock_connect(plain, ("127.0.0.1", port))
        if octets:
            await loop.sock_sendall(plain, octets)
        made.append(plain)
        if number % 50 == 0:
            await asyncio.sleep(0)
    return made


async def is_served(port: int, context: ssl.SSLContext, *, address: str = "127.0.0.1") -> None:
    """A good client from this address of the loopback network."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname=SERVER, local_addr=(address, 0)
    )
    assert await reader.readline() == b"known\n"
    await hang_up(writer)


async def end_of(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
    """How the server ended a connection, or what it said."""
    try:
        return (await reader.read()).decode() or "closed"
    except ssl.SSLError:
        return "alert"
    except ConnectionError:
        return "closed"
    finally:
        await hang_up(writer)


async def closed_by_the_server(plain: socket.socket) -> bool:
    loop = asyncio.get_running_loop()
    try:
        while await loop.sock_recv(plain, 65_536):
            pass
    except ConnectionResetError:
        pass
    return True


@pytest.mark.parametrize("stops_after", ["connect", "hello"])
def test_handshakes_that_stop(kind: str, stops_after: str, world: World) -> None:
    """While the crowd stands within the limit, a good client is served, and the crowd costs little memory."""
    device, at = car(world), door(world, handshakes_per_source=CROWD + 1, handshake_seconds=UNHURRIED)
    octets = first_flight(at.client(device)) if stops_after == "hello" else b""

    async def main() -> int:
        async with serving(Greeter, at, backlog=CROWD) as port:
            tracemalloc.start()
            try:
                before = tracemalloc.get_traced_memory()[0]
                standing = await crowd(port, octets)
                await until(lambda: at.context.handshake_slots.unfinished == CROWD)
                used = tracemalloc.get_traced_memory()[0] - before
            finally:
                tracemalloc.stop()
            await is_served(port, at.client(device))
            assert at.context.handshake_slots.unfinished == CROWD
            for plain in standing:
                plain.close()
            await until(lambda: at.context.handshake_slots.unfinished == 0)
            return used

    # Python's share for each: protocol, transports, shim, timer; and no receive buffer of its own.
    assert run(kind, main) < CROWD * 24_000
    counts = at.context.handshake_slots.counts()
    assert counts[HandshakeOutcome.GONE] == CROWD
    assert counts[HandshakeOutcome.TURNED_AWAY] == 0


@pytest.mark.parametrize("stops_after", ["connect", "hello"])
def test_the_deadline_ends_them_all(kind: str, stops_after: str, world: World) -> None:
    """None is closed before it, however busy the machine; and after it none is left."""
    seconds = 2
    at = door(world, handshakes_per_source=CROWD, handshake_seconds=seconds)
    octets = first_flight(at.client(car(world))) if stops_after == "hello" else b""

    async def main() -> float:
        loop = asyncio.get_running_loop()
        async with serving(Greeter, at, backlog=CROWD) as port:
            began = loop.time()
            standing = await crowd(port, octets)
            assert await closed_by_the_server(standing[0])
            took = loop.time() - began
            for plain in standing:
                assert await closed_by_the_server(plain)
                plain.close()
            await until(lambda: at.context.handshake_slots.unfinished == 0)
            return took

    assert run(kind, main) > seconds - 0.5
    counts = at.context.handshake_slots.counts()
    assert counts[HandshakeOutcome.TIMED_OUT] == CROWD
    assert counts[HandshakeOutcome.TURNED_AWAY] == 0


def test_the_limit_holds(kind: str, world: World) -> None:
    """Of a thousand, a hundred get a handshake; the others are closed on arrival, and cost nothing."""
    at = door(world, handshakes_at_once=100, handshakes_per_source=100, handshake_seconds=UNHURRIED)

    async def main() -> None:
        async with serving(Greeter, at, backlog=CROWD) as port:
            standing = await crowd(port, b"")
            await until(lambda: sum(at.context.handshake_slots.counts().values()) == CROWD - 100)
            assert at.context.handshake_slots.unfinished == 100
            for plain in standing:
                plain.close()
            await until(lambda: at.context.handshake_slots.unfinished == 0)

    run(kind, main)
    counts = at.context.handshake_slots.counts()
    assert counts[HandshakeOutcome.TURNED_AWAY] == CROWD - 100
    assert counts[HandshakeOutcome.GONE] == 100


def test_one_address_cannot_keep_another_out(kind: str, world: World) -> None:
    """A crowd of one network gets its share; others are served meanwhile, and its neighbours once it has gone."""
    device, at = car(world), door(world, handshakes_at_once=40, handshake_seconds=UNHURRIED)

    async def main() -> None:
        async with serving(Greeter, at, backlog=CROWD) as port:
            standing = await crowd(port, b"", 200)
            await until(lambda: at.context.handshake_slots.counts()[HandshakeOutcome.TURNED_AWAY] == 190)
            assert at.context.handshake_slots.unfinished == 10
            await is_served(port, at.client(device), address="127.9.0.1")
            with pytest.raises(OSError):  # noqa: PT011 (whichever way the client meets the closed connection)
                await is_served(port, at.client(device), address="127.0.0.77")
            assert at.context.handshake_slots.unfinished == 10
            for plain in standing:
                plain.close()
            await until(lambda: at.context.handshake_slots.unfinished == 0)
            await is_served(port, at.client(device), address="127.0.0.77")

    run(kind, main)
    counts = at.context.handshake_slots.counts()
    assert counts[HandshakeOutcome.TURNED_AWAY] == 191
    assert counts[HandshakeOutcome.ADMITTED] == 2


def test_local_sockets_have_no_share(kind: str, world: World, tmp_path: Path) -> None:
    at, path = door(world, handshakes_at_once=4, handshake_seconds=UNHURRIED), str(tmp_path / "door")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with ending(await loop.create_unix_server(Greeter, path, ssl=at.context)):
            standing = [await asyncio.open_unix_connection(path) for _ in range(4)]
            await until(lambda: at.context.handshake_slots.unfinished == 4)
            for _, writer in standing:
                await hang_up(writer)
            await until(lambda: at.context.handshake_slots.unfinished == 0)
        await at.resolver.aclose()

    run(kind, main)
    assert at.context.handshake_slots.counts()[HandshakeOutcome.TURNED_AWAY] == 0


def test_verdicts_that_never_come(kind: str, world: World) -> None:
    """Clients of a name whose DNS is dead: no lookup and no task outlives the deadline."""
    device, other = car(world), car(world, "car55")
    # Named one by one: of names that a pattern lets in, one address may not cause so many lookups.
    at = door(world, str(device.name), str(other.name), deadline=60, handshake_seconds=5)
    world.fault(str(device.name), Fault.DEAD)
    waiting = 60

    async def main() -> None:
        async with serving(Greeter, at) as port:
            tasks = len(asyncio.all_tasks())
            # On a busy machine the deadline may come before one's handshake is over, at either end: then dialling
            # fails, or there is no claim yet that could be answered with an alert.
            tried = await asyncio.gather(
                *(dial(port, at.client(device)) for _ in range(waiting)), return_exceptions=True
            )
            await is_served(port, at.client(other))
            clients = [pair for pair in tried if isinstance(pair, tuple)]
            assert clients
            ends = [await end_of(reader, writer) for reader, writer in clients]
            assert "alert" in ends
            assert set(ends) <= {"alert", "closed"}
            await until(lambda: at.context.handshake_slots.unfinished == 0)
            assert len(asyncio.all_tasks()) <= tasks

    run(kind, main)
    assert at.context.handshake_slots.counts()[HandshakeOutcome.TIMED_OUT] == waiting
    # The clients shared one lookup.
    assert len(world.queries_for(str(device.name))) < 10


def test_early_octets_do_not_pile_up(kind: str, world: World, tmp_path: Path) -> None:
    """A client whose verdict is awaited sends without end: its octets are held up to the limit, then it must wait."""
    device, at = car(world), door(world, deadline=60, handshake_seconds=10)
    world.fault(str(device.name), Fault.DEAD)

    def client(port: int) -> int:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = at.stock_client(device, tmp_path).wrap_bio(incoming, outgoing, server_hostname=SERVER)
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as plain:
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    plain.sendall(outgoing.read())
                    incoming.write(plain.recv(65_536))
            plain.settimeout(1)
            sent = 0
            while sent < 64_000_000:
                tls.write(bytes(262_144))
                octets = memoryview(outgoing.read())
                try:
                    while octets:
                        count = plain.send(octets)
                        sent, octets = sent + count, octets[count:]
                except TimeoutError:  # nothing was taken for a second
                    break
            return sent

    async def main() -> int:
        async with serving(Greeter, at) as port:
            sent = await asyncio.to_thread(client, port)
            assert at.context.handshake_slots.unfinished == 1
            await until(lambda: at.context.handshake_slots.unfinished == 0)
            return sent

    # The kernel's buffers on both sides, and the limit.
    assert run(kind, main) < 16_000_000
