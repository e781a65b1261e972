"""Signed CMS messages: what is made is read, and anything but one signature over signed attributes is refused."""

import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from dnsbound.credential.certificate import self_signed
from dnsbound.credential.credential import Credential
from dnsbound.credential.keys import KeyAlgorithm, generate_private_key, public_key_from_spki
from dnsbound.credential.signature import BadSignature
from dnsbound.errors import Malformed, Misuse
from dnsbound.names import ClientName
from dnsbound.objects.cms import armor, encoding, signed_data, signing
from dnsbound.objects.cms.algorithms import SHA256, SHA384, SHA512
from dnsbound.objects.cms.signed_data import SignedFacts
from dnsbound.objects.signed import SignedObject
from unit.cms.crafting import CAR, NAME, NOW, PAYLOAD, Crafted, attribute, craft

OTHER = Credential.generate(NAME, now=NOW)


def check(signed: SignedObject, credential: Credential = CAR) -> None:
    signed.check(public_key_from_spki(credential.spki))


@pytest.mark.parametrize("algorithm", KeyAlgorithm)
@pytest.mark.parametrize("detached", [False, True], ids=["attached", "detached"])
def test_what_is_signed_is_read_and_verifies(algorithm: KeyAlgorithm, *, detached: bool) -> None:
    credential = Credential.generate(NAME, now=NOW, algorithm=algorithm)
    message = signing.sign(PAYLOAD, credential, now=NOW, detached=detached)
    signed = signed_data.parse(message, content=PAYLOAD if detached else None)
    check(signed, credential)
    assert signed.payload == PAYLOAD
    assert signed.name == ClientName.parse(NAME)
    assert signed.presented.chain == credential.chain
    facts = signed.content
    assert isinstance(facts, SignedFacts)
    assert facts.signing_time == NOW
    with pytest.raises(BadSignature):
        check(signed, Credential.generate(NAME, now=NOW, algorithm=algorithm))


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
def test_larger_curves_sign_with_their_own_digest(curve: ec.EllipticCurve) -> None:
    key = ec.generate_private_key(curve)
    credential = _of_key(key)
    signed = signed_data.parse(signing.sign(PAYLOAD, credential, now=NOW))
    check(signed, credential)
    assert signed.algorithm == {"secp384r1": "ECDSA-SHA384", "secp521r1": "ECDSA-SHA512"}[curve.name]


def test_crafted_messages_are_good_when_nothing_is_wrong_with_them() -> None:
    """What the refusals of this module are measured against."""
    check(signed_data.parse(craft()))


def test_cm_01_a_signature_without_signed_attributes_is_not_taken() -> None:
    with pytest.raises(Malformed, match="not over signed attributes"):
        signed_data.parse(craft(without_attributes=True))
    builder = pkcs7.PKCS7SignatureBuilder().set_data(PAYLOAD)
    certificate = x509.load_der_x509_certificate(CAR.chain[0])
    assert isinstance(CAR.private_key, ec.EllipticCurvePrivateKey)
    builder = builder.add_signer(certificate, CAR.private_key, hashes.SHA256())
    without = builder.sign(Encoding.DER, [pkcs7.PKCS7Options.NoAttributes, pkcs7.PKCS7Options.Binary])
    with pytest.raises(Malformed, match="not over signed attributes"):
        signed_data.parse(without)
    with_them = builder.sign(Encoding.DER, [pkcs7.PKCS7Options.Binary])
    check(signed_data.parse(with_them))


@pytest.mark.parametrize(
    ("crafted", "told"),
    [
        (Crafted(leave_out=(signed_data.CONTENT_TYPE,)), "lack the content type"),
        (Crafted(leave_out=(signed_data.MESSAGE_DIGEST,)), "lack the message digest"),
        (Crafted(content_type=signed_data.SIGNED_DATA), "signed content type"),
        (Crafted(encapsulated_type=signed_data.SIGNED_DATA), "not data"),
        (Crafted(message_digest=bytes(20)), "length of another"),
        (Crafted(more=(attribute(signed_data.CONTENT_TYPE, encoding.identifier(signed_data.DATA)),)), "twice"),
        (Crafted(more=(encoding.sequence(encoding.identifier("1.2.3"), encoding.sequence()),)), "no set"),
        (
            Crafted(
                more=(attribute(signed_data.SIGNING_TIME, encoding.integer(1)),), leave_out=(signed_data.SIGNING_TIME,)
            ),
            "no time",
        ),
    ],
)
def test_cm_02_content_type_and_digest_are_among_them_and_are_the_contents(crafted: Crafted, told: str) -> None:
    with pytest.raises(Malformed, match=told):
        signed_data.parse(crafted.message())


