"""Rolls in the inventory: every step with its records, keys and event; what is refused; who takes which roll."""

import hashlib
import time

import pytest

from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.errors import Misuse
from dnsbound.names import ClientName
from dnsbound.provision.entries import KeyState, Record
from dnsbound.provision.errors import AlreadyInInventory, NotInInventory, PrivateKeyRefused, RollRefused
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.lifecycle.beginning import Wish
from dnsbound.provision.lifecycle.deployment import Parameters
from dnsbound.provision.lifecycle.machine import RollKind, RollState
from dnsbound.provision.lifecycle.roll_work import CLAIM_SECONDS, LONGEST_PAUSE
from dnsbound.provision.owner import OwnerName
from dnsbound.records.tlsa import TLSA
from unit.rolling import ACT, CAR, NOW, TTL, Rolling, begin, digest, new_spki, records_of, register


@pytest.fixture
def inventory(database_url):
    with Inventory.open(database_url, create=True) as opened:
        yield opened


@pytest.fixture
def rolling(inventory):
    return Rolling(inventory)


@pytest.fixture
def old(inventory):
    return register(inventory).spki


def states(inventory, name=CAR):
    return {key.spki: key.state for key in inventory.identities.named(name).keys}


def actions(inventory, name=CAR):
    return [event.action for event in inventory.events(subject=name.canonical)]


def test_op_11_a_new_key_is_published_two_ttls_before_it_is_used(inventory, rolling, old):
    new = new_spki()
    roll = begin(inventory, spki=new)
    assert (roll.kind, roll.state) == (RollKind.KEY, RollState.STABLE)
    assert records_of(inventory) == {digest(old)}  # nothing before the old RRset was measured

    rolling.ttl = 600  # more at a server than the inventory says
    assert rolling.turn().moved == 1
    assert rolling.roll().state is RollState.PREPUBLISH
    assert rolling.roll().evidence.old_ttl == 600
    assert records_of(inventory) == {digest(old), digest(new)}
    assert states(inventory) == {old: KeyState.CURRENT, new: KeyState.NEXT}

    rolling.turn()
    rolling.passes(1199)
    assert rolling.turn().moved == 0
    assert rolling.roll().state is RollState.PREPUBLISH
    rolling.passes(1)
    assert rolling.turn().moved == 1
    assert rolling.roll().state is RollState.SWITCH
    assert records_of(inventory) == {digest(old), digest(new)}


def test_the_switch_ends_by_word_alone_and_retiring_by_time(inventory, rolling, old):
    new = new_spki()
    begin(inventory, spki=new)
    assert rolling.to_switch().state is RollState.SWITCH
    rolling.passes(365 * 86_400)
    assert rolling.turn().moved == 0
    assert rolling.roll().state is RollState.SWITCH

    roll = inventory.rolls.confirm(CAR, digest=rolling.roll().new_digest, now=rolling.wall, **ACT)
    assert (roll.state, roll.confirmed_by) == (RollState.RETIRE, "operations")
    assert records_of(inventory) == {digest(new)}
    assert states(inventory) == {old: KeyState.RETIRED, new: KeyState.CURRENT}
    rolling.turn()
    rolling.passes(TTL - 1)
    assert rolling.turn().moved == 0
    rolling.passes(1)
    assert rolling.turn().moved == 1
    assert rolling.roll().state is RollState.DONE
    assert rolling.mover.next_due() is None
    assert actions(inventory) == [
        "register",
        *("roll-begin", "roll-prepublish", "roll-switch", "roll-retire", "roll-done"),
    ]


def test_a_server_that_lags_holds_the_roll_up_and_is_named(inventory, rolling, old):
    begin(inventory, spki=new_spki())
    rolling.turn()
    rolling.turn()  # the wait begins here
    rolling.late[CAR.canonical] = {digest(old)}
    rolling.passes(2 * TTL)
    report = rolling.turn()
    assert (report.moved, report.waiting) == (0, 1)
    assert "192.0.2.2" in rolling.roll().problem
    del rolling.late[CAR.canonical]
    rolling.passes(LONGEST_PAUSE)
    rolling.turn()
    assert rolling.roll().state is RollState.PREPUBLISH  # and begins anew
    rolling.passes(2 * TTL)
    rolling.turn()
    assert rolling.roll().state is RollState.SWITCH


