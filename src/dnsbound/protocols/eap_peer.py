"""The peer of an EAP-TLS conversation: a client that shows its name and key to a network, in any program that carries
EAP packets.

It believes in a success only when TLS says so: in TLS 1.3 by the server's success indication, in TLS 1.2 by the
server's Finished. EAP-Success and EAP-Failure are not protected; a Success before that is dropped. What it states as
identity is in clear, so that it should say no more than a realm (`dnsbound.protocols.nai.anonymous_identity`).

How the server is authenticated is its connection's matter: authorities, TLSA or a pin. Sans-IO; one call at a time.

Sections: RFC 3748 2, 4, 5; RFC 5216 2.1; RFC 9190 2.1, 2.5.
"""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeAlias

from dnsbound.errors import DnsboundError, LimitExceeded, Malformed, Misuse, PeerError
from dnsbound.iana import TLS_1_3, VERSION_NAMES, EapCode, EapType
from dnsbound.limits import EAP_IDENTITY_OCTETS, EAP_ROUND_TRIPS, Budget
from dnsbound.protocols.eap import EapPacket, nak_for
from dnsbound.protocols.eap_keys import EapKeys
from dnsbound.protocols.eap_server import SUCCESS_INDICATION
from dnsbound.protocols.eap_tls_framing import EMPTY, Incoming, Outgoing, TlsFragment, fragment_octets_of
from dnsbound.tls.client_shim import ClientShim
from dnsbound.tls.errors import without_frames
from dnsbound.tls.fed_transport import FedTransport
from dnsbound.tls.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTls:
    """One connection of a client, and the octets it is fed by."""

    shim: ClientShim
    transport: FedTransport


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerReply:
    """Send this EAP-Response. notification: what the server wants shown to the user, if anything (RFC 3748 5.2)."""

    eap: bytes
    notification: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerDone:
    """In. session: to resume with, where the server gave a ticket. tls_version: as Python's `ssl` calls it."""

    keys: EapKeys
    tls_version: str
    resumed: bool
    session: Session | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerFailed:
    """Not in: by the server's word, or because this peer does not believe the server."""

    reason: DnsboundError


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerIgnored:
    """Nothing happened and nothing is to be sent. why: words for people."""

    why: str


PeerOutcome: TypeAlias = PeerReply | PeerDone | PeerFailed | PeerIgnored


class PeerStage(StrEnum):
    """Where a conversation stands."""

    WAITING = "waiting"
    """EAP-TLS has not begun."""
    HANDSHAKE = "handshake"
    FINISHED = "finished"
    """TLS 1.3: the handshake is complete, and the success indication awaited."""
    PROVEN = "proven"
    """TLS says that we are in; EAP-Success is awaited."""
    FAILING = "failing"
    """TLS says that we are not; EAP-Failure is awaited."""
    OVER = "over"


TRANSITIONS: Final[Mapping[PeerStage, frozenset[PeerStage]]] = MappingProxyType(
    {
        PeerStage.WAITING: frozenset({PeerStage.HANDSHAKE, PeerStage.OVER}),
        PeerStage.HANDSHAKE: frozenset({PeerStage.FINISHED, PeerStage.PROVEN, PeerStage.FAILING, PeerStage.OVER}),
        PeerStage.FINISHED: frozenset({PeerStage.PROVEN, PeerStage.FAILING, PeerStage.OVER}),
        PeerStage.PROVEN: frozenset({PeerStage.OVER}),
        PeerStage.FAILING: frozenset({PeerStage.OVER}),
        PeerStage.OVER: frozenset(),
    }
)


