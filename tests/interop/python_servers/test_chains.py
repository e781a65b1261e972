"""Unmodified HTTP clients that know our servers by the DNSSEC chain in the handshake, and nothing else."""

import asyncio
import http.client
from collections.abc import Iterator
from typing import Any

import aiohttp
import httpx
import pytest
import requests

from dnsbound import Reason
from dnsbound.edge.chain_source import FixedChain, ResolvedChain
from dnsbound.edge.context import Context
from dnsbound.edge.context_chain import ChainRequest, ServedChain
from dnsbound.edge.pins import MemoryPins
from dnsbound.testing import Device, World
from dnsbound.tls.errors import TLSUndecided
from interop.python_servers.running import uvicorn_server
from interop.python_servers.test_asgi_servers import app
from machines.doors import PATIENCE, SERVER, Door, car, door

PORT = 443
"""As clients know it: servers here listen elsewhere."""


@pytest.fixture
def at(world: World) -> Iterator[Door]:
    """A door whose key stands in the DNS, and whose chain is built from World's resolver."""
    plain = door(world)
    own = world.web_credential(SERVER, "127.0.0.1")
    world.organisation(SERVER).publish(f"_{PORT}._tcp.{SERVER}", own.tlsa(), ttl=60)
    with ResolvedChain.of_server(plain.resolver, SERVER, PORT) as source:
        served = ServedChain(host=SERVER, port=PORT, source=source, lifetime=1)
        plain.context = Context.server(own, authenticator=plain.authenticator, dnssec_chain=served)
        yield plain


def knowing(world: World, device: Device | None, pins: MemoryPins | None = None, **options: Any) -> Context:
    """No authority is loaded that vouches for the server."""
    request = ChainRequest(port=PORT, anchors=world.anchors, pins=pins or MemoryPins())
    return Context.client(
        None if device is None else device.credential, server_tlsa="require", dnssec_chain=request, **options
    )


def test_httpx_and_requests(world: World, at: Door) -> None:
    device = car(world)
    with uvicorn_server("asyncio", app, at.context) as port:
        url = f"https://{SERVER}:{port}/"
        with httpx.Client(verify=knowing(world, device), timeout=PATIENCE) as client:
            for _ in range(2):
                assert client.get(url).json()["name"] == str(device.name)

        async def ask() -> None:
            async with httpx.AsyncClient(verify=knowing(world, device), timeout=PATIENCE) as many:
                answers = await asyncio.gather(*(many.get(url) for _ in range(4)))
            assert {answer.json()["name"] for answer in answers} == {str(device.name)}
            connector = aiohttp.TCPConnector(ssl=knowing(world, device))
            async with aiohttp.ClientSession(connector=connector) as session, session.get(url) as answer:
                assert (await answer.json())["name"] == str(device.name)

        asyncio.run(ask())
        connection = http.client.HTTPSConnection(SERVER, port, context=knowing(world, device), timeout=PATIENCE)
        connection.request("GET", "/")
        assert str(device.name).encode() in connection.getresponse().read()
        connection.close()

        class Adapter(requests.adapters.HTTPAdapter):
            def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
                super().init_poolmanager(*arguments, **options, ssl_context=knowing(world, device))

        with requests.Session() as session:
            session.mount("https://", Adapter())
            assert session.get(url, timeout=PATIENCE).json()["name"] == str(device.name)
    assert set(at.reasons) == {"admitted"}


def test_a_stripped_chain_is_noticed_by_who_was_promised_one(world: World, at: Door) -> None:
    """The same server through somebody who takes the chain out, with a certificate that authorities vouch for."""
    pins = MemoryPins()
    with (
        uvicorn_server("asyncio", app, at.context) as port,
        httpx.Client(verify=knowing(world, car(world), pins), timeout=PATIENCE) as client,
    ):
        assert client.get(f"https://{SERVER}:{port}/").status_code == 200
    assert pins.pinned(SERVER, PORT, now=world.now())
    promised = at.client(None, dnssec_chain=ChainRequest(port=PORT, anchors=world.anchors, pins=pins))
    fresh = at.client(None, dnssec_chain=ChainRequest(port=PORT, anchors=world.anchors))
    stripped = door(world, policy="optional")
    with uvicorn_server("asyncio", app, stripped.context) as port:
        with httpx.Client(verify=fresh, timeout=PATIENCE) as client:
            assert client.get(f"https://{SERVER}:{port}/").status_code == 200
        with httpx.Client(verify=promised, timeout=PATIENCE) as client, pytest.raises(httpx.ConnectError) as caught:
            client.get(f"https://{SERVER}:{port}/")
    [undecided] = [error for error in behind(caught.value) if isinstance(error, TLSUndecided)]
    assert undecided.reason is Reason.INDETERMINATE


def behind(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def test_a_door_that_takes_no_carried_chain_looks_up_as_ever(world: World) -> None:
    device, at = car(world), door(world)
    chain = FixedChain(world.chain(str(device.name)).octets)
    with (
        uvicorn_server("asyncio", app, at.context) as port,
        httpx.Client(verify=at.client(device, carry_chain=chain), timeout=PATIENCE) as client,
    ):
        assert client.get(f"https://{SERVER}:{port}/").json()["name"] == str(device.name)
    assert at.decisions[-1].provenance == "resolved"
