"""Names below a wildcard that are revoked, blocked and unblocked; and which wildcard speaks for a name."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dnsbound.errors import Misuse
from dnsbound.names import ClientName
from dnsbound.provision.errors import AlreadyInInventory, NameBlocked, NotInInventory
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.ownership.wildcards import speaks_for
from dnsbound.records.tlsa import BLOCK
from unit.fleets import NOW, WILDCARD, authority, create_zone

CAR = "car54._device.cars.example"
CLIENT = ClientName.parse(CAR)
BLOCKED = [BLOCK.to_text()]


@pytest.fixture
def certified(fleet):
    """A zone whose organisation's authority speaks for every device."""
    fleet.publish_authority()
    return fleet


def test_a_revoked_name_below_a_wildcard_is_blocked_in_the_same_change(certified):
    certified.register(CAR)
    assert certified.served(CAR) != BLOCKED
    certified.revoke(CAR, reason="stolen")
    assert certified.served(CAR) == BLOCKED
    block = certified.inventory.blocks.at(CLIENT)
    assert (block.name, block.wildcard.text, block.reason, block.since) == (CLIENT, WILDCARD, "stolen", NOW)
    [*_, event] = certified.inventory.events(subject=CAR)
    assert (event.action, event.reason, event.detail["blocked_below"]) == ("revoke", "stolen", WILDCARD)


def test_without_a_wildcard_nothing_is_blocked(fleet):
    fleet.register(CAR)
    fleet.revoke(CAR)
    assert fleet.served(CAR) == []
    assert fleet.inventory.blocks.at(CLIENT) is None
    assert list(fleet.inventory.blocks.all()) == []


@pytest.mark.parametrize("owner", ["*.cars.example", "*._device.cars.example"])
def test_any_wildcard_above_counts_whether_or_not_it_speaks_now(fleet, owner):
    """The nearer names that exist today may be gone tomorrow."""
    fleet.publish_authority(owner)
    fleet.register(CAR)
    fleet.register("car55._device.cars.example")
    fleet.revoke(CAR)
    assert fleet.served(CAR) == BLOCKED


@pytest.mark.parametrize("owner", ["*._user.cars.example", "*._device.hire.example", "*.car54._device.cars.example"])
def test_wildcards_elsewhere_do_not_count(fleet, owner):
    fleet.publish_authority(owner)
    fleet.register(CAR)
    fleet.revoke(CAR)
    assert fleet.served(CAR) == []


def test_a_wildcard_does_not_reach_into_a_zone_below(fleet):
    fleet.publish_authority("*.cars.example")
    create_zone(fleet.inventory, "_device.cars.example")
    fleet.register(CAR)
    fleet.revoke(CAR)
    assert fleet.inventory.blocks.at(CLIENT) is None


def test_a_wildcard_of_addresses_lets_nobody_in(fleet):
    fleet.publish("*._device.cars.example", "A", "192.0.2.1")
    fleet.register(CAR)
    fleet.revoke(CAR)
    assert fleet.inventory.blocks.at(CLIENT) is None


def test_a_device_that_only_its_authority_knows_is_blocked_by_name(certified):
    certified.inventory.blocks.block(CLIENT, reason="stolen", **certified.acting)
    assert certified.served(CAR) == BLOCKED
    assert certified.served("car55._device.cars.example") == [authority().tlsa().to_text()]
    assert certified.events(CAR) == [("block", "stolen")]
    with pytest.raises(AlreadyInInventory):
        certified.inventory.blocks.block(CLIENT, **certified.acting)


def test_a_block_without_a_known_wildcard(fleet):
    """The wildcard may stand in a zone on another server."""
    client = ClientName.parse("car1._device.elsewhere.example")
    assert fleet.inventory.blocks.block(client, **fleet.acting).wildcard is None


def test_names_with_records_are_not_blocked(certified):
    certified.register(CAR)
    with pytest.raises(Misuse):
        certified.inventory.blocks.block(CLIENT, **certified.acting)
    certified.publish("car55._device.cars.example", "A", "192.0.2.1")
    with pytest.raises(Misuse):
        certified.inventory.blocks.block(ClientName.parse("car55._device.cars.example"), **certified.acting)
    assert list(certified.inventory.blocks.all()) == []


