"""Credentials: making, writing, reading, and the records they ask for (CA-08, CA-20, CA-23, OP-04)."""

from hashlib import sha256, sha512

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from dnsbound.credential.certificate import CLIENT_LIFETIME, self_signed
from dnsbound.credential.certificate_facts import ANY_PURPOSE, CLIENT_AUTH, SERVER_AUTH, CertificateFacts
from dnsbound.credential.credential import Credential, CredentialKind
from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.credential.keys import KeyAlgorithm, KeyFacts, private_key_from_der, public_key_from_spki, spki_der
from dnsbound.credential.signature import BadSignature, verifying_key
from dnsbound.errors import Malformed, Misuse
from dnsbound.iana import MatchingType, Selector, SignatureScheme, Usage
from dnsbound.names import ClientName

NAME = "car54._device.cars.example"
NOW = 1_780_000_000.0
LONG_NAME = f"{'a' * 60}._device.cars.example"


@pytest.mark.parametrize("algorithm", list(KeyAlgorithm))
@pytest.mark.parametrize("kind", ["x509", "raw"])
def test_a_credential_is_read_back_as_it_was_written(algorithm: KeyAlgorithm, kind: CredentialKind) -> None:
    made = Credential.generate(NAME, algorithm=algorithm, kind=kind, now=NOW)
    read = Credential.from_pem(made.to_pem())
    assert read == made
    assert read.name == ClientName.parse(NAME)
    assert read.private_key_der() == made.private_key_der()
    assert read.presented == made.presented
    assert private_key_from_der(made.private_key_der()).public_key() == made.private_key.public_key()
    assert bool(made.chain) is (kind == "x509")
    assert made.presented.spki == made.spki


@pytest.mark.parametrize(
    ("algorithm", "words", "bits"),
    [
        (KeyAlgorithm.P256, "P-256", 256),
        (KeyAlgorithm.ED25519, "Ed25519", 256),
        (KeyAlgorithm.RSA2048, "RSA-2048", 2048),
        (KeyAlgorithm.RSA3072, "RSA-3072", 3072),
        (KeyAlgorithm.MLDSA44, "ML-DSA-44", 1312 * 8),
        (KeyAlgorithm.MLDSA65, "ML-DSA-65", 1952 * 8),
        (KeyAlgorithm.MLDSA87, "ML-DSA-87", 2592 * 8),
    ],
)
def test_key_facts_name_the_key(algorithm: KeyAlgorithm, words: str, bits: int) -> None:
    facts = KeyFacts.from_spki(Credential.generate(NAME, algorithm=algorithm, kind="raw", now=NOW).spki)
    assert (facts.algorithm, facts.bits, facts.weak_because) == (words, bits, None)


def test_the_certificate_says_what_it_should() -> None:
    credential = Credential.generate(NAME, now=NOW)
    certificate = x509.load_der_x509_certificate(credential.chain[0])
    certificate.verify_directly_issued_by(certificate)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.value.get_values_for_type(x509.DNSName) == [NAME]
    assert not names.critical
    assert certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value == NAME
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.value.ca, constraints.critical) == (False, True)
    facts = CertificateFacts.from_der(credential.chain[0])
    assert facts.extended_key_usages == (CLIENT_AUTH,)
    assert facts.not_before < NOW < facts.not_after == NOW + CLIENT_LIFETIME
    assert facts.spki == credential.spki


def test_a_name_too_long_for_a_common_name_leaves_the_subject_empty_and_its_alternative_critical() -> None:
    credential = Credential.generate(LONG_NAME, now=NOW)
    certificate = x509.load_der_x509_certificate(credential.chain[0])
    assert list(certificate.subject) == []
    assert certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).critical
    assert Credential.from_pem(credential.to_pem()).name == ClientName.parse(LONG_NAME)


def test_purposes_may_be_chosen_or_left_out() -> None:
    both = Credential.generate(NAME, now=NOW, extended_key_usages=(CLIENT_AUTH, SERVER_AUTH))
    assert CertificateFacts.from_der(both.chain[0]).extended_key_usages == (CLIENT_AUTH, SERVER_AUTH)
    none = Credential.generate(NAME, now=NOW, extended_key_usages=())
    assert CertificateFacts.from_der(none.chain[0]).extended_key_usages is None
    assert ANY_PURPOSE not in (CLIENT_AUTH, SERVER_AUTH)


def test_two_credentials_of_one_name_are_different() -> None:
    first, second = (Credential.generate(NAME, now=NOW) for _ in range(2))
    assert first != second
    assert first.tlsa() != second.tlsa()


@pytest.mark.parametrize("lifetime", [0, -1])
def test_a_certificate_lives_for_some_time(lifetime: float) -> None:
    with pytest.raises(Misuse, match="lifetime"):
        Credential.generate(NAME, now=NOW, lifetime=lifetime)


