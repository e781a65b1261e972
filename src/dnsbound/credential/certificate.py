"""Making X.509 certificates for clients: self-signed ones, and what an issuing authority signs.

The name stands in the subjectAltName as a dNSName, underscores included, and as common name where it fits. A verifier
of usage 3 reads neither (RFC 7671 section 5.1); usages 0 to 2 compare the dNSName. Sections: RFC 5280 section 4.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from dnsbound.credential.certificate_facts import CLIENT_AUTH
from dnsbound.credential.keys import PrivateKey, PublicKey
from dnsbound.credential.signing_key import sign_built
from dnsbound.errors import Misuse
from dnsbound.names import ClientName
from dnsbound.times import Moment, Seconds

DAY: Final = 86_400.0
CLIENT_LIFETIME: Final[Seconds] = 3650 * DAY
"""Ten years: the record in the DNS ends an identity, and a front that looks at dates must not end it earlier."""
ISSUED_LIFETIME: Final[Seconds] = 365 * DAY
AUTHORITY_LIFETIME: Final[Seconds] = 3650 * DAY
BACKDATED: Final[Seconds] = 300.0
"""notBefore lies this far back, for verifiers whose clock is behind."""

_MAX_COMMON_NAME: Final = 64
_LAST_MOMENT: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """Who signs: the key, the subject it signs under, and the key identifier others find it by."""

    key: PrivateKey
    subject: x509.Name
    key_identifier: x509.SubjectKeyIdentifier


def self_signed(
    key: PrivateKey,
    name: ClientName | None,
    *,
    now: Moment,
    lifetime: Seconds = CLIENT_LIFETIME,
    extended_key_usages: Sequence[str] = (CLIENT_AUTH,),
) -> bytes:
    """DER of a certificate that the key signs for itself. name: None makes one without any name.

    extended_key_usages: dotted decimal; empty leaves the extension out.
    """
    public_key = key.public_key()
    issuer = Issuer(
        key=key, subject=client_subject(name), key_identifier=x509.SubjectKeyIdentifier.from_public_key(public_key)
    )
    return client_certificate(
        public_key, name, issuer=issuer, now=now, lifetime=lifetime, extended_key_usages=extended_key_usages
    )


def client_certificate(
    public_key: PublicKey,
    name: ClientName | None,
    *,
    issuer: Issuer,
    now: Moment,
    lifetime: Seconds = ISSUED_LIFETIME,
    extended_key_usages: Sequence[str] = (CLIENT_AUTH,),
) -> bytes:
    """DER of an end-entity certificate for the name."""
    subject = client_subject(name)
    builder = _dated(now, lifetime).subject_name(subject).issuer_name(issuer.subject).public_key(public_key)
    builder = _with_key_identifiers(builder, public_key, issuer)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(key_usage(ca=False), critical=True)
    if name is not None:
        # RFC 5280 section 4.2.1.6: critical when the subject is empty.
        alternative = x509.SubjectAlternativeName([x509.DNSName(name.canonical)])
        builder = builder.add_extension(alternative, critical=subject == x509.Name([]))
    if extended_key_usages:
        purposes = [x509.ObjectIdentifier(purpose) for purpose in extended_key_usages]
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    return _signed(builder, issuer.key)


def authority_certificate(
    public_key: PublicKey,
    common_name: str,
    *,
    issuer: Issuer,
    now: Moment,
    lifetime: Seconds,
    path_length: int | None,
) -> bytes:
    """DER of a certificate that may sign others. path_length: authorities allowed below it; None sets no bound."""
    builder = _dated(now, lifetime).subject_name(authority_subject(common_name)).issuer_name(issuer.subject)
    builder = _with_key_identifiers(builder.public_key(public_key), public_key, issuer)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
    builder = builder.add_extension(key_usage(ca=True), critical=True)
    return _signed(builder, issuer.key)


def authority_subject(common_name: str) -> x509.Name:
    if not 1 <= len(common_name) <= _MAX_COMMON_NAME:
        raise Misuse(f"an authority's name has from 1 to {_MAX_COMMON_NAME} characters")
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])


def client_subject(name: ClientName | None) -> x509.Name:
    """A common name of at most 64 characters (RFC 5280 appendix A.1, ub-common-name); otherwise empty."""
    if name is None or len(name.canonical) > _MAX_COMMON_NAME:
        return x509.Name([])
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name.canonical)])


def _dated(now: Moment, lifetime: Seconds) -> x509.CertificateBuilder:
    if lifetime <= 0:
        raise Misuse("a certificate's lifetime must be longer than nothing")
    try:
        start = datetime.fromtimestamp(int(now - BACKDATED), UTC)
    except (OverflowError, ValueError, OSError):
        raise Misuse(f"{now} is no moment a certificate can start at") from None
    try:
        end = min(datetime.fromtimestamp(int(now + lifetime), UTC), _LAST_MOMENT)
    except (OverflowError, ValueError, OSError):
        end = _LAST_MOMENT
    serial = x509.random_serial_number()
    return x509.CertificateBuilder().serial_number(serial).not_valid_before(start).not_valid_after(end)


def _with_key_identifiers(
    builder: x509.CertificateBuilder, public_key: PublicKey, issuer: Issuer
) -> x509.CertificateBuilder:
    own = x509.SubjectKeyIdentifier.from_public_key(public_key)
    builder = builder.add_extension(own, critical=False)
    if own == issuer.key_identifier:
        return builder
    authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer.key_identifier)
    return builder.add_extension(authority, critical=False)


def key_usage(*, ca: bool) -> x509.KeyUsage:
    """An authority signs certificates and revocations; everybody else signs handshakes."""
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _signed(builder: x509.CertificateBuilder, key: PrivateKey) -> bytes:
    certificate: x509.Certificate = sign_built(builder, key)
    return certificate.public_bytes(Encoding.DER)