def test_cm_02_another_content_than_was_digested_is_a_bad_signature() -> None:
    with pytest.raises(BadSignature, match="another than was signed"):
        check(signed_data.parse(craft(payload=b"swapped", digested=PAYLOAD)))
    detached = signing.sign(PAYLOAD, CAR, now=NOW, detached=True)
    with pytest.raises(BadSignature, match="another than was signed"):
        check(signed_data.parse(detached, content=b"swapped"))


def test_cm_03_attributes_are_digested_as_a_set_in_the_order_of_der() -> None:
    with pytest.raises(Malformed, match="order of DER"):
        signed_data.parse(craft(reverse_attributes=True))
    with pytest.raises(BadSignature):
        check(signed_data.parse(craft(signed_tag=0xA0)))


@pytest.mark.parametrize(("signers", "told"), [(0, "nobody signed"), (2, "several signers")])
def test_cm_04_one_signer_is_taken(signers: int, told: str) -> None:
    with pytest.raises(Malformed, match=told):
        signed_data.parse(craft(signers=signers))


@pytest.mark.parametrize(
    ("crafted", "told"),
    [
        (Crafted(digest_algorithm=encoding.algorithm(SHA512)), "do not belong together"),
        (Crafted(digest_algorithm=encoding.algorithm("1.3.14.3.2.26")), "not taken"),
        (Crafted(digest_algorithm=encoding.algorithm("1.2.840.113549.2.5")), "not taken"),
        (Crafted(digest_algorithm=encoding.algorithm(SHA256, encoding.integer(1))), "parameters"),
        (Crafted(signature_algorithm=encoding.algorithm("1.2.840.10045.4.1")), "not taken"),
        (Crafted(signature_algorithm=encoding.algorithm("1.2.840.10045.4.3.4")), "do not belong together"),
        (Crafted(signature_algorithm=encoding.algorithm("1.2.840.10045.4.3.2", encoding.NULL)), "parameters"),
        (Crafted(signature_algorithm=encoding.algorithm("1.3.101.112")), "do not belong together"),
        (
            Crafted(signature_algorithm=encoding.algorithm("1.2.840.113549.1.1.10", encoding.sequence())),
            "cut short|tag",
        ),
    ],
)
def test_cm_05_digest_and_signature_belong_together(crafted: Crafted, told: str) -> None:
    with pytest.raises(Malformed, match=told):
        signed_data.parse(crafted.message())


@pytest.mark.parametrize("scheme", ["pkcs1", "pss"])
@pytest.mark.parametrize("digest", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()], ids=lambda made: made.name)
def test_cm_05_rsa_of_others_is_verified(scheme: str, digest: hashes.SHA256 | hashes.SHA384 | hashes.SHA512) -> None:
    credential = Credential.generate(NAME, now=NOW, algorithm=KeyAlgorithm.RSA2048)
    assert isinstance(credential.private_key, rsa.RSAPrivateKey)
    certificate = x509.load_der_x509_certificate(credential.chain[0])
    how = padding.PKCS1v15() if scheme == "pkcs1" else padding.PSS(padding.MGF1(digest), padding.PSS.MAX_LENGTH)
    builder = pkcs7.PKCS7SignatureBuilder().set_data(PAYLOAD)
    builder = builder.add_signer(certificate, credential.private_key, digest, rsa_padding=how)
    check(signed_data.parse(builder.sign(Encoding.DER, [pkcs7.PKCS7Options.Binary])), credential)


def test_a_key_of_another_kind_verifies_nothing() -> None:
    signed = signed_data.parse(craft())
    for algorithm in (KeyAlgorithm.RSA2048, KeyAlgorithm.ED25519, KeyAlgorithm.MLDSA44):
        with pytest.raises(BadSignature, match="does not sign with"):
            signed.check(generate_private_key(algorithm).public_key())


def test_cm_08_the_signers_certificate_is_found_among_others_and_comes_first() -> None:
    message = craft(certificates=(OTHER.chain[0], CAR.chain[0]))
    assert signed_data.parse(message).presented.chain == (CAR.chain[0], OTHER.chain[0])
    by_key = craft(certificates=(OTHER.chain[0], CAR.chain[0]), by_key_identifier=True)
    signed = signed_data.parse(by_key)
    check(signed)
    assert signed.presented.chain[0] == CAR.chain[0]


def test_cm_08_without_its_certificate_a_message_names_nobody() -> None:
    bare = craft(certificates=())
    with pytest.raises(Malformed, match="not in the message"):
        signed_data.parse(bare)
    name = ClientName.parse("other._device.cars.example")
    signed = signed_data.parse(bare, name=name)
    assert (signed.name, signed.presented.is_empty) == (name, True)
    check(signed)
    assert signed_data.parse(bare, certificates=CAR.chain).presented.chain == CAR.chain


