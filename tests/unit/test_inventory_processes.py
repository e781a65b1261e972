"""Many processes at one inventory: no update is lost, a new file is migrated once, forked children are safe."""

import multiprocessing
import os
import re
import signal
import sqlite3
import subprocess
import sys

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event

from dnsbound.errors import DnsboundError
from dnsbound.names import ClientName
from dnsbound.provision import schema
from dnsbound.provision.database import Database
from dnsbound.provision.entries import Record, ZoneSettings
from dnsbound.provision.errors import InventoryFailed
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.inventory_kind import HEAD_REVISION
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.sqlite_database import SQLiteDatabase

NOW = 1_800_000_000.0
ZONE = OwnerName.parse("cars.example")

# What each process does: read-modify-write of one row (the zone's serial), and inserts. Started as programs of their
# own, so that nothing is shared but the file.
WRITER = """
import sys
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
import hashlib
from dnsbound.names import ClientName
from dnsbound.provision.inventory import Inventory
from dnsbound.records.tlsa import TLSA

place, number, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
public = ec.generate_private_key(ec.SECP256R1()).public_key()
spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
record = TLSA(3, 1, 1, hashlib.sha256(spki).digest())
print("ready", flush=True)
sys.stdin.readline()
with Inventory.open(place, create=True) as inventory:
    for turn in range(rounds):
        name = ClientName.parse(f"car{number}-{turn}.cars.example")
        inventory.identities.register(name, spki=spki, records=[record], ttl=2, now=1.0, actor=f"writer{number}")
"""


def run_writers(place, count, rounds):
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(place), str(number), str(rounds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(count)
    ]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        _, errors = writer.communicate(timeout=100)
        assert writer.returncode == 0, errors


@pytest.mark.parametrize(("processes", "rounds"), [(2, 40), (8, 15)])
def test_no_update_is_lost(database_url, processes, rounds):
    with Inventory.open(database_url, create=True) as inventory:
        create_zone(inventory)
        run_writers(database_url, processes, rounds)
        assert inventory.zones.named(ZONE).serial == 1 + processes * rounds
        assert len(list(inventory.identities.all())) == processes * rounds
        assert len(list(inventory.events())) == 1 + processes * rounds
        assert len(list(inventory.zones.records(ZONE))) == processes * rounds


def test_a_lock_taken_after_reading_would_refuse_updates(tmp_path):
    """Why BEGIN IMMEDIATE: with reading before locking, as the driver does by default, the second writer fails."""
    path = tmp_path / "inventory.db"
    with Inventory.open(path, create=True) as inventory:
        create_zone(inventory)
        one, two = (sqlite3.connect(path, isolation_level=None, timeout=0) for _ in range(2))
        for connection in (one, two):
            connection.execute("BEGIN")
            connection.execute("SELECT serial FROM zones").fetchone()
        one.execute("UPDATE zones SET serial = 2")
        one.execute("COMMIT")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            two.execute("UPDATE zones SET serial = 2")
        one.close()
        two.close()


def test_processes_that_meet_at_a_new_file_migrate_it_once(tmp_path):
    path = tmp_path / "new" / "inventory.db"
    run_writers(path, 8, 1)
    with Inventory.open(path) as inventory:
        assert len(list(inventory.identities.all())) == 8


@pytest.mark.peer("postgres")
def test_processes_that_meet_at_an_empty_database_migrate_it_once(postgresql_server):
    place = postgresql_server.database()
    run_writers(place, 8, 1)
    with Inventory.open(place) as inventory:
        assert len(list(inventory.identities.all())) == 8


def test_a_forked_child_has_connections_of_its_own(database_url):
    with Inventory.open(database_url, create=True) as inventory:
        create_zone(inventory)
        watch = inventory.watch()
        watch.version()
        context = multiprocessing.get_context("fork")
        child = context.Process(target=publish_a_host, args=(inventory,))
        child.start()
        child.join(30)
        assert child.exitcode == 0
        publish_a_host(inventory, "192.0.2.2")
        assert len(list(inventory.zones.records(ZONE))) == 2
        watch.version()  # the child's end took nothing from it
        watch.close()


def publish_a_host(inventory, address="192.0.2.1", label="host", rdtype="A"):
    record = Record(owner=OwnerName.parse(f"{label}.cars.example"), rdtype=rdtype, rdata=address, ttl=2)
    inventory.zones.publish(record, now=NOW, actor=f"process {os.getpid()}")


def create_zone(inventory):
    settings = ZoneSettings(
        name=ZONE, nameservers=(OwnerName.parse("ns.cars.example"),), rname=OwnerName.parse("admin.cars.example"), ttl=2
    )
    inventory.zones.create(settings, now=NOW, actor="operations")


# What goes wrong in the middle.

