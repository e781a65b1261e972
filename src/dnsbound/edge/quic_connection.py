"""One end of a QUIC connection on an event loop: streams as readers and writers, the connection's end, and why.

Server and client share it: datagrams come in by `receive`, `_transmit` sends them, and one timer waits for whatever the
engine (`quic_engine`) waits for. Nothing here decides who may come in.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

from dnsbound import limits
from dnsbound.edge.quic_engine import CRYPTO_ERROR, QuicEngine, close_reason, is_over
from dnsbound.edge.quic_library import events
from dnsbound.edge.quic_streams import QuicStreamTransport, Stream, stream_pair
from dnsbound.errors import PeerError
from dnsbound.tls.association import Phase
from dnsbound.tls.errors import TLSAlertReceived, without_frames
from dnsbound.tls.quic_handshake import QuicHandshake
from dnsbound.tls.shim import Shim

if TYPE_CHECKING:
    from dnsbound.times import Seconds

_log: Final = logging.getLogger("dnsbound.listen")

Address: TypeAlias = Any
"""A socket address: (host, port) or (host, port, flow, scope)."""

_FAREWELLS: Final = 12
"""A peer that goes on sending is told again so often that the connection is over: what told it may be lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuicLimits:
    """Limits of a QUIC server, and of one connection on either side; see `dnsbound.limits`. Unfinished handshakes, in
    all and of one source, are the Context's to limit."""

    connections: int = limits.QUIC_CONNECTIONS.default
    connections_per_source: int = limits.QUIC_CONNECTIONS_PER_SOURCE.default
    idle_seconds: int = limits.QUIC_IDLE_SECONDS.default
    streams: int = limits.QUIC_STREAMS.default
    stream_octets: int = limits.QUIC_STREAM_OCTETS.default
    connection_octets: int = limits.QUIC_CONNECTION_OCTETS.default
    early_octets: int = limits.QUIC_EARLY_OCTETS.default

    def __post_init__(self) -> None:
        limits.QUIC_CONNECTIONS.checked(self.connections)
        limits.QUIC_CONNECTIONS_PER_SOURCE.checked(self.connections_per_source)
        limits.QUIC_IDLE_SECONDS.checked(self.idle_seconds)
        limits.QUIC_STREAMS.checked(self.streams)
        limits.QUIC_STREAM_OCTETS.checked(self.stream_octets)
        limits.QUIC_CONNECTION_OCTETS.checked(self.connection_octets)
        limits.QUIC_EARLY_OCTETS.checked(self.early_octets)


class QuicClosed(PeerError, ConnectionError):
    """The connection broke off. code: QUIC's or the application's; is_application tells which."""

    def __init__(self, code: int, *, is_application: bool, by_peer: bool) -> None:
        self.code: Final = code
        self.is_application: Final = is_application
        who = "the peer" if by_peer else "this end"
        super().__init__(f"{who} closed with {'application' if is_application else 'QUIC'} error 0x{code:x}")


