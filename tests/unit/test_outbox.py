"""The outbox: which names belong to whom, what is taken and given back, files that are written while records change,
and the runner's part. How publishers meet is in tests/property/test_outbox_model.py."""

import pytest
from sqlalchemy import select

from dnsbound.errors import Misuse
from dnsbound.provision import publication, schema
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.publish.mover import OutboxMover
from dnsbound.provision.publish.moving import Manner, allowed_removals
from dnsbound.provision.publish.outbox import Outbox, Settled
from dnsbound.provision.publish.publisher import Change, OutcomeKind
from dnsbound.provision.publish.reconcile import Publishing
from dnsbound.provision.publish.scope import Scope
from dnsbound.provision.publish.targets import parse_targets
from dnsbound.provision.publish.zone_file import load_zone_file
from dnsbound.provision.publish.zone_text import record_lines

NOW = 1_800_000_000.0
DATA = [f"3 1 1 {number:064x}" for number in range(1, 4)]
CARS, PLANT = OwnerName.parse("cars.example"), OwnerName.parse("plant.cars.example")


@pytest.fixture
def inventory(database_url):
    with Inventory.open(database_url, create=True) as opened:
        yield opened


@pytest.fixture
def outbox(inventory):
    return Outbox(inventory.database)


def put(inventory, name, data=DATA[0]):
    owner = OwnerName.parse(name)
    with inventory.database.writing() as connection:
        publication.add(connection, publication.parse_record(owner, "TLSA", data, 60), now=NOW)


def take(inventory, name, data=None):
    with inventory.database.writing() as connection:
        publication.remove(connection, OwnerName.parse(name), frozenset({"TLSA"}), data, now=NOW)


def published(inventory):
    with inventory.database.reading() as connection:
        rows = connection.execute(select(schema.published.c.owner, schema.published.c.rdata))
        return {(row.owner, row.rdata) for row in rows}


def claims(outbox, scope, *, now=NOW, impatient=False):
    return outbox.claim(scope, after="", limit=10, now=now, seconds=90, impatient=impatient, keep_names=False)


def test_a_scope_is_a_zone_without_those_below_it(inventory, outbox):
    here, below = ["a.cars.example", "cars.example"], ["a.plant.cars.example", "plant.cars.example"]
    names = [*here, *below, "xcars.example", "cars.example.net"]
    for name in names:
        put(inventory, name)
    scope = Scope.of(CARS, [CARS, PLANT, OwnerName.parse("other.example")])
    assert [name for name in names if scope.holds(OwnerName.parse(name))] == here
    assert {claim.owner.text for claim in claims(outbox, scope)} == set(here)
    assert outbox.elsewhere([scope, Scope.of(PLANT, [])]) == (2, "cars.example.net")


def test_names_are_taken_once_and_come_back(inventory, outbox):
    scope = Scope.of(CARS, [])
    put(inventory, "a.cars.example")
    [claim] = claims(outbox, scope)
    assert claims(outbox, scope) == claims(outbox, scope, impatient=True) == []
    waiting = outbox.waiting(scope, now=NOW)
    assert (waiting.names, waiting.claimed, waiting.claimed_until) == (1, 1, NOW + 90)
    outbox.release([claim], now=NOW + 1)
    assert len(claims(outbox, scope, now=NOW + 1)) == 1
    assert len(claims(outbox, scope, now=NOW + 92)) == 1, "of one who was killed"


@pytest.mark.parametrize("impatient", [True, False])
def test_a_name_that_was_taken_under_a_clock_far_ahead_is_not_lost(inventory, outbox, impatient):
    scope, ahead = Scope.of(CARS, []), NOW + 10 * 365 * 86400
    put(inventory, "a.cars.example")
    claims(outbox, scope, now=ahead)
    assert outbox.waiting(scope, now=NOW).due == 1
    assert outbox.waiting(scope, now=NOW).claimed == 0
    [claim] = claims(outbox, scope, impatient=impatient)
    outbox.settle([Settled(claim=claim, kind=OutcomeKind.UNDECIDED, line="away")], now=ahead)
    assert len(claims(outbox, scope)) == 1


def test_what_failed_waits_longer_each_time_unless_somebody_is_impatient(inventory, outbox):
    scope, now, pauses = Scope.of(CARS, []), NOW, []
    put(inventory, "a.cars.example")
    for _ in range(4):
        [claim] = claims(outbox, scope, now=now, impatient=True)
        outbox.settle([Settled(claim=claim, kind=OutcomeKind.UNDECIDED, line="away")], now=now)
        due = outbox.next_due([scope])
        pauses.append(due - now)
        assert claims(outbox, scope, now=due - 0.5) == []
    assert pauses == sorted(pauses)
    assert pauses[0] < pauses[-1]
    assert outbox.waiting(scope, now=now).problem == "away"


