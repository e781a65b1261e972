"""Facts from certificates: the same as `cryptography` finds, and also where it finds fault."""

import warnings
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from dnsbound.credential.certificate_facts import CertificateFacts, san_dns_names, spki_of
from dnsbound.credential.credential import Credential
from dnsbound.credential.der import oid_text
from dnsbound.errors import Malformed

NAME = "car54._device.cars.example"
NOW = 1_780_000_000.0
KEY = ec.generate_private_key(ec.SECP256R1())


def build(
    *extensions: tuple[x509.ExtensionType, bool], start: datetime | None = None, end: datetime | None = None
) -> bytes:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "car54")])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).serial_number(1)
    builder = builder.public_key(KEY.public_key())
    builder = builder.not_valid_before(start or datetime(2020, 1, 1, tzinfo=UTC))
    builder = builder.not_valid_after(end or datetime(2030, 1, 1, tzinfo=UTC))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(Encoding.DER)


def names(*values: str) -> tuple[x509.ExtensionType, bool]:
    return x509.SubjectAlternativeName([x509.DNSName(value) for value in values]), False


def test_every_kind_of_name_is_told_apart() -> None:
    alternative = x509.SubjectAlternativeName(
        [
            x509.RFC822Name("a@cars.example"),
            x509.DNSName(NAME),
            x509.UniformResourceIdentifier("sip:car.example:5061"),
            x509.DNSName("Second.example"),
        ]
    )
    certificate = build((alternative, False))
    assert san_dns_names(certificate) == (NAME, "Second.example")
    assert CertificateFacts.from_der(certificate).san_dns_names == (NAME, "Second.example")


def test_a_certificate_without_extensions_has_none_of_their_facts() -> None:
    facts = CertificateFacts.from_der(build())
    assert (facts.san_dns_names, facts.extended_key_usages, facts.is_ca) == ((), None, None)
    assert facts.self_issued


@pytest.mark.parametrize(("ca", "path_length"), [(True, None), (True, 0), (False, None)])
def test_the_authority_flag(ca: bool, path_length: int | None) -> None:
    certificate = build((x509.BasicConstraints(ca=ca, path_length=path_length), True))
    assert CertificateFacts.from_der(certificate).is_ca is ca


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (datetime(1950, 1, 1, tzinfo=UTC), datetime(1951, 1, 1, tzinfo=UTC)),
        (datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(2050, 1, 1, tzinfo=UTC)),
        (datetime(2000, 2, 29, 12, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (datetime(1968, 2, 29, tzinfo=UTC), datetime(1969, 1, 1, tzinfo=UTC)),
    ],
)
def test_times_of_both_forms_and_centuries(start: datetime, end: datetime) -> None:
    facts = CertificateFacts.from_der(build(start=start, end=end))
    assert facts.not_before == start.timestamp()
    assert facts.not_after == end.timestamp()


def test_the_key_is_found_in_a_certificate_that_a_strict_parser_refuses() -> None:
    certificate = build(names(NAME))
    # A dNSName with an octet above 127: no IA5String, so `cryptography` gives none of the extensions.
    odd = certificate.replace(NAME.encode(), b"\xff" + NAME.encode()[1:])
    with pytest.raises(ValueError, match=r"."):
        _ = x509.load_der_x509_certificate(odd).extensions
    assert spki_of(odd) == spki_of(certificate)
    with pytest.raises(Malformed, match="not ASCII"):
        san_dns_names(odd)


def test_a_negative_serial_number_does_not_hide_the_key() -> None:
    certificate = build(names(NAME))
    odd = certificate.replace(b"\x02\x01\x01\x30", b"\x02\x01\xff\x30", 1)
    assert odd != certificate
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        facts = CertificateFacts.from_der(odd)
    assert facts.spki == spki_of(certificate)
    assert facts.san_dns_names == (NAME,)


def test_an_extension_that_occurs_twice_is_malformed() -> None:
    certificate = build(
        (x509.SubjectAlternativeName([x509.DNSName("a.example")]), False),
        (x509.IssuerAlternativeName([x509.DNSName("b.example")]), False),
    )
    twice = certificate.replace(b"\x06\x03\x55\x1d\x12", b"\x06\x03\x55\x1d\x11")
    assert twice != certificate
    with pytest.raises(Malformed, match="occurs twice"):
        san_dns_names(twice)


@pytest.mark.parametrize("cut", [0, 1, 2, 5, 50, 100, 200])
def test_a_certificate_cut_short_is_malformed(cut: int) -> None:
    certificate = build(names(NAME))
    for read in (spki_of, san_dns_names, CertificateFacts.from_der):
        with pytest.raises(Malformed):
            read(certificate[:cut])


def test_octets_after_the_certificate_are_malformed() -> None:
    with pytest.raises(Malformed, match="too many"):
        spki_of(build() + b"\x00")


def test_lengths_must_be_definite_and_shortest() -> None:
    certificate = build()
    assert certificate[:2] == b"\x30\x82"
    body = certificate[4:]
    for header in (b"\x30\x80", b"\x30\x83\x00" + certificate[2:4], b"\x30\x85\x00\x00\x00" + certificate[2:4]):
        with pytest.raises(Malformed, match="DER length"):
            spki_of(header + body)


@pytest.mark.parametrize("octets", [b"", b"\x80", b"\x2a\x80", b"\x2a\x80\x01", b"\x01" * 65])
def test_identifiers_that_are_none(octets: bytes) -> None:
    with pytest.raises(Malformed, match="object identifier"):
        oid_text(octets)


@pytest.mark.parametrize("dotted", ["0.39", "1.3.6.1.5.5.7.3.2", "2.5.29.17", "2.999.1", "2.16.840.1.101.3.4.2.1"])
def test_identifiers_are_read_as_cryptography_writes_them(dotted: str) -> None:
    purpose = x509.ObjectIdentifier(dotted)
    certificate = build((x509.ExtendedKeyUsage([purpose]), False))
    assert CertificateFacts.from_der(certificate).extended_key_usages == (dotted,)


def test_facts_of_a_made_certificate_agree_with_cryptography() -> None:
    credential = Credential.generate(NAME, now=NOW)
    facts = CertificateFacts.from_der(credential.chain[0])
    theirs = x509.load_der_x509_certificate(credential.chain[0])
    assert facts.subject == theirs.subject.public_bytes()
    assert facts.issuer == theirs.issuer.public_bytes()
    assert facts.not_before == theirs.not_valid_before_utc.timestamp()
    assert facts.not_after == theirs.not_valid_after_utc.timestamp()
