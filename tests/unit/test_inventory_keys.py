"""Keys with states, owners, tags and reasons: how they are kept, found and told, and what none of them may hold."""

import base64
import datetime as dt
import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID
from sqlalchemy import select, text

from dnsbound.errors import LimitExceeded, Malformed, Misuse
from dnsbound.limits import INVENTORY_TEXT, TAG_LENGTH, TAGS_PER_IDENTITY
from dnsbound.names import ClientName
from dnsbound.provision import keys, registration, schema
from dnsbound.provision.entries import KEY_TRANSITIONS, KeyState, ZoneSettings
from dnsbound.provision.errors import AlreadyInInventory, InventoryFailed, NotInInventory, PrivateKeyRefused
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.owner import OwnerName
from dnsbound.records.tlsa import TLSA

NOW = 1_800_000_000.0
CAR = ClientName.parse("car54._device.cars.example")
ACT = {"now": NOW, "actor": "operations"}


@pytest.fixture
def inventory(database_url):
    with Inventory.open(database_url, create=True) as opened:
        yield opened


def new_key():
    return ec.generate_private_key(ec.SECP256R1())


def spki_of(key):
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def certificate_of(key):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "car54")])
    begins = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, begins, begins + dt.timedelta(days=9999))
    return builder.sign(key, SHA256()).public_bytes(Encoding.DER)


def digest(spki):
    return TLSA(3, 1, 1, hashlib.sha256(spki).digest())


def register(inventory, name=CAR, key=None, **changes):
    spki = spki_of(key or new_key())
    return inventory.identities.register(name, **{"spki": spki, "records": [digest(spki)], "ttl": 60} | ACT | changes)


def id_of(inventory, name=CAR):
    with inventory.database.reading() as connection:
        return registration.id_of_active(connection, name)


def test_the_certificate_is_kept_beside_its_key(inventory):
    key = new_key()
    leaf = certificate_of(key)
    made = register(inventory, key=key, certificate=leaf)
    assert (made.key.certificate, made.spki, made.key.state) == (leaf, spki_of(key), KeyState.CURRENT)
    assert inventory.identities.named(CAR) == made


@pytest.mark.parametrize("wrong", ["another key's", "followed", "none"])
def test_a_certificate_must_be_one_of_the_key(inventory, wrong):
    key = new_key()
    octets, error = {
        "another key's": (certificate_of(new_key()), Misuse),
        "followed": (certificate_of(key) + b"\0", Malformed),
        "none": (b"\x30\x03\x02\x01\x00", Malformed),
    }[wrong]
    with pytest.raises(error):
        register(inventory, key=key, certificate=octets)
    assert list(inventory.identities.all()) == []


def test_a_key_has_one_state_and_an_identity_one_key_of_each(inventory):
    first, second = new_key(), new_key()
    register(inventory, key=first)
    number = id_of(inventory)
    with inventory.database.writing() as connection:
        new = keys.add(connection, number, spki=spki_of(second), state=KeyState.NEXT, now=NOW + 1)
        for again, state in ((first, KeyState.NEXT), (new_key(), KeyState.CURRENT), (new_key(), KeyState.NEXT)):
            with pytest.raises(AlreadyInInventory):
                keys.add(connection, number, spki=spki_of(again), state=state, now=NOW + 1)
        [old] = connection.scalars(select(schema.keys.c.id).where(schema.keys.c.state == "current"))
    identity = inventory.identities.named(CAR)
    assert (identity.spki, identity.next_key.spki) == (spki_of(first), spki_of(second))
    with inventory.database.writing() as connection:
        keys.move(connection, old, KeyState.RETIRED, now=NOW + 2)
        keys.move(connection, new, KeyState.CURRENT, now=NOW + 2)
        with pytest.raises(Misuse):
            keys.move(connection, old, KeyState.CURRENT, now=NOW + 3)
        with pytest.raises(NotInInventory):
            keys.move(connection, 10**6, KeyState.RETIRED, now=NOW + 3)
    identity = inventory.identities.named(CAR)
    assert [(key.state, key.retired_at) for key in identity.keys] == [
        (KeyState.RETIRED, NOW + 2),
        (KeyState.CURRENT, None),
    ]
    assert (identity.spki, identity.next_key) == (spki_of(second), None)
    assert [one.name for one in inventory.identities.all(spki_sha256=hashlib.sha256(spki_of(first)).digest())] == [CAR]


def test_the_database_itself_refuses_a_second_current_key(inventory):
    register(inventory)
    with pytest.raises(InventoryFailed), inventory.database.writing() as connection:
        connection.execute(
            text(
                "INSERT INTO keys (identity_id, spki, spki_sha256, state, added_at) "
                "SELECT identity_id, spki, spki_sha256, 'current', 1.0 FROM keys"
            )
        )
    assert len(inventory.identities.named(CAR).keys) == 1


