"""Backup and restore: one view while others write, all or nothing, on both databases and between them."""

import errno
import gzip
import hashlib
import io
import json
import signal
import stat
import subprocess
import sys
import threading

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text

from dnsbound.errors import DnsboundError, LimitExceeded, Malformed, Misuse
from dnsbound.names import ClientName
from dnsbound.provision import backup_format, schema
from dnsbound.provision.backup import Restored, back_up, check, restore
from dnsbound.provision.backup_format import Header, Reader, write
from dnsbound.provision.entries import ZoneSettings
from dnsbound.provision.errors import AlreadyInInventory, InventoryFailed
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.inventory_facts import InventoryFacts
from dnsbound.provision.inventory_kind import HEAD_REVISION
from dnsbound.provision.owner import OwnerName
from dnsbound.records.tlsa import TLSA

NOW = 1_800_000_000.123
ACT = {"now": NOW, "actor": "operations"}
SPKI = (
    ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
)
RECORD = TLSA(3, 1, 1, hashlib.sha256(SPKI).digest())
DATA = "3 1 1 " + "ab" * 32


@pytest.fixture
def inventory(database_url):
    with Inventory.open(database_url, create=True) as opened:
        yield opened


@pytest.fixture
def other(tmp_path):
    """An empty one in a file."""
    with Inventory.open(tmp_path / "other" / "inventory.db", create=True) as opened:
        yield opened


def register(inventory, name):
    given = {"spki": SPKI, "records": [RECORD], "ttl": 60, "tags": ["blue", "x=1"], "owner": "Cars Ltd — 車"}
    inventory.identities.register(ClientName.parse(name), **given, **ACT, reason="delivered")


def fill(inventory, count=5):
    name = OwnerName.parse("cars.example")
    hosts = (OwnerName.parse("ns1.cars.example"), OwnerName.parse("ns2.cars.example"))
    zone = ZoneSettings(name=name, nameservers=hosts, rname=OwnerName.parse("admin.cars.example"), ttl=60)
    inventory.zones.create(zone, **ACT)
    for number in range(count):
        register(inventory, f"car{number}.cars.example")
        register(inventory, f"car{number}.other.example")
    inventory.identities.revoke(ClientName.parse("car1.cars.example"), **ACT)


def content(inventory):
    """Every row of every table but the events of restoring."""
    with inventory.database.reading() as connection:
        return {
            table.name: sorted(
                (tuple(bytes(value) if isinstance(value, memoryview) else value for value in row))
                for row in connection.execute(select(table))
                if "restore" not in row
            )
            for table in schema.metadata.sorted_tables
        }


def lines(path):
    return gzip.decompress(path.read_bytes()).splitlines()


def repacked(path, changed):
    path.write_bytes(gzip.compress(b"".join(line + b"\n" for line in changed)))


def test_what_was_backed_up_is_what_is_restored(inventory, other, tmp_path):
    fill(inventory)
    path = tmp_path / "fleet.backup"
    made = back_up(inventory.database, path, now=NOW)
    assert (made.schema, made.made_at, made.rows["identities"]) == (HEAD_REVISION, NOW, 10)
    assert check(path) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert restore(other.database, path, **ACT, reason="moved") == Restored(backup=made, kept_revoked=(), to_repeat=())
    assert content(other) == content(inventory)
    [told] = [event for event in other.events() if event.action == "restore"]
    assert (told.reason, told.detail["replaced"], told.detail["rows"]["keys"]) == ("moved", False, 10)
    register(other, "new.cars.example")  # numbers go on after those that came with the rows
    assert list(other.events())[-1].number == told.number + 1


def test_from_a_file_into_this_database(inventory, other, tmp_path):
    fill(other)
    path = tmp_path / "fleet.backup"
    back_up(other.database, path, now=NOW)
    restore(inventory.database, path, **ACT)
    assert content(inventory) == content(other)
    register(inventory, "new.cars.example")
    assert inventory.identities.named(ClientName.parse("new.cars.example")).spki == SPKI
    for statement in ("UPDATE events SET actor = 'x'", "DELETE FROM events"):
        with pytest.raises(InventoryFailed, match="append-only"), inventory.database.writing() as connection:
            connection.execute(text(statement))


def test_what_is_not_empty_is_replaced_only_on_request(inventory, other, tmp_path):
    fill(inventory)
    path = tmp_path / "fleet.backup"
    back_up(inventory.database, path, now=NOW)
    register(inventory, "later.cars.example")
    before = content(inventory)
    with pytest.raises(AlreadyInInventory):
        restore(inventory.database, path, **ACT)
    assert content(inventory) == before
    restore(inventory.database, path, replace=True, **ACT)
    restore(other.database, path, **ACT)
    assert content(inventory) == content(other)


CARS = ("car2.cars.example", "car3.cars.example", "car4.cars.example")


