"""The corpus of DNSSEC situations, judged by our validator alone at the moment its zones were signed.

The same situations are put to Unbound in `tests/interop/unbound_corpus`.
"""

import re
from collections import Counter
from pathlib import Path

import dns.flags
import pytest

from dnsbound.dns.answer import Security
from dnsbound.dns.messages import Question, Response
from dnsbound.testing.zone_corpus import Corpus, markdown
from dnsbound.testing.zone_faults import FAULTS
from dnsbound.testing.zone_situations import Judgement, Situation, read_situations

DIRECTORY = Path(__file__).parent / "corpus"
SITUATIONS = list(read_situations(DIRECTORY))
SECURE = [situation for situation in SITUATIONS if situation.expected.security is Security.SECURE]

SIGNED_AT = 1_800_000_000.0
DAY = 86_400

STATES_OF_KIND = {
    "algorithms": {Security.SECURE, Security.INSECURE, Security.BOGUS},
    "aliases": set(Security),
    "compact": {Security.SECURE, Security.INSECURE, Security.BOGUS},
    "delegations": set(Security),
    "keys": {Security.SECURE, Security.INSECURE, Security.BOGUS},
    "nsec": {Security.SECURE, Security.BOGUS},
    "nsec3": {Security.SECURE, Security.INSECURE, Security.BOGUS},
    "signatures": {Security.SECURE, Security.BOGUS},
    "wildcards": {Security.SECURE, Security.INSECURE, Security.BOGUS},
}
"""Every kind (a file of the corpus) and the states its situations must show. A new kind is written down here first."""

OWED = {
    "unsigned delegation": "unsigned-delegation",
    "wildcard": "wildcard",
    "CNAME chain": "alias-chain",
    "DNAME chain": "redirection-then-alias",
    "NSEC": "nxdomain",
    "NSEC3 with opt-out": "nsec3-opt-out-nxdomain",
    "expired": "expired",
    "not yet valid": "not-yet-valid",
    "wrong owner": "wrong-owner",
    "missing RRSIG": "signature-missing",
    "algorithm rollover": "roll-both-sign",
    "unknown algorithm": "unassigned-algorithm",
    "private anchors": "anchor-for-an-island",
    "RFC 9824": "compact-nxdomain",
    "CNAME to insecure": "alias-to-insecure",
    "bogus DS": "ds-wrong",
    "colliding key tags": "twin-tags",
}

DIFFERENCES = {
    "rsasha1",
    "rsasha1-nsec3",
    "ds-sha1-right-sha256-wrong",
    "zone-key-revoked",
    "compact-nxdomain",
    "compact-nxdomain-code",
    "compact-alias-to-nxdomain",
    "redirection-with-another-alias",
    "redirection-when-aliases-are-asked-for",
    "nodata-code-with-nxdomain-proof",
    "records-with-nxdomain-code",
    "nxdomain-start-of-authority-broken",
}
"""Where Unbound 1.17 and our validator are known to differ, each with its reason in the corpus. This must not grow."""


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return Corpus.read(DIRECTORY, now=SIGNED_AT)


def named(situation: Situation) -> str:
    return situation.name


@pytest.mark.parametrize("situation", SITUATIONS, ids=named)
def test_judged_as_written(situation: Situation, corpus: Corpus) -> None:
    answer = corpus.judge(situation)
    assert Judgement.of(answer.security, answer.outcome) == situation.expected, answer.detail
    assert re.search(situation.detail, f"{answer.detail} {answer.limit}", re.IGNORECASE), answer.detail
    if answer.security in {Security.SECURE, Security.INSECURE}:
        assert (answer.wildcard, len(answer.aliases)) == (situation.wildcard, situation.aliases)
    else:
        assert not answer.records
        assert answer.detail


@pytest.mark.parametrize("situation", SECURE, ids=named)
@pytest.mark.parametrize("moment", [SIGNED_AT - DAY, SIGNED_AT + 2 * DAY], ids=["before", "after"])
def test_secure_at_its_own_time_and_not_at_another(situation: Situation, moment: float, corpus: Corpus) -> None:
    answer = corpus.judge(situation, now=moment)
    assert answer.security is Security.BOGUS
    assert not answer.records


@pytest.mark.parametrize("situation", SECURE, ids=named)
def test_secure_answers_end_with_their_signatures(situation: Situation, corpus: Corpus) -> None:
    answer = corpus.judge(situation)
    assert answer.earliest_expiry is not None
    assert SIGNED_AT < answer.valid_until <= answer.earliest_expiry <= SIGNED_AT + DAY
    assert corpus.judge(situation, now=answer.earliest_expiry + 1).security is Security.BOGUS


@pytest.mark.parametrize("situation", SITUATIONS, ids=named)
def test_a_forged_ad_bit_changes_nothing(situation: Situation, corpus: Corpus) -> None:
    def look_up(question: Question) -> Response:
        return corpus.look_up(question, flags=dns.flags.AD)

    answer = corpus.judge(situation, look_up=look_up)
    assert Judgement.of(answer.security, answer.outcome) == situation.expected


@pytest.mark.parametrize("situation", SECURE, ids=named)
def test_stripped_signatures_never_pass(situation: Situation, corpus: Corpus) -> None:
    def look_up(question: Question) -> Response:
        response = corpus.look_up(question)
        for section in (response.answer, response.authority):
            for rrset in section.values():
                rrset.signatures.clear()
        return response

    answer = corpus.judge(situation, look_up=look_up)
    assert answer.security is Security.BOGUS
    assert "RRSIG" in answer.detail


def test_every_kind_shows_the_states_it_must() -> None:
    seen: dict[str, set[Security]] = {}
    for one in SITUATIONS:
        seen.setdefault(one.kind, set()).add(one.expected.security)
    assert seen == STATES_OF_KIND


def test_what_is_owed_is_there() -> None:
    names = Counter(one.name for one in SITUATIONS)
    assert set(OWED.values()) <= set(names)
    assert max(names.values()) == 1
    assert len(names) >= 200


def test_differences_from_unbound_are_the_known_ones() -> None:
    assert {one.name for one in SITUATIONS if one.differs is not None} == DIFFERENCES
    assert all(one.because for one in SITUATIONS if one.differs is not None)


def test_every_fault_is_part_of_some_situation() -> None:
    used = {fault.split()[0] for one in SITUATIONS for plan in one.plans for fault in plan.faults}
    assert used == set(FAULTS)


def test_the_table_for_people_is_up_to_date() -> None:
    """Rewrite it with: python tests/vectors/corpus/write_readme.py"""
    readme = (DIRECTORY / "README.md").read_text()
    assert readme.endswith(markdown(SITUATIONS))
