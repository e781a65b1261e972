"""Queries to send and responses to read (RFC 1035 section 4, RFC 6891, RFC 4035 section 4.9).

Queries ask for DNSSEC records (DO) with checking disabled (CD), because the validation is done here; the AD bit is
neither sent nor ever looked at. Reading a response sorts its records into RRsets with their RRSIGs beside them, and
leaves out what no validator needs. This is no general DNS message library: updates, transfers and other classes than IN
are not read.
"""

import struct
from dataclasses import dataclass, field
from typing import Any, Final, Self, TypeAlias

import dns.exception
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.wire
from dns.rdtypes.ANY.RRSIG import RRSIG

from dnsbound.dns.canonical import Key, canonical_forms
from dnsbound.dns.rrsig import Signature
from dnsbound.dns.wire_names import Labels, key_of_labels, read_name
from dnsbound.errors import Malformed

EDNS_PAYLOAD: Final = 1232
"""The UDP size that avoids fragmentation (RFC 9715 section 3.1)."""

_HEADER: Final = struct.Struct("!HHHHHH")
_RR_FIXED: Final = struct.Struct("!HHIH")
_QUESTION: Final = struct.Struct("!HH")
_IN: Final = int(dns.rdataclass.IN)
_QR: Final = 0x8000
_AA: Final = 0x0400
_TC: Final = 0x0200
_RD: Final = 0x0100
_CD: Final = 0x0010
_OPCODE: Final = 0x7800
_DO: Final = 0x8000
_EXTENDED_ERROR: Final = 15

_NS: Final = int(dns.rdatatype.NS)
_SOA: Final = int(dns.rdatatype.SOA)
_OPT: Final = int(dns.rdatatype.OPT)
_RRSIG: Final = int(dns.rdatatype.RRSIG)
_PROOFS: Final = frozenset({int(dns.rdatatype.NSEC), int(dns.rdatatype.NSEC3)})

_ANSWERING: Final = frozenset({dns.rcode.NOERROR, dns.rcode.NXDOMAIN})
_OPT_RECORD: Final = b"\x00" + _RR_FIXED.pack(_OPT, EDNS_PAYLOAD, _DO, 0)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: a name (by its Key) and a type, class IN."""

    key: Key
    rdtype: dns.rdatatype.RdataType


@dataclass(frozen=True, slots=True)
class Query:
    """One query on the wire. name: spelled as it is sent, so that a response can be held to it (case included)."""

    id: int
    name: dns.name.Name
    rdtype: dns.rdatatype.RdataType
    _question: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        name = self.name.to_wire()
        assert name is not None
        object.__setattr__(self, "_question", name + _QUESTION.pack(self.rdtype, _IN))

    def to_wire(self) -> bytes:
        return _HEADER.pack(self.id, _RD | _CD, 1, 0, 0, 1) + self._question + _OPT_RECORD

    def answered_by(self, wire: bytes, *, exact_case: bool = False) -> bool:
        """Whether octets from the network claim to be the response to this query: id, QR, opcode, question.

        Anything else that arrives at a UDP socket is noise or a spoofing attempt and is passed over, not an error. A
        response that reports an error may leave the question out (RFC 1035 section 4.1.1, seen with FORMERR); one that
        answers may not, and that no such name exists is an answer.
        """
        if len(wire) < _HEADER.size:
            return False
        ident, flags, questions, *_ = _HEADER.unpack_from(wire)
        if ident != self.id or not flags & _QR or flags & _OPCODE:
            return False
        if questions == 0:
            return flags & 0xF not in _ANSWERING
        asked = self._question
        echoed = wire[_HEADER.size : _HEADER.size + len(asked)]
        if questions != 1 or echoed[-4:] != asked[-4:]:
            return False
        return echoed == asked if exact_case else echoed.lower() == asked.lower()


@dataclass(slots=True)
class RRset:
    """Records of one owner and type, and the RRSIGs over them that came along. labels: the owner as it was spelled."""

    key: Key
    labels: Labels
    rdtype: dns.rdatatype.RdataType
    ttl: int
    rdatas: list[dns.rdata.Rdata] = field(default_factory=list)
    signatures: list[Signature] = field(default_factory=list)
    _forms: tuple[bytes, ...] | None = field(default=None, init=False, repr=False, compare=False)

    def forms(self) -> tuple[bytes, ...]:
        """`canonical_forms` of the records, made once however many signatures are tried; the set is complete then."""
        if self._forms is None:
            self._forms = canonical_forms(self.rdatas)
        return self._forms

    @property
    def name(self) -> dns.name.Name:
        return dns.name.Name((*self.labels, b""))


Section: TypeAlias = dict[tuple[Key, int], RRset]


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A response as it was read; nothing in it is trusted.

    source: such as `the resolver at 192.0.2.1`, for people. authoritative: the AA bit, which a zone's own servers alone
    set. authority: NSEC and NSEC3 records alone. negative_ttl: what the SOA record says of how long a denial may be
    kept (RFC 2308 section 5), None without one. has_signatures: some RRSIG came along. is_referral: it only names other
    servers to ask, so it is of no resolver. extended_error: RFC 8914, code and text, made printable; empty without.
    """

    source: str
    rcode: int
    truncated: bool = False
    authoritative: bool = False
    answer: Section = field(default_factory=dict)
    authority: Section = field(default_factory=dict)
    negative_ttl: int | None = None
    has_signatures: bool = False
    is_referral: bool = False
    extended_error: str = ""

    @classmethod
    def from_wire(cls, wire: bytes, *, source: str) -> Self:
        """Read a response; any octets give a Response or Malformed."""
        reader = _Reader(wire)
        try:
            return cls(source=source, **reader.read())
        except Malformed as malformed:
            raise Malformed(f"DNS message from {source}: {malformed.what}", malformed.offset) from None
        except (dns.exception.DNSException, struct.error, ValueError, IndexError) as error:
            raise Malformed(f"DNS message from {source}: {type(error).__name__}: {error}", reader.at) from None

    @property
    def unusable_because(self) -> str | None:
        """Why it answers nothing, for people, or None. No such response is ever a denial."""
        if self.rcode not in _ANSWERING:
            why = f" ({self.extended_error})" if self.extended_error else ""
            return f"says {dns.rcode.to_text(dns.rcode.Rcode.make(self.rcode))}{why}"
        if self.truncated:
            return "sent a truncated answer"
        if self.is_referral:
            return "refers to other servers instead of answering"
        return None