def test_nothing_is_published_at_a_blocked_name(certified):
    certified.inventory.blocks.block(CLIENT, **certified.acting)
    with pytest.raises(NameBlocked):
        certified.register(CAR)
    for rdtype, rdata in (("A", "192.0.2.1"), ("CNAME", "car1._device.hire.example."), ("TLSA", "3 1 1 " + "ab" * 32)):
        with pytest.raises(NameBlocked):
            certified.publish(CAR, rdtype, rdata)
    assert certified.served(CAR) == BLOCKED
    assert list(certified.inventory.identities.all()) == []


def test_blocks_are_put_and_taken_by_their_own_commands_alone(certified):
    with pytest.raises(Misuse):
        certified.publish(CAR, "TLSA", BLOCK.to_text())
    certified.inventory.blocks.block(CLIENT, **certified.acting)
    for rdata in (None, BLOCK.to_text()):
        with pytest.raises(Misuse):
            certified.inventory.zones.withdraw(OwnerName.parse(CAR), "TLSA", rdata, **certified.acting)
    assert certified.served(CAR) == BLOCKED


def test_lifting_lets_the_wildcard_speak_and_the_name_be_registered(certified):
    certified.register(CAR)
    certified.revoke(CAR)
    lifted = certified.inventory.blocks.lift(CLIENT, reason="found again", **certified.acting)
    assert lifted.wildcard.text == WILDCARD
    assert certified.served(CAR) == [authority().tlsa().to_text()]
    assert certified.events(CAR)[-1] == ("unblock", "found again")
    with pytest.raises(NotInInventory):
        certified.inventory.blocks.lift(CLIENT, **certified.acting)
    certified.register(CAR)


def test_blocks_are_listed_in_order_below_a_name(certified):
    for label in ("b", "a", "c.d"):
        certified.inventory.blocks.block(ClientName.parse(f"{label}._device.cars.example"), **certified.acting)
    below = OwnerName.parse("_device.cars.example")
    named = [block.name.canonical.removesuffix("._device.cars.example") for block in certified.inventory.blocks.all()]
    assert named == ["a", "b", "c.d"]
    assert len(list(certified.inventory.blocks.all(below=below))) == 3
    assert list(certified.inventory.blocks.all(below=OwnerName.parse("hire.example"))) == []


def test_names_that_a_block_silences_are_told(certified):
    """RFC 4592 section 2.2.2: a record at a.b makes b exist."""
    deep = ClientName.parse("a.b.c._device.cars.example")
    silenced = [name.text for name in certified.inventory.blocks.silenced_by(deep)]
    assert silenced == ["b.c._device.cars.example", "c._device.cars.example"]
    for name in ("x.b.c._device.cars.example", *silenced):
        assert certified.served(name) == [authority().tlsa().to_text()]
    certified.inventory.blocks.block(deep, **certified.acting)
    for name in ("x.b.c._device.cars.example", *silenced, "y.c._device.cars.example"):
        assert certified.served(name) == []
    assert certified.inventory.blocks.silenced_by(ClientName.parse("z.b.c._device.cars.example")) == []
    assert certified.inventory.blocks.silenced_by(CLIENT) == []


NAMES = st.lists(st.sampled_from(["a", "b", "_device"]), min_size=1, max_size=3).map(".".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(
    wildcards=st.sets(NAMES, max_size=3),
    present=st.sets(NAMES, max_size=4),
    asked=st.lists(NAMES, min_size=1, max_size=4),
)
def test_who_speaks_is_who_the_authority_answers_from(fleet, wildcards, present, asked):
    """The rules here, and those by which the embedded authority answers, are two programs for one section."""
    rows = [(f"*.{name}.cars.example", authority().tlsa().to_text()) for name in wildcards]
    rows += [(f"{name}.cars.example", "3 1 1 " + "ab" * 32) for name in present]
    try:
        for owner, rdata in rows:
            fleet.publish(owner, "TLSA", rdata)
        for name in asked:
            whole = f"{name}.cars.example"
            with fleet.inventory.database.reading() as connection:
                speaker = speaks_for(connection, OwnerName.parse(whole))
            expected = [] if speaker is None else [authority().tlsa().to_text()]
            if name not in present:
                assert fleet.served(whole) == expected
            else:
                assert speaker is None
    finally:
        for owner, _ in rows:
            fleet.inventory.zones.withdraw(OwnerName.parse(owner, wildcard=True), "TLSA", **fleet.acting)
