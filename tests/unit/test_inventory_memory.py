"""Reading, backing up and restoring an inventory needs no more memory when it is larger, and no more work for each.

Each piece of work is done in a process of its own, which tells how much it grew from an open inventory to its peak.
"""

import pytest
from bench import inventory as bench
from sqlalchemy import event

from dnsbound.provision.backup_format import write
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.owner import OwnerName

MANY = 30_000
LITTLE = {"restore": 30_000_000}
REST = 11_000_000
"""Identities, and octets: less than the rows of one table of theirs would take (13 MB; for a restore, which holds a
thousand rows in three forms, less than the values of a backup, 80 MB)."""
MILLION, SOME = 1_000_000, 48_000_000
"""The same, with room for what SQLite keeps of a long log."""
WORK = {
    "restore": bench.restore_all,
    "list": bench.list_all,
    "list by tag": bench.list_by_tag,
    "export": bench.export_zone,
    "back up": bench.back_up_all,
}


def grown(place, directory, identities):
    made = directory / "made.backup"
    with made.open("wb") as file:
        write(file, bench.HEADER, bench.fleet(identities))
    paths = {"restore": made, "back up": directory / "again.backup"}
    return {what: bench.apart(work, place, str(paths.get(what)), identities)[1] for what, work in WORK.items()}


def test_memory_stays_flat(database_url, tmp_path):
    used = grown(database_url, tmp_path, MANY)
    assert {what: octets for what, octets in used.items() if octets > LITTLE.get(what, REST)} == {}


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_memory_stays_flat_with_a_million(database_url, tmp_path):
    used = grown(database_url, tmp_path, MILLION)
    assert {what: octets for what, octets in used.items() if octets > SOME} == {}


READ = {
    "list": lambda inventory: inventory.identities.all(),
    "list by tag": lambda inventory: inventory.identities.all(tag="model=x5"),
    "list by owner": lambda inventory: inventory.identities.all(owner="Cars Ltd"),
    "list below a name": lambda inventory: inventory.identities.all(below=OwnerName.parse("cars.example")),
    "records of a zone": lambda inventory: inventory.zones.records(OwnerName.parse("cars.example")),
    "events": lambda inventory: inventory.events(),
}


@pytest.mark.parametrize("read", READ.values(), ids=READ)
def test_each_page_costs_the_same(tmp_path, read):
    """Counted in steps of SQLite's machine: pages that read again what earlier ones had would cost three times as much
    where there are three times as many."""
    few, many = (steps_for_each(tmp_path / f"{number}.db", number, read) for number in (4_000, 12_000))
    assert many < 1.03 * few


def steps_for_each(path, number, read):
    backup = path.with_suffix(".backup")
    with backup.open("wb") as file:
        write(file, bench.HEADER, bench.fleet(number))
    bench.restore_all(str(path), str(backup), number)
    steps = 0

    def step():
        nonlocal steps
        steps += 1

    with Inventory.open(path) as inventory:
        engine = inventory.database.engine()
        event.listen(engine, "connect", lambda connection, _record: connection.set_progress_handler(step, 10))
        engine.dispose()
        assert sum(1 for _ in read(inventory)) >= number
    return steps / number