def revoked_since(inventory, tmp_path):
    """A backup, and after it: car2 revoked, car3 revoked and registered anew, car4 blocked in place of its records."""
    fill(inventory)
    path = tmp_path / "fleet.backup"
    back_up(inventory.database, path, now=NOW)
    later = ACT | {"now": NOW + 60}
    for name in CARS[:2]:
        inventory.identities.revoke(ClientName.parse(name), **later)
    register(inventory, CARS[1])
    inventory.blocks.block(ClientName.parse("new.cars.example"), **later)
    return path


def test_who_was_revoked_after_the_backup_stays_revoked(inventory, tmp_path):
    path = revoked_since(inventory, tmp_path)
    done = restore(inventory.database, path, replace=True, **ACT)
    assert (done.kept_revoked, done.to_repeat) == (CARS[:1], (("block", "new.cars.example"),))
    states = [inventory.identities.named(ClientName.parse(name)).state.value for name in CARS]
    assert states == ["revoked", "active", "active"]
    with inventory.database.reading() as connection:
        owners = set(connection.execute(select(schema.records.c.owner)).scalars())
    assert owners & set(CARS) == set(CARS[1:])
    assert [event.action for event in inventory.events(subject=CARS[0])] == ["register", "revoke"]


def test_who_was_revoked_after_the_backup_comes_back_by_name_of_the_danger(inventory, tmp_path):
    path = revoked_since(inventory, tmp_path)
    done = restore(inventory.database, path, replace=True, danger_revoked=True, **ACT)
    assert done.kept_revoked == CARS[:1]
    assert inventory.identities.named(ClientName.parse(CARS[0])).state.value == "active"


def test_who_was_revoked_before_the_backup_and_registered_after_it(inventory, tmp_path):
    fill(inventory)
    path = tmp_path / "fleet.backup"
    back_up(inventory.database, path, now=NOW + 60)
    register(inventory, "car1.cars.example")  # revoked by `fill`
    assert restore(inventory.database, path, replace=True, **ACT).kept_revoked == ()
    assert inventory.identities.named(ClientName.parse("car1.cars.example")).state.value == "revoked"


def test_an_authority_sees_a_restore(inventory, tmp_path, monkeypatch):
    monkeypatch.setattr("dnsbound.provision.postgresql_watch.ASK_SECONDS", 0.0)
    fill(inventory)
    path = tmp_path / "fleet.backup"
    back_up(inventory.database, path, now=NOW)
    register(inventory, "later.cars.example")
    watch = inventory.watch()
    owners = watch.prepared(select(schema.records.c.owner))
    seen, before = watch.version(), set(owners())
    restore(inventory.database, path, replace=True, **ACT)
    assert watch.version() != seen
    assert before - set(owners()) == {("later.cars.example",)}
    watch.close()


def test_a_backup_is_one_view_while_others_write(inventory, other, tmp_path, monkeypatch):
    fill(inventory)
    path = tmp_path / "fleet.backup"
    before = content(inventory)
    writers = []

    def write_meanwhile(out, header, rows):
        def watched():
            for number, row in enumerate(rows):
                if number % 20 == 0:
                    writer = threading.Thread(target=register, args=(inventory, f"meanwhile{number}.cars.example"))
                    writer.start()
                    writer.join(30)
                    writers.append(writer.is_alive())
                yield row

        return write(out, header, watched())

    monkeypatch.setattr("dnsbound.provision.backup.write", write_meanwhile)
    back_up(inventory.database, path, now=NOW)
    assert len(writers) > 2
    assert not any(writers)  # writers wait for nobody
    restore(other.database, path, **ACT)
    assert content(other) == before
    assert len(content(inventory)["identities"]) == len(before["identities"]) + len(writers)


