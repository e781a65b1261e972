"""A report: what a device says to a receiver it may never meet, signed as a JWT with the type `dnsbound-report+jwt`.

    {"iss": "car54._device.cars.example", "aud": "report.gov.example", "iat": ..., "exp": ..., "jti": ..., "seq": 7,
     "prev": ..., "toe": ..., and whatever else it says}

`seq` counts the reports of one signer to one receiver from 1; `prev` is the SHA-256 of the one before, as it was sent:
who receives them sees whether any is missing, came twice, or belongs to another history. `jti` is 128 random bits.
`toe` is when the event took place (RFC 8417 section 2.2), which may be long before the report was made.

This holds no clock, no keys and no store: signing is `dnsbound.objects.jose`, keeping count is
`dnsbound.edge.report_sender` and `dnsbound.edge.report_receiver`. Nothing here is believed before its signer is known.
A report is known by its octets, so that nobody on the way may be able to write them otherwise: an ECDSA signature has
the smaller one of s and n - s. Sections: RFC 7519 section 4.1, RFC 8725 sections 3.8, 3.9 and 3.11.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

from dnsbound.errors import Malformed, Misuse, Reason, Refused
from dnsbound.names import ClientName
from dnsbound.object_limits import OBJECT_SKEW_SECONDS, REPORT_AUDIENCES, REPORT_SECONDS_TAKEN
from dnsbound.objects.algorithms import is_only_form
from dnsbound.objects.jose import base64url as strict_base64url
from dnsbound.objects.jose.jwt import JwtClaims
from dnsbound.objects.report_claims import base64url, moment_claim, name_claim, octets_claim, whole_claim
from dnsbound.times import Moment, Seconds

TYP: Final = "dnsbound-report+jwt"
JTI_OCTETS: Final = 16
HASH_OCTETS: Final = 32
LARGEST_SEQUENCE: Final = 2**53 - 1
"""RFC 7493 section 2.2: larger numbers are not the same to every reader of JSON."""
OWN_CLAIMS: Final = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "toe", "seq", "prev"})
"""What a report's content may not be called: registered, or this profile's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One report, as its signer wrote it."""

    issuer: ClientName
    audience: tuple[ClientName, ...]
    """The receivers it is for."""
    issued_at: Moment
    expires_at: Moment
    identifier: bytes
    """`jti`: 16 octets that the signer has never used before."""
    sequence: int
    """From 1, within what this signer says to this audience."""
    previous: bytes | None = None
    """SHA-256 of the report before this one, as it was sent; None for the first."""
    not_before: Moment | None = None
    event_at: Moment | None = None
    content: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Every other claim: what the report says."""

    def __post_init__(self) -> None:
        if not self.audience or len(self.audience) > REPORT_AUDIENCES.default:
            raise Misuse(f"a report names 1 to {REPORT_AUDIENCES.default} receivers, not {len(self.audience)}")
        if len(self.identifier) != JTI_OCTETS:
            raise Misuse(f"the identifier of a report has {JTI_OCTETS} octets")
        if not 1 <= self.sequence <= LARGEST_SEQUENCE:
            raise Misuse(f"a sequence number is from 1 to {LARGEST_SEQUENCE}, not {self.sequence}")
        if self.previous is not None and len(self.previous) != HASH_OCTETS:
            raise Misuse(f"the digest of the report before has {HASH_OCTETS} octets")
        if self.expires_at <= self.issued_at:
            raise Misuse("a report ends after it was made")
        taken = OWN_CLAIMS & set(self.content)
        if taken:
            raise Misuse(f"the claim {min(taken)!r} is not for what a report says")

    @property
    def stream(self) -> str:
        """Within what its sequence is counted: what this signer says to this audience."""
        return self.stream_of(self.issuer, self.audience)

    @staticmethod
    def stream_of(issuer: ClientName, audience: Iterable[ClientName]) -> str:
        return " ".join([issuer.canonical, *sorted({name.canonical for name in audience})])

    def at(self, sequence: int, previous: bytes | None) -> Self:
        """The same report in another place."""
        return replace(self, sequence=sequence, previous=previous)

    @classmethod
    def from_token(cls, claims: JwtClaims, token: bytes) -> Self:
        """As `from_jwt`, of the very octets that came: Malformed too when they are not the only way that this report
        could have been written without its signer."""
        signature = strict_base64url.decode(token.rpartition(b".")[2], "signature")
        if not is_only_form(claims.header.algorithm, signature):
            raise Malformed("report: its ECDSA signature has the larger one of s and n - s, as anybody could make it")
        return cls.from_jwt(claims)

    @classmethod
    def from_jwt(cls, claims: JwtClaims) -> Self:
        """What a token that was read says; Malformed with the first claim that is wrong."""
        if claims.issued_at is None or claims.expires is None:
            raise Malformed("report: it does not say when it was made (iat) and when it ends (exp)")
        members = claims.members
        try:
            return cls(
                issuer=claims.header.name,
                audience=_audience(claims),
                issued_at=claims.issued_at,
                expires_at=claims.expires,
                identifier=octets_claim(claims.identifier, "report: jti", JTI_OCTETS),
                sequence=whole_claim(members.get("seq"), "report: seq"),
                previous=octets_claim(members["prev"], "report: prev", HASH_OCTETS) if "prev" in members else None,
                not_before=claims.not_before,
                event_at=moment_claim(members["toe"], "report: toe") if "toe" in members else None,
                content={name: value for name, value in members.items() if name not in OWN_CLAIMS},
            )
        except Misuse as error:
            raise Malformed(f"report: {error}") from None

    def to_claims(self) -> dict[str, Any]:
        """What `from_jwt` reads."""
        audience = [name.canonical for name in self.audience]
        claims: dict[str, Any] = {
            "iss": self.issuer.canonical,
            "aud": audience[0] if len(audience) == 1 else audience,
            "iat": _number(self.issued_at),
            "exp": _number(self.expires_at),
            "jti": base64url(self.identifier),
            "seq": self.sequence,
        }
        if self.previous is not None:
            claims["prev"] = base64url(self.previous)
        if self.not_before is not None:
            claims["nbf"] = _number(self.not_before)
        if self.event_at is not None:
            claims["toe"] = _number(self.event_at)
        return claims | dict(self.content)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRules:
    """What one receiver asks of a report beside its signature."""

    audience: ClientName
    """Its own name."""
    skew: Seconds = OBJECT_SKEW_SECONDS.default
    longest: Seconds = REPORT_SECONDS_TAKEN.default
    """From the making of a report to its end."""

    def check(self, claims: JwtClaims, *, at: Moment) -> None:
        """Refused unless a report is for this receiver and holds at this moment: WRONG_AUDIENCE, or STALE when it has
        ended, when its time has not begun, or when it would hold for longer than is taken."""
        claims.check(now=at, audience=self.audience.canonical, skew=self.skew)
        if claims.issued_at is None or claims.expires is None or claims.expires - claims.issued_at > self.longest:
            raise Refused(Reason.STALE, f"the report would hold for more than {self.longest:g} seconds")


def _number(moment: Moment) -> int | float:
    """NumericDate (RFC 7519 section 2) as people write it."""
    return int(moment) if moment == int(moment) else moment


def _audience(claims: JwtClaims) -> tuple[ClientName, ...]:
    if len(claims.audience) > REPORT_AUDIENCES.default:
        raise Malformed("report: aud names too many receivers")
    return tuple(name_claim(name, "report: aud") for name in claims.audience)
