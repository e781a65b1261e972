"""Our validator, Unbound and the written expectation agree on every situation of the corpus."""

import re
import time
from pathlib import Path

import dns.edns
import dns.flags
import pytest

from dnsbound.dns.answer import Security
from dnsbound.dns.policy import Policy
from dnsbound.testing.zone_situations import Judgement, Situation, read_situations

pytestmark = pytest.mark.peer("unbound")

SITUATIONS = list(read_situations(Path(__file__).parents[2] / "vectors" / "corpus"))
AGREED = [situation for situation in SITUATIONS if situation.differs is None]
BOGUS = [situation for situation in AGREED if situation.expected.security is Security.BOGUS]
ANSWERED = [situation for situation in AGREED if situation.expected.security in {Security.SECURE, Security.INSECURE}]
BY_NAME = {situation.name: situation for situation in SITUATIONS}

DNSSEC_ERRORS = {
    dns.edns.EDECode.UNSUPPORTED_DNSKEY_ALGORITHM,
    dns.edns.EDECode.DNSSEC_BOGUS,
    dns.edns.EDECode.SIGNATURE_EXPIRED,
    dns.edns.EDECode.SIGNATURE_NOT_YET_VALID,
    dns.edns.EDECode.DNSKEY_MISSING,
    dns.edns.EDECode.RRSIGS_MISSING,
    dns.edns.EDECode.NO_ZONE_KEY_BIT_SET,
    dns.edns.EDECode.NSEC_MISSING,
}
"""RFC 8914 codes by which a resolver says that its SERVFAIL is a matter of DNSSEC, not of servers out of reach."""


def named(situation: Situation) -> str:
    return situation.name


@pytest.mark.parametrize("situation", SITUATIONS, ids=named)
def test_unbound_judges_as_written(situation, unbound) -> None:
    expected = situation.differs or situation.expected
    assert unbound.judge(situation) == expected.to_a_client, unbound.log_of(situation)


@pytest.mark.parametrize("situation", SITUATIONS, ids=named)
def test_our_validator_fed_by_unbound_judges_as_written(situation, corpus, unbound) -> None:
    answer = corpus.judge(situation, look_up=unbound.look_up, now=time.time())
    # What reaches us has been through Unbound: where it repairs what it passes on, so will the judgement be.
    expected = situation.differs if situation.repaired_by_peer else situation.expected
    assert Judgement.of(answer.security, answer.outcome) == expected, answer.detail
    if not situation.repaired_by_peer:
        assert re.search(situation.detail, f"{answer.detail} {answer.limit}", re.IGNORECASE), answer.detail


@pytest.mark.parametrize("situation", BOGUS, ids=named)
def test_unbound_finds_the_fault_in_dnssec(situation, unbound) -> None:
    """A SERVFAIL by which the two agree must be about signatures, not about a broken test server."""
    options = unbound.ask(situation).options
    codes = {option.code for option in options if isinstance(option, dns.edns.EDEOption)}
    assert codes & DNSSEC_ERRORS, unbound.log_of(situation)


@pytest.mark.parametrize("situation", ANSWERED, ids=named)
def test_records_are_those_unbound_has(situation, corpus, unbound) -> None:
    """Whatever aliases led there; a denial has none."""
    shown = [rrset for rrset in unbound.ask(situation).answer if rrset.rdtype == situation.rdtype]
    theirs = {record.to_digestable() for rrset in shown for record in rrset}
    assert {record.to_digestable() for record in corpus.judge(situation).records} == theirs


@pytest.mark.parametrize("name", ["rsasha1", "rsasha1-nsec3"])
def test_with_sha1_allowed_the_two_agree(name, corpus, unbound) -> None:
    situation = BY_NAME[name]
    assert situation.differs is not None
    answer = corpus.judge(situation, policy=Policy(danger_sha1=True))
    assert Judgement.of(answer.security, answer.outcome) == situation.differs
    assert unbound.judge(situation) == situation.differs.to_a_client


def test_the_ad_bit_follows_the_anchor(corpus, unbound) -> None:
    """Unbound's AD bit means something here: it is set for a private anchor and for the root's."""
    for name in ("address", "anchor-for-an-island"):
        assert unbound.ask(BY_NAME[name]).flags & dns.flags.AD
    assert not unbound.ask(BY_NAME["signed-but-no-ds"]).flags & dns.flags.AD
