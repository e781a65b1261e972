"""COSE_Sign1: what is signed is verified by name, and every message that others accept and must not."""

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from cbor2 import CBORTag
from hypothesis import given
from hypothesis import strategies as st

from dnsbound.credential.credential import Credential
from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.credential.presented import Presented
from dnsbound.edge.object_verifier import ObjectVerifier
from dnsbound.errors import DnsboundError, LimitExceeded, Malformed, Misuse, Reason, Refused
from dnsbound.iana import MatchingType
from dnsbound.objects import cose
from dnsbound.objects.algorithms import ALGORITHMS, sign
from dnsbound.objects.cbor import from_cbor, to_cbor
from dnsbound.objects.cose.cose_key import cose_key_of
from dnsbound.objects.cose.cose_sign1 import Sign1, to_be_signed
from dnsbound.objects.cose.labels import Header
from dnsbound.records.tlsa import TLSA
from unit.claims import NAME, NOW, Records, answer

MALLORY = "mallory._device.evil.example"
PAYLOAD = b"position 48.137 11.575"
CREDENTIALS = {kind: Credential.generate(NAME, now=NOW, algorithm=kind) for kind in KeyAlgorithm if "rsa3" not in kind}
CAR = CREDENTIALS[KeyAlgorithm.P256]
BARE = CAR.as_raw_key()


def verifier(*records: TLSA, expected: str = NAME, name: str = NAME) -> ObjectVerifier:
    return ObjectVerifier.expecting([expected], Records(answer(name, *records)), clock=lambda: NOW)


def message(
    protected: dict[Any, Any] | bytes, unprotected: Any = None, *, credential: Credential = CAR, payload: Any = PAYLOAD
) -> bytes:
    """A message with these headers, signed by the credential as far as anybody could: others' bytes."""
    octets = protected if isinstance(protected, bytes) else to_cbor(protected) if protected else b""
    signature = sign(credential.signer, ALGORITHMS["ES256"], to_be_signed(octets, b"", PAYLOAD))
    return to_cbor(CBORTag(18, [octets, {} if unprotected is None else unprotected, payload, signature]))


KID = {1: -7, 4: NAME.encode()}


@pytest.mark.parametrize("kind", CREDENTIALS)
@pytest.mark.parametrize("band", ["x5chain", "kccs", "none"])
def test_cb_01_what_is_signed_is_verified_by_name(kind: KeyAlgorithm, band: str) -> None:
    credential = CREDENTIALS[kind] if band == "x5chain" else CREDENTIALS[kind].as_raw_key()
    octets = cose.sign1(PAYLOAD, credential, typ="report", content_type=50, key_in_band=band != "none")
    signed = cose.parse_sign1(octets, typ="application/report")
    assert signed.presented == (Presented() if band == "none" else credential.presented)
    full = MatchingType.FULL if band == "none" else MatchingType.SHA2_256
    verified = verifier(credential.tlsa(matching_type=full)).verify_blocking(signed)
    assert (verified.name.text, verified.payload, verified.content.content_type) == (NAME, PAYLOAD, 50)


@pytest.mark.parametrize("kind", CREDENTIALS)
def test_cb_01_every_number_of_an_algorithm_is_read(kind: KeyAlgorithm) -> None:
    credential = CREDENTIALS[kind]
    for algorithm in ALGORITHMS.values():
        for number in algorithm.cose:
            try:
                octets = cose.sign1(PAYLOAD, credential, algorithm=algorithm.jose)
            except Misuse:
                continue
            parsed = Sign1.from_wire(octets)
            headers = type(parsed.headers).of(dict(parsed.headers.protected) | {1: number})
            again = sign(credential.signer, algorithm, to_be_signed(headers.protected_octets, b"", PAYLOAD))
            made = Sign1(headers=headers, payload=PAYLOAD, signature=again).to_wire()
            signed = cose.parse_sign1(made, typ=None)
            assert verifier(credential.tlsa()).verify_blocking(signed).algorithm == algorithm.jose


def test_cb_02_the_tag_may_be_left_out_and_may_be_asked_for() -> None:
    octets = cose.sign1(PAYLOAD, CAR, tagged=False)
    assert cose.sign1(PAYLOAD, CAR)[:1] == b"\xd2"
    assert cose.parse_sign1(octets, typ=None).payload == PAYLOAD
    with pytest.raises(Malformed):
        cose.parse_sign1(octets, typ=None, untagged=False)
    with pytest.raises(Malformed):
        cose.parse_sign1(b"\xd1" + octets, typ=None)  # a COSE_Mac0


