"""Lookups, counted: evidence at hand, answers of the DNS by what they say, and the time they took."""

import asyncio

import dns.name
import dns.rdatatype
import pytest

from dnsbound.dns.answer import Answer, Outcome, Security
from dnsbound.edge.counted_lookups import SECONDS_BOUNDS, CountedLookups, LookupCounts

NAME = dns.name.from_text("car54._device.cars.example")
TLSA = dns.rdatatype.TLSA


def answer(security=Security.SECURE, outcome=Outcome.RECORDS):
    return Answer(name=NAME, rdtype=TLSA, security=security, outcome=outcome)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Source:
    """A resolver that says what it is told to, in the time it is told to take."""

    def __init__(self, clock):
        self.clock, self.takes, self.says, self.knows, self.asked = clock, 0.0, answer(), None, []

    def cached(self, name, rdtype):
        return self.knows

    def lookup_blocking(self, name, rdtype, *, deadline, refresh=False):
        self.asked.append((name, rdtype, deadline, refresh))
        self.clock.now += self.takes
        return self.says

    async def lookup(self, name, rdtype, *, deadline, refresh=False):
        return self.lookup_blocking(name, rdtype, deadline=deadline, refresh=refresh)


@pytest.fixture
def lookups():
    clock = Clock()
    return CountedLookups(Source(clock), monotonic=clock)


def test_questions_pass_through_and_are_counted(lookups):
    source = lookups._inner
    assert lookups.cached("car54._device.cars.example", TLSA) is None
    assert lookups.counts.at_hand == 0
    assert asyncio.run(lookups.lookup(NAME, TLSA, deadline=3.0, refresh=True)) is source.says
    assert source.asked == [(NAME, TLSA, 3.0, True)]
    source.knows = source.says
    assert lookups.cached("car54._device.cars.example", TLSA) is source.says
    assert lookups.counts.at_hand == 1
    source.says = answer(Security.INDETERMINATE, Outcome.FAILED)
    source.takes = 7.0
    assert lookups.lookup_blocking(NAME, TLSA, deadline=7.0) is source.says
    assert lookups.counts.asked == {("secure", "records"): 1, ("indeterminate", "failed"): 1}
    assert lookups.counts.seconds_sum == 7.0
    assert (lookups.counts.seconds[0], lookups.counts.seconds[-1]) == (1, 1)


def test_each_bound_belongs_to_its_bucket(lookups):
    for index, bound in enumerate(SECONDS_BOUNDS):
        counts = LookupCounts()
        counts.answered(answer(), bound)
        assert counts.seconds.index(1) == index
        counts.answered(answer(), bound * 1.01)
        assert counts.seconds[index + 1] == 1


def test_counts_of_processes_add_up_and_travel():
    one, two = LookupCounts(at_hand=2), LookupCounts(at_hand=3)
    one.answered(answer(), 0.02)
    two.answered(answer(), 0.02)
    two.answered(answer(Security.BOGUS, Outcome.FAILED), 2.0)
    copied = LookupCounts.from_json(two.to_json())
    assert copied == two
    one.add(copied)
    assert (one.at_hand, sum(one.seconds), one.seconds_sum) == (5, 3, pytest.approx(2.04))
    assert one.asked == {("secure", "records"): 2, ("bogus", "failed"): 1}
