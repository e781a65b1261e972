"""RADIUS over TLS (RadSec), the server's side: each client is admitted by its DNS name, then its packets are answered.

    server = await start_radius_tls(service, clients, context, host, port)

The context is a door (`Context.server`): an access point or proxy presents a certificate or a raw key, its name is
permitted there, and the name's TLSA record vouches for it. A client whose record disappears is cut like any session.
Requests of one connection are answered as they are ready, in any order; when as many are under way as it may have, no
more is read of it. In the other direction `ask` sends a request over a client's own connection, for clients behind a
NAT. Sections: RFC 6614 sections 2.1 to 2.5 and 3.4; RFC 6613 section 2.6.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable
from itertools import islice
from typing import Any, Final, TypeVar

from dnsbound.edge.context import Context
from dnsbound.edge.current_peer import verified_peer
from dnsbound.edge.listen import start_server
from dnsbound.edge.radius_clients import RadiusClients, RadiusTransport
from dnsbound.edge.radius_gate import Answers, Entrance, GatedServer, GateLimits, RadiusGate
from dnsbound.edge.radius_pending import Answered, Begun, Pending, code_of
from dnsbound.errors import DnsboundError, PeerError
from dnsbound.iana import RadiusCode
from dnsbound.protocols.radius import ANSWERS, RadiusPacket
from dnsbound.protocols.radius_attributes import Attributes
from dnsbound.protocols.radius_stream import PacketStream
from dnsbound.times import Seconds

T = TypeVar("T")

PORT: Final = 2083
"""RFC 6614 section 2.1."""
READ_OCTETS: Final = 16_384
ASK_SECONDS: Final[Seconds] = 10.0
TRIED: Final = 2
"""Connections of one client that one request is sent over."""
TRIED_SECONDS: Final[Seconds] = 5.0
"""For the answer over each; together less than EXCHANGE_SECONDS, for which another worker may be waiting."""
_ANSWER_CODES: Final = frozenset(int(code) for code in RadiusCode if not ANSWERS[code])

_log: Final = logging.getLogger("dnsbound.radius")


class RadiusConnection:
    """One client's connection."""

    def __init__(
        self, gate: RadiusGate, entrance: Entrance, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.entrance: Final = entrance
        self._gate = gate
        self._reader = reader
        self._writer = writer
        self._room = asyncio.Semaphore(gate.limits.requests)
        self._tasks: set[asyncio.Task[None]] = set()
        self._asked: Final = Pending(entrance.secret)
        self._broken = False

    async def serve(self) -> None:
        """Until it ends. Raises why, unless the client closed it in order."""
        stream = PacketStream()
        try:
            while octets := await self._read():
                for packet in stream.receive(octets):
                    await self._take(packet)
                if stream.broken is not None:
                    raise stream.broken
            stream.finish()
        finally:
            for task in self._tasks:
                task.cancel()
            self._asked.fail(ConnectionResetError("the RADIUS client's connection has ended"))

    async def _read(self) -> bytes:
        return await self._in_time(self._reader.read(READ_OCTETS), "nothing was heard")

    async def _in_time(self, waiting: Awaitable[T], otherwise: str) -> T:
        """Give up after the idle time; otherwise: why, in words."""
        try:
            async with asyncio.timeout(self._gate.limits.idle_seconds):
                return await waiting
        except TimeoutError:
            raise TimeoutError(f"{otherwise} for {self._gate.limits.idle_seconds} s") from None

    async def _take(self, packet: bytes) -> None:
        if code_of(packet) in _ANSWER_CODES:
            if not self._asked.receive(packet):
                raise PeerError("an answer that does not hold")
            return
        # A client that asks on and reads no answers is idle as well.
        await self._in_time(self._room.acquire(), "no answer was read")
        task = asyncio.get_running_loop().create_task(self._answer(packet))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._room.release()
        if task.cancelled() or task.exception() is None:
            return
        error = task.exception()
        if not isinstance(error, OSError | DnsboundError):
            _log.error("a request of %s failed", self.entrance.label, exc_info=error)
        elif isinstance(error, DnsboundError):
            self.end(error)

    def end(self, error: Exception) -> None:
        """Close it: `serve` may be waiting for octets that never come."""
        self._broken = True
        self._reader.set_exception(error)

    async def _answer(self, packet: bytes) -> None:
        answer = await self._gate.answer(packet, self.entrance)
        if answer is not None and not self._broken:
            self._writer.write(answer)
            await self._writer.drain()

    async def ask(self, code: RadiusCode, attributes: Attributes, *, seconds: Seconds = ASK_SECONDS) -> Answered:
        """Ask the client something over its own connection. TimeoutError or another OSError without an answer."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        answer: asyncio.Future[tuple[RadiusPacket, Begun]] = loop.create_future()
        begun = self._asked.begin(code, attributes, answer)
        if begun is None:
            raise ConnectionError("every identifier of this connection is in use")
        try:
            async with asyncio.timeout(seconds):
                self._writer.write(begun.octets)
                await self._writer.drain()
                packet, _ = await answer
        finally:
            if answer.done() and not answer.cancelled():
                answer.exception()
            self._asked.end(begun)
        return Answered(packet=packet, request_authenticator=begun.authenticator, sent=1, seconds=loop.time() - started)


async def disconnect_over(connections: Iterable[RadiusConnection], attributes: Attributes) -> RadiusPacket | None:
    """The answer to a Disconnect-Request that is sent over one of a client's connections, and over the next where the
    first gives none; None when none does."""
    for connection in islice(connections, TRIED):
        try:
            asked = await connection.ask(RadiusCode.DISCONNECT_REQUEST, attributes, seconds=TRIED_SECONDS)
        except OSError:  # TimeoutError among them
            continue
        return asked.packet
    return None


class RadiusTlsServer(GatedServer):
    """Made by `start_radius_tls`."""

    def __init__(self, gate: RadiusGate) -> None:
        super().__init__(gate)
        self._server: asyncio.Server
        self._connections: dict[RadiusConnection, asyncio.Task[Any] | None] = {}

    @property
    def port(self) -> int:
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def connections_of(self, label: str) -> list[RadiusConnection]:
        """The open connections of `[client.LABEL]`, the newest first."""
        return [each for each in reversed(self._connections) if each.entrance.origin.client.label == label]

    async def listen(self, context: Context, host: str | None, port: int, **options: Any) -> None:  # noqa: ANN401 (those of the loop)
        at = None if "sock" in options else port
        self._server = await start_server(self._serve, host, at, context=context, **options)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = writer.get_extra_info("peername")[:2]
        try:
            entrance = self._gate.enter(verified_peer(), host, port)
            if entrance is not None:
                await self._serve_client(RadiusConnection(self._gate, entrance, reader, writer))
        except (OSError, DnsboundError) as error:  # a client that is cut included
            _log.warning("the RADIUS/TLS connection from %s is closed: %s", host, error)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _serve_client(self, connection: RadiusConnection) -> None:
        self._connections[connection] = asyncio.current_task()
        try:
            await connection.serve()
        finally:
            del self._connections[connection]
            self._gate.leave(connection.entrance)

    def close(self) -> None:
        """Accept nobody any more, and end every connection."""
        self._server.close()
        for connection in self._connections:
            connection.end(ConnectionAbortedError("this server is closed"))

    async def wait_closed(self) -> None:
        tasks = [task for task in self._connections.values() if task is not None]
        if tasks:
            await asyncio.wait(tasks)
        await self._server.wait_closed()


async def start_radius_tls(
    service: Answers,
    clients: Callable[[], RadiusClients],
    context: Context,
    host: str | None = None,
    port: int = PORT,
    *,
    limits: GateLimits | None = None,
    **options: Any,  # noqa: ANN401 (those of the loop)
) -> RadiusTlsServer:
    """Serve RADIUS/TLS to the clients that `context`, a door, admits. clients: the configured ones. options: sock,
    backlog, ... of `loop.create_server`."""
    server = RadiusTlsServer(RadiusGate(service, clients, RadiusTransport.TLS, limits=limits))
    await server.listen(context, host, port, **options)
    return server
