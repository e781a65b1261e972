"""Which certificate of a CMS message is the signer's, and whose name it shows.

A signer is identified by issuer and serial number, or by key identifier (RFC 5652 section 5.3): both are hints, found
in the message itself. What counts is the key the signature verifies with, and its record in the DNS. Sections: RFC 5652
sections 5.1, 5.3 and 10.2.3, RFC 5035 section 5.4 (ESSCertIDv2), RFC 8551 section 4.4.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from cryptography.x509 import ExtensionNotFound, RFC822Name, SubjectAlternativeName, SubjectKeyIdentifier

from dnsbound.credential import der
from dnsbound.credential.certificate_facts import may_sign, san_dns_names
from dnsbound.credential.certificate_parsing import UNPARSABLE, certificate_from_der
from dnsbound.errors import Malformed
from dnsbound.names import ClientName, MailboxName, mailboxes_among
from dnsbound.objects.cms import encoding
from dnsbound.objects.cms.reading import Cursor

_KEY_IDENTIFIER: Final = 0x80


@dataclass(frozen=True, slots=True)
class SignerIdentifier:
    """One of the two ways to point at a certificate."""

    issuer_and_serial: bytes | None = None
    """DER IssuerAndSerialNumber."""
    key_identifier: bytes | None = None

    @classmethod
    def take(cls, cursor: Cursor) -> Self:
        """The SignerIdentifier, or RecipientIdentifier, that comes next."""
        if cursor.next_tag == _KEY_IDENTIFIER:
            return cls(key_identifier=cursor.take(_KEY_IDENTIFIER, "subjectKeyIdentifier"))
        if cursor.next_tag != der.SEQUENCE:
            raise Malformed("the signer is identified neither by issuer and serial number nor by key")
        return cls(issuer_and_serial=cursor.take_raw())

    @property
    def version(self) -> int:
        """What the version beside it must be (RFC 5652 section 5.3)."""
        return 1 if self.key_identifier is None else 3

    def names(self, certificate: bytes) -> bool:
        """Whether it is this certificate's; Malformed where that cannot be read."""
        if self.issuer_and_serial is not None:
            return issuer_and_serial_of(certificate) == self.issuer_and_serial
        return key_identifier_of(certificate) == self.key_identifier


def issuer_and_serial_of(certificate: bytes) -> bytes:
    """DER IssuerAndSerialNumber, octet for octet what the certificate has."""
    fields = Cursor.whole(certificate, "certificate").enter(der.SEQUENCE, "TBSCertificate")
    fields.enter_optional(0xA0, "version")
    serial = fields.take(der.INTEGER, "serialNumber")
    fields.take(der.SEQUENCE, "signature")
    issuer = fields.take(der.SEQUENCE, "issuer")
    return encoding.sequence(encoding.sequence(issuer), encoding.element(der.INTEGER, serial))


def key_identifier_of(certificate: bytes) -> bytes | None:
    """The subjectKeyIdentifier extension; None without one."""
    try:
        found = certificate_from_der(certificate).extensions.get_extension_for_class(SubjectKeyIdentifier)
    except ExtensionNotFound:
        return None
    except UNPARSABLE as error:
        raise Malformed(f"certificate's extensions do not parse: {error}") from error
    return found.value.digest


def signer_first(certificates: Sequence[bytes], signer: SignerIdentifier) -> tuple[bytes, ...]:
    """The certificates, the signer's own before the others; nothing when it is not among them."""
    for position, certificate in enumerate(certificates):
        if signer.names(certificate):
            if not may_sign(certificate):
                raise Malformed("the signer's certificate has a key that is not for signatures (keyUsage)")
            return (certificate, *certificates[:position], *certificates[position + 1 :])
    return ()


def signer_in(certificate: bytes) -> ClientName:
    """Whom the certificate is for: its one dNSName, or, without any, its one mailbox. Malformed otherwise."""
    mailboxes = () if san_dns_names(certificate) else mailboxes_in(certificate)
    return mailboxes[0] if len(mailboxes) == 1 else name_in(certificate)


def name_in(certificate: bytes) -> ClientName:
    """Whom the certificate is for: its one dNSName. Malformed when it shows none, or several."""
    names = san_dns_names(certificate)
    if len(names) != 1:
        raise Malformed(
            f"the signer's certificate shows {len(names) or 'no'} dNSName{'s' if len(names) > 1 else ''}, not one"
        )
    return ClientName.parse(names[0])


def mailboxes_in(certificate: bytes) -> tuple[MailboxName, ...]:
    """Every rfc822Name of the certificate's subjectAltName that can be an identity; empty without any (RFC 8551 section
    3: addresses in the subject are not looked at)."""
    try:
        extensions = certificate_from_der(certificate).extensions
        alternative = extensions.get_extension_for_class(SubjectAlternativeName).value
        texts = alternative.get_values_for_type(RFC822Name)
    except ExtensionNotFound:
        return ()
    except UNPARSABLE as error:
        raise Malformed(f"certificate's extensions do not parse: {error}") from error
    return mailboxes_among(texts)
