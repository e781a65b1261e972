"""What is known about one zone: its validated keys, or why there are none; and how DNSKEY sets earn that trust.

Sections: RFC 4035 sections 5.2 and 5.3.1, RFC 4509 section 3 (digest choice), RFC 5011 section 2.1 (revoked keys), RFC
6840 section 5.11 (one valid path suffices). A ZoneTrust is evidence with an end, so it can be cached: it makes a warm
zone cost one signature check.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from dns.rdtypes.ANY.DNSKEY import DNSKEY
from dns.rdtypes.ANY.DS import DS

from dnsbound import limits
from dnsbound.dns.algorithms import DIGEST_SHA1, DIGESTS, ZoneKey, key_digest, key_tag
from dnsbound.dns.anchors import Anchor
from dnsbound.dns.answer import ProofStep, Security
from dnsbound.dns.canonical import Key, text_of
from dnsbound.dns.messages import RRset
from dnsbound.dns.policy import Policy, Work
from dnsbound.dns.signatures import Unverified, Verified, verify_rrset
from dnsbound.times import Moment

_ZONE_KEY: Final = 0x0100
_REVOKED: Final = 0x0080
_DNSSEC_PROTOCOL: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneTrust:
    """The state of a zone.

    keys: empty unless SECURE. expires: earliest signature end of the chain, None when the state rests on no signature.
    since, until: when it was proved, and when this evidence must be got again (TTL and expiry).
    """

    zone: Key
    security: Security
    keys: tuple[ZoneKey, ...] = ()
    detail: str = ""
    expires: Moment | None = None
    since: Moment = 0.0
    until: Moment = 0.0
    steps: tuple[ProofStep, ...] = ()


@dataclass(frozen=True, slots=True)
class Judging:
    """What every judgement needs: the moment, the policy, the budgets of this answer.

    witness: is shown every RRset whose signature was found good, so that the proof can be written down. every_cut: what
    is delegated further down does not show that no zone lies between.
    """

    now: Moment
    policy: Policy
    work: Work
    witness: Callable[[Verified], None] | None = None
    every_cut: bool = False

    def verify(self, rrset: RRset, zone: Key, keys: Iterable[ZoneKey]) -> Verified | Unverified:
        found = verify_rrset(rrset, zone, keys, now=self.now, policy=self.policy, work=self.work)
        if self.witness is not None and isinstance(found, Verified):
            self.witness(found)
        return found


def choose_ds(records: Iterable[object], policy: Policy) -> tuple[DS, ...]:
    """The DS records that count: known algorithms and digests, SHA-1 digests only alone; empty means insecure.

    RFC 4035 section 5.2, RFC 4509 section 3.
    """
    known = [
        ds
        for ds in records
        if isinstance(ds, DS) and policy.supports(int(ds.algorithm)) and int(ds.digest_type) in DIGESTS
    ]
    better = [ds for ds in known if int(ds.digest_type) != DIGEST_SHA1]
    return tuple(better or known)


def trust_by_ds(dnskeys: RRset, digests: Sequence[DS], ds: Verified, parent: ZoneTrust, judging: Judging) -> ZoneTrust:
    """Judge a DNSKEY set by the validated DS records of its parent. digests: those of `ds` that count."""
    owner = text_of(dnskeys.key)
    label = ", ".join(sorted({str(int(digest.key_tag)) for digest in digests}))
    step = ProofStep(owner, "DS", f"names key {label}, signed by {text_of(parent.zone)} key {ds.tag}", Security.SECURE)
    entry = _digested(dnskeys, digests, judging.policy)
    missing = f"none of the keys of {owner} matches its DS records (key {label})"
    trust = _by_entry_keys(dnskeys, entry, missing, (*parent.steps, step), judging)
    if trust.security is not Security.SECURE:
        return trust
    expires = min(end for end in (trust.expires, parent.expires, ds.expires) if end is not None)
    return replace(trust, expires=expires, until=min(trust.until, judging.now + ds.ttl, expires))


def trust_by_anchor(dnskeys: RRset, anchor: Anchor, judging: Judging) -> ZoneTrust:
    """Judge a DNSKEY set by a configured anchor of the same name."""
    policy = judging.policy
    digests = choose_ds(anchor.digests, policy)
    trusted = {key.to_digestable() for key in anchor.keys if policy.supports(int(key.algorithm))}
    owner = text_of(anchor.key)
    tags = ", ".join(str(tag) for tag in anchor.tags)
    if not digests and not trusted:
        # RFC 4035 section 5.2 by analogy: an anchor nothing here can use secures nothing.
        return insecure(anchor.key, f"the trust anchor of {owner} uses no supported algorithm", "trust anchor")
    entry = _digested(dnskeys, digests, policy)
    entry += [key for wire, key in _signing_keys(dnskeys, policy) if wire in trusted and key not in entry]
    step = ProofStep(owner, "trust anchor", f"configured, key {tags}", Security.SECURE)
    return _by_entry_keys(
        dnskeys, entry, f"none of the keys of {owner} is its trust anchor (key {tags})", (step,), judging
    )


def bogus(zone: Key, detail: str, subject: str, steps: tuple[ProofStep, ...] = ()) -> ZoneTrust:
    """A zone nothing of which can be believed."""
    step = ProofStep(text_of(zone), subject, detail, Security.BOGUS)
    return ZoneTrust(zone=zone, security=Security.BOGUS, detail=detail, steps=(*steps, step))


def insecure(zone: Key, detail: str, subject: str, steps: tuple[ProofStep, ...] = ()) -> ZoneTrust:
    """A zone that is known not to be signed in a way that can be checked. The caller adds how long that holds."""
    step = ProofStep(text_of(zone), subject, detail, Security.INSECURE)
    return ZoneTrust(zone=zone, security=Security.INSECURE, detail=detail, steps=(*steps, step))


def indeterminate(zone: Key, detail: str, subject: str, steps: tuple[ProofStep, ...] = ()) -> ZoneTrust:
    """A zone about which it could not be found out."""
    step = ProofStep(text_of(zone), subject, detail, Security.INDETERMINATE)
    return ZoneTrust(zone=zone, security=Security.INDETERMINATE, detail=detail, steps=(*steps, step))


def _signing_keys(dnskeys: RRset, policy: Policy) -> list[tuple[bytes, ZoneKey]]:
    """Keys that may sign, with their RDATA: zone flag, protocol 3, not revoked, supported (RFC 4034 section 2.1)."""
    found = []
    for rdata in dnskeys.rdatas:
        if not isinstance(rdata, DNSKEY) or not policy.supports(int(rdata.algorithm)):
            continue
        if not rdata.flags & _ZONE_KEY or rdata.flags & _REVOKED or rdata.protocol != _DNSSEC_PROTOCOL:
            continue
        wire = rdata.to_digestable()
        found.append((wire, ZoneKey(key_tag(wire), int(rdata.algorithm), rdata.key)))
    return found


def _digested(dnskeys: RRset, digests: Sequence[DS], policy: Policy) -> list[ZoneKey]:
    """The signing keys a DS record names. One digest per key and digest type, whatever the tags: linear (KeyTrap)."""
    wanted = {(int(ds.key_tag), int(ds.algorithm), int(ds.digest_type), ds.digest) for ds in digests}
    named = {(tag, algorithm, kind) for tag, algorithm, kind, _ in wanted}
    found = []
    for wire, key in _signing_keys(dnskeys, policy):
        kinds = [kind for tag, algorithm, kind in named if (tag, algorithm) == (key.tag, key.algorithm)]
        if any((key.tag, key.algorithm, kind, key_digest(dnskeys.key, wire, kind)) in wanted for kind in kinds):
            found.append(key)
    return found


def _by_entry_keys(
    dnskeys: RRset, entry: list[ZoneKey], missing: str, steps: tuple[ProofStep, ...], judging: Judging
) -> ZoneTrust:
    """The set is trusted when one of the entry keys signed it (RFC 4035 section 5.2, last paragraphs)."""
    if not entry:
        return bogus(dnskeys.key, missing, "DNSKEY", steps)
    verified = judging.verify(dnskeys, dnskeys.key, entry)
    if isinstance(verified, Unverified):
        return bogus(dnskeys.key, verified.detail, "DNSKEY", steps)
    if verified.wildcard is not None:
        return bogus(dnskeys.key, "the DNSKEY set is a wildcard expansion", "DNSKEY", steps)
    keys = tuple(key for _, key in _signing_keys(verified.rrset, judging.policy))
    tags = ", ".join(str(key.tag) for key in keys)
    step = ProofStep(text_of(dnskeys.key), "DNSKEY", f"keys {tags}, signed by key {verified.tag}", Security.SECURE)
    held = min(verified.ttl, limits.POSITIVE_TTL.default)
    return ZoneTrust(
        zone=dnskeys.key,
        security=Security.SECURE,
        keys=keys,
        expires=verified.expires,
        until=min(judging.now + held, verified.expires),
        steps=(*steps, step),
    )
