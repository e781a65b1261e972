"""Signed objects at the engine: permit, then the signature by the key that came along, then records, then the match.

A key that does not come along is one that the records publish in full.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from dnsbound.credential.certificate import client_subject
from dnsbound.credential.credential import Credential
from dnsbound.credential.keys import KeyAlgorithm, PublicKey
from dnsbound.credential.matching import MatchPolicy, match
from dnsbound.credential.presented import LeafDigests, Presented
from dnsbound.credential.signature import BadSignature
from dnsbound.dns.answer import Security
from dnsbound.edge.authenticator import Authenticator
from dnsbound.edge.object_verifier import EXPECTED, ObjectVerifier
from dnsbound.errors import Malformed, Misuse, Reason, Refused, Undecided
from dnsbound.iana import MatchingType, Selector, Usage
from dnsbound.names import ClientName
from dnsbound.object_limits import PUBLISHED_KEYS
from dnsbound.objects.signed import SignedObject, VerifiedObject
from dnsbound.records.tlsa import TLSA
from dnsbound.verify.access import AccessList
from dnsbound.verify.claim import Proved
from dnsbound.verify.lookup_budget import LookupBudget
from dnsbound.verify.read_answers import ReadAnswers
from unit.claims import DOOR, NAME, NOW, Records, answer

CAR = Credential.generate(NAME, now=NOW)
THIEF = Credential.generate(NAME, now=NOW)
BARE = CAR.as_raw_key()
FULL_KEY = CAR.tlsa(selector=Selector.SPKI, matching_type=MatchingType.FULL)
FULL_CERTIFICATE = CAR.tlsa(selector=Selector.CERT, matching_type=MatchingType.FULL)


def signed(credential: Credential = CAR, presented: Presented | None = None, name: str = NAME) -> SignedObject:
    """An object that this credential's key signed."""

    def check(key: PublicKey) -> None:
        checked.append(key)
        if key.public_bytes_raw() if hasattr(key, "public_bytes_raw") else key.public_numbers() != _public(credential):  # type: ignore[union-attr]
            raise BadSignature("another key's")

    checked: list[PublicKey] = []
    return SignedObject(
        name=ClientName.parse(name),
        form="test",
        algorithm="ES256",
        presented=credential.presented if presented is None else presented,
        check=check,
        payload=b"payload",
        content=checked,
    )


def _public(credential: Credential) -> object:
    assert credential.private_key is not None
    return credential.private_key.public_key().public_numbers()  # type: ignore[union-attr]


def verifier(*records: TLSA, policy: MatchPolicy | None = None, **fields: object) -> tuple[ObjectVerifier, Records]:
    known = Records(answer(NAME, *records, **fields))
    made = ObjectVerifier(
        AccessList.allowing(DOOR, [NAME], grants={"lane": 3}),
        known,
        door=DOOR,
        clock=lambda: NOW,
        **({} if policy is None else {"policy": policy}),
    )
    return made, known


Ask = Callable[[ObjectVerifier, SignedObject], VerifiedObject]


@pytest.fixture(params=["asyncio", "blocking"])
def ask(request: pytest.FixtureRequest) -> Ask:
    if request.param == "asyncio":
        return lambda at, made: asyncio.run(at.verify(made))
    return lambda at, made: at.verify_blocking(made)


def reason(ask: Ask, made: SignedObject, *records: TLSA, **fields: object) -> Reason:
    with pytest.raises((Refused, Undecided)) as caught:
        ask(verifier(*records, **fields)[0], made)
    return caught.value.reason


def test_who_signed_is_the_evidence(ask: Ask) -> None:
    at, known = verifier(CAR.tlsa())
    made = signed()
    verified = ask(at, made)
    assert (verified.name, verified.payload, verified.algorithm) == (ClientName.parse(NAME), b"payload", "ES256")
    assert (verified.peer.record, verified.peer.grants, verified.verified_at) == (CAR.tlsa(), {"lane": 3}, NOW)
    assert verified.peer.possession == Proved("test ES256", spki=CAR.spki)
    assert verified.spki_sha256 == CAR.tlsa().data
    assert verified.signed is made
    assert known.asked == [(NAME, False)]


