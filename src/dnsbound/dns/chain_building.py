"""Building a DNSSEC authentication chain (RFC 9102): the records that proved one lookup, no more and no fewer.

A `ChainBuilding` is a `Validation` from the trust anchor down that remembers every RRset whose signature it found good.
When the answer is there, `chain` writes these sets down: the keys of the root, DS and keys of each zone below, aliases,
the records, and the denials without which something would not follow, also for validators that want to see at every
label that no zone begins there. What comes out was judged again by the validator and says what the lookup said.

The order is that of the names from the root down (RFC 4034 section 6.1), so that the same proof gives the same octets.
Each set is followed by one RRSIG, a DNSKEY set by those of all its entry keys: which of them a verifier trusts is not
known here. CNAMEs that a DNAME makes are not signed and left out. This asks nobody: `Resolver.chain` does.

Sections: RFC 9102 sections 2.3 and 2.3.1.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
from dns.rdtypes.ANY.DNSKEY import DNSKEY

from dnsbound import limits
from dnsbound.dns.algorithms import key_tag
from dnsbound.dns.anchors import TrustAnchors
from dnsbound.dns.answer import Answer, Outcome, Security
from dnsbound.dns.canonical import Key, name_of
from dnsbound.dns.chain import AuthenticationChain, Record
from dnsbound.dns.messages import RRset
from dnsbound.dns.policy import Policy
from dnsbound.dns.rrsig import Signature
from dnsbound.dns.signatures import Verified, moment_of
from dnsbound.dns.validator import Validation
from dnsbound.errors import LimitExceeded, Misuse, Reason, Undecided
from dnsbound.times import Moment

_DENIALS: Final = frozenset({dns.rdatatype.NSEC, dns.rdatatype.NSEC3})
_SECURE_ENTRY_POINT: Final = 0x0001

_Sets = Mapping[tuple[Key, int], Verified]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltChain:
    """A chain that was judged and may be given out."""

    chain: AuthenticationChain
    octets: bytes
    """`chain` as it is sent (RFC 9102 section 2.3)."""
    answer: Answer
    """What the chain says, judged when it was built. SECURE, or INSECURE where it proves an unsigned delegation."""
    valid_until: Moment
    """When it must be built anew: the least TTL of what the lookup rested on, or its first signature, has ended."""


class ChainBuilding(Validation):
    """One chain in the making: questions out, replies in (see `Validation`), then `chain`."""

    def __init__(
        self,
        name: dns.name.Name,
        rdtype: dns.rdatatype.RdataType,
        *,
        anchors: TrustAnchors,
        now: Moment,
        policy: Policy | None = None,
    ) -> None:
        self._anchors = anchors
        self._policy = policy or Policy()
        self._good: dict[tuple[Key, int], Verified] = {}
        # Without a store: what other lookups have proved would be missing.
        super().__init__(name, rdtype, anchors=anchors, now=now, policy=self._policy, witness=self._saw)

    def chain(self, *, octets: int | None = None) -> BuiltChain:
        """The chain, once `answer` is there. octets: how long it may be; None for the limit's default.

        Raises Undecided with BOGUS, INDETERMINATE, DNS_FAILED or WORK_BUDGET when the lookup came to nothing that a
        chain could show, LimitExceeded when it is too long, Misuse before there is an answer.
        """
        live = self.answer
        if live is None:
            raise Misuse("the lookup is not finished")
        _check_shown(live)
        if not self._good:
            raise Undecided(Reason.INDETERMINATE, f"no signature says anything of {live.name}")
        self._drop_needless_denials(live)
        chain = self._written(self._good)
        judged = self._judged(chain)
        if not _agree(judged, live):
            raise Undecided(
                Reason.INDETERMINATE, f"the records behind {live.name} do not prove it alone: {judged.detail}"
            )
        return BuiltChain(
            chain=chain,
            octets=_within(chain.to_wire(), octets),
            answer=judged,
            valid_until=min(live.valid_until, judged.earliest_expiry or live.valid_until),
        )

    def _saw(self, verified: Verified) -> None:
        self._good.setdefault((verified.rrset.key, verified.rrset.rdtype), verified)

    def _written(self, sets: _Sets) -> AuthenticationChain:
        return AuthenticationChain(tuple(record for at in sorted(sets) for record in _records(sets[at], self._now)))

    def _judged(self, chain: AuthenticationChain) -> Answer:
        return chain.validate(
            self.name, self.rdtype, anchors=self._anchors, now=self._now, policy=self._policy, every_cut=True
        )

    def _drop_needless_denials(self, live: Answer) -> None:
        """A response shows all the denials its server thinks fit; those without which the same follows are dropped."""
        denials = sorted((at for at in self._good if at[1] in _DENIALS), reverse=True)
        for at in denials:
            fewer = {other: verified for other, verified in self._good.items() if other != at}
            if fewer and _agree(self._judged(self._written(fewer)), live):
                self._good = fewer


def _check_shown(live: Answer) -> None:
    if live.limit:
        raise Undecided(Reason.WORK_BUDGET, live.detail)
    if live.security is Security.BOGUS:
        raise Undecided(Reason.BOGUS, live.detail)
    if live.security is Security.INDETERMINATE:
        failed = live.outcome is Outcome.FAILED
        raise Undecided(Reason.DNS_FAILED if failed else Reason.INDETERMINATE, live.detail)


def _agree(judged: Answer, live: Answer) -> bool:
    """Whether the chain says what the lookup said. Unsigned records are not carried, so of insecure ones only that."""
    if judged.security is not live.security or live.security is not Security.SECURE:
        return judged.security is live.security
    return (judged.outcome, set(judged.records), judged.aliases, judged.wildcard) == (
        live.outcome,
        set(live.records),
        live.aliases,
        live.wildcard,
    )


def _within(octets: bytes, limit: int | None) -> bytes:
    most = limits.CHAIN_OCTETS.checked(limit)
    if len(octets) > most:
        raise LimitExceeded(limits.CHAIN_OCTETS.name, f"the chain has {len(octets)} octets, more than {most}")
    return octets


def _records(verified: Verified, now: Moment) -> Iterator[Record]:
    """A set in canonical order, then its signatures."""
    rrset = verified.rrset
    owner = name_of(rrset.key)
    ttl = min(rrset.ttl, verified.signature.original_ttl)
    for rdata in sorted(set(rrset.rdatas), key=lambda rdata: rdata.to_digestable()):
        yield owner, ttl, rdata
    for signature in (verified.signature, *_of_other_entry_keys(verified, now)):
        data = signature.to_wire()
        yield owner, ttl, dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.RRSIG, data, 0, len(data))


def _of_other_entry_keys(verified: Verified, now: Moment) -> list[Signature]:
    """Signatures over a DNSKEY set that another trust anchor, or another DS record, may lead to."""
    rrset, used = verified.rrset, verified.signature
    if rrset.rdtype != dns.rdatatype.DNSKEY:
        return []
    entries = _entry_keys(rrset)
    found: dict[tuple[int, int], Signature] = {}
    for signature in rrset.signatures:
        by = (signature.key_tag, signature.algorithm)
        holds = moment_of(signature.inception, now) <= now <= moment_of(signature.expiration, now)
        if holds and by in entries and signature.signer == used.signer and by != (used.key_tag, used.algorithm):
            found.setdefault(by, signature)
    return [found[by] for by in sorted(found)]


def _entry_keys(rrset: RRset) -> frozenset[tuple[int, int]]:
    keys: Iterable[DNSKEY] = (rdata for rdata in rrset.rdatas if isinstance(rdata, DNSKEY))
    return frozenset(
        (key_tag(key.to_digestable()), int(key.algorithm)) for key in keys if key.flags & _SECURE_ENTRY_POINT
    )
