"""One DTLS association, without any input or output: datagrams and passing time go in, datagrams and messages come out.

It drives a shim (`dnsbound.tls.shim`) over datagrams. Time is asked for as seconds from now (`timeout`) and reported by
`handle_timeout`; the clock of retransmissions is the engine's own. What is lost, doubled, overtaken or forged on the
way is the engine's to repeat or to drop, and never an end. RFC 6347 sections 4.1 and 4.2; draft-ietf-dance-tls-clientid
section 3 for what a server waits for before its last flight.

Not here: cookies (a server's association begins after them), sockets, deadlines, and the verdict itself.
"""

import contextlib
import ssl
from collections import deque
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from dnsbound._native import TlsError
from dnsbound.errors import LimitExceeded, Refused, Undecided
from dnsbound.limits import DATAGRAM_QUEUE
from dnsbound.times import Seconds
from dnsbound.tls.datagram_transport import DatagramTransport
from dnsbound.tls.errors import TLSMisuse, handshake_error, without_frames
from dnsbound.tls.server_shim import ServerShim
from dnsbound.tls.shim import Shim
from dnsbound.verify.claim import Claim
from dnsbound.verify.peer import VerifiedPeer

MESSAGE_OCTETS: Final = 16_384
"""A record's plaintext at most (RFC 6347 section 4.1)."""


class Phase(StrEnum):
    """Where an association stands."""

    HANDSHAKE = "handshake"
    VERDICT = "verdict"
    """Server: possession is proved, and the last flight is held."""
    OPEN = "open"
    REFUSED = "refused"
    """Server: the client gets its alert again when it repeats its flight."""
    CLOSED = "closed"


TRANSITIONS: Final[Mapping[Phase, frozenset[Phase]]] = MappingProxyType(
    {
        Phase.HANDSHAKE: frozenset({Phase.VERDICT, Phase.OPEN, Phase.REFUSED, Phase.CLOSED}),
        Phase.VERDICT: frozenset({Phase.OPEN, Phase.REFUSED, Phase.CLOSED}),
        Phase.OPEN: frozenset({Phase.CLOSED}),
        Phase.REFUSED: frozenset({Phase.CLOSED}),
        Phase.CLOSED: frozenset(),
    }
)
"""HANDSHAKE leads to OPEN on a client, and without a claim where a door allows it; to REFUSED without a claim where it
does not."""