def test_evidence_cannot_be_made_by_hand(ask: Ask) -> None:
    verified = ask(verifier(CAR.tlsa())[0], signed())
    with pytest.raises(Misuse):
        replace(verified, signed=signed())


@pytest.mark.parametrize("presented", [CAR.presented, BARE.presented, Presented()], ids=["x5c", "jwk", "none"])
@pytest.mark.parametrize("record", [FULL_KEY, FULL_CERTIFICATE], ids=["3 1 0", "3 0 0"])
def test_a_key_published_in_full_needs_none_in_band(ask: Ask, presented: Presented, record: TLSA) -> None:
    verified = ask(verifier(record)[0], signed(presented=presented))
    assert verified.peer.record == record
    assert verified.spki_sha256 == CAR.tlsa().data


@pytest.mark.parametrize("matching_type", [MatchingType.SHA2_256, MatchingType.SHA2_512])
@pytest.mark.parametrize("selector", list(Selector))
def test_a_digest_needs_the_key_in_band(ask: Ask, selector: Selector, matching_type: MatchingType) -> None:
    record = CAR.tlsa(selector=selector, matching_type=matching_type)
    assert ask(verifier(record)[0], signed()).peer.record == record
    assert reason(ask, signed(presented=Presented()), record) is Reason.NO_KEY


def test_a_digest_of_the_certificate_needs_the_certificate(ask: Ask) -> None:
    assert reason(ask, signed(presented=BARE.presented), CAR.tlsa(selector=Selector.CERT)) is Reason.TLSA_UNUSABLE


@pytest.mark.parametrize("records", [(CAR.tlsa(), THIEF.tlsa()), (THIEF.tlsa(), CAR.tlsa())])
def test_either_key_signs_during_a_rollover(ask: Ask, records: tuple[TLSA, ...]) -> None:
    assert ask(verifier(*records)[0], signed()).peer.record == CAR.tlsa()


def test_either_published_key_is_tried_during_a_rollover(ask: Ask) -> None:
    other = THIEF.tlsa(matching_type=MatchingType.FULL)
    for records in ((FULL_KEY, other), (other, FULL_KEY), (FULL_CERTIFICATE, other)):
        assert ask(verifier(*records)[0], signed(presented=Presented())).spki_sha256 == CAR.tlsa().data


def test_the_key_in_band_must_be_the_published_one(ask: Ask) -> None:
    assert reason(ask, signed(THIEF), CAR.tlsa()) is Reason.TLSA_MISMATCH
    assert reason(ask, signed(THIEF), FULL_KEY) is Reason.TLSA_MISMATCH


def test_the_published_key_must_have_signed(ask: Ask) -> None:
    assert reason(ask, signed(THIEF, Presented()), FULL_KEY) is Reason.BAD_SIGNATURE


def test_junk_costs_no_lookup_and_no_budget(ask: Ask) -> None:
    access = AccessList.allowing(DOOR, ["*._device.cars.example"])
    known = Records(answer(NAME, CAR.tlsa()))
    at = ObjectVerifier(access, known, door=DOOR, clock=lambda: NOW, lookups=LookupBudget(per_source=1))
    for _ in range(3):
        with pytest.raises(Refused) as caught:
            ask(at, signed(THIEF, CAR.presented))
        assert caught.value.reason is Reason.BAD_SIGNATURE
    assert known.asked == []
    assert ask(at, signed()).name.text == NAME


def test_the_list_is_asked_before_the_signature_is_looked_at(ask: Ask) -> None:
    at, known = verifier(CAR.tlsa())
    made = signed(name="mallory._device.cars.example")
    with pytest.raises(Refused) as caught:
        ask(at, made)
    assert caught.value.reason is Reason.NOT_PERMITTED
    assert (made.content, known.asked) == ([], [])