class QuicEnd:
    """One end. address: the peer's first one."""

    def __init__(
        self,
        engine: QuicEngine,
        handshake: QuicHandshake,
        *,
        loop: asyncio.AbstractEventLoop,
        bounds: QuicLimits,
        address: Address,
    ) -> None:
        self.error: Exception | None = None
        """Why it ended; None while it has not, and after an end in order."""
        self._engine = engine
        self._handshake = handshake
        self._loop = loop
        self._bounds = bounds
        self._first_address = address
        self._streams: dict[int, QuicStreamTransport] = {}
        self._arrived: deque[Stream] = deque()
        self._waiting: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._planned: asyncio.Handle | None = None
        self._lingering: asyncio.TimerHandle | None = None
        self._closing: tuple[int, Seconds] | None = None
        """The application's error code, and until when acknowledgements are waited for."""
        self._farewell: list[tuple[bytes, Address]] = []
        self._farewells = 0
        self._is_down = False
        self._again: list[asyncio.TimerHandle] = []
        self._ended = False

    # --- facts

    @property
    def shim(self) -> Shim:
        """The TLS connection itself: version(), cipher(), group(), getpeercert(), export_keying_material()."""
        return self._handshake.shim

    @property
    def address(self) -> Address:
        """The peer's, which may change while the connection lasts (RFC 9000 section 9)."""
        return self._engine.get_peer_address() or self._first_address

    @property
    def alpn(self) -> str | None:
        """The application protocol that was agreed on."""
        agreed = self._handshake.alpn
        return None if agreed is None else agreed.decode("latin-1")

    @property
    def is_open(self) -> bool:
        """Streams may be opened: the handshake is complete, and at a door the client is in."""
        return self._handshake.phase is Phase.OPEN and not self._is_down and self._closing is None

    # --- streams

    async def open_stream(self) -> Stream:
        """A new bidirectional stream. Its octets wait while the peer lets no more streams be open."""
        self._check_open()
        stream_id = self._engine.get_next_available_stream_id()
        self._engine.send_stream_data(stream_id, b"")
        return self._add(stream_id)

    async def accept_stream(self) -> Stream | None:
        """The next stream that the peer has opened; None when the connection has ended in order. Raises why, when it
        broke off or was cut."""
        while not self._arrived:
            if self._ended or self._is_down or self._closing is not None:
                if self.error is not None:
                    raise without_frames(self.error)
                return None
            await self._change()
        stream = self._arrived.popleft()
        self._engine.taken(stream[1].get_extra_info("stream_id"))
        self._soon()
        return stream

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Stream:
        stream = await self.accept_stream()
        if stream is None:
            raise StopAsyncIteration
        return stream

    def _check_open(self) -> None:
        if not self.is_open:
            raise (
                without_frames(self.error) if self.error is not None else ConnectionResetError("the connection is over")
            )

    def _add(self, stream_id: int) -> Stream:
        extra = {"peername": self.address, "quic": self}
        transport = QuicStreamTransport(self._engine, stream_id, extra=extra, soon=self._soon)
        self._streams[stream_id] = transport
        return stream_pair(transport, self._loop, reader_octets=max(self._bounds.stream_octets // 2, 1))

    # --- the end

    def close(self, code: int = 0) -> None:
        """End the connection once the peer has what was written, or after a moment. code: the application's.

        A stream that was not closed before is cut short, which its reader on the other side is told."""
        if self._ended or self._closing is not None:
            return
        self._closing = code, self._loop.time() + limits.LINGER_SECONDS.default
        self._lingering = self._loop.call_later(limits.LINGER_SECONDS.default, self._soon)
        self._wake()
        self._soon()

    async def wait_closed(self) -> None:
        """Until it is over: the peer knows, or is not waited for any longer."""
        while not self._ended:
            await self._change()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self.close()
        await self.wait_closed()

    def give_up(self) -> None:
        """End a connection that nobody will use, with a word that may be lost."""
        self.close()
        if not self._ended:
            with self._contained():
                self._engine.close(error_code=0)
                self._pump()
            self._over(None)

    def abandon(self, error: Exception | None = None) -> None:
        """Forget the connection without a word."""
        self._over(error)

    # --- steps

    def receive(self, datagram: bytes, address: Address) -> None:
        """One datagram for this connection, whoever sent it."""
        if self._is_down:
            if self._farewells < _FAREWELLS:
                self._farewells += 1
                self._send(self._farewell)
            return
        with self._contained():
            self._engine.receive_datagram(datagram, address, self._loop.time())
            self._pump()

    def _soon(self) -> None:
        """Send what was done, once for all that is done in this step of the loop."""
        if self._planned is None and not self._ended:
            self._planned = self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._planned = None
        if not self._ended:
            with self._contained():
                self._pump()

    @contextlib.contextmanager
    def _contained(self) -> Iterator[None]:
        """What goes wrong inside the engine ends this connection and no other."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 (see above)
            if self._handshake.error is None:
                _log.exception("a QUIC connection with %s broke off", self._first_address)
            self._over(self._handshake.error or error)

    def _pump(self) -> None:
        """Hand out what arrived, send what there is, and plan the next look."""
        if self._ended:
            return
        self._take_events()
        self._stepped()
        for stream_id in [at for at, transport in self._streams.items() if transport.progressed()]:
            del self._streams[stream_id]
        self._say_goodbye()
        datagrams = self._engine.datagrams_to_send(self._loop.time())
        if self._engine.is_closing and not self._is_down:
            self._is_down, self._farewell = True, datagrams
            self._end_streams(self._why(self._engine.end))
            self._handshake.abandon()  # a verdict that comes now is too late
            self._stepped()
            self._say_again_later()
            self._close_in_time()
        self._send(datagrams)
        self._take_events()
        self._plan()

    def _stepped(self) -> None:
        """The handshake may have moved."""
        raise NotImplementedError

    def _say_goodbye(self) -> None:
        if is_over(self._handshake.phase):
            self._engine.refuse()
        elif self._closing is not None:
            code, until = self._closing
            busy = any(transport.get_write_buffer_size() for transport in self._streams.values())
            if not busy or self._loop.time() >= until:
                self._engine.close(error_code=code)

    def _say_again_later(self) -> None:
        """Twice while the connection closes: a peer that waits for a word sends nothing that could be answered."""
        over, now = self._engine.get_timer(), self._loop.time()
        if over is not None and self._farewell:
            over = min(over, now + limits.LINGER_SECONDS.default)
            for part in (1 / 3, 2 / 3):
                self._again.append(self._loop.call_at(now + (over - now) * part, self._send, self._farewell))

    def _close_in_time(self) -> None:
        """RFC 9000 section 10.2 has it last three probe time-outs, which a peer that answers late makes as long as it
        likes."""
        if self._lingering is not None:
            self._lingering.cancel()
        self._lingering = self._loop.call_later(limits.LINGER_SECONDS.default, self._over, None)

    def _send(self, datagrams: list[tuple[bytes, Address]]) -> None:
        for datagram, address in datagrams:
            self._transmit(datagram, address)

    def _plan(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = None if self._ended else self._engine.get_timer()
        if due is not None:
            self._timer = self._loop.call_at(due, self._look)

    def _look(self) -> None:
        self._timer = None
        if not self._ended:
            with self._contained():
                self._engine.handle_timer(self._loop.time())
                self._pump()

    def _take_events(self) -> None:
        while not self._ended and (event := self._engine.next_event()) is not None:
            if isinstance(event, events.StreamDataReceived):
                self._stream(event.stream_id).arrived(event.data, end=event.end_stream)
            elif isinstance(event, events.StreamReset):
                self._stream(event.stream_id).was_reset()
            elif isinstance(event, events.StopSendingReceived):
                self._stream(event.stream_id).was_stopped()
            elif isinstance(event, events.ConnectionIdIssued):
                self._known_as(event.connection_id)
            elif isinstance(event, events.ConnectionIdRetired):
                self._no_longer(event.connection_id)
            elif isinstance(event, events.ConnectionTerminated):
                self._over(self._why(event))

    def _stream(self, stream_id: int) -> QuicStreamTransport:
        if stream_id not in self._streams:
            self._arrived.append(self._add(stream_id))
            self._engine.arrived(stream_id)
            self._wake()
        return self._streams[stream_id]

    def _transmit(self, datagram: bytes, address: Address) -> None:
        """Send a datagram, or lose it."""
        raise NotImplementedError

    def _known_as(self, connection_id: bytes) -> None:
        """Datagrams to this id are this connection's."""

    def _no_longer(self, connection_id: bytes) -> None:
        """They no longer are."""

    def _why(self, event: events.ConnectionTerminated) -> Exception | None:
        if self._handshake.error is not None:
            return self._handshake.error
        code = int(event.error_code)
        if self._engine.closed_by_peer:
            alert = None if event.frame_type is None else close_reason(code)
            if alert is not None:
                error = TLSAlertReceived("the peer ended the connection", reason=alert)
                error.alert_received = code - CRYPTO_ERROR
                return error
        elif self._closing is not None:
            return None
        elif event.reason_phrase == "Idle timeout":
            return TimeoutError(f"nobody was heard for {self._bounds.idle_seconds} s")
        if code == 0:
            return None
        return QuicClosed(code, is_application=event.frame_type is None, by_peer=self._engine.closed_by_peer)

    def _end_streams(self, error: Exception | None) -> None:
        """The end was said, or heard: nothing is delivered any more, and only an answer may still go out."""
        self.error = self.error or (None if error is None else without_frames(error))
        streams, self._streams = self._streams, {}
        for transport in streams.values():
            transport.cut_short(self.error)
        if self.error is not None:
            self._arrived.clear()
        self._wake()

    def _over(self, error: Exception | None) -> None:
        if self._ended:
            return
        self._ended = self._is_down = True
        for handle in (self._timer, self._planned, self._lingering, *self._again):
            if handle is not None:
                handle.cancel()
        self._again.clear()
        self._timer = self._planned = self._lingering = None
        self._end_streams(error)
        self._handshake.abandon()
        self._engine.let_go()
        self._forgotten()
        self._wake()

    def _forgotten(self) -> None:
        """It is over, and nothing is kept of it."""

    # --- waiting

    async def _change(self) -> None:
        if self._waiting is None:
            self._waiting = self._loop.create_future()
        await asyncio.shield(self._waiting)

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)
