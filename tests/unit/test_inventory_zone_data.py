"""The authority over the inventory: what is published is served at the next query, whoever published it."""

import hashlib
import subprocess
import sys

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import text

from dnsbound.dns.authority import Arrival, Authority, Transport
from dnsbound.dns.signer import ZoneKey, ZoneKeys
from dnsbound.errors import Malformed, Misuse
from dnsbound.names import ClientName
from dnsbound.provision.entries import Record, ZoneSettings
from dnsbound.provision.errors import InventoryFailed
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.zone_data import InventoryZones
from dnsbound.records.tlsa import TLSA

NOW = 1_800_000_000.0
CAR = ClientName.parse("car54._device.cars.example")
ZONE = OwnerName.parse("cars.example")
ACT = {"now": NOW, "actor": "operations"}


def load_keys(origin, path):
    return ZoneKeys.parse_pem(origin, path.read_bytes())


@pytest.fixture
def inventory(tmp_path, database_url, monkeypatch):
    # Notifications arrive when they arrive, mostly before the next question: here the server is asked each time.
    monkeypatch.setattr("dnsbound.provision.postgresql_watch.ASK_SECONDS", 0.0)
    with Inventory.open(database_url, create=True) as opened:
        create_zone(opened, tmp_path, "cars.example")
        yield opened


@pytest.fixture
def zones(inventory):
    served = InventoryZones(inventory, load_keys)
    yield served
    served.close()


@pytest.fixture
def ask(zones):
    authority = Authority(zones)

    def asked(name, rdtype="TLSA", *, dnssec=False):
        query = dns.message.make_query(name, rdtype, want_dnssec=dnssec)
        octets = authority.respond(query.to_wire(), Arrival(source="127.0.0.1", transport=Transport.TCP, now=NOW))
        return dns.message.from_wire(octets)

    return asked


def create_zone(inventory, tmp_path, name):
    zone = OwnerName.parse(name)
    settings = ZoneSettings(
        name=zone, nameservers=(OwnerName.parse(f"ns.{name}"),), rname=OwnerName.parse(f"admin.{name}"), ttl=2
    )
    inventory.zones.create(settings, **ACT)
    keys = ZoneKeys.generate(dns.name.from_text(name))
    write_keys(inventory, tmp_path, keys)
    return keys


def write_keys(inventory, tmp_path, keys):
    name = OwnerName.parse(keys.origin.to_text())
    path = tmp_path / f"{name}.pem"
    path.write_bytes(keys.to_pem())
    inventory.zones.set_keys(name, path, [ds.to_text() for ds in keys.ds()], **ACT)


def register(inventory, name=CAR):
    spki = (
        ec.generate_private_key(ec.SECP256R1())
        .public_key()
        .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    )
    record = TLSA(3, 1, 1, hashlib.sha256(spki).digest())
    inventory.identities.register(name, spki=spki, records=[record], ttl=2, **ACT)
    return record


def answers(response, rdtype="TLSA"):
    kind = dns.rdatatype.from_text(rdtype)
    return [record.to_text() for rrset in response.answer if rrset.rdtype == kind for record in rrset]


def test_publishing_and_revoking_count_at_the_next_query(inventory, ask):
    assert ask(CAR.text).rcode() == dns.rcode.NXDOMAIN
    record = register(inventory)
    assert answers(ask(CAR.text)) == [record.to_text()]
    assert answers(ask(CAR.text.upper())) == [record.to_text()]
    inventory.identities.revoke(CAR, **ACT)
    gone = ask(CAR.text)
    assert (answers(gone), gone.rcode()) == ([], dns.rcode.NXDOMAIN)


REVOKE = """
import sys
from dnsbound.names import ClientName
from dnsbound.provision.inventory import Inventory
with Inventory.open(sys.argv[1]) as inventory:
    inventory.identities.revoke(ClientName.parse(sys.argv[2]), now=1.0, actor="another process")
"""


