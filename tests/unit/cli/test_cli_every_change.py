"""Every change leaves its events, with who, when and why: by every command there is, and every method of the inventory.

The tables are complete. A new command, or a new method of a face of the inventory, fails a test here until it is said
what it is; what takes a reason, or an actor, is a change and must be shown to leave its events.
"""

import inspect
import sys
import time
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import pytest
import typer
from sqlalchemy import select

from dnsbound.cli.app import app
from dnsbound.cli.configuration import inventory_place
from dnsbound.credential.keys import KeyAlgorithm, generate_private_key, spki_der
from dnsbound.names import ClientName
from dnsbound.provision import schema
from dnsbound.provision.enrolment.enrolments import Requester
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.inventory_kind import HEAD_REVISION
from dnsbound.provision.lifecycle.beginning import Wish
from unit.cli_changes import (
    ADOPTED,
    CAR,
    CHANGES,
    LEASED,
    REGISTERED,
    ROLLING,
    TRANSFERRING,
    VAN,
    WITH_ZONE,
    ZONE,
    to_switch,
)

REASON = "because it is Sunday"
READING = {
    "id list": (),
    "id show": (CAR,),
    "id status": (CAR,),
    "lease list": (),
    "lease show": (VAN,),
    "authority list": (),
    "authority gaps": (),
    "zone list": (),
    "zone ds": ("cars.example",),
    "zone export": ("cars.example",),
    "inventory info": (),
    "inventory events": (),
    "inventory backup": ("fleet.backup",),
    "enrol list": (),
}
"""Commands that read the inventory, and arguments with which they have something to tell."""
WITHOUT_INVENTORY = {
    *("record", "match", "explain", "discover", "bytes", "demo", "lab", "completion", "serve demo-api"),
    *("enrol request", "enrol renew", "chain export", "chain verify", "who"),
    *("key encryption", "encrypt", "decrypt"),
    *("access add", "access remove", "access list", "access test"),
    # Network access has a database of its own, of sessions; the names are the DNS's.
    *("serve radius", "serve authz", "radius sessions", "radius disconnect", "radius prune", "eap test"),
    *("gate server", "gate client"),
    *("ssh authorized-keys", "ssh known-hosts", "ssh sshfp", "ssh key", "ssh agent", "ssh check"),
    *("ssh certificate sign", "ssh certificate show"),
    *("git setup", "git verify", "git receive", "git allowed-signers"),
    *("sign", "verify"),
    "config",
    # Reports have a store of their own.
    *("report send", "report outbox", "report receive", "report judge", "report list", "report show"),
    *("report export", "report prune"),
}
LOOKING_ELSEWHERE = {"check", "doctor", "privacy report"}
"""They read the inventory and ask the DNS."""
CARRYING_ON = {
    "run": "moves what was begun: each step is a change of its own, by the runner",
    "serve dns": "answers out of the inventory",
    "serve est": "enrols whom somebody permitted: a change of its own, by the server",
}
OF_THE_WHOLE = {"inventory restore", "inventory migrate", "publish"}
"""Changes that no method of a face makes; the test of each is below."""
BY_NO_COMMAND = {"leases begin_due", "leases close_due", "transfers close_due", "enrolments enrol", "rolls begin"}
"""Methods that no command of somebody's calls; the tests at the end of this file do."""


def commands(group=None, path=()):
    """Every command with its parameters' names."""
    command = typer.main.get_command(app) if group is None else group
    for name, child in getattr(command, "commands", {}).items():
        if hasattr(child, "commands"):
            yield from commands(child, (*path, name))
        else:
            yield " ".join((*path, name)), {parameter.name for parameter in child.params}


def path_of(change):
    return next(path for path, _ in commands() if change.title == path or change.title.startswith(f"{path} "))


def events():
    with Inventory.open(inventory_place(None), create=True) as inventory:
        return list(inventory.events())


def tables():
    """Everything that is in the inventory."""
    with Inventory.open(inventory_place(None)) as inventory, inventory.database.reading() as connection:
        return {name: connection.execute(select(table)).all() for name, table in schema.metadata.tables.items()}


@contextmanager
def watched(face, method):
    """Whether a method of the inventory runs meanwhile."""
    with Inventory.open(inventory_place(None), create=True) as inventory:
        code = getattr(type(getattr(inventory, face)), method).__code__
    seen = []

    def look(frame, event, _argument):
        if event == "call" and frame.f_code is code:
            seen.append(method)

    sys.setprofile(look)
    try:
        yield seen
    finally:
        sys.setprofile(None)


