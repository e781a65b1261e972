"""One EAP-TLS authentication by RADIUS, as an access point would carry it and a device would speak it: for health
checks, demos and load.

    trial = await try_eap(asker, EapPeer(identity, tls.open), nas=AsNas(ssid="public"), identity=identity)

It is access point and device in one: there is no link behind it. What came of it, how long each step took, what was
granted and whether the keys the access point is given are those the device has, is a `Trial`. Nothing is raised for
what a server says or fails to say. Attributes: RFC 3580 section 3; order of things: RFC 3579 section 2.
"""

import hmac
import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from dnsbound.edge.radius_client import RadiusAsker
from dnsbound.edge.radius_pending import Answered
from dnsbound.errors import DnsboundError, Refused, Undecided
from dnsbound.iana import EapCode, EapType, RadiusAttribute, RadiusCode
from dnsbound.limits import EAP_ROUND_TRIPS
from dnsbound.protocols.eap import EapPacket
from dnsbound.protocols.eap_peer import EapPeer, PeerDone, PeerFailed, PeerIgnored, PeerOutcome, PeerReply
from dnsbound.protocols.radius import RadiusPacket, split_eap_message
from dnsbound.protocols.radius_attributes import Attributes
from dnsbound.protocols.radius_keys import read_mppe_keys
from dnsbound.times import Seconds
from dnsbound.tls.errors import TLSCertificateRefused

IEEE_802_11: Final = 19
"""NAS-Port-Type of wireless (RFC 3580 section 3.14)."""
FRAMED: Final = 2
"""Service-Type (RFC 3580 section 3.1)."""
FRAMED_MTU: Final = 1400
"""RFC 3579 section 2.4: how large the EAP packets of a server may be."""


class TrialVerdict(StrEnum):
    """The ways a trial ends."""

    ADMITTED = "admitted"
    REFUSED = "refused"
    """The server said no."""
    NOT_BELIEVED = "not-believed"
    """This end did not accept the server's certificate."""
    UNDECIDED = "undecided"
    """This end could not find out whether to believe the server."""
    NO_ANSWER = "no-answer"
    BROKEN = "broken"
    """The server did not keep to a protocol: `why` says to which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AsNas:
    """What the trial says of the access point it stands for. Empty texts say nothing."""

    nas_identifier: str = "dnsbound"
    ssid: str = ""
    bssid: str = "02-00-00-00-00-01"
    calling_station: str = "02-00-00-00-00-02"

    def attributes(self, identity: bytes) -> Attributes:
        """Of each Access-Request, EAP-Message and State apart. identity: what the peer says in clear."""
        called = f"{self.bssid}:{self.ssid}" if self.ssid else self.bssid
        texts = (
            (RadiusAttribute.USER_NAME, identity),
            (RadiusAttribute.NAS_IDENTIFIER, self.nas_identifier.encode()),
            (RadiusAttribute.CALLED_STATION_ID, called.encode()),
            (RadiusAttribute.CALLING_STATION_ID, self.calling_station.encode()),
        )
        numbers = (
            (RadiusAttribute.NAS_PORT_TYPE, IEEE_802_11),
            (RadiusAttribute.SERVICE_TYPE, FRAMED),
            (RadiusAttribute.FRAMED_MTU, FRAMED_MTU),
        )
        said = tuple((int(number), value) for number, value in texts if value)
        return said + tuple((int(number), value.to_bytes(4, "big")) for number, value in numbers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One round trip. said: what the access point sent, in a word; sent: how often."""

    said: str
    answer: str
    seconds: Seconds
    sent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of it."""

    verdict: TrialVerdict
    why: str = ""
    """Words for people; empty when admitted."""
    done: PeerDone | None = None
    """What TLS made of it, where it came so far."""
    keys_match: bool | None = None
    """The keys for the access point are the peer's MSK; None where none came."""
    steps: tuple[Step, ...] = ()
    seconds: Seconds = 0.0
    """From the first request to the last answer, computing included."""
    attributes: Attributes = field(default=(), repr=False)
    """Those of the last answer."""

    @property
    def round_trips(self) -> int:
        return len(self.steps)


async def try_eap(asker: RadiusAsker, peer: EapPeer, *, nas: AsNas, identity: bytes) -> Trial:
    """Try to get in once. identity: what the peer was made with. Misuse alone is raised."""
    trial = _Trial(asker, peer, nas.attributes(identity))
    started = time.monotonic()
    try:
        verdict, why = await trial.run()
    except OSError as error:
        verdict, why = TrialVerdict.NO_ANSWER, str(error) or type(error).__name__
    return Trial(
        verdict=verdict,
        why=why,
        done=trial.done,
        keys_match=trial.keys_match,
        steps=tuple(trial.steps),
        seconds=time.monotonic() - started,
        attributes=trial.last,
    )


