"""The lookup budget: token buckets per source and zone, debts, and a table that cannot grow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbound.errors import Misuse, Reason, Undecided
from dnsbound.limits import LOOKUPS_PER_SOURCE
from dnsbound.verify.lookup_budget import LookupBudget
from dnsbound.verify.token_buckets import source_prefix

NOW = 1_780_000_000.0
ZONE = "cars.example"


def spendable(budget: LookupBudget, source: str, *, now: float = NOW, zone: str = ZONE, most: int = 1000) -> int:
    for count in range(most):
        try:
            budget.spend(source, zone, now=now)
        except Undecided as error:
            if error.reason is Reason.LOOKUP_BUDGET:
                return count
            raise
    return most


def test_a_bucket_holds_a_minutes_worth_and_refills_evenly() -> None:
    budget = LookupBudget(per_source=6, per_zone=1000)
    assert spendable(budget, "192.0.2.1") == 6
    assert spendable(budget, "192.0.2.1", now=NOW + 9.9) == 0
    assert spendable(budget, "192.0.2.1", now=NOW + 20.1) == 2
    assert spendable(budget, "192.0.2.1", now=NOW + 10_000) == 6


def test_sources_do_not_pay_for_each_other_but_share_the_zone() -> None:
    budget = LookupBudget(per_source=3, per_zone=5)
    assert [spendable(budget, f"192.0.2.{host}") for host in range(3)] == [3, 2, 0]
    assert spendable(budget, "192.0.2.9", zone="trucks.example") == 3


def test_a_lookup_that_was_refused_costs_nothing() -> None:
    budget = LookupBudget(per_source=2, per_zone=4)
    assert spendable(budget, "a") == 2
    for _ in range(10):
        assert spendable(budget, "a") == 0
    assert spendable(budget, "b") == 2


def test_without_a_source_only_the_zone_counts() -> None:
    budget = LookupBudget(per_source=1, per_zone=4)
    assert spendable(budget, "") == 4


def test_a_clock_that_runs_backwards_refills_nothing() -> None:
    budget = LookupBudget(per_source=2, per_zone=100)
    assert spendable(budget, "a") == 2
    assert spendable(budget, "a", now=NOW - 1000) == 0


def test_a_refund_gives_back_what_was_taken_and_never_more_than_a_bucket() -> None:
    budget = LookupBudget(per_source=2, per_zone=100)
    assert spendable(budget, "a") == 2
    budget.refund("a", ZONE, now=NOW)
    assert spendable(budget, "a") == 1
    for _ in range(50):
        budget.refund("a", ZONE, now=NOW)
    assert spendable(budget, "a") == 2


def test_a_debt_for_aliases_is_waited_off_within_two_minutes() -> None:
    budget = LookupBudget(per_source=4, per_zone=1000)
    budget.check_debt("a", now=NOW)
    budget.charge_aliases("a", "elsewhere.example", 4, now=NOW)
    budget.check_debt("a", now=NOW)
    for _ in range(20):
        budget.charge_aliases("a", "elsewhere.example", 8, now=NOW)
    with pytest.raises(Undecided) as caught:
        budget.check_debt("a", now=NOW)
    assert caught.value.reason is Reason.LOOKUP_BUDGET
    budget.check_debt("a", now=NOW + 60)
    budget.check_debt("b", now=NOW)


def test_the_table_is_bounded_and_forgets_the_longest_untouched() -> None:
    budget = LookupBudget(per_source=1, per_zone=1_000_000, table_size=16)
    for index in range(100):
        assert spendable(budget, f"198.51.100.{index}") == 1
    assert spendable(budget, "198.51.100.99") == 0
    assert spendable(budget, "198.51.100.84") == 0
    assert spendable(budget, "198.51.100.0") == 1
    assert len(budget._sources._levels) == 16


@pytest.mark.parametrize("per_source", [0, -1, LOOKUPS_PER_SOURCE.maximum + 1])
def test_limits_have_a_range(per_source: int) -> None:
    with pytest.raises(Misuse):
        LookupBudget(per_source=per_source)


@pytest.mark.parametrize(
    ("source", "prefix"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("unix:/run/socket", "unix:/run/socket"),
        ("", ""),
    ],
)
def test_who_counts_as_one_source(source: str, prefix: str) -> None:
    assert source_prefix(source) == prefix


@given(st.lists(st.tuples(st.floats(0, 600), st.sampled_from("abc")), min_size=1, max_size=60))
def test_no_source_gets_more_than_a_burst_and_its_rate(events: list[tuple[float, str]]) -> None:
    budget = LookupBudget(per_source=6, per_zone=1000)
    granted: dict[str, list[float]] = {}
    for offset, source in sorted(events):
        try:
            budget.spend(source, ZONE, now=NOW + offset)
        except Undecided:
            continue
        granted.setdefault(source, []).append(offset)
    for moments in granted.values():
        for start in range(len(moments)):
            for end in range(start, len(moments)):
                assert end - start + 1 <= 6 + (moments[end] - moments[start]) * 6 / 60 + 1e-6