def faces():
    """Every public method of every face: its name to its parameters."""
    with Inventory.open(inventory_place(None), create=True) as inventory:
        lazy = [name for name, value in vars(Inventory).items() if isinstance(value, cached_property)]
        for name in [*vars(inventory), *lazy]:
            for method, function in inspect.getmembers(getattr(inventory, name), inspect.ismethod):
                if not (name.startswith("_") or method.startswith("_")):
                    yield f"{name} {method}", set(inspect.signature(function).parameters), function


def test_every_command_is_in_one_table():
    known = [
        *{path_of(change) for change in CHANGES},
        *READING,
        *WITHOUT_INVENTORY,
        *LOOKING_ELSEWHERE,
        *CARRYING_ON,
        *OF_THE_WHOLE,
    ]
    assert sorted(known) == sorted(path for path, _ in commands())


def test_what_takes_a_reason_is_a_change():
    changing = {path_of(change) for change in CHANGES} | OF_THE_WHOLE
    assert {path for path, parameters in commands() if "reason" in parameters} == changing
    without = {path for path, parameters in commands() if "inventory" not in parameters}
    assert without == WITHOUT_INVENTORY


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.title)
def test_a_change_leaves_its_events(dnsbound, change):
    change.ready(dnsbound)
    command = (*change.command, *change.more(dnsbound))
    before, began = events(), time.time()
    with watched(*change.calls.split()) as called:
        ran = dnsbound(*command, "--reason", REASON)
    assert ran.code == 0, ran.err
    assert called, change.calls
    added = events()[len(before) :]
    assert sorted((event.action, event.subject) for event in added) == sorted(change.events)
    assert {(event.actor, event.reason) for event in added} == {("operations", REASON)}
    assert all(began <= event.at <= time.time() for event in added)
    once = len(before) + len(added)
    if dnsbound(*command, "--reason", REASON).code:
        assert len(events()) == once, "a change that is refused was not made"


def test_a_restore_is_told_of(dnsbound):
    REGISTERED(dnsbound)
    assert dnsbound("inventory", "backup", "fleet.backup").code == 0
    assert dnsbound("inventory", "restore", "fleet.backup", "--inventory", "other.db", "--reason", REASON).code == 0
    with Inventory.open("other.db") as inventory:
        register, restore = inventory.events()
    assert register.action == "register"
    assert (restore.action, restore.actor, restore.reason) == ("restore", "operations", REASON)


def test_a_run_of_publish_is_told_of(dnsbound):
    REGISTERED(dnsbound)
    Path("targets.toml").write_text(f'[publish."{ZONE}"]\nto = "zonefile"\nfile = "{Path.cwd()}/fleet.zone"\n')
    publish = ("publish", "--targets", "targets.toml", "--reason", REASON)
    before = events()
    for _ in range(2):  # the second one has nothing to do, and nothing to tell
        assert dnsbound(*publish).code == 0
    [event] = events()[len(before) :]
    assert (event.action, event.subject, event.actor, event.reason) == ("publish-zone", ZONE, "operations", REASON)
    assert event.detail == {"to": "zonefile", "names": 1}
    assert dnsbound(*publish, "--dry-run").code == dnsbound(*publish, "--check").code == 0
    assert len(events()) == len(before) + 1


def test_a_step_of_the_schema_back_is_told_of(dnsbound):
    REGISTERED(dnsbound)
    assert dnsbound("id", "set-owner", CAR, "Hire Ltd").code == 0
    before = events()
    refused = dnsbound("inventory", "migrate", "--to", "0001")
    assert (refused.code, events()) == (2, before)
    assert dnsbound("inventory", "migrate", "--to", "0001", "--danger-lose-data", "--reason", REASON).code == 0
    [event] = events()[len(before) :]  # looking took the schema up again
    assert (event.action, event.subject, event.actor) == ("migrate", "inventory", "operations")
    assert (event.detail["from"], event.detail["to"], event.detail["reason"]) == (HEAD_REVISION, "0001", REASON)
    assert "1 owners" in event.detail["dropped"]
    assert dnsbound("inventory", "migrate", "--to", HEAD_REVISION).code == 0
    assert len(events()) == len(before) + 1, "nothing was done"


