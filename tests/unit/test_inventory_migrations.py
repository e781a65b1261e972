"""The schema up and down with data in it, on both databases, and that both are what the code expects."""

import hashlib

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import text

from dnsbound.errors import Misuse
from dnsbound.names import ClientName
from dnsbound.provision import schema, schema_migration
from dnsbound.provision.database import Database
from dnsbound.provision.entries import IdentityState, KeyState
from dnsbound.provision.errors import InventoryFailed
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.inventory_kind import HEAD_REVISION
from dnsbound.records.tlsa import TLSA

NOW = 1_800_000_000.0
ACT = {"now": NOW, "actor": "operations"}
SPKIS = [
    ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for _ in range(2)
]
FIRST, SECOND = (hashlib.sha256(spki).digest() for spki in SPKIS)


@pytest.fixture
def database(database_url):
    opened = Database.open(database_url, create=True)
    yield opened
    opened.close()


def fill_as_of_0001(database):
    """Two identities, one of them revoked, as the first release kept them."""
    database.migrate("base")
    database.migrate("0001")
    row = "INSERT INTO identities (name, sort_key, spki, ttl, state, registered_at, revoked_at) VALUES "
    with database.writing() as connection:
        connection.execute(
            text(row + "('a.cars.example', 'example.cars.a', :spki, 60, 'active', 1.5, NULL)"), {"spki": SPKIS[0]}
        )
        connection.execute(
            text(row + "('b.cars.example', 'example.cars.b', :spki, 30, 'revoked', 1.5, 2.25)"), {"spki": SPKIS[1]}
        )
        for rdata, owned in ((f"3 1 1 {FIRST.hex()}", True), (f"2 0 1 {bytes(32).hex()}", True), ("3 1 2 ab", False)):
            connection.execute(
                text(
                    "INSERT INTO records (owner, sort_key, rdtype, rdata, ttl, identity_id) SELECT"
                    " 'a.cars.example', 'example.cars.a', 'TLSA', :rdata, 60, CASE WHEN :owned THEN id END"
                    " FROM identities WHERE name = 'a.cars.example'"
                ),
                {"rdata": rdata, "owned": owned},
            )
        connection.execute(
            text("INSERT INTO events (at, actor, action, subject, detail) VALUES (1.5, 'x', 'register', 'a', '{}')")
        )


def everything(database, *tables):
    with database.reading() as connection:
        return {
            table: sorted(
                tuple(bytes(value) if isinstance(value, memoryview) else value for value in row)
                for row in connection.execute(text(f"SELECT {columns} FROM {table}"))
            )
            for table, columns in tables
        }


TABLES_OF_0001 = (
    ("identities", "id, name, sort_key, spki, ttl, state, registered_at, coalesce(revoked_at, 0)"),
    ("records", "id, owner, sort_key, rdtype, rdata, ttl, coalesce(identity_id, 0)"),
    ("events", "id, at, actor, action, subject, detail"),
)


def test_what_the_first_release_kept_is_carried_up_and_down(database, database_url):
    fill_as_of_0001(database)
    before = everything(database, *TABLES_OF_0001)
    with Inventory.open(database_url) as inventory:  # opening brings it up
        [first, second] = inventory.identities.all()
        assert [(key.spki, key.state, key.added_at) for key in first.keys] == [(SPKIS[0], KeyState.CURRENT, 1.5)]
        assert (first.state, first.ttl, first.owner, first.tags) == (IdentityState.ACTIVE, 60, "", frozenset())
        assert (second.spki, second.state, second.revoked_at) == (SPKIS[1], IdentityState.REVOKED, 2.25)
        assert [event.reason for event in inventory.events()] == [""]
        with inventory.database.reading() as connection:
            rows = connection.execute(
                text("SELECT rdata, keys.spki_sha256 FROM records LEFT JOIN keys ON keys.id = records.key_id")
            )
            stand_for = {rdata[:5]: None if digest is None else bytes(digest) for rdata, digest in rows}
        assert stand_for == {"3 1 1": FIRST, "2 0 1": None, "3 1 2": None}
        inventory.identities.register(
            ClientName.parse("c.cars.example"), spki=SPKIS[0], records=[TLSA(3, 1, 1, FIRST)], ttl=60, **ACT
        )
        inventory.database.migrate("0001", danger_lose_data=True)
    after = everything(database, *TABLES_OF_0001)
    assert after["identities"][:2] == before["identities"]
    assert after["identities"][2][1:4] == ("c.cars.example", "example.cars.c", SPKIS[0])
    assert set(after["records"]) > set(before["records"])
    assert after["events"][0] == before["events"][0]
    database.migrate(HEAD_REVISION)
    with Inventory.open(database_url) as inventory:
        assert [identity.spki for identity in inventory.identities.all()] == [SPKIS[0], SPKIS[1], SPKIS[0]]


