"""Tables are total: every member of an enumeration has its row, and no row belongs to nobody."""

import re
from itertools import product
from pathlib import Path

from dnsbound import iana
from dnsbound.credential.association import DIGESTS
from dnsbound.credential.keys import KeyAlgorithm, generate_private_key
from dnsbound.credential.matching import _TELLING, DIGEST_ORDER, RecordState
from dnsbound.dns.answer import Outcome, Security
from dnsbound.errors import UNDECIDED_REASONS, Reason
from dnsbound.iana import MatchingType, Selector, Usage
from dnsbound.records import tlsa
from dnsbound.verify.engine import REASON_FOR_STATE


def test_every_state_of_an_answer_has_a_row() -> None:
    assert set(REASON_FOR_STATE) == set(product(Security, Outcome))


def test_the_one_state_that_goes_on_to_matching_is_secure_with_records() -> None:
    assert [state for state, reason in REASON_FOR_STATE.items() if reason is None] == [
        (Security.SECURE, Outcome.RECORDS)
    ]


def test_only_a_secure_answer_is_a_decision_about_records() -> None:
    for (security, outcome), reason in REASON_FOR_STATE.items():
        if security in (Security.BOGUS, Security.INDETERMINATE) or outcome is Outcome.FAILED:
            assert reason in UNDECIDED_REASONS, (security, outcome)
        elif security is Security.INSECURE:
            assert reason is Reason.INSECURE


def test_every_matching_type_has_its_digest_and_its_length() -> None:
    assert set(DIGESTS) == set(MatchingType)
    assert set(DIGEST_ORDER) == set(MatchingType) - {MatchingType.FULL}
    for matching_type, length in tlsa._DIGEST_OCTETS.items():
        assert len(DIGESTS[matching_type](b"")) == length
    assert set(tlsa._DIGEST_OCTETS) == set(DIGEST_ORDER)


def test_every_number_of_the_registries_has_its_word() -> None:
    for words, numbers in (
        (tlsa._USAGE_WORDS, Usage),
        (tlsa._SELECTOR_WORDS, Selector),
        (tlsa._MATCHING_WORDS, MatchingType),
    ):
        assert set(words.values()) == {*map(int, numbers), 255}
        assert len(set(words)) == len(words)


def test_every_reason_of_matching_is_ranked_once() -> None:
    assert len(set(_TELLING)) == len(_TELLING)
    assert not UNDECIDED_REASONS & set(_TELLING)
    assert {state.value for state in RecordState} >= {"matched", "mismatch", "unusable"}


def test_every_key_algorithm_is_made() -> None:
    for algorithm in KeyAlgorithm:
        assert generate_private_key(algorithm).public_key() is not None


def test_the_code_point_of_the_extension_is_of_the_private_range() -> None:
    assert iana.DANE_CLIENTID >> 8 == 0xFF
    assert iana.DANE_CLIENTID != 0xFF01  # renegotiation_info


def test_every_reason_is_asserted_by_some_test() -> None:
    tests = Path(__file__).parent.parent
    others = [path for path in tests.rglob("*.py") if path != Path(__file__)]
    named = {name for path in others for name in re.findall(r"\bReason\.([A-Z_]+)\b", path.read_text("utf-8"))}
    assert {reason.name for reason in Reason} - named == set()