@pytest.mark.parametrize(
    "harm",
    [
        "cut in the middle",
        "cut at a line",
        "without its end",
        "one digit",
        "a row less",
        "a row twice",
        "something after",
    ],
)
def test_a_changed_file_is_refused_whole(inventory, other, tmp_path, harm):
    fill(other)
    path = tmp_path / "fleet.backup"
    back_up(other.database, path, now=NOW)
    whole = path.read_bytes()
    rows = lines(path)
    {
        "cut in the middle": lambda: path.write_bytes(whole[: len(whole) // 2]),
        "cut at a line": lambda: repacked(path, rows[:10]),
        "without its end": lambda: repacked(path, rows[:-1]),
        "one digit": lambda: repacked(path, [*rows[:-3], rows[-3].replace(b"60", b"61", 1), *rows[-2:]]),
        "a row less": lambda: repacked(path, [*rows[:-3], *rows[-2:]]),
        "a row twice": lambda: repacked(path, [*rows[:-1], rows[-2], rows[-1]]),
        "something after": lambda: path.write_bytes(whole + b"more"),
    }[harm]()
    assert path.read_bytes() != whole
    with pytest.raises(Malformed):
        check(path)
    register(inventory, "here.cars.example")
    before = content(inventory)
    with pytest.raises((Malformed, InventoryFailed)):  # a row twice is refused by the table
        restore(inventory.database, path, replace=True, **ACT)
    assert content(inventory) == before


HEADER = {
    "format": "dnsbound inventory",
    "version": 1,
    "schema": HEAD_REVISION,
    "made_at": 1.0,
    "tables": {"tags": ["tag"]},
}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("rdata", DATA + "\nevil.example. 60 IN TLSA 3 1 1 " + "00" * 32),
        ("rdata", DATA + " ("),
        ("rdata", DATA.upper() + " "),
        ("owner", "a.cars.example. 60 IN A 192.0.2.1\nb"),
        ("owner", "a.other.example"),
        ("rdtype", "TXT"),
        ("rdtype", "$INCLUDE"),
    ],
)
@pytest.mark.parametrize("table", ["records", "published"])
def test_no_record_is_restored_that_the_inventory_would_not_write(other, tmp_path, table, column, value):
    path = tmp_path / "fleet.backup"
    columns = {
        name: tuple(one.name for one in schema.metadata.tables[name].columns) for name in ("records", "published")
    }
    row = {"owner": "a.cars.example", "sort_key": "example.cars.a", "rdtype": "TLSA", "rdata": DATA}
    row |= {"id": 1, "ttl": 60, "at": NOW, column: value}
    with path.open("wb") as file:
        write(
            file,
            Header(schema=HEAD_REVISION, made_at=NOW, tables=columns),
            [(table, [row.get(name) for name in columns[table]])],
        )
    with pytest.raises((Malformed, Misuse)):
        restore(other.database, path, **ACT)
    assert not content(other)[table]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"format": "other"}, Malformed),
        ({"version": 2}, Malformed),
        ({"schema": "9999"}, Misuse),
        ({"schema": 2}, Malformed),
        ({"schema": ""}, Misuse),
        ({"made_at": "today"}, Malformed),
        ({"tables": {"songs": ["title"]}}, Malformed),
        ({"tables": {"sqlite_master": ["name"]}}, Malformed),
        ({"tables": {"alembic_version": ["version_num"]}}, Malformed),
        ({"tables": {"tags": ["tag); DROP TABLE events; --"]}}, Malformed),
        ({"tables": {"tags": []}}, Malformed),
        ({"tables": []}, Malformed),
    ],
)
def test_headers_that_do_not_fit(other, tmp_path, change, error):
    path = tmp_path / "hostile"
    first = json.dumps(HEADER | change).encode()
    tables = (HEADER | change)["tables"]
    end = {"rows": dict.fromkeys(tables, 0), "sha256": hashlib.sha256(first + b"\n").hexdigest()}
    repacked(path, [first, json.dumps({"end": end}).encode()])
    before = content(other)
    with pytest.raises(error):
        restore(other.database, path, **ACT)
    assert content(other) == before


@given(st.one_of(st.binary(max_size=200), st.binary(max_size=200).map(gzip.compress)))
@settings(max_examples=200)
def test_any_octets_are_refused_in_one_way(octets):
    with pytest.raises(Malformed):
        list(Reader(io.BytesIO(octets)))


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["end", "b64", "x"]), inner),
        max_leaves=6,
    )
)
@settings(max_examples=300)
def test_any_json_as_a_row_is_a_row_or_refused(value):
    octets = gzip.compress(json.dumps(HEADER).encode() + b"\n" + json.dumps(["tags", value]).encode() + b"\n")
    reader = iter(Reader(io.BytesIO(octets)))
    try:
        table, [read] = next(reader)
    except DnsboundError:
        return
    assert table == "tags"
    assert read is None or (not isinstance(read, bool) and isinstance(read, str | int | float | bytes))


values = st.none() | st.text(max_size=20).filter(lambda text: "\0" not in text) | st.binary(max_size=20)
values |= st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.tuples(st.just("t"), st.lists(values, min_size=2, max_size=2)), max_size=10))
def test_rows_come_back_exactly(rows):
    file = io.BytesIO()
    header = Header(schema="0002", made_at=NOW, tables={"t": ("a", "b")})
    assert write(file, header, rows) == {"t": len(rows)}
    file.seek(0)
    reader = Reader(file)
    assert reader.header == header
    assert [(table, list(map(repr, row))) for table, row in reader] == [(t, list(map(repr, row))) for t, row in rows]


def test_a_line_has_a_limit(monkeypatch):
    monkeypatch.setattr(backup_format, "MAX_LINE_OCTETS", 1000)
    octets = gzip.compress(json.dumps(HEADER).encode() + b"\n" + b'["tags", "' + b"x" * 5_000_000 + b'"]\n')
    with pytest.raises(Malformed):
        list(Reader(io.BytesIO(octets)))