class Association:
    """One end of an association. transport: the shim's own. queue: messages kept for a reader."""

    def __init__(self, shim: Shim, transport: DatagramTransport, *, queue: int | None = None) -> None:
        self.shim: Final = shim
        self.phase = Phase.HANDSHAKE
        self.error: OSError | None = None
        """Why it ended; None while it has not, and after close_notify."""
        self.received = 0
        """Messages that arrived, those that were dropped included."""
        self.dropped = 0
        """Messages that arrived while the queue was full."""
        self._connection = transport.connection
        self._transport = transport
        self._queue: Final = DATAGRAM_QUEUE.checked(queue)
        self._messages: deque[bytes] = deque()

    # --- from the peer, and from the clock

    def begin(self) -> None:
        """Client: write the first flight. Server: read the hello that was verified."""
        self._shake()

    def receive(self, datagram: bytes) -> None:
        """One datagram that came from the peer's address, whoever sent it."""
        if self.phase is Phase.CLOSED:
            return
        if self.phase in {Phase.VERDICT, Phase.REFUSED}:
            # Only repetitions can come: the engine drops them, and tells a refused client again.
            self._connection.feed_datagram(datagram)
            self._transport.flush(self._connection)
            return
        self._transport.put(datagram)
        if self.phase is Phase.HANDSHAKE:
            self._shake()
        if self.phase is Phase.OPEN:
            self._read()

    def timeout(self) -> Seconds | None:
        """Seconds until `handle_timeout` is due; None while nothing waits for an answer."""
        return self._connection.timeout() if self.phase is Phase.HANDSHAKE else None

    def handle_timeout(self) -> None:
        """Send the last flight again, if its time has come."""
        if self.phase is not Phase.HANDSHAKE:
            return
        try:
            self._connection.handle_timeout()
        except TlsError as error:
            self._end(handshake_error(error))
        else:
            self._transport.flush(self._connection)

    def take(self) -> list[bytes]:
        """Datagrams to send, in order."""
        return self._transport.take()

    # --- the verdict

    @property
    def pending_claim(self) -> Claim | None:
        """Server: what waits to be judged."""
        return self.shim.pending_claim if isinstance(self.shim, ServerShim) else None

    def settle(self, verdict: VerifiedPeer | Refused | Undecided) -> None:
        """Server: act on the verdict about `pending_claim`. Too late a verdict changes nothing."""
        shim = self.shim
        if self.phase is not Phase.VERDICT or not isinstance(shim, ServerShim):
            return
        if isinstance(verdict, VerifiedPeer):
            shim.admit(verdict)
        else:
            shim.refuse(verdict)
        self._shake()

    def cut(self, reason: Refused | Undecided) -> None:
        """Server: the name of this admitted client is no longer good. Says close_notify; what has arrived is not
        delivered."""
        if self.phase is Phase.OPEN and isinstance(self.shim, ServerShim):
            self.close()
            self.shim.cut(reason)
            self._messages.clear()
            self.error = self.shim.verdict

    # --- application data

    @property
    def message_octets(self) -> int:
        """Octets of one message at most, so that its datagram fits the MTU; 0 before it is open."""
        return self._connection.data_mtu()

    def send(self, message: bytes) -> None:
        """One message in one datagram. Nobody knows whether it arrives. LimitExceeded for one that would not fit."""
        if self.phase is not Phase.OPEN:
            raise self.error or TLSMisuse(f"nothing can be sent in phase {self.phase.value}")
        if not 0 < len(message) <= self.message_octets:
            raise LimitExceeded(
                "datagram-octets", f"a message has 1 to {self.message_octets} octets here, not {len(message)}"
            )
        try:
            self.shim.write(message)
        except OSError as error:
            self._end(error)
            raise

    @property
    def has_messages(self) -> bool:
        return bool(self._messages)

    def next_message(self) -> bytes | None:
        """The next message that has arrived; None when there is none."""
        return self._messages.popleft() if self._messages else None

    def close(self) -> None:
        """Say close_notify, once, without waiting for an answer that may be lost. What has arrived stays readable."""
        if self.phase is Phase.OPEN:
            with contextlib.suppress(OSError):  # the answer is not there yet, or never will be
                self.shim.shutdown()
        self.abandon()

    def abandon(self) -> None:
        """End without a word."""
        if self.phase is not Phase.CLOSED:
            self._become(Phase.CLOSED)

    # --- steps

    def _shake(self) -> None:
        try:
            self.shim.do_handshake()
        except ssl.SSLWantReadError:
            if self.phase is Phase.HANDSHAKE and self.pending_claim is not None:
                self._become(Phase.VERDICT)
        except OSError as error:
            self._end(error)
        else:
            self._become(Phase.OPEN)

    def _read(self) -> None:
        while self.phase is Phase.OPEN:
            try:
                message = self.shim.read_arrived(MESSAGE_OCTETS)
            except OSError as error:
                self._end(error)
                return
            if message is None:
                return
            if not message:
                self.close()
                return
            self.received += 1
            if len(self._messages) < self._queue:
                self._messages.append(message)
            else:
                self.dropped += 1

    def _end(self, error: OSError) -> None:
        self.error = without_frames(error)
        refused = isinstance(error, Refused | Undecided) and isinstance(self.shim, ServerShim)
        self._become(Phase.REFUSED if refused and self.phase is not Phase.OPEN else Phase.CLOSED)

    def _become(self, phase: Phase) -> None:
        if phase not in TRANSITIONS[self.phase]:
            raise TLSMisuse(f"an association in phase {self.phase.value} cannot become {phase.value}")
        self.phase = phase
