"""Where certificates of users, and those of PKIX-CD, are read."""

from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ObjectIdentifier

from dnsbound.credential.pkix_cd import authority_path, check
from dnsbound.errors import Refused
from dnsbound.names import ClientName
from dnsbound.verify.users import uids_in
from fuzz.target import Target

NOW = 1_790_000_000.0
DOMAIN = ClientName.parse("cars.example")
UID = ObjectIdentifier("0.9.2342.19200300.100.1.1")
SMTP_UTF8_MAILBOX = ObjectIdentifier("1.3.6.1.5.5.7.8.9")


def seeds() -> list[bytes]:
    key = ed25519.Ed25519PrivateKey.generate()
    names = [
        x509.DNSName(DOMAIN.text),
        x509.OtherName(UID, b"\x0c\x03ann"),
        x509.OtherName(SMTP_UTF8_MAILBOX, b"\x0c\x10ann@cars.example"),
        x509.RFC822Name("ann@cars.example"),
    ]
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.fromtimestamp(NOW - 60, UTC))
        .not_valid_after(datetime.fromtimestamp(NOW + 60, UTC))
        .add_extension(x509.SubjectAlternativeName(names), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    return [builder.sign(key, None).public_bytes(Encoding.DER)]


def path(octets: bytes) -> object:
    """A certificate that is to be its own authority: nothing is."""
    try:
        check(octets, (octets,), name=DOMAIN, now=NOW)
    except Refused as refused:
        return refused.reason
    raise AssertionError


USER_CERTIFICATE_TARGETS: dict[str, Target] = {
    "user-certificate": Target(lambda octets: uids_in(octets, DOMAIN), seeds),
    "pkix-cd-authority": Target(authority_path, seeds),
    "pkix-cd-path": Target(path, seeds),
}
