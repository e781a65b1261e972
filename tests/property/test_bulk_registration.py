"""Registering many identities at once comes to the same as registering them one after the other: same refusals, same
rows in every table but the serials of zones, which move on once."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from dnsbound.credential.credential import Credential
from dnsbound.errors import DnsboundError
from dnsbound.names import ClientName
from dnsbound.provision import registration, schema
from dnsbound.provision.bulk_registration import register_all
from dnsbound.provision.database import Database
from dnsbound.provision.entries import Record, ZoneSettings
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.registration import Registration
from dnsbound.records.tlsa import TLSA

NOW = 1_800_000_000.0
ACT = {"now": NOW, "actor": "test"}
CREDENTIALS = [Credential.generate(ClientName.parse(f"c{n}.cars.example"), now=NOW) for n in range(3)]
NAMES = [
    "new._device.cars.example",
    "other._device.cars.example",
    "blocked._device.cars.example",
    "alias._device.cars.example",
    "taken._device.cars.example",
    "known._device.cars.example",
    "deep.below.away.cars.example",
    "away.cars.example",
    "full._device.cars.example",
    "inner.sub.cars.example",
    "elsewhere.example",
    "waiting.elsewhere.example",
]


def record(owner: str, rdtype: str, rdata: str) -> Record:
    return Record(owner=OwnerName.parse(owner), rdtype=rdtype, rdata=rdata, ttl=60)


def furnish(inventory: Inventory) -> None:
    """Everything that can stand in a registration's way."""
    for zone, ttl in (("cars.example", 120), ("sub.cars.example", 240)):
        zone_settings = ZoneSettings(
            name=OwnerName.parse(zone),
            nameservers=(OwnerName.parse("ns.other.example"),),
            rname=OwnerName.parse("admin.other.example"),
            ttl=ttl,
        )
        inventory.zones.create(zone_settings, **ACT)
    digest = "11" * 32
    inventory.zones.publish(record("alias._device.cars.example", "CNAME", "else.where.example."), **ACT)
    inventory.zones.publish(record("taken._device.cars.example", "TLSA", f"3 1 1 {digest}"), **ACT)
    inventory.zones.publish(record("away.cars.example", "NS", "ns.other.example."), **ACT)
    for number in range(64):
        one = record("full._device.cars.example", "TLSA", f"3 1 1 {number + 1:064x}")
        inventory.zones.publish(one, **ACT)
    inventory.blocks.block(ClientName.parse("blocked._device.cars.example"), **ACT)
    for name in ("known._device.cars.example", "waiting.elsewhere.example"):
        inventory.identities.register(
            ClientName.parse(name), spki=CREDENTIALS[0].spki, records=[CREDENTIALS[0].tlsa()], ttl=None, **ACT
        )
    inventory.identities.revoke(ClientName.parse("waiting.elsewhere.example"), **ACT)


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("furnished") / "inventory.db"
    with Inventory.open(path, create=True) as inventory:
        furnish(inventory)
    return path


@st.composite
def registrations(draw: st.DrawFn) -> Registration:
    credential, other = draw(st.sampled_from(CREDENTIALS)), draw(st.sampled_from(CREDENTIALS))
    forms = [
        TLSA(3, 1, 1, hashlib.sha256(credential.spki).digest()),
        TLSA(3, 1, 2, hashlib.sha512(credential.spki).digest()),
        TLSA(2, 0, 1, bytes(32)),
    ]
    certificate = draw(st.sampled_from([None, credential.chain[0]]))
    if certificate is not None:
        forms.append(TLSA(3, 0, 1, hashlib.sha256(certificate).digest()))
    made = Registration.checked(
        ClientName.parse(draw(st.sampled_from(NAMES))),
        spki=credential.spki,
        records=draw(st.lists(st.sampled_from(forms), min_size=1, max_size=3)),
        ttl=draw(st.sampled_from([None, None, 30])),
        owner=draw(st.sampled_from(["", "cars"])),
        tags=draw(st.sets(st.sampled_from(["red", "blue"]))),
        certificate=certificate,
    )
    # What was not checked where it should have been is found out late, and must spoil nothing.
    return replace(made, certificate=other.chain[0]) if draw(st.integers(0, 9)) == 0 else made


def content(database: Database) -> dict[str, list[tuple[object, ...]]]:
    """Every table, with rows in place of the numbers that other rows are known by."""
    found: dict[str, list[tuple[object, ...]]] = {}
    with database.reading() as connection:
        for table in schema.metadata.sorted_tables:
            columns = [column for column in table.c if column.name != "id" and not column.foreign_keys]
            if table is schema.zones:
                columns = [column for column in columns if column.name != "serial"]
            found[table.name] = sorted(tuple(map(str, row)) for row in connection.execute(select(*columns)))
        of = select(schema.records.c.owner, schema.records.c.rdata, schema.identities.c.name, schema.keys.c.spki)
        joined = of.outerjoin(schema.identities, schema.records.c.identity_id == schema.identities.c.id)
        joined = joined.outerjoin(schema.keys, schema.records.c.key_id == schema.keys.c.id)
        found["whose"] = sorted(tuple(map(str, row)) for row in connection.execute(joined))
        tagged = select(schema.identities.c.name, schema.tags.c.tag).join(schema.tags)
        found["tagged"] = sorted(tuple(map(str, row)) for row in connection.execute(tagged))
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batch=st.lists(registrations(), min_size=1, max_size=12))
def test_many_at_once_is_one_after_the_other(furnished: Path, tmp_path: Path, batch: list[Registration]) -> None:
    outcomes: dict[str, list[str | None]] = {}
    contents = {}
    for way in ("one", "all"):
        path = tmp_path / f"{way}.db"
        shutil.copy(furnished, path)
        database = Database.open(path, create=False)
        if way == "all":
            with database.writing() as connection:
                told = register_all(connection, batch, **ACT, reason="because")
            outcomes[way] = [None if error is None else type(error).__name__ for error in told]
        else:
            outcomes[way] = [one_by_one(database, new) for new in batch]
        contents[way] = content(database)
        database.close()
    assert outcomes["all"] == outcomes["one"]
    assert contents["all"] == contents["one"]


def one_by_one(database: Database, new: Registration) -> str | None:
    try:
        with database.writing() as connection:
            registration.register(connection, new, **ACT, reason="because")
    except DnsboundError as error:
        return type(error).__name__
    return None


def test_a_zone_moves_on_once_for_all_of_them(furnished: Path, tmp_path: Path) -> None:
    path = tmp_path / "inventory.db"
    shutil.copy(furnished, path)
    batch = [
        Registration.checked(
            ClientName.parse(f"n{number}._device.cars.example"),
            spki=CREDENTIALS[0].spki,
            records=[CREDENTIALS[0].tlsa()],
        )
        for number in range(5)
    ]
    with Inventory.open(path) as inventory:
        before = inventory.zones.named(OwnerName.parse("cars.example")).serial
    database = Database.open(path, create=False)
    with database.writing() as connection:
        assert register_all(connection, batch, **ACT) == [None] * 5
    database.close()
    with Inventory.open(path) as inventory:
        assert inventory.zones.named(OwnerName.parse("cars.example")).serial == before + 1
        listed = {str(identity.name) for identity in inventory.identities.all()}
    assert {f"n{number}._device.cars.example" for number in range(5)} <= listed
