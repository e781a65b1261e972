"""QUIC clients that keep no rule, and a door that they meet in memory: our engine at both ends, with the octets, the
limits and the frames of the client's in the hands of the test.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aioquic.quic.events import ConnectionTerminated, QuicEvent
from aioquic.tls import Epoch

from dnsbound.edge.context import Context
from dnsbound.edge.quic_connection import QuicLimits
from dnsbound.edge.quic_engine import QuicEngine
from dnsbound.edge.quic_served import ServedQuic
from dnsbound.edge.quic_server import QuicServer
from dnsbound.tls.quic_handshake import CryptoTransport, QuicHandshake
from dnsbound.verify.claim import Claim
from dnsbound.verify.peer import VerifiedPeer
from machines.native_pairs import SERVER
from machines.shim_pairs import Doorkeeper, client, credential, door

ALPN = "meter/1"
Tamper = Callable[[int, bytes], bytes]


class Network(asyncio.DatagramTransport):
    """The server's socket: what it sends waits here."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[bytes, Any]] = []
        self.octets = 0
        self.closed = False

    def sendto(self, data: Any, addr: Any = None) -> None:
        self.sent.append((bytes(data), addr))
        self.octets += len(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def taken(self, address: Any) -> list[bytes]:
        mine = [datagram for datagram, to in self.sent if to == address]
        self.sent = [(datagram, to) for datagram, to in self.sent if to != address]
        return mine


class SlowKeeper(Doorkeeper):
    """Judges when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.may_speak = asyncio.Event()

    async def authenticate(self, claim: Claim) -> VerifiedPeer:
        self.asked.append(claim)
        await self.may_speak.wait()
        return self.judge(claim)


class HostileEngine(QuicEngine):
    """A client's engine whose handshake octets the test may change on their way out."""

    tamper: Tamper | None = None

    def send_crypto(self, flight: list[tuple[int, bytes]]) -> None:
        if self.tamper is not None:
            flight = [(level, self.tamper(level, octets)) for level, octets in flight]
        super().send_crypto(flight)

    def forget_limits(self) -> None:
        """Behave as if the server had granted streams and octets."""
        self._remote_max_streams_bidi = self._remote_max_streams_uni = 100
        self._remote_max_data = self._remote_max_stream_data_bidi_remote = self._remote_max_stream_data_uni = 1 << 30
        self._unblock_streams(False)
        self._unblock_streams(True)

    def say(self, level: int, offset: int, octets: bytes) -> None:
        """CRYPTO octets out of all order."""
        stream = self._crypto_streams[Epoch(level)]
        stream.sender._buffer_start = stream.sender._buffer_stop = offset
        stream.sender._buffer.clear()
        stream.sender.write(octets)


@dataclass
class Stranger:
    """One client at one address."""

    address: tuple[str, int]
    engine: HostileEngine
    handshake: QuicHandshake
    octets: int = 0
    events: list[QuicEvent] = field(default_factory=list)

    @property
    def end(self) -> ConnectionTerminated | None:
        return self.engine._close_event

    @property
    def error_code(self) -> int | None:
        return None if self.end is None else int(self.end.error_code)


@dataclass
class Meeting:
    """A QUIC server on the running loop, without a socket."""

    server: QuicServer
    network: Network
    loop: asyncio.AbstractEventLoop
    admitted: list[ServedQuic] = field(default_factory=list)
    heard: list[bytes] = field(default_factory=list)
    received: int = 0

    def put(self, datagram: bytes, address: Any) -> None:
        self.received += len(datagram)
        self.server.datagram_received(datagram, address)

    def stranger(
        self,
        host: str = "192.0.2.54",
        port: int = 4711,
        *,
        context: Context | None = None,
        tamper: Tamper | None = None,
    ) -> Stranger:
        """A client that has not said anything yet."""
        context = context or quic_client()
        transport = CryptoTransport()
        handshake = QuicHandshake(context.client_shim(transport, SERVER), transport)
        bounds = QuicLimits()
        engine = HostileEngine(
            handshake,
            idle_seconds=bounds.idle_seconds,
            streams=bounds.streams,
            stream_octets=bounds.stream_octets,
            connection_octets=bounds.connection_octets,
        )
        engine.tamper = tamper
        return Stranger((host, port), engine, handshake)

    def send(self, stranger: Stranger) -> int:
        """Carry what it has to say; how many datagrams that was."""
        datagrams = stranger.engine.datagrams_to_send(self.loop.time())
        for datagram, _ in datagrams:
            stranger.octets += len(datagram)
            self.put(datagram, stranger.address)
        return len(datagrams)

    async def answer(self, stranger: Stranger) -> int:
        for _ in range(5):
            await asyncio.sleep(0)
        datagrams = self.network.taken(stranger.address)
        for datagram in datagrams:
            stranger.engine.receive_datagram(datagram, ("203.0.113.1", 443), self.loop.time())
        while (event := stranger.engine.next_event()) is not None:
            stranger.events.append(event)
        return len(datagrams)

    async def carry(self, stranger: Stranger, rounds: int = 12) -> None:
        """Both ways, until nobody has anything to say."""
        if not stranger.engine._connect_called:
            stranger.engine.connect(("203.0.113.1", 443), self.loop.time())
        for _ in range(rounds):
            if not self.send(stranger) + await self.answer(stranger):
                return

    async def until_ended(self, stranger: Stranger) -> None:
        """Carry until the server has closed the connection; the caller's time-out bounds it."""
        while stranger.end is None:
            await self.carry(stranger)
            await asyncio.sleep(0.01)


def quic_client(**options: Any) -> Context:
    context = client(credential(), quic=True, **options)
    context.set_alpn_protocols([ALPN])
    return context


@asynccontextmanager
async def meeting(
    keeper: Doorkeeper | None = None, *, bounds: QuicLimits | None = None, **options: Any
) -> AsyncIterator[Meeting]:
    """A door whose handler keeps what it hears."""
    context = door(keeper, quic=True, **options)
    context.set_alpn_protocols([ALPN])
    loop = asyncio.get_running_loop()

    async def handle(connection: ServedQuic) -> None:
        met.admitted.append(connection)
        async for reader, _ in connection:
            met.heard.append(await reader.read(65_536))

    server = QuicServer(loop, handle, context, bounds)
    network = Network()
    met = Meeting(server, network, loop)
    server.connection_made(network)
    try:
        yield met
    finally:
        server.connection_lost(None)
        await server.wait_closed()
