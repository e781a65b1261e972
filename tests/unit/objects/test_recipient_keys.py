"""To which key something is encrypted for a name: secure records, whole keys, and what else is refused."""

import asyncio
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dnsbound.credential.certificate import client_subject
from dnsbound.credential.credential import Credential
from dnsbound.credential.encryption_keys import (
    DecryptionKey,
    EncryptionKind,
    SignsOnly,
    encryption_key_from_spki,
    publishes_encryption_key,
)
from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.credential.presented import Presented
from dnsbound.dns.answer import Outcome, Security
from dnsbound.edge.credential_files import load_decryption_key, save_credential, save_decryption_key
from dnsbound.edge.recipient_keys import RecipientKeys
from dnsbound.errors import Malformed, Misuse, Reason, Refused, Undecided
from dnsbound.iana import MatchingType, Selector, Usage
from dnsbound.names import ClientName
from dnsbound.records.tlsa import TLSA
from dnsbound.testing.world import World
from unit.claims import NAME, NOW, Records, answer

CLIENT = ClientName.parse(NAME)
FULL, DIGEST = MatchingType.FULL, MatchingType.SHA2_256
X25519 = DecryptionKey.generate(NAME)
P256 = Credential.generate(NAME, now=NOW, kind="raw")
RSA = Credential.generate(NAME, now=NOW, kind="raw", algorithm=KeyAlgorithm.RSA2048)
ED25519 = Credential.generate(NAME, now=NOW, kind="raw", algorithm=KeyAlgorithm.ED25519)


KEY_USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


def whole(credential: Credential) -> TLSA:
    return credential.tlsa(matching_type=FULL)


def keys(*records: TLSA, **fields: Any) -> RecipientKeys:
    return RecipientKeys(Records(answer(NAME, *records, **fields)), clock=lambda: NOW)


def refusal(asked: RecipientKeys, **options: Any) -> Refused | Undecided:
    with pytest.raises((Refused, Undecided)) as caught:
        asked.of_blocking(NAME, **options)
    return caught.value


def certificate(key: Any, usage: str | None) -> bytes:
    """A certificate with one bit of keyUsage, or without the extension."""
    signing = ec.generate_private_key(ec.SECP256R1())
    made = Credential.generate(NAME, now=NOW)
    known = x509.load_der_x509_certificate(made.chain[0])
    builder = (
        x509.CertificateBuilder()
        .subject_name(client_subject(CLIENT))
        .issuer_name(client_subject(CLIENT))
        .public_key(key)
        .serial_number(1)
        .not_valid_before(known.not_valid_before_utc)
        .not_valid_after(known.not_valid_after_utc)
    )
    if usage is not None:
        bits = dict.fromkeys(KEY_USAGES, False)
        builder = builder.add_extension(x509.KeyUsage(**(bits | {usage: True})), critical=True)
    return builder.sign(signing, SHA256()).public_bytes(Encoding.DER)


def test_je_10_the_key_comes_from_secure_records() -> None:
    recipient = keys(whole(P256)).of_blocking(NAME)
    assert (recipient.name, recipient.spki) == (CLIENT, P256.spki)
    assert asyncio.run(keys(whole(P256)).of(CLIENT)).spki == P256.spki


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"security": Security.INSECURE}, Reason.INSECURE),
        ({"security": Security.BOGUS, "outcome": Outcome.FAILED}, Reason.BOGUS),
        ({"security": Security.INDETERMINATE, "outcome": Outcome.FAILED}, Reason.DNS_FAILED),
        ({"outcome": Outcome.NXDOMAIN}, Reason.NO_TLSA),
        ({"outcome": Outcome.NODATA}, Reason.NO_TLSA),
        ({"wildcard": True}, Reason.WILDCARD_KEY),
        ({"limit": "signature-checks"}, Reason.WORK_BUDGET),
        ({"earliest_expiry": NOW - 1}, Reason.BOGUS),
    ],
)
def test_je_10_nothing_is_encrypted_by_other_records(fields: dict[str, Any], reason: Reason) -> None:
    assert refusal(keys(whole(P256), **fields)).reason is reason


