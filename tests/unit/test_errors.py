"""The exception tree: two families of reasons that never mix."""

import pickle

import pytest

from dnsbound import errors
from dnsbound.credential.signature import BadSignature
from dnsbound.errors import (
    UNDECIDED_REASONS,
    DnsboundError,
    LimitExceeded,
    Malformed,
    Misuse,
    Reason,
    Refused,
    Undecided,
)


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_belongs_to_exactly_one_family(reason: Reason) -> None:
    family, other = (Undecided, Refused) if reason in UNDECIDED_REASONS else (Refused, Undecided)
    assert family(reason).reason is reason
    with pytest.raises(Misuse):
        other(reason)


def test_every_error_of_the_package_has_one_root() -> None:
    classes = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    assert len(classes) == 7
    assert all(issubclass(value, DnsboundError) for value in classes)


@pytest.mark.parametrize(
    "error",
    [
        Misuse("no"),
        Malformed("a name", 3),
        Malformed("a name"),
        Refused(Reason.NO_TLSA, "gone"),
        Undecided(Reason.BOGUS),
        LimitExceeded("octets", "9 of 8"),
        BadSignature("of another"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_comes_out_of_another_process_as_it_went_in(error: DnsboundError) -> None:
    back = pickle.loads(pickle.dumps(error))
    assert (type(back), str(back), vars(back)) == (type(error), str(error), vars(error))


def test_reason_words_are_unique_and_fit_for_metrics() -> None:
    words = [reason.value for reason in Reason]
    assert len(set(words)) == len(words)
    assert all(word == word.lower() and " " not in word for word in words)


def test_the_detail_follows_the_reason_in_the_text() -> None:
    assert str(Refused(Reason.NOT_PERMITTED, "car99")) == "not-permitted: car99"
    assert str(Undecided(Reason.BOGUS)) == "bogus"
