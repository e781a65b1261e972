"""What a server can refuse or fail at, each told in one line without the password; and nothing is made meanwhile."""

import os
import signal
import subprocess
import sys
import time

import psycopg
import pytest
from sqlalchemy import text

from dnsbound.cli.exit_codes import line_of_error
from dnsbound.errors import DnsboundError, Misuse
from dnsbound.names import ClientName
from dnsbound.provision.errors import AlreadyInInventory, InventoryFailed, InventoryMissing
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.postgresql_database import parse_url
from dnsbound.provision.postgresql_failures import SAID, said
from interop.postgres import PASSWORD, ROLE

pytestmark = pytest.mark.peer("postgres")


@pytest.fixture
def inventory(postgresql_server):
    with Inventory.open(postgresql_server.inventory(), create=True, busy_seconds=1) as opened:
        yield opened


def failure(kind, place, **options):
    with pytest.raises(kind) as caught:
        Inventory.open(place, **options)
    line = line_of_error(caught.value)
    assert "\n" not in str(caught.value)
    for secret in (PASSWORD, "pass-", "wrong-secret"):
        assert secret not in line
        assert secret not in repr(caught.value)
    return line


def test_no_server(tmp_path):
    assert "cannot be reached" in failure(
        InventoryFailed, f"postgresql://{ROLE}:wrong-secret@/fleet?host={tmp_path}", create=True
    )
    assert "cannot be reached" in failure(
        InventoryFailed, f"postgresql://{ROLE}:wrong-secret@127.0.0.1:1/fleet", create=True
    )


def test_the_password_is_refused(postgresql_server):
    url = postgresql_server.url("postgres", password="wrong-secret")
    assert "refuses the login" in failure(InventoryFailed, url, create=True)
    assert "refuses the login" in failure(InventoryFailed, postgresql_server.url("postgres", role="nobody"))


def test_no_such_database(postgresql_server):
    for create in (True, False):
        assert "does not exist" in failure(InventoryFailed, postgresql_server.url("absent"), create=create)


def test_an_empty_database_is_an_inventory_only_when_one_is_to_be_made(postgresql_server):
    url = postgresql_server.database()
    failure(InventoryMissing, url)
    with Inventory.open(url, create=True) as made:
        assert made.place.endswith(url.partition("@/")[2].partition("?")[0])
    Inventory.open(url).close()


def test_the_database_of_another_program(postgresql_server):
    url = postgresql_server.database()
    name = parse_url(url).database
    for table in ("songs", "alembic_version"):
        postgresql_server.run(f"CREATE TABLE {table} (version_num text)", name)
        for create in (True, False):
            failure(Misuse, url, create=create)
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 2200"
        ).fetchall()
    assert sorted(tables) == [("alembic_version",), ("songs",)]


def test_a_newer_schema_is_left_alone(postgresql_server):
    url = postgresql_server.inventory()
    postgresql_server.run("UPDATE alembic_version SET version_num = '9999'", parse_url(url).database)
    assert "newer" in failure(Misuse, url)


def test_a_server_that_is_read_only(postgresql_server):
    url = postgresql_server.inventory()
    postgresql_server.run(f"ALTER DATABASE {parse_url(url).database} SET default_transaction_read_only = on")
    with Inventory.open(url) as inventory:
        assert list(inventory.identities.all()) == []
        with pytest.raises(InventoryFailed, match="may not be written"), inventory.database.writing() as connection:
            connection.execute(text("DELETE FROM tags"))


