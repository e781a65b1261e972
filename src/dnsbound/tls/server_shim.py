"""The shim of a server: between the end of the handshake and the first application octet stands a verdict.

When TLS is complete (possession is then proved) the shim holds a claim, `pending_claim`, and `do_handshake` keeps
raising SSLWantReadError until `admit` or `refuse` is called. Nothing is read or written for the application and no
ticket is sent before; in TLS 1.2 the server's last flight waits as well, so that a refused client's handshake fails. A
blocking server gives `judge`, which is asked on the spot. Every refusal is the same alert, handshake_failure, but for
what profile ca10 answers otherwise; the exact reason stays here. draft-ietf-dance-client-auth sections 8.2 and 12;
CA-12, CA-13, CA-25, CA-30 to CA-32, LEG-04.

The verdict itself is made by the engine (`dnsbound.verify.engine`); this module only waits for it and acts on it.
"""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from dnsbound._native import Connection, TlsError
from dnsbound.dns.answer import Provenance
from dnsbound.errors import LimitExceeded, Malformed, Reason, Refused, Undecided
from dnsbound.iana import TLS_1_3, AlertDescription
from dnsbound.limits import EARLY_OCTETS
from dnsbound.tls.clientid import alert_for
from dnsbound.tls.errors import (
    TLSMisuse,
    TLSRefused,
    TLSUndecided,
    TLSUnexpectedEOF,
    handshake_error,
    verdict_error,
    want_read,
)
from dnsbound.tls.handshake_claim import NO_CLAIM, ClaimRules, claim_of, spoken_profile
from dnsbound.tls.post_handshake import LateStage, PostHandshake
from dnsbound.tls.shim import Shim
from dnsbound.tls.ticket import MAX_TICKET_OCTETS, TicketClaim
from dnsbound.tls.transport import Transport
from dnsbound.verify.claim import Claim, NameSource, Proved
from dnsbound.verify.peer import VerifiedPeer


class Stage(StrEnum):
    """Where a server's connection stands."""

    HANDSHAKE = "handshake"
    JUDGING = "judging"
    OPEN = "open"
    REFUSED = "refused"


TRANSITIONS: Final[Mapping[Stage, frozenset[Stage]]] = MappingProxyType(
    {
        Stage.HANDSHAKE: frozenset({Stage.JUDGING, Stage.OPEN, Stage.REFUSED}),
        Stage.JUDGING: frozenset({Stage.OPEN, Stage.REFUSED}),
        Stage.OPEN: frozenset({Stage.REFUSED}),
        Stage.REFUSED: frozenset(),
    }
)
"""HANDSHAKE leads to OPEN at a server without a door, and at an `optional` door without a claim; OPEN to REFUSED when
the name of a client that is in is no longer good."""


class Policy(StrEnum):
    """What a door asks of a client."""

    REQUIRED = "required"
    """No claim, no entry."""
    OPTIONAL = "optional"
    """No claim is unauthenticated, and visible as such; a failed or undecided claim is refused."""


class Authentication(StrEnum):
    """What is known of the client on the other end."""

    PENDING = "pending"
    UNAUTHENTICATED = "unauthenticated"
    """It claimed nothing, and the door's policy is `optional`; or this server has no door."""
    VERIFIED = "verified"
    REFUSED = "refused"


Judge = Callable[[Claim], VerifiedPeer]
"""Returns the peer, or raises Refused or Undecided; may block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """What a server's Context tells each of its connections."""

    rules: ClaimRules
    policy: Policy
    ticket_lifetime: int = 0
    """Seconds; 0 sends none."""
    post_handshake: bool = False
    """Clients may be asked after the handshake."""