def test_je_10_a_wildcards_key_is_taken_where_that_is_asked_for() -> None:
    known = Records(answer(NAME, whole(P256), wildcard=True))
    asked = RecipientKeys(known, clock=lambda: NOW, danger_wildcard_keys=True)
    assert asked.of_blocking(NAME).spki == P256.spki


def test_je_10_a_key_made_for_it_comes_first() -> None:
    """Whatever the order of the records, and beside those that TLS uses."""
    records = [X25519.record, whole(P256), whole(RSA), whole(ED25519), P256.tlsa()]
    for some in (records, records[::-1]):
        assert keys(*some).of_blocking(NAME).spki == X25519.spki
    assert keys(*records[1:]).of_blocking(NAME).spki == P256.spki
    wanted = RecipientKeys(Records(answer(NAME, *records)), clock=lambda: NOW, kinds=[EncryptionKind.RSA])
    assert wanted.of_blocking(NAME).spki == RSA.spki


@pytest.mark.parametrize(
    ("usage", "curve", "encryptable"),
    [
        (None, True, True),
        ("key_agreement", True, True),
        ("digital_signature", True, False),
        ("key_encipherment", True, False),
        ("key_encipherment", False, True),
        ("key_agreement", False, False),
    ],
)
def test_je_10_the_certificates_key_usage_counts(usage: str | None, curve: bool, encryptable: bool) -> None:
    credential = P256 if curve else RSA
    public = credential.private_key.public_key()  # type: ignore[union-attr]
    der = certificate(public, usage)
    published = keys(TLSA(Usage.DANE_EE, Selector.CERT, FULL, der))
    given = keys(credential.tlsa())
    if encryptable:
        assert published.of_blocking(NAME).spki == credential.spki
        assert given.of_blocking(NAME, given=Presented((der,))).spki == credential.spki
    else:
        assert refusal(published).reason is Reason.NO_ENCRYPTION_KEY
        assert refusal(given, given=Presented((der,))).reason is Reason.NO_ENCRYPTION_KEY


def test_je_10_a_digest_needs_the_key_that_it_is_of() -> None:
    asked = keys(P256.tlsa())
    error = refusal(asked)
    assert error.reason is Reason.NO_ENCRYPTION_KEY
    assert "digest" in error.detail
    assert asked.of_blocking(NAME, given=Presented(raw_public_key=P256.spki)).spki == P256.spki
    another = Presented(raw_public_key=X25519.spki)
    assert refusal(asked, given=another).reason is Reason.TLSA_MISMATCH


@pytest.mark.parametrize(
    "record",
    [
        TLSA(Usage.DANE_TA, Selector.SPKI, FULL, P256.spki),
        TLSA(Usage.PKIX_EE, Selector.SPKI, FULL, P256.spki),
        TLSA(9, Selector.SPKI, FULL, P256.spki),
        TLSA(Usage.DANE_EE, Selector.SPKI, FULL, b"no key"),
        TLSA(Usage.DANE_EE, Selector.CERT, FULL, b"no certificate"),
    ],
)
def test_je_10_records_that_publish_no_key_of_the_name(record: TLSA) -> None:
    assert refusal(keys(record)).reason is Reason.NO_ENCRYPTION_KEY
    assert keys(record, X25519.record).of_blocking(NAME).spki == X25519.spki


@pytest.mark.parametrize("kind", [KeyAlgorithm.ED25519, KeyAlgorithm.MLDSA44])
def test_je_11_where_a_name_signs_alone_it_is_said_what_to_publish(kind: KeyAlgorithm) -> None:
    credential = Credential.generate(NAME, now=NOW, kind="raw", algorithm=kind)
    for error in (
        refusal(keys(whole(credential))),
        refusal(keys(credential.tlsa()), given=Presented(raw_public_key=credential.spki)),
    ):
        assert error.reason is Reason.NO_ENCRYPTION_KEY
        assert "dnsbound key encryption" in error.detail


