"""RADIUS over TLS and DTLS on World, before a service that the tests make up."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from dnsbound import Context
from dnsbound.edge.context_datagram import Datagrams
from dnsbound.edge.radius_client_dtls import RADIUS_DATAGRAMS
from dnsbound.edge.radius_clients import RadiusClient, RadiusClients, RadiusOrigin
from dnsbound.edge.radius_dtls import RadiusDtlsServer, start_radius_dtls
from dnsbound.edge.radius_gate import GateLimits
from dnsbound.edge.radius_tls import RadiusTlsServer, start_radius_tls
from dnsbound.iana import RadiusAttribute, RadiusCode
from dnsbound.protocols.radius import RadiusPacket, answer_to, read_request
from dnsbound.testing import World
from dnsbound.verify.patterns import NamePattern
from machines.doors import SERVER, Door, door

USER = ((int(RadiusAttribute.USER_NAME), b"@cars.example"),)
ACCESS_POINTS = "*._device.isp.example"

Answer = Callable[[RadiusPacket], Awaitable[RadiusCode | None]]


async def accept(request: RadiusPacket) -> RadiusCode | None:
    return {
        RadiusCode.ACCESS_REQUEST: RadiusCode.ACCESS_ACCEPT,
        RadiusCode.STATUS_SERVER: RadiusCode.ACCESS_ACCEPT,
        RadiusCode.ACCOUNTING_REQUEST: RadiusCode.ACCOUNTING_RESPONSE,
    }.get(request.code)


@dataclass
class ScriptedService:
    """Answers as `reply` says, in a step of its own, and keeps what came."""

    reply: Answer = accept
    origins: list[RadiusOrigin] = field(default_factory=list)
    requests: list[RadiusPacket] = field(default_factory=list)

    async def answer(self, octets: bytes, origin: RadiusOrigin, request: RadiusPacket | None = None, /) -> bytes | None:
        secret = origin.secrets[0]
        assert request == read_request(octets, secret)
        self.origins.append(origin)
        self.requests.append(request)
        code = await self.reply(request)
        return None if code is None else answer_to(request, code, (), secret)


def access_points() -> RadiusClients:
    return RadiusClients([RadiusClient(label="isp", name=NamePattern.parse(ACCESS_POINTS))])


def radsec_door(world: World, *, datagram: Datagrams | bool = False, **options: Any) -> Door:
    """Lets every device of isp.example in, whether it is a RADIUS client or not, and those of cars.example."""
    return door(world, ACCESS_POINTS, "*._device.cars.example", datagram=datagram, **options)


@asynccontextmanager
async def tls_server(
    at: Door, service: ScriptedService, *, clients: RadiusClients | None = None, limits: GateLimits | None = None
) -> AsyncIterator[RadiusTlsServer]:
    known = clients or access_points()
    server = await start_radius_tls(service, lambda: known, at.context, "127.0.0.1", 0, limits=limits)
    try:
        async with server:
            yield server
    finally:
        await at.resolver.aclose()


@asynccontextmanager
async def dtls_server(
    at: Door, service: ScriptedService, *, limits: GateLimits | None = None
) -> AsyncIterator[RadiusDtlsServer]:
    server = await start_radius_dtls(service, access_points, at.context, "127.0.0.1", 0, limits=limits)
    try:
        async with server:
            yield server
    finally:
        await at.resolver.aclose()


def dtls_context(at: Door, device: Any) -> Context:
    return at.client(device, datagram=RADIUS_DATAGRAMS, clear_name_to=[SERVER])
