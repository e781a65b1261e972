"""The inventory: identities and zones, what it refuses to keep, and that it forgets nothing it should remember."""

import hashlib
import os
import re
import sqlite3
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from sqlalchemy import text

from dnsbound.errors import LimitExceeded, Malformed, Misuse
from dnsbound.names import ClientName
from dnsbound.provision import schema
from dnsbound.provision.entries import (
    IDENTITY_TRANSITIONS,
    IdentityState,
    Record,
    ZoneSettings,
)
from dnsbound.provision.errors import (
    AlreadyInInventory,
    InventoryFailed,
    InventoryMissing,
    NotInInventory,
    PrivateKeyRefused,
)
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.owner import OwnerName
from dnsbound.records.tlsa import TLSA

NOW = 1_800_000_000.0
CAR = ClientName.parse("car54._device.cars.example")
ZONE = OwnerName.parse("cars.example")


@pytest.fixture
def inventory(database_url):
    with Inventory.open(database_url, create=True) as opened:
        yield opened


@pytest.fixture
def in_file(tmp_path):
    with Inventory.open(tmp_path / "store" / "inventory.db", create=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def spki():
    return new_spki()


def new_spki():
    return (
        ec.generate_private_key(ec.SECP256R1())
        .public_key()
        .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    )


def digest(spki):
    return TLSA(3, 1, 1, hashlib.sha256(spki).digest())


def register(inventory, name=CAR, key=None, **changes):
    key = new_spki() if key is None else key
    given = {"spki": key, "records": [digest(key)], "ttl": 60, "now": NOW, "actor": "operations"} | changes
    return inventory.identities.register(name, **given)


def create_zone(inventory, name="cars.example", ttl=120):
    zone = OwnerName.parse(name)
    settings = ZoneSettings(
        name=zone,
        nameservers=(OwnerName.parse(f"ns1.{name}"), OwnerName.parse(f"ns2.{name}")),
        rname=OwnerName.parse(f"hostmaster.{name}"),
        ttl=ttl,
    )
    return inventory.zones.create(settings, now=NOW, actor="operations")


def publish(inventory, owner, rdtype, rdata, ttl=60):
    record = Record(owner=OwnerName.parse(owner), rdtype=rdtype, rdata=rdata, ttl=ttl)
    inventory.zones.publish(record, now=NOW, actor="operations")


def test_register_keeps_and_reads_back(inventory, spki):
    made = register(inventory, key=spki)
    assert made == inventory.identities.named(CAR)
    assert (made.name, made.spki, made.ttl, made.state) == (CAR, spki, 60, IdentityState.ACTIVE)
    assert (made.registered_at, made.revoked_at) == (NOW, None)
    [record] = made.records
    assert record.to_text() == f"car54._device.cars.example. 60 IN TLSA {digest(spki).to_text()}"


def test_names_are_one_name_in_any_case(inventory):
    register(inventory, ClientName.parse("Car54._DEVICE.cars.example"))
    with pytest.raises(AlreadyInInventory):
        register(inventory)
    assert inventory.identities.named(ClientName.parse("CAR54._device.cars.EXAMPLE")).name == CAR


def test_revoking_removes_every_way_in(inventory):
    create_zone(inventory)
    register(inventory)
    other = new_spki()
    publish(inventory, CAR.text, "TLSA", digest(other).to_text())
    revoked = inventory.identities.revoke(CAR, reason="stolen", now=NOW + 5, actor="night-shift")
    assert (revoked.state, revoked.revoked_at, revoked.records) == (IdentityState.REVOKED, NOW + 5, ())
    assert list(inventory.zones.records(ZONE)) == []
    with pytest.raises(NotInInventory):
        inventory.identities.revoke(CAR, now=NOW + 6, actor="night-shift")


def test_revoking_works_when_the_records_are_gone_already(inventory):
    create_zone(inventory)
    register(inventory)
    inventory.zones.withdraw(OwnerName.parse(CAR.text), "TLSA", now=NOW, actor="operations")
    assert inventory.identities.revoke(CAR, now=NOW, actor="operations").state is IdentityState.REVOKED


def test_a_revoked_name_may_be_registered_anew_and_the_old_key_stays_on_record(inventory):
    first, second = new_spki(), new_spki()
    register(inventory, key=first)
    inventory.identities.revoke(CAR, now=NOW + 1, actor="operations")
    register(inventory, key=second)
    assert inventory.identities.named(CAR).spki == second
    assert [one.spki for one in inventory.identities.all()] == [first, second]
    assert [one.spki for one in inventory.identities.all(state=IdentityState.REVOKED)] == [first]


def test_unknown_name(inventory):
    with pytest.raises(NotInInventory):
        inventory.identities.named(CAR)


def test_listing_below_a_name_takes_whole_labels(inventory):
    for name in ("a.cars.example", "b.a.cars.example", "a-.cars.example", "a.xcars.example", "cars.example"):
        register(inventory, ClientName.parse(name))
    listed = [one.name.text for one in inventory.identities.all(below=ZONE)]
    assert listed == ["cars.example", "a.cars.example", "a-.cars.example", "b.a.cars.example"]
    assert [one.name.text for one in inventory.identities.all(below=OwnerName.parse("a.cars.example"))] == [
        "a.cars.example",
        "b.a.cars.example",
    ]


def test_listing_crosses_batches(inventory, monkeypatch, spki):
    monkeypatch.setattr("dnsbound.provision.identities._BATCH", 3)
    names = [f"car{number}.cars.example" for number in range(10)]
    for name in names:
        register(inventory, ClientName.parse(name), key=spki)
    assert [one.name.text for one in inventory.identities.all()] == names
    assert all(len(one.records) == 1 for one in inventory.identities.all())


# What it refuses.


@pytest.mark.parametrize("make", [lambda: ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate])
@pytest.mark.parametrize("form", ["pkcs8", "traditional", "encrypted", "pem", "openssh"])
def test_private_keys_never_enter(in_file, make, form):
    inventory = in_file
    key = make()
    traditional = (
        PrivateFormat.TraditionalOpenSSL if isinstance(key, ec.EllipticCurvePrivateKey) else PrivateFormat.PKCS8
    )
    octets = {
        "pkcs8": lambda: key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
        "traditional": lambda: key.private_bytes(Encoding.DER, traditional, NoEncryption()),
        "encrypted": lambda: key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")),
        "pem": lambda: key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        "openssh": lambda: key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()),
    }[form]()
    with pytest.raises(PrivateKeyRefused):
        register(inventory, key=octets)
    public = new_spki()
    for selector in (0, 1):
        for usage in (2, 3):
            with pytest.raises(PrivateKeyRefused):
                register(inventory, key=public, records=[TLSA(usage, selector, 0, octets)])
    inventory.close()
    kept = b"".join(path.read_bytes() for path in inventory.path.parent.iterdir())
    secret = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    assert secret not in kept
    assert octets not in kept