@dataclass(frozen=True, slots=True)
class Failure:
    """No usable response to a question from any server. detail: for people, names the server and what happened."""

    detail: str


Reply: TypeAlias = Response | Failure


def add_record(section: Section, labels: Labels, ttl: int, rdata: dns.rdata.Rdata) -> None:
    """Put one record into its RRset; an RRSIG goes beside the records it covers."""
    key = key_of_labels(labels)
    if isinstance(rdata, RRSIG):
        signature = Signature.from_rdata(rdata)
        _rrset(section, key, labels, signature.type_covered, ttl).signatures.append(signature)
    else:
        rrset = _rrset(section, key, labels, rdata.rdtype, ttl)
        rrset.ttl = min(rrset.ttl, ttl)
        rrset.rdatas.append(rdata)


def read_rdata(parser: dns.wire.Parser, rdtype: dns.rdatatype.RdataType, start: int, length: int) -> dns.rdata.Rdata:
    """Record data at an offset of a message; data that does not have its type's form is kept as plain octets.

    One TLSA record of a wrong length is unusable and spoils neither the set nor the signature over it (RFC 6698 section
    4.1). As plain octets it proves nothing: whoever reads keys, digests, aliases or denials looks for the type's class.
    """
    parser.seek(start)
    try:
        with parser.restrict_to(length):
            return dns.rdata.from_wire_parser(dns.rdataclass.IN, rdtype, parser)
    except (dns.exception.DNSException, ValueError):
        parser.seek(start)
        return dns.rdata.GenericRdata(dns.rdataclass.IN, rdtype, parser.get_bytes(length))


def find(section: Section, key: Key, rdtype: int) -> RRset | None:
    """The RRset with records; RRSIGs alone are none."""
    rrset = section.get((key, rdtype))
    return rrset if rrset is not None and rrset.rdatas else None


