"""Bidirectional streams of QUIC as asyncio's own readers and writers.

`StreamReader` and `StreamWriter` are the standard library's; `QuicStreamTransport` is what they stand on. A reader that
is not read holds its peer back: the stream's window does not move on (RFC 9000 section 4.1). A writer's `wait_closed`
returns when the peer has acknowledged everything.

What it does not do: open streams, or decide who may (`quic_connection`).
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from dnsbound.errors import Misuse

if TYPE_CHECKING:
    from dnsbound.edge.quic_engine import QuicEngine

Stream: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]

HIGH_WATER: Final = 65_536
"""Octets that wait for the peer's acknowledgement before `drain` waits, as asyncio's sockets have it."""
LOW_WATER: Final = 16_384


class QuicStreamTransport(asyncio.Transport):
    """Made by `stream_pair`. reader_octets: half of what is kept before reading pauses. soon: has what was done here
    sent."""

    def __init__(
        self, engine: "QuicEngine", stream_id: int, *, extra: dict[str, Any], soon: Callable[[], None]
    ) -> None:
        super().__init__(extra | {"stream_id": stream_id})
        self.stream_id: Final = stream_id
        self._engine = engine
        self._soon = soon
        self._protocol: asyncio.BaseProtocol | None = None
        self._owed = 0
        """Octets that were delivered while reading was paused."""
        self._delivered = 0
        self._reading = True
        self._writing = True
        """The protocol was not told to pause."""
        self._half_closed = False
        self._stopped = False
        self._closing = False
        self._ended = False
        self._heard_end = False

    # --- asyncio.Transport

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        if self._protocol is None:
            raise Misuse("the stream has no protocol: it is over")
        return self._protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Octets to send; they are dropped once the stream is closed, or the peer wants no more of it."""
        if self._half_closed and not self._closing:
            raise RuntimeError("Cannot call write() after write_eof()")
        if not data or self._closing or self._ended or self._stopped:
            return
        self._engine.send_stream_data(self.stream_id, bytes(data))
        self._soon()
        if self._writing and self.get_write_buffer_size() > HIGH_WATER:
            self._writing = False
            self._of_protocol("pause_writing")

    def write_eof(self) -> None:
        if not (self._half_closed or self._stopped or self._ended):
            self._half_closed = True
            self._engine.send_stream_data(self.stream_id, b"", end_stream=True)
            self._soon()

    def can_write_eof(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return self._engine.unacknowledged(self.stream_id)

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        self._give_credit(0)

    def is_reading(self) -> bool:
        return self._reading and not self._closing

    def is_closing(self) -> bool:
        return self._closing or self._ended

    def close(self) -> None:
        """Send what was written and an end, and ask the peer to send no more."""
        if not self._closing:
            self.write_eof()
            self._closing = True
            self._stop()

    def abort(self) -> None:
        """Take back what was not sent (RESET_STREAM), and ask the peer to send no more."""
        if not self._ended:
            self._half_closed = self._closing = True
            self._engine.reset_stream(self.stream_id, 0)
            self._stop()

    def _stop(self) -> None:
        if not self._heard_end and self._engine.has_stream(self.stream_id):
            self._engine.stop_stream(self.stream_id, 0)
        self._give_credit(0)
        self._soon()

    # --- from the connection

    def arrived(self, data: bytes, *, end: bool) -> None:
        """The next octets of the stream, and whether they are the last."""
        self._heard_end |= end
        self._delivered += len(data)
        # Before the protocol has them: it may say pause.
        self._give_credit(len(data))
        if self._closing or self._ended:
            return
        if data:
            self._of_protocol("data_received", data)
        if end:
            self._of_protocol("eof_received")

    def was_reset(self) -> None:
        """The peer will send no more, and took back what it had sent."""
        self._heard_end = True
        missed = self._engine.received(self.stream_id) - self._delivered
        self._delivered += missed
        self._give_credit(missed)
        protocol = self._protocol
        if isinstance(protocol, _ReaderProtocol):
            protocol.fail(ConnectionResetError("the peer took the stream back"))

    def was_stopped(self) -> None:
        """The peer wants no more of this stream; the engine has reset it (RFC 9000 section 3.5)."""
        self._stopped = True

    def progressed(self) -> bool:
        """Something was acknowledged, perhaps; whether the stream is over and can be forgotten."""
        waiting = self.get_write_buffer_size()
        if not self._writing and waiting <= LOW_WATER:
            self._writing = True
            self._of_protocol("resume_writing")
        known = self._engine.has_stream(self.stream_id)
        if not known or (self._closing and not waiting):
            self.end(None)
        return not known

    def end(self, error: Exception | None) -> None:
        """Nothing more comes or goes. error: why, when it broke off."""
        if not self._ended:
            self._ended = True
            self._of_protocol("connection_lost", error)
            self._protocol = None  # the two lead to each other

    def cut_short(self, error: Exception | None) -> None:
        """The connection is over. A stream whose end did not arrive must not look like one that ended."""
        if error is None and not (self._heard_end or self._closing):
            error = ConnectionResetError("the connection ended before the stream did")
        self.end(error)

    def _give_credit(self, octets: int) -> None:
        self._owed += octets
        if (self._reading or self._closing or self._ended) and self._owed:
            owed, self._owed = self._owed, 0
            self._engine.credit(self.stream_id, owed)
            self._soon()

    def _of_protocol(self, name: str, *arguments: object) -> None:
        if self._protocol is not None:
            getattr(self._protocol, name)(*arguments)


class _ReaderProtocol(asyncio.StreamReaderProtocol):
    """Keeps its reader, which asyncio's keeps weakly only: a stream that nobody has taken yet must not lose octets."""

    def __init__(self, reader: asyncio.StreamReader, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(reader, loop=loop)
        self._kept: asyncio.StreamReader | None = reader

    def fail(self, error: Exception) -> None:
        if self._kept is not None:
            self._kept.set_exception(error)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._kept = None
        # `wait_closed` still raises it. Nobody has to call that, and asyncio, which sees to it when this object goes,
        # is too late when both are collected as one ring.
        closed: asyncio.Future[None] = self._get_close_waiter(None)  # type: ignore[attr-defined] # asyncio's own
        if closed.done() and not closed.cancelled():
            closed.exception()


def stream_pair(transport: QuicStreamTransport, loop: asyncio.AbstractEventLoop, *, reader_octets: int) -> Stream:
    """The reader and the writer of a stream. reader_octets: kept for a reader before its peer is held back, twice."""
    reader = asyncio.StreamReader(limit=reader_octets, loop=loop)
    protocol = _ReaderProtocol(reader, loop)
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)