def test_cb_03_octets_behind_the_message_are_refused() -> None:
    with pytest.raises(Malformed):
        cose.parse_sign1(cose.sign1(PAYLOAD, CAR) + b"\x00", typ=None)
    with pytest.raises(Malformed):
        cose.parse_sign1(message(to_cbor(KID) + b"\x00"), typ=None)


@pytest.mark.parametrize(
    ("protected", "unprotected"),
    [
        (KID, {1: -7}),
        (KID, {4: NAME.encode()}),
        (KID, {4: b"mallory._device.evil.example"}),
        (bytes.fromhex("a3012601264441"), None),  # alg twice, in the octets
        (bytes.fromhex("a201260138220441"), None),
        (KID | {5: b"x"}, {6: b"y"}),  # IV and partial IV
    ],
)
def test_cb_04_a_label_stands_once(protected: Any, unprotected: Any) -> None:
    with pytest.raises(Malformed):
        cose.parse_sign1(message(protected, unprotected), typ=None)


@pytest.mark.parametrize(
    ("protected", "unprotected"),
    [
        ({4: NAME.encode()}, {1: -7}),
        ({4: NAME.encode()}, None),
        ({}, KID),
        (KID | {1: 5}, None),  # an HMAC
        (KID | {1: -6}, None),
        (KID | {1: "ES256"}, None),
        (KID | {1: True}, None),
        (KID | {1: None}, None),
        (KID | {1: -47}, None),  # secp256k1
    ],
)
def test_cb_05_the_algorithm_is_protected_and_one_that_is_used(protected: Any, unprotected: Any) -> None:
    with pytest.raises(Malformed):
        cose.parse_sign1(message(protected, unprotected), typ=None)


def test_cb_05_the_caller_may_take_fewer() -> None:
    octets = cose.sign1(PAYLOAD, CAR)
    assert cose.parse_sign1(octets, typ=None, algorithms=["ES256"]).algorithm == "ES256"
    with pytest.raises(Malformed):
        cose.parse_sign1(octets, typ=None, algorithms=["EdDSA"])


@pytest.mark.parametrize(
    ("protected", "unprotected"),
    [
        (KID | {2: []}, None),
        (KID | {2: 4}, None),
        (KID | {2: [True]}, None),
        (KID | {2: [[4]]}, None),
        (KID | {2: [3]}, None),  # names a header that is not there
        (KID | {2: [-70000], -70000: 1}, None),  # and one that nobody understands
        (KID | {2: ["x"], "x": 1}, None),
        (KID, {2: [4]}),
        (KID | {2: [33]}, {33: b"x"}),
    ],
)
def test_cb_06_what_is_critical_must_be_there_and_be_understood(protected: Any, unprotected: Any) -> None:
    with pytest.raises(Malformed):
        cose.parse_sign1(message(protected, unprotected), typ=None)


def test_cb_06_what_is_understood_may_be_critical() -> None:
    signed = cose.parse_sign1(message(KID | {2: [4, 3], 3: "text/plain"}), typ=None)
    record = CAR.tlsa(matching_type=MatchingType.FULL)
    assert verifier(record).verify_blocking(signed).payload == PAYLOAD


def test_cb_07_an_empty_protected_map_is_signed_as_no_octets() -> None:
    for octets in (b"", b"\xa0"):
        assert Sign1.from_wire(message(octets, KID)).headers.protected_octets == b""
    assert to_be_signed(b"", b"", b"x") == bytes.fromhex("846a5369676e61747572653140404178")


@pytest.mark.parametrize(
    ("protected", "unprotected"),
    [
        ({1: -7}, {4: NAME.encode()}),  # named where nobody protects it
        ({1: -7}, {35: f"dns:{NAME}?type=TLSA"}),
        ({1: -7}, {15: {1: NAME}}),
        ({1: -7}, None),
        (KID | {35: CBORTag(32, f"dns:{MALLORY}?type=TLSA")}, None),
        (KID | {35: CBORTag(33, f"dns:{NAME}?type=TLSA")}, None),
        (KID | {35: "https://cars.example/car54.pem"}, None),
        (KID | {35: 5}, None),
        (KID | {15: {1: MALLORY}}, None),
        (KID | {15: {1: 5}}, None),
        (KID | {15: 5}, None),
        (KID | {4: NAME}, None),  # a text, not octets
        (KID | {4: b"11"}, None),
        (KID | {4: b"\xff.example"}, None),
        (KID | {4: b"192.0.2.1"}, None),
        (KID | {4: b"*.cars.example"}, None),
    ],
)
def test_cb_08_the_signer_is_named_by_protected_headers_and_is_one(protected: Any, unprotected: Any) -> None:
    with pytest.raises(Malformed):
        cose.parse_sign1(message(protected, unprotected), typ=None)


