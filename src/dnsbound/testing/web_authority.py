"""A certificate authority for World's web servers: chains that ordinary clients verify by host name.

It has nothing to do with DANE: it stands for the public web PKI, so that tests have servers with verifiable names.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from dnsbound.credential.certificate import key_usage
from dnsbound.credential.credential import Credential
from dnsbound.errors import Malformed, Misuse
from dnsbound.names import ClientName

if TYPE_CHECKING:
    from dnsbound.times import Moment

_DAY: Final = dt.timedelta(days=1)
_LIFETIME: Final = dt.timedelta(days=30)


class WebAuthority:
    """One root. Certificates start a day before `now` and last 30 days unless a test wants them otherwise."""

    def __init__(self, common_name: str, *, now: Moment) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._now = now
        self._subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        self._root = (
            _builder(self._subject, self._subject, self._key.public_key(), now)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(key_usage(ca=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def root_pem(self) -> bytes:
        return self._root.public_bytes(serialization.Encoding.PEM)

    def issue(self, *names: str, now: Moment | None = None) -> Credential:
        """A fresh key and a server certificate for host names and IP addresses. now: another day to be issued on."""
        if not names:
            raise Misuse("a server certificate has at least one name")
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        leaf = (
            _builder(subject, self._subject, key.public_key(), self._now if now is None else now)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(key_usage(ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return Credential(_client_name(names[0]), key, (leaf.public_bytes(serialization.Encoding.DER),))


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, now: Moment
) -> x509.CertificateBuilder:
    issued = dt.datetime.fromtimestamp(int(now), dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(issued - _DAY)
        .not_valid_after(issued + _LIFETIME)
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _client_name(name: str) -> ClientName | None:
    try:
        return ClientName.parse(name)
    except Malformed:
        return None