class EapPeer:
    """One conversation.

    identity: what is said in clear, a NAI. open_tls: makes the connection when the server starts EAP-TLS. The others:
    as for `EapServer`.
    """

    def __init__(
        self,
        identity: bytes,
        open_tls: Callable[[], ClientTls],
        *,
        fragment_octets: int | None = None,
        message_octets: int | None = None,
        round_trips: int | None = None,
    ) -> None:
        if len(identity) > EAP_IDENTITY_OCTETS.default:
            raise Misuse(f"an EAP identity has {EAP_IDENTITY_OCTETS.default} octets at most, not {len(identity)}")
        self._identity = identity
        self._open_tls = open_tls
        self._packet_octets = fragment_octets_of(fragment_octets)
        self._incoming = Incoming(message_octets=message_octets)
        self._outgoing: Outgoing | None = None
        self._budget = Budget(EAP_ROUND_TRIPS, round_trips)
        self._stage = PeerStage.WAITING
        self._tls: ClientTls | None = None
        self._done: PeerDone | None = None
        self._reason: DnsboundError | None = None
        self._asked = b""
        """The last request, so that its repetition is known."""
        self._answer: EapPacket | None = None
        """What was said to it."""

    @property
    def stage(self) -> PeerStage:
        return self._stage

    # --- what comes in

    def receive(self, eap: bytes) -> PeerOutcome:
        """What one EAP packet leads to. Never raises for what the server sent."""
        try:
            packet = EapPacket.from_wire(eap)
        except Malformed as error:
            return PeerIgnored(why=str(error))
        octets, answer = packet.to_wire(), self._answer
        if answer is not None and octets == self._asked:
            return PeerReply(eap=answer.to_wire())
        if (why := self._unexpected(packet)) is not None:
            return PeerIgnored(why=why)
        if packet.code is not EapCode.REQUEST:
            return self._end(packet)
        self._asked = octets
        try:
            self._budget.spend()
            return self._take(packet)
        except (PeerError, Malformed, LimitExceeded) as error:
            return self._fail(error)

    def _unexpected(self, packet: EapPacket) -> str | None:
        """Why a packet is dropped; None for one to heed. Once EAP-TLS has begun there is no other method."""
        if packet.code is EapCode.RESPONSE:
            return "a server sent an EAP-Response"
        if self._stage is PeerStage.OVER:
            return "the conversation is over"
        if packet.code is not EapCode.REQUEST:
            return None
        if self._answer is not None and packet.identifier == self._answer.identifier:
            return f"another request with identifier {packet.identifier}"
        over = self._stage in {PeerStage.PROVEN, PeerStage.FAILING}
        kinds = {EapType.NOTIFICATION} if over else {EapType.NOTIFICATION, EapType.TLS}
        if self._stage is PeerStage.WAITING or packet.type in kinds:
            return None
        return f"a request of type {packet.type} in stage {self._stage.value}"

    def _take(self, packet: EapPacket) -> PeerOutcome:
        if packet.type == EapType.NOTIFICATION:
            shown = packet.data.decode("utf-8", "replace")
            return self._say(EapPacket.response(packet.identifier, EapType.NOTIFICATION), shown)
        if packet.type == EapType.IDENTITY:
            return self._say(EapPacket.response(packet.identifier, EapType.IDENTITY, self._identity))
        if packet.type != EapType.TLS:
            return self._say(nak_for(packet, EapType.TLS))
        fragment = TlsFragment.from_wire(packet.data)
        if self._stage is PeerStage.WAITING:
            return self._start(packet.identifier, fragment)
        return self._take_tls(packet.identifier, fragment)

    def _start(self, identifier: int, fragment: TlsFragment) -> PeerOutcome:
        if not fragment.start or fragment.more or fragment.data:
            raise PeerError("EAP-TLS begins with a Start that holds nothing")
        self._tls = self._open_tls()
        self._become(PeerStage.HANDSHAKE)
        return self._advance(identifier, self._tls)

    def _take_tls(self, identifier: int, fragment: TlsFragment) -> PeerOutcome:
        tls, outgoing = self._tls, self._outgoing
        assert tls is not None
        if outgoing is not None and not outgoing.is_done:
            if not fragment.is_empty:
                raise PeerError("a fragment of ours was not acknowledged")
            return self._say_tls(identifier, outgoing.take())
        message = self._incoming.take(fragment)
        if message is None:
            return self._say_tls(identifier, EMPTY)
        if not message:
            raise PeerError("the server has nothing to say")
        tls.transport.feed(message)
        return self._advance(identifier, tls)

    # --- TLS

    def _advance(self, identifier: int, tls: ClientTls) -> PeerOutcome:
        try:
            if self._stage is PeerStage.HANDSHAKE and not self._shake_hands(tls):
                flight = tls.transport.take()
                if not flight:
                    raise PeerError("a TLS message that ends within a record")
                return self._send(identifier, flight)
            if self._stage is PeerStage.FINISHED:
                self._look_for_success(tls)
        except ssl.SSLError as error:
            if not isinstance(error, DnsboundError):
                raise
            return self._give_up(identifier, tls, error)
        return self._send(identifier, tls.transport.take())

    def _shake_hands(self, tls: ClientTls) -> bool:
        """Whether it is complete now; our flight, if there is one, is to be sent."""
        try:
            tls.shim.do_handshake()
        except ssl.SSLWantReadError:
            return False
        if tls.shim.pending():
            raise PeerError("data behind the server's Finished")
        if tls.shim.version() == VERSION_NAMES[TLS_1_3]:
            self._become(PeerStage.FINISHED)
        else:
            self._succeed(tls)
        return True

    def _look_for_success(self, tls: ClientTls) -> None:
        """Tickets may come before the success indication, alone or with it; other data may not come at all."""
        said = b""
        while (data := tls.shim.read_arrived(2)) is not None:
            said += data
            if said != SUCCESS_INDICATION or not data:
                raise PeerError("application data in EAP-TLS that is no success indication")
        if said:
            self._succeed(tls)

    def _succeed(self, tls: ClientTls) -> None:
        self._done = PeerDone(
            keys=EapKeys.export(tls.shim),
            tls_version=tls.shim.version() or "",
            resumed=tls.shim.session_reused,
            session=tls.shim.session,
        )
        self._become(PeerStage.PROVEN)

    def _give_up(self, identifier: int, tls: ClientTls, error: DnsboundError) -> PeerOutcome:
        """Our alert, or the acknowledgement of the server's (RFC 5216 section 2.1.3); EAP-Failure is to follow."""
        alert = tls.transport.take()
        if not alert and getattr(error, "alert_received", None) is None:
            return self._fail(error)
        self._reason = without_frames(error)
        self._become(PeerStage.FAILING)
        return self._send(identifier, alert)

    # --- the end

    def _end(self, packet: EapPacket) -> PeerOutcome:
        """EAP-Success or EAP-Failure (RFC 3748 section 4.2): heeded where it can be true."""
        if self._answer is None or packet.identifier != self._answer.identifier:
            return PeerIgnored(why=f"EAP {packet.code.name} in answer to nothing that was said")
        done = self._done
        if packet.code is EapCode.SUCCESS:
            if done is None:
                return PeerIgnored(why="EAP-Success before TLS said so")
            self._finish()
            return done
        if done is not None and done.tls_version == VERSION_NAMES[TLS_1_3]:
            return PeerIgnored(why="EAP-Failure after the server's success indication")
        return self._fail(self._reason or PeerError("the server ended the conversation with EAP-Failure"))

    def _fail(self, reason: DnsboundError) -> PeerFailed:
        self._finish()
        return PeerFailed(reason=without_frames(reason))

    def _finish(self) -> None:
        self._become(PeerStage.OVER)
        self._tls = self._outgoing = self._answer = None
        self._incoming = Incoming()

    # --- what goes out

    def _send(self, identifier: int, message: bytes) -> PeerReply:
        self._outgoing = Outgoing(message, packet_octets=self._packet_octets)
        return self._say_tls(identifier, self._outgoing.take())

    def _say_tls(self, identifier: int, fragment: TlsFragment) -> PeerReply:
        return self._say(EapPacket.response(identifier, EapType.TLS, fragment.to_wire()))

    def _say(self, answer: EapPacket, notification: str = "") -> PeerReply:
        self._answer = answer
        return PeerReply(eap=answer.to_wire(), notification=notification)

    def _become(self, stage: PeerStage) -> None:
        if stage not in TRANSITIONS[self._stage]:
            raise Misuse(f"a conversation in stage {self._stage.value} cannot become {stage.value}")
        self._stage = stage