def test_a_user_who_may_only_read(postgresql_server, inventory):
    name = parse_url(postgresql_server.inventory()).database
    postgresql_server.run(f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'")
    postgresql_server.run("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader", name)
    with Inventory.open(postgresql_server.url(name, role="reader")) as opened:
        assert list(opened.identities.all()) == []
        with pytest.raises(InventoryFailed, match="does not allow"), opened.database.writing() as connection:
            connection.execute(text("DELETE FROM tags"))


def test_a_lock_that_is_held_too_long(inventory):
    with inventory.database.writing():
        began = time.monotonic()
        with pytest.raises(InventoryFailed, match="locked by another process"):
            inventory.identities.set_owner(ClientName.parse("a.example"), "x", now=1.0, actor="x")
        assert 0.8 < time.monotonic() - began < 20
    with inventory.database.writing():
        pass


def test_a_reader_waits_for_no_writer(inventory):
    with inventory.database.writing() as connection:
        connection.execute(
            text("INSERT INTO events (at, actor, action, subject, detail) VALUES (1, 'a', 'b', 'c', '{}')")
        )
        assert list(inventory.events()) == []
    assert len(list(inventory.events())) == 1


def test_a_reader_changes_nothing(inventory):
    with pytest.raises(InventoryFailed, match="may not be written"), inventory.database.reading() as connection:
        connection.execute(text("DELETE FROM tags"))


def test_more_threads_than_connections_are_told(inventory):
    database = inventory.database
    held = [database.reading() for _ in range(8)]
    for one in held:
        one.__enter__().execute(text("SELECT 1"))
    with pytest.raises(InventoryFailed, match="too many threads"), database.reading():
        pass
    for one in held:
        one.__exit__(None, None, None)
    with database.reading() as connection:
        assert connection.execute(text("SELECT 1")).scalar_one() == 1


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:wrong-secret@h:port/fleet",
        "postgresql://u:wrong-secret@h",
        "postgresql://u:wrong-secret@h/",
        "postgresql://h/fleet?password=wrong-secret",
        "postgresql://",
        "postgresql://u:wrong-secret@[::1/fleet",
    ],
)
def test_urls_that_do_not_parse(url):
    failure(Misuse, url)


@pytest.mark.parametrize(
    ("url", "mode"),
    [
        ("postgresql://fleet@db.example/x", "verify-full"),
        ("postgresql://fleet@192.0.2.1/x", "verify-full"),
        ("postgresql://fleet@/x?host=db1.example,db2.example", "verify-full"),
        ("postgresql://fleet@db.example/x?sslmode=require", "require"),
        ("postgresql://fleet@localhost/x", None),
        ("postgresql://fleet@/x?host=/run/postgresql", None),
        ("postgres://fleet@/x", None),
    ],
)
def test_what_leaves_the_machine_is_verified_tls(url, mode, monkeypatch):
    for name in ("PGHOST", "PGSSLMODE"):
        monkeypatch.delenv(name, raising=False)
    from dnsbound.provision.postgresql_database import PostgreSQLDatabase

    query = PostgreSQLDatabase(parse_url(url)).engine().url.query
    assert query.get("sslmode") == mode
    assert query.get("sslrootcert") == ("system" if mode == "verify-full" else None)


def test_the_password_is_nowhere_to_be_seen(postgresql_server):
    url = postgresql_server.url("fleet_1", password="wrong-secret")
    database_of = Inventory.open  # the place is known before any connection
    with pytest.raises(InventoryFailed) as caught:
        database_of(url)
    assert "postgresql://fleet@" in str(caught.value)
    assert "wrong-secret" not in str(caught.value)


class Complaint(Exception):
    """As the driver raises them."""

    def __init__(self, words, sqlstate=None):
        super().__init__(words)
        self.sqlstate = sqlstate


def test_every_complaint_is_a_sentence():
    assert said(Complaint("could not extend file\nHINT: x", "53100")) == (
        "does not fit the server's disk: could not extend file"
    )
    assert said(Complaint("x", "58030")).startswith("cannot be read or written")
    assert said(Complaint("x", "99999")) == "failed: x"
    assert said(Complaint("FATAL:  the database system is starting up")).startswith(SAID["57P03"])
    assert said(Complaint("connection refused\nmore")) == "cannot be reached: connection refused"
    assert said(None)
    assert all(len(code) in (2, 5) for code in SAID)


KILLED = """
import os, signal, sys
from dnsbound.names import ClientName
from dnsbound.provision import event_log
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.entries import ZoneSettings
def stop(*arguments, **options):
    os.kill(os.getpid(), signal.SIGKILL)
event_log.append = stop
with Inventory.open(sys.argv[1]) as inventory:
    zone = OwnerName.parse("cars.example")
    inventory.zones.create(ZoneSettings(name=zone, nameservers=(zone,), rname=zone, ttl=1), now=1.0, actor="killed")
"""


def test_a_killed_writer_leaves_nothing_and_no_lock(postgresql_server):
    url = postgresql_server.inventory()
    done = subprocess.run([sys.executable, "-c", KILLED, url], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    with Inventory.open(url, busy_seconds=10) as inventory:
        assert inventory.zones.all() == []
        assert list(inventory.events()) == []
        with inventory.database.writing():
            pass


def test_misuse_and_absence_are_the_same_words_as_with_a_file(inventory):
    with pytest.raises(DnsboundError) as caught:
        inventory.zones.named(OwnerName.parse("none.example"))
    assert not isinstance(caught.value, InventoryFailed | AlreadyInInventory)
    assert os.getpid()
