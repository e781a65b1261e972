"""Any octets and any names: the authority answers or stays silent, and each denial denies exactly what it should."""

import dns.dnssec
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dnsbound.dns.anchors import TrustAnchors
from dnsbound.dns.answer import Outcome, Security
from dnsbound.dns.authority import Arrival, Authority, Transport
from dnsbound.dns.authority_zone import MemoryDirectory, MemoryZone, Zone
from dnsbound.dns.canonical import name_of
from dnsbound.dns.messages import Query, Question, Reply, Response
from dnsbound.dns.signer import ZoneKeys
from dnsbound.dns.validator import Validation, validate
from dnsbound.errors import Malformed

NOW = 1_800_000_000.0
ORIGIN = dns.name.from_text("cars.example.")
OLD = dns.name.from_text("old.cars.example.")
KEYS = ZoneKeys.generate(ORIGIN)
TCP = Arrival(source="192.0.2.1", transport=Transport.TCP, now=NOW)
UDP = Arrival(source="192.0.2.1", transport=Transport.UDP, now=NOW)
ANCHORS = TrustAnchors.from_text("".join(f"{ORIGIN} 60 IN DS {ds}\n" for ds in KEYS.ds()))
TYPES = dns.rdatatype.RdataType

RECORDS = {
    "a": ("A 192.0.2.1",),
    "c.b": ("TLSA 3 1 1 " + "ab" * 32,),
    "*.b": ("TLSA 2 0 1 " + "cd" * 32, "TXT wild"),
    "alias": ("CNAME c.b.cars.example.",),
    "*.alias.w": ("CNAME a.cars.example.",),
    "old": ("NS ns.old.cars.example.",),
    "b.c.a": ("TXT deep",),
}


def zone(origin: dns.name.Name) -> MemoryZone:
    soa = dns.rdata.from_text(dns.rdataclass.IN, TYPES.SOA, f"ns.{origin} hostmaster.{origin} 1 7200 3600 1209600 5")
    return MemoryZone(origin, soa=soa, name_servers=[dns.name.from_text("ns", origin)])


def made() -> Authority:
    data = zone(ORIGIN)
    for owner, texts in RECORDS.items():
        for text in texts:
            kind, _, rest = text.partition(" ")
            data.add(dns.name.from_text(owner, ORIGIN), 60, dns.rdata.from_text(dns.rdataclass.IN, kind, rest))
    return Authority(MemoryDirectory([Zone(data, KEYS), Zone(zone(OLD), None)]))


AUTHORITY = made()
CONTENT = AUTHORITY._zones.find(ORIGIN).data

QUERIES = [
    dns.message.make_query(f"{name}cars.example.", rdtype, want_dnssec=True).to_wire()
    for name in ("", "a.", "c.b.", "x.b.", "nope.", "y.old.")
    for rdtype in ("TLSA", "ANY", "DS", "AXFR", "RRSIG", "NSEC", "TYPE128")
]


@given(st.binary(max_size=600), st.sampled_from([TCP, UDP]))
@example(b"\x00" * 12, UDP)
@example(b"\x00" * 5 + b"\x01" + b"\x00" * 6, UDP)
def test_any_octets_are_answered_or_not(octets: bytes, arrival: Arrival) -> None:
    well_formed(octets, AUTHORITY.respond(octets, arrival), arrival)


@given(
    st.sampled_from(QUERIES),
    st.lists(st.tuples(st.integers(0, 100), st.integers(0, 255)), max_size=6),
    st.integers(0, 100),
    st.binary(max_size=30),
    st.sampled_from([TCP, UDP]),
)
def test_damaged_queries_are_answered_or_not(
    query: bytes, changes: list[tuple[int, int]], cut: int, more: bytes, arrival: Arrival
) -> None:
    octets = bytearray(query)
    for place, value in changes:
        octets[place % len(octets)] = value
    damaged = bytes(octets[: len(octets) - cut % 20]) + more
    well_formed(damaged, AUTHORITY.respond(damaged, arrival), arrival)


