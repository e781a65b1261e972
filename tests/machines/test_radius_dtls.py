"""RADIUS over DTLS, both ends: admitted by name, requests repeated, and what ends an association."""

import asyncio
import socket
from collections.abc import Coroutine
from typing import Any

import pytest

from dnsbound.edge import radius_client_dtls, radius_dtls
from dnsbound.edge.radius_client_dtls import RADIUS_DATAGRAMS, DtlsRadiusClient
from dnsbound.edge.radius_clients import RadiusTransport
from dnsbound.edge.radius_gate import GateLimits
from dnsbound.errors import Misuse
from dnsbound.iana import RadiusAttribute, RadiusCode
from dnsbound.protocols.radius import RadiusPacket, request_of
from dnsbound.protocols.radius_exchange import Patience
from dnsbound.testing import World
from machines.doors import PATIENCE, SERVER, Door, until
from machines.radius_servers import USER, ScriptedService, dtls_context, dtls_server, radsec_door

QUICK = Patience(first=0.2, seconds=5)


def run(main: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(main, PATIENCE)

    asyncio.run(bounded())


@pytest.fixture
def world():
    with World() as made:
        yield made


def dtls_door(world: World) -> Door:
    return radsec_door(world, datagram=RADIUS_DATAGRAMS)


def access_point(world: World) -> Any:
    return world.organisation("isp.example").device("ap1")


async def open_client(at: Door, device: Any, port: int, **options: Any) -> DtlsRadiusClient:
    context = dtls_context(at, device)
    return await DtlsRadiusClient.open("127.0.0.1", port, context, server_hostname=SERVER, **options)


def test_rdtls_03_a_client_is_known_by_its_dns_name(world: World) -> None:
    async def main() -> None:
        service, at = ScriptedService(), dtls_door(world)
        async with (
            dtls_server(at, service) as server,
            await open_client(at, access_point(world), server.port) as client,
        ):
            answered = await client.ask(RadiusCode.ACCESS_REQUEST, USER)
            assert answered.packet.code is RadiusCode.ACCESS_ACCEPT
        [origin] = service.origins
        assert (origin.transport, origin.client.label) == (RadiusTransport.DTLS, "isp")

    run(main())


def test_rdtls_01_the_secret_is_radius_dtls(world: World) -> None:
    async def main() -> None:
        service, at = ScriptedService(), dtls_door(world)
        async with (
            dtls_server(at, service) as server,
            await open_client(at, access_point(world), server.port) as client,
        ):
            await client.ask(RadiusCode.STATUS_SERVER, ())
            assert client.secret == b"radius/dtls"
        assert service.origins[0].secrets == (b"radius/dtls",)

    run(main())


def test_rdtls_02_radius_in_clear_is_not_understood_on_its_port(world: World) -> None:
    async def main() -> None:
        service, at = ScriptedService(), dtls_door(world)
        async with dtls_server(at, service) as server:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
                plain.connect(("127.0.0.1", server.port))
                clear = request_of(RadiusCode.STATUS_SERVER, 1, (), b"radius/dtls", authenticator=bytes(16))
                plain.send(clear)
                async with await open_client(at, access_point(world), server.port) as client:
                    await client.ask(RadiusCode.ACCESS_REQUEST, USER)
                plain.setblocking(False)
                with pytest.raises(BlockingIOError):
                    plain.recv(4096)
            assert [each.code for each in service.requests] == [RadiusCode.ACCESS_REQUEST]
            assert server.counts.packets == 1

    run(main())


def test_rdtls_08_a_request_without_an_answer_is_repeated(world: World) -> None:
    """The same packet each time, so that the server knows it for a repetition."""
    turns = 0

    async def reply(request: RadiusPacket) -> RadiusCode | None:
        nonlocal turns
        turns += 1
        return None if turns < 3 else RadiusCode.ACCESS_ACCEPT

    async def main() -> None:
        service, at = ScriptedService(reply), dtls_door(world)
        async with (
            dtls_server(at, service) as server,
            await open_client(at, access_point(world), server.port, patience=QUICK) as client,
        ):
            answered = await client.ask(RadiusCode.ACCESS_REQUEST, USER)
            assert answered.sent >= 3
        assert len(set(service.requests)) == 1

    run(main())


def test_rdtls_05_what_is_unsound_ends_the_association(world: World) -> None:
    async def main() -> None:
        service, at = ScriptedService(), dtls_door(world)
        async with dtls_server(at, service) as server:
            client = await open_client(at, access_point(world), server.port)
            client._connection.send(
                request_of(RadiusCode.ACCESS_REQUEST, 1, USER, b"another secret", authenticator=bytes(16))
            )
            await until(lambda: not client.is_connected)
            with pytest.raises(ConnectionError):
                await client.ask(RadiusCode.ACCESS_REQUEST, USER)
            await client.aclose()
            assert server.counts.bad_packets == 1
        assert service.requests == []

    run(main())


def test_a_name_that_is_no_radius_client_is_let_go(world: World) -> None:
    async def main() -> None:
        service, at = ScriptedService(), dtls_door(world)
        async with dtls_server(at, service) as server:
            car = world.organisation("cars.example").device("car54")
            client = await open_client(at, car, server.port)
            await until(lambda: not client.is_connected)
            await client.aclose()
            assert server.counts.unknown == 1

    run(main())


def test_requests_and_answers_that_fit_no_datagram(world: World) -> None:
    long = tuple((int(RadiusAttribute.PROXY_STATE), bytes(250)) for _ in range(6))

    async def main() -> None:
        service, at = ScriptedService(), dtls_door(world)
        async with (
            dtls_server(at, service) as server,
            await open_client(at, access_point(world), server.port) as client,
        ):
            with pytest.raises(Misuse):
                await client.ask(RadiusCode.ACCESS_REQUEST, long)
            await client.ask(RadiusCode.ACCESS_REQUEST, USER)
            assert server.unsendable == 0

    run(main())


def test_nobody_answers(world: World) -> None:
    at = dtls_door(world)

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await open_client(at, access_point(world), 1, seconds=0.3)
        await at.resolver.aclose()

    run(main())


def test_rdtls_09_one_port_for_every_kind_of_packet(world: World) -> None:
    async def main() -> None:
        service, at = ScriptedService(), dtls_door(world)
        async with (
            dtls_server(at, service) as server,
            await open_client(at, access_point(world), server.port) as client,
        ):
            for code in (RadiusCode.ACCESS_REQUEST, RadiusCode.ACCOUNTING_REQUEST, RadiusCode.STATUS_SERVER):
                await client.ask(code, USER if code is not RadiusCode.STATUS_SERVER else ())
        assert len(service.requests) == 3
        assert (radius_dtls.PORT, radius_client_dtls.PORT) == (2083, 2083)

    run(main())


def test_rdtls_06_a_silent_association_is_closed(world: World) -> None:
    async def main() -> None:
        service, at = ScriptedService(), dtls_door(world)
        async with dtls_server(at, service, limits=GateLimits(idle_seconds=1)) as server:
            client = await open_client(at, access_point(world), server.port)
            await until(lambda: not client.is_connected)
            await client.aclose()

    run(main())


def test_rdtls_07_one_source_has_so_many_associations_and_no_more(world: World) -> None:
    device = access_point(world)

    async def main() -> None:
        service, at = ScriptedService(), dtls_door(world)
        async with dtls_server(at, service, limits=GateLimits(per_client=1)) as server:
            async with await open_client(at, device, server.port) as client:
                await client.ask(RadiusCode.STATUS_SERVER, ())
                with pytest.raises(TimeoutError):
                    await open_client(at, device, server.port, seconds=0.5)
                await client.ask(RadiusCode.STATUS_SERVER, ())
            assert len(service.requests) == 2

    run(main())


def test_rdtls_04_a_client_that_begins_again_at_its_port_is_a_new_association(world: World) -> None:
    """RFC 7360 section 5.1: a session is its pair of addresses and ports, and a verified hello replaces it."""
    device = access_point(world)

    async def main() -> None:
        service, at = ScriptedService(), dtls_door(world)
        async with dtls_server(at, service) as server:
            first = await open_client(at, device, server.port)
            await first.ask(RadiusCode.STATUS_SERVER, ())
            place = first._connection.transport.get_extra_info("sockname")
            first._connection.transport.abort()
            await until(lambda: not first.is_connected)
            second = await DtlsRadiusClient.open(
                "127.0.0.1", server.port, dtls_context(at, device), server_hostname=SERVER, local_addr=place
            )
            await second.ask(RadiusCode.STATUS_SERVER, ())
            assert {origin.port for origin in service.origins} == {place[1]}
            assert server.counts.entered == 2
            await first.aclose()
            await second.aclose()

    run(main())
