"""Two runners at one inventory, in processes of their own, one of them killed: every step is taken once."""

import multiprocessing
import os
import signal
from collections import Counter

import pytest

from dnsbound.names import ClientName
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.ownership.lease import LeaseState
from dnsbound.provision.ownership.movers import LeaseMover, TransferMover
from dnsbound.provision.ownership.transfer import TransferState
from unit.fleets import NOW

LEASES = 30
DAY = 86_400.0
SECONDS = 60


def run_until_nothing_moves(place, start, killed_after):
    """killed_after: steps this process takes before it kills itself; None lets it finish."""
    steps = 0

    def check(_target):
        nonlocal steps
        steps += 1
        if killed_after is not None and steps > killed_after:
            os.kill(os.getpid(), signal.SIGKILL)

    with Inventory.open(place) as inventory:
        leases = LeaseMover(inventory.leases, check, actor="runner")
        transfers = TransferMover(inventory.transfers, actor="runner")
        start.wait(SECONDS)
        for now in (NOW + DAY, NOW + 2 * DAY):
            while leases.advance(now, 4).moved + transfers.advance(now, 4).moved:
                pass


@pytest.mark.parametrize("killed_after", [None, 0, 5])
def test_every_step_is_taken_once(fleet, database_url, killed_after):
    names = [ClientName.parse(f"van{number}._device.hire.example") for number in range(LEASES)]
    fleet.register("car54._device.cars.example")
    target = ClientName.parse("car54._device.cars.example")
    for name in names:
        fleet.inventory.leases.grant(
            name, target, starts_at=NOW + DAY, ends_at=NOW + 2 * DAY, now=NOW, actor="operations"
        )
    moved = []
    for number in range(5):
        former = ClientName.parse(f"old{number}._device.cars.example")
        fleet.register(former.canonical)
        new = ClientName.parse(f"new{number}._device.hire.example")
        fleet.inventory.transfers.begin(former, new, overlap_until=NOW + DAY, **fleet.acting)
        moved.append(former)
    context = multiprocessing.get_context("spawn")
    start = context.Event()
    runners = [
        context.Process(target=run_until_nothing_moves, args=(database_url, start, limit))
        for limit in (killed_after, None)
    ]
    for runner in runners:
        runner.start()
    start.set()
    for runner in runners:
        runner.join(SECONDS)
    first, second = (runner.exitcode for runner in runners)
    # The one that would kill itself has nothing to do where the other was quicker.
    assert (first in (0, -signal.SIGKILL), second) == (True, 0)
    # What the one that was killed had begun and not finished, the next runner finishes.
    run_until_nothing_moves(database_url, start, None)
    assert {lease.state for lease in fleet.inventory.leases.all()} == {LeaseState.ENDED}
    assert {transfer.state for transfer in fleet.inventory.transfers.all()} == {TransferState.DONE}
    for name in names:
        assert [action for action, _ in fleet.events(name.canonical)] == ["lease", "lease-begin", "lease-end"]
        assert fleet.served(name.canonical) == []
    for former in moved:
        assert Counter(action for action, _ in fleet.events(former.canonical)) == {
            "register": 1,
            "transfer": 1,
            "revoke": 1,
            "transfer-done": 1,
        }