@pytest.mark.parametrize("now", [float("inf"), float("-inf"), 1e18, float("nan")])
def test_a_certificate_starts_at_a_moment_of_the_calendar(now: float) -> None:
    with pytest.raises(Misuse):
        Credential.generate(NAME, now=now)


def test_an_endless_lifetime_ends_with_the_calendar() -> None:
    facts = CertificateFacts.from_der(Credential.generate(NAME, now=NOW, lifetime=1e15).chain[0])
    assert facts.not_after == 253402300799.0


def test_the_record_of_a_certificate_in_every_form_of_usage_3() -> None:
    credential = Credential.generate(NAME, now=NOW)
    leaf, spki = credential.chain[0], credential.spki
    assert credential.tlsa().to_wire() == b"\x03\x01\x01" + sha256(spki).digest()
    expected = {
        (Selector.CERT, MatchingType.FULL): leaf,
        (Selector.CERT, MatchingType.SHA2_256): sha256(leaf).digest(),
        (Selector.CERT, MatchingType.SHA2_512): sha512(leaf).digest(),
        (Selector.SPKI, MatchingType.FULL): spki,
        (Selector.SPKI, MatchingType.SHA2_512): sha512(spki).digest(),
    }
    for (selector, matching_type), data in expected.items():
        record = credential.tlsa(Usage.DANE_EE, selector, matching_type)
        assert (record.usage, record.selector, record.matching_type) == (3, selector, matching_type)
        assert record.data == data


def test_a_raw_key_has_usage_3_selector_1_records_only() -> None:
    credential = Credential.generate(NAME, kind="raw", now=NOW)
    assert credential.tlsa().data == sha256(credential.spki).digest()
    for usage, selector in [
        (Usage.DANE_EE, Selector.CERT),
        (Usage.DANE_TA, Selector.SPKI),
        (Usage.PKIX_EE, Selector.SPKI),
    ]:
        with pytest.raises(Misuse, match="raw public key"):
            credential.tlsa(usage, selector)


def test_usage_2_names_the_authority_at_the_end_of_the_chain() -> None:
    root = CertificateAuthority.create("Cars", now=NOW)
    credential = root.intermediate("Cars west", now=NOW).issue(NAME, now=NOW)
    assert len(credential.chain) == 3
    assert credential.chain[-1] == root.chain[0]
    assert credential.tlsa(Usage.DANE_TA, Selector.CERT) == root.tlsa()
    assert root.tlsa().parameters == "2 0 1"
    with pytest.raises(Misuse, match="alone"):
        Credential.generate(NAME, now=NOW).tlsa(Usage.DANE_TA)


def test_the_bare_key_of_a_certificate_keeps_its_name_and_its_record() -> None:
    credential = Credential.generate(NAME, now=NOW)
    bare = credential.as_raw_key()
    assert (bare.name, bare.chain) == (credential.name, ())
    assert bare.tlsa() == credential.tlsa()
    assert b"Client name: " + NAME.encode() in bare.to_pem()


def test_key_and_certificate_must_belong_together() -> None:
    one, other = (Credential.generate(NAME, now=NOW) for _ in range(2))
    with pytest.raises(Misuse, match="not for this private key"):
        Credential(one.name, one.private_key, other.chain)
    mixed = one.as_raw_key().to_pem() + other.to_pem().partition(b"-----END PRIVATE KEY-----\n")[2]
    with pytest.raises(Misuse, match="not for this private key"):
        Credential.from_pem(mixed)


def test_the_certificate_may_stand_before_the_key() -> None:
    credential = Credential.generate(NAME, now=NOW)
    key, end, certificate = credential.to_pem().partition(b"-----END PRIVATE KEY-----\n")
    assert Credential.from_pem(certificate + key + end) == credential


def test_a_given_name_counts_before_the_texts_own() -> None:
    credential = Credential.generate(NAME, now=NOW)
    other = ClientName.parse("other._device.cars.example")
    assert Credential.from_pem(credential.to_pem(), name=other).name == other
    renamed = Credential(other, credential.private_key, credential.chain)
    assert Credential.from_pem(renamed.to_pem()).name == other


def test_a_certificate_without_names_is_the_credential_of_nobody() -> None:
    root = CertificateAuthority.create("Cars", now=NOW)
    credential = root.issue(NAME, now=NOW)
    pem = Credential(None, credential.private_key, credential.chain).to_pem()
    assert Credential.from_pem(pem).name == ClientName.parse(NAME)
    nameless = self_signed(credential.private_key, None, now=NOW)
    assert Credential.from_pem(Credential(None, credential.private_key, (nameless,)).to_pem()).name is None


