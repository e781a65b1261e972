"""aioquic's QUIC connection with our TLS in the place of its own, and with windows that a door can answer for.

aioquic (BSD-3-Clause) does packets, loss, congestion, streams and connection ids, without input or output. Its TLS asks
no client for a certificate and has no place for dane_clientid, so a `Seat` with the same face stands where it was. What
a server grants before its verdict is nothing: no stream, no octet (RFC 9000 section 4); `open_streams` raises that by
MAX_STREAMS and MAX_DATA. aioquic doubles its windows without end, whether anybody reads or not: here a window moves on
by what was read, and a stream that is over makes room for another when the program has taken it. Its work for a frame
grows with the holes in what arrived, so holes are bounded. It warns of what any stranger may do: here that is for
debugging.

The names used of aioquic are not all public: `check_aioquic` refuses to start with one in which they are missing, and
the version is bounded in `pyproject.toml`. RFC 9000, RFC 9001; version 1 alone, without 0-RTT and without datagram
frames.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from dnsbound import limits
from dnsbound.edge.quic_library import (
    QuicConfiguration,
    QuicConnection,
    QuicConnectionError,
    QuicErrorCode,
    QuicFrameType,
    QuicLimit,
    QuicProtocolVersion,
    events,
    tls,
)
from dnsbound.errors import Misuse
from dnsbound.iana import AlertDescription
from dnsbound.times import Seconds
from dnsbound.tls.association import Phase
from dnsbound.tls.errors import alert_reason
from dnsbound.tls.quic_handshake import APPLICATION, QuicHandshake

if TYPE_CHECKING:
    from dnsbound.edge.quic_library import QuicStream

VERSION: Final = QuicProtocolVersion.VERSION_1
CONNECTION_ID_OCTETS: Final = 8
CRYPTO_ERROR: Final = int(QuicErrorCode.CRYPTO_ERROR)
CRYPTO_FRAME: Final = int(QuicFrameType.CRYPTO)

_ELSEWHERE: Final = object()
"""What aioquic takes for a server's certificate and key, which are the shim's."""
_INTEGER_OCTETS: Final = 8
"""A QUIC integer at most (RFC 9000 section 16)."""

_MEMBERS: Final = (
    *("_initialize", "_alpn_handler", "_update_traffic_key", "_handle_crypto_frame", "_handle_connection_close_frame"),
    *("_write_connection_limits", "_write_stream_limits", "_on_connection_limit_delivery"),
    *("_on_max_stream_data_delivery", "_serialize_transport_parameters", "_unblock_streams"),
    *("_handle_stream_frame", "_stream_limit"),
)
_FIELDS: Final = (
    *("_local_max_data", "_local_max_streams_bidi", "_local_max_streams_uni", "_streams", "_crypto_streams"),
    *("_close_event", "_logger"),
)
_RINGS: Final = ("_QuicConnection__frame_handlers", "_loss", "_spaces", "_cryptos", "_cryptos_initial")
"""What of a connection leads back to it."""
_EVER: Final = 1 << 60
"""No connection has more streams of one kind (RFC 9000 section 4.6)."""


class Seat:
    """What aioquic calls its TLS: one handshake of ours."""

    alpn_negotiated: str | None = None
    early_data_accepted = False
    session_resumed = False

    def __init__(self, engine: "QuicEngine", handshake: QuicHandshake) -> None:
        self.handshake_extensions: list[tuple[int, bytes]] = []
        self.received_extensions: list[tuple[int, bytes]] = []
        self.legacy_session_id = b""
        self.level = 0
        """That of the octets aioquic is about to hand over."""
        self._engine = engine
        self._handshake = handshake
        self._first_flight: list[tuple[int, bytes]] = []
        self._has_keys = False

    @property
    def state(self) -> tls.State:
        """As far as aioquic asks for it."""
        client = self._engine.is_client
        if self._handshake.is_complete and self._handshake.alert is None:
            return tls.State.CLIENT_POST_HANDSHAKE if client else tls.State.SERVER_POST_HANDSHAKE
        if client and not self._has_keys:
            return tls.State.CLIENT_EXPECT_SERVER_HELLO
        return tls.State.CLIENT_EXPECT_FINISHED if client else tls.State.SERVER_EXPECT_FINISHED

    def handle_message(self, octets: bytes, _buffers: object) -> None:
        """CRYPTO octets of `level`; none at all for a client's beginning, also after a Retry, where the same hello is
        sent again (RFC 9000 section 17.2.5.2)."""
        handshake = self._handshake
        if octets:
            handshake.receive(self.level, octets)
        elif not self._first_flight:
            handshake.begin()
        else:
            self._engine.send_crypto(self._first_flight)
            return
        self._install()
        self._tell()
        flight = handshake.take()
        if not octets:
            self._first_flight = flight
        self._engine.send_crypto(flight)
        if handshake.alert is not None:
            raise QuicConnectionError(CRYPTO_ERROR + handshake.alert, CRYPTO_FRAME, "")

    def _install(self) -> None:
        for level, writes, suite, secret in self._handshake.take_secrets():
            self._has_keys = True
            self._engine.install_key(level, suite, secret, writes=writes)

    def _tell(self) -> None:
        """Transport parameters and the application's protocol, as soon as they are known; both must be there (RFC 9001
        sections 8.1 and 8.2)."""
        handshake = self._handshake
        if self.received_extensions or handshake.alert is not None:
            return
        parameters = handshake.peer_parameters
        if parameters is None:
            if self._has_keys and (handshake.is_complete or not self._engine.is_client):
                handshake.fail(AlertDescription.MISSING_EXTENSION, "the peer sent no transport parameters")
            return
        if handshake.alpn is None:
            handshake.fail(AlertDescription.NO_APPLICATION_PROTOCOL, "no application protocol was agreed on")
            return
        self.received_extensions = [(int(tls.ExtensionType.QUIC_TRANSPORT_PARAMETERS), parameters)]
        self.legacy_session_id = b"\0" if handshake.has_session_id else b""
        self.alpn_negotiated = handshake.alpn.decode("latin-1")
        self._engine.agree_on(self.alpn_negotiated)


class QuicEngine(QuicConnection):
    """One end of a connection. handshake: its TLS. streams: bidirectional ones the peer may have open. stream_octets,
    connection_octets: what it may send ahead of the reader. destination, retried_as: a server's, from the client's
    first Initial and the Retry (RFC 9000 section 7.3)."""

    def __init__(
        self,
        handshake: QuicHandshake,
        *,
        idle_seconds: Seconds,
        streams: int,
        stream_octets: int,
        connection_octets: int,
        destination: bytes | None = None,
        retried_as: bytes | None = None,
    ) -> None:
        self.is_client: Final = destination is None
        granted = connection_octets if self.is_client else 0
        configuration = QuicConfiguration(
            is_client=self.is_client,
            supported_versions=[VERSION],
            connection_id_length=CONNECTION_ID_OCTETS,
            idle_timeout=idle_seconds,
            max_data=granted,
            max_stream_data=stream_octets,
        )
        configuration.certificate = configuration.private_key = None if self.is_client else _ELSEWHERE
        super().__init__(
            configuration=configuration,
            original_destination_connection_id=destination,
            retry_source_connection_id=retried_as,
        )
        check_aioquic(self)
        self.closed_by_peer = False
        self._tls_of_ours: QuicHandshake | None = handshake
        self._seat: Seat | None = None
        self._granted_streams = streams
        self._postponed: list[Callable[[], None]] = []
        self._granted_octets = connection_octets
        self._stream_octets = stream_octets
        for limit in (self._local_max_streams_bidi, self._local_max_streams_uni):
            limit.value = limit.sent = 0
        if self.is_client:
            self._local_max_streams_bidi.value = self._local_max_streams_bidi.sent = streams
        self._untaken: set[int] = set()
        self._kept_back = QuicLimit(QuicFrameType.MAX_STREAMS_BIDI, "kept back", 0)
        self._kept_back.used = _EVER
        self._logger = _ForDebugging(logging.getLogger("quic"), self._logger.extra)  # type: ignore[assignment]

    # --- for whoever owns the connection

    def open_streams(self) -> None:
        """Server: the client is in, and may open streams."""
        self._local_max_data.value = self._granted_octets
        self._local_max_streams_bidi.value = self._granted_streams

    def credit(self, stream_id: int, octets: int) -> None:
        """So many octets of this stream were read: its peer may send as many more."""
        stream = self._streams.get(stream_id)
        if stream is not None:
            stream.max_stream_data_local += octets
        self._local_max_data.value += octets

    def received(self, stream_id: int) -> int:
        """Octets the peer has used of the stream's window and the connection's, holes included."""
        stream = self._streams.get(stream_id)
        return 0 if stream is None else stream.receiver.highest_offset

    def unacknowledged(self, stream_id: int) -> int:
        """Octets of this stream the peer has not acknowledged; an end that is not acknowledged counts as one."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.sender.is_finished:
            return 0
        sender = stream.sender
        return len(sender._buffer) + (sender._buffer_fin is not None)  # noqa: SLF001 (see the module)

    def arrived(self, stream_id: int) -> None:
        """The peer has opened it; until it is `taken`, it counts as open, over or not. Otherwise a peer that takes back
        what it opens could have any number of them wait for the program."""
        self._untaken.add(stream_id)

    def taken(self, stream_id: int) -> None:
        """The program has it."""
        self._untaken.discard(stream_id)
        if stream_id not in self._streams:
            self._local_max_streams_bidi.value += 1

    def has_stream(self, stream_id: int) -> bool:
        return stream_id in self._streams

    def stop_stream(self, stream_id: int, error_code: int) -> None:
        """As aioquic's, but no word of a stream before the peer lets it be (RFC 9000 section 4.6), nor of one that is
        over."""
        if self._may_speak_of(stream_id, partial(self.stop_stream, stream_id, error_code)):
            super().stop_stream(stream_id, error_code)

    def reset_stream(self, stream_id: int, error_code: int) -> None:
        """The same."""
        if self._may_speak_of(stream_id, partial(self.reset_stream, stream_id, error_code)):
            super().reset_stream(stream_id, error_code)

    def _may_speak_of(self, stream_id: int, later: Callable[[], None]) -> bool:
        stream = self._streams.get(stream_id)
        if stream is not None and stream.is_blocked:
            self._postponed.append(later)
            return False
        return stream is not None

    @property
    def is_closing(self) -> bool:
        """An end was said, or heard, or is about to be said."""
        return self._close_event is not None

    @property
    def end(self) -> events.ConnectionTerminated:
        """What it is."""
        if self._close_event is None:
            raise Misuse("the connection has not ended")
        return self._close_event

    def refuse(self) -> None:
        """Tell the peer of the handshake's alert (RFC 9001 section 4.8)."""
        alert = None if self._tls_of_ours is None else self._tls_of_ours.alert
        if alert is not None:
            self.close(error_code=CRYPTO_ERROR + alert, frame_type=CRYPTO_FRAME)

    def let_go(self) -> None:
        """It is over, and asked for no more than its streams. aioquic's connections are rings that only the garbage
        collector would open; here they are opened."""
        self._postponed.clear()
        for space in self._spaces.values():
            space.sent_packets.clear()
        for name in _RINGS:
            vars(self).pop(name, None)
        self.tls = self._seat = self._tls_of_ours = None  # type: ignore[assignment] # nobody asks it any more

    # --- for the seat

    def send_crypto(self, flight: list[tuple[int, bytes]]) -> None:
        for level, octets in flight:
            self._crypto_streams[tls.Epoch(level)].sender.write(octets)

    def install_key(self, level: int, suite: int, secret: bytes, *, writes: bool) -> None:
        direction = tls.Direction.ENCRYPT if writes else tls.Direction.DECRYPT
        self._update_traffic_key(direction, tls.Epoch(level), tls.CipherSuite(suite), secret)

    def agree_on(self, alpn: str) -> None:
        self._alpn_handler(alpn)

    # --- in aioquic's places

    def _unblock_streams(self, is_unidirectional: bool) -> None:  # noqa: FBT001 (aioquic's signature)
        super()._unblock_streams(is_unidirectional)
        postponed, self._postponed = self._postponed, []
        for speak in postponed:
            speak()

    def _initialize(self, peer_cid: bytes) -> None:
        super()._initialize(peer_cid)
        if self._seat is None and self._tls_of_ours is not None:
            self._tls_of_ours.set_parameters(self._serialize_transport_parameters())
            self._seat = Seat(self, self._tls_of_ours)
        self.tls = self._seat  # type: ignore[assignment] # it has all that aioquic asks of one

    def _handle_crypto_frame(self, context: Any, frame_type: int, buf: Any) -> None:  # noqa: ANN401 (aioquic's own)
        """No more than a handshake may have, wherever it stands: a hole is memory, too."""
        start = buf.tell()
        end = buf.pull_uint_var() + buf.pull_uint_var()
        buf.seek(start)
        level = context.epoch.value
        if level != APPLICATION and end > limits.QUIC_CRYPTO_OCTETS.default:
            raise QuicConnectionError(QuicErrorCode.CRYPTO_BUFFER_EXCEEDED, frame_type, "")
        if level == APPLICATION and not self.is_client:
            unexpected = CRYPTO_ERROR + AlertDescription.UNEXPECTED_MESSAGE
            raise QuicConnectionError(unexpected, frame_type, "")
        if self._seat is not None:
            self._seat.level = level
        super()._handle_crypto_frame(context, frame_type, buf)
        if _holes(self._crypto_streams[context.epoch]) > limits.QUIC_CRYPTO_HOLES.default:
            raise QuicConnectionError(QuicErrorCode.CRYPTO_BUFFER_EXCEEDED, frame_type, "")

    def _handle_stream_frame(self, context: Any, frame_type: int, buf: Any) -> None:  # noqa: ANN401 (aioquic's own)
        """RFC 9000 section 21.7."""
        start = buf.tell()
        stream_id = buf.pull_uint_var()
        buf.seek(start)
        super()._handle_stream_frame(context, frame_type, buf)
        stream = self._streams.get(stream_id)
        if stream is not None and _holes(stream) > limits.QUIC_STREAM_HOLES.default:
            raise QuicConnectionError(QuicErrorCode.INTERNAL_ERROR, frame_type, "")

    def _stream_limit(self, stream_id: int) -> QuicLimit:
        """What aioquic adds one to when a stream is over, having forgotten it: nothing that counts, when the program
        has not taken it. That such a stream was opened is all that it asks besides."""
        if stream_id in self._untaken and stream_id not in self._streams:
            return self._kept_back
        return super()._stream_limit(stream_id)

    def _handle_connection_close_frame(self, context: Any, frame_type: int, buf: Any) -> None:  # noqa: ANN401 (aioquic's own)
        self.closed_by_peer = self._close_event is None
        super()._handle_connection_close_frame(context, frame_type, buf)

    def _write_connection_limits(self, builder: Any, space: Any) -> None:  # noqa: ANN401, ARG002 (aioquic's own)
        data = self._local_max_data
        for limit, worth in ((data, self._granted_octets // 2), (self._local_max_streams_bidi, 1)):
            if limit.value - limit.sent >= worth:
                frame = builder.start_frame(
                    limit.frame_type,
                    capacity=1 + _INTEGER_OCTETS,
                    handler=self._on_connection_limit_delivery,
                    handler_args=(limit,),
                )
                frame.push_uint_var(limit.value)
                limit.sent = limit.value

    def _write_stream_limits(self, builder: Any, space: Any, stream: "QuicStream") -> None:  # noqa: ANN401, ARG002 (aioquic's own)
        grown = stream.max_stream_data_local - stream.max_stream_data_local_sent
        if stream.receiver.is_finished or grown < self._stream_octets // 2:
            return
        frame = builder.start_frame(
            QuicFrameType.MAX_STREAM_DATA,
            capacity=1 + 2 * _INTEGER_OCTETS,
            handler=self._on_max_stream_data_delivery,
            handler_args=(stream,),
        )
        frame.push_uint_var(stream.stream_id)
        frame.push_uint_var(stream.max_stream_data_local)
        stream.max_stream_data_local_sent = stream.max_stream_data_local


def _holes(stream: "QuicStream") -> int:
    return len(stream.receiver._ranges)  # noqa: SLF001 (see the module)


class _ForDebugging(logging.LoggerAdapter[logging.Logger]):
    """aioquic's words about one connection: none of them is worth a line that any stranger can cause, and what a peer
    says is not put into a log as it is."""

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:  # noqa: ANN401 (logging's own)
        if self.logger.isEnabledFor(logging.DEBUG):
            said = (ascii(word) if isinstance(word, str) and not word.isprintable() else word for word in args)
            super().log(min(level, logging.DEBUG), f"[{(self.extra or {}).get('id')}] {msg}", *said, **kwargs)


def check_aioquic(engine: QuicConnection) -> None:
    """Misuse when this aioquic is not the one that was built against: a door that half works must not open."""
    missing = [name for name in _MEMBERS if not callable(getattr(QuicConnection, name, None))]
    missing += [name for name in (*_FIELDS, *_RINGS) if not hasattr(engine, name)]
    if missing:
        raise Misuse(f"this aioquic lacks {', '.join(missing)}: install the version that dnsbound[quic] names")


def is_over(phase: Phase) -> bool:
    return phase in {Phase.REFUSED, Phase.CLOSED}


def close_reason(code: int) -> str | None:
    """Python's word for the alert that an error code carries; None for any other code."""
    return alert_reason(code - CRYPTO_ERROR) if CRYPTO_ERROR <= code < CRYPTO_ERROR + 0x100 else None