def test_key_transitions_are_total():
    assert set(KEY_TRANSITIONS) == set(KeyState)


def test_records_point_at_the_key_they_stand_for(inventory):
    key = new_key()
    spki, leaf = spki_of(key), certificate_of(key)
    records = [digest(spki), TLSA(3, 0, 1, hashlib.sha256(leaf).digest()), TLSA(2, 0, 1, bytes(32))]
    register(inventory, key=key, certificate=leaf, records=records)
    with inventory.database.reading() as connection:
        [key_id] = connection.scalars(select(schema.keys.c.id))
        rows = connection.execute(select(schema.records.c.rdata, schema.records.c.key_id)).all()
    assert {rdata[:5]: found for rdata, found in rows} == {"3 1 1": key_id, "3 0 1": key_id, "2 0 1": None}


def test_a_retired_key_is_not_shared(inventory):
    key, other = new_key(), ClientName.parse("other.cars.example")
    register(inventory, key=key)
    register(inventory, other, key)
    assert inventory.identities.sharing(inventory.identities.named(CAR)) == [other]
    with inventory.database.writing() as connection:
        [old] = connection.scalars(
            select(schema.keys.c.id).where(schema.keys.c.identity_id == registration.id_of_active(connection, other))
        )
        keys.move(connection, old, KeyState.RETIRED, now=NOW)
    assert inventory.identities.sharing(inventory.identities.named(CAR)) == []


# Owners and tags.


def test_tags_and_owners_are_changed_found_and_told(inventory):
    register(inventory, owner="Cars Ltd", tags=["model=x5", "batch:7"], reason="delivered")
    register(inventory, ClientName.parse("other.cars.example"), tags=["batch:7"])
    names = lambda **filters: [one.name.text for one in inventory.identities.all(**filters)]  # noqa: E731
    assert names(tag="batch:7") == [CAR.text, "other.cars.example"]
    assert names(tag="batch:7", owner="Cars Ltd") == [CAR.text]
    assert names(tag="batch") == names(owner="Cars") == []
    assert names(owner="") == ["other.cars.example"]
    assert inventory.identities.untag(CAR, ["batch:7"], **ACT, reason="sold").tags == {"model=x5"}
    assert inventory.identities.tag(CAR, ["model=x5", "blue"], **ACT).tags == {"model=x5", "blue"}
    assert inventory.identities.set_owner(CAR, "Rental Ltd", **ACT, reason="sold").owner == "Rental Ltd"
    log = [(one.action, one.reason, one.detail) for one in inventory.events(subject=CAR.text)]
    assert log[0][0:2] == ("register", "delivered")
    assert (log[0][2]["owner"], log[0][2]["tags"]) == ("Cars Ltd", ["batch:7", "model=x5"])
    assert log[1:] == [
        ("untag", "sold", {"tags": ["batch:7"]}),
        ("tag", "", {"tags": ["blue"]}),
        ("set-owner", "sold", {"before": "Cars Ltd", "after": "Rental Ltd"}),
    ]


def test_tags_that_are_there_already_are_no_change(inventory):
    register(inventory, tags=["a"])
    before = list(inventory.events())
    assert inventory.identities.tag(CAR, ["a"], **ACT).tags == {"a"}
    assert list(inventory.events()) == before


@pytest.mark.parametrize("wrong", ["", "two words", "-first", "a,b", "ü", "x" * (TAG_LENGTH.default + 1), "a\nb"])
def test_what_is_no_tag(inventory, wrong):
    with pytest.raises(Misuse):
        register(inventory, tags=[wrong])
    register(inventory)
    with pytest.raises(Misuse):
        inventory.identities.tag(CAR, ["good", wrong], **ACT)
    assert inventory.identities.named(CAR).tags == frozenset()


def test_tags_of_one_identity_are_limited(inventory):
    register(inventory, tags=[f"t{number}" for number in range(TAGS_PER_IDENTITY.default)])
    with pytest.raises(LimitExceeded):
        inventory.identities.tag(CAR, ["more"], **ACT)
    with pytest.raises(Misuse):
        register(inventory, ClientName.parse("x.example"), tags=map(str, range(TAGS_PER_IDENTITY.default + 1)))


def test_changes_of_what_is_not_active(inventory):
    register(inventory, tags=["a"])
    with pytest.raises(NotInInventory):
        inventory.identities.untag(CAR, ["b"], **ACT)
    inventory.identities.revoke(CAR, **ACT)
    for change in (
        lambda: inventory.identities.tag(CAR, ["b"], **ACT),
        lambda: inventory.identities.untag(CAR, ["a"], **ACT),
        lambda: inventory.identities.set_owner(CAR, "x", **ACT),
    ):
        with pytest.raises(NotInInventory):
            change()
    assert inventory.identities.named(CAR).tags == {"a"}


