"""The embedded authority's answers, each signature in them judged by dnspython's own verification."""

import dns.dnssec
import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest

from dnsbound.dns.authority import Arrival, Authority, Transport
from dnsbound.dns.authority_budget import SigningBudget
from dnsbound.dns.authority_zone import MemoryDirectory, MemoryZone, Zone
from dnsbound.dns.signer import ZoneKeys

NOW = 1_800_000_000.0
CARS = dns.name.from_text("cars.example.")
PLANT = dns.name.from_text("plant.cars.example.")
PLAIN = dns.name.from_text("plain.example.")
KEYS = ZoneKeys.generate(CARS)
PLANT_KEYS = ZoneKeys.generate(PLANT)
CAR = "car54._device.cars.example."
UDP = Arrival(source="192.0.2.1", transport=Transport.UDP, now=NOW)
TCP = Arrival(source="192.0.2.1", transport=Transport.TCP, now=NOW)
TYPES = dns.rdatatype.RdataType


def rdata(text: str) -> dns.rdata.Rdata:
    kind, _, rest = text.partition(" ")
    return dns.rdata.from_text(dns.rdataclass.IN, kind, rest)


def zone(origin: dns.name.Name, keys: ZoneKeys | None, **records: tuple[str, ...]) -> Zone:
    soa = rdata(f"SOA ns.{origin} hostmaster.{origin} 7 7200 3600 1209600 5")
    data = MemoryZone(origin, soa=soa, name_servers=[dns.name.from_text("ns", origin)])
    for owner, texts in records.items():
        for text in texts:
            data.add(dns.name.from_text(owner, origin), 60, rdata(text))
    return Zone(data, keys)


def authority(**options: object) -> Authority:
    cars = zone(
        CARS,
        KEYS,
        **{
            "ns": ("A 192.0.2.53",),
            "car54._device": ("TLSA 3 1 1 " + "ab" * 32,),
            "alias": (f"CNAME {CAR}",),
            "dangling": ("CNAME nowhere.cars.example.",),
            "below": ("CNAME robot.plant.cars.example.",),
            "away": ("CNAME host.plain.example.",),
            "loop1": ("CNAME loop2.cars.example.",),
            "loop2": ("CNAME loop1.cars.example.",),
            "*._user": ("TLSA 2 0 1 " + "cd" * 32,),
            "host": ("A 192.0.2.1", "AAAA 2001:db8::1", "TXT hello"),
            "plant": ("NS ns.plant.cars.example.", *(f"DS {ds}" for ds in PLANT_KEYS.ds())),
            "ns.plant": ("A 192.0.2.54",),
            "old": ("NS ns.old.cars.example.",),
            "ns.old": ("A 192.0.2.55",),
        },
    )
    plant = zone(PLANT, PLANT_KEYS, robot=("TLSA 3 1 1 " + "ef" * 32,))
    plain = zone(PLAIN, None, host=("A 192.0.2.9",))
    return Authority(MemoryDirectory([cars, plant, plain]), **options)


AUTHORITY = authority()
FLAG_CO = dns.flags.EDNSFlag.CO


def ask(
    name: str,
    rdtype: str = "TLSA",
    *,
    dnssec: bool = True,
    co: bool = False,
    arrival: Arrival = TCP,
    of: Authority = AUTHORITY,
    edns: bool = True,
    payload: int = 1232,
) -> dns.message.Message:
    query = dns.message.make_query(name, rdtype)
    if edns:
        query.use_edns(0, (dns.flags.DO if dnssec else 0) | (FLAG_CO if co else 0), payload)
    octets = of.respond(query.to_wire(), arrival)
    assert octets is not None
    response = dns.message.from_wire(octets)
    assert query.is_response(response)
    assert not response.flags & (dns.flags.RA | dns.flags.AD)
    return response