def test_servers_that_cannot_be_asked_leave_it_undecided(inventory, rolling, old):
    begin(inventory, spki=new_spki())
    rolling.turn()
    rolling.turn()
    rolling.silent.add(CAR.canonical)
    rolling.passes(2 * TTL)
    assert rolling.turn().undecided == 1
    pauses = []
    for _ in range(20):
        roll = rolling.roll()
        pauses.append(roll.due_at - rolling.wall)
        rolling.passes(pauses[-1])
        rolling.turn()
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE
    rolling.silent.clear()
    rolling.passes(LONGEST_PAUSE)
    rolling.turn()
    assert (rolling.roll().state, rolling.roll().problem) == (RollState.SWITCH, "")  # nothing said that it was broken


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0])
def test_setting_the_clock_shortens_no_wait_and_stops_nothing(inventory, rolling, old, jump):
    begin(inventory, spki=new_spki())
    rolling.turn()
    rolling.turn()
    rolling.wall += jump
    rolling.turn()
    assert rolling.roll().state is RollState.PREPUBLISH
    rolling.passes(2 * TTL - 1)
    rolling.turn()
    assert rolling.roll().state is RollState.PREPUBLISH
    rolling.passes(1)
    rolling.turn()
    assert rolling.roll().state is RollState.SWITCH


def test_another_machine_counts_for_itself(inventory, rolling, old):
    begin(inventory, spki=new_spki())
    rolling.turn()
    rolling.turn()
    rolling.passes(TTL)
    rolling.boot, before = "boot 2", rolling.time
    rolling.time = 5.0
    rolling.wall += TTL
    rolling.turn()
    assert rolling.roll().state is RollState.PREPUBLISH
    rolling.boot, rolling.time = "boot 1", before + TTL  # the first machine went on meanwhile
    rolling.wall += LONGEST_PAUSE
    rolling.turn()
    assert rolling.roll().state is RollState.SWITCH


def test_a_ttl_that_was_lowered_lately_is_reckoned_with(inventory, rolling, old):
    record = Record(
        owner=OwnerName.parse(CAR.canonical), rdtype="TLSA", rdata=digest(old, matching=2).to_text(), ttl=60
    )
    create_zone(inventory)
    inventory.zones.publish(record, now=NOW + 10, **ACT)
    roll = begin(inventory, spki=new_spki(), now=NOW + 20)
    assert roll.evidence.old_ttl == TTL
    inventory.rolls.cancel(CAR, now=NOW + 30, **ACT)
    assert begin(inventory, spki=new_spki(), now=NOW + 86_400).evidence.old_ttl == 60


def test_cancelled_before_the_switch_everything_is_as_it_was(inventory, rolling, old):
    new = new_spki()
    for turns in range(3):
        begin(inventory, spki=new, now=rolling.wall)
        for _ in range(turns):
            rolling.turn()
        roll = inventory.rolls.cancel(CAR, now=rolling.wall, **ACT)
        assert roll.state is RollState.CANCELLED
        assert records_of(inventory) == {digest(old)}
        assert states(inventory)[old] is KeyState.CURRENT
        assert KeyState.NEXT not in states(inventory).values()
    begin(inventory, spki=new, now=rolling.wall)
    assert rolling.to_switch().state is RollState.SWITCH
    inventory.rolls.cancel(CAR, now=rolling.wall, **ACT)
    assert records_of(inventory) == {digest(old)}


