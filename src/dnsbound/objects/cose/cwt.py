"""CBOR Web Tokens: claims as CBOR, signed with COSE_Sign1 (RFC 8392).

The issuer is the signer: `iss` must be there and say the same name as the signature's headers. Claims that stand in the
header too (RFC 9597) must be the same there. A token says when it ends, and for whom it is, or for nobody.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, Self

from dnsbound.credential.credential import Credential
from dnsbound.errors import Malformed, Misuse
from dnsbound.names import ClientName
from dnsbound.object_limits import OBJECT_SKEW_SECONDS
from dnsbound.objects.cbor import CBORTag, from_cbor, to_cbor
from dnsbound.objects.cose.cose_sign1 import FORM, Sign1, expect_octets, sign1, signed_object
from dnsbound.objects.cose.labels import CWT_TAG, Claim, Header
from dnsbound.objects.signed import SignedObject
from dnsbound.objects.signer_name import signer_name
from dnsbound.objects.token_rules import TokenBounds
from dnsbound.times import Moment, Seconds

CWT: Final = "CWT"
_WHAT: Final = "claims of a CWT"
_LATEST: Final = 253_402_300_799
"""The last second of the year 9999."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CwtClaims(TokenBounds):
    """The claims of one token. Times are seconds since 1970."""

    issuer: ClientName
    subject: str | None = None
    identifier: bytes | None = None
    others: Mapping[int | str, Any] = field(default_factory=dict, hash=False)
    """Claims of other standards, and the application's own."""

    @classmethod
    def from_wire(cls, octets: bytes) -> Self:
        """Malformed when they are no claims, or without an issuer that is a client name."""
        claims = from_cbor(octets, _WHAT)
        if not isinstance(claims, dict):
            raise Malformed(f"{_WHAT} are no map")
        issuer = _text(claims, Claim.ISS)
        if issuer is None:
            raise Malformed(f"{_WHAT} name no issuer")
        identifier = claims.get(Claim.CTI)
        if identifier is not None and not isinstance(identifier, bytes):
            raise Malformed(f"{_WHAT} have a cti that is no byte string")
        return cls(
            issuer=signer_name(issuer),
            subject=_text(claims, Claim.SUB),
            audience=_audience(claims.get(Claim.AUD)),
            expires=_moment(claims, Claim.EXP),
            not_before=_moment(claims, Claim.NBF),
            issued_at=_moment(claims, Claim.IAT),
            identifier=identifier,
            others=MappingProxyType({label: value for label, value in claims.items() if label not in _OWN}),
        )

    def to_map(self) -> dict[int | str, Any]:
        """Times are written in whole seconds: an end is not put off, nor a beginning moved forward."""
        if self.others.keys() & _OWN:
            raise Misuse("a claim of RFC 8392 stands among the others")
        named: dict[int | str, Any] = {
            Claim.ISS: self.issuer.canonical,
            Claim.SUB: self.subject,
            Claim.AUD: self.audience[0] if len(self.audience) == 1 else list(self.audience) or None,
            Claim.EXP: None if self.expires is None else int(self.expires),
            Claim.NBF: None if self.not_before is None else -int(-self.not_before // 1),
            Claim.IAT: None if self.issued_at is None else int(self.issued_at),
            Claim.CTI: self.identifier,
        }
        return {label: value for label, value in named.items() if value is not None} | dict(self.others)

    def to_wire(self) -> bytes:
        return to_cbor(self.to_map())


_OWN: Final = frozenset(Claim) - {Claim.CNF}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cwt:
    """Content of a signed object that is a CWT."""

    claims: CwtClaims
    message: Sign1


def sign_cwt(
    claims: CwtClaims,
    credential: Credential,
    *,
    typ: str | int | None = None,
    algorithm: str | None = None,
    key_in_band: bool = True,
    cwt_tag: bool = False,
) -> bytes:
    """Sign claims with the issuer's credential. typ: what kind of token it is (RFC 9596). cwt_tag: put tag 61 around.
    Misuse for a credential of another name."""
    if credential.name != claims.issuer:
        raise Misuse(f"a token of {claims.issuer} is signed by its own credential, not by {credential.name}'s")
    signed = sign1(claims.to_wire(), credential, typ=typ, algorithm=algorithm, key_in_band=key_in_band)
    return CWT_TAG_OCTETS + signed if cwt_tag else signed


CWT_TAG_OCTETS: Final = b"\xd8\x3d"
"""Tag 61: it stands before the tagged message (RFC 8392 section 6)."""


def parse_cwt(
    octets: bytes,
    *,
    now: Moment,
    audience: str | None,
    typ: str | int | None,
    algorithms: Collection[str] | None = None,
    skew: Seconds = OBJECT_SKEW_SECONDS.default,
    limit: int | None = None,
    danger_eternal: bool = False,
) -> SignedObject:
    """What a token claims, where it may hold now and here; its `content` is a `Cwt`. typ: the type it must have; None
    for one that has none. Malformed, LimitExceeded; Refused as `CwtClaims.check` says."""
    expect_octets(octets, limit)
    item = from_cbor(octets, "CWT")
    if isinstance(item, CBORTag) and item.tag == CWT_TAG:
        item = item.value
        if not isinstance(item, CBORTag):
            raise Malformed("CWT has tag 61 around something without a tag")
    message = Sign1.from_item(item)
    signed = signed_object(message, typ=typ, allowed=algorithms, form=CWT)
    claims = read_claims(signed)
    claims.check(now=now, audience=audience, skew=skew, danger_eternal=danger_eternal)
    return replace(signed, content=Cwt(claims=claims, message=message))


def read_claims(signed: SignedObject) -> CwtClaims:
    """The claims of a COSE_Sign1 that is a CWT. Malformed when it is none, or its issuer is not its signer."""
    message = signed.content
    if not isinstance(message, Sign1) or message.payload is None:
        raise Malformed("CWT without claims")
    claims = CwtClaims.from_wire(message.payload)
    if claims.issuer != signed.name:
        raise Malformed("iss names another than the signer of the token")
    _expect_same(message, message.payload)
    return claims


def _expect_same(message: Sign1, payload: bytes) -> None:
    """RFC 9597 section 2: a claim that stands in both places says the same in both."""
    stated = message.headers.protected.get(Header.CWT_CLAIMS)
    if stated is None:
        return
    claims = from_cbor(payload, _WHAT)
    if not isinstance(stated, dict) or any(claims.get(label, value) != value for label, value in stated.items()):
        raise Malformed(f"{FORM} has other claims in its header than in its payload")


def _text(claims: Mapping[Any, Any], claim: Claim) -> str | None:
    value = claims.get(claim)
    if value is not None and not isinstance(value, str):
        raise Malformed(f"{_WHAT} have a {claim.name.lower()} that is no text")
    return value


def _audience(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    entries = [value] if isinstance(value, str) else value
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, str) and entry for entry in entries):
        raise Malformed(f"{_WHAT} have an aud that is neither text nor a list of them")
    return tuple(entries)


def _moment(claims: Mapping[Any, Any], claim: Claim) -> Moment | None:
    """RFC 8392 section 2: a number without a tag."""
    value = claims.get(claim)
    if value is None and claim not in claims:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LATEST:
        raise Malformed(f"{_WHAT} have an {claim.name.lower()} that is no time")
    return float(value)
