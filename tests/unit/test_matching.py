"""TLSA matching: every usage, selector and matching type, digest agility, and what each record's result says.

CA-17 to CA-19, CA-22, CA-23, TL-03 to TL-07, OP-01, OP-02, OP-13, OP-17.
"""

from datetime import UTC, datetime
from itertools import permutations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from dnsbound.credential.association import tlsa_for_certificate, tlsa_for_spki
from dnsbound.credential.certificate_facts import SERVER_AUTH
from dnsbound.credential.credential import Credential
from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.credential.matching import MatchPolicy, MatchReport, RecordState, match
from dnsbound.credential.presented import Presented
from dnsbound.errors import Malformed, Misuse, Reason, Refused
from dnsbound.iana import MatchingType, Selector, Usage
from dnsbound.limits import TLSA_RECORDS
from dnsbound.names import ClientName
from dnsbound.records.tlsa import BLOCK, TLSA

NAME = ClientName.parse("car54._device.cars.example")
NOW = 1_780_000_000.0
CREDENTIAL = Credential.generate(NAME, now=NOW)
OTHER = Credential.generate(NAME, now=NOW)
FORMS = [(selector, matching_type) for selector in Selector for matching_type in MatchingType]


def judge(
    records: list[TLSA],
    presented: Presented = CREDENTIAL.presented,
    *,
    policy: MatchPolicy | None = None,
    from_wildcard: bool = False,
    exhaustive: bool = False,
) -> MatchReport:
    return match(
        records,
        presented,
        name=NAME,
        now=NOW,
        policy=policy or MatchPolicy(),
        from_wildcard=from_wildcard,
        exhaustive=exhaustive,
    )


def reason(report: MatchReport) -> Reason:
    with pytest.raises(Refused) as caught:
        _ = report.matched
    return caught.value.reason


def record(
    credential: Credential, selector: Selector = Selector.SPKI, matching: MatchingType = MatchingType.SHA2_256
) -> TLSA:
    return credential.tlsa(Usage.DANE_EE, selector, matching)


@pytest.mark.parametrize(("selector", "matching_type"), FORMS)
def test_usage_3_matches_in_every_form_and_no_other_credential(selector: Selector, matching_type: MatchingType) -> None:
    wanted = record(CREDENTIAL, selector, matching_type)
    assert judge([wanted]).matched.record == wanted
    assert reason(judge([wanted], OTHER.presented)) is Reason.TLSA_MISMATCH


@pytest.mark.parametrize("matching_type", list(MatchingType))
def test_a_raw_key_matches_3_1_x(matching_type: MatchingType) -> None:
    bare = CREDENTIAL.as_raw_key().presented
    assert judge([record(CREDENTIAL, Selector.SPKI, matching_type)], bare).matched
    assert reason(judge([record(OTHER, Selector.SPKI, matching_type)], bare)) is Reason.TLSA_MISMATCH


@pytest.mark.parametrize(
    "unfit",
    [
        tlsa_for_certificate(CREDENTIAL.chain[0], Usage.DANE_EE, Selector.CERT),
        tlsa_for_spki(CREDENTIAL.spki, Usage.DANE_TA),
        tlsa_for_spki(CREDENTIAL.spki, Usage.PKIX_EE),
    ],
)
def test_a_raw_key_matches_nothing_else(unfit: TLSA) -> None:
    assert reason(judge([unfit], CREDENTIAL.as_raw_key().presented)) is Reason.TLSA_UNUSABLE


def _certificate(
    *,
    subject: x509.Name | None = None,
    start: int = 2019,
    end: int = 2099,
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (),
) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    named = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "car54")]) if subject is None else subject
    builder = x509.CertificateBuilder().subject_name(named).issuer_name(named).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(datetime(start, 1, 1, tzinfo=UTC))
    builder = builder.not_valid_after(datetime(end, 1, 1, tzinfo=UTC))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