def test_what_may_not_be_done_where_the_roll_stands(inventory, rolling, old):
    with pytest.raises(NotInInventory):
        inventory.rolls.confirm(CAR, now=NOW, **ACT)
    new = new_spki()
    begin(inventory, spki=new)
    with pytest.raises(RollRefused):
        begin(inventory, spki=new_spki())
    with pytest.raises(RollRefused):
        inventory.rolls.confirm(CAR, now=NOW, **ACT)
    rolling.turn()
    with pytest.raises(RollRefused):
        inventory.rolls.confirm(CAR, now=NOW, **ACT)
    rolling.to_switch()
    with pytest.raises(RollRefused):
        inventory.rolls.confirm(CAR, digest=b"\0" * 32, now=NOW, **ACT)
    inventory.rolls.confirm(CAR, now=rolling.wall, **ACT)
    with pytest.raises(RollRefused):
        inventory.rolls.cancel(CAR, now=rolling.wall, **ACT)
    with pytest.raises(RollRefused):
        inventory.rolls.confirm(CAR, now=rolling.wall, **ACT)
    assert records_of(inventory) == {digest(new)}


def test_bad_wishes(inventory, old):
    with pytest.raises(RollRefused):
        begin(inventory, spki=old, target=(Parameters(3, 1, 1),))  # nothing would change
    with pytest.raises(PrivateKeyRefused):
        begin(inventory, spki=b"-----BEGIN PRIVATE KEY-----")
    with pytest.raises(NotInInventory):
        begin(inventory, ClientName.parse("nobody.cars.example"), spki=new_spki())
    inventory.identities.revoke(CAR, now=NOW, **ACT)
    with pytest.raises(NotInInventory):
        begin(inventory, spki=new_spki())
    assert list(inventory.rolls.all(is_open=False)) == []


def test_a_revoked_identity_ends_its_roll(inventory, rolling, old):
    begin(inventory, spki=new_spki())
    rolling.turn()
    inventory.identities.revoke(CAR, now=NOW, **ACT)
    assert [roll.state for roll in inventory.rolls.all(is_open=False)] == [RollState.CANCELLED]
    assert rolling.turn().moved == 0
    register(inventory)
    assert begin(inventory, spki=new_spki()).state is RollState.STABLE


def test_a_revocation_between_the_look_and_the_step_wins(inventory, rolling, old):
    begin(inventory, spki=new_spki())
    look = rolling.seen

    def seen_while_revoked(one):
        answer = look(one)
        inventory.identities.revoke(CAR, now=NOW, **ACT)
        return answer

    rolling.seen = seen_while_revoked
    assert rolling.turn().moved == 0
    assert inventory.identities.named(CAR).records == ()


def test_nothing_is_put_beside_a_roll(inventory, rolling, old):
    create_zone(inventory)
    stranger = digest(new_spki())
    begin(inventory, spki=new_spki())
    record = Record(owner=OwnerName.parse(CAR.canonical), rdtype="TLSA", rdata=stranger.to_text(), ttl=TTL)
    with pytest.raises(RollRefused):
        inventory.zones.publish(record, now=NOW, **ACT)
    with pytest.raises(RollRefused):
        inventory.zones.withdraw(record.owner, "TLSA", now=NOW, **ACT)
    inventory.rolls.cancel(CAR, now=NOW, **ACT)
    inventory.zones.publish(record, now=NOW, **ACT)
    new = new_spki()
    begin(inventory, spki=new)
    rolling.observe = rolling.observe
    rolling.turn()
    shown = {(record.owner.text, record.rdata) for record in inventory.zones.records(OwnerName.parse("cars.example"))}
    assert (CAR.canonical, stranger.to_text()) in shown  # what others put there stays


def test_the_next_key_of_one_is_not_taken_twice(inventory, rolling, old):
    begin(inventory, spki=new_spki())
    inventory.rolls.cancel(CAR, now=NOW, **ACT)
    assert begin(inventory, spki=new_spki()).state is RollState.STABLE
    with pytest.raises((RollRefused, AlreadyInInventory)):
        begin(inventory, spki=old)