def well_formed(octets: bytes, response: bytes | None, arrival: Arrival) -> None:
    if response is None:
        assert len(octets) < 12 or octets[2] & 0x80
        return
    assert response[:2] == octets[:2]
    assert response[2] & 0x80
    assert len(response) <= (1232 if arrival.transport is Transport.UDP else 65535)
    dns.message.from_wire(response)


LABELS = st.one_of(
    st.sampled_from([b"a", b"b", b"c", b"*", b"alias", b"w", b"old", b"ns", b"A", b"\x00", b"\xff" * 63, b"x.y"]),
    st.binary(min_size=1, max_size=63),
)
ASKED = st.sampled_from(
    [TYPES.TLSA, TYPES.A, TYPES.TXT, TYPES.NS, TYPES.DS, TYPES.CNAME, TYPES.MX, TYPES.SOA, TYPES.NSEC]
)


@st.composite
def names(draw: st.DrawFn) -> dns.name.Name:
    name = ORIGIN
    for label in draw(st.lists(LABELS, max_size=6)):
        try:
            name = dns.name.Name([label]).concatenate(name)
        except dns.exception.DNSException:
            break
    return name


@settings(deadline=None, max_examples=300)
@given(names(), ASKED)
@example(dns.name.from_text("c.b.cars.example."), TYPES.TLSA)
@example(dns.name.from_text("x.y.b.cars.example."), TYPES.TLSA)
@example(dns.name.from_text("\\000.cars.example."), TYPES.A)
@example(dns.name.from_text("x.alias.w.cars.example."), TYPES.A)
@example(dns.name.from_text("\\000.b.cars.example."), TYPES.TXT)
@example(dns.name.from_text("x.w.cars.example."), TYPES.NSEC)
@example(dns.name.from_text("b.cars.example."), TYPES.NSEC)
def test_our_validator_agrees_with_the_content(name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> None:
    answer = validate(Validation(name, rdtype, anchors=ANCHORS, now=NOW), look_up)
    expected = outcome(name, rdtype)
    if (name, rdtype) == (ORIGIN, TYPES.DS):  # the parent's to say, and no anchor covers the parent
        assert answer.security is Security.INDETERMINATE
        return
    if expected is None:
        assert answer.security is Security.INSECURE
        return
    assert (answer.security, answer.outcome) == (Security.SECURE, expected), answer.detail


def look_up(asked: Question) -> Reply:
    octets = AUTHORITY.respond(Query(7, name_of(asked.key), asked.rdtype).to_wire(), TCP)
    assert octets is not None
    try:
        return Response.from_wire(octets, source="the authority")
    except Malformed as error:
        raise AssertionError("the authority's own response does not parse") from error


def outcome(name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> Outcome | None:
    """What a plain reading of RFC 1034 and RFC 4592 makes of the content, written apart from the authority's code.

    None: below an insecure delegation."""
    if name.is_subdomain(OLD):
        return Outcome.NODATA if (name, rdtype) == (OLD, TYPES.DS) else None
    owners = {dns.name.from_text(owner, ORIGIN) for owner in RECORDS} | {ORIGIN}
    existing = {ancestor for owner in owners for ancestor in ancestors(owner)}
    source = name
    if name not in existing:
        encloser = next(ancestor for ancestor in ancestors(name) if ancestor in existing)
        source = dns.name.Name([b"*"]).concatenate(encloser)
        if source not in existing:
            return Outcome.NXDOMAIN
    if rdtype == TYPES.NSEC:  # every name that exists has one (RFC 9824), and so has what is made from a wildcard
        return Outcome.RECORDS
    node = set(CONTENT.lookup(source) or ())
    if source == ORIGIN:
        node.add(TYPES.DNSKEY)
    if rdtype in node:
        return Outcome.RECORDS
    if TYPES.CNAME in node:
        return outcome(CONTENT.lookup(source)[TYPES.CNAME][0].target, rdtype)
    return Outcome.NODATA


def ancestors(name: dns.name.Name) -> list[dns.name.Name]:
    """The name itself and what is above it, down to the origin."""
    return [name.split(depth)[1] for depth in range(len(name), len(ORIGIN) - 1, -1)]