SECRET = new_key()
FORMS = {
    "pem": SECRET.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode().replace("\n", " "),
    "base64": base64.b64encode(SECRET.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())).decode(),
    "base64url": base64.urlsafe_b64encode(
        ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    ).decode(),
    "hex": SECRET.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption()).hex(),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("place", ["reason", "owner", "actor"])
def test_no_text_may_hold_a_private_key(inventory, form, place):
    with pytest.raises(PrivateKeyRefused):
        register(inventory, **{place: f"see {FORMS[form]} there"})
    assert list(inventory.events()) == []


@pytest.mark.parametrize("place", ["reason", "owner", "actor"])
@pytest.mark.parametrize("wrong", ["two\nlines", "\x1b[31mred", "x" * (INVENTORY_TEXT.maximum + 1), "a\0b"])
def test_texts_are_one_printable_line(inventory, place, wrong):
    with pytest.raises(Misuse):
        register(inventory, **{place: wrong})
    assert list(inventory.identities.all()) == []


def test_ordinary_long_words_are_no_keys(inventory):
    reason = f"ticket {'a' * 64} {hashlib.sha256(b'x').hexdigest()} {base64.b64encode(bytes(60)).decode()} é 車"
    register(inventory, reason=reason, owner="Ü & Söhne GmbH")
    assert next(iter(inventory.events())).reason == reason


# What waits to be published to other servers.


def outbox(inventory):
    with inventory.database.reading() as connection:
        rows = connection.execute(select(schema.outbox).order_by(schema.outbox.c.sort_key)).all()
    return {row.owner: (row.since, row.changes, row.attempts, row.not_before) for row in rows}


def test_names_no_zone_here_serves_wait_for_a_publisher(inventory):
    register(inventory)
    assert outbox(inventory) == {CAR.text: (NOW, 1, 0, NOW)}
    with inventory.database.writing() as connection:
        connection.execute(text("UPDATE outbox SET attempts = 3, not_before = not_before + 90"))
    inventory.identities.revoke(CAR, now=NOW + 5, actor="operations")
    assert outbox(inventory) == {CAR.text: (NOW, 2, 3, NOW + 90)}


def test_names_of_a_zone_here_wait_for_nobody(inventory):
    register(inventory)
    register(inventory, ClientName.parse("x.other.example"))
    settings = ZoneSettings(
        name=OwnerName.parse("cars.example"),
        nameservers=(OwnerName.parse("ns.cars.example"),),
        rname=OwnerName.parse("admin.cars.example"),
        ttl=60,
    )
    inventory.zones.create(settings, **ACT)
    register(inventory, ClientName.parse("second.cars.example"))
    assert set(outbox(inventory)) == {"x.other.example"}


def test_a_change_that_is_undone_waits_for_nobody(inventory):
    spki = spki_of(new_key())
    new = registration.Registration.checked(CAR, spki=spki, records=[digest(spki)])

    def change():
        with inventory.database.writing() as connection:
            registration.register(connection, new, **ACT)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        change()
    assert outbox(inventory) == {}
    assert list(inventory.identities.all()) == []


@pytest.mark.parametrize("tag", [None, "even"])
@pytest.mark.parametrize("below", [None, "cars.example", "b.cars.example", "none.example"])
def test_pages_of_every_filter_hold_each_identity_once(inventory, monkeypatch, tag, below):
    monkeypatch.setattr("dnsbound.provision.identities._BATCH", 3)
    names = [
        f"{label}{number}.{zone}"
        for number in range(4)
        for label in "ab"
        for zone in ("cars.example", "b.cars.example")
    ]
    names += ["cars.example", "x.cars-b.example", "cars-b.example", "b.cars.example", "x.other.example"]
    key = new_key()
    for number, name in enumerate(names):
        register(inventory, ClientName.parse(name), key, tags=["even"] if number % 2 == 0 else ["odd"])
    inventory.identities.revoke(ClientName.parse("a1.cars.example"), **ACT)
    register(inventory, ClientName.parse("a1.cars.example"), key, tags=["even"])  # one name, twice
    top = None if below is None else OwnerName.parse(below)
    found = [(one.name.text, one.state, one.tags) for one in inventory.identities.all(below=top, tag=tag)]
    every = [(one.name.text, one.state, one.tags) for one in inventory.identities.all()]
    assert len(every) == len(names) + 1
    expected = [
        one
        for one in every
        if (top is None or OwnerName.parse(one[0]).is_at_or_below(top)) and (tag is None or tag in one[2])
    ]
    assert sorted(found) == sorted(expected)
    if below is None:
        assert found == expected
    else:
        assert [one[0] for one in found] == [name.text for name in sorted(OwnerName.parse(one[0]) for one in found)]