def records(response: dns.message.Message, section: str = "answer") -> dict[tuple[str, str], list[str]]:
    return {
        (rrset.name.to_text(), dns.rdatatype.to_text(rrset.rdtype)): sorted(rdata.to_text() for rdata in rrset)
        for rrset in getattr(response, section)
        if rrset.rdtype != TYPES.RRSIG
    }


def all_signed(response: dns.message.Message, keys: ZoneKeys = KEYS, *, but: tuple[str, ...] = ()) -> None:
    """Every RRset of the answer and authority sections has a signature that verifies; those of `but` have none."""
    trusted = {keys.origin: dns.rrset.from_rdata_list(keys.origin, 60, [key.dnskey for key in keys.keys])}
    for section in (response.answer, response.authority):
        for rrset in section:
            if rrset.rdtype == TYPES.RRSIG:
                continue
            signatures = [
                other
                for other in section
                if other.rdtype == TYPES.RRSIG and other.name == rrset.name and other.covers == rrset.rdtype
            ]
            if dns.rdatatype.to_text(rrset.rdtype) in but:
                assert signatures == []
                continue
            [rrsig] = signatures
            dns.dnssec.validate(rrset, rrsig, trusted, now=NOW)
            assert rrsig.ttl == rrset.ttl == rrsig[0].original_ttl


def the_nsec(response: dns.message.Message) -> tuple[str, str]:
    """Owner, and next name with the types, of the only NSEC there is."""
    [found] = [rrset for rrset in response.authority if rrset.rdtype == TYPES.NSEC]
    return found.name.to_text(), found[0].to_text()


def test_a_record_is_served_signed() -> None:
    response = ask(CAR)
    assert records(response) == {(CAR, "TLSA"): ["3 1 1 " + "ab" * 32]}
    assert response.flags & dns.flags.AA
    assert response.authority == []
    all_signed(response)


def test_without_do_nothing_of_dnssec_is_in_the_answer() -> None:
    for name in (CAR, "nope.cars.example.", "_device.cars.example.", "x._user.cars.example."):
        for edns in (True, False):
            response = ask(name, dnssec=False, edns=edns)
            types = {rrset.rdtype for rrset in (*response.answer, *response.authority)}
            assert types <= {TYPES.TLSA, TYPES.SOA}
            assert (response.edns == 0) == edns


def test_the_askers_spelling_comes_back() -> None:
    query = dns.message.make_query("cAr54._DeViCe.CARS.example.", "TLSA", want_dnssec=True)
    octets = AUTHORITY.respond(query.to_wire(), TCP)
    response = dns.message.from_wire(octets)
    assert response.question[0].name.labels[0] == b"cAr54"
    assert response.answer[0].name.labels[0] == b"cAr54"
    all_signed(response)
    denied = dns.message.from_wire(
        AUTHORITY.respond(dns.message.make_query("nOpE.cars.example.", "TLSA", want_dnssec=True).to_wire(), TCP)
    )
    all_signed(denied)


@pytest.mark.parametrize("rdtype", ["SOA", "NS", "DNSKEY"])
def test_the_apex(rdtype: str) -> None:
    response = ask("cars.example.", rdtype)
    assert list(records(response)) == [("cars.example.", rdtype)]
    all_signed(response)


def test_ns_brings_the_addresses_of_the_zones_own_servers() -> None:
    assert records(ask("cars.example.", "NS"), "additional") == {("ns.cars.example.", "A"): ["192.0.2.53"]}


# Denial (RFC 9824)


def test_a_name_that_does_not_exist() -> None:
    response = ask("nope.cars.example.")
    assert response.rcode() == dns.rcode.NOERROR
    assert response.flags & dns.flags.AA
    assert the_nsec(response) == ("nope.cars.example.", "\\000.nope.cars.example. RRSIG NSEC NXNAME")
    assert response.answer == []
    all_signed(response)