def test_a_file_that_is_written_while_records_change(inventory, outbox):
    scope = Scope.of(CARS, [])
    for name in ("a.cars.example", "b.cars.example"):
        put(inventory, name)
    claim = outbox.claim_all(scope, now=NOW, seconds=90)
    assert claim.names == 2
    put(inventory, "b.cars.example", DATA[1])
    take(inventory, "b.cars.example", DATA[0])
    outbox.settle_all(scope, claim, kind=OutcomeKind.DONE, line="", now=NOW + 1)
    waiting = outbox.waiting(scope, now=NOW + 1)
    assert (waiting.names, waiting.due) == (1, 1)
    assert ("b.cars.example", DATA[0]) in published(inventory), "the file may still have it"
    claim = outbox.claim_all(scope, now=NOW + 2, seconds=90)
    outbox.settle_all(scope, claim, kind=OutcomeKind.DONE, line="", now=NOW + 3)
    assert published(inventory) == {("a.cars.example", DATA[0]), ("b.cars.example", DATA[1])}
    assert outbox.waiting(scope, now=NOW + 3).names == 0


@pytest.mark.parametrize(("removals", "there", "expected"), [(100, 50, 100), (100, 5000, 500), (0, 50, 5), (0, 0, 0)])
def test_how_many_names_may_go_unasked(removals, there, expected):
    assert allowed_removals(removals, there) == expected


@pytest.mark.parametrize(
    ("owner", "rdtype", "after"),
    [
        ("a.other.example", "TLSA", (DATA[0],)),
        ("*.cars.example", "TLSA", (DATA[0],)),
        ("*.cars.example", "TLSA", ("1 1 1 " + "ab" * 32,)),
        ("a.cars.example", "CNAME", ("b.example.", "c.example.")),
        ("a.cars.example", "MX", ("10 mail.example.",)),
        ("a.cars.example", "TLSA", ("3 1 1 abcd",)),
    ],
)
def test_what_no_publisher_sends(owner, rdtype, after):
    change = Change(owner=OwnerName.parse(owner, wildcard=True), rdtype=rdtype, after=after, ttl=60)
    with pytest.raises(Exception) as caught:  # noqa: PT011 (two kinds)
        change.checked(CARS)
    assert type(caught.value).__name__ in ("Misuse", "Malformed")


def publishing(inventory, tmp_path, clock):
    table = {
        "cars.example": {"to": "zonefile", "file": str(tmp_path / "cars.zone")},
        "plant.example": {"to": "zonefile", "file": str(tmp_path / "no" / "plant.zone")},
    }

    def nobody(_target):
        raise Misuse("no server here")

    return Publishing(inventory, parse_targets(table, tmp_path / "x.toml"), nobody, clock=clock)


def test_the_runner_publishes_what_is_due(inventory, tmp_path):
    now = [NOW]
    mover = OutboxMover(lambda: publishing(inventory, tmp_path, lambda: now[0]))
    assert mover.name == "publish"
    assert mover.next_due() is None
    put(inventory, "a.cars.example")
    put(inventory, "a.plant.example")
    assert mover.next_due() == NOW
    report = mover.advance(now[0], 100)
    assert (report.moved, report.undecided, report.refused) == (1, 1, 0)
    assert [line for line in report.lines if "plant" in line]
    due = mover.next_due()
    assert due is not None
    assert due > NOW, "one zone that fails is tried later"
    assert mover.advance(now[0], 100).moved == 0
    (tmp_path / "no").mkdir()
    now[0] = due + 1
    assert mover.advance(now[0], 100).moved == 1
    assert mover.next_due() is None


def test_an_empty_file_is_there_before_anything_waits(inventory, tmp_path):
    """A zone that includes it must load."""
    made = publishing(inventory, tmp_path, lambda: NOW)
    made.publish(made.targets["cars.example"], Manner())
    assert (tmp_path / "cars.zone").exists()


def test_of_two_who_write_a_file_the_slower_brings_nothing_back(inventory, tmp_path):
    """The slower one has read the records before one of them was revoked."""
    made = publishing(inventory, tmp_path, lambda: NOW)
    target = made.targets["cars.example"]
    put(inventory, "a.cars.example")
    put(inventory, "b.cars.example", DATA[1])
    between = []

    def meanwhile():
        take(inventory, "b.cars.example")
        moved = made.publish(target, Manner())
        between.append((moved.done, moved.undecided))

    def slow_lines():
        with inventory.database.reading() as connection:
            lines = list(record_lines(connection, made.scope(target)))
        meanwhile()
        yield from lines

    assert load_zone_file(target, slow_lines())[0] is OutcomeKind.DONE
    assert between == [(0, 2)]
    now = made.outbox.next_due([made.scope(target)])
    assert now is not None, "what was revoked still waits"
    later = publishing(inventory, tmp_path, lambda: now)
    assert later.publish(target, Manner(impatient=False)).done == 2
    assert DATA[1] not in target.file.read_text()
