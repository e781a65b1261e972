"""From a trust anchor down to a zone: DS by DS, DNSKEY by DNSKEY, until the zone of a name and its state are known.

A walk is a generator: it yields the Questions it needs and is sent the Replies. Questions it will probably need next
are announced through `hint`, so that they can be asked in parallel. Sections: RFC 4035 section 5, RFC 6840 section 4.
"""

from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Final, Protocol, TypeVar

import dns.rdatatype

from dnsbound import limits
from dnsbound.dns.anchors import Anchor, TrustAnchors
from dnsbound.dns.answer import Security
from dnsbound.dns.canonical import Key, is_at_or_below, text_of
from dnsbound.dns.denial import Cut, Denials, NoDS, NoProof
from dnsbound.dns.messages import Failure, Question, Reply, Response, RRset, find
from dnsbound.dns.nsec import NsecDenials
from dnsbound.dns.nsec3 import Nsec3Denials
from dnsbound.dns.policy import Policy
from dnsbound.dns.signatures import Unverified, Verified
from dnsbound.dns.zone_trust import (
    Judging,
    ZoneTrust,
    bogus,
    choose_ds,
    indeterminate,
    insecure,
    trust_by_anchor,
    trust_by_ds,
)
from dnsbound.times import Moment

_T = TypeVar("_T")
Steps = Generator[Question, Reply, _T]

_DS: Final = dns.rdatatype.DS
_DNSKEY: Final = dns.rdatatype.DNSKEY
_HINTED_DEPTH: Final = 8
"""Labels below the known zone for which DS and DNSKEY are asked ahead; a longer way is walked step by step."""


class TrustStore(Protocol):
    """Where zone states are kept between lookups. `get` returns only what has begun and has not ended.

    bind: called before anything else; Misuse when it serves other anchors or a more lenient or stricter policy.
    """

    def bind(self, anchors: TrustAnchors, policy: Policy) -> None: ...

    def get_trust(self, key: Key, *, now: Moment) -> ZoneTrust | None: ...

    def put_trust(self, key: Key, trust: ZoneTrust) -> None: ...


