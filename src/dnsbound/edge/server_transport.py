"""The application's side of an admitted connection: a transport that encrypts, and the delivery of what was decrypted.

What is written is encrypted at once and handed to the plain transport, whose buffer and water marks are the only ones;
its pause and resume go straight to the application. A client that leaves a handshake message unfinished, so that
nothing can be written, pauses the application just as one that does not read. Every callback of the application runs in
the connection's own `contextvars.Context`, where `verified_peer()` finds the peer.

Differences from asyncio's own TLS transports, all on purpose: a connection that ends without close_notify is reported
to the application as a `ConnectionError`, never as a clean end (RFC 9846 section 6.1); and a protocol whose
`eof_received()` returns true keeps its side open after the client's close_notify. `half_close` ends our side alone.
"""

import asyncio
import contextlib
import contextvars
import logging
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from dnsbound.edge.connection_errors import broken_connection, ended_session
from dnsbound.edge.current_peer import CONNECTION_PEER, ConnectionPeer
from dnsbound.edge.late_handshake import LateHandshake
from dnsbound.errors import Refused, Undecided
from dnsbound.tls.errors import without_frames
from dnsbound.verify.peer import VerifiedPeer

if TYPE_CHECKING:
    from dnsbound.edge.server_protocol import ServerProtocol
    from dnsbound.edge.session_sweep import SessionSweep
    from dnsbound.verify.claim import Claim

_P = ParamSpec("_P")
_R = TypeVar("_R")

_log: Final = logging.getLogger("dnsbound.listen")

RECORD_OCTETS: Final = 16384
"""Most octets of one TLS record (RFC 9846 section 5.1)."""
DELIVERED_AT_ONCE: Final = 262_144
"""Octets after which the application gets what was read so far, as from asyncio's own transports."""
PARKED_OCTETS: Final = 65_536
"""Octets that may wait for the rest of a client's handshake message before the application is told to pause."""
WRITES_AFTER_CLOSE: Final = 5
"""Writes to a closed connection that are passed over before a warning, as in asyncio."""


class Arrived(Enum):
    """What is left of what the client sent, once some of it was read."""

    SOME = "some"
    """There may be more."""
    ALL = "all"
    """Nothing until more octets come."""
    END = "end"
    """Nothing ever: its close_notify was read."""


