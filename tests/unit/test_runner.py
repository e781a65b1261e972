"""The runner: turns that starve nobody, movers that fail alone, an end between two parts."""

import threading
import time

import pytest

from dnsbound.errors import Misuse, Reason, Undecided
from dnsbound.provision.errors import InventoryFailed
from dnsbound.provision.runner.mover import Report
from dnsbound.provision.runner.runner import Runner

NOW = 1_800_000_000.0


class Work:
    """A mover with so much to do. failures: raised before it goes on."""

    def __init__(self, name, rows=0, failures=(), due=None):
        self.name, self.rows, self.failures, self.due = name, rows, list(failures), due
        self.parts = []

    def next_due(self):
        return self.due

    def advance(self, now, limit):
        self.parts.append((now, limit))
        if self.failures:
            raise self.failures.pop(0)
        moved = min(limit, self.rows)
        self.rows -= moved
        return Report(moved=moved, more=self.rows > 0)


def runner(*movers, **options):
    return Runner(movers, clock=lambda: NOW, **options)


def test_a_long_list_of_one_does_not_hold_up_the_others():
    parts = []
    long, short = Work("long", rows=1000), Work("short", rows=3)
    ended = runner(long, short, limit=10, tell=lambda part: parts.append(part.mover)).until_nothing_moves()
    assert parts[:4] == ["long", "short", "long", "short"]
    assert {limit for _, limit in long.parts} == {10}
    assert (long.rows, short.rows) == (0, 0)
    assert [part.report.moved for part in ended] == [0, 0]


@pytest.mark.parametrize(
    "failure", [InventoryFailed("it is locked"), Undecided(Reason.DNS_FAILED), Misuse("no such zone"), KeyError("x")]
)
def test_one_that_fails_delays_itself_alone(failure):
    bad, good = Work("bad", rows=5, failures=[failure]), Work("good", rows=30)
    working = runner(bad, good, limit=10)
    parts = working.until_nothing_moves()
    assert good.rows == 0
    assert len(bad.parts) == 1  # it rests
    [failed] = [part for part in parts if part.failure]
    assert (failed.mover, "\n" in failed.failure) == ("bad", False)
    counts = working.counters.snapshot()
    assert (counts["bad"].failures, counts["bad"].moved, counts["bad"].worked_at) == (1, 0, None)
    assert (counts["good"].failures, counts["good"].moved, counts["good"].worked_at) == (0, 30, NOW)


def test_one_that_failed_is_tried_again_later_each_time():
    bad = Work("bad", failures=[InventoryFailed("no database")] * 2, rows=1)
    stop = threading.Event()
    told = []

    def tell(part):
        told.append((time.monotonic(), part))
        if part.report.moved:
            stop.set()

    thread = threading.Thread(target=runner(bad, tell=tell).run, args=(stop,))
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    times = [at for at, _ in told]
    assert [bool(part.failure) for _, part in told] == [True, True, False]
    assert times[1] - times[0] >= 1.0
    assert times[2] - times[1] >= 2.0


def test_it_ends_between_two_parts():
    stop = threading.Event()
    first, second = Work("first", rows=100), Work("second", rows=100)
    working = runner(first, second, limit=1, tell=lambda part: stop.set())
    working.run(stop)
    assert (len(first.parts), len(second.parts)) == (1, 0)
    assert working.until_nothing_moves(stop) == []


def test_what_is_due_is_not_waited_for_longer_and_a_wrong_clock_not_for_ever():
    stop = threading.Event()
    soon = Work("soon", due=NOW + 0.3)
    never = Work("never", due=NOW + 1e9)

    def tell(part):
        if len(never.parts) == 3:
            stop.set()

    thread = threading.Thread(target=runner(soon, never, interval=3600, tell=tell).run, args=(stop,))
    began = time.monotonic()
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    assert 0.4 < time.monotonic() - began < 20


def test_limits():
    for wrong in ({"interval": 0}, {"interval": 10**6}, {"limit": 0}):
        with pytest.raises(Misuse):
            runner(**wrong)
