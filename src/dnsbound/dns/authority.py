"""The embedded authority without input and output: a query's octets in, a response's octets out.

It answers for its zones from their newest content, signs online (`signer.py`), and denies by RFC 9824. It does not
transfer zones, take updates or NOTIFY, serve DNAME, or recurse. Outside its zones it says REFUSED; inside, every type
it does not hold gets a signed NODATA.

The response code for a name that does not exist is NOERROR for askers that set DO, unless they also set CO (RFC 9824
section 5.1: validators that do not know compact denial would take NXDOMAIN with such a proof for a broken chain), and
NXDOMAIN for everybody else.

Sections: RFC 1034, RFC 1035, RFC 2181, RFC 4035 section 3.1, RFC 6891 (EDNS), RFC 7766, RFC 8482 (ANY), RFC 9824.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from dnsbound.dns.authority_budget import SigningBudget
from dnsbound.dns.authority_lookup import Found, Item, find
from dnsbound.dns.authority_zone import Zone, ZoneDirectory, enclosing_zone
from dnsbound.dns.signer import Signer, Spend, free
from dnsbound.errors import LimitExceeded
from dnsbound.limits import DNS_QUERY_OCTETS, DNS_UDP_PAYLOAD

if TYPE_CHECKING:
    from dnsbound.times import Moment

_HEADER_OCTETS: Final = 12
_QR: Final = 0x80
_CLASSIC_UDP: Final = 512
_STREAM_OCTETS: Final = 65535
_DO_AND_CO: Final = dns.flags.DO | dns.flags.EDNSFlag.CO
_TYPES: Final = dns.rdatatype.RdataType
_REFUSED_TYPES: Final = frozenset({_TYPES.AXFR, _TYPES.IXFR})
_ANSWERED_METATYPES: Final = frozenset({_TYPES.ANY})


class Transport(enum.StrEnum):
    """How a query arrived."""

    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """Where a query came from, and when."""

    source: str
    """The address alone, without its port."""
    transport: Transport
    now: Moment


class Authority:
    """Answers for the zones of a directory.

    udp_payload: largest UDP response in octets (limits.DNS_UDP_PAYLOAD). budget: fresh signatures a source may cause.
    """

    def __init__(
        self,
        zones: ZoneDirectory,
        *,
        signer: Signer | None = None,
        budget: SigningBudget | None = None,
        udp_payload: int | None = None,
    ) -> None:
        self._zones = zones
        self._signer = signer or Signer()
        self._budget = budget or SigningBudget()
        self._udp_payload = DNS_UDP_PAYLOAD.checked(udp_payload)

    def respond(self, query: bytes, arrival: Arrival) -> bytes | None:
        """The response to one query; None for what deserves none (responses, fragments of a header)."""
        parsed = parse_query(query)
        if not isinstance(parsed, dns.message.QueryMessage):
            return parsed
        response, max_size = start_response(parsed, arrival.transport, self._udp_payload)
        refusal = unanswerable(parsed, response)
        if refusal is None:
            self._fill(parsed, response, arrival)
        return to_wire(response, max_size)

    def _fill(self, query: dns.message.QueryMessage, response: dns.message.Message, arrival: Arrival) -> None:
        question = query.question[0]
        zone = responsible_zone(self._zones, question.name, question.rdtype)
        if zone is None:
            response.set_rcode(dns.rcode.REFUSED)
            return
        dnssec = bool(query.ednsflags & dns.flags.DO)
        signed = dnssec or question.rdtype == _TYPES.RRSIG
        found = find(zone, question.name, question.rdtype, dnssec=signed)
        try:
            add_sections(response, found, question.rdtype, self._signer, now=arrival.now, spend=self._spend(arrival))
        except LimitExceeded:
            truncate(response)
            return
        if found.authoritative:
            response.flags |= dns.flags.AA
        set_denial_rcode(query, response, found, dnssec=dnssec and zone.keys is not None)

    def _spend(self, arrival: Arrival) -> Spend:
        if arrival.transport is not Transport.UDP:
            return free
        return lambda: self._budget.spend(arrival.source, now=arrival.now)


def parse_query(octets: bytes) -> dns.message.QueryMessage | bytes | None:
    """A query; or the error response that octets which are none deserve; or None where even that is too much."""
    if len(octets) < _HEADER_OCTETS or octets[2] & _QR:
        return None
    if len(octets) > DNS_QUERY_OCTETS.default:
        return bare_response(octets, dns.rcode.FORMERR)
    try:
        query = dns.message.from_wire(octets)
    except dns.exception.DNSException:
        return bare_response(octets, dns.rcode.FORMERR)
    if query.opcode() != dns.opcode.QUERY:
        return bare_response(octets, dns.rcode.NOTIMP)
    if not isinstance(query, dns.message.QueryMessage) or len(query.question) != 1:
        return bare_response(octets, dns.rcode.FORMERR)
    return query


def bare_response(octets: bytes, rcode: dns.rcode.Rcode) -> bytes | None:
    """A header alone: id, opcode and RD of the query, and an error; None for octets too few to be a query."""
    if len(octets) < _HEADER_OCTETS:
        return None
    flags = (octets[2] & 0x79) | _QR
    return octets[:2] + bytes((flags, int(rcode))) + bytes(8)


def start_response(
    query: dns.message.QueryMessage, transport: Transport, udp_payload: int
) -> tuple[dns.message.Message, int]:
    """An empty response with the question in the asker's spelling, and how many octets it may have."""
    response = dns.message.make_response(query, our_payload=udp_payload)
    response.flags &= dns.flags.QR | dns.flags.RD | dns.flags.CD
    if query.edns >= 0:
        response.use_edns(0, query.ednsflags & _DO_AND_CO, udp_payload)
    if transport is not Transport.UDP:
        return response, _STREAM_OCTETS
    asked = max(query.payload, _CLASSIC_UDP) if query.edns >= 0 else _CLASSIC_UDP
    return response, min(asked, udp_payload)


