"""Rolls and processes that die or work at the same time: killed at one statement or another, a roll is as it was or a
step further, and whoever goes on ends it as if nothing had happened; two runners do each step once."""

import contextlib
import os
import signal
import subprocess
import sys
import threading

import pytest
from sqlalchemy import Engine, event

from dnsbound.names import ClientName
from dnsbound.provision.entries import KeyState
from dnsbound.provision.errors import InventoryFailed
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.lifecycle.deployment import Parameters
from dnsbound.provision.lifecycle.machine import RollState
from dnsbound.provision.lifecycle.roll_work import CLAIM_SECONDS
from dnsbound.provision.runner.runner import Runner
from interop.daemon import eventually
from interop.postgres import postgres
from unit.rolling import ACT, CAR, TTL, Rolling, begin, digest, new_spki, records_of, register

STEPS = ["register", "roll-begin", "roll-prepublish", "roll-switch", "roll-retire", "roll-done"]
MOST_STATEMENTS = 400


def drive(place, new):
    """Take the roll of CAR to its end from wherever it stands; how the clocks go on is always the same."""
    with Inventory.open(place) as inventory:
        rolling = Rolling(inventory, by=f"runner {os.getpid()}")
        rolling.wall += CLAIM_SECONDS * (1 + len(list(inventory.events(subject=CAR.canonical))))
        if inventory.rolls.of(CAR) is None:
            begin(inventory, spki=new, now=rolling.wall)
        for _ in range(20):
            roll = rolling.roll()
            if roll.state is RollState.SWITCH:
                inventory.rolls.confirm(CAR, now=rolling.wall, **ACT)
            if not roll.is_open:
                return
            rolling.turn()
            rolling.passes(2 * TTL)
        raise AssertionError(rolling.roll())


def killed_at(statement, place, new):
    """Whether a process that drives the roll was killed when it was about to execute its n-th statement."""
    child = os.fork()
    if child == 0:
        left = [statement]

        @event.listens_for(Engine, "before_cursor_execute")
        def count(*_args):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            drive(place, new)
        except BaseException:  # noqa: BLE001 (of a forked child, nothing may return into pytest)
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL)
    return status == signal.SIGKILL


def check_whole(inventory, old, new):
    """Records, keys, roll and events tell the same of how far it came."""
    roll = inventory.rolls.of(CAR)
    state = None if roll is None else roll.state
    both = {digest(old), digest(new)}
    records = {RollState.PREPUBLISH: both, RollState.SWITCH: both, RollState.RETIRE: {digest(new)}}
    records[RollState.DONE] = {digest(new)}
    assert records_of(inventory) == records.get(state, {digest(old)})
    keys = {key.spki: key.state for key in inventory.identities.named(CAR).keys}
    if state in (RollState.RETIRE, RollState.DONE):
        assert keys == {old: KeyState.RETIRED, new: KeyState.CURRENT}
    else:
        assert keys == ({old: KeyState.CURRENT} | ({} if roll is None else {new: KeyState.NEXT}))
    reached = 1 if roll is None else 2 + list(RollState).index(state)
    assert [event.action for event in inventory.events(subject=CAR.canonical)] == STEPS[:reached]


def test_killed_at_any_statement_it_goes_on(database_url, request):
    """At every third statement; on PostgreSQL, where each try needs a database of its own, at fewer."""
    on_files = "postgresql" not in request.node.callspec.id
    died = 0
    for statement in range(1, MOST_STATEMENTS, 3 if on_files else 13):
        place = f"{database_url}.{statement}" if on_files else request.getfixturevalue("postgresql_server").database()
        old, new = new_spki(), new_spki()
        with Inventory.open(place, create=True) as inventory:
            register(inventory, spki=old)
        if not killed_at(statement, place, new):
            break
        died += 1
        with Inventory.open(place) as inventory:
            check_whole(inventory, old, new)
        drive(place, new)
        with Inventory.open(place) as inventory:
            check_whole(inventory, old, new)
            assert inventory.rolls.of(CAR).state is RollState.DONE
    else:
        pytest.fail("it never came to its end")
    assert died > (25 if on_files else 5)


