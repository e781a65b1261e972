"""base64url without padding (RFC 7515 section 2), read strictly: one octet string has one text.

Padding, white space, the alphabet of ordinary base64, a length that no octets have, and bits that stand for nothing
(RFC 4648 section 3.5) are all refused: what is signed or compared as text must not have two spellings.
"""

from binascii import Error, a2b_base64, b2a_base64
from typing import Final

from dnsbound.errors import Malformed

_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
_FROM_URL: Final = bytes.maketrans(b"-_+/=", b"+/!!!")
"""What is no character of base64url becomes one of no base64 at all."""
_PADDING: Final = (b"", b"", b"==", b"=")
"""By what the length leaves when it is divided by four."""
_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_LAST: Final = (
    frozenset(bytes([character]) for character in _ALPHABET) | {b""},
    frozenset[bytes](),
    frozenset(bytes([character]) for character in _ALPHABET[::16]),
    frozenset(bytes([character]) for character in _ALPHABET[::4]),
)
"""What the last character may be, so that it has no bits that stand for nothing."""


def encode(octets: bytes) -> bytes:
    return b2a_base64(octets, newline=False).translate(_TO_URL).rstrip(b"=")


def decode(text: bytes, what: str) -> bytes:
    """what: the thing being read, for errors. Malformed unless it is exactly what `encode` makes."""
    rest = len(text) % 4
    if text[-1:] not in _LAST[rest]:
        raise Malformed(f"{what} has a length, or a last character, that no octets have in base64url")
    try:
        return a2b_base64(text.translate(_FROM_URL) + _PADDING[rest], strict_mode=True)
    except Error:
        raise Malformed(f"{what} is not base64url without padding") from None


def decode_member(value: object, what: str) -> bytes:
    """The octets of a member of a JSON object."""
    if not isinstance(value, str) or not value.isascii():
        raise Malformed(f"{what} is not a base64url text")
    return decode(value.encode("ascii"), what)