class ServerShim(Shim):
    """One connection in the role of a server. door: None for an ordinary server. judge: asked by `do_handshake`
    itself, for blocking servers; None leaves the verdict to whoever calls `admit` or `refuse`.
    source: who the client is to budgets and logs, such as its address. turned_away: told of a
    refusal without a claim, which no judge hears of. chain_verified: clients' certificates lead to
    trust anchors of this server (without a door)."""

    server_side = True

    def __init__(
        self,
        connection: Connection,
        transport: Transport,
        *,
        door: Door | None,
        judge: Judge | None = None,
        source: str = "",
        turned_away: Callable[[Refused, str], None] | None = None,
        chain_verified: bool = False,
        **shared: Any,  # noqa: ANN401 (Shim's own)
    ) -> None:
        super().__init__(connection, transport, **shared)
        self.source = source
        self._door = door
        self._late: PostHandshake | None = None
        self._kept = bytearray()
        """Application data that came before the answer to a late request."""
        self._turned_away = turned_away
        self._chain_verified = chain_verified
        self._judge = judge
        self._stage = Stage.HANDSHAKE
        self._claim: Claim | None = None
        self._peer: VerifiedPeer | None = None
        self._verdict: Refused | Undecided | None = None

    def do_handshake(self) -> None:
        """As `Shim.do_handshake`; raises TLSRefused or TLSUndecided when the client is not let in."""
        if self._open:
            return
        if self._stage is Stage.HANDSHAKE:
            self._shake_hands()
            self._begin_judging()
        if self._stage is Stage.JUDGING:
            if self._judge is None:
                raise want_read()
            self._ask(self._judge)
        if self._verdict is not None:
            self._send_what_is_left()
            raise verdict_error(self._verdict)
        self._transport.flush(self._connection, self._transport.begin())
        self._open = True

    def _begin_judging(self) -> None:
        door = self._door
        if door is None:
            self._become(Stage.OPEN)
            return
        try:
            self._claim = claim_of(self._connection, door.rules, source=self.source)
        except Refused as refusal:
            if door.policy is Policy.OPTIONAL and refusal.reason in NO_CLAIM:
                self._become(Stage.OPEN)
                return
            self._shut_out(refusal)
            if self._turned_away is not None:
                self._turned_away(refusal, self.source)
            return
        self._become(Stage.JUDGING)

    def _ask(self, judge: Judge) -> None:
        claim = self._claim
        assert claim is not None
        try:
            peer = judge(claim)
        except (Refused, Undecided) as verdict:
            self.refuse(verdict)
        except BaseException:
            # The judge itself failed: the client waits for a word, and may get only one.
            self.refuse(Undecided(Reason.DNS_FAILED, "the authenticator failed"))
            self._send_what_is_left()
            raise
        else:
            self.admit(peer)

    def _become(self, stage: Stage) -> None:
        if stage not in TRANSITIONS[self._stage]:
            raise TLSMisuse(f"a connection in stage {self._stage.value} cannot become {stage.value}")
        if stage is Stage.OPEN:
            self._connection.release_flight()
        self._stage = stage

    # --- the verdict

    @property
    def pending_claim(self) -> Claim | None:
        """What waits to be judged; None before the handshake ends and after the verdict."""
        return self._claim if self._stage is Stage.JUDGING else None

    @property
    def claim(self) -> Claim | None:
        """What was or is to be judged; None for a client that made no claim."""
        return self._claim

    def admit(self, peer: VerifiedPeer) -> None:
        """Let the client in. peer: the evidence for this very claim. Sends a ticket when the door has them."""
        claim = self.pending_claim
        if claim is None:
            raise TLSMisuse("there is no claim to admit")
        if (peer.name, peer.door) != (claim.name, claim.door):
            raise TLSMisuse(f"evidence for {peer.name} at {peer.door} cannot admit {claim.name} at {claim.door}")
        self._become(Stage.OPEN)
        self._peer = peer
        self._send_ticket(claim, peer)

    def _send_ticket(self, claim: Claim, peer: VerifiedPeer) -> None:
        """CA-32: a ticket never outlives the evidence or the certificates; and the claim in it is judged again on
        resumption. All tickets that descend from one full handshake end within one ticket's lifetime of it."""
        assert self._door is not None
        ends = claim.possession.until if isinstance(claim.possession, Proved) else None
        if ends is None:
            ends = peer.verified_at + self._door.ticket_lifetime
        last = min(ends, peer.valid_until, math.inf if peer.chain_expires is None else peer.chain_expires)
        lifetime = min(self._door.ticket_lifetime, int(last - peer.verified_at))
        if lifetime <= 0 or self._connection.version() != TLS_1_3 or peer.provenance is Provenance.CARRIED:
            return  # A resumption carries no chain, and a door that takes one may be offline.
        sealed = _sealed(claim, peer, int(ends))
        if sealed is None:
            return
        try:
            self._connection.send_ticket(lifetime, sealed)
        except TlsError as error:
            raise handshake_error(error) from error.__cause__

    def refuse(self, verdict: Refused | Undecided) -> None:
        """Send the one alert of all refusals; `do_handshake` then raises the reason."""
        if self._stage is not Stage.JUDGING:
            raise TLSMisuse("there is no claim to refuse")
        self._shut_out(verdict)

    def cut(self, verdict: Refused | Undecided) -> None:
        """The name of this admitted client is no longer good: nothing more is delivered or written, what has arrived
        already included, and `verified_peer` raises why. Nothing is sent. From any thread."""
        if self._stage is Stage.OPEN:
            self._verdict = verdict
            self._become(Stage.REFUSED)
            self._open = False

    def read_arrived(self, size: int) -> bytes | None:
        """As `Shim.read_arrived`; a verdict that ended the connection meanwhile counts above whatever else happened."""
        if self._kept and self._verdict is None:
            kept = bytes(self._kept[:size])
            del self._kept[:size]
            return kept
        try:
            data = super().read_arrived(size)
        except OSError:
            if self._verdict is None:
                raise
        else:
            if self._door is None and self._late is not None and self._late.stage is LateStage.JUDGING:
                # OpenSSL has verified it as this Context says; there is nobody else to ask.
                self._late.settle(accept=True)
            if self._verdict is None:
                return data
        raise verdict_error(self._verdict)

    # --- after the handshake

    @property
    def late(self) -> PostHandshake:
        """Authentication after the handshake, on a connection that is open; raises why it was cut, once it was."""
        if self._verdict is not None:
            raise verdict_error(self._verdict)
        if not self._open:
            raise TLSMisuse("a client is asked late once its connection is open")
        if self._late is None:
            door = self._door
            allowed = self._context.post_handshake_auth if door is None else door.post_handshake
            self._late = PostHandshake(self._connection, allowed=allowed, rules=None if door is None else door.rules)
        return self._late

    def ask_late(self) -> None:
        """Ask the client for a certificate; raises as `PostHandshake.ask`. The answer arrives while reading."""
        self.late.ask()
        self._flush_beside_a_writer(self._transport.begin())

    def read_for_answer(self) -> bool:
        """Read on to the answer to `ask_late`, a little at a time; what comes before it is kept for reading. True once
        the answer is here. Raises SSLWantReadError where no more has arrived, LimitExceeded when the client sends on
        and does not answer, TLSUnexpectedEOF when it has ended its side."""
        until = self._transport.begin()
        while self.late.stage is LateStage.ASKED:
            if len(self._kept) >= EARLY_OCTETS.default:
                raise LimitExceeded(EARLY_OCTETS.name, "application data before the answer to a late request")
            data = self._decrypt(EARLY_OCTETS.default)
            if data:
                self._kept += data
                return self.late.stage is not LateStage.ASKED
            if data is not None:
                raise TLSUnexpectedEOF
            self._flush_beside_a_writer(until)
            if self.late.stage is LateStage.ASKED:
                self._await_ciphertext(until)
        return True

    def pending(self) -> int:
        return len(self._kept) + super().pending()

    def late_claim(self) -> Claim:
        """What the answer claims; raises as `PostHandshake.claim`."""
        return self.late.claim(source=self.source, protocol=self.version() or "")

    def admit_late(self, claim: Claim, peer: VerifiedPeer) -> None:
        """From now on the client is this peer. peer: the evidence for this very claim."""
        if (peer.name, peer.door) != (claim.name, claim.door):
            raise TLSMisuse(f"evidence for {peer.name} at {peer.door} cannot admit {claim.name} at {claim.door}")
        self.late.settle(accept=True)
        self._claim, self._peer = claim, peer

    def refuse_late(self, verdict: Refused | Undecided) -> None:
        """End the connection with the one alert of all refusals; `verified_peer` and reading raise the reason. Raises
        the verdict that has ended it meanwhile: the first one stands."""
        if self._verdict is not None:
            raise verdict_error(self._verdict)
        if self._stage is not Stage.OPEN:
            raise TLSMisuse("the connection is not open")
        self._shut_out(verdict)
        self._open = False

    def verify_client_post_handshake(self) -> None:
        """As in `ssl`: ask; the answer arrives while reading. At a door, `authenticate_client` of its transport or
        socket asks and judges."""
        self.ask_late()

    def _shut_out(self, verdict: Refused | Undecided) -> None:
        self._become(Stage.REFUSED)
        # Its traceback leads to whoever judged, and often back to this object: a ring that only the collector opens.
        self._verdict = verdict.with_traceback(None)
        try:
            self._connection.send_alert(self._alert_for(verdict))
        except TlsError:
            # An engine without this capability: the connection is closed without a word. `doctor` shows it.
            return
        self._send_what_is_left()

    def _alert_for(self, verdict: Refused | Undecided) -> AlertDescription:
        profile = None if self._door is None else spoken_profile(self._connection, self._door.rules)
        return alert_for(profile, verdict.reason)

    # --- facts

    @property
    def name_sources(self) -> Collection[NameSource]:
        """Where the door takes names from; everywhere without a door."""
        return (NameSource.EXTENSION, NameSource.SAN) if self._door is None else self._door.rules.name_sources

    def _contents_vouched_for(self) -> bool:
        return self._chain_verified

    def verified_peer(self) -> VerifiedPeer | None:
        """The evidence; None only for a client that claimed nothing where that is allowed. Raises before a verdict,
        and the refusal after one."""
        if self._verdict is not None:
            raise verdict_error(self._verdict)
        if self._stage is not Stage.OPEN:
            raise TLSMisuse("verified_peer() was asked before the verdict")
        return self._peer

    @property
    def authentication(self) -> Authentication:
        if self._stage is Stage.REFUSED:
            return Authentication.REFUSED
        if self._peer is not None:
            return Authentication.VERIFIED
        return Authentication.UNAUTHENTICATED if self._stage is Stage.OPEN else Authentication.PENDING

    @property
    def verdict(self) -> TLSRefused | TLSUndecided | None:
        """Why the client was not let in, or was cut, once that is so."""
        return None if self._verdict is None else verdict_error(self._verdict)


def _sealed(claim: Claim, peer: VerifiedPeer, ends: int) -> bytes | None:
    """What goes into the client's ticket; None for a client that cannot have one."""
    try:
        said = TicketClaim.of(
            claim.presented,
            door=claim.door,
            name=claim.name,
            name_source=claim.name_source,
            ends=ends,
            record=peer.record,
            chain_expires=peer.chain_expires,
        )
    except Malformed:  # usage 3 admits a certificate of which nothing parses, and a raw key in any form
        return None
    sealed = said.to_wire()
    leaf = claim.presented.chain[0] if claim.presented.chain else b""
    return sealed if len(leaf) + len(sealed) <= MAX_TICKET_OCTETS else None
