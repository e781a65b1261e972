"""Access-Requests: which network they are for, the EAP conversation they carry on, and what the verdict becomes.

A request without State begins a conversation. Its network is chosen by what the NAS says and by the realm of the
identity hint; where no network is for it, it is rejected before TLS and before any question to the DNS. A request with
State carries its conversation on, if it comes from the same client and is about the same station; a State that belongs
to nobody, or to another, is rejected alike. While one request of a conversation is worked on, others of it are dropped:
the NAS repeats them (RFC 3579 section 2.3).

Nothing blocks: a verdict by evidence at hand is an answer at once, and one that needs the DNS, or a signature made
elsewhere, is a coroutine. Documents: RFC 2865 4.1, 5.24; RFC 3579 2.1 to 2.6; RFC 3580 3.20.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Final

from dnsbound.edge.authenticator import verdict_at_hand
from dnsbound.edge.context_door import Verdict
from dnsbound.edge.context_door import verdict_of as awaited_verdict
from dnsbound.edge.eap_connection import served_eap_tls
from dnsbound.edge.eap_conversations import ConversationTable
from dnsbound.edge.radius_acceptance import Acceptance, Acceptor
from dnsbound.edge.radius_asked import Answer, Asked
from dnsbound.edge.radius_audit import GRANTS_UNUSABLE, NO_NETWORK, AccessEvent, AccessVerdict, verdict_of, write_audit
from dnsbound.edge.radius_clients import RadiusClient
from dnsbound.edge.radius_counters import Dropped, RadiusCounters
from dnsbound.edge.radius_networks import RadiusNetwork, RadiusNetworks
from dnsbound.edge.repeated_warnings import RepeatedWarnings
from dnsbound.errors import DnsboundError, LimitExceeded, Malformed, Reason, Refused
from dnsbound.iana import EapCode, EapType, RadiusAttribute, RadiusCode
from dnsbound.limits import EAP_FRAGMENT_OCTETS
from dnsbound.protocols.eap import EapPacket
from dnsbound.protocols.eap_server import Accepted, EapServer, Ignored, Judge, Outcome, Rejected, Reply
from dnsbound.protocols.nai import Nai
from dnsbound.protocols.radius_attributes import read_text
from dnsbound.protocols.radius_nas import NasFacts
from dnsbound.times import Moment, Seconds
from dnsbound.verify.claim import Claim
from dnsbound.verify.peer import VerifiedPeer

_log: Final = logging.getLogger("dnsbound.radius")

_STATE_OCTETS: Final = 16
"""Random octets of a State: 128 bits nobody guesses."""
_REALMS: Final = 1024
_STATE: Final = int(RadiusAttribute.STATE)
_EAP_KEY_NAME: Final = int(RadiusAttribute.EAP_KEY_NAME)
_UNCHANGING: Final = (
    int(RadiusAttribute.USER_NAME),
    int(RadiusAttribute.CALLING_STATION_ID),
    int(RadiusAttribute.CALLED_STATION_ID),
    int(RadiusAttribute.NAS_IDENTIFIER),
)
"""By which the network was chosen, and of whom the conversation is."""


@dataclass(slots=True, kw_only=True)
class Conversation:
    """One EAP conversation, and who has it with us. source: the NAS, for the table's bounds."""

    eap: EapServer
    network: RadiusNetwork
    state: bytes
    client: RadiusClient
    owner: str
    """The client's label."""
    unchanging: tuple[bytes | None, ...]
    """Values of `_UNCHANGING`."""
    nas: NasFacts
    source: str
    station: str
    began: Seconds
    busy: bool = False
    """A request of it is being worked on."""
    concluded: bool = False
    """Its event was told."""
    claim: Claim | None = None
    acceptance: Acceptance | None = None
    """What its Access-Accept will say, once it is verified."""


