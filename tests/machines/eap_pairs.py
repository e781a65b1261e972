"""An EAP-TLS conversation carried in memory: server and peer of ours, and a door whose verdict the test gives.

Every packet is kept, so that a test can look at it, repeat it or put another one in its place.
"""

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dnsbound.credential.credential import Credential
from dnsbound.edge.context import Context
from dnsbound.edge.eap_connection import opened_eap_tls, served_eap_tls
from dnsbound.errors import Refused, Undecided
from dnsbound.protocols.eap import EapPacket
from dnsbound.protocols.eap_peer import EapPeer, PeerDone, PeerFailed, PeerOutcome, PeerReply
from dnsbound.protocols.eap_server import Accepted, EapServer, Judge, Outcome, Rejected, Reply
from dnsbound.protocols.eap_tls_framing import TlsFragment
from dnsbound.tls.session import Session
from dnsbound.verify.claim import Claim
from dnsbound.verify.peer import VerifiedPeer
from machines.native_pairs import SERVER, authority
from machines.shim_pairs import client, credential, door, evidence

SOURCE = "02-00-00-00-00-54"
BOTH = ("ca13", "cid07")
IDENTITY = b"@cars.example"
VERSIONS = ("TLSv1.3", "TLSv1.2")


def network(**options: Any) -> Context:
    """A door that speaks both versions of TLS."""
    return door(**{"profiles": BOTH, **options})


def supplicant(own: Credential | None = None, *, version: str = "TLSv1.3", **options: Any) -> Context:
    """Our own client, which says its name in either version."""
    if version == "TLSv1.3":
        return client(credential() if own is None else own, **options)
    context = Context.client(
        credential() if own is None else own, profiles=["cid07"], clear_name_to=[SERVER], **options
    )
    context.load_verify_locations(cadata=authority().chain[0])
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


@dataclass
class Conversation:
    """One of each, and what they said. judge: gives the verdict, or raises it."""

    near: Context
    far: Context
    judge: Callable[[Claim], VerifiedPeer] = evidence
    identity: bytes = IDENTITY
    host: str = SERVER
    session: Session | None = None
    fragment_octets: int | None = None
    options: dict[str, Any] = field(default_factory=dict)
    """Of both ends."""
    claims: list[Claim] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)
    responses: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        shared = {"fragment_octets": self.fragment_octets, **self.options}
        self.server = EapServer(lambda: served_eap_tls(self.far, source=SOURCE), **shared)
        self.peer = EapPeer(self.identity, lambda: opened_eap_tls(self.near, self.host, session=self.session), **shared)

    def settled(self, outcome: Outcome) -> Outcome:
        """The outcome, with the verdict given where one is awaited."""
        if not isinstance(outcome, Judge):
            return outcome
        self.claims.append(outcome.claim)
        try:
            verdict: VerifiedPeer | Refused | Undecided = self.judge(outcome.claim)
        except (Refused, Undecided) as error:
            verdict = error
        return self.server.settle(verdict)

    def run(self, *, until: Callable[["Conversation"], bool] | None = None) -> tuple[Outcome, PeerOutcome | None]:
        """Carry packets until one of them has nothing to send; the last outcome of each. until: stop before the peer
        hears the last request."""
        outcome: Outcome = self.server.begin()
        while True:
            assert isinstance(outcome, Reply | Accepted | Rejected), outcome
            self.requests.append(outcome.eap)
            if until is not None and until(self):
                return outcome, None
            heard = self.peer.receive(outcome.eap)
            if not isinstance(heard, PeerReply):
                return outcome, heard
            self.responses.append(heard.eap)
            outcome = self.settled(self.server.receive(heard.eap))

    def judging(self) -> Claim:
        """Carry packets up to the verdict; the claim that waits for it."""
        outcome: Outcome = self.server.begin()
        while not isinstance(outcome, Judge):
            assert isinstance(outcome, Reply), outcome
            heard = self.peer.receive(outcome.eap)
            assert isinstance(heard, PeerReply), heard
            outcome = self.server.receive(heard.eap)
        return outcome.claim

    def accepted(self) -> tuple[Accepted, PeerDone]:
        outcome, heard = self.run()
        assert isinstance(outcome, Accepted), outcome
        assert isinstance(heard, PeerDone), heard
        return outcome, heard

    def rejected(self) -> tuple[Rejected, PeerFailed]:
        outcome, heard = self.run()
        assert isinstance(outcome, Rejected), outcome
        assert isinstance(heard, PeerFailed), heard
        return outcome, heard


def tls_of(eap: bytes) -> TlsFragment:
    """What an EAP-TLS packet holds."""
    return TlsFragment.from_wire(EapPacket.from_wire(eap).data)
