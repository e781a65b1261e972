"""A DNS server on asyncio: UDP and TCP on one port, and DNS over TLS where a context is given.

It moves octets and knows nothing of names: an `Answerer` is given each query and its `Arrival` and returns the
response, or None for silence, or an awaitable of either. Stream connections carry any number of queries, which are
answered as their responses become ready (RFC 7766 section 6.2.1.1), and are closed when idle, when they are more than
the limit, all together or from one source, and when they send what is no DNS framing. Stream queries are answered one
in each turn of the loop, whoever sent how many: what costs a signature each must not keep the others waiting.

Sections: RFC 1035 section 4.2, RFC 7766, RFC 7858 section 3.3.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

import dns.rcode

from dnsbound.dns.authority import Arrival, Transport, bare_response
from dnsbound.dns.authority_budget import source_prefix
from dnsbound.errors import Misuse
from dnsbound.limits import DNS_ANSWERS_AT_ONCE, DNS_CONNECTIONS, DNS_CONNECTIONS_PER_SOURCE, DNS_IDLE_SECONDS

if TYPE_CHECKING:
    import ssl

    from dnsbound.times import Moment

Answerer: TypeAlias = Callable[[bytes, Arrival], bytes | Awaitable[bytes | None] | None]
"""Query octets and where they came from to response octets, None for no response."""

_LOG: Final = logging.getLogger("dnsbound.dns_server")
_PORT_ATTEMPTS: Final = 32
_RECEIVE_BUFFER: Final = 1 << 20
_TLS_SECONDS: Final = 5


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class DnsServer:
    """One address, all transports. Use `start` or `async with`; everything runs on the loop that started it.

    port: 0 for any port that is free for UDP and TCP alike. tls: a server-side ssl context for a DoT listener at
    `tls_port`. connections, connections_per_source, idle_seconds: limits.DNS_CONNECTIONS, DNS_CONNECTIONS_PER_SOURCE
    and DNS_IDLE_SECONDS.
    """

    def __init__(
        self,
        answerer: Answerer,
        *,
        host: str = "127.0.0.1",
        port: int = 53,
        tls: ssl.SSLContext | None = None,
        tls_port: int = 853,
        connections: int | None = None,
        connections_per_source: int | None = None,
        idle_seconds: int | None = None,
        clock: Callable[[], Moment] = time.time,
    ) -> None:
        self._answerer = answerer
        self._host, self._port = host, port
        self._tls, self._tls_port = tls, tls_port
        self._connections = DNS_CONNECTIONS.checked(connections)
        self._connections_per_source = DNS_CONNECTIONS_PER_SOURCE.checked(connections_per_source)
        self._idle_seconds = DNS_IDLE_SECONDS.checked(idle_seconds)
        self._clock = clock
        self.udp_is_full = False
        """The system takes no more datagrams for now: answers are dropped, not gathered."""
        self._udp: asyncio.DatagramTransport | None = None
        self._listeners: list[asyncio.Server] = []
        self._open: set[asyncio.StreamWriter] = set()
        self._sources: Counter[str] = Counter()
        self._turn = asyncio.Lock()
        self._streams: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def endpoint(self) -> Endpoint:
        """Address of UDP and TCP, once started."""
        if self._udp is None:
            raise Misuse("the DNS server is not running")
        return Endpoint(*self._udp.get_extra_info("sockname")[:2])

    @property
    def tls_endpoint(self) -> Endpoint:
        """Address of DNS over TLS, once started."""
        if len(self._listeners) < 2:
            raise Misuse("the DNS server has no DNS over TLS listener")
        return Endpoint(*self._listeners[1].sockets[0].getsockname()[:2])

    async def start(self) -> None:
        """Listen. OSError when an address cannot be had; nothing stays open then."""
        self._stopping = False
        self._turn = asyncio.Lock()
        try:
            await self._listen()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close listeners and connections and wait for answers in the making to be dropped."""
        self._stopping = True
        if self._udp is not None:
            self._udp.close()
        for listener in self._listeners:
            listener.close()
        for task in tuple(self._tasks):
            task.cancel()
        for writer in tuple(self._open):
            writer.transport.abort()
        await asyncio.gather(*self._tasks, *self._streams, return_exceptions=True)
        for listener in self._listeners:
            await listener.wait_closed()
        self._udp, self._listeners = None, []

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.stop()

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        stream, datagram = _bind_both(self._host, self._port)
        try:
            self._udp, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), sock=datagram)
        except BaseException:
            stream.close()
            raise
        self._listeners.append(await asyncio.start_server(self._accept(Transport.TCP), sock=stream))
        if self._tls is not None:
            self._listeners.append(
                await asyncio.start_server(
                    self._accept(Transport.TLS),
                    self._host,
                    self._tls_port,
                    ssl=self._tls,
                    ssl_handshake_timeout=_TLS_SECONDS,
                )
            )

    def datagram(self, query: bytes, peer: tuple[Any, ...]) -> None:
        """One UDP query arrived."""
        arrival = Arrival(source=str(peer[0]), transport=Transport.UDP, now=self._clock())
        reply = self._answer(query, arrival)
        if reply is None or isinstance(reply, bytes):
            self._send_datagram(reply, peer)
        else:
            self._spawn(self._late_datagram(reply, peer))

    def _answer(self, query: bytes, arrival: Arrival) -> bytes | Awaitable[bytes | None] | None:
        try:
            return self._answerer(query, arrival)
        except Exception:  # noqa: BLE001 (one query must not end the service for all; the log has the defect)
            _LOG.exception("answering a query from %s failed", arrival.source)
            return bare_response(query, dns.rcode.SERVFAIL)

    async def _late_datagram(self, reply: Awaitable[bytes | None], peer: tuple[Any, ...]) -> None:
        self._send_datagram(await reply, peer)

    def _send_datagram(self, response: bytes | None, peer: tuple[Any, ...]) -> None:
        if response is not None and self._udp is not None and not (self.udp_is_full or self._udp.is_closing()):
            self._udp.sendto(response, peer)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        if len(self._tasks) >= DNS_ANSWERS_AT_ONCE.default:
            work.close()
            return
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOG.error("answering a query failed", exc_info=error)

    def _accept(self, transport: Transport) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
        # A plain function: asyncio complains aloud when it has to cancel a connection's task of its own making.
        def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            source = _source_of(writer)
            prefix = source_prefix(source)
            too_many = self._sources[prefix] >= self._connections_per_source
            if self._stopping or len(self._open) >= self._connections or too_many:
                writer.transport.abort()
                return
            self._open.add(writer)
            self._sources[prefix] += 1
            task = asyncio.get_running_loop().create_task(self._serve_connection(reader, writer, source, transport))
            self._streams.add(task)
            task.add_done_callback(self._streams.discard)

        return accepted

    async def _serve_connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, source: str, transport: Transport
    ) -> None:
        try:
            await self._serve_stream(reader, writer, source, transport)
            writer.close()
            async with asyncio.timeout(self._idle_seconds):
                await writer.wait_closed()
        except (OSError, TimeoutError):
            pass  # The peer went away, or does nothing: either ends the connection.
        finally:
            # What a peer does not take is not kept for it.
            writer.transport.abort()
            self._open.discard(writer)
            self._leave(source_prefix(source))

    def _leave(self, prefix: str) -> None:
        self._sources[prefix] -= 1
        if not self._sources[prefix]:
            del self._sources[prefix]

    async def _serve_stream(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, source: str, transport: Transport
    ) -> None:
        while True:
            async with asyncio.timeout(self._idle_seconds):
                try:
                    length = int.from_bytes(await reader.readexactly(2), "big")
                    query = await reader.readexactly(length)
                except asyncio.IncompleteReadError:
                    return
                await writer.drain()
            async with self._turn:
                reply = self._answer(query, Arrival(source=source, transport=transport, now=self._clock()))
                await asyncio.sleep(0)
            if reply is None:
                continue
            if isinstance(reply, bytes):
                _write_framed(writer, reply)
            else:
                self._spawn(_late_framed(writer, reply))


