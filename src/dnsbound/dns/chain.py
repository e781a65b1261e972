"""DNSSEC authentication chains (RFC 9102): the records that prove one answer, carried as one block of octets.

Parsed here, judged by the same validator as everything else and at an explicit moment. Records without a signature are
discarded (section 11): what is not signed proves nothing, and that a zone is unsigned is shown by its parent.
This is the format alone; the TLS extension that carries it belongs to the TLS floor.
"""

import struct
from dataclasses import dataclass, field
from typing import Final, Self

import dns.exception
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.wire
from dns.rdtypes.ANY.RRSIG import RRSIG

from dnsbound.dns.anchors import TrustAnchors
from dnsbound.dns.answer import Answer, Provenance
from dnsbound.dns.messages import Question, Response, Section, add_record, read_rdata
from dnsbound.dns.policy import Policy
from dnsbound.dns.signatures import moment_of
from dnsbound.dns.validator import Validation, validate
from dnsbound.dns.zone_walk import TrustStore
from dnsbound.errors import LimitExceeded, Malformed
from dnsbound.limits import CARRIED_RECORDS
from dnsbound.times import Moment

SOURCE: Final = "the carried chain"
_DENIALS: Final = frozenset({dns.rdatatype.NSEC, dns.rdatatype.NSEC3})
_FIXED: Final = struct.Struct("!HHIH")

Record = tuple[dns.name.Name, int, dns.rdata.Rdata]
"""Owner, TTL, data."""


@dataclass(frozen=True, slots=True)
class AuthenticationChain:
    """An AuthenticationChain (RFC 9102 section 2.3): records in any order, class IN."""

    records: tuple[Record, ...]
    _answer: Section = field(default_factory=dict, compare=False, repr=False)
    _authority: Section = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        everything: Section = {}
        for name, ttl, rdata in self.records:
            add_record(everything, name.labels[:-1], ttl, rdata)
        for at, rrset in everything.items():
            if rrset.rdatas and rrset.signatures:
                # The youngest first: it shows best until when the records stood in their zone.
                rrset.signatures.sort(key=lambda signature: signature.inception, reverse=True)
                self._answer[at] = rrset
                if rrset.rdtype in _DENIALS:
                    self._authority[at] = rrset

    @classmethod
    def from_wire(cls, wire: bytes, *, records: int | None = None) -> Self:
        """Uncompressed wire-form records; Malformed otherwise. records: LimitExceeded above so many of them."""
        parser = dns.wire.Parser(wire)
        read: list[Record] = []
        try:
            while parser.remaining():
                if len(read) == records:
                    raise LimitExceeded(CARRIED_RECORDS.name, f"a chain of more than {records} records")
                read.append(_record(parser))
        except (dns.exception.DNSException, struct.error, ValueError, IndexError) as error:
            raise Malformed(f"DNSSEC chain: {type(error).__name__}: {error}", parser.current) from None
        if not read:
            raise Malformed("DNSSEC chain: no records")
        return cls(tuple(read))

    def to_wire(self) -> bytes:
        """The exact octets `from_wire` reads, names in the case they have here."""
        out = bytearray()
        for name, ttl, rdata in self.records:
            data = rdata.to_wire()
            owner = name.to_wire()
            assert owner is not None
            assert data is not None
            out += owner + _FIXED.pack(rdata.rdtype, rdata.rdclass, ttl, len(data)) + data
        return bytes(out)

    def window(self, near: Moment) -> tuple[Moment, Moment]:
        """From when until when all its signatures hold: the last inception and the first expiration, as they are meant
        near a moment (RFC 4034 section 3.1.5). Nothing is checked here."""
        times = [
            (moment_of(rdata.inception, near), moment_of(rdata.expiration, near))
            for _, _, rdata in self.records
            if isinstance(rdata, RRSIG)
        ]
        return max((begin for begin, _ in times), default=near), min((end for _, end in times), default=near)

    def reply(self, question: Question) -> Response:
        """What the chain says to any question: all it has, since its records come in no order."""
        del question
        return Response(
            source=SOURCE,
            rcode=dns.rcode.NOERROR,
            answer=self._answer,
            authority=self._authority,
            has_signatures=True,
        )

    def validate(
        self,
        name: dns.name.Name,
        rdtype: dns.rdatatype.RdataType,
        *,
        anchors: TrustAnchors,
        now: Moment,
        policy: Policy | None = None,
        store: TrustStore | None = None,
        every_cut: bool = False,
    ) -> Answer:
        """Judge what the chain says of a name and type at a moment. Provenance is CARRIED. every_cut: insist on a proof
        for each name at which a zone could begin, as some validators do and RFC 9102 does not."""
        validation = Validation(
            name,
            rdtype,
            anchors=anchors,
            now=now,
            policy=policy or Policy(),
            store=store,
            provenance=Provenance.CARRIED,
            every_cut=every_cut,
        )
        return validate(validation, self.reply)


@dataclass(frozen=True, slots=True)
class ChainExtension:
    """The server's extension data of dnssec_chain: support lifetime in hours, and the chain (RFC 9102 section 2)."""

    lifetime: int
    chain: AuthenticationChain

    @classmethod
    def from_wire(cls, data: bytes, *, records: int | None = None) -> Self:
        """Read extension data, with or without a length before the chain. records: LimitExceeded above so many of them.

        Section 2.3 declares a vector with a two-octet length, the octets of appendix A.1 have none. A length is taken
        for one only if it is exactly what remains and the rest parses.
        """
        if len(data) < 2:
            raise Malformed("dnssec_chain extension is cut short", len(data))
        lifetime, rest = int.from_bytes(data[:2], "big"), data[2:]
        if int.from_bytes(rest[:2], "big") == len(rest) - 2:
            try:
                return cls(lifetime, AuthenticationChain.from_wire(rest[2:], records=records))
            except Malformed:
                pass
        return cls(lifetime, AuthenticationChain.from_wire(rest, records=records))

    def to_wire(self) -> bytes:
        """As in appendix A.1, without a length."""
        return self.lifetime.to_bytes(2, "big") + self.chain.to_wire()


def _record(parser: dns.wire.Parser) -> Record:
    name = parser.get_name()
    rdtype, rdclass, ttl, length = _FIXED.unpack(parser.get_bytes(10))
    if rdclass != dns.rdataclass.IN:
        raise ValueError(f"record of class {rdclass}")
    return name, ttl, read_rdata(parser, dns.rdatatype.RdataType.make(rdtype), parser.current, length)
