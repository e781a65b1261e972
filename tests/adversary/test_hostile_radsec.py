"""RADIUS over TLS: what somebody behind a proxy sends must not end the proxy's connection, which is everybody's."""

import asyncio
import os
from collections.abc import Coroutine
from typing import Any

import pytest

from dnsbound.edge.radius_clients import RadiusClients
from dnsbound.edge.radius_tls import start_radius_tls
from dnsbound.iana import RadiusAttribute, RadiusCode
from dnsbound.limits import RADIUS_ATTRIBUTES
from dnsbound.protocols.radius import Discard, RadiusPacket, read_answer, request_of
from dnsbound.testing.world import World
from machines.doors import PATIENCE, dial, hang_up, until
from machines.radius_pairs import served
from machines.radius_servers import USER, ScriptedService, access_points, radsec_door, tls_server

SECRET = b"radsec"
STATION = (int(RadiusAttribute.CALLING_STATION_ID), b"02-00-00-00-00-54")
EAP = (int(RadiusAttribute.EAP_MESSAGE), b"\x02\x01\x00\x05\x01")
STATE = (int(RadiusAttribute.PROXY_STATE), b"p")
FORWARDED = {
    Discard.REPEATED_ATTRIBUTE.value: (*USER, STATION, STATION),
    Discard.SEVERAL_AUTHENTICATIONS.value: (*USER, (int(RadiusAttribute.USER_PASSWORD), bytes(16)), EAP),
    Discard.SCATTERED_EAP.value: (EAP, *USER, EAP),
    "malformed": (STATE,) * (RADIUS_ATTRIBUTES.default + 1),
}
"""Attributes of requests that a proxy signs as they came, by the word for why they are dropped."""
PROXY = '[client.isp]\nname = "*._device.isp.example"\n'
NAS = '[client.nas]\naddress = ["127.0.0.1/32"]\nsecret_file = "nas.secret"\n'


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, PATIENCE))


@pytest.fixture
def world():
    with World() as made:
        yield made


def asked(code: RadiusCode, attributes: tuple[tuple[int, bytes], ...] = ()) -> bytes:
    return request_of(code, 7, attributes, SECRET, authenticator=os.urandom(16))


async def status(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> RadiusPacket:
    """Whether the connection still serves: the answer to a Status-Server."""
    request = asked(RadiusCode.STATUS_SERVER)
    writer.write(request)
    header = await reader.readexactly(4)
    return read_answer(header + await reader.readexactly(int.from_bytes(header[2:], "big") - 4), request, SECRET)


@pytest.mark.parametrize("why", list(FORWARDED))
def test_what_a_proxy_only_passed_on_is_dropped_and_its_connection_stays(tmp_path, world: World, why: str) -> None:
    async def main() -> None:
        at = radsec_door(world)
        with served(tmp_path, world, clients=NAS + PROXY) as site:
            clients = site.service.configuration.clients
            async with tls_server(at, site.service, clients=clients) as server:
                proxy = world.organisation("isp.example").device("proxy")
                reader, writer = await dial(server.port, at.client(proxy))
                writer.write(asked(RadiusCode.ACCESS_REQUEST, FORWARDED[why]))
                assert (await status(reader, writer)).code is RadiusCode.ACCESS_ACCEPT
                await hang_up(writer)
                assert server.counts.bad_packets == 0
            assert site.dropped == {why: 1}

    run(main())


def test_a_client_that_is_configured_no_more_is_let_go_although_it_is_connected(world: World) -> None:
    async def main() -> None:
        service, at, known = ScriptedService(), radsec_door(world), [access_points()]
        proxy = world.organisation("isp.example").device("proxy")
        try:
            async with await start_radius_tls(service, lambda: known[0], at.context, "127.0.0.1", 0) as server:
                reader, writer = await dial(server.port, at.client(proxy))
                assert (await status(reader, writer)).code is RadiusCode.ACCESS_ACCEPT
                known[0] = RadiusClients([])
                writer.write(asked(RadiusCode.STATUS_SERVER))
                assert await reader.read() == b""
                await hang_up(writer)
                await until(lambda: not server.connections_of("isp"))
        finally:
            await at.resolver.aclose()
        assert len(service.requests) == 1

    run(main())
