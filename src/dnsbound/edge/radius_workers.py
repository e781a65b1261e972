"""RADIUS in several worker processes: a request reaches the one that it belongs to, whichever of them received it.

    shared = RadiusWorkers(count, ticket_seconds=...)                 # before the workers are forked
    with RadiusWorker(shared, index, resolver) as part:               # in each worker, in its event loop
        RadiusServer(..., part.lookups, ..., marked=part.marked, route=part.route, ticket_keys=shared.ticket_keys)

The kernel hands each packet to some worker's socket; `protocols.radius_routing` says whose it is, and for most that is
soon the same: an access point's requests leave from one port. What belongs to another goes there and comes back
(`worker_exchange`), with nothing of it read or checked here.

What this is not: the processes (`worker_processes`), or the service that answers (`radius_service`).
"""

import os
from typing import Final, Self

from dnsbound.edge.authenticator import LookupSource
from dnsbound.edge.counted_lookups import CountedLookups
from dnsbound.edge.dynamic_authorisation import AskBack
from dnsbound.edge.radius_asked import Answer, Respond
from dnsbound.edge.radius_clients import RadiusClients, RadiusOrigin, RadiusTransport
from dnsbound.edge.radius_live import LiveAccess
from dnsbound.edge.radius_service import RadiusService
from dnsbound.edge.radius_totals import RadiusTotals, SessionCounts
from dnsbound.edge.shared_snapshots import SharedSnapshots
from dnsbound.edge.ticket_keys import SharedTicketKeys, TicketSecrets
from dnsbound.edge.worker_exchange import WorkerExchange, WorkerInboxes
from dnsbound.edge.worker_totals import WorkerTotals
from dnsbound.iana import RadiusCode
from dnsbound.protocols.radius import RadiusPacket
from dnsbound.protocols.radius_attributes import Attributes
from dnsbound.protocols.radius_routing import KEY_OCTETS, RadiusRouting
from dnsbound.times import Seconds

_LENGTH_OCTETS: Final = 2
"""Before the origin, which is before a request on its way."""
_BACK: Final = bytes(_LENGTH_OCTETS)
"""Before what is to be asked over a connection: no origin is empty."""


class RadiusWorkers:
    """What all workers of one server share. To be made before they are forked."""

    def __init__(self, count: int, *, ticket_seconds: Seconds, routing_key: bytes | None = None) -> None:
        """ticket_seconds: how long a ticket of resumption serves. routing_key: the one of before, where sessions of
        before are remembered."""
        self.routing: Final = RadiusRouting(count, routing_key or os.urandom(KEY_OCTETS))
        self.inboxes: Final = WorkerInboxes(count)
        self.snapshots: Final = SharedSnapshots(count)
        self._secrets = TicketSecrets(ticket_seconds)

    def ticket_keys(self, door: str) -> SharedTicketKeys:
        """Keys of a door's tickets, which are the same in each worker."""
        return SharedTicketKeys(self._secrets, door=door)

    def forget(self) -> None:
        """Let secrets go that have served; for the process that starts the workers, now and then."""
        self._secrets.at(self._secrets.monotonic())

    def close(self) -> None:
        self.inboxes.close()
        self.snapshots.close()