def test_its_rcode_is_nxdomain_for_those_who_set_co_and_the_flag_comes_back() -> None:
    response = ask("nope.cars.example.", co=True)
    assert response.rcode() == dns.rcode.NXDOMAIN
    assert response.ednsflags & FLAG_CO
    assert the_nsec(response)[1].endswith("RRSIG NSEC NXNAME")
    all_signed(response)
    assert not ask("nope.cars.example.").ednsflags & FLAG_CO


def test_its_rcode_is_nxdomain_for_those_who_do_not_ask_for_dnssec() -> None:
    assert ask("nope.cars.example.", dnssec=False).rcode() == dns.rcode.NXDOMAIN
    assert ask("nope.plain.example.").rcode() == dns.rcode.NXDOMAIN  # an unsigned zone has no compact denial


@pytest.mark.parametrize("co", [False, True])
def test_an_empty_non_terminal_exists(co: bool) -> None:
    for name in ("_device.cars.example.", "_user.cars.example."):
        response = ask(name, co=co)
        assert response.rcode() == dns.rcode.NOERROR
        assert the_nsec(response) == (name, f"\\000.{name} RRSIG NSEC")
        all_signed(response)
        assert ask(name, dnssec=False).rcode() == dns.rcode.NOERROR


def test_a_type_that_does_not_exist() -> None:
    response = ask(CAR, "A", co=True)
    assert response.rcode() == dns.rcode.NOERROR
    assert the_nsec(response) == (CAR, f"\\000.{CAR} RRSIG NSEC TLSA")
    all_signed(response)
    assert the_nsec(ask("host.cars.example."))[1] == "\\000.host.cars.example. A TXT AAAA RRSIG NSEC"
    assert the_nsec(ask("cars.example.", "MX"))[1] == "\\000.cars.example. NS SOA RRSIG NSEC DNSKEY"


def test_a_denial_may_be_kept_as_long_as_soa_minimum_says() -> None:
    assert {rrset.ttl for rrset in ask("nope.cars.example.").authority} == {5}


def test_the_longest_names_are_denied() -> None:
    label = "a" * 63
    name = f"{label}.{label}.{label}.{'b' * 47}.cars.example."
    assert len(dns.name.from_text(name).to_wire()) == 254
    response = ask(name)
    owner, rest = the_nsec(response)
    assert owner == name
    assert dns.name.from_text(rest.split(" ", maxsplit=1)[0]) > dns.name.from_text(name)
    all_signed(response)


# Aliases


def test_an_alias_within_the_zone_is_followed() -> None:
    response = ask("alias.cars.example.")
    assert records(response) == {
        ("alias.cars.example.", "CNAME"): [CAR],
        (CAR, "TLSA"): ["3 1 1 " + "ab" * 32],
    }
    all_signed(response)


def test_an_alias_itself_can_be_asked_for() -> None:
    assert list(records(ask("alias.cars.example.", "CNAME"))) == [("alias.cars.example.", "CNAME")]


def test_an_alias_to_nowhere_denies_its_target() -> None:
    response = ask("dangling.cars.example.", co=True)
    assert records(response) == {("dangling.cars.example.", "CNAME"): ["nowhere.cars.example."]}
    assert the_nsec(response)[0] == "nowhere.cars.example."
    assert response.rcode() == dns.rcode.NXDOMAIN  # RFC 6604 section 3: the code is that of the last name
    all_signed(response)


def test_an_alias_out_of_the_zone_ends_the_answer() -> None:
    response = ask("away.cars.example.", "A")
    assert list(records(response)) == [("away.cars.example.", "CNAME")]
    assert response.authority == []


def test_a_loop_of_aliases_ends() -> None:
    response = ask("loop1.cars.example.")
    assert list(records(response)) == [("loop1.cars.example.", "CNAME"), ("loop2.cars.example.", "CNAME")]


def test_an_alias_into_a_zone_below_ends_in_a_referral() -> None:
    of = Authority(MemoryDirectory([AUTHORITY._zones.find(CARS)]))
    response = ask("below.cars.example.", of=of)
    assert list(records(response)) == [("below.cars.example.", "CNAME")]
    assert set(records(response, "authority")) == {("plant.cars.example.", "NS"), ("plant.cars.example.", "DS")}
    all_signed(response, but=("NS",))


