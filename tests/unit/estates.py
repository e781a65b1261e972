"""Certificates for the tests of paths: authorities and clients with whatever fields a test asks for."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dnsbound.credential.keys import PrivateKey

NAME = "car54._device.cars.example"
NOW = 1_780_000_000.0

Extensions = Sequence[tuple[x509.ExtensionType, bool]]

AUTHORITY: Extensions = ((x509.BasicConstraints(ca=True, path_length=None), True),)
END_ENTITY: Extensions = (
    (x509.BasicConstraints(ca=False, path_length=None), True),
    (x509.SubjectAlternativeName([x509.DNSName(NAME)]), False),
)


def key_usage(*, sign: bool = False, certify: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=sign,
        content_commitment=False,
        key_encipherment=not sign and not certify,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certify,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


@dataclass
class Member:
    """One certificate of an estate with its key."""

    title: str
    issuer: "Member | None" = None
    extensions: Extensions = AUTHORITY
    key: PrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    start: int = 2020
    end: int = 2090
    digest: hashes.HashAlgorithm | None = None
    der: bytes = field(init=False)

    def __post_init__(self) -> None:
        issuer = self.issuer or self
        digest = self.digest
        if digest is None and isinstance(issuer.key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            digest = hashes.SHA256()
        builder = x509.CertificateBuilder().subject_name(self.subject).issuer_name(issuer.subject)
        builder = builder.public_key(self.key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(datetime(self.start, 1, 1, tzinfo=UTC))
        builder = builder.not_valid_after(datetime(self.end, 1, 1, tzinfo=UTC))
        for extension, critical in self.extensions:
            builder = builder.add_extension(extension, critical)
        self.der = builder.sign(issuer.key, digest).public_bytes(Encoding.DER)

    @property
    def subject(self) -> x509.Name:
        if not self.title:
            return x509.Name([])
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, self.title)])

    @property
    def spki(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def rsa_key(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)
