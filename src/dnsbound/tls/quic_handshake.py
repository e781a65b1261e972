"""The handshake of one QUIC connection, without any input or output: CRYPTO octets go in by level, CRYPTO octets,
traffic secrets and an end come out (RFC 9001 section 4).

It drives a shim (`dnsbound.tls.shim`), as `association` does for DTLS. A server's client may come in when the verdict
is there, which is after TLS is complete: a QUIC stack acts on `is_complete`, and whoever hands out streams on `phase`.

Not here: packets, their protection, streams, time, and the verdict itself.
"""

import ssl
from collections import deque
from typing import Final

from dnsbound._native import Connection
from dnsbound.errors import Refused, Undecided
from dnsbound.iana import AlertDescription
from dnsbound.tls.association import TRANSITIONS, Phase
from dnsbound.tls.errors import TLSMisuse, TLSPeerError, alert_reason, without_frames
from dnsbound.tls.server_shim import ServerShim
from dnsbound.tls.shim import Shim
from dnsbound.tls.transport import Until
from dnsbound.verify.claim import Claim
from dnsbound.verify.peer import VerifiedPeer

INITIAL: Final = 0
APPLICATION: Final = 3

_NEW_SESSION_TICKET: Final = 4
_HEADER: Final = 4
_TICKET_OCTETS: Final = 0x1_0000 + 0x200
"""A NewSessionTicket at most, by the lengths of its fields, but for extensions, of which there is one (RFC 9846 section
4.7.1)."""

Secret = tuple[int, bool, int, bytes]
"""Level, for what this side writes, the cipher suite's number, the secret."""


class CryptoTransport:
    """The shim's transport: CRYPTO octets of one connection, by level. It never waits."""

    __slots__ = ("_incoming", "_outgoing", "connection", "ended")

    write_limit: Final = 0

    connection: Connection
    """The one it carries, from `attach` on."""

    def __init__(self) -> None:
        self._incoming: deque[tuple[int, bytes]] = deque()
        self._outgoing: list[tuple[int, bytes]] = []
        self.ended = False
        """Never: a QUIC stack tells of an end itself."""

    def put(self, level: int, octets: bytes) -> None:
        """In order, each octet of a level once."""
        self._incoming.append((level, octets))

    def take(self) -> list[tuple[int, bytes]]:
        """(level, octets) to send, in order."""
        octets, self._outgoing = self._outgoing, []
        return octets

    def attach(self, connection: Connection) -> None:
        self.connection = connection

    def begin(self) -> None:
        return None

    def fill(self, connection: Connection, until: Until = None) -> bool:  # noqa: ARG002 (never waits)
        if not self._incoming:
            return False
        connection.feed_crypto(*self._incoming.popleft())
        return True

    def flush(self, connection: Connection, until: Until = None) -> None:  # noqa: ARG002 (never waits)
        self._outgoing += connection.take_crypto()

    def returned(self) -> None:
        return None


