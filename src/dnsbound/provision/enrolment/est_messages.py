"""What EST puts into HTTP: base64 of PKCS#10 and of certs-only PKCS#7, HTTP Basic, and the attributes a request should
have. Plain functions between octets and values; nothing is decided here.

Sections: RFC 7030 sections 3.2.3, 4.1.3, 4.2.1, 4.2.3 and 4.5.2; RFC 8951 section 3.1 (base64 with or without line
breaks, whatever a Content-Transfer-Encoding says); RFC 7617 (Basic); RFC 4027 (text/dns).
"""

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import load_der_pkcs7_certificates, serialize_certificates

from dnsbound.credential.certificate_parsing import UNPARSABLE, certificate_from_der
from dnsbound.errors import Malformed
from dnsbound.limits import ENROLMENT_REQUEST_OCTETS

PATH: Final = "/.well-known/est"

PKCS10: Final = "application/pkcs10"
PKCS7: Final = "application/pkcs7-mime"
CERTS_ONLY: Final = "application/pkcs7-mime; smime-type=certs-only"
CSR_ATTRIBUTES: Final = "application/csrattrs"
RECORDS: Final = "text/dns"
"""Asked for by Accept: the published records in place of a certificate, for devices that use the bare key."""

CHALLENGE: Final = 'Basic realm="enrolment", charset="UTF-8"'

_P256_AND_SHA256: Final = bytes.fromhex("301506072a8648ce3d0201310a06082a8648ce3d03010706082a8648ce3d040302")
_CHALLENGE_PASSWORD: Final = bytes.fromhex("06092a864886f70d010907")

_PRIVATE_KEY: Final = b"PRIVATE KEY"
_LINE: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class BasicCredentials:
    """What HTTP Basic brings: for an enrolment the name, and the secret of its token."""

    user: str
    password: str = field(repr=False)

    @classmethod
    def parse(cls, values: Sequence[str]) -> Self | None:
        """Of the Authorization fields; None without Basic. Malformed when there is no sense in it."""
        if not any(value[:6].lower() == "basic " for value in values):
            return None
        if len(values) > 1:
            raise Malformed("several Authorization fields")
        try:
            decoded = base64.b64decode(values[0][6:].strip(), validate=True).decode("utf-8")
        except (binascii.Error, ValueError) as error:
            raise Malformed("HTTP Basic credentials are not base64") from error
        user, colon, password = decoded.partition(":")
        if not colon:
            raise Malformed("HTTP Basic credentials without a password")
        return cls(user=user, password=password)

    def to_text(self) -> str:
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode("ascii")


def wanted_attributes(*, linking: bool) -> bytes:
    """DER CsrAttrs (RFC 7030 section 4.5.2): a P-256 key, ECDSA with SHA-256, and the challengePassword where requests
    must be linked to their connection (section 3.5). It says what is preferred; other keys are taken too."""
    content = (_CHALLENGE_PASSWORD if linking else b"") + _P256_AND_SHA256
    return bytes([0x30, len(content)]) + content


def from_base64(body: bytes) -> bytes:
    """The DER octets of a body; Malformed for what is not base64, and for a private key in any clothes."""
    if len(body) > ENROLMENT_REQUEST_OCTETS.maximum:
        raise Malformed(f"the body is longer than {ENROLMENT_REQUEST_OCTETS.maximum} octets")
    if _PRIVATE_KEY in body:
        raise Malformed("the body holds a private key; nobody but the device may ever have that")
    try:
        return base64.b64decode(b"".join(body.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed("the body is not base64") from error


def to_base64(octets: bytes) -> bytes:
    """In lines, as every client reads it."""
    text = base64.b64encode(octets)
    return b"".join(text[start : start + _LINE] + b"\n" for start in range(0, len(text), _LINE))


def certs_only(certificates: Iterable[bytes]) -> bytes:
    """DER PKCS#7 that holds these DER certificates and no signature (RFC 5652 section 5.1)."""
    return serialize_certificates([certificate_from_der(octets) for octets in certificates], Encoding.DER)


def certificates_of(pkcs7: bytes) -> tuple[bytes, ...]:
    """DER of the certificates in a certs-only PKCS#7, in its order; Malformed."""
    try:
        return tuple(found.public_bytes(Encoding.DER) for found in load_der_pkcs7_certificates(pkcs7))
    except UNPARSABLE as error:
        raise Malformed(f"the answer is no certs-only PKCS#7: {error}") from error