def test_events_stay_protected_through_migrations(database):
    fill_as_of_0001(database)
    for revision in (HEAD_REVISION, "0001", HEAD_REVISION):
        database.migrate(revision, danger_lose_data=True)
        for statement in ("UPDATE events SET actor = 'y'", "DELETE FROM events"):
            with pytest.raises(InventoryFailed, match="append-only"), database.writing() as connection:
                connection.execute(text(statement))


def test_a_step_down_that_would_lose_data_asks_for_it_by_name(database, database_url):
    with Inventory.open(database_url) as inventory:
        inventory.identities.register(
            ClientName.parse("a.cars.example"),
            spki=SPKIS[0],
            records=[TLSA(3, 1, 1, FIRST)],
            ttl=60,
            owner="Cars Ltd",
            tags=["x", "y"],
            reason="delivered",
            **ACT,
        )
        before = list(inventory.identities.all())
        with pytest.raises(Misuse) as refused:
            database.migrate("0001")
        for lost in ("1 owners", "2 rows of tags", "1 reasons", "1 rows of outbox"):
            assert lost in str(refused.value)
        with pytest.raises(Misuse):
            database.migrate("base")
        assert list(inventory.identities.all()) == before
        assert database.revision() == HEAD_REVISION
        database.migrate("0001", danger_lose_data=True)
        assert database.revision() == "0001"


def test_nothing_to_lose_needs_no_flag(database):
    fill_as_of_0001(database)
    database.migrate(HEAD_REVISION)
    database.migrate("0001")
    assert database.revision() == "0001"
    with pytest.raises(Misuse):
        database.migrate("base")


@pytest.mark.parametrize("revision", ["0000", "9999", "head", "", "0001; DROP TABLE events"])
def test_unknown_revisions(database, revision):
    with pytest.raises(Misuse):
        database.migrate(revision)
    assert database.revision() == HEAD_REVISION


def test_up_and_down_leaves_nothing_behind(database):
    database.migrate("base")
    with database.reading() as connection:
        assert schema_migration.tables(connection) == ["alembic_version"]
    database.migrate(HEAD_REVISION)
    assert database.revision() == HEAD_REVISION


@pytest.mark.peer("postgres")
def test_postgresql_has_what_the_code_expects(postgresql_server):
    migrated = Database.open(postgresql_server.database(), create=True)
    direct = Database.open(postgresql_server.database(), create=True)
    direct.migrate("base")
    with direct.writing() as connection:
        schema.metadata.create_all(connection)
    try:
        with migrated.reading() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, schema.metadata) == []
        assert catalogue(migrated) == catalogue(direct)
    finally:
        migrated.close()
        direct.close()


def catalogue(database):
    """What Alembic does not compare: defaults, collations, checks, partial indexes."""
    queries = {
        "columns": "SELECT table_name, column_name, data_type, is_nullable, column_default, collation_name"
        " FROM information_schema.columns WHERE table_schema = 'public'",
        "constraints": "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace",
        "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    }
    with database.reading() as connection:
        return {
            what: sorted(tuple(map(str, row)) for row in connection.execute(text(query)) if row[0] != "alembic_version")
            for what, query in queries.items()
        }
