"""One RRset against the keys of its zone: the checks of RFC 4035 section 5.3, within the work budget (KeyTrap).

Says whether the signature is good and what follows from it; whether the signing zone's keys are to be trusted is
`dns.zone_trust`, and whether a wildcard expansion was allowed is for the caller to prove (`Verified.wildcard`).
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import dns.rdatatype
from dns.rdtypes.ANY.RRSIG import RRSIG

from dnsbound.dns.algorithms import ZoneKey
from dnsbound.dns.canonical import WILDCARD, Key, is_at_or_below, key_of, rrset_octets, text_of, wire_of
from dnsbound.dns.messages import RRset
from dnsbound.dns.policy import Policy, Work
from dnsbound.times import Moment, Seconds, iso

_SIGNED_FIELDS: Final = struct.Struct("!HBBIIIH")
_SERIAL_HALF: Final = 1 << 31
_SERIAL_SPACE: Final = 1 << 32


@dataclass(frozen=True, slots=True)
class Verified:
    """An RRset whose signature is good. expires: of that signature. ttl: already capped by the RRSIG and its expiry.

    wildcard: the closest encloser whose wildcard the records were expanded from (the name without `*`), else None.
    """

    rrset: RRset
    ttl: Seconds
    expires: Moment
    tag: int
    wildcard: Key | None


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
    found = {key_of(signature.signer) for signature in rrset.signatures}
    return sorted((zone for zone in found if is_at_or_below(rrset.key, zone)), key=len, reverse=True)


def verify_rrset(
    rrset: RRset, zone: Key, keys: Iterable[ZoneKey], *, now: Moment, policy: Policy, work: Work
) -> Verified | Unverified:
    """Try the RRSIGs made by `zone` with its keys; the first good one decides. LimitExceeded when the work runs out."""
    subject = f"{rrset.name} {dns.rdatatype.to_text(rrset.rdtype)}"
    complaint = f"no RRSIG over {subject}" if not rrset.signatures else f"{subject} is not signed by {text_of(zone)}"
    tried = 0
    for signature in rrset.signatures:
        if key_of(signature.signer) != zone:
            continue
        wrong = _unusable_because(rrset, signature, now, policy)
        if wrong is not None:
            complaint = f"signature of {subject} by key {signature.key_tag} {wrong}"
            continue
        candidates = [key for key in keys if key.tag == signature.key_tag and key.algorithm == int(signature.algorithm)]
        if not candidates:
            complaint = f"signature of {subject} is by key {signature.key_tag}, which {text_of(zone)} does not have"
            continue
        if tried == work.signatures_per_rrset:
            complaint = f"none of the first {tried} signatures of {subject} is good, and the rest was not tried"
            break
        tried += 1
        octets = signed_octets(rrset, signature)
        for key in candidates[: work.keys_per_tag]:
            work.signatures.spend()
            if key.verify(signature.signature, octets):
                return _verified(rrset, signature, now, policy)
        complaint = f"signature of {subject} by key {signature.key_tag} does not verify"
    return Unverified(complaint)


def signed_octets(rrset: RRset, signature: RRSIG) -> bytes:
    """What the RRSIG is over (RFC 4034 section 3.1.8.1), the owner turned back into the wildcard if need be."""
    owner = rrset.key
    if signature.labels < _label_count(owner):
        owner = (*owner[: signature.labels], WILDCARD)
    fields = _SIGNED_FIELDS.pack(
        signature.type_covered,
        signature.algorithm,
        signature.labels,
        signature.original_ttl,
        signature.expiration % _SERIAL_SPACE,
        signature.inception % _SERIAL_SPACE,
        signature.key_tag,
    )
    signer = wire_of(key_of(signature.signer))
    return fields + signer + rrset_octets(owner, rrset.rdtype, signature.original_ttl, rrset.rdatas)


def _unusable_because(rrset: RRset, signature: RRSIG, now: Moment, policy: Policy) -> str | None:
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
    if not policy.supports(int(signature.algorithm)):
        return f"uses algorithm {int(signature.algorithm)}, which is not supported"
    return None


def _verified(rrset: RRset, signature: RRSIG, now: Moment, policy: Policy) -> Verified:
    expires = moment_of(signature.expiration, now) + policy.clock_skew
    ttl = min(float(rrset.ttl), float(signature.original_ttl), max(0.0, expires - now))
    expanded = signature.labels < _label_count(rrset.key)
    wildcard = rrset.key[: signature.labels] if expanded else None
    return Verified(rrset, ttl, expires, signature.key_tag, wildcard)


def _label_count(owner: Key) -> int:
    """Labels without the root and without a leading asterisk (RFC 4034 section 3.1.3)."""
    return len(owner) - 1 if owner and owner[-1] == WILDCARD else len(owner)