def unanswerable(query: dns.message.QueryMessage, response: dns.message.Message) -> dns.rcode.Rcode | None:
    """Set and return the error of a well-formed query that no zone content can answer."""
    question = query.question[0]
    rcode = None
    if query.edns > 0:
        rcode = dns.rcode.BADVERS
    elif question.rdclass != dns.rdataclass.IN or question.rdtype in _REFUSED_TYPES:
        rcode = dns.rcode.REFUSED
    elif question.rdtype == _TYPES.OPT or _is_unanswered_metatype(question.rdtype):
        # RFC 9824 section 3.5 for NXNAME; the same holds for every type that cannot be in a zone.
        rcode = dns.rcode.FORMERR
        if query.edns >= 0:
            error = dns.edns.EDEOption(dns.edns.EDECode.INVALID_QUERY_TYPE)
            response.use_edns(0, response.ednsflags, response.payload, options=[error])
    if rcode is not None:
        response.set_rcode(rcode)
    return rcode


def _is_unanswered_metatype(rdtype: dns.rdatatype.RdataType) -> bool:
    # RFC 6895 section 3.1: 128 to 255 are Q and meta types.
    return 128 <= rdtype <= 255 and rdtype not in _ANSWERED_METATYPES


def responsible_zone(zones: ZoneDirectory, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> Zone | None:
    """The deepest zone around `name`; for DS at an origin the parent, if it is here (RFC 4035 section 3.1.4.1)."""
    zone = enclosing_zone(zones, name)
    if zone is None or rdtype != _TYPES.DS or zone.origin != name or not len(name) > 1:
        return zone
    return enclosing_zone(zones, name.parent()) or zone


def add_sections(
    response: dns.message.Message,
    found: Found,
    rdtype: dns.rdatatype.RdataType,
    signer: Signer,
    *,
    now: Moment,
    spend: Spend = free,
) -> None:
    """Put what was found, and the signatures it needs, into the sections; LimitExceeded when `spend` says so."""
    sections = (
        (response.answer, found.answer),
        (response.authority, found.authority),
        (response.additional, found.additional),
    )
    for section, items in sections:
        for item in items:
            section.append(dns.rrset.from_rdata_list(item.owner, item.rdataset.ttl, list(item.rdataset)))
            signatures = _signatures(item, found.zone, signer, now=now, spend=spend)
            if signatures is not None:
                section.append(signatures)
    if rdtype == _TYPES.RRSIG:
        response.answer[:] = [rrset for rrset in response.answer if rrset.rdtype == _TYPES.RRSIG]


def _signatures(item: Item, zone: Zone, signer: Signer, *, now: Moment, spend: Spend) -> dns.rrset.RRset | None:
    if item.signed_as is None or zone.keys is None:
        return None
    made = signer.sign(item.signed_as, item.rdataset, zone.keys, now=now, spend=spend)
    return dns.rrset.from_rdata_list(item.owner, made.ttl, list(made)) if len(made) else None


def set_denial_rcode(
    query: dns.message.QueryMessage, response: dns.message.Message, found: Found, *, dnssec: bool
) -> None:
    """NXDOMAIN for a name that does not exist, unless the asker may take it for a broken proof."""
    understands = bool(query.ednsflags & dns.flags.EDNSFlag.CO)
    if not found.exists and (not dnssec or understands):
        response.set_rcode(dns.rcode.NXDOMAIN)


def truncate(response: dns.message.Message) -> None:
    """Leave the question and TC: ask again over TCP."""
    response.answer.clear()
    response.authority.clear()
    response.additional.clear()
    response.flags |= dns.flags.TC


def to_wire(response: dns.message.Message, max_size: int) -> bytes:
    """The octets; additional data is left out first, and TC is set when the rest does not fit."""
    for shorten in (_keep_all, _drop_additional, truncate):
        shorten(response)
        try:
            return response.to_wire(max_size=max_size)
        except dns.exception.TooBig:
            continue
    raise LimitExceeded(DNS_UDP_PAYLOAD.name, "a question alone does not fit")


def _keep_all(_response: dns.message.Message) -> None:
    return


def _drop_additional(response: dns.message.Message) -> None:
    # Additional data may be left out without TC (RFC 2181 section 9); glue of a referral may not (RFC 9471).
    if response.flags & dns.flags.AA:
        response.additional.clear()
