"""A RADIUS server in one process: radius.toml, its sockets, and the service behind them.

    sockets = bind_all(configuration)                      # before any worker is forked
    async with RadiusServer(configuration, resolver, sockets[0]) as server:
        ...

`reload` reads radius.toml, the secrets, the credential and the access list again. With an error in any of them all
stays as it was, and one line says what is wrong. Where it listens is what it began with.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Final, Self

from dnsbound.edge.access_file import AccessFile
from dnsbound.edge.authenticator import LookupSource
from dnsbound.edge.credential_files import load_credential
from dnsbound.edge.radius_admission import Supervision
from dnsbound.edge.radius_asked import Respond
from dnsbound.edge.radius_audit import AccessEvent
from dnsbound.edge.radius_clients import RadiusClients, RadiusOrigin
from dnsbound.edge.radius_configuration import RadiusConfiguration
from dnsbound.edge.radius_dictionaries import AttributesByName
from dnsbound.edge.radius_dtls import start_radius_dtls
from dnsbound.edge.radius_networks import RadiusNetworks, TicketKeysOf
from dnsbound.edge.radius_service import AccountingRecorder, RadiusService
from dnsbound.edge.radius_sockets import Bound
from dnsbound.edge.radius_tls import RadiusTlsServer, disconnect_over, start_radius_tls
from dnsbound.edge.radius_udp import RadiusSocket
from dnsbound.errors import DnsboundError
from dnsbound.protocols.radius import RadiusPacket
from dnsbound.protocols.radius_attributes import Attributes
from dnsbound.times import Moment, Seconds

_TICK: Final[Seconds] = 1.0

_log: Final = logging.getLogger("dnsbound.radius")


class RadiusServer:
    """Serves while it is entered. To be made in the process that serves.

    bound: its sockets; closed at the end. route: what answers in place of the service's own `respond`, made of it,
    where requests go to several workers. Others: see `RadiusService` and `RadiusNetworks`. Misuse or Malformed, in one
    line, for a credential or an access list that cannot be used.
    """

    def __init__(
        self,
        configuration: RadiusConfiguration,
        resolver: LookupSource,
        bound: Bound,
        *,
        marked: Callable[[bytes], bytes] | None = None,
        route: Callable[[RadiusService], Respond] | None = None,
        supervision: Supervision | None = None,
        recorder: AccountingRecorder | None = None,
        ticket_keys: TicketKeysOf | None = None,
        on_event: Callable[[AccessEvent], None] | None = None,
        clock: Callable[[], Moment] = time.time,
    ) -> None:
        self._access = AccessFile(configuration.server.access)
        self._credential = load_credential(configuration.server.credential)
        self.networks: Final = RadiusNetworks(
            configuration,
            self._credential,
            resolver,
            access=self._access,
            ticket_keys=ticket_keys,
            clock=clock,
        )
        self.service: Final = RadiusService(
            configuration,
            self.networks,
            marked=marked,
            supervision=supervision,
            recorder=recorder,
            on_event=on_event,
            clock=clock,
        )
        self._respond = self.service.respond if route is None else route(self.service)
        self._bound = bound
        self._radsec: Final[list[RadiusTlsServer]] = []
        self._open: contextlib.AsyncExitStack

    def clients(self) -> RadiusClients:
        """Those in force."""
        return self.service.configuration.clients

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as opening:
            opening.callback(self._bound.close)
            await self._listen_udp(opening)
            await self._listen_tls(opening)
            ticking = asyncio.create_task(self._tick())
            opening.push_async_callback(_cancelled, ticking)
            self._open = opening.pop_all()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._open.aclose()

    async def _listen_udp(self, opening: contextlib.AsyncExitStack) -> None:
        for accounting, sockets in ((False, self._bound.authentication), (True, self._bound.accounting)):
            for each in sockets:
                served = RadiusSocket(each, self._respond, self.clients, self.service.counters, accounting=accounting)
                opening.push_async_callback(served.aclose)

    async def _listen_tls(self, opening: contextlib.AsyncExitStack) -> None:
        """RadSec and RADIUS/DTLS. A listener keeps the certificate that it began with."""
        answers, settings = _Answering(self._respond), self.service.configuration.server
        if self._bound.radsec:
            context = self.networks.clients_context(settings, self._credential)
            for each in self._bound.radsec:
                listening = await start_radius_tls(answers, self.clients, context, sock=each)
                self._radsec.append(await opening.enter_async_context(listening))
        if self._bound.radsec_dtls:
            context = self.networks.clients_context(settings, self._credential, datagram=True)
            for each in self._bound.radsec_dtls:
                await opening.enter_async_context(await start_radius_dtls(answers, self.clients, context, sock=each))

    async def ask_back(self, label: str, attributes: Attributes) -> RadiusPacket | None:
        """As `dynamic_authorisation.AskBack`, over connections of this process."""
        return await disconnect_over(
            (each for listening in self._radsec for each in listening.connections_of(label)), attributes
        )

    def reload(self) -> None:
        """Read everything again. With an error in it all stays as it was, and a line of the log says what is wrong."""
        former = self.service.configuration
        try:
            configuration = RadiusConfiguration.load(former.path)
            credential = load_credential(configuration.server.credential)
            access = self._access
            if configuration.server.access == access.path:
                access.reload()
            else:
                access = AccessFile(configuration.server.access)
            # What may fail comes first.
            AttributesByName(configuration.server.dictionary)
            self.networks.configure(configuration, credential, access=access)
            self.service.configure(configuration)
        except DnsboundError as error:
            _log.error("%s; what was read before stays in force", error)
            return
        self._access = access
        _tell_what_stays(former, configuration)
        _log.info(
            "%s: %d clients, %d networks in force", former.path, len(configuration.clients), len(list(self.networks))
        )

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            self.service.tick()


class _Answering:
    """What the listeners over TLS ask, in place of the service: the answer may be another worker's."""

    def __init__(self, respond: Respond) -> None:
        self._respond = respond

    async def answer(self, octets: bytes, origin: RadiusOrigin, request: RadiusPacket | None = None, /) -> bytes | None:
        answer = self._respond(octets, origin, request)
        return await answer if asyncio.iscoroutine(answer) else answer


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


_BEGUN_WITH: Final = (
    "listen",
    "accounting",
    "radsec",
    "radsec_dtls",
    "workers",
    "decisions",
    "conversations",
    "conversations_per_station",
    "conversation_seconds",
    "lookups_per_source",
    "lookups_per_zone",
    "accounting_database",
)


def _tell_what_stays(former: RadiusConfiguration, configuration: RadiusConfiguration) -> None:
    changed = [key for key in _BEGUN_WITH if getattr(former.server, key) != getattr(configuration.server, key)]
    if changed:
        _log.warning("%s: [server]: %s: takes effect at the next start", former.path, ", ".join(changed))
