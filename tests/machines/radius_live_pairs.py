"""A RADIUS service with live sessions, and an access server of the test's own that ends them when it is asked to."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dnsbound.edge.dynamic_authorisation import AskBack, DynamicAuthoriser
from dnsbound.edge.radius_live import LiveAccess
from dnsbound.edge.radius_supervision import supervised
from dnsbound.iana import AcctStatusType, ErrorCause, RadiusAttribute, RadiusCode
from dnsbound.protocols.radius import Discarded, RadiusPacket, read_answer, request_of
from dnsbound.protocols.radius_accounting import AccountingEvent
from dnsbound.protocols.radius_dynamic import dynamic_answer, read_dynamic_request
from dnsbound.protocols.radius_exchange import Patience
from dnsbound.protocols.radius_nas import NasFacts
from dnsbound.testing.organisation import Device
from dnsbound.testing.world import World
from interop.radius_server import SECRET, radius_files
from machines.radius_pairs import AccessServer, Ended, Served, served, supplicant

NAS_IDENTIFIER = b"ap1.isp.example"
WAIT = 20.0
HURRIED = Patience(first=0.1, longest=0.2, times=4, seconds=2.0)
"""For access servers that say nothing."""

Answerer = Callable[[RadiusPacket], ErrorCause | int | None]


class DisconnectPort(asyncio.DatagramProtocol):
    """Where an access server takes Disconnect-Requests. answer: an Error-Cause, None for an ACK, -1 for silence."""

    def __init__(self, now: Callable[[], float], answer: Answerer, secret: bytes = SECRET.encode()) -> None:
        self.now = now
        self.answer = answer
        self.secret = secret
        self.requests: list[RadiusPacket] = []
        self.discarded: list[Discarded] = []
        self.transport: Any = None
        self.gone = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set_result(None)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        try:
            request = read_dynamic_request(data, self.secret, now=self.now())
        except Discarded as error:
            self.discarded.append(error)
            return
        self.requests.append(request)
        self.reply(request, addr)

    def reply(self, request: RadiusPacket, addr: Any) -> None:
        said = self.answer(request)
        if said != -1:
            cause = None if said is None else ErrorCause(said)
            self.transport.sendto(dynamic_answer(request, self.secret, cause=cause), addr)

    @property
    def port(self) -> int:
        return int(self.transport.get_extra_info("sockname")[1])


@dataclass(kw_only=True)
class LiveSite:
    """live: of the service. port: the access server's."""

    world: World
    site: Served
    live: LiveAccess
    port: DisconnectPort
    directory: Path
    answers: list[Ended] = field(default_factory=list)

    def nas(self, **options: Any) -> AccessServer:
        more = ((RadiusAttribute.NAS_IDENTIFIER, NAS_IDENTIFIER), *options.pop("more", ()))
        return self.site.nas(more=more, **options)

    async def admit(self, device: Device, **options: Any) -> bytes:
        """Let a device in; the Class that the access server is told."""
        ended = await self.nas(**options).authenticate(supplicant(self.world, device.credential))
        self.answers.append(ended)
        assert ended.code is RadiusCode.ACCESS_ACCEPT
        value = ended.answer.first(RadiusAttribute.CLASS)
        assert value is not None
        return value

    async def report(self, status: str, access_class: bytes | None, *, session: bytes = b"s1", **more: Any) -> bool:
        """An Accounting-Request of the access server; whether it was acknowledged."""
        client = more.pop("origin", {})
        secret = more.pop("secret", SECRET.encode())
        nas = ((RadiusAttribute.NAS_IDENTIFIER, more.pop("nas", NAS_IDENTIFIER)),)
        event = AccountingEvent(
            status=AcctStatusType[status],
            session_id=session,
            nas=NasFacts(),
            classes=() if access_class is None else (access_class,),
            **more,
        )
        octets = request_of(RadiusCode.ACCOUNTING_REQUEST, 7, nas + event.to_attributes(), secret)
        answer = await self.site.service.answer(octets, self.site.origin(accounting=True, **client))
        return answer is not None and read_answer(answer, octets, secret).code is RadiusCode.ACCOUNTING_RESPONSE

    async def until(self, condition: Callable[[], object], what: str) -> None:
        async with asyncio.timeout(WAIT):
            while not condition():  # noqa: ASYNC110 (conditions of many kinds)
                await asyncio.sleep(0.02)
        assert condition(), what


def clients_text(port: int | str, secrets: str = "nas.secret") -> str:
    where = port if isinstance(port, str) else f"127.0.0.1:{port}"
    return f"""
[client.nas]
address = ["127.0.0.0/8"]
secret_file = "{secrets}"
dynamic_authorisation = "{where}"
"""


@asynccontextmanager
async def live_site(
    directory: Path,
    world: World,
    *,
    answer: Answerer = lambda _request: None,
    database: str | None = None,
    dynamic: str | None = None,
    patience: Patience = HURRIED,
    clients: str = "",
    secrets: str = "nas.secret",
    networks: str | None = None,
    ask_back: AskBack | None = None,
    **options: Any,
) -> AsyncIterator[LiveSite]:
    """options: of `LiveAccess`. ask_back: of `LiveAccess.begin`. database: of accounting.
    dynamic: what the client's dynamic_authorisation says."""
    loop = asyncio.get_running_loop()
    _, port = await loop.create_datagram_endpoint(
        lambda: DisconnectPort(world.now, answer), local_addr=("127.0.0.1", 0)
    )
    settings = "" if database is None else f'accounting_database = "{database}"\n'
    more = {} if networks is None else {"networks": networks}
    files = {"settings": settings, "clients": clients_text(dynamic or port.port, secrets) + clients, **more}
    configuration = radius_files(directory, world, **files)
    options.setdefault("authoriser", DynamicAuthoriser(patience=patience, clock=world.now))
    options.setdefault("first_wait", 0.05)
    try:
        async with supervised(configuration, clock=world.now, **options) as live:
            with served(directory, world, supervision=live, recorder=live, **files) as site:
                found = {network.label: network.authenticator for network in site.networks}
                known = {client.label: client for client in site.service.configuration.clients}
                await live.begin(authenticator_of=found.get, client_of=known.get, ask_back=ask_back)
                yield LiveSite(world=world, site=site, live=live, port=port, directory=directory)
    finally:
        port.transport.close()
        await port.gone
