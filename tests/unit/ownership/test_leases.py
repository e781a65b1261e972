"""Leases: granted, begun, extended and ended, by command and by the runner, and what stands in their way."""

import hashlib

import dns.name
import dns.rdatatype
import pytest
from sqlalchemy import select

from dnsbound.dns.answer import Answer, Outcome, Security
from dnsbound.errors import Misuse, Reason, Refused, Undecided
from dnsbound.names import ClientName
from dnsbound.provision import schema
from dnsbound.provision.errors import AlreadyInInventory, LeaseRefused, NameBlocked, NotInInventory
from dnsbound.provision.lifecycle.evidence import Reading
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.ownership.lease import LEASE_TRANSITIONS, LeaseState
from dnsbound.provision.ownership.lease_target import check_target
from dnsbound.provision.ownership.leases import Leases
from dnsbound.provision.ownership.movers import LeaseMover
from dnsbound.records.tlsa import BLOCK, TLSA
from dnsbound.testing.organisation import rdata_of
from unit.fleets import NOW, authority, new_spki

MAKERS = "car54._device.cars.example"
LEASED = "rented1._device.hire.example"
NAME, TARGET = ClientName.parse(LEASED), ClientName.parse(MAKERS)
DAY = 86_400.0
END = NOW + 30 * DAY


class SteadyClock:
    """Goes on whatever the wall clock is set to."""

    def __init__(self):
        self.reading = Reading(clock="one", seconds=1000.0)

    def __call__(self):
        return self.reading

    def go_on(self, seconds):
        self.reading = Reading(clock=self.reading.clock, seconds=self.reading.seconds + seconds)

    def restart(self):
        self.reading = Reading(clock="another", seconds=0.0)


@pytest.fixture
def steady():
    return SteadyClock()


@pytest.fixture
def leases(fleet, steady):
    fleet.register(MAKERS)
    return Leases(fleet.inventory.database, steady=steady)


def grant(leases, name=NAME, target=TARGET, **changes):
    return leases.grant(name, target, **({"ends_at": END, "now": NOW, "actor": "operations"} | changes))


def mover(leases, problem=None):
    def check(target):
        if problem is not None:
            raise problem

    return LeaseMover(leases, check, actor="runner")


def alias_of(fleet, name=LEASED):
    """Where the alias leads; None without one."""
    with fleet.inventory.database.reading() as connection:
        rows = schema.records.c
        query = select(rows.rdata).where(rows.owner == name, rows.rdtype == "CNAME")
        return connection.execute(query).scalar_one_or_none()


def test_a_lease_is_an_alias_from_its_start_to_its_end(fleet, leases):
    lease = grant(leases, reason="summer")
    assert (lease.state, lease.ttl, lease.due_at) == (LeaseState.ACTIVE, 120, END)
    assert alias_of(fleet) == f"{MAKERS}."
    assert fleet.served(LEASED) == [f"{MAKERS}."]
    assert mover(leases).advance(END - 1, 10).moved == 0
    assert mover(leases).advance(END, 10).moved == 1
    assert leases.numbered(lease.number).state is LeaseState.ENDED
    assert fleet.served(LEASED) == []
    assert fleet.served(MAKERS) != []
    assert [action for action, _ in fleet.events(LEASED)] == ["lease", "lease-begin", "lease-end"]
    assert fleet.events(LEASED)[0] == ("lease", "summer")


def test_a_lease_that_starts_later_is_begun_by_the_runner(fleet, leases):
    lease = grant(leases, starts_at=NOW + DAY)
    assert (lease.state, alias_of(fleet), leases.next_due()) == (LeaseState.PENDING, None, NOW + DAY)
    assert mover(leases).advance(NOW + DAY - 1, 10) == mover(leases).advance(NOW, 10)
    report = mover(leases).advance(NOW + DAY, 10)
    assert (report.moved, report.refused, report.undecided) == (1, 0, 0)
    assert alias_of(fleet) == f"{MAKERS}."
    assert leases.next_due() == END


