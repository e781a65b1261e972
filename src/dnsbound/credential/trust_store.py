"""Certificates as files that other TLS stacks trust: the name OpenSSL looks one up by, and which may be put there.

Whoever puts a certificate into a server's trust store trusts it for everything that server concludes from it. So one
that could sign others is never put there: its holder would make certificates in anybody's name. Nor is one that says
any other name than the one it was published under, wherever it says it. Sections: RFC 5280 sections 4.1.2.6, 4.2.1.6
and 4.2.1.9; X509_NAME_hash(3) and openssl-rehash(1). What this is not: a path, or a verdict.
"""

from hashlib import sha1
from typing import Final

from cryptography import x509

from dnsbound.credential import der
from dnsbound.credential.certificate_facts import CertificateFacts
from dnsbound.credential.certificate_parsing import UNPARSABLE, certificate_from_der
from dnsbound.errors import Malformed
from dnsbound.names import ClientName

_SET: Final = 0x31
_UTF8: Final = 0x0C
_DECODERS: Final = {
    _UTF8: "utf-8",
    0x13: "latin-1",  # PrintableString
    0x14: "latin-1",  # TeletexString, as OpenSSL takes it
    0x16: "latin-1",  # IA5String
    0x1A: "latin-1",  # VisibleString
    0x1C: "utf-32-be",  # UniversalString
    0x1E: "utf-16-be",  # BMPString
}
"""Types of text that are compared as text; others are compared octet by octet."""
_SPACES: Final = " \t\n\v\f\r"


def subject_hash(certificate: bytes) -> str:
    """The eight hexadecimal digits before the dot in the names of a directory of certificates (`openssl x509
    -subject_hash`): of the subject with its texts in lower case and their spaces made one. Malformed."""
    subject = CertificateFacts.from_der(certificate).subject
    # SHA-1 names a file here; nothing is trusted for having this name.
    digest = sha1(_canonical(subject), usedforsecurity=False).digest()
    return f"{int.from_bytes(digest[:4], 'little'):08x}"


def why_not_trusted(certificate: bytes, name: ClientName) -> str:
    """Why the certificate may not be put into anybody's trust store for this name; empty where it may."""
    try:
        facts = CertificateFacts.from_der(certificate)
        parsed = certificate_from_der(certificate)
        names = _names_in(parsed)
    except (Malformed, *UNPARSABLE) as error:
        return f"it does not parse: {error}"
    if facts.is_ca is not False:
        return "it does not say that it is no authority (basicConstraints with CA:FALSE), so it could sign for any name"
    for found in names:
        if found.lower() != name.canonical:
            return f"it says {found[:100]!r} as well, which a server could take for its name"
    if not facts.san_dns_names:
        return "it does not say its name as a dNSName"
    return ""


def _names_in(certificate: x509.Certificate) -> list[str]:
    """Every name that a server could read in it, as text."""
    found = [_plain(attribute) for attribute in certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
    found += [_plain(entry) for entry in certificate.subject.get_attributes_for_oid(x509.NameOID.EMAIL_ADDRESS)]
    found += [_plain(entry) for entry in certificate.subject.get_attributes_for_oid(x509.NameOID.USER_ID)]
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return found
    return found + [entry.value if isinstance(entry, x509.DNSName) else str(entry) for entry in alternative]


def _plain(attribute: x509.NameAttribute[str | bytes]) -> str:
    return attribute.value if isinstance(attribute.value, str) else attribute.value.hex()


def _canonical(subject: bytes) -> bytes:
    """The subject as OpenSSL compares it: without the sequence around it."""
    start, end = der.expect(subject, 0, len(subject), der.SEQUENCE, "subject")
    return b"".join(_canonical_set(subject, a, b) for _, a, b in der.elements(subject, start, end))


def _canonical_set(subject: bytes, start: int, end: int) -> bytes:
    entries = []
    for tag, a, b in der.elements(subject, start, end):
        if tag != der.SEQUENCE:
            raise Malformed("subject holds something else than attributes", a)
        type_start, type_end = der.expect(subject, a, b, der.OBJECT_IDENTIFIER, "type of an attribute")
        kind, value, value_end = der.read_element(subject, type_end, b)
        oid = _element(der.OBJECT_IDENTIFIER, subject[type_start:type_end])
        entries.append(_element(der.SEQUENCE, oid + _canonical_value(kind, subject[value:value_end])))
    return _element(_SET, b"".join(sorted(entries)))


def _canonical_value(kind: int, octets: bytes) -> bytes:
    encoding = _DECODERS.get(kind)
    if encoding is None:
        return _element(kind, octets)
    try:
        text = octets.decode(encoding)
    except UnicodeDecodeError:
        raise Malformed("subject holds a text that is none") from None
    words = text.strip(_SPACES)
    for space in _SPACES[1:]:
        words = words.replace(space, " ")
    words = " ".join(word for word in words.split(" ") if word)
    lowered = "".join(letter.lower() if letter.isascii() else letter for letter in words)
    return _element(_UTF8, lowered.encode("utf-8"))


def _element(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content