class QuicHandshake:
    """One end's. transport: the shim's own."""

    def __init__(self, shim: Shim, transport: CryptoTransport) -> None:
        self.shim: Final = shim
        self.phase = Phase.HANDSHAKE
        self.error: OSError | None = None
        """Why it ended, once it has."""
        self.alert: int | None = None
        """What the peer is told of it, in a CONNECTION_CLOSE (RFC 9001 section 4.8)."""
        self._connection = transport.connection
        self._transport = transport
        self._hello = b""
        self._after = b""
        self._skip = 0

    # --- from the QUIC stack

    def set_parameters(self, parameters: bytes) -> None:
        """This side's transport parameters, before anything else."""
        self._connection.set_transport_parameters(parameters)

    def begin(self) -> None:
        """Client: write the ClientHello."""
        self._shake()

    def receive(self, level: int, octets: bytes) -> None:
        """CRYPTO octets of this level, in order, each once."""
        if self.phase in {Phase.REFUSED, Phase.CLOSED}:
            return
        if self.is_complete:
            self._receive_late(level, octets)
            return
        if level == INITIAL and len(self._hello) <= _SESSION_ID_AT:
            self._hello += octets[: _SESSION_ID_AT + 1]
        self._transport.put(level, octets)
        self._shake()

    def take(self) -> list[tuple[int, bytes]]:
        """(level, CRYPTO octets) to send, in order."""
        return self._transport.take()

    def take_secrets(self) -> list[Secret]:
        return self._connection.take_secrets()

    # --- what is known

    @property
    def is_complete(self) -> bool:
        """TLS is: a server then judges, and a client's word may be believed."""
        return self._connection.handshake_complete

    @property
    def peer_parameters(self) -> bytes | None:
        """The peer's transport parameters, as soon as they are here; its word alone until it is complete."""
        return self._connection.peer_transport_parameters()

    @property
    def alpn(self) -> bytes | None:
        return self._connection.selected_alpn()

    @property
    def has_session_id(self) -> bool:
        """The peer's hello carries a legacy_session_id, which QUIC forbids (RFC 9001 section 8.4)."""
        return len(self._hello) > _SESSION_ID_AT and self._hello[_SESSION_ID_AT] > 0

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
        """Server: the name of this admitted client is no longer good."""
        if self.phase is Phase.OPEN and isinstance(self.shim, ServerShim):
            self.shim.cut(reason)
            self.error = self.shim.verdict
            self.alert = AlertDescription.HANDSHAKE_FAILURE
            self._become(Phase.CLOSED)

    def fail(self, alert: AlertDescription, why: str) -> None:
        """What the stack found wrong in what TLS brought: no parameters, no protocol."""
        if self.phase not in {Phase.REFUSED, Phase.CLOSED}:
            error = TLSPeerError(why, reason=alert_reason(alert))
            error.alert_sent = alert
            self._end(error, alert)

    def abandon(self) -> None:
        """The connection is over."""
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
            alert = self._connection.alert()
            self._end(error, AlertDescription.INTERNAL_ERROR if alert is None else alert)
        else:
            self._become(Phase.OPEN)

    def _receive_late(self, level: int, octets: bytes) -> None:
        """After the handshake a server sends tickets, which are not used here, and nobody sends anything else: there is
        no KeyUpdate in QUIC (section 6) and no authentication later (section 4.4)."""
        if level != APPLICATION or self.shim.server_side:
            self.fail(AlertDescription.UNEXPECTED_MESSAGE, "a handshake message after the handshake")
            return
        while octets and self.phase is not Phase.CLOSED:
            if self._skip:
                skipped = min(self._skip, len(octets))
                self._skip -= skipped
                octets = octets[skipped:]
                continue
            missing = _HEADER - len(self._after)
            self._after, octets = self._after + octets[:missing], octets[missing:]
            if len(self._after) == _HEADER:
                kind, self._skip, self._after = self._after[0], int.from_bytes(self._after[1:], "big"), b""
                if kind != _NEW_SESSION_TICKET or self._skip > _TICKET_OCTETS:
                    self.fail(AlertDescription.UNEXPECTED_MESSAGE, "a handshake message after the handshake")

    def _end(self, error: OSError, alert: int) -> None:
        self.error = without_frames(error)
        self.alert = alert
        refused = isinstance(error, Refused | Undecided) and isinstance(self.shim, ServerShim)
        self._become(Phase.REFUSED if refused and self.phase is not Phase.OPEN else Phase.CLOSED)

    def _become(self, phase: Phase) -> None:
        if phase not in TRANSITIONS[self.phase]:
            raise TLSMisuse(f"a handshake in phase {self.phase.value} cannot become {phase.value}")
        self.phase = phase


_SESSION_ID_AT: Final = 38
"""Where a ClientHello and a ServerHello tell the length of it: behind header, version and random."""
