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
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

from dnsbound.edge.access_file import AccessFile
from dnsbound.edge.authenticator import LookupSource
from dnsbound.edge.credential_files import load_credential
from dnsbound.edge.radius_admission import Supervision
from dnsbound.edge.radius_audit import AccessEvent
from dnsbound.edge.radius_clients import RadiusClients
from dnsbound.edge.radius_configuration import RadiusConfiguration
from dnsbound.edge.radius_endpoint import Endpoint
from dnsbound.edge.radius_networks import RadiusNetworks, TicketKeysOf
from dnsbound.edge.radius_service import AccountingRecorder, RadiusService
from dnsbound.edge.radius_udp import RadiusSocket, Respond, bind_udp
from dnsbound.errors import DnsboundError, Misuse
from dnsbound.times import Moment, Seconds

_TICK: Final[Seconds] = 1.0

_log: Final = logging.getLogger("dnsbound.radius")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """The UDP sockets of one worker."""

    authentication: tuple[socket.socket, ...]
    accounting: tuple[socket.socket, ...]

    def close(self) -> None:
        for each in (*self.authentication, *self.accounting):
            each.close()

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Of authentication, in the order of the file."""
        return tuple(_endpoint_of(each) for each in self.authentication)

    @property
    def accounting_endpoints(self) -> tuple[Endpoint, ...]:
        return tuple(_endpoint_of(each) for each in self.accounting)


def bind_all(configuration: RadiusConfiguration, *, workers: int = 1) -> tuple[Bound, ...]:
    """The sockets of each worker, which share their ports (SO_REUSEPORT). Misuse, in one line, for an address that
    cannot be had; nothing is bound then."""
    with contextlib.ExitStack() as undo:
        authentication = [_shared(endpoint, workers, undo) for endpoint in configuration.server.listen]
        accounting = [_shared(endpoint, workers, undo) for endpoint in configuration.server.accounting]
        undo.pop_all()
    return tuple(
        Bound(
            authentication=tuple(each[worker] for each in authentication),
            accounting=tuple(each[worker] for each in accounting),
        )
        for worker in range(workers)
    )


def _shared(endpoint: Endpoint, workers: int, undo: contextlib.ExitStack) -> list[socket.socket]:
    made: list[socket.socket] = []
    for _ in range(workers):
        try:
            one = bind_udp(endpoint, reuse_port=workers > 1)
        except OSError as error:
            raise Misuse(f"cannot listen at {endpoint}: {(error.strerror or str(error)).lower()}") from error
        undo.callback(one.close)
        made.append(one)
        endpoint = _endpoint_of(one)
    return made


def _endpoint_of(bound: socket.socket) -> Endpoint:
    host, port = bound.getsockname()[:2]
    return Endpoint(host=host, port=port)


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
        self.networks: Final = RadiusNetworks(
            configuration,
            load_credential(configuration.server.credential),
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
        self._sockets: list[RadiusSocket] = []
        self._ticking: asyncio.Task[None] | None = None

    def clients(self) -> RadiusClients:
        """Those in force."""
        return self.service.configuration.clients

    async def __aenter__(self) -> Self:
        for accounting, sockets in ((False, self._bound.authentication), (True, self._bound.accounting)):
            for each in sockets:
                self._sockets.append(
                    RadiusSocket(each, self._respond, self.clients, self.service.counters, accounting=accounting)
                )
        self._ticking = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, *_exc: object) -> None:
        for each in self._sockets:
            await each.aclose()
        if self._ticking is not None:
            self._ticking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticking

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
            self.networks.configure(configuration, credential, access=access)
        except DnsboundError as error:
            _log.error("%s; what was read before stays in force", error)
            return
        self._access = access
        self.service.configure(configuration)
        _tell_what_stays(former, configuration)
        _log.info(
            "%s: %d clients, %d networks in force", former.path, len(configuration.clients), len(list(self.networks))
        )

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            self.service.tick()


_BEGUN_WITH: Final = (
    "listen",
    "accounting",
    "radsec",
    "radsec_dtls",
    "workers",
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
