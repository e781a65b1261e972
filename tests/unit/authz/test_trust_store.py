"""Certificates in other programs' trust stores: named as OpenSSL names them, and never one that could sign others."""

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type as StringType
from cryptography.x509.oid import NameOID

from dnsbound.credential.credential import Credential
from dnsbound.credential.trust_store import subject_hash, why_not_trusted
from dnsbound.errors import Malformed
from dnsbound.names import ClientName

NAME = ClientName.parse("car54._device.cars.example")
KEY = ec.generate_private_key(ec.SECP256R1())
ATTRIBUTE = x509.NameAttribute
NO_CA = x509.BasicConstraints(ca=False, path_length=None)


def certificate(
    subject: x509.Name, *extensions: x509.ExtensionType, change: Callable[[bytes], bytes] = lambda der: der
) -> bytes:
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(KEY.public_key())
        .serial_number(7)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2036, 1, 1, tzinfo=UTC))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return change(builder.sign(KEY, hashes.SHA256()).public_bytes(Encoding.DER))


SUBJECTS = [
    x509.Name([]),
    x509.Name([ATTRIBUTE(NameOID.COMMON_NAME, "Car54._device.cars.EXAMPLE")]),
    x509.Name(
        [
            ATTRIBUTE(NameOID.COUNTRY_NAME, "DE"),
            ATTRIBUTE(NameOID.ORGANIZATION_NAME, "  Bär  und\tSÖHNE  "),
            ATTRIBUTE(NameOID.COMMON_NAME, "x y", _type=StringType.BMPString),
        ]
    ),
    x509.Name(
        [
            x509.RelativeDistinguishedName(
                [ATTRIBUTE(NameOID.COMMON_NAME, "zz"), ATTRIBUTE(NameOID.ORGANIZATION_NAME, "aaaaa")]
            )
        ]
    ),
    x509.Name([ATTRIBUTE(NameOID.COMMON_NAME, "é", _type=StringType.T61String)]),
    x509.Name([ATTRIBUTE(NameOID.ORGANIZATION_NAME, "o" * 64), ATTRIBUTE(NameOID.COMMON_NAME, "ü" * 30)]),
    x509.Name([ATTRIBUTE(NameOID.X500_UNIQUE_IDENTIFIER, b"\x00AB", _type=StringType.BitString)]),
]


@pytest.mark.peer("openssl")
@pytest.mark.parametrize("subject", SUBJECTS, ids=range(len(SUBJECTS)))
def test_mt_01_the_name_of_a_file_is_openssls(subject: x509.Name) -> None:
    der = certificate(subject)
    command = ["openssl", "x509", "-inform", "DER", "-noout", "-subject_hash"]
    told = subprocess.run(command, input=der, capture_output=True, timeout=20, check=True).stdout.decode().strip()
    assert subject_hash(der) == told


@pytest.mark.parametrize("octets", [b"", b"0", certificate(SUBJECTS[1])[:-1]])
def test_no_certificate_has_no_name(octets: bytes) -> None:
    with pytest.raises(Malformed):
        subject_hash(octets)


def san(*names: x509.GeneralName) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName(names)


def test_our_own_certificates_may_be_trusted() -> None:
    for text in (NAME.text, f"{'a' * 60}.{'b' * 60}._device.cars.example"):
        name = ClientName.parse(text)
        assert why_not_trusted(Credential.generate(name, now=1_790_000_000.0).chain[0], name) == ""


MINE = x509.DNSName(NAME.canonical)
EMPTY = x509.Name([])


@pytest.mark.parametrize(
    "der",
    [
        certificate(EMPTY, san(MINE)),
        certificate(EMPTY, san(MINE), x509.BasicConstraints(ca=True, path_length=None)),
        certificate(EMPTY, san(MINE), x509.BasicConstraints(ca=True, path_length=0)),
        certificate(EMPTY, NO_CA),
        certificate(EMPTY, NO_CA, san(MINE, x509.DNSName("other.cars.example"))),
        certificate(EMPTY, NO_CA, san(MINE, x509.RFC822Name("admin@cars.example"))),
        certificate(EMPTY, NO_CA, san(MINE, x509.UniformResourceIdentifier("spiffe://cars.example/admin"))),
        certificate(x509.Name([ATTRIBUTE(NameOID.COMMON_NAME, "admin")]), NO_CA, san(MINE)),
        certificate(
            x509.Name([ATTRIBUTE(NameOID.COMMON_NAME, NAME.canonical), ATTRIBUTE(NameOID.COMMON_NAME, "admin")]),
            NO_CA,
            san(MINE),
        ),
        certificate(x509.Name([ATTRIBUTE(NameOID.EMAIL_ADDRESS, "admin@cars.example")]), NO_CA, san(MINE)),
        certificate(x509.Name([ATTRIBUTE(NameOID.USER_ID, "admin")]), NO_CA, san(MINE)),
        certificate(EMPTY, NO_CA, san(MINE))[:-1],
        b"",
    ],
    ids=[
        "says-nothing", "authority", "authority-0", "no-name", "two-names", "mail", "uri", "other-cn", "two-cns",
        "mail-in-dn", "uid", "cut", "nothing",
    ],
)  # fmt: skip
def test_mt_02_nothing_is_trusted_that_could_stand_for_another_name(der: bytes) -> None:
    assert why_not_trusted(der, NAME) != ""


def test_another_attribute_of_the_subject_is_no_name() -> None:
    subject = x509.Name([ATTRIBUTE(NameOID.COMMON_NAME, NAME.canonical), ATTRIBUTE(NameOID.SERIAL_NUMBER, "0af3")])
    assert why_not_trusted(certificate(subject, NO_CA, san(MINE)), NAME) == ""
