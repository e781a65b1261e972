"""RADIUS over DTLS, the server's side: each client is admitted by its DNS name, then its packets are answered.

    server = await start_radius_dtls(service, clients, context, host, port)

The context is a door made with `Context.server(..., datagram=RADIUS_DATAGRAMS)`. One packet is one datagram of the
association; repetitions are the service's to recognise, as over UDP. Nothing but DTLS is understood on its port
(RFC 7360 section 3.2), no state is kept before a cookie came back, and half-open associations are counted by source.
Sections: RFC 7360 sections 2.1, 2.2, 3.1, 3.2, 5.1 and 10.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from dnsbound.edge.association_table import DatagramLimits
from dnsbound.edge.context import Context
from dnsbound.edge.current_peer import verified_peer
from dnsbound.edge.datagram_server import DatagramServer, ServedConnection, start_datagram_server
from dnsbound.edge.radius_clients import RadiusClients, RadiusTransport
from dnsbound.edge.radius_gate import Answers, Entrance, GatedServer, GateLimits, RadiusGate
from dnsbound.errors import DnsboundError, LimitExceeded

PORT: Final = 2083
"""RFC 7360 section 3.1, over UDP."""

_log: Final = logging.getLogger("dnsbound.radius")


class RadiusDtlsServer(GatedServer):
    """Made by `start_radius_dtls`."""

    def __init__(self, gate: RadiusGate) -> None:
        super().__init__(gate)
        self._server: DatagramServer
        self.unsendable = 0
        """Answers that fit no datagram of an association."""

    @property
    def port(self) -> int:
        port: int = self._server.address[1]
        return port

    async def listen(self, context: Context, host: str | None, port: int, **options: Any) -> None:  # noqa: ANN401 (those of the loop)
        bounds = DatagramLimits(
            associations=self._gate.limits.connections,
            associations_per_source=self._gate.limits.per_client,
            idle_seconds=self._gate.limits.idle_seconds,
        )
        self._server = await start_datagram_server(self._serve, host, port, context=context, bounds=bounds, **options)

    async def _serve(self, connection: ServedConnection) -> None:
        host, port = connection.address[:2]
        entrance = self._gate.enter(verified_peer(), host, port)
        if entrance is None:
            return
        tasks: set[asyncio.Task[None]] = set()
        room = asyncio.Semaphore(self._gate.limits.requests)
        try:
            async for message in connection:
                await room.acquire()
                task = asyncio.get_running_loop().create_task(self._answer(message, connection, entrance))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                task.add_done_callback(lambda _: room.release())
        finally:
            for task in tasks:
                task.cancel()
            self._gate.leave(entrance)

    async def _answer(self, message: bytes, connection: ServedConnection, entrance: Entrance) -> None:
        try:
            answer = await self._gate.answer(message, entrance)
        except DnsboundError as error:
            _log.warning("the association of %s is closed: %s", entrance.label, error)
            connection.close()
            return
        except Exception:  # noqa: BLE001 (one request's failure is not the others')
            _log.exception("a request of %s failed", entrance.label)
            return
        if answer is None or not connection.is_open:
            return
        try:
            connection.send(answer)
        except LimitExceeded as error:
            self.unsendable += 1
            _log.warning("an answer to %s is not sent: %s; fragment_octets can be less", entrance.label, error)

    def close(self) -> None:
        """Say close_notify to every client."""
        self._server.close()

    async def wait_closed(self) -> None:
        await self._server.wait_closed()


async def start_radius_dtls(
    service: Answers,
    clients: Callable[[], RadiusClients],
    context: Context,
    host: str | None = None,
    port: int = PORT,
    *,
    limits: GateLimits | None = None,
    **options: Any,  # noqa: ANN401 (those of the loop)
) -> RadiusDtlsServer:
    """Serve RADIUS/DTLS to the clients that `context`, a door for datagrams, admits. clients: the configured ones.
    options: sock, family, reuse_port, ... of `loop.create_datagram_endpoint`."""
    server = RadiusDtlsServer(RadiusGate(service, clients, RadiusTransport.DTLS, limits=limits))
    await server.listen(context, host, port, **options)
    return server
