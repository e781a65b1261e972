"""Parsing whole certificates with `cryptography`, and every way in which that fails made one: Malformed.

What the hot path needs of a certificate is read without parsing it all (`certificate_facts`).
"""

from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from dnsbound.errors import Malformed

UNPARSABLE: Final = (
    ValueError,
    TypeError,
    # The next four have no base in common but Exception.
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    Warning,
)
"""What `cryptography` raises, while parsing or on first use, for octets that are not a good certificate or request."""


def certificate_from_der(octets: bytes) -> x509.Certificate:
    """A DER certificate, or Malformed."""
    try:
        return x509.load_der_x509_certificate(octets)
    except UNPARSABLE as error:
        raise Malformed(f"certificate does not parse: {error}") from error


def der_from_pem(block: bytes) -> bytes:
    """The DER octets of one PEM block, or Malformed."""
    try:
        return x509.load_pem_x509_certificate(block).public_bytes(Encoding.DER)
    except UNPARSABLE as error:
        raise Malformed("certificate does not parse as PEM") from error
