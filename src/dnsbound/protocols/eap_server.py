"""The server of an EAP-TLS conversation: EAP responses in, EAP requests and one verdict out.

The method and the decision are two steps. When TLS has proved that the peer holds its key, `receive` gives `Judge`;
whoever runs the conversation looks the name up and calls `settle`. Until then nothing has told the peer that it is in:
in TLS 1.2 the flight with our Finished is held back, in TLS 1.3 the success indication and the ticket are not made. A
refused peer is told by a TLS alert, and after its answer by EAP-Failure.

Nothing here does input or output or reads a clock: retransmission and time-outs are the authenticator's (RFC 3579
section 2.3), and a conversation that is not gone on with is dropped by whoever holds it. One call at a time; a call may
run in another thread, since a signer may be slow. What the peer calls itself in its Identity is kept as `identity`, a
hint for routes and logs: the claim comes from TLS alone.

Sections: RFC 3748 2, 4, 5; RFC 5216 2.1; RFC 9190 2.1, 2.5.
"""

import ssl
from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeAlias

from dnsbound.errors import DnsboundError, LimitExceeded, Malformed, Misuse, PeerError, Reason, Refused, Undecided
from dnsbound.hot_value import hot_value
from dnsbound.iana import TLS_1_3, VERSION_NAMES, EapCode, EapType
from dnsbound.limits import EAP_IDENTITY_OCTETS, EAP_ROUND_TRIPS, Budget
from dnsbound.protocols.eap import EapPacket, desired_methods, is_nak
from dnsbound.protocols.eap_keys import EapKeys
from dnsbound.protocols.eap_tls_framing import BEGIN, EMPTY, Incoming, Outgoing, TlsFragment, fragment_octets_of
from dnsbound.tls.errors import TLSAlertReceived, without_frames
from dnsbound.tls.fed_transport import FedTransport
from dnsbound.tls.server_shim import Authentication, ServerShim
from dnsbound.verify.claim import Claim
from dnsbound.verify.peer import VerifiedPeer

SUCCESS_INDICATION: Final = b"\x00"
"""Application data of TLS 1.3 that says: authenticated, and no more TLS messages (RFC 9190 section 2.5)."""


@hot_value
class ServerTls:
    """One connection of a door, and the octets it is fed by. The shim waits for its verdict (no `judge`)."""

    shim: ServerShim
    transport: FedTransport


@hot_value
class Reply:
    """Send this EAP-Request and go on with the peer's answer."""

    eap: bytes


@hot_value
class Judge:
    """Possession is proved: find out who may be in, and call `settle`. Nothing is to be sent yet."""

    claim: Claim


@hot_value
class Accepted:
    """The peer is in. eap: EAP-Success. tls_version: as Python's `ssl` calls it. resumed: by a ticket."""

    eap: bytes
    keys: EapKeys
    peer: VerifiedPeer
    resumed: bool
    tls_version: str


@hot_value
class Rejected:
    """The peer is not in. eap: EAP-Failure. verdict: the exact reason, never for the peer."""

    eap: bytes
    verdict: DnsboundError


@hot_value
class Ignored:
    """Nothing happened and nothing is to be sent. why: words for people."""

    why: str


Outcome: TypeAlias = Reply | Judge | Accepted | Rejected | Ignored


class Stage(StrEnum):
    """Where a conversation stands."""

    NEW = "new"
    IDENTITY = "identity"
    """The peer was asked who it is."""
    START = "start"
    """EAP-TLS was offered."""
    HANDSHAKE = "handshake"
    JUDGING = "judging"
    PROVEN = "proven"
    """Verified; our last flight is on its way and the peer has to confirm it."""
    ALERTED = "alerted"
    """Not verified; our alert is on its way."""
    OVER = "over"


TRANSITIONS: Final[Mapping[Stage, frozenset[Stage]]] = MappingProxyType(
    {
        Stage.NEW: frozenset({Stage.IDENTITY, Stage.START, Stage.OVER}),
        Stage.IDENTITY: frozenset({Stage.START, Stage.OVER}),
        Stage.START: frozenset({Stage.HANDSHAKE, Stage.OVER}),
        Stage.HANDSHAKE: frozenset({Stage.JUDGING, Stage.PROVEN, Stage.ALERTED, Stage.OVER}),
        Stage.JUDGING: frozenset({Stage.PROVEN, Stage.ALERTED, Stage.OVER}),
        Stage.PROVEN: frozenset({Stage.OVER}),
        Stage.ALERTED: frozenset({Stage.OVER}),
        Stage.OVER: frozenset(),
    }
)
"""HANDSHAKE leads to PROVEN where the shim has a judge of its own, which blocks."""


_RESPONSE: Final = EapCode.RESPONSE
_TLS: Final = int(EapType.TLS)
_IDENTITY: Final = int(EapType.IDENTITY)
_ANSWERS: Final[Mapping[Stage, tuple[int, ...]]] = MappingProxyType(
    {
        Stage.NEW: (_IDENTITY,),
        Stage.IDENTITY: (_IDENTITY,),
        Stage.START: (_TLS,),
        Stage.HANDSHAKE: (_TLS,),
        Stage.JUDGING: (),
        Stage.PROVEN: (_TLS,),
        Stage.ALERTED: (_TLS,),
        Stage.OVER: (),
    }
)
"""Table: of which types a response may be in each stage."""
_MAY_BE_DECLINED: Final = frozenset({Stage.START})
"""Where a Nak is an answer, too."""