def test_two_runners_take_different_rolls(inventory):
    names = [ClientName.parse(f"car{number}._device.cars.example") for number in range(10)]
    for name in names:
        register(inventory, name)
        begin(inventory, name, spki=new_spki())
    one, other = Rolling(inventory, by="one"), Rolling(inventory, by="other")
    taken_by_one = one.mover._work.take(6, now=NOW)
    taken_by_other = other.mover._work.take(10, now=NOW)
    assert len(taken_by_one) == 6
    assert len(taken_by_other) == 4
    assert not {roll.number for roll in taken_by_one} & {roll.number for roll in taken_by_other}
    assert one.mover._work.take(10, now=NOW + CLAIM_SECONDS - 1) == []
    assert len(one.mover._work.take(10, now=NOW + CLAIM_SECONDS)) == 10  # both died
    # Clocks were set back since: claims from the future do not hold either.
    assert len(one.mover._work.take(10, now=NOW - 86_400)) == 10


def test_a_roll_changed_while_it_was_looked_at_is_looked_at_again(inventory, rolling, old):
    begin(inventory, spki=new_spki())
    look = rolling.seen

    def seen_while_taken_by_another(one):
        other = Rolling(inventory, by="other")
        other.wall = rolling.wall + CLAIM_SECONDS
        other.turn()
        return look(one)

    rolling.seen = seen_while_taken_by_another
    assert rolling.turn().moved == 0
    assert rolling.roll().state is RollState.PREPUBLISH  # by the other, once
    assert actions(inventory).count("roll-prepublish") == 1


def test_a_turn_is_bounded_and_says_that_there_is_more(inventory, rolling):
    for number in range(5):
        name = ClientName.parse(f"car{number}._device.cars.example")
        register(inventory, name)
        begin(inventory, name, spki=new_spki())
    report = rolling.turn(limit=3)
    assert (report.moved, report.more, len(rolling.asked)) == (3, True, 3)
    assert rolling.turn(limit=10).moved == 2


def create_zone(inventory, ttl=TTL):
    from dnsbound.provision.entries import ZoneSettings

    settings = ZoneSettings(
        name=OwnerName.parse("cars.example"),
        nameservers=(OwnerName.parse("ns1.cars.example"),),
        rname=OwnerName.parse("hostmaster.cars.example"),
        ttl=ttl,
    )
    inventory.zones.create(settings, now=NOW, **ACT)


# Sightings


def test_a_door_that_sees_the_new_key_confirms_the_switch(inventory, rolling, old):
    new = new_spki()
    begin(inventory, spki=new)
    rolling.to_switch()
    seen = {"at": rolling.wall, "door": "api", "now": rolling.wall}
    assert inventory.rolls.sighted(CAR, new_spki(), **seen) is None  # neither key
    assert inventory.rolls.sighted(CAR, old, **seen).state is RollState.SWITCH
    assert inventory.rolls.sighted(CAR, new, **seen).state is RollState.SWITCH  # the old one at the same time
    roll = inventory.rolls.sighted(CAR, new, **seen | {"at": rolling.wall + 1})
    assert (roll.state, roll.confirmed_by, roll.confirmed_at) == (RollState.RETIRE, "door api", rolling.wall + 1)
    assert [event.actor for event in inventory.events(subject=CAR.canonical)][-1] == "door api"
    assert inventory.rolls.sighted(CAR, new, **seen) is None


def test_a_key_used_too_early_ends_no_wait_and_counts_later(inventory, rolling, old):
    new = new_spki()
    begin(inventory, spki=new)
    rolling.turn()
    roll = inventory.rolls.sighted(CAR, new, at=rolling.wall, door="api", now=rolling.wall)
    assert roll.state is RollState.PREPUBLISH
    with pytest.raises(RollRefused):
        inventory.rolls.cancel(CAR, now=rolling.wall, **ACT)  # it would refuse the client
    rolling.turn()
    rolling.passes(2 * TTL - 1)
    rolling.turn()
    assert rolling.roll().state is RollState.PREPUBLISH
    rolling.passes(1)
    rolling.turn()
    rolling.turn()
    assert rolling.roll().state is RollState.RETIRE
    assert rolling.roll().confirmed_by == "door api"


