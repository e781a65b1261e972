"""Queries to send and responses to read (RFC 1035 section 4, RFC 6891, RFC 4035 section 4.9).

Queries ask for DNSSEC records (DO) with checking disabled (CD), because the validation is done here; the AD bit is
neither sent nor ever looked at. Reading a response sorts its records into RRsets with their RRSIGs beside them. This is
no general DNS message library: updates, transfers and other classes than IN are not read.
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
import dns.rdtypes.ANY.RRSIG
import dns.wire

from dnsbound.dns.canonical import Key, key_of
from dnsbound.errors import Malformed

EDNS_PAYLOAD: Final = 1232
"""The UDP size that avoids fragmentation (RFC 9715 section 3.1)."""

_HEADER: Final = struct.Struct("!HHHHHH")
_RR_FIXED: Final = struct.Struct("!HHIH")
_QR: Final = 0x8000
_TC: Final = 0x0200
_RD: Final = 0x0100
_CD: Final = 0x0010
_OPCODE: Final = 0x7800
_DO: Final = 0x8000
_EXTENDED_ERROR: Final = 15

_OPT_RECORD: Final = b"\x00" + struct.pack("!HHIH", dns.rdatatype.OPT, EDNS_PAYLOAD, _DO, 0)


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

    def to_wire(self) -> bytes:
        question = self.name.to_wire()
        assert question is not None
        return (
            _HEADER.pack(self.id, _RD | _CD, 1, 0, 0, 1)
            + question
            + struct.pack("!HH", self.rdtype, dns.rdataclass.IN)
            + _OPT_RECORD
        )

    def answered_by(self, wire: bytes, *, exact_case: bool = False) -> bool:
        """Whether octets from the network claim to be the response to this query: id, QR, opcode, question.

        Anything else that arrives at a UDP socket is noise or a spoofing attempt and is passed over, not an error. A
        response that reports an error may leave the question out (RFC 1035 section 4.1.1, seen with FORMERR).
        """
        if len(wire) < 12:
            return False
        ident, flags, questions, *_ = _HEADER.unpack_from(wire)
        if ident != self.id or not flags & _QR or flags & _OPCODE:
            return False
        if questions == 0:
            return bool(flags & 0xF)
        asked = self.name.to_wire()
        assert asked is not None
        end = 12 + len(asked)
        if questions != 1 or len(wire) < end + 4:
            return False
        echoed = wire[12:end]
        same = echoed == asked if exact_case else echoed.lower() == asked.lower()
        return same and wire[end : end + 4] == struct.pack("!HH", self.rdtype, dns.rdataclass.IN)


@dataclass(slots=True)
class RRset:
    """Records of one owner and type, and the RRSIGs over them that came along."""

    key: Key
    name: dns.name.Name
    rdtype: dns.rdatatype.RdataType
    ttl: int
    rdatas: list[dns.rdata.Rdata] = field(default_factory=list)
    signatures: list[dns.rdtypes.ANY.RRSIG.RRSIG] = field(default_factory=list)


Section = dict[tuple[Key, int], RRset]


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A response as it was read; nothing in it is trusted. source: such as `the resolver at 192.0.2.1`, for people."""

    source: str
    rcode: int
    truncated: bool = False
    answer: Section = field(default_factory=dict)
    authority: Section = field(default_factory=dict)
    extended_error: str = ""
    """RFC 8914: code and text the server gave, made printable; empty without."""

    @classmethod
    def from_wire(cls, wire: bytes, *, source: str) -> Self:
        """Read a response; any octets give a Response or Malformed."""
        try:
            return cls._read(wire, source)
        except (dns.exception.DNSException, struct.error, ValueError, IndexError) as error:
            raise Malformed(f"DNS message from {source}: {type(error).__name__}: {error}") from None

    @classmethod
    def _read(cls, wire: bytes, source: str) -> Self:
        if len(wire) < 12:
            raise Malformed(f"DNS message from {source} is cut short", len(wire))
        _, flags, questions, answers, authorities, additionals = _HEADER.unpack_from(wire)
        parser = dns.wire.Parser(wire, 12)
        for _ in range(questions):
            parser.get_name()
            parser.get_bytes(4)
        answer, _ = _read_section(parser, answers)
        authority, _ = _read_section(parser, authorities)
        truncated = bool(flags & _TC)
        rcode, extended_error = flags & 0xF, ""
        # Of a truncated message only the fact counts; what follows the cut may be any octets.
        if not truncated:
            _, opt = _read_section(parser, additionals, only_opt=True)
            if opt is not None:
                rcode |= (opt[0] >> 24) << 4
                extended_error = _extended_error(opt[1])
        return cls(
            source=source,
            rcode=rcode,
            truncated=truncated,
            answer=answer,
            authority=authority,
            extended_error=extended_error,
        )

    @property
    def rcode_text(self) -> str:
        return dns.rcode.to_text(dns.rcode.Rcode.make(self.rcode))

    @property
    def has_signatures(self) -> bool:
        return any(rrset.signatures for section in (self.answer, self.authority) for rrset in section.values())


