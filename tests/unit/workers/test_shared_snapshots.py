"""Memory in which workers leave what they say of themselves: read while it is written, and after they have died."""

import os
import signal

import pytest

from dnsbound.edge.shared_snapshots import SharedSnapshots
from dnsbound.errors import LimitExceeded, Misuse
from dnsbound.limits import SNAPSHOT_OCTETS

ROUNDS = 2000


@pytest.fixture
def snapshots():
    made = SharedSnapshots(3, octets=1024)
    yield made
    made.close()


def test_each_worker_has_a_place(snapshots):
    assert snapshots.all() == []
    assert snapshots.get(1) is None
    snapshots.put(2, b"of two")
    snapshots.put(0, b"of none")
    snapshots.put(0, b"")
    assert [snapshots.get(worker) for worker in range(3)] == [b"", None, b"of two"]
    assert snapshots.all() == [b"", b"of two"]
    snapshots.put(0, b"x" * 1024)
    assert snapshots.all() == [b"x" * 1024, b"of two"]


def test_what_is_too_long_leaves_what_was_there(snapshots):
    snapshots.put(1, b"short")
    with pytest.raises(LimitExceeded):
        snapshots.put(1, b"x" * 1025)
    assert snapshots.get(1) == b"short"


def test_a_process_that_died_is_still_read(snapshots):
    child = os.fork()
    if child == 0:
        snapshots.put(1, b"last words")
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert snapshots.get(1) == b"last words"


def test_a_reader_never_sees_half_of_what_is_written(snapshots):
    child = os.fork()
    if child == 0:
        try:
            for number in range(ROUNDS):
                snapshots.put(1, b"%04d" % number * (1 + number % 256))
        finally:
            os._exit(0)
    seen = [snapshots.get(1) for _ in range(ROUNDS)]
    os.waitpid(child, 0)
    whole = {b"%04d" % number * (1 + number % 256) for number in range(ROUNDS)}
    assert {each for each in seen if each is not None} <= whole
    assert snapshots.get(1) == b"%04d" % (ROUNDS - 1) * (1 + (ROUNDS - 1) % 256)


def test_a_bank_that_does_not_hold_what_it_says_is_not_read(snapshots):
    snapshots.put(0, b"whole")
    at = snapshots._memory.find(b"whole")
    snapshots._memory[at : at + 1] = b"W"
    assert snapshots.get(0) is None
    snapshots.put(0, b"again")
    assert snapshots.get(0) == b"again"


def test_sizes_are_checked():
    for wrong in (-1, 257):
        with pytest.raises(Misuse):
            SharedSnapshots(wrong)
    with pytest.raises(Misuse):
        SharedSnapshots(1, octets=SNAPSHOT_OCTETS.maximum + 1)