@pytest.mark.parametrize(
    ("problem", "refused", "undecided"),
    [
        (Refused(Reason.NO_TLSA), 1, 0),
        (Refused(Reason.INSECURE), 1, 0),
        (LeaseRefused("is itself an alias"), 1, 0),
        (Undecided(Reason.DNS_FAILED), 0, 1),
    ],
)
def test_nothing_is_published_while_the_device_cannot_carry_it(fleet, leases, problem, refused, undecided):
    lease = grant(leases, starts_at=NOW + DAY)
    report = mover(leases, problem).advance(NOW + DAY, 10)
    assert (report.moved, report.refused, report.undecided) == (0, refused, undecided)
    assert len(report.lines) == 1
    assert alias_of(fleet) is None
    waiting = leases.numbered(lease.number)
    assert (waiting.state, waiting.attempts, waiting.problem) == (LeaseState.PENDING, 1, str(problem))
    assert waiting.due_at == NOW + DAY + 60
    assert mover(leases, problem).advance(NOW + DAY + 60, 10).moved == 0
    assert leases.numbered(lease.number).due_at == NOW + DAY + 60 + 120
    assert mover(leases).advance(NOW + 2 * DAY, 10).moved == 1
    assert leases.numbered(lease.number).problem == ""
    assert alias_of(fleet) is not None


def test_a_lease_that_could_not_begin_before_its_end_is_cancelled(fleet, leases):
    lease = grant(leases, starts_at=NOW + DAY)
    mover(leases, Refused(Reason.NO_TLSA)).advance(NOW + DAY, 10)
    assert mover(leases).advance(END, 10).moved == 1
    assert leases.numbered(lease.number).state is LeaseState.CANCELLED
    assert fleet.events(LEASED)[-1] == ("lease-cancel", "no-tlsa")
    assert alias_of(fleet) is None


def test_a_runner_that_was_away_ends_at_once_what_is_over(fleet, leases):
    grant(leases)
    pending = grant(leases, ClientName.parse("rented2._device.hire.example"), starts_at=NOW + DAY)
    assert mover(leases).advance(END + 100 * DAY, 10).moved == 2
    assert alias_of(fleet) is None
    assert leases.numbered(pending.number).state is LeaseState.CANCELLED
    assert leases.next_due() is None


def test_leases_follow_each_other_without_a_gap(fleet, leases):
    fleet.register("car55._device.cars.example")
    grant(leases)
    later = grant(leases, target=ClientName.parse("car55._device.cars.example"), starts_at=END, ends_at=END + DAY)
    report = mover(leases).advance(END, 10)
    assert report.moved == 2
    assert alias_of(fleet) == "car55._device.cars.example."
    assert leases.current(NAME).number == later.number


def test_a_clock_that_is_set_back_prolongs_nothing(fleet, leases, steady):
    grant(leases)
    steady.go_on(30 * DAY - 1)
    assert mover(leases).advance(NOW - 365 * DAY, 10).moved == 0
    steady.go_on(1)
    assert mover(leases).advance(NOW - 365 * DAY, 10).moved == 1
    assert alias_of(fleet) is None
    with pytest.raises(NotInInventory):
        leases.extend(NAME, ends_at=END + DAY, now=NOW - 365 * DAY, actor="operations")


def test_what_ended_stays_ended_when_the_clock_goes_back(fleet, leases, steady):
    lease = grant(leases)
    steady.restart()
    assert mover(leases).advance(END, 10).moved == 1
    assert mover(leases).advance(NOW, 10).moved == 0
    assert leases.numbered(lease.number).state is LeaseState.ENDED
    assert alias_of(fleet) is None


def test_another_machines_steady_clock_says_nothing(fleet, leases, steady):
    grant(leases)
    steady.restart()
    steady.go_on(1000 * DAY)
    assert mover(leases).advance(NOW + DAY, 10).moved == 0
    assert alias_of(fleet) is not None


def test_extending_and_ending_early(fleet, leases):
    lease = grant(leases)
    longer = leases.extend(NAME, ends_at=END + DAY, now=NOW + DAY, actor="operations", reason="one day more")
    assert (longer.ends_at, longer.due_at) == (END + DAY, END + DAY)
    assert mover(leases).advance(END, 10).moved == 0
    for sooner in (END, END + DAY):
        with pytest.raises(Misuse):
            leases.extend(NAME, ends_at=sooner, now=NOW + DAY, actor="operations")
    ended = leases.end(NAME, now=NOW + 2 * DAY, actor="operations", reason="brought back")
    assert (ended.number, ended.state, alias_of(fleet)) == (lease.number, LeaseState.ENDED, None)
    assert fleet.events(LEASED)[-1] == ("lease-end", "brought back")
    with pytest.raises(NotInInventory):
        leases.end(NAME, now=NOW + 2 * DAY, actor="operations")


