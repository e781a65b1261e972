"""What one authoritative server said about one name, held against what it should serve.

A judgement is `Seen` (it serves that, signed) or `Lacking` (it does not, or it could not be found out, and why).
Signatures and denials are judged by the validator, from the server's own DNSKEY set up to the zone's anchor; of a zone
without an anchor only the presence and the dates of signatures are looked at, and `Seen.validated` says so.

Not here: asking (`dnsbound.edge.authoritative_servers`), and whether the parent delegates to these keys.

Sections: RFC 1034 section 4.3.1 (authoritative answers), RFC 4035 sections 3.1 and 5, RFC 4034 section 6 (comparison).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Self

import dns.exception
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype

from dnsbound.dns.anchors import TrustAnchors
from dnsbound.dns.answer import Answer, Security
from dnsbound.dns.cache import EvidenceCache
from dnsbound.dns.canonical import Key, key_of
from dnsbound.dns.messages import Failure, Question, Reply, Response, RRset, find
from dnsbound.dns.signatures import moment_of
from dnsbound.dns.validator import Validation, validate
from dnsbound.errors import Malformed
from dnsbound.times import Moment, iso

_CNAME: Final = dns.rdatatype.CNAME
_DNSKEY: Final = dns.rdatatype.DNSKEY
_ANSWERING: Final = frozenset({dns.rcode.NOERROR, dns.rcode.NXDOMAIN})
_NOT_ITS_ZONE: Final = frozenset({dns.rcode.REFUSED, dns.rcode.NOTAUTH})


class Lack(StrEnum):
    """Why a server does not count as serving what it should. The value is what `--json` shows."""

    # It answered, and its answer is not it.
    STALE = "stale"
    """Records that should be there are not, or others are still there."""
    TTL = "ttl"
    """The right records with another TTL."""
    ALIAS = "alias"
    """A CNAME stands where the records should."""
    LAME = "lame"
    """It does not serve the zone: REFUSED, NOTAUTH, a referral, or an answer without authority."""
    UNSIGNED = "unsigned"
    """No signature over the records, or no signed denial of them."""
    SIGNATURE = "signature"
    """Signatures that do not hold now: expired, not yet valid, or by no key of the zone."""

    # It did not answer, or nothing that can be used.
    SILENT = "silent"
    FAILED = "failed"
    """SERVFAIL and its likes, octets that are no DNS message, a connection that broke off."""
    UNREACHABLE = "unreachable"
    """It has no address."""
    UNJUDGED = "unjudged"
    """Judging it costs more than allowed, or needs more than the server said."""
    UNASKED = "unasked"
    """The time was over before it was asked."""


UNDECIDED_LACKS: Final = frozenset({Lack.SILENT, Lack.FAILED, Lack.UNREACHABLE, Lack.UNJUDGED, Lack.UNASKED})
"""It could not be found out; all others are a no."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What every server should serve at a name.

    present: record data, in canonical form, that must be there. absent: that must not be. exactly: nothing else may be
    there; otherwise records of others beside ours do not matter. ttl: of the RRset, None for any.
    """

    name: dns.name.Name
    rdtype: dns.rdatatype.RdataType
    present: frozenset[bytes] = frozenset()
    absent: frozenset[bytes] = frozenset()
    exactly: bool = False
    ttl: int | None = None

    @classmethod
    def from_text(
        cls,
        name: str,
        rdtype: str,
        *,
        present: Iterable[str] = (),
        absent: Iterable[str] = (),
        exactly: bool = False,
        ttl: int | None = None,
    ) -> Self:
        """From presentation forms, names in them absolute; Malformed. What is present need not be named absent."""
        try:
            kind = dns.rdatatype.from_text(rdtype)
            there = frozenset(dns.rdata.from_text(dns.rdataclass.IN, kind, text).to_digestable() for text in present)
            gone = frozenset(dns.rdata.from_text(dns.rdataclass.IN, kind, text).to_digestable() for text in absent)
            owner = dns.name.from_text(name)
        except (dns.exception.DNSException, ValueError) as error:
            raise Malformed(f"{name} {rdtype}: {error}") from None
        return cls(name=owner, rdtype=kind, present=there, absent=gone - there, exactly=exactly, ttl=ttl)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One server serves what it should.

    ttl: seconds a resolver may keep this answer; of a denial, what the SOA says. signed_until: when the first of its
    signatures ends. validated: the signatures were checked up to an anchor of the zone. records: all of the type at the
    name, in canonical form.
    """

    ttl: int
    signed_until: Moment
    validated: bool
    records: frozenset[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lacking:
    """One server does not, or could not be asked. detail: for people."""

    lack: Lack
    detail: str

    @property
    def is_undecided(self) -> bool:
        return self.lack in UNDECIDED_LACKS

    def __str__(self) -> str:
        return self.detail


@dataclass(frozen=True, slots=True)
class ZoneSight:
    """The zone as one server shows it.

    anchors: at the zone's own name, or None to look at dates alone. dnskeys: the server's reply to a question for them.
    """

    zone: Key
    anchors: TrustAnchors | None = None
    dnskeys: Reply = field(default_factory=lambda: Failure("its DNSKEY records were not asked for"))
    _store: EvidenceCache = field(default_factory=lambda: EvidenceCache(entries=16), init=False, repr=False)

    def judge(self, response: Response, wanted: Wanted, *, now: Moment) -> Seen | Lacking:
        """Hold the server's response to the question for the name and type of `wanted` against it."""
        lame = lame_because(response)
        if lame is not None:
            return lame
        key = key_of(wanted.name)
        alias = find(response.answer, key, _CNAME) if wanted.rdtype != _CNAME else None
        if alias is not None and wanted.present:
            return Lacking(lack=Lack.ALIAS, detail=f"an alias (CNAME {alias.rdatas[0].to_text()}) stands there")
        rrset = alias or find(response.answer, key, wanted.rdtype)
        seen = self._signed(response, rrset, wanted, now)
        expanded = rrset is not None and _is_expanded(rrset)
        records = frozenset[bytes]()
        if rrset is not None and alias is None and not expanded:
            records = frozenset(rdata.to_digestable() for rdata in rrset.rdatas)
        # What it serves says more to people than how it is signed, so a stale answer is told first.
        wrong = _differs_because(records, wanted, None if rrset is None else rrset.ttl)
        if wrong is not None:
            return wrong
        if isinstance(seen, Lacking):
            return seen
        ttl = rrset.ttl if rrset is not None else response.negative_ttl or 0
        signed_until, validated = seen
        return Seen(ttl=ttl, signed_until=signed_until, validated=validated, records=records)

    def _signed(
        self, response: Response, rrset: RRset | None, wanted: Wanted, now: Moment
    ) -> tuple[Moment, bool] | Lacking:
        """When the signatures over the records, or over their denial, end; and whether a validator found them good."""
        proofs = list(response.authority.values()) if rrset is None else [rrset]
        if not proofs or not all(proof.signatures for proof in proofs):
            subject = "the records" if rrset is not None else "the denial"
            return Lacking(lack=Lack.UNSIGNED, detail=f"no signature over {subject}")
        if self.anchors is None:
            return self._dated(proofs, now)
        asked = wanted.rdtype if rrset is None else rrset.rdtype
        answer = self._validated(response, wanted.name, asked, now)
        if answer.security is Security.SECURE and answer.earliest_expiry is not None:
            return answer.earliest_expiry, True
        if answer.security is Security.INSECURE:
            # An opt-out span, or keys of no supported algorithm: nothing is proved, and nothing is wrong.
            return self._dated(proofs, now)
        lack = Lack.SIGNATURE if answer.security is Security.BOGUS else Lack.UNJUDGED
        return Lacking(lack=lack, detail=answer.detail)

    def _validated(
        self, response: Response, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, now: Moment
    ) -> Answer:
        assert self.anchors is not None
        own = Question(key_of(name), rdtype)
        keys = Question(self.zone, _DNSKEY)

        def said(question: Question) -> Reply:
            if question == own:
                return response
            return self.dnskeys if question == keys else Failure("the answer leads out of the zone")

        return validate(Validation(name, rdtype, anchors=self.anchors, now=now, store=self._store), said)

    def _dated(self, proofs: Iterable[RRset], now: Moment) -> tuple[Moment, bool] | Lacking:
        """Of every RRset the signature of the zone that lasts longest; the first of these to end."""
        first_end = float("inf")
        for rrset in proofs:
            ends = []
            for signature in rrset.signatures:
                inception, end = moment_of(signature.inception, now), moment_of(signature.expiration, now)
                if signature.signer == self.zone and inception <= now <= end:
                    ends.append(end)
            if not ends:
                dates = ", ".join(sorted({iso(moment_of(made.expiration, now)) for made in rrset.signatures}))
                return Lacking(lack=Lack.SIGNATURE, detail=f"no signature of the zone holds now (they end {dates})")
            first_end = min(first_end, max(ends))
        return first_end, False


def lame_because(response: Response) -> Lacking | None:
    """Why a response is no answer of an authoritative server of the zone."""
    rcode = response.rcode
    if rcode in _NOT_ITS_ZONE:
        return Lacking(lack=Lack.LAME, detail=f"says {dns.rcode.to_text(dns.rcode.Rcode.make(rcode))}")
    if rcode not in _ANSWERING:
        return Lacking(lack=Lack.FAILED, detail=response.unusable_because or "gave no answer")
    if response.is_referral:
        return Lacking(lack=Lack.LAME, detail="refers to other servers")
    if not response.authoritative:
        return Lacking(lack=Lack.LAME, detail="answers without authority over the zone")
    return None


def _differs_because(records: frozenset[bytes], wanted: Wanted, ttl: int | None) -> Lacking | None:
    """How the record data or their TTL are not what they should be."""
    missing = wanted.present - records
    if missing:
        return Lacking(lack=Lack.STALE, detail=f"{len(missing)} of {len(wanted.present)} records are not there yet")
    left = records & wanted.absent
    if left:
        return Lacking(lack=Lack.STALE, detail=f"{len(left)} records that were removed are still there")
    others = records - wanted.present
    if wanted.exactly and others:
        return Lacking(lack=Lack.STALE, detail=f"{len(others)} records stand there that should not")
    if wanted.ttl is not None and wanted.present and ttl != wanted.ttl:
        return Lacking(lack=Lack.TTL, detail=f"the TTL is {ttl}, not {wanted.ttl}")
    return None


def _is_expanded(rrset: RRset) -> bool:
    """Whether a wildcard above made these records (RFC 4034 section 3.1.3): the name has none of its own then."""
    own = len(rrset.key) - (1 if rrset.key and rrset.key[-1] == b"*" else 0)
    return any(signature.labels < own for signature in rrset.signatures)