# Wildcards


def test_a_wildcard_answers_visibly() -> None:
    response = ask("ann._user.cars.example.")
    assert records(response) == {("ann._user.cars.example.", "TLSA"): ["2 0 1 " + "cd" * 32]}
    [rrsig] = [rrset[0] for rrset in response.answer if rrset.rdtype == TYPES.RRSIG]
    assert rrsig.labels == 3
    all_signed(response)


def test_a_wildcard_comes_with_proof_that_no_closer_name_exists() -> None:
    response = ask("desk.ann._user.cars.example.")
    owner, rest = the_nsec(response)
    next_name = dns.name.from_text(rest.split(" ", maxsplit=1)[0])
    for name in ("ann._user.cars.example.", "desk.ann._user.cars.example.", "zz.ann._user.cars.example."):
        assert dns.name.from_text(owner) < dns.name.from_text(name) < next_name
    for name in ("_user.cars.example.", "*._user.cars.example.", "annb._user.cars.example."):
        assert not dns.name.from_text(owner) < dns.name.from_text(name) < next_name
    assert rest.endswith(" RRSIG NSEC")
    all_signed(response)


def test_a_wildcard_without_the_type() -> None:
    response = ask("ann._user.cars.example.", "A", co=True)
    assert response.rcode() == dns.rcode.NOERROR
    nsecs = {rrset.name.to_text(): rrset[0].to_text() for rrset in response.authority if rrset.rdtype == TYPES.NSEC}
    assert nsecs.pop("*._user.cars.example.") == "\\000.*._user.cars.example. RRSIG NSEC TLSA"
    assert len(nsecs) == 1
    all_signed(response)


def test_a_wildcard_does_not_reach_below_names_that_exist() -> None:
    of = authority()
    cars = of._zones.find(CARS)
    cars.data.add(dns.name.from_text("desk.ann._user", CARS), 60, rdata("TXT hello"))
    assert the_nsec(ask("x.ann._user.cars.example.", of=of))[1].endswith("NXNAME")
    assert the_nsec(ask("ann._user.cars.example.", of=of))[1].endswith("RRSIG NSEC")
    assert records(ask("box7._user.cars.example.", of=of)) != {}


# Delegations


def test_a_signed_delegation() -> None:
    of = Authority(MemoryDirectory([AUTHORITY._zones.find(CARS)]))
    response = ask("robot.plant.cars.example.", of=of)
    assert not response.flags & dns.flags.AA
    assert response.answer == []
    assert set(records(response, "authority")) == {("plant.cars.example.", "NS"), ("plant.cars.example.", "DS")}
    assert records(response, "additional") == {("ns.plant.cars.example.", "A"): ["192.0.2.54"]}
    all_signed(response, but=("NS",))


def test_an_unsigned_delegation_proves_that_there_is_no_ds() -> None:
    response = ask("www.old.cars.example.")
    assert not response.flags & dns.flags.AA
    assert the_nsec(response) == ("old.cars.example.", "old\\000.cars.example. NS RRSIG NSEC")
    all_signed(response, but=("NS",))


def test_ds_is_the_parents() -> None:
    response = ask("plant.cars.example.", "DS")
    assert response.flags & dns.flags.AA
    assert list(records(response)) == [("plant.cars.example.", "DS")]
    all_signed(response)
    denied = ask("old.cars.example.", "DS")
    assert denied.flags & dns.flags.AA
    assert the_nsec(denied)[1] == "old\\000.cars.example. NS RRSIG NSEC"
    all_signed(denied)


def test_the_child_denies_its_ds_when_the_parent_is_not_here() -> None:
    response = ask("cars.example.", "DS")
    assert the_nsec(response) == ("cars.example.", "\\000.cars.example. NS SOA RRSIG NSEC DNSKEY")