def test_no_column_is_for_a_private_key():
    columns = {f"{table.name}.{column.name}" for table in schema.metadata.tables.values() for column in table.columns}
    suspicious = re.compile(r"(^|[._])(key|pem|secret|private|pkcs8|seed|password)")
    found = {name for name in columns if suspicious.search(name) and not name.endswith(".sort_key")}
    assert found == {
        "zones.key_path",  # where a file lies
        *("records.key_id", "rolls.old_key_id", "rolls.new_key_id"),  # row ids
        *(f"keys.{column.name}" for column in schema.keys.columns),  # admit_public_key, admit_certificate
        "enrolment_tokens.key_sha256",  # a digest of a public key
    }
    octet_columns = {
        f"{table.name}.{column.name}"
        for table in schema.metadata.tables.values()
        for column in table.columns
        if column.type.python_type is bytes
    }
    assert octet_columns == {
        "keys.spki",
        "keys.spki_sha256",
        "keys.certificate",
        "authorities.certificate",
        "rolls.certificate",  # admit_certificate
        "enrolment_tokens.digest",
        "enrolment_tokens.key_sha256",
    }


@pytest.mark.parametrize("octets", [b"", b"\x30\x00", b"junk", b"\x30" * 200])
def test_junk_is_no_public_key(inventory, octets):
    with pytest.raises(Malformed):
        register(inventory, key=octets)


