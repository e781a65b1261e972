"""Each page of a long reading costs the same, wherever in the inventory it begins.

Counted in steps of SQLite's machine: pages that read again what earlier ones had would cost three times as much where
there are three times as many.
"""

import pytest
from bench import inventory as bench
from sqlalchemy import event

from dnsbound.provision.adoption.completeness import Completeness
from dnsbound.provision.adoption.staging import Staging
from dnsbound.provision.backup_format import write
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.publish.outbox import Outbox
from dnsbound.provision.publish.scope import Scope
from dnsbound.provision.publish.standing import all_names

ZONE = OwnerName.parse(bench.ZONE)
SCOPE = Scope.of(ZONE, [OwnerName.parse("boats.cars.example")])

WILDCARD = (
    "INSERT INTO records (owner, sort_key, rdtype, rdata, ttl)"
    " VALUES ('*.cars.example', 'example.cars.*', 'TLSA', '2 1 1 00', 60)"
)
REVOKED = (
    "UPDATE identities SET state = 'revoked', revoked_at = 0",
    "DELETE FROM records",
    WILDCARD,
)
BLOCKED = (
    "INSERT INTO blocks (owner, sort_key, wildcard, reason, since) SELECT name, sort_key, '', '', 0 FROM identities",
)
DEEPER = (
    "UPDATE records SET owner = 'x.' || owner, sort_key = sort_key || '.x'",
    WILDCARD,
)
WAITING = (
    (
        "INSERT INTO outbox (owner, sort_key, since, changes, attempts, not_before)"
        " SELECT name, sort_key, 0, 1, 0, 0 FROM identities"
    ),
)


def missing(inventory):
    staging = Staging()
    staging.settle()
    return Completeness(below=ZONE).missing(inventory.database, staging)


def standing(inventory):
    for batch in all_names(inventory.database, SCOPE, batch=500):
        yield from batch


def taken(inventory):
    outbox, after = Outbox(inventory.database), ""
    while claims := outbox.claim(
        SCOPE, after=after, limit=500, now=bench.NOW, seconds=60, impatient=False, keep_names=False
    ):
        yield from claims
        after = claims[-1].owner.sort_key


def looked_up(inventory):
    """Some of them by name."""
    for position, identity in enumerate(inventory.identities.all()):
        yield inventory.identities.named(identity.name) if position % 100 == 0 else identity


READ = {
    "list": ((), lambda inventory: inventory.identities.all()),
    "list by tag": ((), lambda inventory: inventory.identities.all(tag="model=x5")),
    "list by owner": ((), lambda inventory: inventory.identities.all(owner="Cars Ltd")),
    "list below a name": ((), lambda inventory: inventory.identities.all(below=ZONE)),
    "records of a zone": ((), lambda inventory: inventory.zones.records(ZONE)),
    "looked up by name": ((), looked_up),
    "events": ((), lambda inventory: inventory.events()),
    "what a source has not": ((), missing),
    "blocks": (BLOCKED, lambda inventory: inventory.blocks.all()),
    "blocks below a name": (BLOCKED, lambda inventory: inventory.blocks.all(below=ZONE)),
    "revoked below a wildcard": (REVOKED, lambda inventory: inventory.gaps()),
    "silenced below a wildcard": (DEEPER, lambda inventory: inventory.gaps()),
    "what stands": ((), standing),
    "what waits": (WAITING, lambda inventory: Outbox(inventory.database).peek(SCOPE, batch=500)),
    "what waits, taken": (WAITING, taken),
}


@pytest.mark.parametrize(("changed", "read"), READ.values(), ids=READ)
def test_each_page_costs_the_same(tmp_path, changed, read):
    few, many = (steps_for_each(tmp_path / f"{number}.db", number, changed, read) for number in (4_000, 12_000))
    assert many < 1.03 * few


def steps_for_each(path, number, changed, read):
    backup = path.with_suffix(".backup")
    with backup.open("wb") as file:
        write(file, bench.HEADER, bench.fleet(number))
    bench.restore_all(str(path), str(backup), number)
    steps = 0

    def step():
        nonlocal steps
        steps += 1

    with Inventory.open(path) as inventory:
        with inventory.database.writing() as connection:
            for statement in changed:
                connection.exec_driver_sql(statement)
        engine = inventory.database.engine()
        event.listen(engine, "connect", lambda connection, _record: connection.set_progress_handler(step, 10))
        engine.dispose()
        assert sum(1 for _ in read(inventory)) >= number
    return steps / number