def test_the_child_answers_where_both_are_here() -> None:
    response = ask("robot.plant.cars.example.")
    assert response.flags & dns.flags.AA
    all_signed(response, PLANT_KEYS)


def test_ds_through_a_referral_above_a_grandchild() -> None:
    of = Authority(MemoryDirectory([AUTHORITY._zones.find(CARS)]))
    response = ask("deeper.plant.cars.example.", "DS", of=of)
    assert not response.flags & dns.flags.AA
    assert ("plant.cars.example.", "NS") in records(response, "authority")


# Odd questions


@pytest.mark.parametrize("rdtype", ["AXFR", "IXFR"])
def test_no_transfers(rdtype: str) -> None:
    query = dns.message.make_query("cars.example.", rdtype)
    if rdtype == "IXFR":  # RFC 1995 section 3: the asker's SOA stands in the authority section
        query.authority.append(dns.rrset.from_text("cars.example.", 0, "IN", "SOA", ". . 1 0 0 0 0"))
    assert dns.message.from_wire(AUTHORITY.respond(query.to_wire(), TCP)).rcode() == dns.rcode.REFUSED


def test_refused_outside_the_zones_only() -> None:
    assert ask("www.example.net.").rcode() == dns.rcode.REFUSED
    assert ask("example.").rcode() == dns.rcode.REFUSED
    for rdtype in ("MX", "SRV", "TYPE65280", "HTTPS", "DNAME", "NSEC3", "CDS"):
        response = ask(CAR, rdtype)
        assert response.rcode() == dns.rcode.NOERROR
        all_signed(response)


def test_other_classes_are_refused() -> None:
    query = dns.message.make_query("version.bind.", "TXT", "CH")
    assert dns.message.from_wire(AUTHORITY.respond(query.to_wire(), TCP)).rcode() == dns.rcode.REFUSED


def test_any_is_answered_by_one_rrset() -> None:
    response = ask("host.cars.example.", "ANY")
    assert len(records(response)) == 1
    all_signed(response)
    assert the_nsec(ask("_device.cars.example.", "ANY"))[0] == "_device.cars.example."


def test_rrsig_asked_for_by_name_comes_alone() -> None:
    response = ask(CAR, "RRSIG", dnssec=False)
    assert [rrset.rdtype for rrset in response.answer] == [TYPES.RRSIG]
    assert response.answer[0].covers == TYPES.TLSA


def test_nsec_asked_for_by_name() -> None:
    response = ask(CAR, "NSEC")
    assert records(response) == {(CAR, "NSEC"): [f"\\000.{CAR} RRSIG NSEC TLSA"]}
    all_signed(response)
    assert the_nsec(ask("nope.cars.example.", "NSEC"))[1].endswith("NXNAME")


@pytest.mark.parametrize("rdtype", ["TYPE128", "TYPE200", "MAILB", "TKEY", "OPT"])
def test_types_that_cannot_be_in_a_zone_are_a_format_error(rdtype: str) -> None:
    response = ask(CAR, rdtype)
    assert response.rcode() == dns.rcode.FORMERR
    [error] = response.options
    assert isinstance(error, dns.edns.EDEOption)
    assert error.code == dns.edns.EDECode.INVALID_QUERY_TYPE


def test_another_edns_version() -> None:
    query = dns.message.make_query(CAR, "TLSA")
    query.use_edns(1, dns.flags.DO, 1232)
    response = dns.message.from_wire(AUTHORITY.respond(query.to_wire(), TCP))
    assert (response.rcode(), response.edns, response.answer) == (dns.rcode.BADVERS, 0, [])


@pytest.mark.parametrize("opcode", [dns.opcode.NOTIFY, dns.opcode.UPDATE, dns.opcode.STATUS, dns.opcode.IQUERY])
def test_other_opcodes(opcode: dns.opcode.Opcode) -> None:
    query = dns.message.make_query("cars.example.", "SOA")
    octets = bytearray(query.to_wire())
    octets[2] = (octets[2] & 0x87) | (opcode << 3)
    response = AUTHORITY.respond(bytes(octets), TCP)
    assert response is not None
    assert response[:2] == bytes(octets[:2])
    assert response[2] & 0x80
    assert response[3] & 15 == dns.rcode.NOTIMP