def test_a_change_of_another_process_counts_at_the_next_query(inventory, database_url, ask):
    register(inventory)
    assert answers(ask(CAR.text))
    done = subprocess.run(
        [sys.executable, "-c", REVOKE, database_url, CAR.text], timeout=60, check=False, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert ask(CAR.text).rcode() == dns.rcode.NXDOMAIN


def test_apex(inventory, ask):
    [soa] = answers(ask("cars.example", "SOA"), "SOA")
    assert soa == f"ns.cars.example. admin.cars.example. {inventory.zones.named(ZONE).serial} 3600 600 604800 30"
    assert answers(ask("cars.example", "NS"), "NS") == ["ns.cars.example."]
    before = soa
    register(inventory)
    assert answers(ask("cars.example", "SOA"), "SOA") != [before]


def test_empty_non_terminals_exist(inventory, ask):
    register(inventory)
    empty = ask("_device.cars.example")
    assert (empty.rcode(), empty.answer) == (dns.rcode.NOERROR, [])
    assert ask("evice.cars.example").rcode() == dns.rcode.NXDOMAIN
    assert ask("r54._device.cars.example").rcode() == dns.rcode.NXDOMAIN


def test_addresses_aliases_and_wildcards(inventory, ask):
    for owner, rdtype, rdata in (
        ("api.cars.example", "A", "192.0.2.1"),
        ("api.cars.example", "AAAA", "2001:db8::1"),
        ("www.cars.example", "CNAME", "api.cars.example."),
        ("*.fleet.cars.example", "TLSA", f"2 0 1 {'ab' * 32}"),
    ):
        record = Record(owner=OwnerName.parse(owner, wildcard=True), rdtype=rdtype, rdata=rdata, ttl=2)
        inventory.zones.publish(record, **ACT)
    assert answers(ask("www.cars.example", "A"), "A") == ["192.0.2.1"]
    assert answers(ask("api.cars.example", "AAAA"), "AAAA") == ["2001:db8::1"]
    assert answers(ask("any.fleet.cars.example")) == [f"2 0 1 {'ab' * 32}"]


@pytest.mark.parametrize(
    "name", [r"a\.b.cars.example", r"\000.cars.example", r"\195\188.cars.example", r"a\032b.cars.example"]
)
def test_names_the_inventory_cannot_hold_do_not_exist(ask, name):
    assert ask(name).rcode() == dns.rcode.NXDOMAIN


def test_outside_its_zones_it_refuses(ask):
    assert ask("other.example").rcode() == dns.rcode.REFUSED


def test_zones_of_one_inventory_delegate_to_each_other(inventory, zones, ask, tmp_path):
    keys = create_zone(inventory, tmp_path, "sub.deep.cars.example")
    register(inventory, ClientName.parse("car1.sub.deep.cars.example"))
    assert answers(ask("sub.deep.cars.example", "DS"), "DS") == [ds.to_text() for ds in keys.ds()]
    assert ask("deep.cars.example").rcode() == dns.rcode.NOERROR
    assert answers(ask("car1.sub.deep.cars.example"))
    cut = dns.name.from_text("sub.deep.cars.example")
    parent = zones.find(dns.name.from_text("cars.example"))
    assert set(parent.data.lookup(cut)) == {dns.rdatatype.NS, dns.rdatatype.DS}
    child = zones.find(cut)
    assert {dns.rdatatype.SOA, dns.rdatatype.NS} == set(child.data.lookup(cut))


def test_a_new_zone_and_a_rolled_key_count_at_the_next_query(inventory, ask, tmp_path):
    assert ask("new.example", "SOA").rcode() == dns.rcode.REFUSED
    keys = create_zone(inventory, tmp_path, "new.example")
    assert len(answers(ask("new.example", "DNSKEY"), "DNSKEY")) == 1
    write_keys(inventory, tmp_path, keys.with_prepublished(ZoneKey.generate()))
    assert len(answers(ask("new.example", "DNSKEY"), "DNSKEY")) == 2


def test_answers_are_signed(inventory, ask):
    register(inventory)
    response = ask(CAR.text, dnssec=True)
    assert {rrset.rdtype for rrset in response.answer} == {dns.rdatatype.TLSA, dns.rdatatype.RRSIG}


@pytest.mark.parametrize("content", [None, b"", b"junk", b"\xff\xfe"])
def test_a_zone_whose_keys_cannot_be_read_is_never_served_unsigned(inventory, zones, tmp_path, content):
    path = tmp_path / "cars.example.pem"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    inventory.zones.set_keys(ZONE, path, [], **ACT)
    with pytest.raises(InventoryFailed if content is None else Malformed):
        zones.find(dns.name.from_text("cars.example"))


def test_nothing_is_read_again_while_nothing_changes(inventory, zones, monkeypatch):
    register(inventory)
    origin, name = dns.name.from_text("cars.example"), dns.name.from_text(CAR.text)
    first = zones.find(origin).data.lookup(name)

    def read(**_values):
        raise AssertionError("the database was read")

    monkeypatch.setattr(zones, "_records_at", read)
    assert zones.find(origin).data.lookup(name) is first


def test_the_memory_of_names_is_bounded(inventory):
    zones = InventoryZones(inventory, load_keys, cache=16)
    for number in range(40):
        register(inventory, ClientName.parse(f"car{number}.cars.example"))
    data = zones.find(dns.name.from_text("cars.example")).data
    for number in range(40):
        assert data.lookup(dns.name.from_text(f"car{number}.cars.example"))
        assert len(zones._nodes) <= 16
    for number in range(100):
        assert data.lookup(dns.name.from_text(f"random{number}.cars.example")) is None
        assert len(zones._absent) <= 16
    assert len(zones._nodes) <= 16
    zones.close()


def test_damage_while_serving_is_an_error_not_an_answer(inventory, zones):
    register(inventory)
    zones.find(dns.name.from_text("cars.example"))
    with inventory.database.writing() as connection:
        connection.execute(text("DROP TABLE records"))
    with pytest.raises(InventoryFailed):
        zones.find(dns.name.from_text("cars.example")).data.lookup(dns.name.from_text(CAR.text))


def test_absence_is_not_remembered_over_a_change(inventory, zones):
    data = zones.find(dns.name.from_text("cars.example")).data
    for _ in range(2):
        assert data.lookup(dns.name.from_text(CAR.text)) is None
    register(inventory)
    assert dns.rdatatype.TLSA in data.lookup(dns.name.from_text(CAR.text))


def test_a_watch_does_not_cross_a_fork(inventory, zones):
    import multiprocessing

    child = multiprocessing.get_context("fork").Process(target=expect_misuse, args=(zones,))
    child.start()
    child.join(30)
    assert child.exitcode == 0


def expect_misuse(zones):
    with pytest.raises(Misuse):
        zones.find(dns.name.from_text("cars.example"))