class EapServer:
    """One conversation.

    open_tls: makes the connection, once the peer has agreed to EAP-TLS. fragment_octets: of our own EAP packets at
    most. message_octets: of one TLS message of the peer. round_trips: requests at most. See `dnsbound.limits`.
    """

    def __init__(
        self,
        open_tls: Callable[[], ServerTls],
        *,
        fragment_octets: int | None = None,
        message_octets: int | None = None,
        round_trips: int | None = None,
    ) -> None:
        self._open_tls = open_tls
        self._packet_octets = fragment_octets_of(fragment_octets)
        self._incoming = Incoming(message_octets=message_octets)
        self._outgoing: Outgoing | None = None
        self._budget = Budget(EAP_ROUND_TRIPS, round_trips)
        self._stage = Stage.NEW
        self._tls: ServerTls | None = None
        self._with_session_id = True
        self._request = b""
        """The one that waits for its answer; empty before the first and after the last."""
        self._awaited: int | None = None
        """Its identifier."""
        self._answered: EapPacket | None = None
        """The last answer that was taken, so that its repetition is known."""
        self._identifier = 0
        """Of that answer."""
        self.identity = b""
        """What the peer called itself, as it came: a hint, and nobody's proof."""
        self.round_trips = 0
        """Requests made."""
        self.verdict: DnsboundError | None = None
        """Why the peer is not in, from the moment that is known: `Rejected` may follow an alert's answer, or never."""
        self.tls_version = ""
        """From the end of the handshake on."""
        self.resumed = False

    @property
    def stage(self) -> Stage:
        return self._stage

    # --- what comes in

    def begin(self) -> Reply:
        """Ask the peer who it is, where the access server leaves that to us (RFC 3579 section 2.1)."""
        self._become(Stage.IDENTITY)
        return self._ask(EapType.IDENTITY)

    def receive(self, eap: bytes, *, with_session_id: bool = True) -> Outcome:
        """What one EAP packet leads to. Never raises for what the peer sent. with_session_id: should it lead to
        `Accepted`, its keys are wanted with their Session-Id."""
        self._with_session_id = with_session_id
        try:
            packet = EapPacket.from_wire(eap)
        except Malformed as error:
            return Ignored(why=str(error))
        if self._awaited is not None and packet.identifier != self._awaited and packet == self._answered:
            return Reply(eap=self._request)
        if (why := self._unexpected(packet)) is not None:
            return Ignored(why=why)
        self._answered, self._identifier = packet, packet.identifier
        try:
            self._budget.spend()
            return self._take(packet)
        except (PeerError, Malformed, LimitExceeded) as error:
            return self._reject(error)

    def _unexpected(self, packet: EapPacket) -> str | None:
        """Why a packet is no response to the request that is out; None for one that is. Such are dropped (RFC 3748
        sections 2.1 and 4.1): anybody near the peer can send one."""
        if packet.code is not _RESPONSE:
            return f"a peer sent EAP {packet.code.name}"
        if self._awaited is not None and packet.identifier != self._awaited:
            return f"identifier {packet.identifier} while {self._awaited} is awaited"
        if packet.type in _ANSWERS[self._stage] or (self._stage in _MAY_BE_DECLINED and is_nak(packet)):
            return None
        return f"a response of type {packet.type} in stage {self._stage.value}"

    def _take(self, packet: EapPacket) -> Outcome:
        if packet.type == _IDENTITY:
            return self._offer(packet.data)
        if packet.type != _TLS:
            wanted = ", ".join(str(method) for method in desired_methods(packet))
            raise PeerError(f"the peer does not speak EAP-TLS; it wants {wanted}")
        return self._take_tls(TlsFragment.from_wire(packet.data))

    def _offer(self, identity: bytes) -> Reply:
        if len(identity) > EAP_IDENTITY_OCTETS.default:
            raise LimitExceeded(EAP_IDENTITY_OCTETS.name, f"an identity of {len(identity)} octets")
        self.identity = identity
        self._become(Stage.START)
        return self._ask(EapType.TLS, BEGIN)

    def _take_tls(self, fragment: TlsFragment) -> Outcome:
        if self._stage is Stage.START:
            self._become(Stage.HANDSHAKE)
        outgoing = self._outgoing
        if outgoing is not None and not outgoing.is_done:
            if not fragment.is_empty:
                raise PeerError("a fragment of ours was not acknowledged")
            return self._ask(EapType.TLS, outgoing.take())
        if self._stage is Stage.ALERTED:
            assert self.verdict is not None
            return self._reject(self.verdict)
        message = self._incoming.take(fragment)
        if message is None:
            return self._ask(EapType.TLS, EMPTY)
        if self._stage is Stage.PROVEN:
            return self._conclude(message)
        if not message:
            raise PeerError("the peer has nothing to say in the middle of its handshake")
        if self._tls is None:
            self._tls = self._open_tls()
        self._tls.transport.feed(message)
        return self._advance(self._tls)

    # --- TLS

    def _advance(self, tls: ServerTls) -> Outcome:
        try:
            tls.shim.do_handshake()
        except ssl.SSLWantReadError:
            if (claim := tls.shim.pending_claim) is not None:
                return self._judge(tls, claim)
            flight = tls.transport.take()
            if not flight:
                raise PeerError("a TLS message that ends within a record") from None
            return self._send(flight)
        except DnsboundError as error:
            return self._shut_out(tls, error)
        return self._admit(tls)

    def _judge(self, tls: ServerTls, claim: Claim) -> Judge:
        self._note_facts(tls)
        if tls.shim.pending():
            raise PeerError("data behind the peer's Finished")
        self._become(Stage.JUDGING)
        return Judge(claim=claim)

    def settle(self, verdict: VerifiedPeer | Refused | Undecided) -> Outcome:
        """The answer to `Judge`: evidence for its very claim, or why there is none. Misuse when nothing waits for it,
        or for evidence of another claim."""
        tls = self._tls
        if self._stage is not Stage.JUDGING or tls is None:
            raise Misuse("no claim of this conversation waits for a verdict")
        if not isinstance(verdict, VerifiedPeer):
            tls.shim.refuse(verdict)
            return self._shut_out(tls, verdict)
        try:
            tls.shim.admit(verdict)
            tls.shim.do_handshake()
            return self._admit(tls)
        except PeerError as error:
            return self._shut_out(tls, error)

    def _admit(self, tls: ServerTls) -> Outcome:
        """The ticket, if there is one, is made; in TLS 1.3 the success indication goes with it, in TLS 1.2 what is
        sent is the flight that was held."""
        self._note_facts(tls)
        if tls.shim.authentication is not Authentication.VERIFIED:
            return self._reject(Refused(Reason.NO_CREDENTIAL, "EAP admits nobody unauthenticated"))
        if self.tls_version == VERSION_NAMES[TLS_1_3]:
            tls.shim.write(SUCCESS_INDICATION)
        self._become(Stage.PROVEN)
        return self._send(tls.transport.take())

    def _conclude(self, message: bytes) -> Outcome:
        """The peer confirms our last flight by having nothing to say, or refuses us by an alert."""
        tls = self._tls
        assert tls is not None
        if message:
            tls.transport.feed(message)
            try:
                tls.shim.read_arrived(1)
            except DnsboundError as error:
                return self._reject(error)
            raise PeerError("data where the end of the conversation was to be confirmed")
        peer = tls.shim.verified_peer()
        assert peer is not None
        keys = EapKeys.export(tls.shim, with_session_id=self._with_session_id)
        self._finish()
        return Accepted(
            eap=EapPacket(code=EapCode.SUCCESS, identifier=self._identifier).to_wire(),
            keys=keys,
            peer=peer,
            resumed=self.resumed,
            tls_version=self.tls_version,
        )

    def _shut_out(self, tls: ServerTls, error: DnsboundError) -> Outcome:
        """RFC 5216 section 2.1.3: our alert is a request, so that it arrives; after the peer's there is nothing to say
        but Failure."""
        self._note_facts(tls)
        alert = tls.transport.take()
        if not alert or isinstance(error, TLSAlertReceived):
            return self._reject(error)
        self.verdict = without_frames(error)
        self._become(Stage.ALERTED)
        return self._send(alert)

    def _note_facts(self, tls: ServerTls) -> None:
        self.tls_version = tls.shim.version() or ""
        self.resumed = tls.shim.session_reused

    # --- what goes out

    def _send(self, message: bytes) -> Reply:
        self._outgoing = Outgoing(message, packet_octets=self._packet_octets)
        return self._ask(EapType.TLS, self._outgoing.take())

    def _ask(self, kind: EapType, fragment: TlsFragment | None = None) -> Reply:
        data = b"" if fragment is None else fragment.to_wire()
        self._awaited = (self._identifier + 1) & 0xFF
        self._request = EapPacket.request(self._awaited, kind, data).to_wire()
        self.round_trips += 1
        return Reply(eap=self._request)

    def _reject(self, verdict: DnsboundError) -> Rejected:
        self.verdict = without_frames(verdict)
        self._finish()
        return Rejected(
            eap=EapPacket(code=EapCode.FAILURE, identifier=self._identifier).to_wire(), verdict=self.verdict
        )

    def _finish(self) -> None:
        """Nothing of TLS is kept, nor of fragments."""
        self._become(Stage.OVER)
        self._tls = self._outgoing = self._awaited = self._answered = None
        self._request = b""
        self._incoming = Incoming()

    def _become(self, stage: Stage) -> None:
        if stage not in TRANSITIONS[self._stage]:
            raise Misuse(f"a conversation in stage {self._stage.value} cannot become {stage.value}")
        self._stage = stage
