"""Sessions that came over RADIUS/TLS are ended over the connection that the access server has opened."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from dnsbound.edge.radius_client_tls import TlsRadiusClient
from dnsbound.edge.radius_clients import RadiusTransport
from dnsbound.edge.radius_tls import RadiusTlsServer, disconnect_over
from dnsbound.iana import ErrorCause, RadiusAttribute, RadiusCode
from dnsbound.protocols.radius import RadiusPacket
from dnsbound.protocols.radius_attributes import Attributes
from dnsbound.protocols.radius_dynamic import dynamic_answer, read_dynamic_request
from dnsbound.testing.organisation import Device
from dnsbound.testing.world import World
from machines.doors import SERVER, Door
from machines.radius_live_pairs import NAS_IDENTIFIER, LiveSite, live_site
from machines.radius_pairs import STAFF, STATION, value
from machines.radius_servers import radsec_door, tls_server

pytestmark = pytest.mark.timeout(90)

PROXY = """
[client.proxy]
name = "proxy._device.isp.example"
dynamic_authorisation = "connection"
"""
RADSEC = b"radsec"


@pytest.fixture
def world() -> Iterator[World]:
    with World() as made:
        made.organisation("cars.example")
        yield made


@pytest.fixture
def car(world: World) -> Device:
    return world.organisation("cars.example").device("car54")


class Reverse:
    """The access server's end: what it was asked to end, and a site to whose sessions it belongs."""

    def __init__(self, world: World, at: Door, cause: ErrorCause | None) -> None:
        self.world = world
        self.at = at
        self.cause = cause
        self.proxy = world.organisation("isp.example").device("proxy")
        self.requests: list[RadiusPacket] = []
        self.server: RadiusTlsServer
        self.site: LiveSite

    async def ask_back(self, label: str, attributes: Attributes) -> RadiusPacket | None:
        return await disconnect_over(self.server.connections_of(label), attributes)

    async def connected(self) -> TlsRadiusClient:
        client = await TlsRadiusClient.open(
            "127.0.0.1",
            self.server.port,
            self.at.client(self.proxy),
            server_hostname=SERVER,
            on_request=self.on_request,
        )
        await client.ask(RadiusCode.STATUS_SERVER, ())
        return client

    def on_request(self, octets: bytes) -> bytes:
        request = read_dynamic_request(octets, RADSEC, now=self.world.now())
        self.requests.append(request)
        return dynamic_answer(request, RADSEC, cause=self.cause)

    async def admit(self, device: Device, transport: RadiusTransport = RadiusTransport.TLS, **options: Any) -> None:
        client = self.site.site.service.configuration.clients["proxy"]
        secret = b"radius/dtls" if transport is RadiusTransport.DTLS else RADSEC
        await self.site.admit(device, origin={"transport": transport, "client": client}, secret=secret, **options)


@asynccontextmanager
async def reverse(
    directory: Path, world: World, *, cause: ErrorCause | None = None, **options: Any
) -> AsyncIterator[Reverse]:
    at = radsec_door(world)
    made = Reverse(world, at, cause)
    async with live_site(directory, world, clients=PROXY, ask_back=made.ask_back, **options) as made.site:
        service = made.site.site.service
        async with tls_server(at, service, clients=service.configuration.clients) as made.server:
            yield made


def run(scenario: Callable[[Reverse], Any], directory: Path, world: World, **options: Any) -> None:
    async def main() -> None:
        async with reverse(directory, world, **options) as made:
            await scenario(made)

    asyncio.run(main())


def test_da_18_a_removed_record_ends_the_session_over_the_access_servers_own_connection(tmp_path, world, car):
    """RFC 5176 section 2.1, in the direction in which a NAT lets it through."""

    async def scenario(made: Reverse) -> None:
        client = await made.connected()
        await made.admit(car)
        assert car.revoke()
        await made.site.until(lambda: not len(made.site.live), "the session is over")
        assert made.site.live.counters.ended == {"disconnected": 1}
        (request,) = made.requests
        assert request.code is RadiusCode.DISCONNECT_REQUEST
        assert request.first(RadiusAttribute.CALLING_STATION_ID) == STATION
        assert request.first(RadiusAttribute.NAS_IDENTIFIER) == NAS_IDENTIFIER
        assert made.site.port.requests == []  # over UDP nobody heard of it
        await client.aclose()

    run(scenario, tmp_path, world)


def test_the_request_is_repeated_until_the_access_server_connects_again(tmp_path, world, car):
    async def scenario(made: Reverse) -> None:
        client = await made.connected()
        await made.admit(car)
        await client.aclose()
        await made.site.until(lambda: not made.server.connections_of("proxy"), "the connection is gone")
        assert car.revoke()
        await made.site.until(lambda: made.site.live.counters.disconnects.get("silent"), "nobody is there to be asked")
        assert len(made.site.live) == 1
        again = await made.connected()
        await made.site.until(lambda: not len(made.site.live), "the session is over")
        assert made.site.live.counters.ended == {"disconnected": 1}
        await again.aclose()

    run(scenario, tmp_path, world, first_wait=1.0)


def test_an_access_server_that_does_not_do_it_is_told_of_once(tmp_path, world, car):
    async def scenario(made: Reverse) -> None:
        client = await made.connected()
        await made.admit(car)
        assert car.revoke()
        await made.site.until(lambda: not len(made.site.live), "it is given up")
        assert made.site.live.counters.ended == {"left": 1}
        assert made.site.live.counters.disconnects == {"unsupported": 1}
        await client.aclose()

    run(scenario, tmp_path, world, cause=ErrorCause.UNSUPPORTED_EXTENSION)


@pytest.mark.parametrize("transport", [RadiusTransport.TLS, RadiusTransport.DTLS])
def test_only_who_can_be_told_gets_a_session_longer_than_the_evidence(tmp_path, world, car, transport):
    """The access list grants 7200; over DTLS nobody is asked back, and the network's least is 3600."""

    async def scenario(made: Reverse) -> None:
        await made.admit(car, transport, called=STAFF)
        seconds = value(made.site.answers[-1].answer, RadiusAttribute.SESSION_TIMEOUT)
        assert seconds == (7200 if transport is RadiusTransport.TLS else 3600)

    run(scenario, tmp_path, world)
