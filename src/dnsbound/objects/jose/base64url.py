"""base64url without padding (RFC 7515 section 2), read strictly: one octet string has one text.

Padding, white space, the alphabet of ordinary base64, a length that no octets have, and bits that stand for nothing
(RFC 4648 section 3.5) are all refused: what is signed or compared as text must not have two spellings.
"""

from binascii import Error, a2b_base64, b2a_base64
from typing import Final

from dnsbound.errors import Malformed

_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
_FROM_URL: Final = bytes.maketrans(b"-_", b"+/")


def encode(octets: bytes) -> bytes:
    return b2a_base64(octets, newline=False).translate(_TO_URL).rstrip(b"=")


def decode(text: bytes, what: str) -> bytes:
    """what: the thing being read, for errors. Malformed unless it is exactly what `encode` makes."""
    try:
        octets = a2b_base64(text.translate(_FROM_URL) + b"=" * (-len(text) % 4))
    except Error:
        raise Malformed(f"{what} is not base64url") from None
    if encode(octets) != text:
        raise Malformed(f"{what} is not base64url without padding, white space and loose bits")
    return octets


def decode_member(value: object, what: str) -> bytes:
    """The octets of a member of a JSON object."""
    if not isinstance(value, str) or not value.isascii():
        raise Malformed(f"{what} is not a base64url text")
    return decode(value.encode("ascii"), what)