@pytest.mark.parametrize("uri", [CBORTag(32, f"dns:{NAME}?type=TLSA"), f"dns:///{NAME.upper()}?TYPE=tlsa"])
def test_cb_08_the_signer_may_be_named_by_uri(uri: Any) -> None:
    assert cose.parse_sign1(message({1: -7, 35: uri}), typ=None).name.canonical == NAME
    assert cose.parse_sign1(message(KID | {35: uri}), typ=None).name.canonical == NAME
    assert cose.parse_sign1(cose.sign1(PAYLOAD, CAR, uri=True), typ=None).name.canonical == NAME


LEAF = CAR.chain[0]


@pytest.mark.parametrize(
    ("protected", "unprotected"),
    [
        (KID, {33: LEAF}),  # protected by nothing
        (KID, {33: LEAF, 34: [-16, hashlib.sha256(LEAF).digest()]}),
        (KID | {34: [-16, bytes(32)]}, {33: LEAF}),
        (KID | {34: [-15, hashlib.sha256(LEAF).digest()[:8]]}, {33: LEAF}),  # SHA-256/64
        (KID | {34: [-16]}, None),
        (KID | {34: b""}, None),
        (KID | {33: [LEAF]}, None),  # one certificate is no list
        (KID | {33: []}, None),
        (KID | {33: "x"}, None),
        (KID | {33: [LEAF, "x"]}, None),
    ],
)
def test_cb_09_certificates_are_protected_and_in_their_form(protected: Any, unprotected: Any) -> None:
    with pytest.raises(Malformed):
        cose.parse_sign1(message(protected, unprotected), typ=None)


def test_cb_09_a_thumbprint_protects_certificates() -> None:
    for algorithm, number in (("sha256", -16), ("sha384", -43), ("sha512", -44)):
        thumbprint = [number, hashlib.new(algorithm, LEAF).digest()]
        signed = cose.parse_sign1(message(KID | {34: thumbprint}, {33: LEAF}), typ=None)
        assert verifier(CAR.tlsa()).verify_blocking(signed).payload == PAYLOAD


def test_cb_09_a_chain_is_a_list_and_not_too_long() -> None:
    authority = CertificateAuthority.create("cars", now=NOW).intermediate("devices", now=NOW)
    credential = authority.issue(NAME, now=NOW)
    assert len(credential.chain) > 1
    signed = cose.parse_sign1(cose.sign1(PAYLOAD, credential), typ=None)
    assert signed.presented == credential.presented
    with pytest.raises(LimitExceeded):
        cose.parse_sign1(message(KID | {33: [LEAF] * 11}), typ=None)


@pytest.mark.parametrize(
    "kccs",
    [
        5,
        {},
        {8: {}},
        {8: 5},
        {8: {1: 5}},
        {8: {1: {1: 4, -1: b"secret"}}},
        {8: {1: cose_key_of(CAR.spki) | {-4: b"private"}}},
        {8: {1: cose_key_of(CAR.spki) | {-2: bytes(32)}}},
        {8: {1: cose_key_of(CAR.spki) | {-2: bytes(31)}}},
        {8: {1: cose_key_of(CAR.spki) | {-1: 8}}},
        {8: {1: {1: 1, -1: 4, -2: bytes(32)}}},  # X25519 signs nothing
        {8: {1: {1: 1, -1: 6, -2: bytes(31)}}},
        {8: {1: {1: 3, -1: b"\0" + bytes(256), -2: b"\1\0\1"}}},
        {8: {1: {1: 3, -1: b"\1" * 4096, -2: b"\1\0\1"}}},
        {8: {1: {1: 7, 3: -48, -1: bytes(5)}}},
        {8: {1: {1: 7, 3: [], -1: bytes(5)}}},
        {8: {1: {1: 7, 3: {}, -1: bytes(5)}}},
        {2: MALLORY, 8: {1: cose_key_of(CAR.spki)}},
    ],
)
def test_cb_10_a_bare_key_is_a_public_one_of_the_signer(kccs: Any) -> None:
    with pytest.raises(Malformed):
        cose.parse_sign1(message(KID | {14: kccs}), typ=None)


