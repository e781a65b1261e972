"""QUIC on asyncio, the client's side: one connected UDP socket, one connection.

    connection = await open_quic_connection(host, port, context=context)
    reader, writer = await connection.open_stream()

The handshake is over before the server has decided about this client: a refusal is met at the first read, and octets
that were written wait until the client is in. ICMP errors are easy to forge: they are kept as the cause that a timeout
shows, and end nothing.
"""

import asyncio
from typing import TYPE_CHECKING, Any, Final, cast

from dnsbound.edge.context import Context
from dnsbound.edge.quic_connection import Address, QuicEnd, QuicLimits
from dnsbound.edge.quic_engine import QuicEngine
from dnsbound.errors import Misuse
from dnsbound.times import Seconds
from dnsbound.tls.association import Phase
from dnsbound.tls.client_shim import ClientShim
from dnsbound.tls.errors import without_frames
from dnsbound.tls.quic_handshake import CryptoTransport, QuicHandshake

if TYPE_CHECKING:
    from dnsbound.records.tlsa import TLSA

HANDSHAKE_SECONDS: Final[Seconds] = 30.0


class QuicClient(asyncio.DatagramProtocol, QuicEnd):
    """A client's end of a connection. Made by `open_quic_connection`; an asynchronous context manager that closes."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, engine: QuicEngine, handshake: QuicHandshake, bounds: QuicLimits
    ) -> None:
        QuicEnd.__init__(self, engine, handshake, loop=loop, bounds=bounds, address=None)
        self.transport: asyncio.DatagramTransport
        self.unsent = 0
        """Datagrams that the system would not take at once; they count as lost."""
        self.reported: OSError | None = None
        """What the system last reported about the path (ICMP); anybody may have made it up."""
        self._paused = False

    def server_tlsa(self) -> "TLSA | None":
        """The record that authenticated the server; None when certificate authorities did."""
        shim = self.shim
        assert isinstance(shim, ClientShim)
        return shim.server_tlsa()

    # --- asyncio.DatagramProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)
        self._first_address = transport.get_extra_info("peername")

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ANN401, ARG002 (the socket is connected)
        self.receive(data, self._first_address)

    def error_received(self, exc: Exception) -> None:
        if isinstance(exc, OSError):
            self.reported = exc

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (error_received has it)
        self.abandon()

    def _transmit(self, datagram: bytes, address: Address) -> None:  # noqa: ARG002 (the socket is connected)
        if self._paused or self.transport.is_closing():
            self.unsent += 1
        else:
            self.transport.sendto(datagram)

    # --- steps

    async def shake(self, seconds: Seconds) -> None:
        """From the first flight to the server's last; raises why not, TimeoutError when nobody answers in time."""
        try:
            async with asyncio.timeout(seconds):
                with self._contained():
                    self._engine.connect(self._first_address, self._loop.time())
                    self._pump()
                while self._handshake.phase is Phase.HANDSHAKE and not self._is_down:
                    await self._change()
        except TimeoutError:
            raise TimeoutError(f"no connection within {seconds:g} s") from self.reported
        if self._handshake.phase is not Phase.OPEN:
            raise without_frames(self.error or ConnectionResetError("the server closed the connection"))

    def _stepped(self) -> None:
        if self._handshake.phase is not Phase.HANDSHAKE:
            self._wake()

    def _forgotten(self) -> None:
        self.transport.close()


async def open_quic_connection(
    host: str,
    port: int,
    *,
    context: Context,
    server_hostname: str | None = None,
    seconds: Seconds = HANDSHAKE_SECONDS,
    bounds: QuicLimits | None = None,
    **options: Any,  # noqa: ANN401 (those of loop.create_datagram_endpoint)
) -> QuicClient:
    """A connection with the server at `host` and `port`, as an asynchronous context manager that closes.

    context: made with `Context.client(..., quic=True)`, with `set_alpn_protocols`; Misuse for any other.
    server_hostname: the server's name where `host` is not it. seconds: for the whole handshake. bounds: what the server
    may send ahead. Raises an `ssl.SSLError` when the handshake fails, and TimeoutError when nobody answers.
    """
    loop = asyncio.get_running_loop()
    if context.is_door or not context.quic:
        raise Misuse("a QUIC client needs a Context made with Context.client(..., quic=True)")
    if not context.alpn_protocols:
        raise Misuse("QUIC needs an application protocol: Context.set_alpn_protocols (RFC 9001 section 8.1)")
    bounds = bounds or QuicLimits()
    transport = CryptoTransport()
    shim = context.client_shim(transport, host if server_hostname is None else server_hostname)
    handshake = QuicHandshake(shim, transport)
    engine = QuicEngine(
        handshake,
        idle_seconds=bounds.idle_seconds,
        streams=bounds.streams,
        stream_octets=bounds.stream_octets,
        connection_octets=bounds.connection_octets,
    )
    connection = QuicClient(loop, engine, handshake, bounds)
    await loop.create_datagram_endpoint(lambda: connection, remote_addr=(host, port), **options)
    try:
        await connection.shake(seconds)
    except BaseException:
        connection.give_up()
        raise
    return connection