def test_octets_that_are_no_query() -> None:
    query = dns.message.make_query(CAR, "TLSA").to_wire()
    assert AUTHORITY.respond(b"", UDP) is None
    assert AUTHORITY.respond(query[:11], UDP) is None
    assert AUTHORITY.respond(query[:2] + b"\x80" + query[3:], UDP) is None  # a response: answering makes loops
    for broken in (
        query[:20],
        query + b"\x00",
        query[:5] + b"\x02" + query[6:],
        query[:5] + b"\x00" + query[6:12],
        query[:7] + b"\x01" + query[8:],
        query + bytes(5000),
        query[:12] + b"\xc0\x0c" + query[-4:],
    ):
        response = AUTHORITY.respond(broken, UDP)
        assert response is not None
        assert len(response) == 12
        assert response[3] & 15 == dns.rcode.FORMERR


# Sizes and floods


def test_udp_answers_fit_and_say_so_when_they_do_not() -> None:
    of = authority()
    cars = of._zones.find(CARS)
    for number in range(40):
        cars.data.add(dns.name.from_text("many", CARS), 60, rdata(f"TLSA 3 1 1 {number:064x}"))
    for edns, payload, most in ((False, 0, 512), (True, 100, 512), (True, 1232, 1232), (True, 65535, 1232)):
        query = dns.message.make_query("many.cars.example.", "TLSA")
        if edns:
            query.use_edns(0, dns.flags.DO, payload)
        octets = of.respond(query.to_wire(), UDP)
        assert len(octets) <= most
        response = dns.message.from_wire(octets)
        assert response.flags & dns.flags.TC
        assert response.answer == []
    whole = ask("many.cars.example.", of=of, arrival=TCP)
    assert not whole.flags & dns.flags.TC
    assert len(whole.answer[0]) == 40


def test_a_flood_of_random_names_meets_the_budget_and_tcp_does_not() -> None:
    of = authority(budget=SigningBudget(per_prefix=5))
    ask(CAR, of=of, arrival=UDP)
    answered = [ask(f"r{number}.cars.example.", of=of, arrival=UDP) for number in range(30)]
    truncated = [response for response in answered if response.flags & dns.flags.TC]
    assert len(truncated) == 30 - 8  # 10 in the bucket: one for the record, one for SOA
    assert all(response.answer == response.authority == [] for response in truncated)
    all_signed(ask("other.cars.example.", of=of, arrival=TCP))
    all_signed(ask(CAR, of=of, arrival=UDP))  # signed already: free
    near = Arrival(source="192.0.2.77", transport=Transport.UDP, now=NOW)
    assert ask("near.cars.example.", of=of, arrival=near).flags & dns.flags.TC
    far = Arrival(source="198.51.100.1", transport=Transport.UDP, now=NOW)
    all_signed(ask("far.cars.example.", of=of, arrival=far))
    later = Arrival(source="192.0.2.1", transport=Transport.UDP, now=NOW + 1)
    all_signed(ask("later.cars.example.", of=of, arrival=later))


def test_publishing_and_revoking_take_effect_at_the_next_query() -> None:
    of = authority()
    cars = of._zones.find(CARS)
    name = dns.name.from_text("new._device", CARS)
    assert the_nsec(ask("new._device.cars.example.", of=of))[1].endswith("NXNAME")
    cars.data.add(name, 60, rdata("TLSA 3 1 1 " + "11" * 32))
    assert len(records(ask("new._device.cars.example.", of=of))) == 1
    assert cars.data.remove(name)
    assert the_nsec(ask("new._device.cars.example.", of=of))[1].endswith("NXNAME")
    assert not cars.data.remove(name)