class AccessRequests:
    """Answers the Access-Requests of one process.

    marked: makes a State of 16 random octets, such that a request finds its process. monotonic: of the bounds and
    durations; clock: of events. entropy: n octets nobody can foresee. on_event: told of each authentication.
    """

    def __init__(
        self,
        networks: RadiusNetworks,
        conversations: ConversationTable[Conversation],
        acceptor: Acceptor,
        counters: RadiusCounters,
        *,
        marked: Callable[[bytes], bytes],
        fragment_octets: int,
        monotonic: Callable[[], Seconds],
        clock: Callable[[], Moment],
        entropy: Callable[[int], bytes],
        on_event: Callable[[AccessEvent], None] | None = None,
    ) -> None:
        self._networks = networks
        self._conversations = conversations
        self._acceptor = acceptor
        self._counters = counters
        self._marked = marked
        self.fragment_octets = fragment_octets
        self._monotonic = monotonic
        self._clock = clock
        self._entropy = entropy
        self._on_event = on_event
        self.unmatched: Final = RepeatedWarnings(_log, monotonic=monotonic)
        """Requests that no network is for, by client and SSID."""

    def respond(self, asked: Asked) -> Answer:
        """The answer, or what it has to wait for."""
        eap = asked.request.eap_message
        if eap is None:
            return asked.answer(RadiusCode.ACCESS_REJECT)
        state = asked.request.first(_STATE)
        if state is None:
            return self._begin(asked, eap)
        conversation = self._conversations.find(state, now=self._monotonic())
        if conversation is None or conversation.client.label != asked.origin.client.label:
            return self._reject(asked, eap)
        if conversation.busy:
            return self._drop(Dropped.IN_PROGRESS)
        if not _is_about(conversation, asked):
            self._end(
                conversation, AccessVerdict.FAILED, detail="the request is about another station, user or access server"
            )
            return self._reject(asked, eap)
        return self._go_on(conversation, asked, eap)

    # --- beginning

    def _begin(self, asked: Asked, eap: bytes) -> Answer:
        if not eap:
            # RFC 3579 section 2.1: EAP-Start. Nothing is kept of it: the peer's Identity begins the conversation.
            identity = EapPacket.request(0, EapType.IDENTITY).to_wire()
            return asked.answer_eap(RadiusCode.ACCESS_CHALLENGE, identity)
        try:
            packet = EapPacket.from_wire(eap)
        except Malformed:
            return self._drop(Dropped.MALFORMED)
        if packet.code is not EapCode.RESPONSE or packet.type != EapType.IDENTITY:
            return self._reject(asked, eap)
        try:
            nas = NasFacts.of(asked.request)
        except Malformed:
            return self._drop(Dropped.MALFORMED)
        realm = _realm(packet.data)
        network = self._networks.matching(
            client=asked.origin.client.label, ssid=nas.ssid, nas_identifier=nas.nas_identifier, realm=realm
        )
        if network is None:
            self._tell_unmatched(asked, nas, packet.data)
            return self._reject(asked, eap)
        conversation = self._opened(asked, network, nas)
        self._make_room(conversation)
        return self._go_on(conversation, asked, eap)

    def _opened(self, asked: Asked, network: RadiusNetwork, nas: NasFacts) -> Conversation:
        client = asked.origin.client
        source = f"{client.label} {nas.nas_identifier or nas.nas_address or asked.origin.address}"
        station = nas.calling_station or ""
        return Conversation(
            eap=EapServer(
                partial(served_eap_tls, network.context, source=f"{station or 'unknown station'} @ {source}"),
                fragment_octets=self._fragment_octets(nas),
            ),
            network=network,
            state=self._marked(self._entropy(_STATE_OCTETS)),
            client=client,
            owner=client.label,
            unchanging=asked.request.firsts(_UNCHANGING),
            nas=nas,
            source=source,
            station=station,
            began=self._monotonic(),
        )

    def _fragment_octets(self, nas: NasFacts) -> int:
        """RFC 3579 section 2.4: what the NAS says its link carries bounds our packets as well."""
        mtu = nas.framed_mtu
        return self.fragment_octets if mtu is None else max(EAP_FRAGMENT_OCTETS.minimum, min(self.fragment_octets, mtu))

    def _make_room(self, conversation: Conversation) -> None:
        self.expire()
        gone = self._conversations.add(conversation.state, conversation, now=self._monotonic())
        # Counted and not told: whoever makes them by the thousand must not write the log.
        self._counters.gave_way += len(gone)

    def expire(self) -> None:
        """End the conversations whose time is over."""
        for gone in self._conversations.expired(now=self._monotonic()):
            self._counters.expired += 1
            self._conclude(gone, AccessVerdict.ABANDONED, detail="the client stopped")

    # --- going on

    def _go_on(self, conversation: Conversation, asked: Asked, eap: bytes) -> Answer:
        # RFC 4072 section 4.1: the Session-Id is told to access servers that ask for it.
        with_session_id = asked.request.first(_EAP_KEY_NAME) is not None
        receive = partial(conversation.eap.receive, eap, with_session_id=with_session_id)
        if conversation.network.context.signs_elsewhere:
            conversation.busy = True
            return self._receive_elsewhere(conversation, asked, receive)
        return self._follow(conversation, asked, receive())

    async def _receive_elsewhere(
        self, conversation: Conversation, asked: Asked, receive: Callable[[], Outcome]
    ) -> bytes | None:
        """The server's signature may take a token's time: not on the event loop."""
        outcome = await asyncio.get_running_loop().run_in_executor(None, receive)
        # Not when this is cancelled: the thread goes on, and one call at a time is what the conversation bears.
        conversation.busy = False
        answer = self._follow(conversation, asked, outcome)
        return await answer if asyncio.iscoroutine(answer) else answer

    def _follow(self, conversation: Conversation, asked: Asked, outcome: Outcome) -> Answer:
        if isinstance(outcome, Judge):
            conversation.claim = outcome.claim
            verdict = verdict_at_hand(conversation.network.authenticator, outcome.claim)
            if verdict is None:
                conversation.busy = True
                return self._judge(conversation, asked, outcome.claim)
            outcome = self._settled(conversation, asked, verdict)
        return self._answer(conversation, asked, outcome)

    async def _judge(self, conversation: Conversation, asked: Asked, claim: Claim) -> bytes | None:
        try:
            verdict = await awaited_verdict(conversation.network.authenticator, claim)
            outcome = self._settled(conversation, asked, verdict)
        finally:
            conversation.busy = False
        return self._answer(conversation, asked, outcome)

    def _settled(self, conversation: Conversation, asked: Asked, verdict: Verdict) -> Outcome:
        """What the verdict leads to. Grants that RADIUS cannot say are found before the peer is told that it is in."""
        reason = ""
        if isinstance(verdict, VerifiedPeer):
            try:
                conversation.acceptance = self._acceptor.prepare(conversation.network.rule, asked.origin, verdict)
            except DnsboundError as error:
                _log.error("network %s, %s: %s", conversation.network.label, verdict.name, error)
                verdict, reason = Refused(Reason.NOT_PERMITTED, str(error)), GRANTS_UNUSABLE
        if not isinstance(verdict, VerifiedPeer):
            kind, word = verdict_of(verdict)
            self._conclude(conversation, kind, reason=reason or word, detail=verdict.detail)
        return conversation.eap.settle(verdict)

    def _answer(self, conversation: Conversation, asked: Asked, outcome: Outcome) -> bytes | None:
        if isinstance(outcome, Reply):
            if (failure := conversation.eap.verdict) is not None:
                # An alert, which not every peer answers.
                kind, word = verdict_of(failure)
                self._conclude(conversation, kind, reason=word, detail=str(failure))
            return asked.answer_eap(RadiusCode.ACCESS_CHALLENGE, outcome.eap, ((_STATE, conversation.state),))
        if isinstance(outcome, Accepted):
            return self._accept(conversation, asked, outcome)
        if isinstance(outcome, Rejected):
            kind, word = verdict_of(outcome.verdict)
            self._end(conversation, kind, reason=word, detail=str(outcome.verdict))
            return asked.answer_eap(RadiusCode.ACCESS_REJECT, outcome.eap)
        assert isinstance(outcome, Ignored)
        return self._drop(Dropped.NOT_EXPECTED)

    def _accept(self, conversation: Conversation, asked: Asked, accepted: Accepted) -> bytes:
        assert conversation.acceptance is not None
        assert conversation.claim is not None
        label = conversation.network.label
        try:
            answer = self._acceptor.accept(conversation.acceptance, accepted, asked, conversation.claim, network=label)
        except DnsboundError as error:
            # Nobody could end the session, the answer has no room, or the NAS says nonsense of itself: it is safer not
            # to begin one.
            _log.error("network %s, %s: %s", label, accepted.peer.name, error)
            reason = error.limit if isinstance(error, LimitExceeded) else ""
            self._end(conversation, AccessVerdict.UNDECIDED, reason=reason, detail=str(error))
            failure = EapPacket(code=EapCode.FAILURE, identifier=EapPacket.from_wire(accepted.eap).identifier)
            return asked.answer_eap(RadiusCode.ACCESS_REJECT, failure.to_wire())
        self._end(
            conversation,
            AccessVerdict.ADMITTED,
            name=accepted.peer.name.canonical,
            session_timeout=conversation.acceptance.session_timeout,
            reply=answer.names,
        )
        return answer.octets

    # --- ends

    def _reject(self, asked: Asked, eap: bytes) -> bytes | None:
        """EAP-Failure to a response that nothing of ours had asked for."""
        try:
            packet = EapPacket.from_wire(eap)
        except Malformed:
            return self._drop(Dropped.MALFORMED)
        failure = EapPacket(code=EapCode.FAILURE, identifier=packet.identifier).to_wire()
        return asked.answer_eap(RadiusCode.ACCESS_REJECT, failure)

    def _drop(self, why: Dropped) -> bytes | None:
        self._counters.dropped[why.value] += 1
        return None

    def _end(self, conversation: Conversation, verdict: AccessVerdict, **said: Any) -> None:  # noqa: ANN401 (fields of AccessEvent)
        self._conversations.remove(conversation.state)
        self._conclude(conversation, verdict, **said)

    def _conclude(self, conversation: Conversation, verdict: AccessVerdict, **said: Any) -> None:  # noqa: ANN401 (as above)
        """Tell what became of a conversation, once: a refusal is known before its alert was answered."""
        if conversation.concluded:
            return
        conversation.concluded = True
        nas, eap = conversation.nas, conversation.eap
        self._tell(
            AccessEvent(
                at=self._clock(),
                verdict=verdict,
                network=conversation.network.label,
                client=conversation.client.label,
                identity=read_text(eap.identity),
                nas=nas.label,
                ssid=nas.ssid or "",
                calling_station=nas.calling_station or "",
                tls_version=eap.tls_version,
                resumed=eap.resumed,
                round_trips=eap.round_trips,
                seconds=self._monotonic() - conversation.began,
                **said,
            )
        )

    def _tell_unmatched(self, asked: Asked, nas: NasFacts, identity: bytes) -> None:
        """All are counted and a few are written: it costs a station nothing to make thousands, each with an identity of
        its own, so what is told apart is what the access server says."""
        client = asked.origin.client.label
        more = self.unmatched.due(f"{client} {nas.ssid or ''}")
        event = AccessEvent(
            at=self._clock(),
            verdict=AccessVerdict.REFUSED,
            reason=NO_NETWORK,
            network="",
            client=client,
            detail=f"and {more} more since the last such line" if more else "",
            identity=read_text(identity),
            nas=nas.label,
            ssid=nas.ssid or "",
            calling_station=nas.calling_station or "",
        )
        self._tell(event, written=more is not None)

    def _tell(self, event: AccessEvent, *, written: bool = True) -> None:
        self._counters.concluded(event)
        if written:
            write_audit(event)
        if self._on_event is not None:
            self._on_event(event)


def _is_about(conversation: Conversation, asked: Asked) -> bool:
    """User-Name, the station and the NAS are the same in all requests of a conversation (RFC 3579 section 2.1)."""
    return asked.request.firsts(_UNCHANGING) == conversation.unchanging


@lru_cache(_REALMS)
def _realm(identity: bytes) -> str:
    """For choosing a network; an identity that is no NAI has none. Devices that keep their names to themselves
    (RFC 9190 section 2.1.8) say the same as others of their organisation."""
    try:
        return Nai.parse(identity).routing_realm
    except Malformed:
        return ""
