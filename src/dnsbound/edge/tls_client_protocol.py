"""TLS as a client over a plain transport of an event loop, either side of which may end before the other.

asyncio's own TLS transports cannot end one side alone, and take the end of a stream for an orderly one. Here
`write_eof` sends close_notify and goes on receiving (RFC 9846 section 6.1), and a stream that ends without the peer's
close_notify is an error. A key that is not in this process signs in a thread.

What this is not: a server's side (`server_protocol`), or the lookup of TLSA records (`Context.prepare`).
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

from dnsbound.edge.connection_errors import broken_connection
from dnsbound.edge.server_transport import DELIVERED_AT_ONCE, PARKED_OCTETS, RECORD_OCTETS
from dnsbound.limits import LINGER_SECONDS
from dnsbound.tls.errors import without_frames
from dnsbound.tls.fed_transport import FedTransport

if TYPE_CHECKING:
    from dnsbound.edge.context import Context
    from dnsbound.tls.client_shim import ClientShim


class TlsClientTransport(asyncio.Transport):
    """The application's side, once the handshake is done. Made by `TlsClientProtocol`. Nothing is delivered before the
    first `resume_reading`."""

    def __init__(self, protocol: "TlsClientProtocol") -> None:
        super().__init__()
        self._protocol = protocol
        self._plain = protocol.plain
        self._shim = protocol.shim
        self._app: asyncio.Protocol
        self._paused = True
        self._peer_ended = False
        self._own_end_sent = False
        self._closing = False
        self._plain_full = False
        self._told_to_pause = False

    # --- called by the protocol

    def start(self, app: asyncio.Protocol) -> None:
        self._app = app
        app.connection_made(self)

    def octets_arrived(self) -> None:
        """Decrypt and deliver, until nothing is left or the application pauses."""
        while not (self._paused or self._peer_ended or self._closing):
            data, is_all = self._read_some()
            if data:
                self._app.data_received(data)
            if is_all:
                break
        self._protocol.flush()
        self._pace()

    def _read_some(self) -> tuple[bytes, bool]:
        """Octets, and whether there are no more for now."""
        found = bytearray()
        while len(found) < DELIVERED_AT_ONCE:
            try:
                chunk = self._shim.read_arrived(RECORD_OCTETS)
            except OSError as error:
                self._protocol.failed(broken_connection(without_frames(error)))
                return bytes(found), True
            if chunk is None:
                return bytes(found), True
            if not chunk:
                self._protocol.loop.call_soon(self._ended)
                return bytes(found), True
            found += chunk
        return bytes(found), False

    def _ended(self) -> None:
        if self._peer_ended or self._closing:
            return
        self._peer_ended = True
        if not self._app.eof_received():
            self.close()

    def writing_paused(self, *, paused: bool) -> None:
        self._plain_full = paused
        self._pace()

    def _pace(self) -> None:
        pause = self._plain_full or self._shim.parked() > PARKED_OCTETS
        if pause is not self._told_to_pause and not self._closing:
            self._told_to_pause = pause
            (self._app.pause_writing if pause else self._app.resume_writing)()

    def lost(self, error: Exception | None) -> None:
        self._closing = True
        self._app.connection_lost(error)

    # --- asyncio.Transport

    def pause_reading(self) -> None:
        self._paused = True
        self._plain.pause_reading()

    def resume_reading(self) -> None:
        if self._paused:
            self._paused = False
            if not self._closing:
                self._protocol.resume_plain()
                self._protocol.loop.call_soon(self.octets_arrived)

    def is_reading(self) -> bool:
        return not self._paused and not self._closing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not data or self._closing or self._own_end_sent:
            return
        try:
            self._shim.write(data)
        except OSError as error:
            self._protocol.failed(broken_connection(without_frames(error)))
            return
        self._protocol.flush()
        self._pace()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """Send close_notify after everything written, and go on receiving."""
        if self._own_end_sent or self._closing:
            return
        self._own_end_sent = True
        # The peer's close_notify is not here yet: that does not stop ours.
        with contextlib.suppress(OSError):
            self._shim.shutdown()
        self._protocol.flush()

    def close(self) -> None:
        """Send close_notify after everything written, then end; nothing more is received."""
        if not self._closing:
            self.write_eof()
            self._closing = True
            self._protocol.linger(peer_is_done=self._peer_ended)

    def abort(self) -> None:
        self._closing = True
        self._plain.abort()

    def is_closing(self) -> bool:
        return self._closing

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._plain.set_write_buffer_limits(high, low)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._plain.get_write_buffer_limits()

    def get_write_buffer_size(self) -> int:
        return self._plain.get_write_buffer_size() + self._shim.parked()

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._app

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 (asyncio's interface)
        """As of the plain transport."""
        return self._plain.get_extra_info(name, default)


class TlsClientProtocol(asyncio.Protocol):
    """The plain transport's protocol, made right after `Context.prepare`. ready: completed with the TlsClientTransport
    once the handshake is done, or with the OSError that ended it. Whoever waits resumes reading. app: makes the
    application's protocol, once the handshake is done."""

    def __init__(self, context: "Context", host: str, app: Callable[[], asyncio.BaseProtocol]) -> None:
        self.loop: Final = asyncio.get_running_loop()
        self.ready: Final[asyncio.Future[TlsClientTransport]] = self.loop.create_future()
        # Whoever stopped waiting is not to be told by the loop's handler.
        self.ready.add_done_callback(lambda done: None if done.cancelled() else done.exception())
        self.plain: asyncio.Transport
        self._context = context
        self._app = app
        self._octets = FedTransport()
        # Now, while the evidence about the server is fresh: it may expire before a connection is made.
        self.shim: Final[ClientShim] = context.client_shim(self._octets, host)
        self._transport: TlsClientTransport | None = None
        self._signing: asyncio.Future[OSError | None] | None = None
        self._error: OSError | None = None
        self._at_end = False
        self._timer: asyncio.TimerHandle | None = None

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.plain = cast("asyncio.Transport", transport)
        self._shake()

    def data_received(self, data: bytes) -> None:
        if self._timer is not None or self._error is not None:
            return  # it lingers
        self._octets.feed(data)
        if self._transport is None:
            self._shake()
        else:
            self._transport.octets_arrived()

    def eof_received(self) -> bool:
        self._at_end = True
        if self._timer is not None or self._error is not None:
            return False
        self._octets.feed_end()
        if self._transport is None:
            self._shake()
        else:
            self._transport.octets_arrived()
        return self._error is None

    def pause_writing(self) -> None:
        if self._transport is not None:
            self._transport.writing_paused(paused=True)

    def resume_writing(self) -> None:
        if self._transport is not None:
            self._transport.writing_paused(paused=False)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        error = self._error or exc
        if self._transport is not None:
            self._transport.lost(error)
        elif not self.ready.done():
            self.ready.set_exception(error or ConnectionResetError("it closed the connection in the handshake"))

    # --- the handshake

    def _shake(self) -> None:
        if not self._context.signs_elsewhere:
            self._shaken(self._step())
        elif self._signing is None:
            # Nothing may be fed meanwhile: the step reads what was.
            self.plain.pause_reading()
            self._signing = self.loop.run_in_executor(None, self._step)
            self._signing.add_done_callback(self._signed)

    def _step(self) -> OSError | None:
        try:
            self.shim.do_handshake()
        except OSError as error:
            return error
        return None

    def _signed(self, done: asyncio.Future[OSError | None]) -> None:
        self._signing = None
        if not done.cancelled() and not self.plain.is_closing():
            self.resume_plain()
            self._shaken(done.result())

    def _shaken(self, error: OSError | None) -> None:
        self.flush()
        if error is None:
            if self.ready.done():  # whoever waited has gone
                self.plain.abort()
                return
            self._transport = TlsClientTransport(self)
            self._transport.start(cast("asyncio.Protocol", self._app()))
            self.ready.set_result(self._transport)
        elif not isinstance(error, ssl.SSLWantReadError):
            self.failed(without_frames(error))

    # --- for the transport

    def flush(self) -> None:
        """Hand what TLS produced to the plain transport."""
        octets = self._octets.take()
        if octets:
            self.plain.write(octets)

    def resume_plain(self) -> None:
        """Receive again, unless there is nothing more to come."""
        if not self._at_end and not self.plain.is_closing():
            self.plain.resume_reading()

    def failed(self, error: OSError) -> None:
        """The connection cannot go on: send the alert that there may be, and end it."""
        if self._error is None:
            self._error = error
            self.flush()
            self.plain.close()
            if self.plain.get_write_buffer_size():
                self._timer = self.loop.call_later(LINGER_SECONDS.default, self.plain.abort)

    def linger(self, *, peer_is_done: bool) -> None:
        """Wait within limits for a peer that has not ended, so that no reset overtakes what was sent last."""
        if peer_is_done or self._at_end:
            self.plain.close()
        elif self._timer is None:
            self._timer = self.loop.call_later(LINGER_SECONDS.default, self.plain.abort)
            with contextlib.suppress(OSError):
                self.plain.write_eof()
            self.resume_plain()