class ZoneWalk:
    """The walks of one lookup; they share what they find."""

    def __init__(
        self, anchors: TrustAnchors, judging: Judging, store: TrustStore | None, hint: Callable[[Question], None]
    ) -> None:
        self._anchors = anchors
        self._judging = judging
        self._store = store
        self._hint = hint
        self._found: dict[Key, ZoneTrust] = {}
        self._signed_sources: set[str] = set()
        self._checked: dict[tuple[int, Key], Verified | Unverified] = {}

    def saw(self, response: Response) -> None:
        """Remember whether a server passes signatures on."""
        if response.has_signatures:
            self._signed_sources.add(response.source)

    def blame(self, response: Response, subject: str, zone: Key) -> str:
        """Why a signature that must be there is not: by all it sent, the server strips them, or the zone lacks it."""
        if response.source in self._signed_sources:
            return f"no RRSIG over {subject} from {response.source}, although {text_of(zone)} is signed"
        return f"{response.source} strips RRSIGs: none over {subject}"

    def may_sign(self, zone: Key, held_at: Key) -> bool:
        """Whether a zone may speak of what is held at a name: the anchor closest to the name lets none above it."""
        anchor = self._anchors.closest_to(held_at)
        return anchor is not None and is_at_or_below(zone, anchor.key)

    def anticipate(self, target: Key) -> None:
        """Before anything is asked: hint what a cold start needs."""
        anchor = self._anchors.closest_to(target)
        if anchor is not None and self._deepest_known(target, anchor)[1] is None:
            self._hint(Question(anchor.key, _DNSKEY))

    def trust_for(self, target: Key, *, is_zone: bool) -> Steps[ZoneTrust]:
        """The state of the zone that holds `target`. is_zone: an RRSIG names it as a zone, so keys are asked ahead."""
        anchor = self._anchors.closest_to(target)
        if anchor is None:
            return indeterminate(target, f"no trust anchor covers {text_of(target)}", "trust anchor")
        depth, trust = self._deepest_known(target, anchor)
        if trust is None or trust.security is Security.SECURE:
            self._hint_below(target, depth, is_zone=is_zone)
        if trust is None:
            trust = yield from self._at_anchor(anchor)
        while trust.security is Security.SECURE and depth < len(target):
            depth += 1
            trust, ends = yield from self._descend(trust, target[:depth], target)
            if ends:
                self._keep(target, self._found[target[:depth]])
                break
        return trust

    def denials(self, response: Response, trust: ZoneTrust) -> tuple[list[Denials], str, list[Verified]]:
        """The NSEC and NSEC3 records of the zone in a response, checked; what was wrong otherwise; the checked sets."""
        nsec: list[Verified] = []
        nsec3: list[Verified] = []
        complaint = ""
        for (key, rdtype), rrset in response.authority.items():
            if rdtype not in (dns.rdatatype.NSEC, dns.rdatatype.NSEC3) or not rrset.rdatas:
                continue
            if not is_at_or_below(key, trust.zone):
                continue
            verified = self._check_once(rrset, trust)
            if isinstance(verified, Unverified):
                complaint = verified.detail
            else:
                (nsec if rdtype == dns.rdatatype.NSEC else nsec3).append(verified)
        found: list[Denials] = []
        if nsec:
            found.append(NsecDenials(trust.zone, nsec))
        if nsec3:
            found.append(Nsec3Denials(trust.zone, nsec3, self._judging.work))
        return found, complaint, nsec + nsec3

    def _check_once(self, rrset: RRset, trust: ZoneTrust) -> Verified | Unverified:
        """A carried chain shows the same records for every question; they are not checked anew."""
        seen = self._checked.get((id(rrset), trust.zone))
        if seen is None:
            seen = self._judging.verify(rrset, trust.zone, trust.keys)
            self._checked[id(rrset), trust.zone] = seen
        return seen

    # The anchor.

    def _at_anchor(self, anchor: Anchor) -> Steps[ZoneTrust]:
        reply = yield Question(anchor.key, _DNSKEY)
        owner = text_of(anchor.key)
        if isinstance(reply, Failure):
            return indeterminate(anchor.key, f"the keys of {owner} could not be got: {reply.detail}", "DNSKEY")
        dnskeys = find(reply.answer, anchor.key, _DNSKEY)
        if dnskeys is None:
            detail = f"{reply.source} says that {owner} has no keys, but there is a trust anchor for it"
            return bogus(anchor.key, detail, "DNSKEY")
        if not dnskeys.signatures:
            return bogus(anchor.key, self.blame(reply, f"{owner} DNSKEY", anchor.key), "DNSKEY")
        trust = trust_by_anchor(dnskeys, anchor, self._judging)
        if trust.security is Security.INSECURE:
            trust = replace(trust, until=self._judging.now + limits.POSITIVE_TTL.default)
        return self._keep(anchor.key, trust)

    # One label down.

    def _descend(self, parent: ZoneTrust, name: Key, target: Key) -> Steps[tuple[ZoneTrust, bool]]:
        """The state at `name`, one label further towards `target`; True when there can be no cut further down."""
        known = self._known(name)
        if known is not None:
            return known, False
        reply = yield Question(name, _DS)
        owner = text_of(name)
        if isinstance(reply, Failure):
            detail = f"the DS records of {owner} could not be got: {reply.detail}"
            return indeterminate(name, detail, "DS", parent.steps), False
        ds = find(reply.answer, name, _DS)
        if ds is not None:
            return (yield from self._signed_delegation(parent, ds, reply)), False
        alias = self._alias(parent, name, reply)
        if alias is not None:
            self._keep(name, self._ends_with(parent, parent, [alias]))
            return parent, False
        if not self._judging.every_cut and self._delegates_below(parent, name, target, reply):
            self._found[name] = parent
            return parent, False
        return self._no_ds(parent, name, reply)

    def _signed_delegation(  # noqa: PLR0911 (one return per way to fail)
        self, parent: ZoneTrust, ds: RRset, response: Response
    ) -> Steps[ZoneTrust]:
        owner = text_of(ds.key)
        if not ds.signatures:
            return bogus(ds.key, self.blame(response, f"{owner} DS", parent.zone), "DS", parent.steps)
        verified = self._judging.verify(ds, parent.zone, parent.keys)
        if isinstance(verified, Unverified):
            return bogus(ds.key, verified.detail, "DS", parent.steps)
        if verified.wildcard is not None:
            return bogus(ds.key, f"the DS set of {owner} is a wildcard expansion", "DS", parent.steps)
        digests = choose_ds(ds.rdatas, self._judging.policy)
        if not digests:
            detail = f"the DS records of {owner} name no supported algorithm or digest"
            trust = self._ends_with(insecure(ds.key, detail, "DS", parent.steps), parent, [verified])
            return self._keep(ds.key, trust)
        reply = yield Question(ds.key, _DNSKEY)
        if isinstance(reply, Failure):
            detail = f"the keys of {owner} could not be got: {reply.detail}"
            return indeterminate(ds.key, detail, "DNSKEY", parent.steps)
        dnskeys = find(reply.answer, ds.key, _DNSKEY)
        if dnskeys is None:
            detail = f"{owner} has DS records in {text_of(parent.zone)} but shows no keys"
            return bogus(ds.key, detail, "DNSKEY", parent.steps)
        if not dnskeys.signatures:
            return bogus(ds.key, self.blame(reply, f"{owner} DNSKEY", ds.key), "DNSKEY", parent.steps)
        return self._keep(ds.key, trust_by_ds(dnskeys, digests, verified, parent, self._judging))

    def _alias(self, parent: ZoneTrust, name: Key, response: Response) -> Verified | None:
        """A signed CNAME at the name, or a signed DNAME above it: then no zone begins there."""
        candidates = [find(response.answer, name, dns.rdatatype.CNAME)]
        candidates += [
            find(response.answer, name[:depth], dns.rdatatype.DNAME) for depth in range(len(parent.zone), len(name))
        ]
        for rrset in candidates:
            if rrset is None or not rrset.signatures:
                continue
            verified = self._judging.verify(rrset, parent.zone, parent.keys)
            if isinstance(verified, Verified) and verified.wildcard is None:
                return verified
        return None

    def _delegates_below(self, parent: ZoneTrust, name: Key, target: Key, response: Response) -> bool:
        """A DS set further down, signed by the zone above: then no other zone lies between. Chains may leave out the
        denial of a DS at such a name (RFC 9102 section 2.3 asks for DS and DNSKEY sets alone)."""
        for depth in range(len(name) + 1, len(target) + 1):
            ds = find(response.answer, target[:depth], _DS)
            if ds is not None and ds.signatures:
                verified = self._judging.verify(ds, parent.zone, parent.keys)
                return isinstance(verified, Verified) and verified.wildcard is None
        return False

    def _no_ds(self, parent: ZoneTrust, name: Key, response: Response) -> tuple[ZoneTrust, bool]:
        owner = text_of(name)
        found, complaint, checked = self.denials(response, parent)
        for denials in found:
            shown = denials.deny_ds(name)
            if isinstance(shown, NoProof):
                complaint = shown.detail
                continue
            return self._shown(parent, name, shown, checked)
        alias = find(response.answer, name, dns.rdatatype.CNAME)
        if alias is not None and not alias.signatures:
            complaint = self.blame(response, f"{owner} CNAME", parent.zone)
        elif not response.has_signatures:
            complaint = self.blame(response, f"the absence of {owner} DS", parent.zone)
        detail = complaint or f"nothing proves the absence of {owner} DS"
        return bogus(name, detail, "DS", parent.steps), False

    def _shown(self, parent: ZoneTrust, name: Key, shown: NoDS, checked: list[Verified]) -> tuple[ZoneTrust, bool]:
        if shown.cut is Cut.UNSIGNED_DELEGATION:
            detail = f"{text_of(name)} is delegated without DS: {shown.subject}"
            trust = self._ends_with(insecure(name, detail, "DS", parent.steps), parent, checked)
            return self._keep(name, trust), False
        held = self._ends_with(parent, parent, checked)
        self._keep(name, replace(held, until=min(held.until, parent.until)))
        return parent, shown.cut is Cut.NO_SUCH_NAME

    def _ends_with(self, trust: ZoneTrust, parent: ZoneTrust, proofs: list[Verified]) -> ZoneTrust:
        """The state, ending with the proofs it rests on."""
        now = self._judging.now
        ends = [proof.expires for proof in proofs]
        if parent.expires is not None:
            ends.append(parent.expires)
        expires = min(ends)
        held = min([proof.ttl for proof in proofs] + [limits.POSITIVE_TTL.default])
        return replace(trust, expires=expires, until=min(now + held, expires))

    # What is known already.

    def _known(self, key: Key) -> ZoneTrust | None:
        trust = self._found.get(key)
        if trust is None and self._store is not None:
            trust = self._store.get_trust(key, now=self._judging.now)
        return trust

    def _deepest_known(self, target: Key, anchor: Anchor) -> tuple[int, ZoneTrust | None]:
        """The nearest known state at or above the target, with its depth; without one, the anchor's depth and None."""
        for depth in range(len(target), len(anchor.key) - 1, -1):
            trust = self._known(target[:depth])
            if trust is not None:
                return depth, trust
        return len(anchor.key), None

    def _keep(self, key: Key, trust: ZoneTrust) -> ZoneTrust:
        """Remember a state: for this lookup always, between lookups only what was proved."""
        self._found[key] = trust
        proved = trust.security in (Security.SECURE, Security.INSECURE)
        if self._store is not None and proved and trust.until > self._judging.now:
            self._store.put_trust(key, replace(trust, since=self._judging.now))
        return trust

    def _hint_below(self, target: Key, depth: int, *, is_zone: bool) -> None:
        if len(target) - depth > _HINTED_DEPTH:
            return
        for at in range(depth + 1, len(target) + 1):
            if self._known(target[:at]) is None:
                self._hint(Question(target[:at], _DS))
                if is_zone:
                    self._hint(Question(target[:at], _DNSKEY))