def test_a_pending_lease_is_extended_and_cancelled_by_its_number(leases):
    grant(leases)
    later = grant(leases, starts_at=END, ends_at=END + DAY)
    assert leases.extend(NAME, number=later.number, ends_at=END + 2 * DAY, now=NOW, actor="x").due_at == END
    assert leases.end(NAME, number=later.number, now=NOW, actor="x").state is LeaseState.CANCELLED
    with pytest.raises(NotInInventory):
        leases.end(NAME, number=later.number, now=NOW, actor="x")
    assert leases.current(NAME).state is LeaseState.ACTIVE


def test_a_lease_that_is_over_is_not_extended_though_its_alias_stands(fleet, leases):
    grant(leases)
    assert alias_of(fleet) is not None
    with pytest.raises(LeaseRefused):
        leases.extend(NAME, ends_at=END + DAY, now=END, actor="operations")


def test_overlaps_are_refused(leases):
    lease = grant(leases, starts_at=NOW + 10 * DAY)
    for begins, ends in ((NOW, NOW + 11 * DAY), (NOW + 11 * DAY, NOW + 12 * DAY), (END - 1, END + DAY)):
        with pytest.raises(AlreadyInInventory):
            grant(leases, starts_at=begins, ends_at=ends)
    grant(leases, starts_at=NOW, ends_at=NOW + 10 * DAY)
    with pytest.raises(AlreadyInInventory):
        leases.extend(NAME, ends_at=NOW + 11 * DAY, now=NOW, actor="operations")
    assert leases.numbered(lease.number).state is LeaseState.PENDING


def test_times_that_make_no_lease(leases):
    for changes in ({"ends_at": NOW}, {"ends_at": NOW + 59}, {"starts_at": NOW - 1}, {"ends_at": NOW + 4000 * DAY}):
        with pytest.raises(Misuse):
            grant(leases, **changes)
    assert list(leases.all()) == []


def test_a_name_that_is_taken_is_not_leased(fleet, leases):
    fleet.register(LEASED)
    with pytest.raises(AlreadyInInventory):
        grant(leases)
    fleet.revoke(LEASED)
    fleet.publish(LEASED, "A", "192.0.2.1")
    with pytest.raises(LeaseRefused):
        grant(leases)
    fleet.inventory.zones.withdraw(OwnerName.parse(LEASED), "A", **fleet.acting)
    fleet.inventory.blocks.block(NAME, **fleet.acting)
    with pytest.raises(NameBlocked):
        grant(leases)
    with pytest.raises(Misuse):
        grant(leases, ClientName.parse("hire.example"), TARGET)
    assert list(leases.all()) == []


def test_a_name_that_was_taken_meanwhile_stays_whose_it_is(fleet, leases):
    lease = grant(leases, starts_at=NOW + DAY)
    fleet.register(LEASED)
    report = mover(leases).advance(NOW + DAY, 10)
    assert (report.moved, report.refused) == (0, 1)
    assert alias_of(fleet) is None
    assert leases.numbered(lease.number).problem != ""
    fleet.revoke(LEASED)
    assert mover(leases).advance(NOW + 2 * DAY, 10).moved == 1


def test_a_leased_name_takes_nothing_else(fleet, leases):
    grant(leases)
    with pytest.raises(Misuse):
        fleet.register(LEASED)
    with pytest.raises(Misuse):
        fleet.publish(LEASED, "A", "192.0.2.1")


def test_aliases_of_aliases_are_refused_on_both_sides(fleet, leases):
    grant(leases)
    other = ClientName.parse("rented2._device.hire.example")
    with pytest.raises(LeaseRefused):
        grant(leases, other, NAME)
    with pytest.raises(LeaseRefused):
        grant(leases, NAME, NAME, starts_at=END, ends_at=END + DAY)
    third = ClientName.parse("other._device.else.example")
    grant(leases, ClientName.parse("rented3._device.hire.example"), third)
    with pytest.raises(LeaseRefused):
        grant(leases, third, TARGET)
    fleet.publish("alias.cars.example", "CNAME", f"{MAKERS}.")
    with pytest.raises(LeaseRefused):
        grant(leases, other, ClientName.parse("alias.cars.example"))


def test_devices_here_that_cannot_carry_a_lease(fleet, leases):
    other = ClientName.parse("rented2._device.hire.example")
    with pytest.raises(LeaseRefused):
        grant(leases, other, ClientName.parse("nobody._device.cars.example"))
    spki = new_spki(77)
    mixed = [TLSA(3, 1, 1, hashlib.sha256(spki).digest()), authority().tlsa()]
    fleet.register("mixed._device.cars.example", spki=spki, records=mixed)
    with pytest.raises(LeaseRefused):
        grant(leases, other, ClientName.parse("mixed._device.cars.example"))
    fleet.inventory.blocks.block(ClientName.parse("lost._device.cars.example"), **fleet.acting)
    with pytest.raises(NameBlocked):
        grant(leases, other, ClientName.parse("lost._device.cars.example"))