def test_a_log_of_a_door_is_the_reason(dnsbound):
    REGISTERED(dnsbound)
    assert dnsbound("id", "confirm", "--from-log", "-").code == 0
    ran = dnsbound("id", "confirm", "--from-log", "-", "--reason", REASON)
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)


@pytest.mark.parametrize("path", READING)
def test_reading_changes_nothing(dnsbound, path):
    for ready in (ADOPTED, LEASED):
        ready(dnsbound)
    before = tables()
    ran = dnsbound(*path.split(), *READING[path])
    assert ran.code == 0, ran.err
    assert tables() == before


def test_every_method_that_names_an_actor_is_shown(dnsbound):
    changing = {name for name, parameters, _ in faces() if parameters & {"actor", "doing"}}
    assert changing == {change.calls for change in CHANGES} | BY_NO_COMMAND


def test_what_names_no_actor_writes_no_facts():
    """That a lease cannot begin yet is a note. A door's sighting of a client is one too, until it confirms a roll."""
    writing = {
        name
        for name, parameters, function in faces()
        if not parameters & {"actor", "doing"} and "writing(" in inspect.getsource(function)
    }
    assert writing == {"leases postpone"}


@contextmanager
def added_to(inventory):
    """The events that come meanwhile."""
    before, added = len(list(inventory.events())), []
    yield added
    added += list(inventory.events())[before:]


def test_a_runner_that_begins_and_ends_a_lease_is_named(dnsbound):
    assert dnsbound("zone", "create", "hire.example").code == 0
    with Inventory.open(inventory_place(None)) as inventory:
        now = time.time()
        lease = inventory.leases.grant(
            ClientName.parse(VAN), ClientName.parse(CAR), starts_at=now + 60, ends_at=now + 7200, now=now, actor="boss"
        )
        for act, moment, action in (
            (inventory.leases.begin_due, now + 60, "lease-begin"),
            (inventory.leases.close_due, now + 7200, "lease-end"),
        ):
            with added_to(inventory) as added:
                assert act(lease.number, now=moment, actor="runner")
            assert [(event.action, event.subject, event.actor) for event in added] == [(action, VAN, "runner")]
            assert [event.at for event in added] == [moment]


def test_a_runner_that_ends_a_transfer_is_named(dnsbound):
    TRANSFERRING(dnsbound)
    with Inventory.open(inventory_place(None)) as inventory:
        [transfer] = inventory.transfers.all()
        with added_to(inventory) as added:
            assert inventory.transfers.close_due(transfer.number, now=transfer.overlap_until, actor="runner")
        assert {(event.actor, event.at) for event in added} == {("runner", transfer.overlap_until)}
        assert sorted(event.action for event in added) == ["revoke", "transfer-done"]


def test_an_enrolment_names_the_server(dnsbound):
    WITH_ZONE(dnsbound)
    token = dnsbound("enrol", "token", CAR).out.strip()
    key = spki_der(generate_private_key(KeyAlgorithm.P256).public_key())
    with Inventory.open(inventory_place(None)) as inventory, added_to(inventory) as added:
        inventory.enrolments.enrol(
            Requester(token=token), ClientName.parse(CAR), spki=key, now=time.time(), actor="est", reason=REASON
        )
    assert [(event.action, event.subject) for event in added] == [("register", CAR), ("enrol", CAR)]
    assert {(event.actor, event.reason) for event in added} == {("est", REASON)}


def test_a_roll_that_a_program_begins(dnsbound):
    REGISTERED(dnsbound)
    key = spki_der(generate_private_key(KeyAlgorithm.P256).public_key())
    with Inventory.open(inventory_place(None)) as inventory, added_to(inventory) as added:
        inventory.rolls.begin(ClientName.parse(CAR), Wish(spki=key), now=time.time(), actor="program", reason=REASON)
    [event] = added
    assert (event.action, event.subject, event.actor, event.reason) == ("roll-begin", CAR, "program", REASON)


def test_a_door_that_confirms_a_roll_is_named(dnsbound):
    ROLLING(dnsbound)
    to_switch(dnsbound)
    with Inventory.open(inventory_place(None)) as inventory:
        roll = inventory.rolls.of(ClientName.parse(CAR))
        now = time.time() + 1
        with added_to(inventory) as added:
            inventory.rolls.sighted(roll.name, roll.new_spki, at=now, door="api", now=now)
    [event] = added
    assert (event.action, event.subject) == ("roll-retire", CAR)
    assert (event.actor, event.at) == ("door api", now)
    assert event.reason
