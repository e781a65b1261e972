"""QUIC on asyncio, the server's side: one UDP socket, one connection for each client that was admitted.

    server = await start_quic_server(handle, host, port, context=context)

`handle(connection)` is called, or run as a task, for each admitted client; in it `verified_peer()` says who that is,
and `async for reader, writer in connection` takes the client's streams. Before the verdict a client can open no stream
and send no octet: its limits are zero (RFC 9000 section 4), and a client that sends all the same is cut.

An address nothing is known of gets a Retry, for which nothing is kept (RFC 9000 section 8.1.2). Any event loop serves;
none has to wait inside a callback. QUIC version 1 alone; no 0-RTT, no unidirectional streams, no stateless resets.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final, Self

from dnsbound.edge.authenticator import Authenticator, verdict_at_hand
from dnsbound.edge.context import Context
from dnsbound.edge.context_door import verdict_of
from dnsbound.edge.handshake_slots import HandshakeOutcome, source_of
from dnsbound.edge.quic_connection import Address, QuicLimits
from dnsbound.edge.quic_engine import CONNECTION_ID_OCTETS, VERSION, QuicEngine
from dnsbound.edge.quic_greeting import Greeter, our_versions
from dnsbound.edge.quic_library import Buffer, QuicHeader, QuicPacketType, QuicProtocolVersion, pull_quic_header
from dnsbound.edge.quic_served import ServedQuic
from dnsbound.edge.serving_socket import ServingSocket
from dnsbound.edge.session_sweep import sweep_for
from dnsbound.errors import LimitExceeded, Misuse
from dnsbound.tls.quic_handshake import CryptoTransport, QuicHandshake
from dnsbound.verify.claim import Claim

_log: Final = logging.getLogger("dnsbound.listen")

Handler = Callable[["ServedQuic"], Awaitable[None] | None]

_FIRST_OCTETS: Final = 1200
"""A client's first datagrams at least (RFC 9000 section 14.1); what answers one is shorter."""