def test_all_lines_together_have_a_limit(other, tmp_path):
    """A file of 100 kB that would unpack to 80 MB, each line of it short."""
    path = tmp_path / "bomb"
    row = json.dumps(["tags", "x" * 1000]).encode() + b"\n"
    path.write_bytes(gzip.compress(json.dumps(HEADER).encode() + b"\n" + row * 80_000))
    before = content(other)
    for read in (check, lambda file, **more: restore(other.database, file, **ACT, **more)):
        with pytest.raises(LimitExceeded) as failed:
            read(path, octets=1_000_000)
        assert failed.value.limit == "backup-octets"
    assert content(other) == before
    with pytest.raises(Malformed):  # cut off, but not too long
        check(path, octets=100_000_000)


def test_an_older_schema_is_brought_up(other, tmp_path):
    """A backup of revision 0001, as a release that wrote backups then would have."""
    path = tmp_path / "old.backup"
    columns = ("id", "name", "sort_key", "spki", "ttl", "state", "registered_at", "revoked_at")
    header = Header(schema="0001", made_at=NOW, tables={"identities": columns})
    with path.open("wb") as file:
        write(file, header, [("identities", [7, "a.example", "example.a", SPKI, 60, "active", 1.5, None])])
    restore(other.database, path, **ACT)
    [identity] = other.identities.all()
    assert (identity.name.text, identity.spki) == ("a.example", SPKI)
    assert other.database.revision() == HEAD_REVISION


# The file.


def test_a_former_backup_is_replaced_and_nothing_else(inventory, tmp_path):
    path = tmp_path / "fleet.backup"
    back_up(inventory.database, path, now=NOW)
    fill(inventory)
    back_up(inventory.database, path, now=NOW + 1)
    assert check(path).made_at == NOW + 1
    for octets in (b"", b"somebody's text", gzip.compress(b"somebody's archive")):
        path.write_bytes(octets)
        with pytest.raises(Misuse):
            back_up(inventory.database, path, now=NOW)
        assert path.read_bytes() == octets
    assert [found.name for found in tmp_path.glob("*fleet*")] == ["fleet.backup"]


def test_a_place_that_cannot_be_written(inventory, tmp_path):
    with pytest.raises(OSError, match="No such file"):
        back_up(inventory.database, tmp_path / "none" / "fleet.backup", now=NOW)


BACK_UP = """
import resource, signal, sys
from pathlib import Path
from dnsbound.provision.backup import back_up
from dnsbound.provision.inventory import Inventory
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with Inventory.open(sys.argv[1]) as inventory:
    resource.setrlimit(resource.RLIMIT_FSIZE, (400, 400))
    try:
        back_up(inventory.database, Path(sys.argv[2]), now=1.0)
    except OSError as error:
        sys.exit(error.errno)
"""


def test_a_full_disk_leaves_the_former_backup(other, tmp_path):
    fill(other)
    path = tmp_path / "fleet.backup"
    back_up(other.database, path, now=NOW)
    before = path.read_bytes()
    assert len(before) > 400
    done = subprocess.run([sys.executable, "-c", BACK_UP, str(other.path), str(path)], timeout=60, check=False)
    assert done.returncode == errno.EFBIG
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.glob("*fleet*")] == ["fleet.backup"]


RESTORE = """
import os, signal, sys
from pathlib import Path
from dnsbound.provision import backup
from dnsbound.provision.inventory import Inventory
end = backup._continue_numbering
def stop(*arguments):
    end(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
backup._continue_numbering = stop
with Inventory.open(sys.argv[1]) as inventory:
    backup.restore(inventory.database, Path(sys.argv[2]), replace=True, now=1.0, actor="killed")
"""


def test_a_restore_that_is_killed_leaves_what_was(inventory, database_url, other, tmp_path):
    fill(other, count=20)
    path = tmp_path / "fleet.backup"
    back_up(other.database, path, now=NOW)
    register(inventory, "here.cars.example")
    before = content(inventory)
    done = subprocess.run([sys.executable, "-c", RESTORE, database_url, str(path)], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    assert content(inventory) == before
    restore(inventory.database, path, replace=True, **ACT)
    assert content(inventory) == content(other)


def test_facts_count_what_is_there(inventory):
    fill(inventory)
    facts = InventoryFacts.of(inventory.database)
    assert (facts.identities, facts.keys) == ({"active": 9, "revoked": 1}, {"current": 10, "next": 0, "retired": 0})
    assert (facts.zones, facts.records, facts.unpublished, facts.events) == (1, 9, 5, 12)
    assert (facts.schema, facts.octets > 10_000) == (HEAD_REVISION, True)
    assert "pass-" not in facts.place
