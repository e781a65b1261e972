"""Reading, backing up and restoring an inventory needs no more memory when it is larger.

Each piece of work is done in a process of its own, which tells how much it grew from an open inventory to its peak.
What the work costs is counted in `test_inventory_pages`.
"""

import pytest
from bench import inventory as bench

from dnsbound.provision.backup_format import write

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