def test_a_client_that_went_back_to_its_old_key_is_not_confirmed(inventory, rolling, old):
    new = new_spki()
    begin(inventory, spki=new)
    rolling.turn()
    for spki in (new, old):
        rolling.passes(1)
        inventory.rolls.sighted(CAR, spki, at=rolling.wall, door="api", now=rolling.wall)
    rolling.turn()
    rolling.passes(2 * TTL)
    rolling.turn()
    rolling.turn()
    assert rolling.roll().state is RollState.SWITCH
    assert rolling.mover.next_due() is None
    inventory.rolls.cancel(CAR, now=rolling.wall, **ACT)
    assert records_of(inventory) == {digest(old)}


def test_what_was_seen_at_other_times_says_nothing(inventory, rolling, old):
    new = new_spki()
    assert inventory.rolls.sighted(CAR, new, at=NOW, door="api", now=NOW) is None
    begin(inventory, spki=new)
    rolling.to_switch()
    for at in (NOW - 1, rolling.wall + 86_400):
        assert inventory.rolls.sighted(CAR, new, at=at, door="api", now=rolling.wall) is None
        assert inventory.rolls.sighted_by_record(CAR, digest(new), at=at, door="api", now=rolling.wall) is None
    nobody = ClientName.parse("nobody.cars.example")
    assert inventory.rolls.sighted(nobody, new, at=rolling.wall, door="api", now=rolling.wall) is None
    assert inventory.rolls.sighted_by_record(CAR, digest(new), at=rolling.wall, door="x", now=rolling.wall).state is (
        RollState.RETIRE
    )


# Emergency, parameters


def test_in_an_emergency_the_old_key_is_withdrawn_at_once(inventory, rolling, old):
    new = new_spki()
    roll = begin(inventory, spki=new, emergency=True)
    assert (roll.kind, roll.state) == (RollKind.EMERGENCY, RollState.RETIRE)
    assert records_of(inventory) == {digest(new)}
    assert states(inventory) == {old: KeyState.RETIRED, new: KeyState.CURRENT}
    with pytest.raises(RollRefused):
        inventory.rolls.cancel(CAR, now=NOW, **ACT)
    rolling.turn()
    rolling.passes(TTL)
    rolling.turn()
    assert rolling.roll().state is RollState.DONE
    with pytest.raises(Misuse):
        begin(inventory, emergency=True)  # with what key


def test_an_emergency_takes_the_key_that_was_being_published(inventory, rolling, old):
    new = new_spki()
    begin(inventory, spki=new)
    rolling.turn()
    with pytest.raises(RollRefused):
        begin(inventory, spki=new_spki(), emergency=True)  # which of the two
    roll = begin(inventory, emergency=True)
    assert roll.state is RollState.RETIRE
    assert records_of(inventory) == {digest(new)}


def test_parameters_are_added_for_the_key_that_stays_and_withdrawn_wholly(inventory, rolling, old):
    roll = begin(inventory, target=(Parameters(3, 1, 1), Parameters(3, 1, 2)))
    assert roll.kind is RollKind.PARAMETERS
    assert records_of(inventory) == {digest(old)}
    rolling.turn()
    assert rolling.roll().state is RollState.RETIRE  # no switch: no key changes
    assert records_of(inventory) == {digest(old), digest(old, matching=2)}
    rolling.turn()
    rolling.passes(TTL)
    rolling.turn()
    assert rolling.roll().state is RollState.DONE
    begin(inventory, target=(Parameters(3, 1, 2),), now=rolling.wall)
    rolling.turn()
    assert records_of(inventory) == {digest(old, matching=2)}
    assert states(inventory) == {old: KeyState.CURRENT}


