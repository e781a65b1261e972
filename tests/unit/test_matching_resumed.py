"""What a resumed session matches: the leaf or raw key is all there is, and the record that matched before (CA-32).

| usage | the record of the full handshake | another record of the same credential |
|---|---|---|
| 3, selectors 0 and 1 | yes | yes |
| 2, 1, 0 | yes, until a certificate of its path ends | no: a full handshake shows the path |
"""

import pytest

from dnsbound.credential.credential import Credential
from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.credential.matching import MatchPolicy, MatchReport, RecordState, match
from dnsbound.credential.presented import EarlierMatch, Presented
from dnsbound.errors import Reason, Refused
from dnsbound.iana import MatchingType, Selector, Usage
from dnsbound.names import ClientName
from dnsbound.records.tlsa import TLSA

NAME = ClientName.parse("car54._device.cars.example")
NOW = 1_780_000_000.0
DAY = 86_400.0
AUTHORITY = CertificateAuthority.create("cars", now=NOW).intermediate("cars west", now=NOW)
ISSUED = AUTHORITY.issue(NAME, now=NOW, lifetime=30 * DAY)
OTHER = AUTHORITY.issue(NAME, now=NOW, lifetime=30 * DAY)
ROOT = ISSUED.chain[-1]
ALL = MatchPolicy(usages=frozenset(Usage), roots=(ROOT,))
FORMS = [(selector, matching) for selector in Selector for matching in MatchingType]


def judge(
    records: list[TLSA], presented: Presented, *, now: float = NOW, policy: MatchPolicy = ALL, wildcard: bool = False
) -> MatchReport:
    return match(records, presented, name=NAME, now=now, policy=policy, from_wildcard=wildcard)


def resumed(record: TLSA, own: Credential = ISSUED, *, policy: MatchPolicy = ALL) -> Presented:
    """What is left of a client that was admitted by this record."""
    first = judge([record], own.presented, policy=policy).matched
    earlier = EarlierMatch(record=record, chain_expires=first.chain_expires)
    if own.presented.raw_public_key is not None:
        return Presented(raw_public_key=own.presented.raw_public_key, earlier=earlier)
    return Presented(own.chain[:1], earlier=earlier)


def reason(report: MatchReport) -> Reason:
    with pytest.raises(Refused) as caught:
        _ = report.matched
    return caught.value.reason


@pytest.mark.parametrize(("selector", "matching"), FORMS)
@pytest.mark.parametrize("usage", Usage)
def test_the_same_record_holds_whatever_its_form(usage: Usage, selector: Selector, matching: MatchingType) -> None:
    record = ISSUED.tlsa(usage, selector, matching)
    found = judge([record], resumed(record))
    assert found.matched.record == record
    expected = None if usage is Usage.DANE_EE else NOW + 30 * DAY
    assert found.matched.chain_expires == expected


@pytest.mark.parametrize("usage", Usage)
def test_another_record_of_the_same_credential(usage: Usage) -> None:
    """Usage 3 needs nothing but the leaf; the others need a path that is no longer there."""
    first = ISSUED.tlsa(usage, Selector.CERT, MatchingType.SHA2_256)
    for selector, matching in FORMS:
        record = ISSUED.tlsa(usage, selector, matching)
        if record == first:
            continue
        again = judge([record], resumed(first))
        if usage is Usage.DANE_EE:
            assert again.matched.record == record
        else:
            assert reason(again) is Reason.TLSA_MISMATCH
        assert judge([record], ISSUED.presented).matched, "a full handshake is admitted"


@pytest.mark.parametrize("usage", Usage)
def test_a_record_of_another_credential_never_holds(usage: Usage) -> None:
    stranger = CertificateAuthority.create("bikes", now=NOW).issue(NAME, now=NOW)
    for selector, matching in FORMS:
        presented = resumed(ISSUED.tlsa(usage, selector, matching))
        assert reason(judge([stranger.tlsa(usage, selector, matching)], presented)) is Reason.TLSA_MISMATCH


@pytest.mark.parametrize("usage", [Usage.PKIX_TA, Usage.PKIX_EE, Usage.DANE_TA])
def test_no_longer_than_the_certificates(usage: Usage) -> None:
    record = ISSUED.tlsa(usage, Selector.SPKI)
    presented = resumed(record)
    assert judge([record], presented, now=NOW + 30 * DAY).matched
    assert reason(judge([record], presented, now=NOW + 30 * DAY + 1)) is Reason.CHAIN_INVALID


def test_usage_3_ignores_dates_when_resumed_too() -> None:
    record = ISSUED.tlsa(Usage.DANE_EE)
    assert judge([record], resumed(record), now=NOW + 3000 * DAY).matched.record == record


def test_the_leafs_key_still_counts_for_usage_3() -> None:
    """The earlier record is no licence: the digest in the DNS is compared with the leaf in the ticket."""
    record = OTHER.tlsa(Usage.DANE_EE)
    forged = Presented(ISSUED.chain[:1], earlier=EarlierMatch(record=record, chain_expires=None))
    assert reason(judge([record], forged)) is Reason.TLSA_MISMATCH


def test_a_raw_key_is_matched_anew() -> None:
    bare = ISSUED.as_raw_key()
    presented = resumed(bare.tlsa(), bare)
    assert judge([bare.tlsa(matching_type=MatchingType.SHA2_512)], presented).matched
    assert reason(judge([OTHER.as_raw_key().tlsa()], presented)) is Reason.TLSA_MISMATCH


def test_the_rules_about_records_come_first() -> None:
    """A record that is superseded, disabled or of a wildcard is none, also for the session it once admitted."""
    weak = ISSUED.tlsa(Usage.DANE_TA, Selector.CERT, MatchingType.SHA2_256)
    presented = resumed(weak)
    stranger = CertificateAuthority.create("bikes", now=NOW).issue(NAME, now=NOW)
    strong = stranger.tlsa(Usage.DANE_TA, Selector.CERT, MatchingType.SHA2_512)
    report = judge([weak, strong], presented)
    assert [result.state for result in report.results if result.record == weak] == [RecordState.SUPERSEDED]
    assert reason(report) is Reason.TLSA_MISMATCH
    keys_only = MatchPolicy(usages=frozenset({Usage.DANE_EE}))
    assert reason(judge([weak], presented, policy=keys_only)) is Reason.TLSA_UNUSABLE
    key = ISSUED.tlsa(Usage.DANE_EE)
    assert reason(judge([key], resumed(key), wildcard=True)) is Reason.WILDCARD_KEY


def test_a_policys_fingerprint_tells_every_difference() -> None:
    policies = [
        MatchPolicy(),
        MatchPolicy(usages=frozenset({Usage.DANE_EE})),
        MatchPolicy(roots=(ROOT,)),
        MatchPolicy(roots=(ISSUED.chain[1],)),
        MatchPolicy(digest_order=(MatchingType.SHA2_256,)),
        MatchPolicy(digest_order=(MatchingType.SHA2_256, MatchingType.SHA2_512)),
        MatchPolicy(danger_weak_crypto=True),
        MatchPolicy(danger_wildcard_keys=True),
    ]
    assert len({policy.fingerprint for policy in policies}) == len(policies)
    one_way, other_way = (MatchPolicy(roots=roots) for roots in (ISSUED.chain[1:], ISSUED.chain[:0:-1]))
    assert one_way.fingerprint == other_way.fingerprint
    told_apart = {"usages", "roots", "digest_order", "danger_weak_crypto", "danger_wildcard_keys"}
    assert set(MatchPolicy.__dataclass_fields__) == told_apart
