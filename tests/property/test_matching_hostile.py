"""Whatever is presented and whatever is published: a report or a DnsboundError, within the Budget."""

from hypothesis import given, settings
from hypothesis import strategies as st

from dnsbound.credential.credential import Credential
from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.credential.matching import MatchPolicy, RecordState, match
from dnsbound.credential.presented import Presented
from dnsbound.errors import DnsboundError
from dnsbound.iana import MatchingType, Selector, Usage
from dnsbound.names import ClientName
from dnsbound.records.tlsa import TLSA

NAME = ClientName.parse("car54._device.cars.example")
NOW = 1_780_000_000.0
ROOT = CertificateAuthority.create("Cars", now=NOW)
ISSUED = ROOT.intermediate("Cars west", now=NOW).issue(NAME, now=NOW)
OWN = Credential.generate(NAME, now=NOW)
GOOD = [*ISSUED.chain, *OWN.chain]
POLICIES = [MatchPolicy(), MatchPolicy(usages=frozenset(Usage), roots=ROOT.chain, danger_weak_crypto=True)]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    octets = bytearray(draw(st.sampled_from(GOOD)))
    for _ in range(draw(st.integers(0, 3))):
        octets[draw(st.integers(0, len(octets) - 1))] = draw(st.integers(0, 255))
    return bytes(octets)


CERTIFICATES = st.one_of(st.sampled_from(GOOD), damaged(), st.binary(max_size=60))
PRESENTED = st.one_of(
    st.lists(CERTIFICATES, max_size=12).map(lambda chain: Presented(tuple(chain))),
    st.one_of(st.just(OWN.spki), st.binary(max_size=100)).map(lambda spki: Presented(raw_public_key=spki)),
)
TRUE_RECORDS = st.sampled_from(
    [
        credential.tlsa(usage, selector, matching_type)
        for credential, usages in ((OWN, (Usage.DANE_EE, Usage.PKIX_EE)), (ISSUED, tuple(Usage)))
        for usage in usages
        for selector in Selector
        for matching_type in MatchingType
    ]
)
RECORDS = st.one_of(
    TRUE_RECORDS,
    st.builds(TLSA, st.integers(0, 4), st.integers(0, 2), st.integers(0, 3), st.binary(max_size=70)),
    st.builds(TLSA, st.just(2), st.integers(0, 1), st.just(0), damaged()),
)


@settings(max_examples=300)
@given(PRESENTED, st.lists(RECORDS, max_size=70), st.sampled_from(POLICIES), st.booleans(), st.booleans())
def test_any_octets_give_a_report_or_a_dnsbound_error(
    presented: Presented, records: list[TLSA], policy: MatchPolicy, from_wildcard: bool, exhaustive: bool
) -> None:
    try:
        report = match(
            records,
            presented,
            name=NAME,
            now=NOW,
            policy=policy,
            from_wildcard=from_wildcard,
            exhaustive=exhaustive,
        )
    except DnsboundError:
        return
    assert sorted(result.record for result in report.results) == sorted(records)
    for result in report.results:
        if result.state is RecordState.MATCHED:
            assert result.record.unusable_because is None
            assert presented.chain or presented.raw_public_key
        elif result.state is not RecordState.NOT_TRIED:
            assert result.reason is not None
            assert result.why


@given(st.lists(TRUE_RECORDS, min_size=1, max_size=6, unique=True), st.randoms())
def test_the_verdict_does_not_depend_on_the_order_of_the_records(records: list[TLSA], random: object) -> None:
    shuffled = list(records)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for presented in (OWN.presented, ISSUED.presented, OWN.as_raw_key().presented):
        verdicts = []
        for order in (records, shuffled):
            try:
                verdicts.append(match(order, presented, name=NAME, now=NOW, policy=POLICIES[1]).matched.record)
            except DnsboundError as error:
                verdicts.append(type(error))
        assert verdicts[0] == verdicts[1]