class QuicServer(ServingSocket[ServedQuic]):
    """Made by `start_quic_server`. An asynchronous context manager that closes."""

    serves = "QUIC connections"

    def __init__(
        self, loop: asyncio.AbstractEventLoop, handler: Handler, context: Context, bounds: QuicLimits | None
    ) -> None:
        if not (context.is_door and context.quic):
            raise Misuse("a QUIC server needs a Context made with Context.server(..., quic=True)")
        if not context.alpn_protocols:
            raise Misuse("QUIC needs an application protocol: Context.set_alpn_protocols (RFC 9001 section 8.1)")
        super().__init__(loop, handler)
        self.bounds: Final = bounds or QuicLimits()
        self.turned_away = 0
        """Datagrams of new clients that found a limit reached."""
        self._context = context
        self._authenticator = context.authenticator
        self._slots = context.handshake_slots
        self._greeter = Greeter()
        self._by_name: dict[bytes, ServedQuic] = {}
        self._all: set[ServedQuic] = set()
        self._of_source: Counter[str] = Counter()
        self._is_closing = False

    # --- for the program

    @property
    def seconds(self) -> int:
        """From a client's first datagram to its verdict."""
        return self._slots.seconds

    def __len__(self) -> int:
        """How many connections there are, unfinished ones included."""
        return len(self._all)

    async def close(self) -> None:
        """End every connection, when its client has what was written or after a moment, and close the socket."""
        self._is_closing = True
        for served in list(self._all):
            served.close()
        while self._all and not self.transport.is_closing():
            await asyncio.wait([asyncio.ensure_future(served.wait_closed()) for served in self._all])
        self.transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()
        await self.wait_closed()

    # --- asyncio.DatagramProtocol

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ANN401 (a socket address)
        try:
            header = pull_quic_header(Buffer(data=data), host_cid_length=CONNECTION_ID_OCTETS)
        except ValueError:
            return
        served = self._by_name.get(header.destination_cid)
        if served is not None:
            served.receive(data, addr)
        elif header.version is not None and len(data) >= _FIRST_OCTETS:
            self._meet(header, data, addr)

    def abandon(self) -> None:
        for served in list(self._all):
            served.abandon()

    # --- new clients

    def _meet(self, header: QuicHeader, data: bytes, address: Address) -> None:
        if header.version == QuicProtocolVersion.NEGOTIATION:
            return
        if header.version != VERSION:
            self.send(our_versions(header), address)
            return
        if header.packet_type is not QuicPacketType.INITIAL:
            return
        host = str(address[0])
        source = source_of(host)
        if self._is_closing or self._is_full(source) or not self._slots.has_share(host):
            self.turned_away += 1
        elif (first := self._greeter.first_destination(header, address, self.loop.time())) is not None:
            self._begin(first, header, data, address, source)
        else:  # no token, or one that is not ours (RFC 9000 section 8.1.3)
            self.send(self._greeter.retry(header, address, self.loop.time()), address)

    def _is_full(self, source: str) -> bool:
        bounds = self.bounds
        return len(self._all) >= bounds.connections or self._of_source[source] >= bounds.connections_per_source

    def _begin(self, first: bytes, header: QuicHeader, data: bytes, address: Address, source: str) -> None:
        if not self._slots.take(str(address[0])):
            self.turned_away += 1
            return
        transport = CryptoTransport()
        shim = self._context.server_shim(transport, source=str(address[0]))
        handshake = QuicHandshake(shim, transport)
        engine = QuicEngine(
            handshake,
            idle_seconds=self.bounds.idle_seconds,
            streams=self.bounds.streams,
            stream_octets=self.bounds.stream_octets,
            connection_octets=self.bounds.connection_octets,
            destination=first,
            retried_as=header.destination_cid,
        )
        served = ServedQuic(self, engine, handshake, address, source)
        self._all.add(served)
        self._of_source[source] += 1
        self.add_name(served, header.destination_cid)
        self.add_name(served, engine.host_cid)
        served.receive(data, address)

    # --- from connections

    def add_name(self, served: ServedQuic, connection_id: bytes) -> None:
        served.names.add(connection_id)
        self._by_name[connection_id] = served

    def drop_name(self, served: ServedQuic, connection_id: bytes) -> None:
        served.names.discard(connection_id)
        self._by_name.pop(connection_id, None)

    def finished(self, served: ServedQuic, outcome: HandshakeOutcome) -> None:
        """Its handshake needs no slot any more."""
        self._slots.count(outcome)
        self._slots.give_back(served.address_text)

    def forget(self, served: ServedQuic) -> None:
        if served not in self._all:
            return
        self._all.discard(served)
        self._of_source[served.source] -= 1
        if not self._of_source[served.source]:
            del self._of_source[served.source]
        for name in served.names:
            self._by_name.pop(name, None)
        served.names.clear()
        if served.session is not None and isinstance(self._authenticator, Authenticator):
            self._authenticator.sessions.remove(served.session)
            served.session = None

    def judge(self, served: ServedQuic, claim: Claim) -> None:
        """Settle at once by evidence that is at hand, and in a task when the DNS has to be asked."""
        verdict = verdict_at_hand(self._authenticator, claim)
        if verdict is not None:
            served.settle(verdict)
            return
        self._run(self._judge(served, claim))

    async def _judge(self, served: ServedQuic, claim: Claim) -> None:
        served.settle(await verdict_of(self._authenticator, claim))

    def opened(self, served: ServedQuic, claim: Claim | None) -> None:
        authenticator, peer = self._authenticator, served.peer.peer
        if claim is not None and peer is not None and isinstance(authenticator, Authenticator):
            try:
                served.session = sweep_for(self.loop, authenticator).register(peer, claim, served)
            except LimitExceeded as error:  # nobody would ask about its name again
                _log.warning("%s is let go: %s", peer.name, error)
                served.close()
                return
        self._begin_handler(served, served.peer)


async def start_quic_server(
    handler: Handler,
    host: str | None = None,
    port: int = 0,
    *,
    context: Context,
    bounds: QuicLimits | None = None,
    **options: Any,  # noqa: ANN401 (those of loop.create_datagram_endpoint)
) -> QuicServer:
    """Serve QUIC connections to clients that `context` admits, on whatever event loop is running.

    handler(connection) is called, or run as a task, for each; its connection is closed when the task ends. context:
    made with `Context.server(..., quic=True)`, with `set_alpn_protocols`; Misuse for any other. bounds: how many, for
    how long, and what a client may send ahead. options: sock, family, reuse_port, ... of
    `loop.create_datagram_endpoint`."""
    loop = asyncio.get_running_loop()
    server = QuicServer(loop, handler, context, bounds)
    if "sock" not in options:
        options["local_addr"] = (host or "0.0.0.0", port)  # noqa: S104 (what a server without a host means)
    await loop.create_datagram_endpoint(lambda: server, **options)
    return server