@pytest.mark.parametrize("presented", [CAR.presented, Presented()], ids=["in band", "published"])
@pytest.mark.parametrize(
    ("security", "expected"),
    [
        (Security.INSECURE, Reason.INSECURE),
        (Security.BOGUS, Reason.BOGUS),
        (Security.INDETERMINATE, Reason.INDETERMINATE),
    ],
)
def test_only_secure_records_count(ask: Ask, presented: Presented, security: Security, expected: Reason) -> None:
    assert reason(ask, signed(presented=presented), FULL_KEY, security=security) is expected


def test_a_wildcard_signs_for_nobody(ask: Ask) -> None:
    for made in (signed(), signed(presented=Presented())):
        assert reason(ask, made, FULL_KEY, wildcard=True) is Reason.WILDCARD_KEY


def test_an_authority_signs_for_nobody_unless_the_policy_says_so(ask: Ask) -> None:
    record = TLSA(Usage.DANE_TA, Selector.CERT, MatchingType.FULL, CAR.chain[0])
    assert reason(ask, signed(), record) is Reason.TLSA_UNUSABLE
    assert reason(ask, signed(presented=Presented()), record) is Reason.NO_KEY


def test_more_published_keys_than_are_tried_are_no_verdict(ask: Ask) -> None:
    others = [
        Credential.generate(NAME, now=NOW, kind="raw", algorithm=KeyAlgorithm.ED25519).tlsa(
            matching_type=MatchingType.FULL
        )
        for _ in range(PUBLISHED_KEYS.default + 1)
    ]
    assert reason(ask, signed(THIEF, Presented()), *others) is Reason.WORK_BUDGET
    assert reason(ask, signed(THIEF, Presented()), *others[1:]) is Reason.BAD_SIGNATURE


def test_a_published_key_that_is_none_is_passed_over(ask: Ask) -> None:
    broken = TLSA(3, 1, 0, b"\x30\x00")
    assert ask(verifier(broken, FULL_KEY)[0], signed(presented=Presented())).peer.record == FULL_KEY
    assert reason(ask, signed(presented=Presented()), broken) is Reason.BAD_SIGNATURE