class _Datagrams(asyncio.DatagramProtocol):
    """Hands datagrams to the server. Errors of single peers (ICMP) are no errors of the service."""

    def __init__(self, server: DnsServer) -> None:
        self._server = server

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self._server.datagram(data, addr)

    def pause_writing(self) -> None:
        self._server.udp_is_full = True

    def resume_writing(self) -> None:
        self._server.udp_is_full = False

    def error_received(self, exc: Exception) -> None:
        _LOG.debug("datagram socket: %s", exc)


def _source_of(writer: asyncio.StreamWriter) -> str:
    peer = writer.get_extra_info("peername")
    return str(peer[0]) if peer else ""


async def _late_framed(writer: asyncio.StreamWriter, reply: Awaitable[bytes | None]) -> None:
    response = await reply
    if response is not None and not writer.is_closing():
        _write_framed(writer, response)


def _write_framed(writer: asyncio.StreamWriter, response: bytes) -> None:
    writer.write(len(response).to_bytes(2, "big") + response)


def _bind_both(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """A listening TCP socket and a UDP socket on one port; with port 0, on one that is free for both."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for attempt in range(_PORT_ATTEMPTS):
        stream = socket.socket(family, socket.SOCK_STREAM)
        datagram = socket.socket(family, socket.SOCK_DGRAM)
        try:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            stream.bind((host, port))
            datagram.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            datagram.bind((host, stream.getsockname()[1]))
            stream.listen(128)
        except OSError as error:
            stream.close()
            datagram.close()
            if port or error.errno != errno.EADDRINUSE or attempt == _PORT_ATTEMPTS - 1:
                raise OSError(error.errno, error.strerror, f"{host} port {port}") from error
            continue
        stream.settimeout(0)
        datagram.settimeout(0)
        return stream, datagram
    raise Misuse("unreachable: the loop returns or raises")
