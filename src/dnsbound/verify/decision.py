"""Decision events: one value for each verdict, which log, metrics and `who` read alike. Never sent to a peer."""

from enum import StrEnum
from typing import Any, Final

from dnsbound.errors import Reason, Refused, Undecided
from dnsbound.hot_value import hot_value
from dnsbound.times import Moment, Seconds, iso
from dnsbound.verify.claim import Absent, Asserted, Claim, Possession, Signed
from dnsbound.verify.peer import VerifiedPeer

DETAIL_CHARACTERS: Final = 1000
"""Of a detail that is kept. A certificate's names may be as long as a handshake, and are quoted in some."""


class Verdict(StrEnum):
    """The three ways a claim can end."""

    ADMITTED = "admitted"
    REFUSED = "refused"
    UNDECIDED = "undecided"


@hot_value
class Decision:
    """What was decided about whom, where, when and why."""

    verdict: Verdict
    door: str
    at: Moment
    seconds: Seconds = 0.0
    """From the claim to the verdict."""
    name: str = ""
    """Canonical; empty when the client stated none that parses."""
    name_source: str = ""
    source: str = ""
    protocol: str = ""
    """Version of TLS and profile of dane_clientid, as the claim has them."""
    possession: str = ""
    reason: Reason | None = None
    """None when admitted."""
    detail: str = ""
    record: str = ""
    """The record that matched, in presentation form."""
    provenance: str = ""
    valid_until: Moment | None = None
    again: bool = False
    """A live session was asked about again."""

    @classmethod
    def admitted(
        cls, claim: Claim, peer: VerifiedPeer, *, at: Moment, seconds: Seconds, again: bool = False
    ) -> "Decision":
        return cls(
            verdict=Verdict.ADMITTED,
            door=claim.door,
            at=at,
            seconds=seconds,
            name=claim.name.canonical,
            name_source=str(claim.name_source),
            source=claim.source,
            protocol=claim.protocol,
            possession=possession_text(peer.possession),
            record=peer.record.to_text(),
            provenance=peer.provenance.value,
            valid_until=peer.valid_until,
            again=again,
        )

    @classmethod
    def not_admitted(
        cls, claim: Claim, error: Refused | Undecided, *, at: Moment, seconds: Seconds, again: bool = False
    ) -> "Decision":
        return cls(
            verdict=verdict_of(error),
            door=claim.door,
            at=at,
            seconds=seconds,
            name=claim.name.canonical,
            name_source=str(claim.name_source),
            source=claim.source,
            protocol=claim.protocol,
            possession=possession_text(claim.possession),
            reason=error.reason,
            detail=_short(error.detail),
            again=again,
        )

    @classmethod
    def without_claim(cls, error: Refused | Undecided, *, door: str, source: str, at: Moment) -> "Decision":
        """The client was turned away before it had made a claim: no credential, no name, a name that does not parse."""
        return cls(
            verdict=verdict_of(error), door=door, source=source, at=at, reason=error.reason, detail=_short(error.detail)
        )

    def to_json(self) -> dict[str, Any]:
        """Only what is set, in plain types; moments as RFC 3339 text."""
        value: dict[str, Any] = {
            "at": iso(self.at),
            "door": self.door,
            "verdict": str(self.verdict),
            "reason": str(self.reason) if self.reason else "",
            "name": self.name,
            "name_source": self.name_source,
            "source": self.source,
            "protocol": self.protocol,
            "possession": self.possession,
            "detail": self.detail,
            "record": self.record,
            "provenance": self.provenance,
            "valid_until": iso(self.valid_until) if self.valid_until is not None else "",
        }
        shown = {key: text for key, text in value.items() if text}
        shown["ms"] = round(self.seconds * 1000, 3)
        if self.again:
            shown["again"] = True
        return shown


def _short(detail: str) -> str:
    return detail if len(detail) <= DETAIL_CHARACTERS else detail[: DETAIL_CHARACTERS - 3] + "..."


def verdict_of(error: Refused | Undecided) -> Verdict:
    return Verdict.REFUSED if isinstance(error, Refused) else Verdict.UNDECIDED


def possession_text(possession: Possession) -> str:
    """How possession is known, for people."""
    if isinstance(possession, Absent):
        return "absent"
    if isinstance(possession, Asserted):
        return f"asserted by {possession.front}"
    if isinstance(possession, Signed):
        return f"to be proved by {possession.by}"
    return f"proved by {possession.by}"