RUNNER = """
import sys
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.lifecycle.machine import RollState
from unit.rolling import ACT, TTL, Rolling

place, by = sys.argv[1:]
with Inventory.open(place) as inventory:
    rolling = Rolling(inventory, by=by)
    print("ready", flush=True)
    sys.stdin.readline()
    moved = 0
    for _ in range(400):
        moved += rolling.turn(limit=7).moved
        rolling.passes(TTL)
        for roll in inventory.rolls.all(state=RollState.SWITCH):
            try:
                inventory.rolls.confirm(roll.name, now=rolling.wall, **ACT)
            except Exception as error:
                assert type(error).__name__ in ("RollRefused", "NotInInventory"), error
        if not any(True for _ in inventory.rolls.all()):
            break
    print(moved, flush=True)
"""


def test_two_runners_at_once_do_each_step_once(database_url):
    """Their clocks run apart, so that claims are held by both: they decide nothing."""
    names = [ClientName.parse(f"car{number}._device.cars.example") for number in range(40)]
    with Inventory.open(database_url, create=True) as inventory:
        for name in names:
            register(inventory, name)
            begin(inventory, name, spki=new_spki())
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    runners = [
        subprocess.Popen(
            [sys.executable, "-c", RUNNER, str(database_url), f"runner {number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for number in range(2)
    ]
    try:
        for runner in runners:
            assert runner.stdout.readline() == "ready\n"
        for runner in runners:
            runner.stdin.write("go\n")
            runner.stdin.flush()
        moved = [int(runner.communicate(timeout=100)[0]) for runner in runners]
    finally:
        for runner in runners:
            runner.kill()
            runner.wait()
    assert [runner.returncode for runner in runners] == [0, 0]
    with Inventory.open(database_url) as inventory:
        assert list(inventory.rolls.all()) == []
        for name in names:
            assert [event.action for event in inventory.events(subject=name.canonical)] == STEPS
    # The step to RETIRE is the confirmation's; both had a part in the others.
    assert sum(moved) == len(names) * 3
    assert min(moved) > 0


@pytest.mark.peer("postgres")
@pytest.mark.timeout(300)
def test_a_database_that_is_restarted_delays_the_runner_and_loses_nothing():
    with postgres() as server:
        place = server.database()
        with Inventory.open(place, create=True) as inventory:
            rolling = Rolling(inventory)
            for number in range(20):
                name = ClientName.parse(f"car{number}._device.cars.example")
                register(inventory, name)
                begin(inventory, name, target=(Parameters(3, 1, 2),))
            parts = []

            def tell(part):
                parts.append(part)
                if len(parts) == 2:
                    server.stop(signal.SIGQUIT)  # at once, as a crash
                if part.failure and server.process is None:
                    server.start()
                rolling.passes(TTL / 4)

            def over():
                with contextlib.suppress(InventoryFailed):
                    return not any(True for _ in inventory.rolls.all())
                return False

            runner = Runner([rolling.mover], limit=7, tell=tell, clock=lambda: rolling.wall)
            stop = threading.Event()
            thread = threading.Thread(target=runner.run, args=(stop,))
            thread.start()
            try:
                eventually(over, 120, otherwise=lambda: str(parts))
            finally:
                stop.set()
                thread.join(60)
            failed = [part for part in parts if part.failure]
            assert 1 <= len(failed) < 5
            assert all("\n" not in part.failure for part in failed)
            assert list(inventory.rolls.all()) == []
            for number in range(20):
                actions = [event.action for event in inventory.events(subject=f"car{number}._device.cars.example")]
                assert actions == ["register", "roll-begin", "roll-retire", "roll-done"]