def test_cb_10_two_keys_are_one_too_many() -> None:
    other = cose_key_of(Credential.generate(NAME, now=NOW).spki)
    with pytest.raises(Malformed):
        cose.parse_sign1(message(KID | {33: LEAF, 14: {8: {1: other}}}), typ=None)
    both = cose.parse_sign1(message(KID | {33: LEAF, 14: {8: {1: cose_key_of(CAR.spki)}}}), typ=None)
    assert both.presented == CAR.presented


def test_cb_11_payload_and_context_may_go_another_way() -> None:
    octets = cose.sign1(PAYLOAD, CAR, detached=True, external_aad=b"request 7")
    assert PAYLOAD not in octets
    signed = cose.parse_sign1(octets, typ=None, detached=PAYLOAD, external_aad=b"request 7")
    verified = verifier(CAR.tlsa()).verify_blocking(signed)
    with pytest.raises(Misuse):
        _ = verified.payload
    for other in ({"detached": PAYLOAD + b"x", "external_aad": b"request 7"}, {"detached": PAYLOAD}):
        with pytest.raises(Refused) as caught:
            verifier(CAR.tlsa()).verify_blocking(cose.parse_sign1(octets, typ=None, **other))
        assert caught.value.reason is Reason.BAD_SIGNATURE
    with pytest.raises(Malformed):
        cose.parse_sign1(octets, typ=None)
    with pytest.raises(Malformed):
        cose.parse_sign1(cose.sign1(PAYLOAD, CAR), typ=None, detached=PAYLOAD)


def test_cb_11_the_type_is_the_one_that_is_asked_for() -> None:
    octets = cose.sign1(PAYLOAD, CAR, typ="application/report")
    assert cose.parse_sign1(octets, typ="REPORT").payload == PAYLOAD
    assert cose.parse_sign1(octets, typ=cose.ANY_TYP).payload == PAYLOAD
    for other in (None, "other", 5):
        with pytest.raises(Malformed):
            cose.parse_sign1(octets, typ=other)
    assert cose.parse_sign1(cose.sign1(PAYLOAD, CAR, typ=5), typ=5).payload == PAYLOAD
    for typ in ("", -1, b"x", True, None):
        with pytest.raises(Malformed):
            cose.parse_sign1(message(KID | {16: typ}), typ="x")


ENVELOPE = KID | {258: -16}
DIGEST = cose.digest_of(PAYLOAD)


class TestHashEnvelope:
    """RFC 9995."""

    def test_cb_12_a_digest_is_signed_and_the_octets_are_held_against_it(self) -> None:
        octets = cose.sign_digest(DIGEST, BARE, content_type="video/mp4", location="https://cars.example/1.mp4")
        verified = verifier(CAR.tlsa()).verify_blocking(cose.parse_hash_envelope(octets, typ=None))
        envelope = verified.content
        assert (envelope.content_type, envelope.location) == ("video/mp4", "https://cars.example/1.mp4")
        envelope.check_octets(PAYLOAD)
        with pytest.raises(Refused) as caught:
            envelope.check_octets(PAYLOAD + b"x")
        assert caught.value.reason is Reason.BAD_SIGNATURE

    @pytest.mark.parametrize("algorithm", cose.HashAlgorithm)
    def test_cb_12_every_hash(self, algorithm: cose.HashAlgorithm) -> None:
        digest = cose.digest_of(PAYLOAD, algorithm)
        octets = cose.sign_digest(digest, BARE, hash_algorithm=algorithm)
        cose.parse_hash_envelope(octets, typ=None).content.check_octets(PAYLOAD)
        with pytest.raises(Misuse):
            cose.sign_digest(digest[1:], BARE, hash_algorithm=algorithm)

    @pytest.mark.parametrize(
        ("protected", "unprotected", "payload"),
        [
            (KID, {258: -16}, DIGEST),
            (ENVELOPE, {259: "x"}, DIGEST),
            (ENVELOPE, {260: "x"}, DIGEST),
            (ENVELOPE | {3: "text/plain"}, None, DIGEST),
            (ENVELOPE, {3: "text/plain"}, DIGEST),
            (ENVELOPE, None, DIGEST[1:]),
            (ENVELOPE, None, None),
            (KID | {258: -17}, None, DIGEST),
            (KID | {258: "sha-256"}, None, DIGEST),
            (ENVELOPE | {260: 5}, None, DIGEST),
            (ENVELOPE | {259: -1}, None, DIGEST),
            (KID, None, DIGEST),
        ],
    )
    def test_cb_12_what_is_no_envelope(self, protected: Any, unprotected: Any, payload: Any) -> None:
        with pytest.raises(Malformed):
            cose.parse_hash_envelope(message(protected, unprotected, payload=payload), typ=None)

    def test_cb_12_a_digest_is_not_taken_for_the_content(self) -> None:
        with pytest.raises(Malformed):
            cose.parse_sign1(cose.sign_digest(DIGEST, BARE), typ=None)


