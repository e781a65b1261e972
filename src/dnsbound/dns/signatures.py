"""One RRset against the keys of its zone: the checks of RFC 4035 section 5.3, within the work budget (KeyTrap).

Says whether the signature is good and what follows from it; whether the signing zone's keys are to be trusted is
`dns.zone_trust`, and whether a wildcard expansion was allowed is for the caller to prove (`Verified.wildcard`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import dns.rdatatype

from dnsbound.dns.algorithms import ZoneKey
from dnsbound.dns.canonical import WILDCARD, Key, is_at_or_below, rrset_octets, text_of
from dnsbound.dns.messages import RRset
from dnsbound.dns.policy import Policy, Work
from dnsbound.dns.rrsig import Signature
from dnsbound.times import Moment, Seconds, iso

_SERIAL_HALF: Final = 1 << 31
_SERIAL_SPACE: Final = 1 << 32


@dataclass(frozen=True, slots=True)
class Verified:
    """An RRset whose signature is good. expires: of that signature, clock allowance included. inception: its own.
    ttl: already capped by the RRSIG and its expiry.

    wildcard: the closest encloser whose wildcard the records were expanded from (the name without `*`), else None.
    """

    rrset: RRset
    ttl: Seconds
    expires: Moment
    inception: Moment
    signature: Signature
    wildcard: Key | None

    @property
    def tag(self) -> int:
        """Of the key that made the signature."""
        return self.signature.key_tag


@dataclass(frozen=True, slots=True)
class Unverified:
    """No signature over the RRset is good. detail: what was wrong with the one that came closest."""

    detail: str


def moment_of(serial: int, now: Moment) -> Moment:
    """The moment a 32-bit signature time means near `now` (RFC 4034 section 3.1.5, RFC 1982)."""
    base = int(now)
    distance = (serial - base) % _SERIAL_SPACE
    if distance >= _SERIAL_HALF:
        distance -= _SERIAL_SPACE
    return float(base + distance)


def signers(rrset: RRset) -> list[Key]:
    """Zones that claim to have signed the RRset and may have: ancestors of its owner, nearest first."""
    found = {signature.signer for signature in rrset.signatures}
    return sorted((zone for zone in found if is_at_or_below(rrset.key, zone)), key=len, reverse=True)


def verify_rrset(
    rrset: RRset, zone: Key, keys: Iterable[ZoneKey], *, now: Moment, policy: Policy, work: Work
) -> Verified | Unverified:
    """Try the RRSIGs made by `zone` with its keys; the first good one decides. LimitExceeded when the work runs out."""
    by_tag: dict[tuple[int, int], list[ZoneKey]] = {}
    for key in keys:
        by_tag.setdefault((key.tag, key.algorithm), []).append(key)
    complaint = ""
    tried = 0
    for signature in rrset.signatures:
        if signature.signer != zone:
            continue
        wrong = _unusable_because(rrset, signature, now, policy)
        if wrong is None:
            candidates = by_tag.get((signature.key_tag, signature.algorithm))
            if not candidates:
                wrong = f"is by no key of {text_of(zone)}"
            elif tried == work.signatures_per_rrset:
                complaint = f"none of the first {tried} signatures of {_subject(rrset)} is good; the rest was not tried"
                break
            else:
                tried += 1
                if _verifies(rrset, signature, candidates, work):
                    return _verified(rrset, signature, now, policy)
                wrong = "does not verify"
        complaint = f"signature of {_subject(rrset)} by key {signature.key_tag} {wrong}"
    if not complaint:
        by_zone = f" by {text_of(zone)}" if rrset.signatures else ""
        complaint = f"no RRSIG over {_subject(rrset)}{by_zone}"
    return Unverified(complaint)


def signed_octets(rrset: RRset, signature: Signature) -> bytes:
    """What the RRSIG is over (RFC 4034 section 3.1.8.1), the owner turned back into the wildcard if need be."""
    owner = rrset.key
    if signature.labels < _label_count(owner):
        owner = (*owner[: signature.labels], WILDCARD)
    return signature.signed_prefix() + rrset_octets(owner, rrset.rdtype, signature.original_ttl, rrset.forms())


def _verifies(rrset: RRset, signature: Signature, candidates: list[ZoneKey], work: Work) -> bool:
    octets = signed_octets(rrset, signature)
    for key in candidates[: work.keys_per_tag]:
        work.signatures.spend()
        if key.verify(signature.octets, octets):
            return True
    return False


def _unusable_because(rrset: RRset, signature: Signature, now: Moment, policy: Policy) -> str | None:
    """Why this RRSIG cannot be used at all, before any key is tried (RFC 4035 section 5.3.1)."""
    if signature.labels > _label_count(rrset.key):
        return f"counts {signature.labels} labels, more than its owner has"
    expiration, inception = moment_of(signature.expiration, now), moment_of(signature.inception, now)
    if expiration < inception:
        return f"expires ({iso(expiration)}) before it begins ({iso(inception)})"
    if now > expiration + policy.clock_skew:
        return f"expired {iso(expiration)}"
    if now < inception - policy.clock_skew:
        return f"is not valid before {iso(inception)}"
    if not policy.supports(signature.algorithm):
        return f"uses algorithm {signature.algorithm}, which is not supported"
    return None


def _verified(rrset: RRset, signature: Signature, now: Moment, policy: Policy) -> Verified:
    expires = moment_of(signature.expiration, now) + policy.clock_skew
    ttl = min(float(rrset.ttl), float(signature.original_ttl), max(0.0, expires - now))
    expanded = signature.labels < _label_count(rrset.key)
    wildcard = rrset.key[: signature.labels] if expanded else None
    return Verified(rrset, ttl, expires, moment_of(signature.inception, now), signature, wildcard)


def _subject(rrset: RRset) -> str:
    return f"{text_of(rrset.key)} {dns.rdatatype.to_text(rrset.rdtype)}"


def _label_count(owner: Key) -> int:
    """Labels without the root and without a leading asterisk (RFC 4034 section 3.1.3)."""
    return len(owner) - 1 if owner and owner[-1] == WILDCARD else len(owner)
