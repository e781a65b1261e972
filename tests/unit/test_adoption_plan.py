"""The plan of an adoption, carrying it out, and taking it back: on both databases."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from dnsbound.errors import Malformed, Misuse
from dnsbound.iana import MatchingType, Selector, Usage
from dnsbound.names import ClientName
from dnsbound.provision.adoption.accepting import Accepted, Terms, accepted
from dnsbound.provision.adoption.adoptions import Doing, Left
from dnsbound.provision.adoption.candidate import BadRow, Candidate, Problem, Shown
from dnsbound.provision.adoption.completeness import Completeness, RemovalLimit
from dnsbound.provision.adoption.naming import NameRules
from dnsbound.provision.adoption.plan import Action, Judged, Step
from dnsbound.provision.adoption.rollback import Entry, RollbackFile, Undo, read_backwards
from dnsbound.provision.adoption.staging import Staging
from dnsbound.provision.entries import Identity, IdentityState, KeyState, Record, ZoneSettings
from dnsbound.provision.errors import InventoryFailed, NotInInventory, RemovalsRefused
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.lifecycle.beginning import Wish
from dnsbound.provision.owner import OwnerName
from dnsbound.records.tlsa import TLSA
from unit.adoption_sources import authority, certificate, spki, weak_spki

NOW = 1_800_000_000.0
ACT = {"now": NOW, "actor": "test"}
RULES = NameRules.parse(below="cars.example")
TERMS = Terms(names=RULES)
EVERYTHING = Completeness(below=OwnerName.parse("cars.example"))


@pytest.fixture
def inventory(database_url: str) -> Iterator[Inventory]:
    with Inventory.open(database_url, create=True) as opened:
        settings = ZoneSettings(
            name=OwnerName.parse("cars.example"),
            nameservers=(OwnerName.parse("ns.other.example"),),
            rname=OwnerName.parse("admin.other.example"),
            ttl=120,
        )
        opened.zones.create(settings, **ACT)
        yield opened


@pytest.fixture
def rollback(tmp_path: Path) -> Iterator[RollbackFile]:
    with RollbackFile(tmp_path / "rollback", resume=False) as opened:
        yield opened


def name_of(label: str) -> ClientName:
    return ClientName.parse(f"{label}._device.cars.example")


def row(label: str, number: int = 0, terms: Terms = TERMS, **members: object) -> Accepted:
    shown = Shown(name=label, serial=str(members.pop("serial", None) or "") or None)
    made = accepted(Candidate(where=f"list:{label}", spki=spki(number), shown=shown, **members), terms)
    assert isinstance(made, Accepted), made
    return made


def staged(*rows: Accepted, danger_shared_keys: bool = False) -> Staging:
    staging = Staging()
    staging.add(rows)
    staging.settle(danger_shared_keys=danger_shared_keys)
    return staging


def plan(inventory: Inventory, *rows: Accepted, terms: Terms = TERMS) -> list[Judged]:
    with staged(*rows, danger_shared_keys=terms.danger_shared_keys) as staging:
        return list(inventory.adoptions.plan(staging, terms))


def the_conflict(inventory: Inventory, one: Accepted, terms: Terms = TERMS) -> Problem:
    [judged] = plan(inventory, one, terms=terms)
    assert isinstance(judged, BadRow), judged
    assert (judged.where, judged.name) == (one.where, one.name.canonical)
    return judged.problem


def adopt(
    inventory: Inventory, rollback: RollbackFile, *rows: Accepted, terms: Terms = TERMS, batch: int = 2
) -> list[Judged]:
    doing = Doing(actor="test", reason="because", clock=lambda: NOW + 1, rollback=rollback, batch=batch)
    with staged(*rows, danger_shared_keys=terms.danger_shared_keys) as staging:
        return list(inventory.adoptions.carry_out(staging, terms, doing))


def actions(judged: list[Judged]) -> dict[str, Action | Problem]:
    return {one.name.partition(".")[0]: one.action if isinstance(one, Step) else one.problem for one in judged}


def register(inventory: Inventory, label: str, number: int = 0, **members: object) -> Identity:
    record = TLSA.from_text(row(label, number).record(TERMS).to_text())
    return inventory.identities.register(
        name_of(label), spki=spki(number), records=[record], ttl=None, **(ACT | members)
    )


# The rows beside each other.


def test_rows_that_say_the_same_are_one(inventory: Inventory) -> None:
    with staged(row("a", 1), row("a", 1), row("b", 2)) as staging:
        assert (staging.repeated, staging.usable, list(staging.conflicts())) == (1, 2, [])


def test_two_keys_under_one_name_are_both_refused() -> None:
    with staged(row("a", 1), row("a", 2), row("b", 3)) as staging:
        assert [(one.problem, one.where) for one in staging.conflicts()] == [
            (Problem.DUPLICATE_NAME, "list:a"),
            (Problem.DUPLICATE_NAME, "list:a"),
        ]
        assert staging.usable == 1


def test_ca_26_one_key_under_two_names_is_refused_unless_it_was_said() -> None:
    with staged(row("a", 1), row("b", 1)) as staging:
        told = list(staging.conflicts())
        assert [one.problem for one in told] == [Problem.DUPLICATE_KEY] * 2
        assert told[0].detail.endswith("list:b")
        assert staging.usable == 0
    with staged(row("a", 1), row("b", 1), danger_shared_keys=True) as staging:
        assert staging.usable == 2


def test_one_serial_number_under_two_names_is_refused() -> None:
    with staged(row("a", 1, serial="7"), row("b", 2, serial="7"), row("c", 3, serial="8")) as staging:
        assert [one.problem for one in staging.conflicts()] == [Problem.DUPLICATE_SERIAL] * 2
        assert staging.usable == 1


# The rows by themselves.


def test_weak_keys_are_refused_unless_it_was_said() -> None:
    weak = Candidate(where="list:1", spki=weak_spki(), shown=Shown(name="a"))
    refused = accepted(weak, TERMS)
    assert isinstance(refused, BadRow)
    assert (refused.problem, refused.name) == (Problem.WEAK_KEY, "a._device.cars.example")
    assert isinstance(accepted(weak, Terms(names=RULES, danger_weak_keys=True)), Accepted)


def test_a_bare_key_makes_no_record_of_a_certificate() -> None:
    bare = Candidate(where="list:1", spki=spki(), shown=Shown(name="a"))
    for terms in (Terms(names=RULES, selector=Selector.CERT), Terms(names=RULES, usage=Usage.PKIX_EE)):
        refused = accepted(bare, terms)
        assert isinstance(refused, BadRow)
        assert refused.problem is Problem.NO_KEY


def test_terms_that_cannot_be() -> None:
    for usage in (Usage.DANE_TA, Usage.PKIX_TA):
        with pytest.raises(Misuse):
            Terms(names=RULES, usage=usage)
    with pytest.raises(Misuse):
        Terms(names=RULES, selector=Selector.CERT, matching_type=MatchingType.FULL)


# The plan.


def test_a_new_name_is_created(inventory: Inventory) -> None:
    [step] = plan(inventory, row("a", 1))
    assert isinstance(step, Step)
    assert (step.action, step.name) == (Action.CREATE, "a._device.cars.example")
    assert list(inventory.identities.all()) == []


def test_what_is_registered_already_is_unchanged(inventory: Inventory) -> None:
    register(inventory, "a", 1, owner="cars", tags=["red", "blue"])
    assert actions(plan(inventory, row("a", 1, owner="cars", tags=frozenset({"red"})))) == {"a": Action.UNCHANGED}


def test_another_owner_or_tag_is_an_amendment(inventory: Inventory) -> None:
    register(inventory, "a", 1)
    register(inventory, "b", 2)
    assert actions(plan(inventory, row("a", 1, owner="cars"), row("b", 2, tags=frozenset({"red"})))) == {
        "a": Action.AMEND,
        "b": Action.AMEND,
    }


def test_another_key_is_a_conflict_unless_it_may_replace(inventory: Inventory) -> None:
    register(inventory, "a", 1)
    assert the_conflict(inventory, row("a", 2)) is Problem.OTHER_KEY
    assert actions(plan(inventory, row("a", 2), terms=Terms(names=RULES, replace=True))) == {"a": Action.REPLACE}


def test_a_key_that_is_being_rolled_is_left_alone(inventory: Inventory) -> None:
    register(inventory, "a", 1)
    inventory.rolls.begin(name_of("a"), Wish(spki=spki(2)), **ACT)
    terms = Terms(names=RULES, replace=True)
    assert the_conflict(inventory, row("a", 2), terms) is Problem.ROLLING
    assert the_conflict(inventory, row("a", 3), terms) is Problem.ROLLING
    assert actions(plan(inventory, row("a", 1))) == {"a": Action.UNCHANGED}


def test_an_old_list_brings_no_revoked_key_back(inventory: Inventory, rollback: RollbackFile) -> None:
    adopt(inventory, rollback, row("stolen", 1))
    inventory.identities.revoke(name_of("stolen"), **ACT)
    assert the_conflict(inventory, row("stolen", 1)) is Problem.REVOKED
    assert actions(adopt(inventory, rollback, row("stolen", 1))) == {"stolen": Problem.REVOKED}
    assert everything(inventory) == {}
    assert actions(plan(inventory, row("stolen", 2))) == {"stolen": Action.CREATE}
    said = Terms(names=RULES, danger_revoked_keys=True)
    assert actions(plan(inventory, row("stolen", 1), terms=said)) == {"stolen": Action.CREATE}


def test_an_old_list_does_not_replace_a_key_by_the_one_it_took_the_place_of(
    inventory: Inventory, rollback: RollbackFile
) -> None:
    register(inventory, "stolen", 1)
    inventory.rolls.begin(name_of("stolen"), Wish.checked(spki=spki(2), emergency=True), **ACT)
    inventory.identities.revoke(name_of("stolen"), **ACT)
    assert the_conflict(inventory, row("stolen", 1)) is Problem.REVOKED
    register(inventory, "other", 3)
    adopt(inventory, rollback, row("other", 4), terms=Terms(names=RULES, replace=True))
    assert the_conflict(inventory, row("other", 3), Terms(names=RULES, replace=True)) is Problem.REVOKED
    said = Terms(names=RULES, replace=True, danger_revoked_keys=True)
    assert actions(plan(inventory, row("other", 3), terms=said)) == {"other": Action.REPLACE}


def test_what_was_taken_back_may_be_adopted_again(inventory: Inventory, rollback: RollbackFile) -> None:
    adopt(inventory, rollback, row("a", 1))
    assert undo(inventory, rollback.path) == [None]
    assert actions(plan(inventory, row("a", 1))) == {"a": Action.CREATE}
    register(inventory, "a", 1)
    inventory.identities.revoke(name_of("a"), **ACT)
    assert the_conflict(inventory, row("a", 1)) is Problem.REVOKED


def test_another_form_of_record_or_ttl_is_a_conflict(inventory: Inventory) -> None:
    register(inventory, "a", 1)
    assert the_conflict(inventory, row("a", 1), Terms(names=RULES, matching_type=MatchingType.SHA2_512)) is (
        Problem.OTHER_RECORDS
    )
    assert the_conflict(inventory, row("a", 1, ttl=60)) is Problem.OTHER_RECORDS
    assert actions(plan(inventory, row("a", 1, ttl=120))) == {"a": Action.UNCHANGED}


def test_ca_26_a_key_that_another_name_has_is_a_conflict(inventory: Inventory) -> None:
    register(inventory, "a", 1)
    register(inventory, "c", 3)
    assert the_conflict(inventory, row("b", 1)) is Problem.DUPLICATE_KEY
    assert the_conflict(inventory, row("c", 1), Terms(names=RULES, replace=True)) is Problem.DUPLICATE_KEY
    assert actions(plan(inventory, row("b", 1), terms=Terms(names=RULES, danger_shared_keys=True))) == {
        "b": Action.CREATE
    }
    inventory.identities.revoke(name_of("a"), **ACT)
    assert actions(plan(inventory, row("b", 1))) == {"b": Action.CREATE}


def publish(inventory: Inventory, label: str, rdtype: str, rdata: str) -> None:
    owner = OwnerName.parse(f"{label}._device.cars.example")
    inventory.zones.publish(Record(owner=owner, rdtype=rdtype, rdata=rdata, ttl=60), **ACT)


def test_names_that_others_hold_are_conflicts(inventory: Inventory) -> None:
    publish(inventory, "alias", "CNAME", "else.where.example.")
    publish(inventory, "hand", "TLSA", f"3 1 1 {'11' * 32}")
    publish(inventory, "away", "NS", "ns.other.example.")
    publish(inventory, "host", "A", "192.0.2.1")
    inventory.blocks.block(name_of("blocked"), **ACT)
    for label in ("alias", "hand", "blocked"):
        assert the_conflict(inventory, row(label)) is Problem.TAKEN, label
    assert the_conflict(inventory, row("away")) is Problem.NOT_SERVED
    assert the_conflict(inventory, row("below.away._device.cars.example")) is Problem.NOT_SERVED
    assert actions(plan(inventory, row("host"))) == {"host": Action.CREATE}


def test_a_leased_name_is_a_conflict_before_it_begins(inventory: Inventory) -> None:
    maker = ClientName.parse("d1._device.maker.example")
    inventory.leases.grant(name_of("leased"), maker, starts_at=NOW + 5000, ends_at=NOW + 9000, **ACT)
    assert the_conflict(inventory, row("leased")) is Problem.TAKEN


# Carrying it out.


def test_clients_come_into_the_inventory(inventory: Inventory, rollback: RollbackFile) -> None:
    rows = [row(f"d{number}", number, tags=frozenset({"red"}), owner="cars") for number in range(5)]
    with_certificate = Candidate(
        where="x", spki=spki(7), certificate=certificate(7), shown=Shown(name="d7"), ttl=60, owner="others"
    )
    seventh = accepted(with_certificate, TERMS)
    assert isinstance(seventh, Accepted)
    done = adopt(inventory, rollback, *rows, seventh)
    assert actions(done) == dict.fromkeys(["d0", "d1", "d2", "d3", "d4", "d7"], Action.CREATE)
    found = {identity.name.labels[0]: identity for identity in inventory.identities.all()}
    assert found["d3"].spki == spki(3)
    assert (found["d3"].owner, found["d3"].tags, found["d3"].ttl) == ("cars", {"red"}, 120)
    assert [record.rdata for record in found["d3"].records] == [rows[3].record(TERMS).to_text()]
    assert (found["d7"].key.certificate, found["d7"].ttl) == (certificate(7), 60)
    [event] = inventory.events(subject="d3._device.cars.example")
    assert (event.action, event.actor, event.reason, event.at) == ("register", "test", "because", NOW + 1)
    assert actions(adopt(inventory, rollback, *rows, seventh)) == dict.fromkeys(found, Action.UNCHANGED)


def test_good_rows_go_through_beside_conflicts(inventory: Inventory, rollback: RollbackFile) -> None:
    register(inventory, "b", 9)
    assert actions(adopt(inventory, rollback, row("a", 1), row("b", 2), row("c", 3), batch=10)) == {
        "a": Action.CREATE,
        "b": Problem.OTHER_KEY,
        "c": Action.CREATE,
    }
    assert inventory.identities.named(name_of("b")).spki == spki(9)


def test_a_certificate_of_another_key_spoils_itself_alone(inventory: Inventory, rollback: RollbackFile) -> None:
    wrong = Accepted(
        where="x",
        name=name_of("b"),
        spki=spki(1),
        certificate=certificate(2),
        serial=None,
        owner="",
        tags=frozenset(),
        ttl=None,
    )
    done = actions(adopt(inventory, rollback, row("a", 3), wrong, row("c", 4), batch=10))
    assert done == {"a": Action.CREATE, "b": Problem.NO_KEY, "c": Action.CREATE}
    with pytest.raises(NotInInventory):
        inventory.identities.named(name_of("b"))


def test_a_key_is_replaced_at_once(inventory: Inventory, rollback: RollbackFile) -> None:
    register(inventory, "a", 1, tags=["red"])
    terms = Terms(names=RULES, replace=True)
    assert actions(adopt(inventory, rollback, row("a", 2), terms=terms)) == {"a": Action.REPLACE}
    identity = inventory.identities.named(name_of("a"))
    assert [(key.spki, key.state) for key in identity.keys] == [
        (spki(1), KeyState.RETIRED),
        (spki(2), KeyState.CURRENT),
    ]
    assert [record.rdata for record in identity.records] == [row("a", 2).record(TERMS).to_text()]
    assert (identity.tags, identity.ttl, identity.state) == ({"red"}, 120, IdentityState.ACTIVE)
    assert [event.action for event in inventory.events(subject=identity.name.canonical)] == ["register", "replace-key"]


def test_an_amendment_adds_and_takes_nothing(inventory: Inventory, rollback: RollbackFile) -> None:
    register(inventory, "a", 1, tags=["red"], owner="before")
    adopt(inventory, rollback, row("a", 1, tags=frozenset({"blue"}), owner="after"))
    identity = inventory.identities.named(name_of("a"))
    assert (identity.tags, identity.owner) == ({"red", "blue"}, "after")
    adopt(inventory, rollback, row("a", 1))
    assert inventory.identities.named(name_of("a")) == identity


# Sources that are complete.


def missing(inventory: Inventory, *rows: Accepted, complete: Completeness = EVERYTHING) -> list[str]:
    with staged(*rows) as staging:
        return [step.name.partition(".")[0] for step in inventory.adoptions.removals(staging, complete)]


def test_a_complete_source_says_who_is_to_go(inventory: Inventory) -> None:
    register(inventory, "a", 1, tags=["red"])
    register(inventory, "b", 2)
    register(inventory, "gone", 3)
    inventory.identities.revoke(name_of("gone"), **ACT)
    assert missing(inventory, row("c", 4)) == ["a", "b"]
    assert missing(inventory, row("a", 9)) == ["b"]
    assert missing(inventory, row("c", 4), complete=Completeness(below=EVERYTHING.below, tag="red")) == ["a"]
    assert missing(inventory, complete=Completeness(below=OwnerName.parse("bikes.example"))) == []
    # A row that stands against another is no reason to revoke its name.
    assert missing(inventory, row("a", 1), row("a", 2), row("b", 3), row("x", 3)) == []


def test_removals_have_a_limit(inventory: Inventory, rollback: RollbackFile) -> None:
    for number in range(10):
        register(inventory, f"d{number}", number)
    doing = Doing(actor="test", reason="because", clock=lambda: NOW + 1, rollback=rollback, batch=3)
    with staged(*(row(f"d{number}", number) for number in range(6))) as staging:
        check = inventory.adoptions.check_removals
        for refused in ("0", "3", "39%"):
            with pytest.raises(RemovalsRefused):
                check(staging, EVERYTHING, RemovalLimit.parse(refused))
        assert check(staging, EVERYTHING, RemovalLimit.parse("4")) == 4
        assert check(staging, EVERYTHING, RemovalLimit.parse("40%")) == 4
        done = list(inventory.adoptions.carry_out_removals(staging, EVERYTHING, doing))
    assert [step.action for step in done] == [Action.REVOKE] * 4
    assert sum(identity.state is IdentityState.ACTIVE for identity in inventory.identities.all()) == 6


@pytest.mark.parametrize("text", ["", "-1", "x", "101%", "5 %", "1.5", "%"])
def test_a_limit_that_is_none(text: str) -> None:
    with pytest.raises(Misuse):
        RemovalLimit.parse(text)


# Taking it back.


def everything(inventory: Inventory) -> dict[str, tuple[object, ...]]:
    """What is in force, whatever happened to come there."""
    return {
        identity.name.canonical: (
            *(identity.spki, identity.key.certificate, identity.owner, identity.tags, identity.ttl),
            *sorted(record.rdata for record in identity.records),
        )
        for identity in inventory.identities.all(state=IdentityState.ACTIVE)
    }


def undo(inventory: Inventory, path: Path) -> list[Left | None]:
    return [
        one.left for one in inventory.adoptions.undo(path, actor="test", reason="wrong list", clock=lambda: NOW + 9)
    ]


def test_an_adoption_is_taken_back(inventory: Inventory, rollback: RollbackFile) -> None:
    register(inventory, "key", 1, certificate=certificate(1), owner="cars", tags=["red"])
    register(inventory, "facts", 2, owner="cars", tags=["red"])
    register(inventory, "gone", 3, certificate=certificate(3), owner="cars", tags=["red"])
    before = everything(inventory)
    terms = Terms(names=RULES, replace=True)
    rows = [row("new", 4), row("key", 5), row("facts", 2, owner="others", tags=frozenset({"red", "blue"}))]
    adopt(inventory, rollback, *rows, terms=terms, batch=2)
    doing = Doing(actor="test", reason="because", clock=lambda: NOW + 1, rollback=rollback)
    with staged(*rows) as staging:
        list(inventory.adoptions.carry_out_removals(staging, EVERYTHING, doing))
    changed = everything(inventory)
    assert set(changed) == {name_of(label).canonical for label in ("new", "key", "facts")}
    assert all(changed[name] != before.get(name) for name in changed)
    planned = [one.left for one in inventory.adoptions.plan_to_undo(rollback.path)]
    assert planned == [None] * 4
    assert everything(inventory) == changed
    assert undo(inventory, rollback.path) == [None] * 4
    assert everything(inventory) == before
    again = undo(inventory, rollback.path)
    assert set(again) == {Left.NOT_THERE, Left.OTHER_KEY, Left.REGISTERED, None}
    assert everything(inventory) == before


def test_what_was_changed_since_is_left(inventory: Inventory, rollback: RollbackFile) -> None:
    adopt(inventory, rollback, row("a", 1), row("b", 2), row("c", 3))
    inventory.identities.revoke(name_of("a"), **ACT)
    inventory.identities.revoke(name_of("b"), **ACT)
    register(inventory, "b", 9)
    assert undo(inventory, rollback.path) == [None, Left.OTHER_KEY, Left.NOT_THERE]
    assert set(everything(inventory)) == {"b._device.cars.example"}


def remove_all(inventory: Inventory, rollback: RollbackFile, *rows: Accepted) -> None:
    doing = Doing(actor="test", reason="because", clock=lambda: NOW + 1, rollback=rollback)
    with staged(*rows) as staging:
        list(inventory.adoptions.carry_out_removals(staging, EVERYTHING, doing))


def test_taking_back_brings_no_name_back_that_was_revoked_again(inventory: Inventory, rollback: RollbackFile) -> None:
    register(inventory, "stolen", 1)
    remove_all(inventory, rollback)
    register(inventory, "stolen", 1, now=NOW + 2)
    inventory.identities.revoke(name_of("stolen"), now=NOW + 3, actor="test", reason="stolen")
    assert undo(inventory, rollback.path) == [Left.SHUT_OUT]
    assert everything(inventory) == {}


def test_taking_back_lifts_no_block_of_somebody_else(inventory: Inventory, rollback: RollbackFile) -> None:
    register(inventory, "stolen", 1)
    remove_all(inventory, rollback)
    inventory.blocks.block(name_of("stolen"), now=NOW + 3, actor="test", reason="stolen")
    assert [one.left for one in inventory.adoptions.plan_to_undo(rollback.path)] == [Left.SHUT_OUT]
    assert undo(inventory, rollback.path) == [Left.SHUT_OUT]
    assert inventory.blocks.at(name_of("stolen")) is not None


def test_taking_back_leaves_a_key_that_is_being_rolled(inventory: Inventory, rollback: RollbackFile) -> None:
    register(inventory, "a", 1)
    adopt(inventory, rollback, row("a", 2), terms=Terms(names=RULES, replace=True))
    inventory.rolls.begin(name_of("a"), Wish.checked(spki=spki(3)), **ACT)
    before = everything(inventory)
    assert undo(inventory, rollback.path) == [Left.ROLLING]
    assert everything(inventory) == before


def test_what_never_came_to_be_is_not_taken_back(inventory: Inventory, rollback: RollbackFile) -> None:
    register(inventory, "b", 2)
    rollback.add([Entry(undo=Undo.REVOKE, name=name_of(label), spki_sha256="00" * 32) for label in ("a", "b")])
    assert undo(inventory, rollback.path) == [Left.OTHER_KEY, Left.NOT_THERE]
    assert set(everything(inventory)) == {"b._device.cars.example"}


def test_taking_back_has_a_limit(inventory: Inventory, rollback: RollbackFile) -> None:
    adopt(inventory, rollback, row("a", 1), row("b", 2))
    with pytest.raises(RemovalsRefused):
        inventory.adoptions.check_undo(rollback.path, RemovalLimit.parse("1"))
    assert inventory.adoptions.check_undo(rollback.path, RemovalLimit.parse("2")) == 2


def test_two_changes_of_one_name_are_taken_back_the_last_first(inventory: Inventory, rollback: RollbackFile) -> None:
    register(inventory, "a", 1)
    before = everything(inventory)
    terms = Terms(names=RULES, replace=True)
    adopt(inventory, rollback, row("a", 2), terms=terms)
    adopt(inventory, rollback, row("a", 3), terms=terms)
    assert undo(inventory, rollback.path) == [None, None]
    assert everything(inventory) == before


def test_below_an_authority_nothing_is_blocked_that_was_not(inventory: Inventory, rollback: RollbackFile) -> None:
    wildcard = OwnerName.parse("*._device.cars.example", wildcard=True)
    inventory.authorities.publish(wildcard, authority(), **ACT)
    register(inventory, "gone", 3)
    adopt(inventory, rollback, row("new", 4))
    doing = Doing(actor="test", reason="because", clock=lambda: NOW + 1, rollback=rollback)
    with staged(row("new", 4)) as staging:
        list(inventory.adoptions.carry_out_removals(staging, EVERYTHING, doing))
    assert inventory.blocks.at(name_of("gone")) is not None
    assert undo(inventory, rollback.path) == [None, None]
    assert set(everything(inventory)) == {"gone._device.cars.example"}
    assert list(inventory.blocks.all()) == []


# The rollback file.


def entry(label: str) -> Entry:
    return Entry(undo=Undo.REVOKE, name=name_of(label), spki_sha256="00" * 32)


def labels(path: Path) -> list[str]:
    return [one.name.labels[0] for one in read_backwards(path)]


def test_the_file_is_for_its_owner_and_one_writer(tmp_path: Path) -> None:
    path = tmp_path / "rollback"
    with RollbackFile(path, resume=False) as rollback:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        rollback.add([entry("a")])
        with pytest.raises(Misuse):
            RollbackFile(path, resume=True)
    with pytest.raises(Misuse):
        RollbackFile(path, resume=False)
    with pytest.raises(FileNotFoundError):
        RollbackFile(tmp_path / "absent", resume=True)
    with RollbackFile(path, resume=True) as rollback:
        rollback.add([entry("b")])
    assert labels(path) == ["b", "a"]


def test_a_file_with_nothing_in_it_is_taken_away(tmp_path: Path) -> None:
    with RollbackFile(tmp_path / "rollback", resume=False) as rollback:
        rollback.add([])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kept", [1, 30, 90])
def test_a_line_that_was_being_written_does_not_count(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "rollback"
    with RollbackFile(path, resume=False) as rollback:
        rollback.add([entry("a"), entry("b")])
    whole = path.read_bytes()
    last = len(whole.splitlines(keepends=True)[-1])
    path.write_bytes(whole[: len(whole) - last + kept])
    assert labels(path) == ["a"]
    with RollbackFile(path, resume=True) as rollback:
        rollback.add([entry("c")])
    assert labels(path) == ["c", "a"]


def test_long_files_are_read_backwards(tmp_path: Path) -> None:
    path = tmp_path / "rollback"
    with RollbackFile(path, resume=False) as rollback:
        rollback.add(entry(f"d{number}") for number in range(5000))
    assert labels(path) == [f"d{number}" for number in reversed(range(5000))]


@pytest.mark.parametrize(
    "octets", [b"", b"{}\n", b"-----BEGIN", b'{"dnsbound-rollback": 2}\n', b"[" * 100_000 + b"\n", b"\xff\n"]
)
def test_a_file_that_is_none(tmp_path: Path, octets: bytes) -> None:
    path = tmp_path / "rollback"
    path.write_bytes(octets)
    with pytest.raises(Malformed):
        list(read_backwards(path))
    with pytest.raises(Malformed):
        RollbackFile(path, resume=True)
    assert path.read_bytes() == octets


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        "[]",
        "null",
        '{"undo": "format-disk", "name": "a.b", "key": ""}',
        '{"undo": "revoke", "name": "*.b", "key": ""}',
        '{"undo": "register", "name": "a.b", "key": "", "former": {"spki": "!"}}',
        '{"undo": "register", "name": "a.b", "key": "", "former": []}',
    ],
)
def test_a_line_that_is_none(tmp_path: Path, line: str) -> None:
    path = tmp_path / "rollback"
    path.write_text('{"dnsbound-rollback": 1}\n' + line + "\n")
    with pytest.raises(Malformed):
        list(read_backwards(path))


def test_lines_are_read_as_they_were_written(inventory: Inventory, rollback: RollbackFile) -> None:
    register(inventory, "a", 1, certificate=certificate(1), owner="cars", tags=["red"])
    adopt(inventory, rollback, row("a", 2), terms=Terms(names=RULES, replace=True))
    [one] = read_backwards(rollback.path)
    assert one.former is not None
    assert Entry.parse(one.to_text()) == one


def test_a_full_disk_leaves_the_inventory_as_it_was(inventory: Inventory, tmp_path: Path) -> None:
    with RollbackFile(tmp_path / "rollback", resume=False) as rollback:
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, rollback._descriptor)
        os.close(full)
        with pytest.raises(InventoryFailed):
            adopt(inventory, rollback, row("a", 1))
    assert list(inventory.identities.all()) == []