def test_two_runners_take_each_step_once(fleet, leases):
    lease = grant(leases, starts_at=NOW + DAY)
    due = leases.due(now=NOW + DAY, limit=10)
    assert [found.number for found in due] == [lease.number]
    assert leases.begin_due(lease.number, now=NOW + DAY, actor="one")
    assert not leases.begin_due(lease.number, now=NOW + DAY, actor="two")
    leases.postpone(lease.number, "late", now=NOW + DAY)
    assert leases.numbered(lease.number).problem == ""
    assert leases.close_due(lease.number, now=END, actor="one")
    assert not leases.close_due(lease.number, now=END, actor="two")
    assert [action for action, _ in fleet.events(LEASED)] == ["lease", "lease-begin", "lease-end"]


def test_an_end_removes_the_leases_own_alias_alone(fleet, leases):
    grant(leases)
    fleet.inventory.zones.withdraw(OwnerName.parse(LEASED), "CNAME", **fleet.acting)
    fleet.publish(LEASED, "CNAME", "elsewhere.example.")
    leases.end(NAME, now=NOW, actor="operations")
    assert alias_of(fleet) == "elsewhere.example."


def test_a_turn_is_bounded(fleet, leases):
    for number in range(5):
        grant(leases, ClientName.parse(f"rented{number}._device.hire.example"), starts_at=NOW + DAY)
    report = mover(leases).advance(NOW + DAY, 3)
    assert (report.moved, report.more) == (3, True)
    report = mover(leases).advance(NOW + DAY, 3)
    assert (report.moved, report.more) == (2, False)


def test_leases_are_found(leases):
    grant(leases)
    other = grant(leases, ClientName.parse("rented2._device.hire.example"), starts_at=NOW + DAY)
    assert len(list(leases.all(target=TARGET))) == 2
    assert [lease.number for lease in leases.all(state=LeaseState.PENDING)] == [other.number]
    assert len(list(leases.all(below=OwnerName.parse("hire.example")))) == 2
    assert list(leases.all(below=OwnerName.parse("cars.example"))) == []
    assert [lease.name for lease in leases.all(name=NAME)] == [NAME]
    with pytest.raises(NotInInventory):
        leases.numbered(99)


def test_states_are_final_where_nothing_follows():
    assert {state for state, after in LEASE_TRANSITIONS.items() if not after} == {
        LeaseState.ENDED,
        LeaseState.CANCELLED,
    }


def answer(*records, **changes):
    made = {
        "name": dns.name.from_text(MAKERS),
        "rdtype": dns.rdatatype.TLSA,
        "security": Security.SECURE,
        "outcome": Outcome.RECORDS,
        "records": tuple(rdata_of(record) for record in records),
        "ttl": 60,
        "validated_at": NOW,
    } | changes
    return Answer(**made)


KEY = TLSA(3, 1, 1, bytes(range(32)))


def test_a_secure_record_of_usage_3_carries_a_lease():
    check_target(answer(KEY, TLSA(3, 0, 1, bytes(range(32)))), now=NOW, begun_at=NOW)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (answer(outcome=Outcome.NXDOMAIN), Reason.NO_TLSA),
        (answer(outcome=Outcome.NODATA), Reason.NO_TLSA),
        (answer(KEY, security=Security.INSECURE), Reason.INSECURE),
        (answer(security=Security.BOGUS, outcome=Outcome.FAILED), Reason.BOGUS),
        (answer(security=Security.INDETERMINATE, outcome=Outcome.FAILED), Reason.DNS_FAILED),
    ],
)
def test_what_the_dns_does_not_show_carries_none(found, reason):
    with pytest.raises((Refused, Undecided)) as caught:
        check_target(found, now=NOW, begun_at=NOW)
    assert caught.value.reason is reason


@pytest.mark.parametrize(
    "found",
    [
        answer(KEY, aliases=(dns.name.from_text("x.example"),)),
        answer(KEY, wildcard=True),
        answer(KEY, authority().tlsa()),
        answer(authority().tlsa()),
        answer(BLOCK),
        answer(TLSA(9, 1, 1, bytes(32))),
    ],
)
def test_records_that_carry_no_lease(found):
    with pytest.raises(LeaseRefused):
        check_target(found, now=NOW, begun_at=NOW)