def test_a_public_key_has_one_form(inventory, spki):
    with pytest.raises(Malformed):
        register(inventory, key=spki + b"\x00")
    public = rsa.generate_private_key(65537, 2048).public_key()
    with pytest.raises(Malformed):
        register(inventory, key=public.public_bytes(Encoding.DER, PublicFormat.PKCS1))
    register(inventory, key=public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def test_records_must_speak_of_the_key(inventory, spki):
    with pytest.raises(Misuse):
        register(inventory, key=spki, records=[digest(new_spki())])
    with pytest.raises(Misuse):
        register(inventory, key=spki, records=[])
    for unusable in (TLSA(3, 1, 1, b"short"), TLSA(3, 1, 9, bytes(32)), TLSA(9, 9, 9, b"")):
        with pytest.raises(Malformed):
            register(inventory, key=spki, records=[unusable])
    forms = [digest(spki), TLSA(3, 1, 0, spki), TLSA(3, 1, 2, hashlib.sha512(spki).digest()), TLSA(2, 0, 1, bytes(32))]
    assert len(register(inventory, key=spki, records=[*forms, forms[0]]).records) == 4


def test_failed_registration_leaves_nothing(inventory, spki):
    with pytest.raises(Malformed):
        register(inventory, key=spki, records=[digest(spki), TLSA(9, 1, 1, bytes(32))])
    assert list(inventory.identities.all()) == []
    assert list(inventory.events()) == []


@pytest.mark.parametrize("ttl", [-1, 604_801])
def test_ttl_range(inventory, ttl):
    with pytest.raises(Misuse):
        register(inventory, ttl=ttl)


def test_ttl_comes_from_the_zone_when_not_given(inventory):
    assert register(inventory, ClientName.parse("x.other.example"), ttl=None).ttl == 300
    create_zone(inventory, ttl=2)
    assert register(inventory, ttl=None).ttl == 2


def test_changes_name_their_maker(inventory):
    with pytest.raises(Misuse):
        register(inventory, actor="")
    assert list(inventory.identities.all()) == []


# Zones.


def test_zone_reads_back(inventory):
    made = create_zone(inventory)
    assert inventory.zones.named(ZONE) == made
    assert inventory.zones.all() == [made]
    assert [host.text for host in made.settings.nameservers] == ["ns1.cars.example", "ns2.cars.example"]
    with pytest.raises(AlreadyInInventory):
        create_zone(inventory)
    with pytest.raises(NotInInventory):
        inventory.zones.named(OwnerName.parse("other.example"))


def test_the_deepest_zone_serves(inventory):
    create_zone(inventory)
    owner = OwnerName.parse(CAR.text)
    assert inventory.zones.serving(owner).name == ZONE
    create_zone(inventory, "_device.cars.example")
    assert inventory.zones.serving(owner).name.text == "_device.cars.example"
    assert inventory.zones.serving(OwnerName.parse("xcars.example")) is None


def test_serial_counts_changes_of_that_zone_alone(inventory):
    create_zone(inventory)
    create_zone(inventory, "_device.cars.example")
    register(inventory)
    inventory.identities.revoke(CAR, now=NOW, actor="operations")
    assert inventory.zones.named(ZONE).serial == 1
    assert inventory.zones.named(OwnerName.parse("_device.cars.example")).serial == 3


def test_serial_wraps(inventory):
    create_zone(inventory)
    with inventory.database.writing() as connection:
        connection.execute(text("UPDATE zones SET serial = 4294967295"))
    register(inventory)
    assert inventory.zones.named(ZONE).serial == 0


@pytest.mark.parametrize(
    ("rdtype", "rdata", "kept"),
    [
        ("A", "192.0.2.1", "192.0.2.1"),
        ("aaaa", "2001:DB8::1", "2001:db8::1"),
        ("CNAME", "Other.Example", "other.example."),
        ("NS", "ns.other.example.", "ns.other.example."),
        ("TLSA", f"DANE-EE SPKI SHA2-256 {'AB' * 32}", f"3 1 1 {'ab' * 32}"),
    ],
)
def test_records_have_one_form(inventory, rdtype, rdata, kept):
    create_zone(inventory)
    publish(inventory, "x.cars.example", rdtype, rdata)
    assert [record.rdata for record in inventory.zones.records(ZONE)] == [kept]
    with pytest.raises(AlreadyInInventory):
        publish(inventory, "X.cars.example.", rdtype, kept)
    inventory.zones.withdraw(OwnerName.parse("x.cars.example"), rdtype, rdata, now=NOW, actor="operations")
    assert list(inventory.zones.records(ZONE)) == []


@pytest.mark.parametrize(
    ("owner", "rdtype", "rdata", "error"),
    [
        ("x.cars.example", "A", "192.0.2.256", Malformed),
        ("x.cars.example", "A", "", Malformed),
        ("x.cars.example", "A", "192.0.2.1 192.0.2.2", Malformed),
        ("x.cars.example", "CNAME", "a b", Malformed),
        ("x.cars.example", "CNAME", "*.example.", Malformed),
        ("x.cars.example", "TLSA", "3 1 1", Malformed),
        ("x.cars.example", "TLSA", "3 1 1 zz", Malformed),
        ("x.cars.example", "DS", "1 13 2 abc", Malformed),
        ("x.cars.example", "TXT", "hello", Misuse),
        ("x.cars.example", "NONSENSE", "hello", Misuse),
        ("x.other.example", "A", "192.0.2.1", NotInInventory),
        ("cars.example", "CNAME", "other.example.", Misuse),
        ("cars.example", "NS", "other.example.", NotInInventory),
        ("cars.example", "DS", f"1 13 2 {'ab' * 32}", NotInInventory),
    ],
)
def test_bad_records_are_refused_and_nothing_changes(inventory, owner, rdtype, rdata, error):
    made = create_zone(inventory)
    with pytest.raises(error):
        publish(inventory, owner, rdtype, rdata)
    assert list(inventory.zones.records(ZONE)) == []
    assert inventory.zones.named(ZONE) == made


def test_cname_stands_alone(inventory):
    create_zone(inventory)
    publish(inventory, "alias.cars.example", "CNAME", "real.cars.example.")
    with pytest.raises(Misuse):
        register(inventory, ClientName.parse("alias.cars.example"))
    publish(inventory, "host.cars.example", "A", "192.0.2.1")
    with pytest.raises(Misuse):
        publish(inventory, "host.cars.example", "CNAME", "real.cars.example.")


def test_an_rrset_has_one_ttl(inventory):
    create_zone(inventory)
    publish(inventory, "host.cars.example", "A", "192.0.2.1", ttl=10)
    publish(inventory, "host.cars.example", "A", "192.0.2.2", ttl=20)
    assert {record.ttl for record in inventory.zones.records(ZONE)} == {20}


def test_delegation_hides_nothing_and_lets_only_glue_below(inventory):
    create_zone(inventory)
    publish(inventory, "sub.cars.example", "NS", "ns.sub.cars.example.")
    publish(inventory, "sub.cars.example", "DS", f"1 13 2 {'ab' * 32}")
    publish(inventory, "ns.sub.cars.example", "A", "192.0.2.1")
    with pytest.raises(Misuse):
        register(inventory, ClientName.parse("car1.sub.cars.example"))
    with pytest.raises(Misuse):
        register(inventory, ClientName.parse("sub.cars.example"))
    register(inventory)
    with pytest.raises(Misuse):
        publish(inventory, "_device.cars.example", "NS", "ns.other.example.")


def test_ds_stands_beside_ns_alone(inventory):
    create_zone(inventory)
    ds = f"1 13 2 {'ab' * 32}"
    with pytest.raises(Misuse):
        publish(inventory, "sub.cars.example", "DS", ds)
    for host in ("ns1.other.example.", "ns2.other.example."):
        publish(inventory, "sub.cars.example", "NS", host)
    publish(inventory, "sub.cars.example", "DS", ds)
    owner = OwnerName.parse("sub.cars.example")
    inventory.zones.withdraw(owner, "NS", "ns1.other.example.", now=NOW, actor="operations")
    for rdata in ("ns2.other.example.", None):
        with pytest.raises(Misuse):
            inventory.zones.withdraw(owner, "NS", rdata, now=NOW, actor="operations")
    inventory.zones.withdraw(owner, "DS", now=NOW, actor="operations")
    inventory.zones.withdraw(owner, "NS", now=NOW, actor="operations")
    assert list(inventory.zones.records(ZONE)) == []


def test_a_delegation_may_hide_what_another_zone_here_serves(inventory):
    create_zone(inventory)
    create_zone(inventory, "deep.sub.cars.example")
    register(inventory, ClientName.parse("car1.deep.sub.cars.example"))
    publish(inventory, "sub.cars.example", "NS", "ns.other.example.")


@pytest.mark.parametrize("rdtype", ["NS", "CNAME"])
def test_a_name_with_such_records_does_not_become_a_zone(inventory, rdtype):
    create_zone(inventory)
    publish(inventory, "sub.cars.example", rdtype, "x.other.example.")
    with pytest.raises(Misuse):
        create_zone(inventory, "sub.cars.example")
    assert len(inventory.zones.all()) == 1


def test_parent_and_child_in_one_inventory(inventory):
    create_zone(inventory)
    create_zone(inventory, "_device.cars.example")
    register(inventory)
    for rdtype, rdata in (("NS", "ns1._device.cars.example."), ("DS", f"1 13 2 {'ab' * 32}")):
        with pytest.raises(Misuse):
            publish(inventory, "_device.cars.example", rdtype, rdata)
    assert list(inventory.zones.records(ZONE)) == []
    child = OwnerName.parse("_device.cars.example")
    assert {record.rdtype for record in inventory.zones.records(child)} == {"TLSA"}


def test_records_of_one_name_are_limited(inventory, spki):
    create_zone(inventory)
    for number in range(64):
        publish(inventory, "host.cars.example", "A", f"192.0.2.{number}")
    with pytest.raises(LimitExceeded):
        publish(inventory, "host.cars.example", "A", "192.0.2.64")


@pytest.mark.parametrize(
    "name", ["", ".", "*.cars.example", "a..b", "a b", "x" * 64, "a." * 127 + "a", "ü.example", "\u212aey.example"]
)
def test_owner_names(name):
    with pytest.raises(Malformed):
        OwnerName.parse(name)


def test_zone_settings_are_checked(inventory):
    good = create_zone(inventory).settings
    bad = [
        {"nameservers": ()},
        {"nameservers": (ZONE, ZONE)},
        {"ttl": -1},
        {"negative_ttl": 10**9},
        {"refresh": 0},
        {"expire": 2**31},
    ]
    for change in bad:
        fields = {field: getattr(good, field) for field in good.__dataclass_fields__}
        fields |= {"name": OwnerName.parse("bad.example")} | change
        with pytest.raises(Misuse):
            inventory.zones.create(ZoneSettings(**fields), now=NOW, actor="operations")
    assert len(inventory.zones.all()) == 1


def test_zone_keys_are_a_path_and_ds_records(inventory):
    made = create_zone(inventory)
    assert (made.key_path, made.ds) == (None, ())
    ds = [f"7 13 2 {'AB' * 32}", f"8 13 2 {'cd' * 32}"]
    changed = inventory.zones.set_keys(ZONE, Path("/keys/cars.pem"), ds, now=NOW + 1, actor="night-shift")
    assert changed == inventory.zones.named(ZONE)
    assert (changed.key_path, changed.ds) == (Path("/keys/cars.pem"), tuple(text.lower() for text in ds))
    assert changed.serial == made.serial + 1
    create_zone(inventory, "other.example")
    with pytest.raises(AlreadyInInventory):
        inventory.zones.set_keys(
            OwnerName.parse("other.example"), Path("/keys/cars.pem"), ds, now=NOW, actor="night-shift"
        )
    with pytest.raises(Malformed):
        inventory.zones.set_keys(ZONE, Path("/keys/cars.pem"), ["nonsense"], now=NOW, actor="night-shift")
    with pytest.raises(NotInInventory):
        inventory.zones.set_keys(OwnerName.parse("none.example"), Path("/k"), ds, now=NOW, actor="night-shift")


def test_identity_transitions_are_total():
    assert set(IDENTITY_TRANSITIONS) == set(IdentityState)


def test_wildcards_carry_authorities_and_never_one_key_for_all(inventory):
    create_zone(inventory)
    wild = OwnerName.parse("*._device.cars.example", wildcard=True)
    authority = Record(owner=wild, rdtype="TLSA", rdata=f"2 0 1 {'ab' * 32}", ttl=60)
    inventory.zones.publish(authority, now=NOW, actor="operations")
    assert list(inventory.zones.records(ZONE)) == [authority]
    for rdtype, rdata in (("TLSA", f"3 1 1 {'ab' * 32}"), ("TLSA", f"1 1 1 {'ab' * 32}"), ("NS", "ns.example.")):
        with pytest.raises(Misuse):
            inventory.zones.publish(Record(owner=wild, rdtype=rdtype, rdata=rdata, ttl=60), now=NOW, actor="operations")
    for name in ("*", "a.*.example", "**.example"):
        with pytest.raises(Malformed):
            OwnerName.parse(name, wildcard=True)


# Events.


def test_every_change_is_an_event(inventory):
    create_zone(inventory)
    register(inventory)
    publish(inventory, "host.cars.example", "A", "192.0.2.1")
    inventory.zones.withdraw(OwnerName.parse("host.cars.example"), "A", now=NOW + 1, actor="night-shift")
    inventory.identities.revoke(CAR, reason="stolen", now=NOW + 2, actor="night-shift")
    log = list(inventory.events())
    assert [(one.actor, one.action, one.subject, one.at) for one in log] == [
        ("operations", "create-zone", "cars.example", NOW),
        ("operations", "register", CAR.text, NOW),
        ("operations", "publish", "host.cars.example", NOW),
        ("night-shift", "withdraw", "host.cars.example", NOW + 1),
        ("night-shift", "revoke", CAR.text, NOW + 2),
    ]
    assert log[-1].reason == "stolen"
    assert [one.action for one in inventory.events(subject=CAR.text)] == ["register", "revoke"]
    assert [one.number for one in inventory.events(after=log[2].number)] == [log[3].number, log[4].number]


@pytest.mark.parametrize("statement", ["UPDATE events SET actor = 'x'", "DELETE FROM events"])
def test_events_cannot_be_rewritten(inventory, statement):
    register(inventory)
    before = list(inventory.events())
    with pytest.raises(InventoryFailed, match="append-only"), inventory.database.writing() as connection:
        connection.execute(text(statement))
    assert list(inventory.events()) == before


# The file.


def test_the_file_is_for_its_owner_alone(in_file):
    inventory = in_file
    register(inventory)
    for path in (inventory.path, *inventory.path.parent.glob("*-wal")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(inventory.path.parent.stat().st_mode) == 0o700


def test_a_missing_inventory_is_not_made_by_reading(tmp_path):
    with pytest.raises(InventoryMissing):
        Inventory.open(tmp_path / "none.db")
    assert not (tmp_path / "none.db").exists()


def test_reopening_finds_everything(tmp_path, spki):
    path = tmp_path / "inventory.db"
    with Inventory.open(path, create=True) as first:
        register(first, key=spki)
    with Inventory.open(path) as second:
        assert second.identities.named(CAR).spki == spki


def test_a_file_that_is_no_database(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("not a database, and long enough to be looked at as one. " * 20)
    before = path.read_bytes()
    with pytest.raises(InventoryFailed):
        Inventory.open(path)
    assert path.read_bytes() == before


def test_a_database_of_another_program(tmp_path):
    path = tmp_path / "other.db"
    direct = sqlite3.connect(path)
    direct.execute("CREATE TABLE songs (title TEXT)")
    direct.commit()
    direct.close()
    before = path.read_bytes()
    for create in (False, True):
        with pytest.raises(Misuse):
            Inventory.open(path, create=create)
    assert path.read_bytes() == before


def test_an_empty_file_becomes_an_inventory_only_when_one_is_to_be_made(tmp_path):
    path = tmp_path / "empty"
    path.write_bytes(b"")
    with pytest.raises(Misuse):
        Inventory.open(path)
    assert path.read_bytes() == b""
    with Inventory.open(path, create=True) as opened:
        register(opened)


def test_a_newer_schema_is_left_alone(tmp_path):
    path = tmp_path / "inventory.db"
    Inventory.open(path, create=True).close()
    direct = sqlite3.connect(path)
    direct.execute("UPDATE alembic_version SET version_num = '9999'")
    direct.commit()
    direct.close()
    with pytest.raises(Misuse):
        Inventory.open(path)


def test_damage_is_told_in_one_line(tmp_path, spki):
    path = tmp_path / "inventory.db"
    with Inventory.open(path, create=True) as opened:
        for number in range(200):
            register(opened, ClientName.parse(f"car{number}.cars.example"), key=spki)
    octets = bytearray(path.read_bytes())
    octets[8192:] = os.urandom(len(octets) - 8192)
    path.write_bytes(octets)
    with pytest.raises(InventoryFailed) as caught, Inventory.open(path) as damaged:
        list(damaged.identities.all())
    assert "\n" not in str(caught.value)


def test_a_locked_inventory_gives_up_in_time(tmp_path):
    path = tmp_path / "inventory.db"
    with Inventory.open(path, create=True, busy_seconds=1) as opened:
        direct = sqlite3.connect(path, isolation_level=None)
        direct.execute("BEGIN IMMEDIATE")
        with pytest.raises(InventoryFailed, match="locked"):
            register(opened)
        direct.execute("ROLLBACK")
        direct.close()
        register(opened)


def test_an_unwritable_place(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises((NotADirectoryError, FileExistsError)):
        Inventory.open(blocked / "inventory.db", create=True)


def test_path_is_a_path_whatever_it_looks_like(tmp_path, spki):
    path = Path(tmp_path) / "odd ?mode=memory&x#y%41.db"
    with Inventory.open(path, create=True) as opened:
        register(opened, key=spki)
    assert path.exists()