def test_from_3_1_1_to_2_0_1(inventory, rolling, old):
    """RFC 7671 section 8.2."""
    now = time.time()
    rolling.wall = now
    issued = CertificateAuthority.create("Cars", now=now).issue(CAR, now=now)
    target = (Parameters(2, 0, 1),)
    authority = TLSA(2, 0, 1, hashlib.sha256(issued.chain[-1]).digest())
    begin(inventory, chain=issued.chain, target=target, now=now)
    rolling.to_switch()
    assert records_of(inventory) == {digest(old), digest(issued.spki)}
    inventory.rolls.confirm(CAR, now=rolling.wall, **ACT)
    assert records_of(inventory) == {authority}
    assert inventory.identities.named(CAR).key.certificate == issued.chain[0]
    rolling.turn()
    rolling.passes(TTL)
    rolling.turn()
    # Back to a bare key: its own form has to stand first.
    with pytest.raises(RollRefused):
        begin(inventory, spki=new_spki(), now=rolling.wall)
    assert begin(inventory, target=(Parameters(3, 1, 1),), now=rolling.wall).kind is RollKind.PARAMETERS


def test_a_chain_for_the_same_key_waits_until_the_client_presents_it(inventory, rolling, old):
    now = time.time()
    rolling.wall = now
    authority = CertificateAuthority.create("Cars", now=now)
    chain = authority.certify(CAR, old, now=now)
    roll = begin(inventory, chain=chain, target=(Parameters(2, 0, 1),), now=now)
    assert roll.kind is RollKind.KEY
    assert rolling.to_switch().state is RollState.SWITCH
    assert records_of(inventory) == {digest(old)}
    # The key says nothing of which certificates came with it.
    assert inventory.rolls.sighted(CAR, old, at=rolling.wall, door="api", now=rolling.wall) is None
    inventory.rolls.confirm(CAR, now=rolling.wall, **ACT)
    assert {record.usage for record in records_of(inventory)} == {2}
    assert states(inventory) == {old: KeyState.CURRENT}
    assert inventory.identities.named(CAR).key.certificate == chain[0]


def test_many_are_begun_at_once_and_bad_ones_do_not_hold_up_the_others(inventory, rolling):
    names = [ClientName.parse(f"car{number}._device.cars.example") for number in range(250)]
    for name in names[::2]:
        register(inventory, name)
    target = Wish(target=(Parameters(3, 1, 2),))
    outcomes = dict(inventory.rolls.begin_many(((name, target) for name in names), now=NOW, **ACT))
    assert [name for name in names if isinstance(outcomes[name], NotInInventory)] == names[1::2]
    assert [roll.name for roll in inventory.rolls.all()] == names[::2]
    assert [roll.name for roll in inventory.rolls.all(below=OwnerName.parse(names[4].canonical))] == [names[4]]
    assert rolling.turn().moved == 125
    assert inventory.rolls.counts()[RollState.RETIRE] == 125
    rolling.turn()
    rolling.passes(TTL)
    assert rolling.turn().moved == 125
    assert list(inventory.rolls.all()) == []


# Beside


def test_op_09_records_beside_an_identity_match_its_key(inventory, old):
    create_zone(inventory)
    owner = OwnerName.parse(CAR.canonical)
    for stranger in (digest(new_spki(), matching=2), digest(new_spki(), usage=1)):
        record = Record(owner=owner, rdtype="TLSA", rdata=stranger.to_text(), ttl=TTL)
        with pytest.raises(RollRefused):
            inventory.zones.publish(record, now=NOW, **ACT)
    beside = Record(owner=owner, rdtype="TLSA", rdata=digest(new_spki()).to_text(), ttl=TTL)
    inventory.zones.publish(beside, now=NOW, **ACT)  # the combination has a record of the key as well
    with pytest.raises(RollRefused):
        inventory.zones.withdraw(owner, "TLSA", digest(old).to_text(), now=NOW, **ACT)
    inventory.zones.withdraw(owner, "TLSA", beside.rdata, now=NOW, **ACT)
    assert [event.action for event in inventory.events(subject=CAR.canonical)][-2:] == ["publish", "withdraw"]