def test_an_encrypted_key_needs_its_password() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"open"))
    assert Credential.from_pem(pem, name=NAME, password=b"open").name == ClientName.parse(NAME)
    with pytest.raises(Misuse, match="encrypted"):
        Credential.from_pem(pem)
    with pytest.raises(Misuse, match="wrong password"):
        Credential.from_pem(pem, password=b"shut")
    clear = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(Misuse, match="not encrypted"):
        Credential.from_pem(clear, password=b"open")


@pytest.mark.parametrize("pem", [b"", b"hello", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_text_without_a_key_is_malformed(pem: bytes) -> None:
    with pytest.raises(Malformed):
        Credential.from_pem(pem)


def test_a_damaged_certificate_is_not_passed_over() -> None:
    pem = Credential.generate(NAME, now=NOW).to_pem()
    for damaged in (
        pem.replace(b"-----END CERTIFICATE-----", b""),
        pem.replace(b"CERTIFICATE-----\nMII", b"CERTIFICATE-----\nAII"),
    ):
        assert damaged != pem
        with pytest.raises(Malformed, match="certificate"):
            Credential.from_pem(damaged)


@pytest.mark.parametrize(
    "key",
    [
        rsa.generate_private_key(public_exponent=65537, key_size=1024),
        ec.generate_private_key(ec.SECP256K1()),
        dsa.generate_private_key(key_size=2048),
    ],
    ids=["rsa1024", "secp256k1", "dsa"],
)
def test_weak_and_odd_keys_are_refused(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | dsa.DSAPrivateKey) -> None:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(Malformed):
        Credential.from_pem(pem, name=NAME)


def test_a_credential_never_shows_its_key() -> None:
    credential = Credential.generate(NAME, now=NOW)
    assert "PrivateKey" not in repr(credential)
    assert credential.private_key_der().hex() not in repr(credential)


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.P256, KeyAlgorithm.ED25519, KeyAlgorithm.RSA2048])
def test_the_local_signer_signs_with_what_it_says_and_nothing_else(algorithm: KeyAlgorithm) -> None:
    credential = Credential.generate(NAME, algorithm=algorithm, kind="raw", now=NOW)
    signer = credential.signer
    assert signer.spki == credential.spki
    assert signer.schemes
    for scheme in SignatureScheme:
        if scheme in signer.schemes:
            _verify(credential.spki, signer.sign(b"message", scheme), b"message", scheme)
        else:
            with pytest.raises(Misuse, match=scheme.name):
                signer.sign(b"message", scheme)


def _verify(spki: bytes, signature: bytes, message: bytes, scheme: SignatureScheme) -> None:
    key = public_key_from_spki(spki)
    if isinstance(key, rsa.RSAPublicKey):
        digest = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}[scheme.name[-3:]]
        key.verify(signature, message, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    else:
        key.verify(signature, message)


def test_an_authority_is_read_back_and_still_signs() -> None:
    root = CertificateAuthority.create("Cars", now=NOW, algorithm=KeyAlgorithm.ED25519)
    middle = root.intermediate("Cars west", now=NOW)
    read = CertificateAuthority.from_pem(middle.to_pem())
    assert read.chain == middle.chain
    leaf, *above = read.certify(NAME, Credential.generate(NAME, kind="raw", now=NOW).spki, now=NOW)
    assert tuple(above) == middle.chain
    issued, authority = x509.load_der_x509_certificate(leaf), x509.load_der_x509_certificate(middle.chain[0])
    issued.verify_directly_issued_by(authority)
    own = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert issued.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier == own


@pytest.mark.parametrize("common_name", ["", "x" * 65])
def test_an_authority_has_a_name_that_fits(common_name: str) -> None:
    with pytest.raises(Misuse):
        CertificateAuthority.create(common_name, now=NOW)


def test_an_authority_without_a_matching_certificate_is_none() -> None:
    one, other = (CertificateAuthority.create("Cars", now=NOW) for _ in range(2))
    with pytest.raises(Misuse, match="not for this private key"):
        CertificateAuthority(one.private_key, other.chain)
    with pytest.raises(Misuse, match="has a certificate"):
        CertificateAuthority(one.private_key, ())


@pytest.mark.parametrize(("exponent", "weak"), [(65537, False), ((1 << 63) + 1, False), ((1 << 2000) + 1, True)])
def test_an_exponent_that_makes_others_work_is_weak(exponent: int, *, weak: bool) -> None:
    """It is the key's owner who chooses it, and everybody else who pays for it at each signature."""
    modulus = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key().public_numbers().n
    spki = spki_der(rsa.RSAPublicNumbers(exponent, modulus).public_key())
    assert (KeyFacts.from_spki(spki).weak_because is not None) == weak
    if weak:
        with pytest.raises(BadSignature, match="exponent"):
            verifying_key(spki)
