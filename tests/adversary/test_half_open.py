"""A thousand handshakes that never end: bounded in number, in time and in memory, and no bar to others."""

import asyncio
import resource
import socket
import ssl
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from dnsbound import verified_peer
from dnsbound.edge.handshake_slots import HandshakeOutcome
from dnsbound.testing import Fault, World
from machines.doors import LOOPS, SERVER, car, dial, door, hang_up, run, serving, until

pytestmark = pytest.mark.parametrize("kind", LOOPS)

CROWD = 1000


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
    """While the crowd stands within the limit, a good client is served; at the deadline all of it is gone."""
    device, at = car(world), door(world, handshake_seconds=4)
    octets = first_flight(at.client(device)) if stops_after == "hello" else b""

    async def main() -> tuple[float, int]:
        loop = asyncio.get_running_loop()
        async with serving(Greeter, at, backlog=CROWD) as port:
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
            began = loop.time()
            standing = await crowd(port, octets)
            await until(lambda: at.context.handshake_slots.unfinished == CROWD)
            used = tracemalloc.get_traced_memory()[0] - before
            tracemalloc.stop()
            reader, writer = await dial(port, at.client(device))
            assert await reader.readline() == b"known\n"
            await hang_up(writer)
            for plain in standing:
                assert await closed_by_the_server(plain)
                plain.close()
            await until(lambda: at.context.handshake_slots.unfinished == 0)
            return loop.time() - began, used

    took, used = run(kind, main)
    assert 3.5 < took < 15
    # Python's share for each: protocol, transports, shim, timer; and no receive buffer of its own.
    assert used < CROWD * 24_000
    counts = at.context.handshake_slots.counts()
    assert counts[HandshakeOutcome.TIMED_OUT] == CROWD
    assert counts[HandshakeOutcome.TURNED_AWAY] == 0


def test_the_limit_holds(kind: str, world: World) -> None:
    """Of a thousand, a hundred get a handshake; the others are closed on arrival, and cost nothing."""
    at = door(world, handshakes_at_once=100, handshake_seconds=10)

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


def test_verdicts_that_never_come(kind: str, world: World) -> None:
    """Clients of a name whose DNS is dead: no lookup and no task outlives the deadline."""
    device, other = car(world), car(world, "car55")
    # Named one by one: of names that a pattern lets in, one address may not cause so many lookups.
    at = door(world, str(device.name), str(other.name), deadline=60, handshake_seconds=2)
    world.fault(str(device.name), Fault.DEAD)
    waiting = 60

    async def main() -> None:
        async with serving(Greeter, at) as port:
            tasks = len(asyncio.all_tasks())
            clients: list[Any] = await asyncio.gather(*(dial(port, at.client(device)) for _ in range(waiting)))
            await until(lambda: at.context.handshake_slots.unfinished == waiting)
            reader, writer = await dial(port, at.client(other))
            assert await reader.readline() == b"known\n"
            await hang_up(writer)
            for reader, writer in clients:
                with pytest.raises(ssl.SSLError):
                    await reader.read()
                await hang_up(writer)
            await until(lambda: at.context.handshake_slots.unfinished == 0)
            assert len(asyncio.all_tasks()) <= tasks

    run(kind, main)
    assert at.context.handshake_slots.counts()[HandshakeOutcome.TIMED_OUT] == waiting
    # The clients shared one lookup.
    assert len(world.queries_for(str(device.name))) < 10


def test_early_octets_do_not_pile_up(kind: str, world: World, tmp_path: Path) -> None:
    """A client whose verdict is awaited sends without end: its octets are held up to the limit, then it must wait."""
    device, at = car(world), door(world, deadline=60, handshake_seconds=4)
    world.fault(str(device.name), Fault.DEAD)

    def client(port: int) -> int:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = at.stock_client(device, tmp_path).wrap_bio(incoming, outgoing, server_hostname=SERVER)
        with socket.create_connection(("127.0.0.1", port), timeout=1) as plain:
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    plain.sendall(outgoing.read())
                    incoming.write(plain.recv(65_536))
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
