"""RADIUS over TLS, both ends: admitted by name, many requests at once, and what ends a connection."""

import asyncio
import selectors
import ssl
from collections.abc import Coroutine
from typing import Any

import dns.name
import dns.rdatatype
import pytest

from dnsbound import Context
from dnsbound.credential.association import tlsa_for_certificate
from dnsbound.dns.answer import Provenance
from dnsbound.edge import radius_client_tls, radius_tls
from dnsbound.edge.pinned_server import PinnedServer
from dnsbound.edge.radius_client_tls import TlsRadiusClient
from dnsbound.edge.radius_clients import RadiusClient, RadiusClients, RadiusTransport
from dnsbound.edge.radius_gate import GateLimits
from dnsbound.edge.session_sweep import settle
from dnsbound.errors import Misuse, PeerError, Refused
from dnsbound.iana import MatchingType, RadiusAttribute, RadiusCode, Selector, Usage
from dnsbound.names import ClientName
from dnsbound.protocols.radius import RadiusPacket, answer_to, read_request, request_of
from dnsbound.protocols.radius_exchange import Patience
from dnsbound.records.tlsa import TLSA
from dnsbound.testing import World
from machines.doors import PATIENCE, SERVER, Door, dial, hang_up, until
from machines.radius_servers import (
    USER,
    ScriptedService,
    access_points,
    radsec_door,
    tls_server,
)

BROKEN = (ConnectionError, ssl.SSLError)


