"""A RADIUS client over UDP against a server the tests make up, packet by packet."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from dnsbound.edge.radius_client import UdpRadiusClient
from dnsbound.errors import Misuse
from dnsbound.iana import RadiusAttribute, RadiusCode
from dnsbound.protocols.radius import answer_to, read_request
from dnsbound.protocols.radius_exchange import IDENTIFIERS, Patience
from machines.doors import PATIENCE, until

SECRET = b"sixteen octets at least"
USER = ((int(RadiusAttribute.USER_NAME), b"@cars.example"),)
QUICK = Patience(first=0.2, seconds=10)

Reply = Callable[[bytes, int], list[bytes]]
"""Takes a datagram and how many came before it; gives what is sent back."""


def run(main: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(main, PATIENCE)

    asyncio.run(bounded())


def accepted(octets: bytes, secret: bytes = SECRET) -> bytes:
    return answer_to(read_request(octets, SECRET), RadiusCode.ACCESS_ACCEPT, (), secret)


class Server(asyncio.DatagramProtocol):
    def __init__(self, reply: Reply) -> None:
        self.received: list[tuple[bytes, Any]] = []
        self.gone = asyncio.get_running_loop().create_future()
        self._reply = reply

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.received.append((data, addr))
        for octets in self._reply(data, len(self.received) - 1):
            self.transport.sendto(octets, addr)

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set_result(None)


@asynccontextmanager
async def serving(reply: Reply):
    _, server = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Server(reply), local_addr=("127.0.0.1", 0)
    )
    try:
        yield server, server.transport.get_extra_info("sockname")[1]
    finally:
        server.transport.close()
        await server.gone


def test_an_answer_to_the_first_packet() -> None:
    async def main() -> None:
        async with (
            serving(lambda octets, _: [accepted(octets)]) as (server, port),
            await UdpRadiusClient.open("127.0.0.1", port, SECRET) as client,
        ):
            answered = await client.ask(RadiusCode.ACCESS_REQUEST, USER)
            assert answered.packet.code is RadiusCode.ACCESS_ACCEPT
            assert answered.sent == 1
            assert answered.request_authenticator == server.received[0][0][4:20]

    run(main())


def test_a_repetition_is_the_same_packet_from_the_same_port() -> None:
    async def main() -> None:
        async with (
            serving(lambda octets, turn: [accepted(octets)] if turn == 2 else []) as (server, port),
            await UdpRadiusClient.open("127.0.0.1", port, SECRET, patience=QUICK) as client,
        ):
            answered = await client.ask(RadiusCode.ACCESS_REQUEST, USER)
            assert answered.sent == 3
        assert len(server.received) == 3
        assert len(set(server.received)) == 1

    run(main())


def test_a_changed_request_is_a_new_packet() -> None:
    """RFC 5080 section 2.2.1: another identifier and authenticator."""
    delay = 0

    def attributes() -> Any:
        nonlocal delay
        delay += 1
        return (*USER, (int(RadiusAttribute.ACCT_DELAY_TIME), delay.to_bytes(4, "big")))

    def reply(octets: bytes, turn: int) -> list[bytes]:
        if turn < 1:
            return []
        return [answer_to(read_request(octets, SECRET), RadiusCode.ACCOUNTING_RESPONSE, (), SECRET)]

    async def main() -> None:
        async with (
            serving(reply) as (server, port),
            await UdpRadiusClient.open("127.0.0.1", port, SECRET, patience=QUICK) as client,
        ):
            await client.ask(RadiusCode.ACCOUNTING_REQUEST, attributes)
        (first, _), (second, _) = server.received
        assert first[1] != second[1]
        assert first[4:20] != second[4:20]

    run(main())


def test_a_forged_answer_does_not_stand_in_the_way_of_the_true_one() -> None:
    async def main() -> None:
        async with (
            serving(lambda octets, _: [b"\x02", b"\x02\xff", accepted(octets, b"wrong"), accepted(octets)]) as (
                _,
                port,
            ),
            await UdpRadiusClient.open("127.0.0.1", port, SECRET) as client,
        ):
            await client.ask(RadiusCode.ACCESS_REQUEST, USER)
            assert client.bad == 1
            assert client.passed_over == 2

    run(main())


def test_giving_up() -> None:
    async def main() -> None:
        async with (
            serving(lambda *_: []) as (server, port),
            await UdpRadiusClient.open("127.0.0.1", port, SECRET) as client,
        ):
            with pytest.raises(TimeoutError):
                await client.ask(RadiusCode.ACCESS_REQUEST, USER, patience=Patience(first=0.05, times=2, seconds=9))
            assert len(server.received) == 2
            assert len(client._ports[0].pending) == 0

    run(main())


def test_more_requests_than_identifiers_take_another_port() -> None:
    held: list[bytes] = []

    def reply(octets: bytes, turn: int) -> list[bytes]:
        return [accepted(octets)] if turn >= IDENTIFIERS else held.append(octets) or []

    async def main() -> None:
        async with (
            serving(reply) as (server, port),
            await UdpRadiusClient.open("127.0.0.1", port, SECRET, source_ports=2) as client,
        ):
            asking = [asyncio.create_task(client.ask(RadiusCode.ACCESS_REQUEST, USER)) for _ in range(IDENTIFIERS)]
            await until(lambda: len(held) == IDENTIFIERS)
            await client.ask(RadiusCode.ACCESS_REQUEST, USER)
            assert len({address for _, address in server.received}) == 2
            assert sorted(octets[1] for octets in held) == list(range(IDENTIFIERS))
            for each in asking:
                each.cancel()
            await asyncio.wait(asking)

    run(main())


def test_what_is_under_way_fails_when_the_client_is_closed() -> None:
    async def main() -> None:
        async with serving(lambda *_: []) as (server, port):
            client = await UdpRadiusClient.open("127.0.0.1", port, SECRET)
            asking = asyncio.create_task(client.ask(RadiusCode.ACCESS_REQUEST, USER))
            await until(lambda: bool(server.received))
            await client.aclose()
            with pytest.raises(ConnectionError):
                await asking
            with pytest.raises(ConnectionError):
                await client.ask(RadiusCode.ACCESS_REQUEST, USER)

    run(main())


def test_what_is_no_request() -> None:
    async def main() -> None:
        async with (
            serving(lambda *_: []) as (_, port),
            await UdpRadiusClient.open("127.0.0.1", port, SECRET) as client,
        ):
            with pytest.raises(Misuse):
                await client.ask(RadiusCode.ACCESS_ACCEPT, USER)
            assert len(client._ports[0].pending) == 0

    run(main())