def test_cm_08_a_certificate_put_in_the_place_of_the_signers_is_refused() -> None:
    """Mallory has a certificate of his own made for the same key, to have said it himself."""
    assert CAR.private_key is not None
    mallorys = Credential.for_signer("mallory._device.evil.example", CAR.signer, now=NOW)
    message = craft(certificates=(mallorys.chain[0],), identified_as=mallorys.chain[0])
    with pytest.raises(Malformed, match="another than the signer says"):
        signed_data.parse(message)


def test_cm_08_a_key_that_is_not_for_signatures_signs_nothing() -> None:
    with pytest.raises(Malformed, match="keyUsage"):
        signed_data.parse(craft(credential=_encrypting()))


def test_cm_09_algorithms_under_the_signature_are_those_beside_it() -> None:
    for values in (
        encoding.sequence(encoding.algorithm(SHA384), b"\xa1" + encoding.algorithm("1.2.840.10045.4.3.2")[1:]),
        encoding.sequence(encoding.algorithm(SHA256), b"\xa1" + encoding.algorithm("1.2.840.10045.4.3.3")[1:]),
        encoding.sequence(encoding.algorithm(SHA256), encoding.algorithm("1.2.840.10045.4.3.2")),
    ):
        added = attribute(signed_data.ALGORITHM_PROTECTION, values)
        with pytest.raises(Malformed, match="others than the signer says"):
            signed_data.parse(craft(more=(added,), leave_out=(signed_data.ALGORITHM_PROTECTION,)))


def test_cm_12_detached_content_comes_with_its_signature() -> None:
    detached = signing.sign(PAYLOAD, CAR, now=NOW, detached=True)
    assert signed_data.SignedData.from_wire(detached).embedded is None
    with pytest.raises(Malformed, match="detached"):
        signed_data.parse(detached)
    attached = signing.sign(PAYLOAD, CAR, now=NOW)
    with pytest.raises(Malformed, match="a content of its own"):
        signed_data.parse(attached, content=b"other")
    assert signed_data.parse(attached, content=PAYLOAD).payload == PAYLOAD


def test_a_certificate_without_a_name_names_nobody() -> None:
    credential = _of_key(ec.generate_private_key(ec.SECP256R1()), None)
    with pytest.raises(Malformed, match="no dNSName"):
        signed_data.parse(signing.sign(PAYLOAD, credential, now=NOW))


def test_a_bare_key_does_not_sign_cms() -> None:
    with pytest.raises(Misuse, match="certificate"):
        signing.sign(PAYLOAD, CAR.as_raw_key(), now=NOW)


@pytest.mark.parametrize("year", [1950, 2049, 2050, 2500])
def test_signing_times_of_both_forms_are_read(year: int) -> None:
    moment = float(int(time.mktime((year, 6, 1, 12, 0, 0, 0, 0, 0))))
    facts = signed_data.parse(signing.sign(PAYLOAD, CAR, now=moment)).content
    assert isinstance(facts, SignedFacts)
    assert facts.signing_time == moment


@pytest.mark.parametrize("label", armor.LABELS)
def test_pem_of_every_label_is_read(label: str) -> None:
    message = signing.sign(PAYLOAD, CAR, now=NOW)
    assert armor.from_pem(armor.to_pem(message, label)) == message
    assert armor.octets_of(b"\n" + armor.to_pem(message, label)) == message
    assert armor.octets_of(message) == message


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"-----BEGIN CMS-----\n",
        b"-----BEGIN CMS-----\nAA=A\n-----END CMS-----\n",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CMS-----\nAAAA\n-----END PKCS7-----\n",
        2 * armor.to_pem(b"abc"),
        armor.to_pem(b"abc") + b"-----BEGIN CMS-----\n",
    ],
)
def test_what_is_no_single_block_is_no_message(text: bytes) -> None:
    with pytest.raises(Malformed):
        armor.from_pem(text)


def _of_key(key: ec.EllipticCurvePrivateKey, name: str | None = NAME) -> Credential:
    client = None if name is None else ClientName.parse(name)
    return Credential(client, key, (self_signed(key, client, now=NOW),))


def _encrypting() -> Credential:
    """A certificate whose key agrees on keys alone."""
    key = ec.generate_private_key(ec.SECP256R1())
    template = x509.load_der_x509_certificate(CAR.chain[0])
    usage = x509.KeyUsage(False, False, False, False, True, False, False, False, False)
    builder = x509.CertificateBuilder(
        template.issuer,
        template.subject,
        key.public_key(),
        7,
        template.not_valid_before_utc,
        template.not_valid_after_utc,
    )
    made = builder.add_extension(usage, critical=True).sign(key, hashes.SHA256())
    return Credential(ClientName.parse(NAME), key, (made.public_bytes(Encoding.DER),))
