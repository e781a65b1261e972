"""Requests as values: what they ask for, and what is no request."""

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import AttributeOID, NameOID

from dnsbound.credential.certificate_request import CertificateRequest, certificate_request
from dnsbound.credential.keys import KeyAlgorithm, generate_private_key, spki_der
from dnsbound.errors import Malformed
from dnsbound.names import ClientName

NAME = ClientName.parse("Car54._device.cars.example")
KEY = ec.generate_private_key(ec.SECP256R1())


def built(*extensions, common_name="", challenge=None, key=KEY, digest=None):
    subject = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else []
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    if challenge is not None:
        builder = builder.add_attribute(AttributeOID.CHALLENGE_PASSWORD, challenge)
    return builder.sign(key, digest or hashes.SHA256()).public_bytes(Encoding.DER)


def san(*names):
    return x509.SubjectAlternativeName(names)


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.P256, KeyAlgorithm.ED25519, KeyAlgorithm.MLDSA44])
def test_a_request_we_make_is_read_back(algorithm) -> None:
    key = generate_private_key(algorithm)
    request = CertificateRequest.from_der(certificate_request(key, NAME, challenge="abc="))
    assert request.spki == spki_der(key.public_key())
    assert request.names == request.dns_names == (NAME.canonical,)
    assert (request.challenge, request.other_names) == ("abc=", 0)
    assert request.weak_because is None
    assert not request.wants_authority


def test_the_common_name_counts_only_without_alternative_names() -> None:
    assert CertificateRequest.from_der(built(common_name="a.example")).names == ("a.example",)
    both = CertificateRequest.from_der(built(san(x509.DNSName("b.example")), common_name="a.example"))
    assert both.names == ("b.example",)
    other = CertificateRequest.from_der(built(san(x509.RFC822Name("x@a.example")), common_name="a.example"))
    assert (other.names, other.other_names) == ((), 1)


@pytest.mark.parametrize(
    "extension",
    [
        x509.BasicConstraints(ca=True, path_length=None),
        x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=False,
            encipher_only=False,
            decipher_only=False,
        ),
    ],
)
def test_who_wants_to_sign_others_is_known(extension) -> None:
    assert CertificateRequest.from_der(built(extension, common_name="a.example")).wants_authority


def test_weak_keys_and_signatures_are_told_before_they_are_verified() -> None:
    small = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    assert "1024" in (CertificateRequest.from_der(built(key=small)).weak_because or "")
    curve = ec.generate_private_key(ec.SECP256K1())
    assert "secp256k1" in (CertificateRequest.from_der(built(key=curve)).weak_because or "")


def test_a_signature_by_another_key_is_no_request() -> None:
    good = bytearray(built(common_name="a.example"))
    good[-1] ^= 1
    with pytest.raises(Malformed):
        CertificateRequest.from_der(bytes(good))
    # The key of another in a request whose signature was made by this one.
    mine = built(common_name="a.example")
    theirs = spki_der(ec.generate_private_key(ec.SECP256R1()).public_key())
    with pytest.raises(Malformed, match="not signed by the key"):
        CertificateRequest.from_der(mine.replace(spki_der(KEY.public_key()), theirs))


def test_what_is_no_request() -> None:
    request = built(common_name="a.example")
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2027, 1, 1, tzinfo=UTC))
        .sign(KEY, hashes.SHA256())
        .public_bytes(Encoding.DER)
    )
    private = KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    other = built(key=dsa.generate_private_key(2048))
    for octets in (b"", b"\x30\x00", request[:-1], request + b"\x00", certificate, private, other):
        with pytest.raises(Malformed):
            CertificateRequest.from_der(octets)


def test_a_challenge_has_bounds() -> None:
    assert CertificateRequest.from_der(built(challenge=b"")).challenge == ""
    with pytest.raises(Malformed, match="255"):
        CertificateRequest.from_der(built(challenge=b"a" * 256))


@pytest.mark.parametrize("position", range(0, 240, 7))
def test_damaged_octets_are_told_as_malformed_or_read(position) -> None:
    octets = bytearray(built(san(x509.DNSName("a.example")), challenge=b"abc"))
    octets[position % len(octets)] ^= 0x41
    try:
        CertificateRequest.from_der(bytes(octets))
    except Malformed:
        return
    pytest.fail("a flipped octet left the signature good")
