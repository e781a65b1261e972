"""Revocation lists of private authorities (RFC 5280 section 5), read so that what they list can be blocked in the DNS.

Verifiers of DANE do not read such lists: under a wildcard record of an authority a certificate that is only listed
still logs in. A list counts here when an authority of the inventory, or one that it certified, signed it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from dnsbound.credential.certificate_parsing import UNPARSABLE, certificate_from_der
from dnsbound.errors import Malformed
from dnsbound.times import Moment

_PEM: Final = b"-----BEGIN X509 CRL-----"


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationList:
    """One list."""

    issuer: str
    """RFC 4514 text."""
    issued_at: Moment
    next_at: Moment | None
    """When a newer list is due; None where the list does not say."""
    _list: x509.CertificateRevocationList = field(repr=False, compare=False)

    @classmethod
    def parse(cls, octets: bytes) -> Self:
        """Read PEM or DER; Malformed."""
        load = x509.load_pem_x509_crl if _PEM in octets else x509.load_der_x509_crl
        try:
            found = load(octets)
            next_at = found.next_update_utc
            return cls(
                issuer=found.issuer.rfc4514_string(),
                issued_at=found.last_update_utc.timestamp(),
                next_at=None if next_at is None else next_at.timestamp(),
                _list=found,
            )
        except UNPARSABLE:
            raise Malformed("this is no certificate revocation list in PEM or DER") from None

    def signer_among(self, authorities: Iterable[bytes]) -> bytes | None:
        """The first of these DER certificates that issued and signed the list, or None."""
        for der in authorities:
            try:
                authority = certificate_from_der(der)
                if authority.subject == self._list.issuer and self._list.is_signature_valid(authority.public_key()):  # type: ignore[arg-type] # a key of another kind is a TypeError
                    return der
            except (*UNPARSABLE, Malformed, InvalidSignature, UnsupportedAlgorithm, TypeError):
                continue
        return None

    def lists(self, certificate: bytes) -> bool:
        """Whether the list's authority issued this DER certificate and the list revokes it. Malformed."""
        try:
            asked = certificate_from_der(certificate)
            if asked.issuer != self._list.issuer:
                return False
            entry = self._list.get_revoked_certificate_by_serial_number(asked.serial_number)
            return entry is not None and not _is_removal(entry)
        except UNPARSABLE as error:
            raise Malformed(f"a certificate does not parse: {error}") from None

    @property
    def length(self) -> int:
        """How many certificates it lists."""
        return len(self._list)


def issued_by(certificate: bytes, authority: bytes) -> bool:
    """Whether one DER certificate issued and signed another."""
    try:
        certificate_from_der(certificate).verify_directly_issued_by(certificate_from_der(authority))
    except (*UNPARSABLE, Malformed, InvalidSignature, UnsupportedAlgorithm, TypeError):
        return False
    return True


def _is_removal(entry: x509.RevokedCertificate) -> bool:
    """RFC 5280 section 5.3.1: removeFromCRL, of a delta list, takes a certificate off hold."""
    try:
        reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    except x509.ExtensionNotFound:
        return False
    return reason is x509.ReasonFlags.remove_from_crl
