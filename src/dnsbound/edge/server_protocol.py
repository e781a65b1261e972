"""TLS on an accepted connection whose verdict comes later: the side of the plain transport.

One `ServerProtocol` lies over each plain transport. It drives the handshake, asks the authenticator in a task of its
own, and only after admission starts the application's side (`server_transport`). Until then nothing is delivered or
written for the application, and no ticket is sent. A refused client gets its alert in a way it can read: flushed, then
a half-close, then a short wait for the client to go, since closing a socket with unread octets in it would send a reset
that overtakes the alert.

Why not `asyncio.sslproto.SSLProtocol`: it drops the alert when a server's handshake fails, holds 256 KiB of buffer
for each connection (half-open ones too), and makes the application's protocol before the handshake.

Not here: policy and DNS (the authenticator), TLS itself (`dnsbound.tls.shim`).
draft-ietf-dance-client-auth section 8.2 is the algorithm this waits for.
"""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, ParamSpec, cast

from dnsbound import limits
from dnsbound.edge.authenticator import Authenticator, verdict_at_hand
from dnsbound.edge.context_door import Verdict, verdict_of
from dnsbound.edge.handshake_slots import HandshakeOutcome
from dnsbound.edge.read_buffer import buffer_for
from dnsbound.edge.server_phase import TRANSITIONS, Phase
from dnsbound.edge.server_transport import ServerTransport
from dnsbound.edge.session_sweep import sweep_for
from dnsbound.errors import Misuse, Reason, Undecided
from dnsbound.tls.errors import without_frames
from dnsbound.tls.fed_transport import FedTransport
from dnsbound.verify.peer import VerifiedPeer

if TYPE_CHECKING:
    from dnsbound.edge.context import Context
    from dnsbound.edge.context_objects import TLSObject
    from dnsbound.tls.server_shim import ServerShim
    from dnsbound.verify.claim import Claim

_P = ParamSpec("_P")

_log: Final = logging.getLogger("dnsbound.listen")


CLOSE_NOTIFY_OCTETS: Final = 24
"""A TLS 1.3 record with an alert: header, alert, content type, tag (RFC 9846 section 5.2)."""


