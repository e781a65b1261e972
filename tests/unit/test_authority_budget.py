"""Signing budgets: prefixes, refill, the bucket for all, bounded memory."""

import pytest

from dnsbound.dns.authority_budget import SigningBudget, source_prefix
from dnsbound.errors import LimitExceeded, Misuse

NOW = 1_800_000_000.0


def affordable(budget: SigningBudget, source: str, now: float = NOW) -> int:
    for count in range(100_000):
        try:
            budget.spend(source, now=now)
        except LimitExceeded:
            return count
    raise AssertionError("the budget has no end")


@pytest.mark.parametrize(
    ("source", "prefix"),
    [
        ("192.0.2.99", "192.0.2.0/24"),
        ("::ffff:192.0.2.99", "192.0.2.0/24"),
        ("2001:db8:1:2fe::1", "2001:db8:1:200::/56"),
        ("fe80::1%eth0", "fe80::/56"),
        ("", ""),
        ("not an address", "not an address"),
    ],
)
def test_prefixes(source: str, prefix: str) -> None:
    assert source_prefix(source) == prefix


def test_a_bucket_holds_two_seconds_and_refills() -> None:
    budget = SigningBudget(per_prefix=10)
    assert affordable(budget, "192.0.2.1") == 20
    assert affordable(budget, "192.0.2.254") == 0
    assert affordable(budget, "192.0.2.1", NOW + 0.5) == 5
    assert affordable(budget, "192.0.2.1", NOW + 1000) == 20


def test_a_clock_that_goes_back_refills_nothing() -> None:
    budget = SigningBudget(per_prefix=10)
    assert affordable(budget, "192.0.2.1") == 20
    assert affordable(budget, "192.0.2.1", NOW - 1000) == 0


def test_forged_sources_share_one_more_bucket() -> None:
    budget = SigningBudget(per_prefix=1000, together=10)
    assert sum(affordable(budget, f"10.0.{number}.1") for number in range(50)) == 20
    with pytest.raises(LimitExceeded) as caught:
        budget.spend("192.0.2.1", now=NOW)
    assert caught.value.limit == "signatures-over-udp"


def test_the_number_of_prefixes_is_bounded() -> None:
    budget = SigningBudget(per_prefix=1, prefixes=10, together=1_000_000)
    for number in range(1000):
        budget.spend(f"10.{number // 256}.{number % 256}.1", now=NOW)
    assert len(budget._buckets) == 10


def test_limits_out_of_range_are_misuse() -> None:
    for options in ({"per_prefix": 0}, {"together": 0}, {"prefixes": 0}):
        with pytest.raises(Misuse):
            SigningBudget(**options)