class _Trial:
    def __init__(self, asker: RadiusAsker, peer: EapPeer, attributes: Attributes) -> None:
        self.steps: list[Step] = []
        self.done: PeerDone | None = None
        self.keys_match: bool | None = None
        self.last: Attributes = ()
        self._asker = asker
        self._peer = peer
        self._attributes = attributes
        self._failed: DnsboundError | None = None

    async def run(self) -> tuple[TrialVerdict, str]:
        """The access point's own question comes first (RFC 3579 section 2.1)."""
        outcome: PeerOutcome | None = self._peer.receive(
            EapPacket(code=EapCode.REQUEST, identifier=0, type=EapType.IDENTITY).to_wire()
        )
        state: Attributes = ()
        said = "identity"
        for _ in range(EAP_ROUND_TRIPS.default):
            if isinstance(outcome, PeerIgnored):
                return TrialVerdict.BROKEN, f"the server's EAP packet makes no sense: {outcome.why}"
            if not isinstance(outcome, PeerReply):
                return TrialVerdict.BROKEN, "EAP ended and RADIUS goes on"
            packet = await self._ask(said, outcome.eap, state)
            eap = packet.eap_message
            outcome = None if eap is None else self._peer.receive(eap)
            if packet.code is not RadiusCode.ACCESS_CHALLENGE:
                return self._ended(packet, outcome)
            if isinstance(outcome, PeerFailed):
                return self._without(outcome.reason, otherwise=TrialVerdict.BROKEN)
            state = tuple((int(RadiusAttribute.STATE), value) for value in packet.all(RadiusAttribute.STATE))
            said = "eap-tls"
        return TrialVerdict.BROKEN, f"it has not ended after {EAP_ROUND_TRIPS.default} round trips"

    async def _ask(self, said: str, eap: bytes, state: Attributes) -> RadiusPacket:
        asked = (*self._attributes, *split_eap_message(eap), *state)
        answered = await self._asker.ask(RadiusCode.ACCESS_REQUEST, asked)
        packet = answered.packet
        self.steps.append(
            Step(
                said=said,
                answer=packet.code.name.lower().replace("_", "-"),
                seconds=answered.seconds,
                sent=answered.sent,
            )
        )
        self.last = packet.attributes
        self._answered = answered
        return packet

    def _ended(self, packet: RadiusPacket, outcome: PeerOutcome | None) -> tuple[TrialVerdict, str]:
        """Access-Accept or Access-Reject (RFC 3579 section 2.2: what EAP says must not contradict it)."""
        if packet.code is RadiusCode.ACCESS_ACCEPT:
            return self._accepted(outcome)
        if isinstance(outcome, PeerFailed):
            return self._without(outcome.reason, otherwise=TrialVerdict.REFUSED)
        if isinstance(outcome, PeerDone):
            return TrialVerdict.BROKEN, "RADIUS says no and EAP says yes"
        return TrialVerdict.REFUSED, "Access-Reject without an EAP-Failure"

    def _accepted(self, outcome: PeerOutcome | None) -> tuple[TrialVerdict, str]:
        if not isinstance(outcome, PeerDone):
            why = f": {outcome.reason}" if isinstance(outcome, PeerFailed) else ""
            return TrialVerdict.BROKEN, f"RADIUS says yes and EAP has not said so{why}"
        self.done = outcome
        self.keys_match = keys_match(self._answered, self._asker.secret, outcome)
        if self.keys_match is False:
            return TrialVerdict.BROKEN, "the access point got other keys than the device has"
        return TrialVerdict.ADMITTED, ""

    def _without(self, reason: DnsboundError, *, otherwise: TrialVerdict) -> tuple[TrialVerdict, str]:
        """Not in; otherwise: where the reason itself does not say by whose word."""
        if getattr(reason, "alert_received", None) is not None:
            return TrialVerdict.REFUSED, f"the server refused: {reason}"
        if isinstance(reason, TLSCertificateRefused | Refused):
            return TrialVerdict.NOT_BELIEVED, str(reason)
        if isinstance(reason, Undecided):
            return TrialVerdict.UNDECIDED, str(reason)
        return otherwise, str(reason)


def keys_match(answered: Answered, secret: bytes, done: PeerDone) -> bool | None:
    """Whether the keys an access point reads from the answer (RFC 2548 section 2.4) are the device's own; None where
    there are none."""
    try:
        found = read_mppe_keys(answered.packet.attributes, answered.request_authenticator, secret)
    except DnsboundError:
        return False
    if found is None:
        return None
    return hmac.compare_digest(found.recv + found.send, done.keys.msk)
