"""A receipt: what a receiver says of one report, signed with its own DNS-bound key as `dnsbound-receipt+jwt`.

    {"iss": "report.gov.example", "aud": "car54._device.cars.example", "iat": ..., "received_at": ...,
     "report": {"jti": ..., "seq": 7, "sha256": ...}, "verdict": "accepted", "order": "next", "evidence": ...}

With it the signer of the report can show that it was delivered, and when. `iat` is when the report was judged,
`received_at` when it came; `evidence` is the SHA-256 of the DNSSEC chain by which its signer's key was found good, so
that one signature vouches for report, time and evidence together (`dnsbound.objects.archive`).

Nothing here is believed before its signer is known; this holds no clock and no keys.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self

from dnsbound.errors import UNDECIDED_REASONS, Malformed, Misuse, Reason
from dnsbound.names import ClientName
from dnsbound.objects.jose.jwt import JwtClaims
from dnsbound.objects.report import HASH_OCTETS, JTI_OCTETS, Report
from dnsbound.objects.report_claims import base64url, moment_claim, name_claim, octets_claim, whole_claim
from dnsbound.objects.report_order import Order
from dnsbound.times import Moment

TYP: Final = "dnsbound-receipt+jwt"


class Verdict(StrEnum):
    """What a receiver decided. There is no receipt for what it could not decide."""

    ACCEPTED = "accepted"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """One receipt, as its signer wrote it."""

    receiver: ClientName
    signer: ClientName
    """Who signed the report."""
    received_at: Moment
    judged_at: Moment
    identifier: bytes
    """`jti` of the report."""
    sequence: int
    digest: bytes
    """SHA-256 of the report as it was sent."""
    verdict: Verdict
    order: Order | None = None
    """How an accepted report follows."""
    reason: Reason | None = None
    """Why a refused one was."""
    evidence: bytes | None = None
    """SHA-256 of the DNSSEC chain (RFC 9102 section 2.3) by which it was judged, where that was kept."""

    def __post_init__(self) -> None:
        accepted = self.verdict is Verdict.ACCEPTED
        if accepted != (self.order is not None) or accepted == (self.reason is not None):
            raise Misuse("a receipt says how an accepted report follows, or why a refused one was")
        if self.reason in UNDECIDED_REASONS:
            raise Misuse("there is no receipt for what could not be decided")

    @classmethod
    def of(
        cls,
        report: Report,
        digest: bytes,
        *,
        receiver: ClientName,
        received_at: Moment,
        judged_at: Moment,
        outcome: Order | Reason,
        evidence: bytes | None = None,
    ) -> Self:
        """digest: of the report as it was sent. outcome: how it follows, or why it was refused."""
        taken = isinstance(outcome, Order)
        return cls(
            receiver=receiver,
            signer=report.issuer,
            received_at=received_at,
            judged_at=judged_at,
            identifier=report.identifier,
            sequence=report.sequence,
            digest=digest,
            verdict=Verdict.ACCEPTED if taken else Verdict.REFUSED,
            order=outcome if isinstance(outcome, Order) else None,
            reason=outcome if isinstance(outcome, Reason) else None,
            evidence=evidence,
        )

    @classmethod
    def from_jwt(cls, claims: JwtClaims) -> Self:
        """What a token that was read says; Malformed with the first claim that is wrong."""
        members = claims.members
        report = members.get("report")
        if not isinstance(report, dict) or len(claims.audience) != 1:
            raise Malformed("receipt: it does not say of which report, or is not for its one signer")
        try:
            return cls(
                receiver=claims.header.name,
                signer=name_claim(claims.audience[0], "receipt: aud"),
                received_at=moment_claim(members.get("received_at"), "receipt: received_at"),
                judged_at=moment_claim(members.get("iat"), "receipt: iat"),
                identifier=octets_claim(report.get("jti"), "receipt: jti", JTI_OCTETS),
                sequence=whole_claim(report.get("seq"), "receipt: seq"),
                digest=octets_claim(report.get("sha256"), "receipt: sha256", HASH_OCTETS),
                verdict=_word(Verdict, members.get("verdict"), "verdict"),
                order=_word(Order, members["order"], "order") if "order" in members else None,
                reason=_word(Reason, members["reason"], "reason") if "reason" in members else None,
                evidence=octets_claim(members["evidence"], "receipt: evidence", HASH_OCTETS)
                if "evidence" in members
                else None,
            )
        except Misuse as error:
            raise Malformed(f"receipt: {error}") from None

    def to_claims(self) -> dict[str, Any]:
        """What `from_jwt` reads."""
        claims: dict[str, Any] = {
            "iss": self.receiver.canonical,
            "aud": self.signer.canonical,
            "iat": self.judged_at,
            "received_at": self.received_at,
            "report": {
                "jti": base64url(self.identifier),
                "seq": self.sequence,
                "sha256": base64url(self.digest),
            },
            "verdict": self.verdict.value,
        }
        if self.order is not None:
            claims["order"] = self.order.value
        if self.reason is not None:
            claims["reason"] = self.reason.value
        if self.evidence is not None:
            claims["evidence"] = base64url(self.evidence)
        return claims


def _word(kind: Any, value: object, what: str) -> Any:  # noqa: ANN401 (one of several enumerations)
    try:
        return kind(value)
    except ValueError:
        raise Malformed(f"receipt: {what} is no word that is known") from None