def test_je_10_through_the_dns() -> None:
    with World() as world:
        world.organisation("cars.example").device("car54")
        world.organisation("cars.example").publish("car54._device", X25519.record)
        world.organisation("plain.example", signed=False).publish("x._device", X25519.record)
        with world.resolver() as resolver:
            asked = RecipientKeys(resolver)
            assert asked.of_blocking("car54._device.cars.example").spki == X25519.spki
            with pytest.raises(Refused) as caught:
                asked.of_blocking("x._device.plain.example")
            assert caught.value.reason is Reason.INSECURE


def test_without_a_kind_nothing_is_encrypted() -> None:
    with pytest.raises(Misuse):
        RecipientKeys(Records(), kinds=[])
    for name in ("", "192.0.2.1", "*.cars.example"):
        with pytest.raises(Malformed):
            keys(whole(P256)).of_blocking(name)


class TestDecryptionKey:
    """The private half, as a value and as a file."""

    def test_it_is_read_back(self, tmp_path: Any) -> None:
        path = tmp_path / "key.pem"
        save_decryption_key(X25519, path)
        assert load_decryption_key(path) == X25519
        with pytest.raises(Misuse):
            save_decryption_key(X25519, path)
        path.chmod(0o644)
        with pytest.raises(Misuse):
            load_decryption_key(path)

    def test_a_credentials_own_key_opens_too(self, tmp_path: Any) -> None:
        save_credential(P256, tmp_path / "car54.pem")
        key = load_decryption_key(tmp_path / "car54.pem")
        assert (key.name, key.spki, key.kind) == (CLIENT, P256.spki, EncryptionKind.P256)
        save_credential(ED25519, tmp_path / "signs.pem")
        with pytest.raises(SignsOnly):
            load_decryption_key(tmp_path / "signs.pem")

    def test_what_is_no_key(self, tmp_path: Any) -> None:
        (tmp_path / "key.pem").write_bytes(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
        (tmp_path / "key.pem").chmod(0o600)
        with pytest.raises(Malformed):
            load_decryption_key(tmp_path / "key.pem")
        with pytest.raises(Misuse):
            load_decryption_key("pkcs11:token=x")

    def test_it_says_at_which_name_it_is_published(self) -> None:
        unnamed = X25519.to_pem().partition(b"\n")[2]
        with pytest.raises(Misuse):
            DecryptionKey.from_pem(unnamed)
        assert DecryptionKey.from_pem(unnamed, name=NAME) == X25519
        with pytest.raises(Misuse):
            DecryptionKey.of(Credential(None, P256.private_key))

    def test_the_private_key_is_not_shown(self) -> None:
        assert "PRIVATE" not in repr(X25519)
        assert "private_key" not in repr(X25519)

    def test_its_record_is_no_clients(self) -> None:
        assert X25519.record.parameters == "3 1 0"
        assert publishes_encryption_key(X25519.record)
        for record in (whole(P256), P256.tlsa(), TLSA(3, 0, 0, X25519.spki), TLSA(2, 1, 0, X25519.spki)):
            assert not publishes_encryption_key(record)
        assert not publishes_encryption_key(TLSA(3, 1, 0, X25519.spki[:-1]))


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256K1()),
        rsa.generate_private_key(65537, 1024),
    ],
)
def test_keys_that_are_too_weak_or_odd(key: Any) -> None:
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(Malformed):
        encryption_key_from_spki(spki)
    with pytest.raises(Malformed):
        DecryptionKey(name=CLIENT, private_key=key)


def test_the_kind_of_x25519_is_the_first() -> None:
    assert X25519.kind is EncryptionKind.X25519
    assert min(EncryptionKind) is EncryptionKind.X25519
    assert isinstance(X25519.private_key, x25519.X25519PrivateKey)
