"""Limits are within their own range, and a Budget is spent once."""

import pytest

from dnsbound import door_limits, limits, object_limits
from dnsbound.errors import LimitExceeded, Misuse
from dnsbound.limits import Budget, Limit

ALL = [
    value for each in (limits, door_limits, object_limits) for value in vars(each).values() if isinstance(value, Limit)
]


@pytest.mark.parametrize("limit", ALL, ids=lambda limit: limit.name)
def test_every_limit_has_a_default_in_range_and_a_source(limit: Limit) -> None:
    assert limit.minimum <= limit.default <= limit.maximum
    assert limit.source
    assert limit.checked(None) == limit.default
    for outside in (limit.minimum - 1, limit.maximum + 1):
        with pytest.raises(Misuse, match=limit.name):
            limit.checked(outside)


def test_names_are_unique() -> None:
    assert len({limit.name for limit in ALL}) == len(ALL)


def test_a_budget_ends_and_says_which_limit_it_was() -> None:
    budget = Budget(limits.SIGNATURE_CHECKS, 10)
    budget.spend(9)
    assert budget.left == 1
    with pytest.raises(LimitExceeded) as caught:
        budget.spend(2)
    assert caught.value.limit == "signature-checks"
    budget.spend(1)
    with pytest.raises(LimitExceeded):
        budget.spend(1)