KILLED = """
import os, signal, sys
from dnsbound.provision import event_log
from dnsbound.provision.entries import Record
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.owner import OwnerName

appended = event_log.append
turn = 0

def append(*arguments, **options):
    global turn
    appended(*arguments, **options)
    turn += 1
    if turn == 5:  # the change and its event are written, not yet committed
        os.kill(os.getpid(), signal.SIGKILL)

event_log.append = append
with Inventory.open(sys.argv[1]) as inventory:
    for number in range(10):
        record = Record(owner=OwnerName.parse("host.cars.example"), rdtype="A", rdata=f"192.0.2.{number}", ttl=2)
        inventory.zones.publish(record, now=1.0, actor="killed")
"""


def test_a_writer_that_is_killed_leaves_whole_changes_alone(database_url):
    with Inventory.open(database_url, create=True) as inventory:
        create_zone(inventory)
        done = subprocess.run([sys.executable, "-c", KILLED, database_url], timeout=60, check=False)
        assert done.returncode == -signal.SIGKILL
        assert len(list(inventory.zones.records(ZONE))) == 4
        assert len(list(inventory.events())) == 1 + 4
        assert inventory.zones.named(ZONE).serial == 1 + 4
        publish_a_host(inventory, "192.0.2.200")
        assert inventory.zones.named(ZONE).serial == 1 + 5


def test_a_full_disk_undoes_the_change_and_is_told(tmp_path):
    with Inventory.open(tmp_path / "inventory.db", create=True) as inventory:
        create_zone(inventory)
        limit = "PRAGMA max_page_count = {}"
        with inventory.database.writing() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()

        def bounded(connection, _record):
            connection.execute(limit.format(pages + 8))

        event.listen(inventory.database.engine(), "connect", bounded)
        inventory.database.engine().dispose()
        with pytest.raises(InventoryFailed, match="does not fit the disk") as caught:
            fill(inventory)
        assert "\n" not in str(caught.value)
        kept = len(list(inventory.zones.records(ZONE)))
        assert kept > 8
        assert len(list(inventory.events())) == 1 + kept
        assert inventory.zones.named(ZONE).serial == 1 + kept
        event.remove(inventory.database.engine(), "connect", bounded)
        inventory.database.engine().dispose()
        publish_a_host(inventory, "192.0.2.1")
        assert inventory.zones.named(ZONE).serial == 2 + kept


def fill(inventory):
    for number in range(5000):
        publish_a_host(inventory, f"2001:db8::{number:x}", f"host{number}", "AAAA")


# The schema.


@pytest.fixture
def database(tmp_path):
    opened = Database.open(tmp_path / "inventory.db", create=True)
    yield opened
    opened.close()


def test_migrations_build_what_the_code_expects(database):
    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, schema.metadata) == []
        built = tables_of(connection)
    # What Alembic does not compare (checks, partial indexes, STRICT) is compared as SQLite's own text.
    with SQLiteDatabase(database.path.with_name("direct.db")).writing() as connection:
        schema.metadata.create_all(connection)
        expected = tables_of(connection)
    assert built == expected


def tables_of(connection):
    found = {}
    for kind, name, sql in connection.exec_driver_sql("SELECT type, name, sql FROM sqlite_master WHERE sql NOT NULL"):
        if name != "alembic_version" and kind != "trigger" and not name.startswith("sqlite_"):
            found[name] = sorted(re.findall(r"[\w.]+|'[^']*'|[=<>]+", sql))
    return found


def test_head_is_the_newest_migration():
    config = Config()
    config.set_main_option("script_location", "dnsbound.provision:migrations")
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD_REVISION]


def test_migrations_go_both_ways(database):
    with database.reading() as connection:
        before = connection.exec_driver_sql("SELECT sql FROM sqlite_master ORDER BY name").all()
    database.migrate("base")
    with database.reading() as connection:
        left = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").all()
        assert [row[0] for row in left] == ["alembic_version"]
    database.migrate(HEAD_REVISION)
    with database.reading() as connection:
        assert connection.exec_driver_sql("SELECT sql FROM sqlite_master ORDER BY name").all() == before


def test_a_failed_migration_leaves_the_old_schema(database):
    direct = sqlite3.connect(database.path)
    # The way down drops `events` first and `zones` last: without `zones` the last step fails.
    direct.execute("DROP TABLE zones")
    direct.commit()
    direct.close()
    with pytest.raises(DnsboundError):
        database.migrate("base")
    with database.reading() as connection:
        names = {row[0] for row in connection.exec_driver_sql("SELECT name FROM sqlite_master")}
        assert {"events", "records", "identities", "nameservers"} <= names
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one() == HEAD_REVISION


def test_settings_of_every_connection(database):
    with database.reading() as connection:
        pragma = lambda name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()  # noqa: E731
        assert pragma("journal_mode") == "wal"
        assert pragma("foreign_keys") == 1
        assert pragma("synchronous") == 2
        assert pragma("busy_timeout") == 30_000


def test_names_survive_as_written(tmp_path):
    assert OwnerName.parse("A.B.Example.").absolute == "a.b.example."
    assert ClientName.parse("a.b.example").canonical == OwnerName.parse("A.b.example").text