class ServerTransport(asyncio.Transport):
    """What the application's protocol is given. Made on admission, by `ServerProtocol` only."""

    def __init__(self, protocol: "ServerProtocol", peer: VerifiedPeer | None) -> None:
        super().__init__()
        self._protocol = protocol
        self._shim = protocol.shim
        self._plain = protocol.plain
        self.peer: Final = ConnectionPeer(peer, self)
        self._app: Any = None
        self._app_is_buffered = False
        self._context = contextvars.copy_context()
        self._context.run(CONNECTION_PEER.set, self.peer)
        self._inside = False
        self._reading_paused = False
        self._peer_ended = False
        self._write_paused = False
        """The plain transport's buffer is too full."""
        self._told_to_pause = False
        self._owes_answers = False
        """Nothing more is received until TLS's own answers have gone out."""
        self._useless_writes = 0
        self._own_end_sent = False
        self._error: Exception | None = None
        self._ends: list[Callable[[], object]] = []
        self._late: LateHandshake | None = None

    # --- called by ServerProtocol

    def start(self, factory: Callable[[], asyncio.BaseProtocol], *, announce: bool) -> None:
        """Make the application's protocol and tell it of the connection."""
        self.set_protocol(self._call(factory))
        if announce:
            self._call(self._app.connection_made, self)

    def octets_arrived(self) -> None:
        """Decrypt and deliver until nothing is left, the application pauses, or the connection ends."""
        if self._reading_paused and self._late is not None:
            self._late.read()
        while not self._reading_paused and not self._peer_ended and self._protocol.is_open:
            data, end = self._read_some()
            if self._late is not None:
                self._late.look()
            if data:
                self._deliver(data)
            if end is Arrived.ALL:
                break
            if end is Arrived.END:
                self._peer_closed()
            elif end is not Arrived.SOME and self._protocol.is_open:
                self.broken(end)
        self._pace()
        if self._protocol.flush() and self._write_paused and self._protocol.is_open:
            # Answers of TLS's own, to key updates: a peer that asks without end and does not read must wait.
            self._owes_answers = True
            self._plain.pause_reading()

    def writing_paused(self, *, paused: bool) -> None:
        """The plain transport's buffer passed a water mark."""
        self._write_paused = paused
        if self._owes_answers and not paused:
            self._owes_answers = False
            if not self._reading_paused and self._protocol.is_open:
                self._protocol.resume_plain()
        self._pace()

    def _pace(self) -> None:
        """Tell the application to pause or to go on writing."""
        if self._app is None or not self._protocol.is_open:
            return
        pause = self._write_paused or self._shim.parked() > PARKED_OCTETS
        if pause is not self._told_to_pause:
            self._told_to_pause = pause
            self._call(self._app.pause_writing if pause else self._app.resume_writing)

    def lost(self, error: Exception | None) -> None:
        """The plain connection is gone, or is no longer the application's."""
        if self._app is not None:
            app, self._app = self._app, None
            self._call(app.connection_lost, self._error or error)

    # --- a live session (`session_sweep.LiveConnection`)

    def keep_account(self, sweep: "SessionSweep", claim: "Claim", peer: VerifiedPeer) -> None:
        """Have the sweep ask again about this connection for as long as it is open."""
        session = sweep.register(peer, claim, self)
        self.peer.keep_account(partial(sweep.remove, session))

    def renewed(self, peer: VerifiedPeer) -> None:
        self.peer.peer = peer

    def cut(self, reason: Refused | Undecided) -> None:
        """End the connection with close_notify, because its name is no longer good. From any thread."""
        self.peer.ended = reason
        loop = self._protocol.loop
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._cut, reason)

    def _cut(self, reason: Refused | Undecided) -> None:
        error = ended_session(reason)
        if self._protocol.is_open:
            self._error = error
            self.close()
        self._shim.cut(reason)
        self.lost(error)

    def closed(self) -> None:
        """Nothing more can be received or written."""
        self.peer.end_account()
        if self._late is not None:
            late, self._late = self._late, None
            late.connection_ended()
        ends, self._ends = self._ends, []
        for end in ends:
            end()

    def at_end(self, call: Callable[[], object]) -> None:
        """Have this called once nothing more can be received or written: at once, if that is so already."""
        if self._protocol.is_open:
            self._ends.append(call)
        else:
            call()

    # --- authentication after the handshake

    async def authenticate_client(
        self, *, required: bool | None = None, seconds: float | None = None
    ) -> VerifiedPeer | None:
        """Ask the client who it is, in TLS 1.3, and judge its answer: who it is from now on.

        required: a client that declines, or claims nothing, is refused; otherwise it stays who it was, and None is
        returned. By default the door's policy says so. seconds: how long the answer may take; by default as long as a
        handshake. One request is open at a time: a second call waits for the first.

        A client that is refused, or whose claim stays undecided, is told so and its connection is cut; the reason is
        raised. So it is when the answer takes too long (TimeoutError). TLSMisuse where the Context does not allow it
        (`post_handshake`) or the protocol forbids it (HTTP/2); TLSPeerError where the client did not offer, or in TLS
        1.2: nothing was sent then, and the connection goes on.
        """
        if not self._protocol.is_open:
            raise ConnectionResetError("the connection has ended")
        if self._late is None:
            self._late = LateHandshake(self._protocol, self)
        return await self._late.authenticate(required=required, seconds=seconds)

    def receive_for(self, late: LateHandshake) -> None:
        """An application that paused takes no data; whether TLS's own messages are read in spite of that."""
        if self._reading_paused and self._protocol.is_open:
            if late.awaits_answer:
                self._protocol.resume_plain()
                late.read()
            else:
                self._plain.pause_reading()

    def refuse(self, verdict: Refused | Undecided) -> None:
        """Tell the client of its refusal, and end the connection."""
        if not self._protocol.is_open:
            return
        self.peer.ended = verdict
        self._error = ended_session(verdict)
        self._shim.refuse_late(verdict)
        self._protocol.linger(half_close=True)
        self._protocol.loop.call_soon(self.lost, self._error)

    # --- reading

    def _read_some(self) -> tuple[bytes, Arrived | OSError]:
        """Decrypted octets, and why no more came with them."""
        chunks: list[bytes] = []
        size = 0
        end: Arrived | OSError = Arrived.SOME
        while size < DELIVERED_AT_ONCE:
            try:
                chunk = self._shim.read_arrived(RECORD_OCTETS)
            except OSError as error:  # every ssl.SSLError is one
                end = without_frames(error)
                break
            if not chunk:
                end = Arrived.ALL if chunk is None else Arrived.END
                break
            chunks.append(chunk)
            size += len(chunk)
        return (chunks[0] if len(chunks) == 1 else b"".join(chunks)), end

    def _deliver(self, data: bytes) -> None:
        if not self._app_is_buffered:
            self._call(self._app.data_received, data)
            return
        rest = memoryview(data)
        while rest and self._app is not None:
            buffer = memoryview(self._call(self._app.get_buffer, len(rest))).cast("B")
            if not buffer:
                raise RuntimeError("get_buffer() returned an empty buffer")
            taken = min(len(buffer), len(rest))
            buffer[:taken] = rest[:taken]
            self._call(self._app.buffer_updated, taken)
            rest = rest[taken:]

    def _peer_closed(self) -> None:
        self._peer_ended = True
        if self._protocol.is_open and not self._call(self._app.eof_received):
            self.close()

    def broken(self, error: OSError) -> None:
        """The connection cannot go on: TLS failed, or it ended without close_notify."""
        self._error = broken_connection(error)
        self._protocol.linger(half_close=True)
        self._protocol.loop.call_soon(self.lost, self._error)

    def _call(self, callback: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Run a callback of the application in the connection's context, which cannot be entered twice."""
        if self._inside:
            return callback(*args, **kwargs)
        self._inside = True
        try:
            return self._context.run(callback, *args, **kwargs)
        finally:
            self._inside = False

    def pause_reading(self) -> None:
        self._reading_paused = True
        if self._protocol.is_open and not (self._late is not None and self._late.awaits_answer):
            self._plain.pause_reading()

    def resume_reading(self) -> None:
        if not self._reading_paused:
            return
        self._reading_paused = False
        if self._protocol.is_open:
            if not self._owes_answers:
                self._protocol.resume_plain()
            # Later, not now: the application may be in the middle of taking what was delivered before.
            self._protocol.loop.call_soon(self._protocol.guarded, self.octets_arrived)

    def is_reading(self) -> bool:
        return not self._reading_paused and self._protocol.is_open

    # --- writing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"data must be bytes-like, not {type(data).__name__}")
        if not data:
            return
        if not self._protocol.is_open or self._own_end_sent:
            self._useless_writes += 1
            if self._useless_writes == WRITES_AFTER_CLOSE:
                _log.warning("an application keeps writing to a closed connection")
            return
        try:
            self._shim.write(data)
        except OSError as error:
            self.broken(error)
            return
        self._protocol.flush()
        self._pace()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return False

    def write_eof(self) -> None:
        raise NotImplementedError("a TLS connection is ended as a whole, by close()")

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._plain.set_write_buffer_limits(high, low)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._plain.get_write_buffer_limits()

    def get_write_buffer_size(self) -> int:
        return self._plain.get_write_buffer_size() + self._shim.parked()

    # --- ending

    def half_close(self) -> None:
        """Send close_notify after everything written, and go on receiving until the client ends its side as well, or
        `close` is called (RFC 9846 section 6.1)."""
        if self._protocol.is_open and not self._own_end_sent:
            self._own_end_sent = True
            # What the client has sent already, or not sent yet, does not stop our end.
            with contextlib.suppress(OSError):
                self._shim.shutdown()
            self._protocol.flush()

    def close(self) -> None:
        """Send close_notify after everything written, then end; nothing more is received."""
        if self._protocol.is_open:
            # The peer's close_notify is not here yet, or TLS already failed: neither stops our end.
            with contextlib.suppress(OSError):
                self._shim.shutdown()
            self._protocol.linger(peer_is_done=self._peer_ended)

    def abort(self) -> None:
        """End at once; what was not yet sent is lost."""
        self._protocol.abort()

    def is_closing(self) -> bool:
        return not self._protocol.is_open

    # --- facts

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._app = protocol
        self._app_is_buffered = isinstance(protocol, asyncio.BufferedProtocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._app  # type: ignore[no-any-return]

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 (asyncio's interface)
        """`verified_peer` is the VerifiedPeer (None: no claim was made), beside what asyncio's TLS transports know."""
        fact = _FACTS.get(name)
        return self._plain.get_extra_info(name, default) if fact is None else fact(self._protocol, self.peer)


_FACTS: Final[Mapping[str, Callable[["ServerProtocol", ConnectionPeer], Any]]] = {
    "verified_peer": lambda _, peer: peer.peer,
    "sslcontext": lambda protocol, _: protocol.context,
    "ssl_object": lambda protocol, _: protocol.ssl_object,
    "peercert": lambda protocol, _: protocol.ssl_object.getpeercert(),
    "cipher": lambda protocol, _: protocol.ssl_object.cipher(),
    "compression": lambda protocol, _: protocol.ssl_object.compression(),
}