def refused(octets: bytes, *records: TLSA, name: str = NAME) -> Reason:
    with pytest.raises(Refused) as caught:
        verifier(*records, name=name).verify_blocking(cose.parse_sign1(octets, typ=None))
    return caught.value.reason


def test_cb_16_mallory_signs_as_himself_whatever_he_writes() -> None:
    mallory = Credential.generate(MALLORY, now=NOW, kind="raw")
    octets = cose.sign1(b'{"from":"car54"}', mallory)
    known = Records(answer(MALLORY, mallory.tlsa()))
    with pytest.raises(Refused) as caught:
        ObjectVerifier.expecting([NAME], known, clock=lambda: NOW).verify_blocking(cose.parse_sign1(octets, typ=None))
    assert (caught.value.reason, known.asked) == (Reason.NOT_PERMITTED, [])


def test_cb_16_a_key_in_band_must_be_the_names() -> None:
    forged = Credential.generate(NAME, now=NOW, kind="raw")
    assert refused(cose.sign1(PAYLOAD, forged), CAR.tlsa()) is Reason.TLSA_MISMATCH
    without = cose.sign1(PAYLOAD, CAR, key_in_band=False)
    assert refused(without, CAR.tlsa()) is Reason.NO_KEY


def test_cb_16_algorithm_and_curve_must_be_the_keys() -> None:
    """ES384 is not tied to a curve by COSE; here it is."""
    for number in (-35, -51, -8, -37, -48):
        octets = message({1: number, 4: NAME.encode(), 33: LEAF})
        assert refused(octets, CAR.tlsa()) is Reason.BAD_SIGNATURE


@pytest.mark.parametrize(
    "change",
    [
        lambda signature: signature[:-1],
        lambda signature: signature + b"\0",
        lambda signature: bytes(32) + signature[32:],
        lambda signature: signature[:32] + b"\xff" * 32,
        lambda _signature: b"",
    ],
)
def test_cb_16_a_signature_has_one_form(change: Callable[[bytes], bytes]) -> None:
    item = from_cbor(cose.sign1(PAYLOAD, CAR), "message")
    item.value[3] = change(item.value[3])
    assert refused(to_cbor(item), CAR.tlsa()) is Reason.BAD_SIGNATURE


@pytest.mark.parametrize(
    "item",
    [
        [],
        {},
        [b"", {}, b"x"],
        [b"", {}, b"x", b"y", b"z"],
        ["", {}, b"x", b"y"],
        [b"", [], b"x", b"y"],
        [b"", {}, "x", b"y"],
        [b"", {}, b"x", "y"],
        [b"\x80", {}, b"x", b"y"],
        CBORTag(18, CBORTag(18, [])),
    ],
)
def test_what_is_no_message(item: Any) -> None:
    with pytest.raises(Malformed):
        cose.parse_sign1(to_cbor(item), typ=None)


def test_a_message_that_is_too_long_is_not_read() -> None:
    with pytest.raises(LimitExceeded):
        cose.parse_sign1(cose.sign1(bytes(5000), CAR), typ=None, limit=4096)


def test_nobody_signs_without_a_name_or_with_anothers_headers() -> None:
    with pytest.raises(Misuse):
        cose.sign1(PAYLOAD, Credential(None, CAR.private_key))
    with pytest.raises(Misuse):
        cose.sign1(PAYLOAD, CAR, headers={Header.KID: b"x"})
    with pytest.raises(Misuse):
        cose.sign1(PAYLOAD, CAR, algorithm="EdDSA")


MESSAGES = [cose.sign1(PAYLOAD, credential) for credential in (CAR, BARE, CREDENTIALS[KeyAlgorithm.ED25519])]


@given(st.sampled_from(MESSAGES), st.integers(0), st.binary(min_size=1, max_size=3))
def test_no_change_is_verified(octets: bytes, place: int, change: bytes) -> None:
    place %= len(octets)
    changed = octets[:place] + change + octets[place + len(change) :]
    try:
        signed = cose.parse_sign1(changed, typ=None)
        verified = verifier(*(credential.tlsa() for credential in CREDENTIALS.values())).verify_blocking(signed)
    except DnsboundError:
        return
    assert (verified.payload, verified.name.text) == (PAYLOAD, NAME)