def test_a_certificate_whose_key_may_not_sign_signs_nothing(ask: Ask) -> None:
    assert CAR.private_key is not None
    builder = (
        x509.CertificateBuilder()
        .subject_name(client_subject(CAR.name))
        .issuer_name(client_subject(CAR.name))
        .public_key(CAR.private_key.public_key())  # type: ignore[arg-type]
        .serial_number(1)
        .not_valid_before(x509.load_der_x509_certificate(CAR.chain[0]).not_valid_before_utc)
        .not_valid_after(x509.load_der_x509_certificate(CAR.chain[0]).not_valid_after_utc)
        .add_extension(
            x509.KeyUsage(
                digital_signature=False,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=True,
                key_cert_sign=False,
                crl_sign=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
    )
    made = builder.sign(CAR.private_key, SHA256())  # type: ignore[arg-type]
    presented = Presented((made.public_bytes(Encoding.DER),))
    assert reason(ask, signed(presented=presented), CAR.tlsa()) is Reason.BAD_SIGNATURE


def test_digests_alone_prove_nothing(ask: Ask) -> None:
    presented = Presented(digests=LeafDigests(spki_sha256=CAR.tlsa().data))
    assert reason(ask, signed(presented=presented), CAR.tlsa()) is Reason.BAD_SIGNATURE


def test_an_expected_signer_must_be_said(ask: Ask) -> None:
    known = Records(answer(NAME, CAR.tlsa()))
    assert ask(ObjectVerifier.expecting([NAME], known, clock=lambda: NOW), signed()).peer.door == EXPECTED
    with pytest.raises(Misuse):
        ObjectVerifier.expecting([], known)
    with pytest.raises(Misuse):
        ObjectVerifier.expecting(NAME, known)
    with pytest.raises(Malformed):
        ObjectVerifier.expecting(["*"], known)
    with pytest.raises(TypeError):
        ObjectVerifier(AccessList.allowing(DOOR, [NAME]), known)  # type: ignore[call-arg]


def test_decisions_are_reported_once_with_the_form(ask: Ask) -> None:
    seen: list[Any] = []
    known = Records(answer(NAME, FULL_KEY))
    at = ObjectVerifier.expecting([NAME], known, clock=lambda: NOW, on_decision=seen.append)
    ask(at, signed())
    with pytest.raises(Refused):
        ask(at, signed(THIEF, Presented()))
    assert [(decision.verdict, decision.possession, decision.reason) for decision in seen] == [
        ("admitted", "proved by test ES256", None),
        ("refused", "to be proved by test ES256", Reason.BAD_SIGNATURE),
    ]


def test_the_door_of_logins_verifies_objects(ask: Ask) -> None:
    door = Authenticator(
        AccessList.allowing(DOOR, [NAME]), Records(answer(NAME, CAR.tlsa())), door=DOOR, clock=lambda: NOW
    )
    at = ObjectVerifier.of(door)
    assert (at.door, at.now()) == (DOOR, NOW)
    assert ask(at, signed()).peer.door == DOOR


def test_a_detached_payload_is_not_in_the_object(ask: Ask) -> None:
    verified = ask(verifier(CAR.tlsa())[0], replace(signed(), payload=None))
    with pytest.raises(Misuse):
        _ = verified.payload


def test_what_was_read_of_one_answer_says_nothing_of_another(ask: Ask) -> None:
    at, known = verifier(CAR.tlsa())
    made = signed()
    for _ in range(3):
        assert ask(at, made).peer.record == CAR.tlsa()
    [name] = known.answers
    for records, expected in (
        ((THIEF.tlsa(),), Reason.TLSA_MISMATCH),
        ((), Reason.NO_TLSA),
        ((FULL_CERTIFICATE, THIEF.tlsa()), None),
    ):
        known.answers = {name: answer(NAME, *records)}
        if expected is None:
            assert ask(at, made).peer.record == FULL_CERTIFICATE
            continue
        with pytest.raises(Refused) as caught:
            ask(at, made)
        assert caught.value.reason is expected


def test_what_was_read_of_an_answer_does_not_make_it_last(ask: Ask) -> None:
    now = [NOW]
    evidence = answer(NAME, CAR.tlsa())
    known = Records(evidence)
    known.at_hand = dict(known.answers)
    at = ObjectVerifier.expecting([NAME], known, clock=lambda: now[0])
    ask(at, signed())
    now[0] = NOW + 61
    with pytest.raises(Undecided) as caught:
        ask(at, signed())
    assert caught.value.reason is Reason.INDETERMINATE


def test_what_is_remembered_of_answers_is_bounded() -> None:
    """Forgetting costs a second reading, and never a verdict."""
    readings = ReadAnswers()
    evidence = answer(NAME, CAR.tlsa())
    read = readings.of(evidence)
    assert readings.of(evidence) is read
    for _ in range(4096):
        readings.of(answer(NAME, CAR.tlsa()))
    assert readings.of(evidence) is not read
    assert len(readings._read) <= 4096
    result = match(read.records, CAR.presented, name=ClientName.parse(NAME), now=NOW, policy=MatchPolicy()).matched
    for _ in range(40):
        read.keep(Presented(raw_public_key=CAR.spki), result)
    assert len(read._matched) <= 16
    presented = CAR.presented
    read.keep(presented, result)
    assert read.matched(presented) is result
    assert read.matched(CAR.presented) is None, "another value of the same octets is looked at anew"
