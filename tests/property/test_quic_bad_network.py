"""QUIC over networks that lose, double, reorder and corrupt datagrams, drawn from seeds."""

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from dnsbound.edge.quic_client import open_quic_connection
from dnsbound.edge.quic_connection import QuicLimits
from dnsbound.errors import Reason
from dnsbound.testing import World
from dnsbound.tls.errors import TLSAlertReceived
from machines.doors import SERVER, car, run
from machines.quic_doors import ask, client, echo, quic_door, serving

MESSAGE = bytes(range(256)) * 400


class BadNetwork(asyncio.DatagramProtocol):
    """A relay on loopback between one client and a server."""

    def __init__(self, server: tuple[str, int], seed: int, **chances: float) -> None:
        self.transport: asyncio.DatagramTransport
        self._chance = random.Random(seed)
        self._chances = {"lost": 0.0, "doubled": 0.0, "late": 0.0, "corrupted": 0.0} | chances
        self._server = server
        self._client: Any = None
        self.carried = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if addr != self._server:
            self._client = addr
        to = self._client if addr == self._server else self._server
        if self._happens("lost"):
            return
        for _ in range(2 if self._happens("doubled") else 1):
            octets = bytearray(data)
            if self._happens("corrupted"):
                octets[self._chance.randrange(len(octets))] ^= 1 << self._chance.randrange(8)
            delay = self._chance.uniform(0.001, 0.02) if self._happens("late") else 0.0
            asyncio.get_running_loop().call_later(delay, self._send, bytes(octets), to)

    def _happens(self, what: str) -> bool:
        return self._chance.random() < self._chances[what]

    def _send(self, datagram: bytes, to: Any) -> None:
        if not self.transport.is_closing() and to is not None:
            self.carried += 1
            self.transport.sendto(datagram, to)


async def through(
    server: Any,
    context: Any,
    use: Callable[[Any], Any],
    seed: int,
    *,
    bounds: QuicLimits | None = None,
    **chances: float,
) -> Any:
    loop = asyncio.get_running_loop()
    network = BadNetwork(server.address, seed, **chances)
    transport, _ = await loop.create_datagram_endpoint(lambda: network, local_addr=("127.0.0.1", 0))
    try:
        port = transport.get_extra_info("sockname")[1]
        async with await open_quic_connection(
            "127.0.0.1", port, context=context, server_hostname=SERVER, bounds=bounds
        ) as connection:
            return await use(connection)
    finally:
        transport.close()


@pytest.mark.parametrize("seed", range(6))
def test_all_of_it_arrives_in_order(world: World, seed: int) -> None:
    at, device = quic_door(world), car(world)

    async def main() -> bytes:
        async with serving(at, echo) as server:
            answer: bytes = await through(
                server,
                client(at, device),
                lambda connection: ask(connection, MESSAGE),
                seed,
                lost=0.1,
                doubled=0.1,
                late=0.3,
                corrupted=0.05,
            )
            return answer

    assert run("asyncio", main) == MESSAGE.upper()
    assert set(at.reasons) == {"admitted"}  # asked again as records expire


@pytest.mark.parametrize("seed", range(4))
def test_a_refusal_arrives_through_it(world: World, seed: int) -> None:
    """What tells of it is sent three times, and again to a client that goes on; or it is lost, like anything else."""
    at, device = quic_door(world), car(world)
    device.revoke()

    async def use(connection: Any) -> None:
        with pytest.raises((TLSAlertReceived, TimeoutError)) as caught:
            await ask(connection, b"let me in")
        if isinstance(caught.value, TLSAlertReceived):
            assert caught.value.alert_received == 40

    async def main() -> None:
        async with serving(at, echo) as server:
            bounds = QuicLimits(idle_seconds=5)
            await through(server, client(at, device), use, seed, bounds=bounds, lost=0.3, doubled=0.1, late=0.3)

    run("asyncio", main)
    assert at.reasons == [Reason.NO_TLSA.value]


def test_an_address_that_changes_keeps_its_connection(world: World) -> None:
    """RFC 9000 section 9: the relay gets another address towards the server, as a NAT that forgot does."""
    at, device = quic_door(world), car(world)

    async def main() -> None:
        async with serving(at, echo) as server:
            loop = asyncio.get_running_loop()

            async def use(connection: Any) -> None:
                assert await ask(connection, b"before") == b"BEFORE"
                (served,) = server._all
                before = served.address
                relay = BadNetwork(server.address, 0)
                moved, _ = await loop.create_datagram_endpoint(lambda: relay, local_addr=("127.0.0.1", 0))
                with socket_towards(connection, moved.get_extra_info("sockname")):
                    assert await ask(connection, b"after") == b"AFTER"
                    assert served.address != before
                    assert server._all == {served}
                moved.close()

            await through(server, client(at, device), use, 0)

    run("asyncio", main)
    assert set(at.reasons) == {"admitted"}  # asked again as records expire


@contextmanager
def socket_towards(connection: Any, address: Any) -> Iterator[None]:
    """The client's datagrams go by way of this address; the client itself notices nothing."""
    earlier = connection.transport.get_extra_info("peername")
    connection.transport._sock.connect(address)
    try:
        yield
    finally:
        connection.transport._sock.connect(earlier)
