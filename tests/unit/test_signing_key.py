"""Credentials, certificates and requests whose key is elsewhere, and ML-DSA ones."""

import copy
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from dnsbound.credential.certificate_request import certificate_request
from dnsbound.credential.credential import Credential, CredentialKind
from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.credential.keys import KeyAlgorithm, public_key_from_spki
from dnsbound.credential.path import PathCertificate, is_signed_by_key
from dnsbound.credential.presented import Presented
from dnsbound.credential.signature import CHECKS, BadSignature, verify_signature
from dnsbound.credential.signing_key import private_key_of
from dnsbound.errors import Misuse
from dnsbound.iana import SignatureScheme
from dnsbound.names import ClientName
from unit.signers import NAME, NOW, Hardware

ALGORITHMS = list(KeyAlgorithm)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("kind", ["x509", "raw"])
def test_a_credential_of_a_key_elsewhere_is_a_credential(algorithm: KeyAlgorithm, kind: CredentialKind) -> None:
    hardware = Hardware(algorithm)
    made = hardware.credential(kind=kind)
    assert made.private_key is None
    assert made.signer is hardware
    assert made.spki == hardware.spki
    assert made.name == ClientName.parse(NAME)
    assert made.tlsa().to_text().startswith("3 1 1 ")
    assert made.presented == (Presented(made.chain) if kind == "x509" else Presented(raw_public_key=hardware.spki))
    bare = made.as_raw_key()
    assert (bare.chain, bare.signer, bare.tlsa()) == ((), hardware, made.tlsa())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_elsewhere_signs_its_own_certificate(algorithm: KeyAlgorithm) -> None:
    hardware = Hardware(algorithm)
    made = Credential.for_signer(NAME, hardware, now=NOW)
    assert [scheme for scheme, _ in hardware.asked] == [hardware.schemes[0]]
    certificate = PathCertificate.from_der(made.chain[0])
    assert is_signed_by_key(certificate, public_key_from_spki(hardware.spki))
    certificate.x509.verify_directly_issued_by(certificate.x509)
    assert not is_signed_by_key(certificate, public_key_from_spki(Hardware(algorithm).spki))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_elsewhere_signs_a_request(algorithm: KeyAlgorithm) -> None:
    hardware = Hardware(algorithm)
    octets = certificate_request(private_key_of(hardware), ClientName.parse(NAME))
    request = x509.load_der_x509_csr(octets)
    assert request.is_signature_valid
    assert request.public_key() == public_key_from_spki(hardware.spki)
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [NAME]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_authority_whose_key_is_elsewhere(algorithm: KeyAlgorithm) -> None:
    hardware = Hardware(algorithm)
    authority = CertificateAuthority.create("Cars", now=NOW, signer=hardware)
    issued = authority.issue(NAME, now=NOW)
    leaf, root = (x509.load_der_x509_certificate(der) for der in issued.chain)
    leaf.verify_directly_issued_by(root)
    root.verify_directly_issued_by(root)
    assert len(hardware.asked) == 2
    with pytest.raises(Misuse, match="not in this process"):
        authority.to_pem()


def test_what_would_show_the_key_is_refused() -> None:
    made = Hardware().credential()
    for write in (made.to_pem, made.private_key_der):
        with pytest.raises(Misuse, match="not in this process"):
            write()
    key = private_key_of(made.signer)
    with pytest.raises(Misuse, match="not in this process"):
        key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(Misuse, match="not in this process"):
        key.private_numbers()  # type: ignore[union-attr]
    assert copy.deepcopy(key) is copy.copy(key) is key
    assert key.key_size == 256  # type: ignore[union-attr]


def test_a_key_of_this_process_is_used_as_it_is() -> None:
    made = Credential.generate(NAME, now=NOW)
    assert private_key_of(made.signer) is made.private_key
    assert made.signer.schemes == (SignatureScheme.ECDSA_SECP256R1_SHA256,)


def test_parts_that_do_not_fit_together_are_misuse() -> None:
    one, other = Hardware(), Hardware()
    with pytest.raises(Misuse, match="signer"):
        Credential(None, None)
    with pytest.raises(Misuse, match="first certificate"):
        Credential(None, None, one.credential().chain, signer=other)
    own = Credential.generate(NAME, now=NOW)
    with pytest.raises(Misuse, match="another"):
        Credential(None, own.private_key, signer=one)
    renamed = replace(one.credential(), name=None)
    assert renamed.signer is one
    assert replace(own, name=None).private_key is own.private_key


def test_a_signers_failure_is_the_callers_to_see() -> None:
    hardware = Hardware(failure=TimeoutError("nobody touched the token"))
    with pytest.raises(TimeoutError):
        Credential.for_signer(NAME, hardware, now=NOW)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_a_signer_signs_is_verified_by_scheme(algorithm: KeyAlgorithm) -> None:
    hardware = Hardware(algorithm)
    other = Hardware(algorithm)
    for scheme in hardware.schemes:
        signature = hardware.sign(b"message", scheme)
        verify_signature(hardware.spki, scheme, signature, b"message")
        for spki, message in ((other.spki, b"message"), (hardware.spki, b"another")):
            with pytest.raises(BadSignature):
                verify_signature(spki, scheme, signature, message)
    assert set(CHECKS) == set(SignatureScheme)