def run(main: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(main, PATIENCE)

    asyncio.run(bounded())


@pytest.fixture
def world():
    with World() as made:
        yield made


def access_point(world: World, label: str = "ap1"):
    return world.organisation("isp.example").device(label)


async def open_client(at: Door, device: Any, port: int, **options: Any) -> TlsRadiusClient:
    return await TlsRadiusClient.open("127.0.0.1", port, at.client(device), server_hostname=SERVER, **options)


def test_rsec_04_a_client_is_known_by_its_dns_name(world: World) -> None:
    async def main() -> None:
        service, at = ScriptedService(), radsec_door(world)
        async with (
            tls_server(at, service) as server,
            await open_client(at, access_point(world), server.port) as client,
        ):
            answered = await client.ask(RadiusCode.ACCESS_REQUEST, USER)
            assert answered.packet.code is RadiusCode.ACCESS_ACCEPT
            assert answered.sent == 1
        [origin] = service.origins
        assert (origin.transport, origin.client.label) == (RadiusTransport.TLS, "isp")
        assert service.requests[0].attributes[1:] == USER
        assert server.counts.entered == 1
        assert at.reasons == ["admitted"]

    run(main())


def test_rsec_03_the_secret_is_radsec_whatever_the_client_has_elsewhere(world: World) -> None:
    clients = RadiusClients(
        [
            RadiusClient(
                label="both", secrets=(b"another secret of UDP",), name=ClientName.parse("ap1._device.isp.example")
            )
        ]
    )

    async def main() -> None:
        service, at = ScriptedService(), radsec_door(world)
        async with (
            tls_server(at, service, clients=clients) as server,
            await open_client(at, access_point(world), server.port) as client,
        ):
            await client.ask(RadiusCode.ACCESS_REQUEST, USER)
            assert client.secret == b"radsec"
        assert service.origins[0].secrets == (b"radsec",)

    run(main())


def test_rsec_05_a_name_that_is_no_radius_client_is_let_go(world: World) -> None:
    """The door admits it; RADIUS does not know it."""

    async def main() -> None:
        service, at = ScriptedService(), radsec_door(world)
        async with tls_server(at, service) as server:
            car = world.organisation("cars.example").device("car54")
            client = await open_client(at, car, server.port)
            with pytest.raises(BROKEN):
                await client.ask(RadiusCode.ACCESS_REQUEST, USER)
            await client.aclose()
            await until(lambda: server.counts.unknown == 1)
        assert service.requests == []
        assert server.counts.entered == 0

    run(main())


def test_rsec_02_nobody_comes_in_without_a_credential(world: World) -> None:
    async def main() -> None:
        service, at = ScriptedService(), radsec_door(world)
        async with tls_server(at, service) as server:
            with pytest.raises(BROKEN):
                async with await open_client(at, None, server.port) as client:
                    await client.ask(RadiusCode.ACCESS_REQUEST, USER)
        assert service.requests == []
        assert at.reasons == ["no-credential"]

    run(main())


def test_rsec_10_answers_come_as_they_are_ready(world: World) -> None:
    """300 requests, of which 255 are under way at once; the first is answered last."""
    first = asyncio.Event()
    seen = 0

    async def held(request: RadiusPacket) -> RadiusCode | None:
        nonlocal seen
        seen += 1
        if seen == 1:
            await first.wait()
        return RadiusCode.ACCESS_ACCEPT

    async def main() -> None:
        service, at = ScriptedService(held), radsec_door(world)
        async with (
            tls_server(at, service) as server,
            await open_client(at, access_point(world), server.port) as client,
        ):
            oldest = asyncio.create_task(client.ask(RadiusCode.ACCESS_REQUEST, USER))
            await until(lambda: seen == 1)
            others = await asyncio.gather(*(client.ask(RadiusCode.ACCESS_REQUEST, USER) for _ in range(299)))
            assert {each.packet.code for each in others} == {RadiusCode.ACCESS_ACCEPT}
            assert not oldest.done()
            first.set()
            assert (await oldest).packet.code is RadiusCode.ACCESS_ACCEPT
        assert server.counts.packets == 300

    run(main())


def test_no_more_is_read_than_may_be_under_way(world: World) -> None:
    gate = asyncio.Event()

    async def held(request: RadiusPacket) -> RadiusCode | None:
        await gate.wait()
        return RadiusCode.ACCESS_ACCEPT

    async def main() -> None:
        service, at = ScriptedService(held), radsec_door(world)
        async with (
            tls_server(at, service, limits=GateLimits(requests=2)) as server,
            await open_client(at, access_point(world), server.port) as client,
        ):
            asking = [asyncio.create_task(client.ask(RadiusCode.ACCESS_REQUEST, USER)) for _ in range(5)]
            await until(lambda: len(service.requests) == 2)
            gate.set()
            assert len(await asyncio.gather(*asking)) == 5
        assert server.counts.packets == 5

    run(main())


@pytest.mark.parametrize(
    "octets",
    [
        b"\x01\x01\x00\x13" + bytes(16),
        b"\x01\x01\x10\x01" + bytes(16),
        request_of(RadiusCode.ACCESS_REQUEST, 1, USER, b"another secret", authenticator=bytes(16)),
        b"\x01\x01\x00\x14" + bytes(16),
        b"\xff\x01\x00\x14" + bytes(16),
    ],
    ids=["too short", "too long", "wrong secret", "no message authenticator", "unknown code"],
)
def test_rsec_12_what_is_unsound_ends_the_connection(world: World, octets: bytes) -> None:
    async def main() -> None:
        service, at = ScriptedService(), radsec_door(world)
        async with tls_server(at, service) as server:
            reader, writer = await dial(server.port, at.client(access_point(world)))
            writer.write(octets)
            assert await reader.read() == b""
            await hang_up(writer)
        assert service.requests == []

    run(main())


def test_an_answer_to_nothing_is_passed_over(world: World) -> None:
    """A client may answer late what the server asked it; that is no reason to lose the connection."""
    asked = read_request(request_of(RadiusCode.COA_REQUEST, 1, USER, b"radsec"), b"radsec")

    async def main() -> None:
        service, at = ScriptedService(), radsec_door(world)
        async with tls_server(at, service) as server:
            reader, writer = await dial(server.port, at.client(access_point(world)))
            writer.write(answer_to(asked, RadiusCode.COA_ACK, (), b"radsec"))
            writer.write(request_of(RadiusCode.STATUS_SERVER, 2, (), b"radsec", authenticator=bytes(16)))
            assert (await reader.readexactly(2)) == bytes([RadiusCode.ACCESS_ACCEPT, 2])
            await hang_up(writer)

    run(main())


@pytest.mark.parametrize(
    ("code", "nak"),
    [(RadiusCode.COA_REQUEST, RadiusCode.COA_NAK), (RadiusCode.DISCONNECT_REQUEST, RadiusCode.DISCONNECT_NAK)],
)
def test_rsec_08_what_is_not_wanted_here_is_told(world: World, code: RadiusCode, nak: RadiusCode) -> None:
    async def main() -> None:
        service, at = ScriptedService(), radsec_door(world)
        async with (
            tls_server(at, service) as server,
            await open_client(at, access_point(world), server.port) as client,
        ):
            answered = await client.ask(code, USER)
            assert answered.packet.code is nak
            assert answered.packet.first(RadiusAttribute.ERROR_CAUSE) == (406).to_bytes(4, "big")
        assert service.requests == []

    run(main())


def test_a_client_whose_record_goes_is_cut(world: World) -> None:
    device = access_point(world)

    async def main() -> None:
        service, at = ScriptedService(), radsec_door(world)
        async with tls_server(at, service) as server:
            client = await open_client(at, device, server.port)
            await client.ask(RadiusCode.ACCESS_REQUEST, USER)
            device.revoke()
            for session in list(at.authenticator.sessions.due(now=at.authenticator.now() + 10**6, generation=None)):
                with pytest.raises(Refused) as refused:
                    await at.authenticator.authenticate(session.claim, again=True)
                settle(at.authenticator, session, refused.value)
            await until(lambda: not client.is_connected)
            await client.aclose()
        assert at.reasons[-1] == "no-tlsa"

    run(main())


def test_one_name_has_so_many_connections_and_no_more(world: World) -> None:
    device, another = access_point(world), access_point(world, "ap2")

    async def main() -> None:
        service, at = ScriptedService(), radsec_door(world)
        async with tls_server(at, service, limits=GateLimits(per_client=1)) as server:
            first = await open_client(at, device, server.port)
            await first.ask(RadiusCode.STATUS_SERVER, ())
            second = await open_client(at, device, server.port)
            with pytest.raises(BROKEN):
                await second.ask(RadiusCode.STATUS_SERVER, ())
            other = await open_client(at, another, server.port)
            await other.ask(RadiusCode.STATUS_SERVER, ())
            assert server.counts.turned_away == 1
            await first.aclose()
            await until(lambda: len(server.connections_of("isp")) == 1)
            third = await open_client(at, device, server.port)
            await third.ask(RadiusCode.STATUS_SERVER, ())
            for client in (second, other, third):
                await client.aclose()

    run(main())


def test_a_silent_connection_is_closed(world: World) -> None:
    async def main() -> None:
        service, at = ScriptedService(), radsec_door(world)
        async with tls_server(at, service, limits=GateLimits(idle_seconds=1)) as server:
            client = await open_client(at, access_point(world), server.port)
            await until(lambda: not client.is_connected)
            await client.aclose()

    run(main())


def test_a_client_whose_requests_are_never_answered_is_idle_in_the_end(world: World) -> None:
    async def never(request: RadiusPacket) -> RadiusCode | None:
        await asyncio.Event().wait()
        return None

    async def main() -> None:
        service, at = ScriptedService(never), radsec_door(world)
        async with tls_server(at, service, limits=GateLimits(requests=1, idle_seconds=1)) as server:
            client = await open_client(at, access_point(world), server.port)
            asking = [asyncio.create_task(client.ask(RadiusCode.ACCESS_REQUEST, USER)) for _ in range(3)]
            await asyncio.wait(asking)
            assert all(isinstance(each.exception(), OSError) for each in asking)
            assert len(service.requests) == 1
            await client.aclose()

    run(main())


def test_the_server_asks_over_the_clients_own_connection(world: World) -> None:
    """For clients behind a NAT, whom nobody reaches otherwise."""
    asked: list[RadiusPacket] = []

    def disconnect(octets: bytes) -> bytes:
        request = read_request(octets, b"radsec")
        asked.append(request)
        return answer_to(request, RadiusCode.DISCONNECT_ACK, (), b"radsec")

    async def main() -> None:
        service, at = ScriptedService(), radsec_door(world)
        async with (
            tls_server(at, service) as server,
            await open_client(at, access_point(world), server.port, on_request=disconnect) as client,
        ):
            await client.ask(RadiusCode.STATUS_SERVER, ())
            [connection] = server.connections_of("isp")
            assert server.connections_of("elsewhere") == []
            answered = await connection.ask(RadiusCode.DISCONNECT_REQUEST, USER)
            assert answered.packet.code is RadiusCode.DISCONNECT_ACK
        assert asked[0].first(RadiusAttribute.USER_NAME) == b"@cars.example"

    run(main())


def test_a_client_that_does_not_want_to_be_asked_says_so(world: World) -> None:
    async def main() -> None:
        service, at = ScriptedService(), radsec_door(world)
        async with (
            tls_server(at, service) as server,
            await open_client(at, access_point(world), server.port) as client,
        ):
            await client.ask(RadiusCode.STATUS_SERVER, ())
            [connection] = server.connections_of("isp")
            answered = await connection.ask(RadiusCode.DISCONNECT_REQUEST, USER)
            assert answered.packet.code is RadiusCode.DISCONNECT_NAK
            assert answered.packet.first(RadiusAttribute.ERROR_CAUSE) == (406).to_bytes(4, "big")
            with pytest.raises(BROKEN):
                await connection.ask(RadiusCode.ACCESS_REQUEST, USER)
            await until(lambda: not client.is_connected)

    run(main())


# --- the client


def test_rsec_09_a_connection_that_ended_is_opened_again(world: World) -> None:
    async def main() -> None:
        service, at = ScriptedService(), radsec_door(world)
        async with tls_server(at, service) as server:
            client = await open_client(at, access_point(world), server.port)
            await client.ask(RadiusCode.STATUS_SERVER, ())
            [connection] = server.connections_of("isp")
            connection._writer.close()
            await until(lambda: not client.is_connected)
            await client.ask(RadiusCode.STATUS_SERVER, ())
            assert server.counts.entered == 2
            await client.aclose()

    run(main())


def test_requests_under_way_fail_with_their_connection(world: World) -> None:
    arrived = asyncio.Event()

    async def never(request: RadiusPacket) -> RadiusCode | None:
        arrived.set()
        await asyncio.Event().wait()
        return None

    async def main() -> None:
        service, at = ScriptedService(never), radsec_door(world)
        async with tls_server(at, service) as server:
            client = await open_client(at, access_point(world), server.port)
            asking = asyncio.create_task(client.ask(RadiusCode.ACCESS_REQUEST, USER))
            await arrived.wait()
            await client.aclose()
            with pytest.raises(ConnectionError):
                await asking
            with pytest.raises(ConnectionError):
                await client.ask(RadiusCode.ACCESS_REQUEST, USER)

    run(main())


def test_no_answer_is_a_time_out_and_the_connection_goes_on(world: World) -> None:
    silent = True

    async def reply(request: RadiusPacket) -> RadiusCode | None:
        return None if silent else RadiusCode.ACCESS_ACCEPT

    async def main() -> None:
        nonlocal silent
        service, at = ScriptedService(reply), radsec_door(world)
        async with (
            tls_server(at, service) as server,
            await open_client(at, access_point(world), server.port) as client,
        ):
            with pytest.raises(TimeoutError):
                await client.ask(RadiusCode.ACCESS_REQUEST, USER, patience=Patience(first=0.05, seconds=0.1))
            silent = False
            await client.ask(RadiusCode.ACCESS_REQUEST, USER)
            assert server.counts.entered == 1

    run(main())


def test_rsec_06_the_server_is_believed_by_authorities_records_or_a_pin(world: World) -> None:
    server_name = "radius.isp.example"
    isp = world.organisation("isp.example")

    async def main() -> None:
        service, at = ScriptedService(), radsec_door(world)
        own = at.context._settings.credential
        assert own is not None
        async with tls_server(at, service) as server:
            device = access_point(world)
            record = tlsa_for_certificate(own.chain[0], Usage.DANE_EE, Selector.SPKI, MatchingType.SHA2_256)
            isp.replace(f"_{server.port}._tcp.{server_name}", record)
            for resolver in (at.resolver, PinnedServer(server_name, [record])):
                context = Context.client(device.credential, server_tlsa="require", resolver=resolver)
                await context.prepare(server_name, server.port)
                async with await TlsRadiusClient.open(
                    "127.0.0.1", server.port, context, server_hostname=server_name
                ) as client:
                    await client.ask(RadiusCode.STATUS_SERVER, ())
            wrong = TLSA(Usage.DANE_EE, Selector.SPKI, MatchingType.SHA2_256, bytes(32))
            context = Context.client(
                device.credential, server_tlsa="require", resolver=PinnedServer(server_name, [wrong])
            )
            await context.prepare(server_name, server.port)
            with pytest.raises(ssl.SSLError):
                await TlsRadiusClient.open("127.0.0.1", server.port, context, server_hostname=server_name)

    run(main())


def test_a_pin_is_for_one_server_and_needs_a_record() -> None:
    with pytest.raises(Misuse):
        PinnedServer("radius.isp.example", [])
    record = TLSA(Usage.DANE_EE, Selector.SPKI, MatchingType.SHA2_256, bytes(32))
    pinned = PinnedServer("radius.isp.example", [record])
    for owner, found in (("_2083._tcp.radius.isp.example.", 1), ("_2083._tcp.other.isp.example.", 0)):
        answer = pinned.lookup_blocking(dns.name.from_text(owner), dns.rdatatype.TLSA)
        assert (len(answer.records), answer.provenance) == (found, Provenance.PINNED)


def test_rsec_13_failures_to_connect_are_spaced_out() -> None:
    """Nobody listens; the second attempt is not made at once."""

    async def main() -> None:
        context = Context.client()
        with pytest.raises(BROKEN):
            await TlsRadiusClient.open("127.0.0.1", 1, context, server_hostname=SERVER)
        client = TlsRadiusClient(
            "127.0.0.1",
            1,
            context,
            server_hostname=SERVER,
            patience=Patience(),
            on_request=lambda _: None,
            watchdog=None,
        )
        with pytest.raises(ConnectionRefusedError):
            await client.ask(RadiusCode.STATUS_SERVER, ())
        with pytest.raises(ConnectionError, match="next attempt"):
            await client.ask(RadiusCode.STATUS_SERVER, ())
        await client.aclose()

    run(main())


def test_an_answer_that_does_not_hold_ends_the_clients_connection(world: World) -> None:
    async def forged(octets: bytes, origin: Any, _request: RadiusPacket | None) -> bytes:
        request = read_request(octets, b"radsec")
        return answer_to(request, RadiusCode.ACCESS_ACCEPT, (), b"wrong")

    async def main() -> None:
        service, at = ScriptedService(), radsec_door(world)
        service.answer = forged  # type: ignore[method-assign]
        async with tls_server(at, service) as server:
            client = await open_client(at, access_point(world), server.port)
            with pytest.raises(PeerError):
                await client.ask(RadiusCode.ACCESS_REQUEST, USER)
            assert not client.is_connected
            await client.aclose()

    run(main())


def test_every_configured_client_of_a_fleet_shares_one_label() -> None:
    assert access_points().named(ClientName.parse("ap77._device.isp.example")) is not None
    assert access_points().named(ClientName.parse("ap77._device.cars.example")) is None


def test_rsec_01_every_kind_of_packet_goes_over_one_connection(world: World) -> None:
    async def main() -> None:
        service, at = ScriptedService(), radsec_door(world)
        async with (
            tls_server(at, service) as server,
            await open_client(at, access_point(world), server.port) as client,
        ):
            for code in (RadiusCode.ACCESS_REQUEST, RadiusCode.ACCOUNTING_REQUEST, RadiusCode.STATUS_SERVER):
                await client.ask(code, USER if code is not RadiusCode.STATUS_SERVER else ())
            assert server.counts.entered == 1
        assert len(service.requests) == 3
        assert (radius_tls.PORT, radius_client_tls.PORT) == (2083, 2083)

    run(main())


@pytest.mark.parametrize("profiles", [["ca13"], ["ca13", "cid07"]])
def test_rsec_07_tls_1_2_where_the_door_says_so_and_nothing_older(world: World, profiles: list[str]) -> None:
    async def main() -> None:
        service, at = ScriptedService(), radsec_door(world, profiles=profiles)
        async with tls_server(at, service) as server:
            context = at.client(access_point(world), profiles=["cid07"], clear_name_to=[SERVER])
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            if "cid07" not in profiles:
                with pytest.raises(ssl.SSLError):
                    await TlsRadiusClient.open("127.0.0.1", server.port, context, server_hostname=SERVER)
                return
            async with await TlsRadiusClient.open("127.0.0.1", server.port, context, server_hostname=SERVER) as client:
                await client.ask(RadiusCode.ACCESS_REQUEST, USER)
            with pytest.raises(ssl.SSLError):
                context.maximum_version = ssl.TLSVersion.TLSv1_1

    run(main())


class HurriedLoop(asyncio.SelectorEventLoop):
    """Its clock runs as many times faster as `hurry` says; what it waits for on sockets still takes its time."""

    hurry = 1

    def __init__(self) -> None:
        self._hurried, self._looked = 0.0, 0.0
        super().__init__(_HurriedSelector(self))

    def time(self) -> float:
        now = super().time()
        self._hurried += (now - (self._looked or now)) * self.hurry
        self._looked = now
        return self._hurried


class _HurriedSelector(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    def __init__(self, loop: HurriedLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        return super().select(None if timeout is None else timeout / self._loop.hurry)


def test_rsec_16_a_server_that_answers_no_more_is_found_out(world: World) -> None:
    """Silence, Status-Server, silence, the end; while a server that answers Status-Server keeps its connection."""
    answers = True

    async def reply(request: RadiusPacket) -> RadiusCode | None:
        return RadiusCode.ACCESS_ACCEPT if answers else None

    async def main() -> None:
        nonlocal answers
        service, at = ScriptedService(reply), radsec_door(world)
        async with tls_server(at, service) as server:
            client = await open_client(at, access_point(world), server.port, watchdog=6)
            loop = asyncio.get_running_loop()
            assert isinstance(loop, HurriedLoop)
            loop.hurry = 10
            await until(lambda: len(service.requests) >= 2)
            assert {each.code for each in service.requests} == {RadiusCode.STATUS_SERVER}
            assert client.is_connected
            answers = False
            await until(lambda: not client.is_connected)
            loop.hurry = 1
            answers = True
            await client.ask(RadiusCode.ACCESS_REQUEST, USER)
            assert server.counts.entered == 2
            await client.aclose()

    with asyncio.Runner(loop_factory=HurriedLoop) as runner:
        runner.run(main())
