"""Zone content in memory: existence, placement, wildcard policy, concurrent change."""

import threading

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import pytest

from dnsbound.dns.authority_zone import EMPTY_NON_TERMINAL, MemoryDirectory, MemoryZone, Zone, enclosing_zone
from dnsbound.dns.signer import ZoneKeys
from dnsbound.errors import Misuse

CARS = dns.name.from_text("cars.example.")


def rdata(text: str) -> dns.rdata.Rdata:
    kind, _, rest = text.partition(" ")
    return dns.rdata.from_text(dns.rdataclass.IN, kind, rest)


def name(text: str) -> dns.name.Name:
    return dns.name.from_text(text, CARS)


@pytest.fixture
def data() -> MemoryZone:
    soa = rdata("SOA ns.cars.example. hostmaster.cars.example. 1 2 3 4 5")
    return MemoryZone(CARS, soa=soa, name_servers=[name("ns")])


def test_a_name_exists_empty_a_name_below_it_exists(data: MemoryZone) -> None:
    assert data.lookup(name("_device")) is None
    data.add(name("a.b._device"), 60, rdata("A 192.0.2.1"))
    data.add(name("c.b._device"), 60, rdata("A 192.0.2.1"))
    for empty in ("b._device", "_device"):
        assert data.lookup(name(empty)) == EMPTY_NON_TERMINAL
    data.remove(name("a.b._device"))
    assert data.lookup(name("_device")) == EMPTY_NON_TERMINAL
    data.remove(name("c.b._device"), dns.rdatatype.A)
    assert data.lookup(name("b._device")) is None
    assert data.lookup(name("_device")) is None


def test_records_gather_in_their_rrset(data: MemoryZone) -> None:
    data.add(name("host"), 60, rdata("A 192.0.2.1"))
    data.add(name("HOST"), 30, rdata("A 192.0.2.2"))
    data.add(name("host"), 30, rdata("A 192.0.2.2"))
    node = data.lookup(name("host"))
    assert node is not None
    assert (len(node[dns.rdatatype.A]), node[dns.rdatatype.A].ttl) == (2, 30)
    data.replace(name("host"), 9, [rdata("A 192.0.2.3")])
    assert [record.to_text() for record in data.lookup(name("host"))[dns.rdatatype.A]] == ["192.0.2.3"]


def test_removing_one_type_leaves_the_others(data: MemoryZone) -> None:
    data.add(name("host"), 60, rdata("A 192.0.2.1"))
    data.add(name("host"), 60, rdata("TXT hello"))
    assert data.remove(name("host"), dns.rdatatype.A)
    assert set(data.lookup(name("host"))) == {dns.rdatatype.TXT}
    assert not data.remove(name("host"), dns.rdatatype.A)


def test_soa_and_ns_of_the_origin_stay(data: MemoryZone) -> None:
    assert not data.remove(CARS)
    assert set(data.lookup(CARS)) == {dns.rdatatype.SOA, dns.rdatatype.NS}


@pytest.mark.parametrize(
    ("owner", "records"),
    [
        ("www.example.net.", ["A 192.0.2.1"]),
        ("host", ["DNSKEY 257 3 13 AAAA"]),
        ("host", ["NSEC host.cars.example. A"]),
        ("host", ["CNAME a.cars.example.", "CNAME b.cars.example."]),
        ("host", ["SOA a.cars.example. b.cars.example. 1 2 3 4 5"]),
        ("@", ["DS 1 13 2 " + "ab" * 32]),
        ("host", ["DNAME a.example."]),
        ("host", []),
        ("*.users", ["TLSA 3 1 1 " + "ab" * 32]),
        ("*", ["TLSA 2 0 1 " + "ab" * 32, "TLSA 1 1 1 " + "ab" * 32]),
        ("*.sub", ["NS ns.cars.example."]),
        ("alias", ["CNAME elsewhere"]),
    ],
)
def test_records_that_cannot_stand_there(data: MemoryZone, owner: str, records: list[str]) -> None:
    before = data.names()
    with pytest.raises(Misuse):
        data.replace(name(owner), 60, [rdata(record) for record in records])
    assert data.names() == before


def test_cname_stands_alone(data: MemoryZone) -> None:
    data.add(name("a"), 60, rdata("CNAME b.cars.example."))
    with pytest.raises(Misuse):
        data.add(name("a"), 60, rdata("A 192.0.2.1"))
    data.add(name("b"), 60, rdata("A 192.0.2.1"))
    with pytest.raises(Misuse):
        data.add(name("b"), 60, rdata("CNAME a.cars.example."))


def test_one_key_for_all_names_needs_the_danger_knob(data: MemoryZone) -> None:
    record = rdata("TLSA 3 1 1 " + "ab" * 32)
    data.add(name("*.users"), 60, record, danger_one_key_for_all_names=True)
    assert list(data.lookup(name("*.users"))[dns.rdatatype.TLSA]) == [record]
    data.add(name("*.groups"), 60, rdata("TLSA 2 0 1 " + "ab" * 32))


def test_keys_are_for_their_zone_alone(data: MemoryZone) -> None:
    with pytest.raises(Misuse):
        Zone(data, ZoneKeys.generate(name("other")))


def test_the_deepest_zone_encloses(data: MemoryZone) -> None:
    zone = Zone(data, None)
    zones = MemoryDirectory([zone])
    assert enclosing_zone(zones, name("a.b.c")) is zone
    assert enclosing_zone(zones, CARS) is zone
    assert enclosing_zone(zones, dns.name.from_text("example.")) is None
    assert enclosing_zone(zones, dns.name.root) is None
    zones.drop(CARS)
    assert enclosing_zone(zones, CARS) is None
    zones.put(zone)
    assert zones.all() == (zone,)


def test_changes_from_several_threads_are_all_kept(data: MemoryZone) -> None:
    def publish(thread: int) -> None:
        for number in range(200):
            data.add(name(f"car{number}.{thread}._device"), 60, rdata("TXT x"))
            data.add(name("shared"), 60, rdata(f"TXT {thread}-{number}"))

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(data.names()) == 1 + 1 + 4 * 200
    assert len(data.lookup(name("shared"))[dns.rdatatype.TXT]) == 800