@dataclass(frozen=True, slots=True)
class Failure:
    """No usable response to a question from any server. detail: for people, names the server and what happened."""

    detail: str


Reply = Response | Failure

_Opt = tuple[int, bytes]


def _read_section(parser: dns.wire.Parser, count: int, *, only_opt: bool = False) -> tuple[Section, _Opt | None]:
    section: Section = {}
    opt: _Opt | None = None
    for _ in range(count):
        name = parser.get_name()
        rdtype, rdclass, ttl, length = _RR_FIXED.unpack(parser.get_bytes(10))
        if rdtype == dns.rdatatype.OPT:
            opt = (ttl, parser.get_bytes(length))
        elif rdclass != dns.rdataclass.IN or only_opt:
            parser.get_bytes(length)
        else:
            with parser.restrict_to(length):
                rdata = dns.rdata.from_wire_parser(dns.rdataclass.IN, rdtype, parser)
            add_record(section, name, ttl, rdata)
    return section, opt


def add_record(section: Section, name: dns.name.Name, ttl: int, rdata: dns.rdata.Rdata) -> None:
    """Put one record into its RRset; an RRSIG goes beside the records it covers."""
    if ttl > 0x7FFFFFFF:
        ttl = 0  # RFC 2181 section 8
    signature = rdata if isinstance(rdata, dns.rdtypes.ANY.RRSIG.RRSIG) else None
    rdtype = rdata.rdtype if signature is None else signature.type_covered
    key = key_of(name)
    rrset = section.get((key, rdtype))
    if rrset is None:
        rrset = section[key, rdtype] = RRset(key, name, dns.rdatatype.RdataType.make(rdtype), ttl)
    if signature is None:
        rrset.ttl = min(rrset.ttl, ttl)
        rrset.rdatas.append(rdata)
    else:
        rrset.signatures.append(signature)


def find(section: Section, key: Key, rdtype: int) -> RRset | None:
    """The RRset with records; RRSIGs alone are none."""
    rrset = section.get((key, rdtype))
    return rrset if rrset is not None and rrset.rdatas else None


def _extended_error(options: bytes) -> str:
    """The first Extended DNS Error of an OPT record, printable and short; options that do not parse are ignored."""
    at = 0
    while at + 4 <= len(options):
        code, length = struct.unpack_from("!HH", options, at)
        data = options[at + 4 : at + 4 + length]
        at += 4 + length
        if code == _EXTENDED_ERROR and len(data) >= 2:
            text = data[2:].decode("utf-8", "replace")
            shown = "".join(character for character in text if character.isprintable())[:200]
            return f"{int.from_bytes(data[:2], 'big')} {shown}".rstrip()
    return ""