SHOWN = (x509.SubjectAlternativeName([x509.DNSName(NAME.text)]), False)
ELSEWHERE = (x509.SubjectAlternativeName([x509.DNSName("car99._device.vans.example")]), False)
SERVER_ONLY = (x509.ExtendedKeyUsage([x509.ObjectIdentifier(SERVER_AUTH)]), True)
SEVEN = {
    "self-signed P-256 CA:FALSE clientAuth": CREDENTIAL.chain[0],
    "CA:TRUE and no extKeyUsage": _certificate(
        extensions=(SHOWN, (x509.BasicConstraints(ca=True, path_length=None), True))
    ),
    "Ed25519": Credential.generate(NAME, algorithm=KeyAlgorithm.ED25519, now=NOW).chain[0],
    "RSA 2048": Credential.generate(NAME, algorithm=KeyAlgorithm.RSA2048, now=NOW).chain[0],
    "empty subject and issuer": _certificate(subject=x509.Name([]), extensions=((SHOWN[0], True),)),
    "expired in 2020": _certificate(end=2020, extensions=(SHOWN,)),
    "extKeyUsage serverAuth only": _certificate(extensions=(SHOWN, SERVER_ONLY)),
}
ODD = {
    "not yet valid": _certificate(start=2098, extensions=(SHOWN,)),
    "another name": _certificate(extensions=(ELSEWHERE,)),
    "no name at all": _certificate(),
    "unknown critical extension": _certificate(
        extensions=((x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.9999"), b"\x05\x00"), True),)
    ),
}


@pytest.mark.parametrize("certificate", [*SEVEN.values(), *ODD.values()], ids=[*SEVEN, *ODD])
def test_usage_3_looks_at_the_key_and_at_nothing_else_of_a_certificate(certificate: bytes) -> None:
    assert judge([tlsa_for_certificate(certificate)], Presented((certificate,))).matched
    assert reason(judge([record(OTHER)], Presented((certificate,)))) is Reason.TLSA_MISMATCH


def test_any_one_record_suffices_and_the_order_does_not_matter() -> None:
    first, last = TLSA(3, 1, 1, bytes(32)), TLSA(3, 1, 1, b"\xff" * 32)
    for records in permutations((first, record(CREDENTIAL), last, record(OTHER))):
        assert judge(list(records)).matched.record == record(CREDENTIAL)


@pytest.mark.parametrize(
    "unusable",
    [
        TLSA(4, 1, 1, bytes(32)),
        TLSA(3, 2, 1, bytes(32)),
        TLSA(3, 1, 3, bytes(32)),
        TLSA(3, 1, 1, bytes(31)),
        TLSA(3, 1, 0, b""),
        TLSA(255, 255, 255, b"x"),
        TLSA(0, 0, 1, bytes(32)),
        TLSA(1, 1, 1, bytes(32)),
    ],
)
def test_an_unusable_record_is_as_if_it_were_not_there(unusable: TLSA) -> None:
    alone = judge([unusable])
    assert reason(alone) is Reason.TLSA_UNUSABLE
    [result] = alone.results
    assert (result.record, result.state) == (unusable, RecordState.UNUSABLE)
    assert result.why
    assert judge([unusable, record(CREDENTIAL)]).matched
    assert reason(judge([unusable, record(OTHER)])) is Reason.TLSA_MISMATCH


def test_no_record_at_all_matches_nothing() -> None:
    assert reason(judge([])) is Reason.TLSA_UNUSABLE


def test_nothing_presented_matches_nothing() -> None:
    for matching_record in (record(CREDENTIAL), record(CREDENTIAL, Selector.CERT)):
        assert reason(judge([matching_record], Presented())) is Reason.TLSA_MISMATCH


@pytest.mark.parametrize("garbage", [b"", b"garbage", CREDENTIAL.chain[0][:-1], CREDENTIAL.chain[0] + b"\x00"])
def test_a_certificate_that_does_not_parse_matches_no_key(garbage: bytes) -> None:
    assert reason(judge([record(CREDENTIAL)], Presented((garbage,)))) is Reason.TLSA_MISMATCH


def test_certificates_and_a_raw_key_at_once_are_malformed() -> None:
    with pytest.raises(Malformed, match="not several"):
        Presented(CREDENTIAL.chain, CREDENTIAL.spki)


FULL, SHA256, SHA512 = MatchingType.FULL, MatchingType.SHA2_256, MatchingType.SHA2_512


def test_digest_agility_drops_the_weaker_digest_of_the_same_usage_and_selector() -> None:
    # RFC 7671 section 9, its own example: of `3 1 1 a`, `3 1 2 b`, `3 1 0 c` the first does not count.
    records = [record(CREDENTIAL, matching=SHA256), record(OTHER, matching=SHA512)]
    report = judge(records)
    assert reason(report) is Reason.TLSA_MISMATCH
    states = {result.record: result.state for result in report.results}
    assert states == {records[0]: RecordState.SUPERSEDED, records[1]: RecordState.MISMATCH}
    assert judge(records, OTHER.presented).matched.record == records[1]


def test_full_data_and_other_selectors_are_not_dropped() -> None:
    third = Credential.generate(NAME, now=NOW)
    records = [record(CREDENTIAL, matching=FULL), record(OTHER, matching=SHA512), record(third, Selector.CERT, SHA256)]
    for credential, wanted in zip((CREDENTIAL, OTHER, third), records, strict=True):
        assert judge(records, credential.presented).matched.record == wanted


def test_a_stronger_digest_that_is_unusable_drops_nothing() -> None:
    cut = TLSA(3, 1, 2, bytes(63))
    assert judge([record(CREDENTIAL, matching=SHA256), cut]).matched.record.matching_type == SHA256


def test_the_order_of_digests_is_a_matter_of_policy() -> None:
    records = [record(CREDENTIAL, matching=SHA256), record(OTHER, matching=SHA512)]
    turned = MatchPolicy(digest_order=(SHA256, SHA512))
    assert judge(records, policy=turned).matched.record == records[0]
    only = MatchPolicy(digest_order=(SHA256,))
    assert judge(records, policy=only).matched.record == records[0]
    assert reason(judge(records[1:], OTHER.presented, policy=only)) is Reason.TLSA_UNUSABLE
    none = MatchPolicy(digest_order=())
    assert judge([record(CREDENTIAL, matching=FULL)], policy=none).matched
    assert reason(judge(records, policy=none)) is Reason.TLSA_UNUSABLE


def test_a_usage_that_is_switched_off_is_unusable() -> None:
    only_2 = MatchPolicy(usages=frozenset({Usage.DANE_TA}))
    assert reason(judge([record(CREDENTIAL)], policy=only_2)) is Reason.TLSA_UNUSABLE


@pytest.mark.parametrize(
    "usages", [frozenset[Usage](), frozenset({Usage.PKIX_TA}), frozenset({Usage.DANE_EE, Usage.PKIX_EE})]
)
def test_a_policy_that_cannot_work_is_misuse(usages: frozenset[Usage]) -> None:
    with pytest.raises(Misuse):
        MatchPolicy(usages=usages)


def test_a_policy_with_a_root_or_a_digest_order_that_is_none_is_misuse() -> None:
    with pytest.raises(Misuse, match="root does not parse"):
        MatchPolicy(roots=(b"garbage",))
    for order in ((FULL, SHA256), (SHA256, SHA256)):
        with pytest.raises(Misuse, match="each once"):
            MatchPolicy(digest_order=order)


def test_a_key_from_a_wildcard_is_refused_and_says_so() -> None:
    report = judge([record(CREDENTIAL)], from_wildcard=True)
    assert reason(report) is Reason.WILDCARD_KEY
    assert report.results[0].state is RecordState.UNUSABLE
    assert judge([record(CREDENTIAL)], from_wildcard=True, policy=MatchPolicy(danger_wildcard_keys=True)).matched


def test_every_record_has_a_result_and_explaining_tries_them_all() -> None:
    records = [record(CREDENTIAL), record(OTHER), record(CREDENTIAL, Selector.CERT), TLSA(9, 9, 9, b"x")]
    brief, full = judge(records), judge(records, exhaustive=True)
    for report in (brief, full):
        assert sorted(result.record for result in report.results) == sorted(records)
        assert report.matched.state is RecordState.MATCHED
    assert RecordState.NOT_TRIED in {result.state for result in brief.results}
    assert {result.record: result.state for result in full.results} == dict(
        zip(
            records, [RecordState.MATCHED, RecordState.MISMATCH, RecordState.MATCHED, RecordState.UNUSABLE], strict=True
        )
    )
    assert all(result.why for result in full.results if result.state is not RecordState.MATCHED)


def test_more_records_than_the_limit_are_not_looked_at() -> None:
    padding = [TLSA(3, 1, 1, index.to_bytes(32, "big")) for index in range(TLSA_RECORDS.default)]
    assert judge([*padding[1:], record(CREDENTIAL)]).matched
    report = judge([*padding, record(CREDENTIAL)])
    assert reason(report) is Reason.TLSA_MISMATCH
    assert report.results[-1].why == "more records than are looked at"


def test_a_block_matches_nobody_and_is_told_apart():
    report = judge([BLOCK])
    assert reason(report) is Reason.TLSA_MISMATCH
    assert "blocked" in report.refusal.detail
    raw = Credential.generate(NAME, now=NOW, kind="raw")
    assert reason(judge([BLOCK], raw.presented)) is Reason.TLSA_MISMATCH
    assert reason(judge([BLOCK], policy=MatchPolicy(usages=frozenset({Usage.DANE_TA})))) is Reason.TLSA_UNUSABLE


def test_a_block_takes_nothing_from_a_record_beside_it():
    assert judge([BLOCK, CREDENTIAL.tlsa()]).matched.record == CREDENTIAL.tlsa()
