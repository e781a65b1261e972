"""RADIUS in several worker processes: a request reaches the one that it belongs to, whichever of them received it.

    shared = RadiusWorkers(count, ticket_seconds=...)                 # before the workers are forked
    with RadiusWorker(shared, index, clients) as part:                # in each worker, in its event loop
        RadiusServer(..., marked=part.marked, route=part.route, ticket_keys=shared.ticket_keys)

The kernel hands each packet to some worker's socket; `protocols.radius_routing` says whose it is, and for most that is
soon the same: an access point's requests leave from one port. What belongs to another goes there and comes back
(`worker_exchange`), with nothing of it read or checked here.

What this is not: the processes (`worker_processes`), or the service that answers (`radius_service`).
"""

import json
import os
from collections.abc import Callable
from typing import Any, Final, Self

from dnsbound.edge.radius_asked import Answer
from dnsbound.edge.radius_clients import RadiusClients, RadiusOrigin, RadiusTransport
from dnsbound.edge.shared_snapshots import SharedSnapshots
from dnsbound.edge.ticket_keys import SharedTicketKeys, TicketSecrets
from dnsbound.edge.worker_exchange import WorkerExchange, WorkerInboxes
from dnsbound.protocols.radius_routing import KEY_OCTETS, RadiusRouting
from dnsbound.times import Seconds

_ORIGIN_OCTETS: Final = 2
"""Length of the origin before a request on its way."""

Respond = Callable[[bytes, RadiusOrigin], Answer]


class RadiusWorkers:
    """What all workers of one server share. To be made before they are forked."""

    def __init__(self, count: int, *, ticket_seconds: Seconds) -> None:
        """ticket_seconds: how long a ticket of resumption serves."""
        self.routing: Final = RadiusRouting(count, os.urandom(KEY_OCTETS))
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
    """One worker's part, within its event loop. clients: those in force there."""

    def __init__(self, shared: RadiusWorkers, index: int, clients: Callable[[], RadiusClients]) -> None:
        self.exchange: Final = WorkerExchange(shared.inboxes, index, self._for_another)
        self._routing = shared.routing
        self._index = index
        self._clients = clients
        self._service: Respond | None = None

    def __enter__(self) -> Self:
        self.exchange.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self.exchange.__exit__(*exc)

    def marked(self, random: bytes) -> bytes:
        """A State or Class of this worker, of fresh random octets."""
        return self._routing.marked(self._index, random)

    def route(self, service: Respond) -> Respond:
        """What answers in place of `service`, this worker's own."""
        self._service = service
        return self._respond

    def _respond(self, octets: bytes, origin: RadiusOrigin) -> Answer:
        worker = self._routing.worker_for(octets, origin.address, origin.port)
        if worker == self._index:
            assert self._service is not None
            return self._service(octets, origin)
        return self.exchange.ask(worker, _packed(octets, origin))

    def _for_another(self, request: bytes) -> Answer:
        """None while this worker does not serve yet, and for a client that only the other's configuration has."""
        octets, origin = _unpacked(request, self._clients)
        return None if origin is None or self._service is None else self._service(octets, origin)


def _packed(octets: bytes, origin: RadiusOrigin) -> bytes:
    fields = (origin.transport.value, origin.address, origin.port, origin.client.label, origin.accounting)
    said = json.dumps(fields).encode()
    return len(said).to_bytes(_ORIGIN_OCTETS, "big") + said + octets


def _unpacked(request: bytes, clients: Callable[[], RadiusClients]) -> tuple[bytes, RadiusOrigin | None]:
    end = _ORIGIN_OCTETS + int.from_bytes(request[:_ORIGIN_OCTETS], "big")
    transport, address, port, label, accounting = _loaded(request[_ORIGIN_OCTETS:end])
    try:
        client = clients()[label]
    except KeyError:
        return request[end:], None
    origin = RadiusOrigin(
        transport=RadiusTransport(transport), address=address, port=port, client=client, accounting=accounting
    )
    return request[end:], origin


def _loaded(said: bytes) -> tuple[str, str, int, str, bool]:
    value: Any = json.loads(said)
    transport, address, port, label, accounting = value
    return transport, address, port, label, accounting