class RadiusWorker:
    """One worker's part: to be made in its event loop, and entered before the server and left after it."""

    def __init__(self, shared: RadiusWorkers, index: int, resolver: LookupSource) -> None:
        """resolver: whom its doors would ask."""
        self.lookups: Final = CountedLookups(resolver)
        """Whom they are to ask."""
        self._exchange = WorkerExchange(shared.inboxes, index, self._for_another)
        self._routing = shared.routing
        self._totals = WorkerTotals(RadiusTotals, shared.snapshots, index)
        self._index = index
        self._alone = shared.inboxes.count == 1
        self._others = [other for other in range(shared.inboxes.count) if other != index]
        self._service: RadiusService | None = None
        self._back_from_here: AskBack | None = None

    def __enter__(self) -> Self:
        self._exchange.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._exchange.__exit__(*exc)

    def marked(self, random: bytes) -> bytes:
        """A State or Class of this worker, of fresh random octets."""
        return self._routing.marked(self._index, random)

    def route(self, service: RadiusService) -> Respond:
        """What answers in place of `service.respond`."""
        self._service = service
        return service.respond if self._alone else self._respond

    def ask_back(self, from_here: AskBack) -> AskBack:
        """What asks a client over a connection of any worker. from_here: over those of this one."""
        self._back_from_here = from_here
        return self._ask_back

    async def _ask_back(self, label: str, attributes: Attributes) -> RadiusPacket | None:
        assert self._back_from_here is not None
        answer = await self._back_from_here(label, attributes)
        for other in self._others:
            if answer is not None:
                break
            octets = await self._exchange.ask(other, _packed_back(label, attributes))
            answer = None if octets is None else RadiusPacket.from_wire(octets)
        return answer

    async def _ask_for_another(self, label: str, attributes: Attributes) -> bytes | None:
        if self._back_from_here is None:
            return None
        answer = await self._back_from_here(label, attributes)
        return None if answer is None else answer.to_wire()

    def leave_totals(self, live: LiveAccess) -> None:
        """Leave what was counted where metrics are read; at every beat."""
        if self._service is not None:
            self._totals.leave(
                RadiusTotals(
                    radius=self._service.counters,
                    lookups=self.lookups.counts,
                    sessions=SessionCounts.of(live),
                    exchange=self._exchange.counts,
                )
            )

    def _respond(self, octets: bytes, origin: RadiusOrigin, request: RadiusPacket | None = None, /) -> Answer:
        worker = self._routing.worker_for(octets, origin.address, origin.port)
        if worker == self._index:
            assert self._service is not None
            return self._service.respond(octets, origin, request)
        return self._exchange.ask(worker, _packed(octets, origin))

    def _for_another(self, request: bytes) -> Answer:
        """None while this worker does not serve yet, and for a client that only the other's configuration has."""
        if request.startswith(_BACK):
            return self._ask_for_another(*_unpacked_back(request))
        if self._service is None:
            return None
        octets, origin = _unpacked(request, self._service.configuration.clients)
        return None if origin is None else self._service.respond(octets, origin)


def _packed_back(label: str, attributes: Attributes) -> bytes:
    """As a packet that nobody has signed: it leaves this machine as another."""
    packet = RadiusPacket(
        code=RadiusCode.DISCONNECT_REQUEST, identifier=0, authenticator=bytes(16), attributes=attributes
    )
    said = label.encode()
    return _BACK + len(said).to_bytes(_LENGTH_OCTETS, "big") + said + packet.to_wire()


def _unpacked_back(request: bytes) -> tuple[str, Attributes]:
    begins = 2 * _LENGTH_OCTETS
    ends = begins + int.from_bytes(request[_LENGTH_OCTETS:begins], "big")
    return request[begins:ends].decode(), RadiusPacket.from_wire(request[ends:]).attributes


def _packed(octets: bytes, origin: RadiusOrigin) -> bytes:
    accounting = "accounting" if origin.accounting else ""
    said = "\0".join(
        (origin.transport.value, origin.address, str(origin.port), accounting, origin.client.label)
    ).encode()
    return len(said).to_bytes(_LENGTH_OCTETS, "big") + said + octets


def _unpacked(request: bytes, clients: RadiusClients) -> tuple[bytes, RadiusOrigin | None]:
    end = _LENGTH_OCTETS + int.from_bytes(request[:_LENGTH_OCTETS], "big")
    # The label is last: it alone is any text.
    transport, address, port, accounting, label = request[_LENGTH_OCTETS:end].decode().split("\0", 4)
    try:
        client = clients[label]
    except KeyError:
        return request[end:], None
    origin = RadiusOrigin(
        transport=RadiusTransport(transport),
        address=address,
        port=int(port),
        client=client,
        accounting=bool(accounting),
    )
    return request[end:], origin