def _rrset(section: Section, key: Key, labels: Labels, rdtype: int, ttl: int) -> RRset:
    rrset = section.get((key, rdtype))
    if rrset is None:
        rrset = section[key, rdtype] = RRset(key, labels, dns.rdatatype.RdataType.make(rdtype), ttl)
    return rrset


class _Reader:
    """One pass over a message. at: how far it got."""

    def __init__(self, wire: bytes) -> None:
        self.at = _HEADER.size
        self._wire = wire
        self._parser = dns.wire.Parser(wire)
        self._signed = False
        self._negative_ttl: int | None = None
        self._names_servers = False
        self._opt: tuple[int, bytes] | None = None

    def read(self) -> dict[str, Any]:
        if len(self._wire) < _HEADER.size:
            raise Malformed("cut short", len(self._wire))
        _, flags, questions, answers, authorities, additionals = _HEADER.unpack_from(self._wire)
        for _ in range(questions):
            self.at = read_name(self._wire, self.at)[1] + _QUESTION.size
        rcode = flags & 0xF
        if flags & _TC:
            # Of a truncated message only the fact counts; what stands at the cut may be anything.
            return {"rcode": rcode, "truncated": True}
        answer, authority = self._section(answers), self._section(authorities, only=_PROOFS)
        self._section(additionals, only=frozenset())
        options = b""
        if self._opt is not None:
            rcode |= (self._opt[0] >> 24) << 4
            options = self._opt[1]
        return {
            "rcode": rcode,
            "authoritative": bool(flags & _AA),
            "answer": answer,
            "authority": authority,
            "negative_ttl": self._negative_ttl,
            "has_signatures": self._signed,
            "is_referral": not rcode and not answer and self._names_servers and self._negative_ttl is None,
            "extended_error": _extended_error(options),
        }

    def _section(self, count: int, only: frozenset[int] | None = None) -> Section:
        """The RRsets of one section; only: the types that are wanted of it, None for all."""
        section: Section = {}
        for _ in range(count):
            labels, at = read_name(self._wire, self.at)
            rdtype, rdclass, ttl, length = _RR_FIXED.unpack_from(self._wire, at)
            start = at + _RR_FIXED.size
            self.at = start + length
            if self.at > len(self._wire):
                raise Malformed("a record is cut short", start)
            if ttl > 0x7FFFFFFF:
                ttl = 0  # RFC 2181 section 8
            if rdtype == _OPT:
                self._opt = (ttl, self._wire[start : self.at])
            elif rdclass == _IN:
                self._record(section, only, (labels, rdtype, ttl, start))
        return section

    def _record(self, section: Section, only: frozenset[int] | None, record: tuple[Labels, int, int, int]) -> None:
        """Sort one record in. record: owner, type, TTL, offset of its data, which ends at `self.at`."""
        labels, rdtype, ttl, start = record
        length = self.at - start
        if rdtype == _RRSIG:
            signature = Signature.from_wire(self._wire, start, length)
            self._signed = True
            if only is None or signature.type_covered in only:
                key = key_of_labels(labels)
                _rrset(section, key, labels, signature.type_covered, ttl).signatures.append(signature)
        elif only is None or rdtype in only:
            rrset = _rrset(section, key_of_labels(labels), labels, rdtype, ttl)
            rrset.ttl = min(rrset.ttl, ttl)
            rrset.rdatas.append(read_rdata(self._parser, rrset.rdtype, start, length))
        elif rdtype == _NS and only is _PROOFS:
            self._names_servers = True
        elif rdtype == _SOA and length >= 4 and only is _PROOFS:
            # The minimum is the last field; names before it may be compressed and do not matter.
            minimum = int.from_bytes(self._wire[self.at - 4 : self.at], "big")
            self._negative_ttl = min(ttl, minimum)


def _extended_error(options: bytes) -> str:
    """The first Extended DNS Error of an OPT record, printable and short; options that do not parse are ignored."""
    at = 0
    while at + 4 <= len(options):
        code, length = _QUESTION.unpack_from(options, at)
        data = options[at + 4 : at + 4 + length]
        at += 4 + length
        if code == _EXTENDED_ERROR and len(data) >= 2:
            text = data[2:].decode("utf-8", "replace")
            shown = "".join(character for character in text if character.isprintable())[:200]
            return f"{int.from_bytes(data[:2], 'big')} {shown}".rstrip()
    return ""