class ServerProtocol(asyncio.BufferedProtocol):
    """The protocol of the plain transport; the application's protocol is made by `protocol_factory` on admission.

    handshake_timeout: seconds, never longer than the Context's own. shutdown_timeout: seconds a closing connection
    may take without progress. announce: call the application's connection_made (not when a connection that exists
    is upgraded). waiter: completed on admission, or, once the connection is gone, with an OSError that says why.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        context: "Context",
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        *,
        handshake_timeout: float | None = None,
        shutdown_timeout: float | None = None,
        announce: bool = True,
        waiter: asyncio.Future[ServerTransport] | None = None,
    ) -> None:
        self.loop: Final = loop
        self.context: Final[Context] = context
        self.plain: asyncio.Transport
        """The transport below, from connection_made on."""
        self.transport: ServerTransport | None = None
        """The application's side, while the connection is open or lingers after having been."""
        self.ssl_object: TLSObject
        self.shim: ServerShim
        """The TLS connection, from connection_made on; `ssl_object` is Python's face of it."""
        self._phase = Phase.HANDSHAKE
        self._factory: Callable[[], asyncio.BaseProtocol] = protocol_factory
        self._announce = announce
        self._waiter = waiter
        assert context.authenticator is not None  # a door has one
        self._authenticator = context.authenticator
        self._slots = context.handshake_slots
        self._source = ""
        self._slot_taken = False
        self._outcome: HandshakeOutcome | None = None
        self._handshake_seconds = _shorter(self._slots.seconds, handshake_timeout)
        self._linger_seconds = _shorter(limits.LINGER_SECONDS.default, shutdown_timeout)
        self._timer: asyncio.TimerHandle | None = None
        self._verdict: asyncio.Task[None] | None = None
        self._signing: asyncio.Future[OSError | None] | None = None
        self._plain_ended = False
        self._discarded = 0
        self._error: OSError | None = None

    @property
    def is_open(self) -> bool:
        return self._phase is Phase.OPEN

    # --- called by the plain transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.plain = cast("asyncio.Transport", transport)
        self._source = _source_of(self.plain)
        if not self._slots.take(self._source):
            self._error = ConnectionAbortedError("no handshake slot is free")
            self._become(Phase.CLOSED)
            self.plain.abort()
            return
        self._slot_taken = True
        self._buffer = buffer_for(self.loop)
        self._octets = FedTransport()
        self.ssl_object, self.shim = self.context.serve(self._octets, source=self._source)
        self._timer = self.loop.call_later(self._handshake_seconds, self._too_late)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 (the interface's signature)
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._phase is Phase.LINGER:
            self._discard(nbytes)
        elif self._phase is not Phase.CLOSED:
            self._octets.feed(self._buffer[:nbytes])
            self._take_octets()

    def eof_received(self) -> bool:
        self._plain_ended = True
        # A client may send what it has and leave: that is delivered if it is admitted. One that leaves with no more
        # than its close_notify has given up, and so has one in the middle of the handshake.
        waits = self._phase is Phase.VERDICT and self.shim.pending() > CLOSE_NOTIFY_OCTETS
        if self._phase is not Phase.OPEN and not waits:
            return False
        # Kept open: what was received before may still have to be delivered, and the application may be pausing.
        self._octets.feed_end()
        self._take_octets()
        return True

    def pause_writing(self) -> None:
        if self.transport is not None:
            self.transport.writing_paused(paused=True)

    def resume_writing(self) -> None:
        if self.transport is not None:
            self.transport.writing_paused(paused=False)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._phase is not Phase.CLOSED:
            self._become(Phase.CLOSED)
        self._stop_timer()
        self._stop_asking()
        if self._slot_taken:
            self._count(HandshakeOutcome.GONE)
            self._free_slot()
        if self.transport is not None:
            transport, self.transport = self.transport, None
            transport.lost(exc)
        elif not self._announce:
            # The application knew this connection before TLS, and must learn that it is gone.
            self.loop.call_soon(self._factory().connection_lost, self._error or exc)
        self._fail_waiter(exc)

    async def admitted(self, waiter: asyncio.Future[ServerTransport]) -> ServerTransport:
        """The application's side, once this connection's `waiter` is done; OSError when the client is not let in."""
        try:
            return await waiter
        except asyncio.CancelledError:
            self.abort()
            raise

    # --- handshake and verdict

    def _take_octets(self) -> None:
        if self._phase is Phase.HANDSHAKE:
            self.guarded(self._shake)
        elif self._phase is Phase.VERDICT:
            # Early application data is kept for later, but not without end. While reading is paused, a client that
            # goes away is noticed at the deadline only.
            if self.shim.pending() >= limits.EARLY_OCTETS.default:
                self.plain.pause_reading()
        elif self.transport is not None:
            self.guarded(self.transport.octets_arrived)

    def _shake(self) -> None:
        if not self.context.signs_elsewhere:
            self._shaken(self._step())
        elif self._signing is None:
            # Nothing may be fed meanwhile: the step reads what was.
            self.plain.pause_reading()
            self._signing = self.loop.run_in_executor(None, self._step)
            self._signing.add_done_callback(lambda done: self.guarded(self._signed, done))

    def _step(self) -> OSError | None:
        """One step of the handshake, in a thread where a key that is elsewhere may take its time."""
        try:
            self.shim.do_handshake()
        except OSError as error:
            return error
        return None

    def _signed(self, done: asyncio.Future[OSError | None]) -> None:
        self._signing = None
        if self._phase is Phase.HANDSHAKE and not done.cancelled():
            self.plain.resume_reading()
            self._shaken(done.result())

    def _shaken(self, error: OSError | None) -> None:
        if error is None:
            self._open(None, None)
        elif isinstance(error, ssl.SSLWantReadError):
            self.flush()
            claim = self.shim.pending_claim
            if claim is not None:
                self._become(Phase.VERDICT)
                self._ask(claim)
        else:
            self._refused(error)

    def _ask(self, claim: "Claim") -> None:
        """Settle at once by evidence that is at hand, and in a task when the DNS has to be asked."""
        verdict = verdict_at_hand(self._authenticator, claim)
        if verdict is not None:
            self._settle(verdict)
            return
        self._verdict = self.loop.create_task(self._judge(claim))

    async def _judge(self, claim: "Claim") -> None:
        verdict = await verdict_of(self._authenticator, claim)
        self._verdict = None
        self.guarded(self._settle, verdict)

    def _settle(self, verdict: Verdict) -> None:
        if self._phase is not Phase.VERDICT:
            return
        claim = self.shim.pending_claim
        if isinstance(verdict, VerifiedPeer):
            self.shim.admit(verdict)
        else:
            self.shim.refuse(verdict)
        try:
            self.shim.do_handshake()
        except OSError as error:
            self._refused(error)
        else:
            self._open(claim, verdict if isinstance(verdict, VerifiedPeer) else None)

    def _open(self, claim: "Claim | None", peer: VerifiedPeer | None) -> None:
        self._become(Phase.OPEN)
        self._stop_timer()
        self._count(HandshakeOutcome.ADMITTED)
        self._free_slot()
        self.resume_plain()
        self.transport = ServerTransport(self, peer)
        if claim is not None and peer is not None and isinstance(self._authenticator, Authenticator):
            self.transport.keep_account(sweep_for(self.loop, self._authenticator), claim, peer)
        self.transport.start(self._factory, announce=self._announce)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(self.transport)
        self.flush()
        if self._announce:
            self.transport.octets_arrived()
        else:
            # Whoever waits for the upgrade gets its transport first: an answer written before would go out in clear.
            self.loop.call_soon(self.guarded, self.transport.octets_arrived)

    def _refused(self, error: OSError) -> None:
        self._count(HandshakeOutcome.REFUSED)
        _log.debug("the handshake of %s ended: %s", self.plain.get_extra_info("peername"), error)
        self._error = without_frames(error)
        self.linger(half_close=True)

    def _too_late(self) -> None:
        self._timer = None
        self._count(HandshakeOutcome.TIMED_OUT)
        error = TimeoutError(f"no verdict within {self._handshake_seconds:g} s")
        if self._phase is Phase.VERDICT:
            claim = self.shim.pending_claim
            _log.warning("no verdict about %s within %g s", claim and claim.name, self._handshake_seconds)
            self._stop_asking()
            self.guarded(self._settle, Undecided(Reason.DNS_FAILED, str(error)))
        else:
            self._error = error
            self.abort()

    # --- ending

    def resume_plain(self) -> None:
        """Receive again, unless there is nothing more to come."""
        if not self._plain_ended:
            self.plain.resume_reading()

    def flush(self) -> bool:
        """Hand what TLS produced to the plain transport; whether there was any."""
        octets = self._octets.take()
        if octets:
            self.plain.write(octets)
        return bool(octets)

    def linger(self, *, half_close: bool = False, peer_is_done: bool = False) -> None:
        """Send what is left and no more, then wait, within limits, for the peer to go, unless it sent its own end.

        half_close: end the plain connection's sending side as well, after a fatal alert. Not after close_notify: some
        clients (uvloop's) throw away what they have not yet read when it is followed by the end of the connection.
        """
        self._become(Phase.LINGER)
        self._stop_timer()
        if half_close and self._plain_ended:
            self._octets.take()  # an alert to a peer that is gone would only bring a reset back
        self.flush()
        if peer_is_done or self._plain_ended:
            self.plain.close()
            if not self.plain.get_write_buffer_size():
                return
        else:
            if half_close and self.plain.can_write_eof():
                with contextlib.suppress(OSError):  # asyncio: the peer has reset the connection already
                    self.plain.write_eof()
            self.resume_plain()
        self._wait_to_linger(self.plain.get_write_buffer_size())

    def _wait_to_linger(self, unsent: int) -> None:
        self._timer = self.loop.call_later(self._linger_seconds, self._lingered, unsent)

    def _lingered(self, unsent_before: int) -> None:
        """The wait is over, unless the peer is still taking our last octets, however slowly."""
        unsent = self.plain.get_write_buffer_size()
        if 0 < unsent < unsent_before:
            self._wait_to_linger(unsent)
        elif unsent:
            self.plain.abort()
        else:
            self.plain.close()

    def _discard(self, count: int) -> None:
        self._discarded += count
        if self._discarded > limits.LINGER_OCTETS.default:
            self.plain.abort()

    def abort(self) -> None:
        if self._phase is not Phase.CLOSED:
            self._become(Phase.CLOSED)
        self._stop_timer()
        self.plain.abort()

    # --- the small things

    def guarded(self, step: Callable[_P, None], *args: _P.args, **kwargs: _P.kwargs) -> None:
        """Run a step that calls the application; what it raises ends this connection and no other."""
        try:
            step(*args, **kwargs)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001 (as asyncio does for every callback of a protocol)
            self._report("a connection was ended by an error in its protocol", error)
            self.abort()

    def _report(self, message: str, error: BaseException) -> None:
        self.loop.call_exception_handler(
            {"message": message, "exception": error, "transport": self.plain, "protocol": self}
        )

    def _become(self, phase: Phase) -> None:
        if phase not in TRANSITIONS[self._phase]:
            raise Misuse(f"a connection cannot go from {self._phase.value} to {phase.value}")
        if self._phase is Phase.OPEN and self.transport is not None:
            self.transport.closed()
        self._phase = phase

    def _count(self, outcome: HandshakeOutcome) -> None:
        if self._outcome is None:
            self._outcome = outcome
            self._slots.count(outcome)

    def _free_slot(self) -> None:
        self._slot_taken = False
        self._slots.give_back(self._source)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _stop_asking(self) -> None:
        if self._verdict is not None:
            self._verdict.cancel()
            self._verdict = None

    def _fail_waiter(self, lost: Exception | None) -> None:
        """Only once the connection is gone: whoever waits will close the plain transport, and so lose the alert."""
        if self._waiter is not None and not self._waiter.done():
            gone = ConnectionResetError("the client went away during the handshake")
            self._waiter.set_exception(self._error or lost or gone)
        self._waiter = None


def _shorter(limit: int, wanted: float | None) -> float:
    return float(limit) if wanted is None else min(float(limit), wanted)


def _source_of(plain: asyncio.Transport) -> str:
    """The address that slots and lookups are charged to: the host of an IP socket, empty for a local one."""
    peername = plain.get_extra_info("peername")
    return str(peername[0]) if isinstance(peername, tuple) and peername else ""
