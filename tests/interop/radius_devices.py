"""Devices with keys and certificates of every shape that supplicants carry, each published so that it is to be let in.

With DANE-EE(3) the key counts, and neither dates nor purposes nor the subject of the certificate around it (RFC 7671
section 5.1); with DANE-TA(2) the chain does.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from dnsbound.credential.certificate import self_signed
from dnsbound.credential.credential import Credential
from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.credential.keys import PrivateKey
from dnsbound.names import ClientName
from dnsbound.records.tlsa import TLSA
from dnsbound.testing.organisation import Organisation
from dnsbound.times import Moment

DAY: Final = 86_400
SERVER_AUTH: Final = "1.3.6.1.5.5.7.3.1"

Shape = Callable[[ClientName, Moment], tuple[Credential, TLSA]]


def _self_signed(key: PrivateKey, name: ClientName, now: Moment, **options: object) -> tuple[Credential, TLSA]:
    credential = Credential(name, key, (self_signed(key, name, now=now, **options),))  # type: ignore[arg-type]
    return credential, credential.tlsa()


def _expired(name: ClientName, now: Moment) -> tuple[Credential, TLSA]:
    return _self_signed(ec.generate_private_key(ec.SECP256R1()), name, now - 400 * DAY, lifetime=30 * DAY)


def _for_servers(name: ClientName, now: Moment) -> tuple[Credential, TLSA]:
    return _self_signed(ec.generate_private_key(ec.SECP256R1()), name, now, extended_key_usages=(SERVER_AUTH,))


def _without_subject(name: ClientName, now: Moment) -> tuple[Credential, TLSA]:
    """What `openssl req -x509 -subj /` makes: also CA:TRUE, and no purposes."""
    key = ec.generate_private_key(ec.SECP256R1())
    shown = Credential.generate(name, now=now).chain[0]
    dated = x509.load_der_x509_certificate(shown)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(dated.not_valid_before_utc)
        .not_valid_after(dated.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name.canonical)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    credential = Credential(name, key, (certificate.public_bytes(Encoding.DER),))
    return credential, credential.tlsa()


def _under_an_authority(name: ClientName, now: Moment) -> tuple[Credential, TLSA]:
    """Leaf, intermediate and root of the owner's own; the record names the root."""
    root = CertificateAuthority.create("cars.example root", now=now)
    return root.intermediate("cars.example issuing", now=now).issue(name, now=now), root.tlsa()


SHAPES: Final[Mapping[str, Shape]] = MappingProxyType(
    {
        "P-256": lambda name, now: _self_signed(ec.generate_private_key(ec.SECP256R1()), name, now),
        "P-384": lambda name, now: _self_signed(ec.generate_private_key(ec.SECP384R1()), name, now),
        "Ed25519": lambda name, now: _self_signed(ed25519.Ed25519PrivateKey.generate(), name, now),
        "RSA-4096": lambda name, now: _self_signed(rsa.generate_private_key(65537, 4096), name, now),
        "expired": _expired,
        "for servers": _for_servers,
        "without a subject": _without_subject,
        "under an authority": _under_an_authority,
    }
)


def device_of_shape(organisation: Organisation, label: str, shape: str, *, now: Moment) -> Credential:
    """A device `<label>._device.<organisation>` of this shape, published."""
    name = ClientName.parse(f"{label}._device.{organisation.name}")
    credential, record = SHAPES[shape](name, now)
    organisation.publish(name.text, record)
    return credential
