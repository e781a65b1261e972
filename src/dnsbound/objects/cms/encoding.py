"""Writing DER (ITU-T X.690 section 10): the few types that CMS structures are made of.

Parts are DER already; a function puts one element around them. Reading is `dnsbound.objects.cms.reading`.
"""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from dnsbound.credential import der
from dnsbound.errors import Misuse
from dnsbound.times import Moment

NULL: Final = b"\x05\x00"
_SET: Final = 0x31


def element(tag: int, *parts: bytes) -> bytes:
    """One element with the parts as its content."""
    content = b"".join(parts)
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def sequence(*parts: bytes) -> bytes:
    return element(der.SEQUENCE, *parts)


def set_of(*parts: bytes) -> bytes:
    """A SET OF, whose elements DER puts in order (X.690 section 11.6)."""
    return element(_SET, *sorted(parts))


def explicit(number: int, *parts: bytes) -> bytes:
    """A constructed element of the context class: `[number] EXPLICIT`, or `IMPLICIT` around constructed content."""
    return element(0xA0 | number, *parts)


def octet_string(octets: bytes) -> bytes:
    return element(der.OCTET_STRING, octets)


def bit_string(octets: bytes) -> bytes:
    """Whole octets as bits."""
    return element(0x03, b"\x00", octets)


def integer(value: int) -> bytes:
    """A non-negative INTEGER."""
    if value < 0:
        raise Misuse("negative numbers are not written here")
    return element(der.INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


@lru_cache(maxsize=256)
def identifier(dotted: str) -> bytes:
    """An OBJECT IDENTIFIER from its dotted decimal form."""
    first, second, *arcs = map(int, dotted.split("."))
    content = bytearray()
    for arc in (40 * first + second, *arcs):
        septets = [arc & 0x7F]
        while arc := arc >> 7:
            septets.append(0x80 | arc & 0x7F)
        content += bytes(reversed(septets))
    return element(der.OBJECT_IDENTIFIER, bytes(content))


def algorithm(dotted: str, parameters: bytes = b"") -> bytes:
    """An AlgorithmIdentifier (RFC 5280 section 4.1.1.2). parameters: DER, or nothing for none."""
    return sequence(identifier(dotted), parameters)


def time(moment: Moment) -> bytes:
    """A time by the rule of RFC 5652 section 11.3: UTCTime from 1950 to 2049, GeneralizedTime otherwise."""
    try:
        at = datetime.fromtimestamp(int(moment), UTC)
    except (OverflowError, ValueError, OSError):
        raise Misuse(f"{moment} is no moment of the calendar") from None
    if 1950 <= at.year < 2050:
        return element(der.UTC_TIME, at.strftime("%y%m%d%H%M%SZ").encode("ascii"))
    return element(der.GENERALIZED_TIME, f"{at.year:04}{at:%m%d%H%M%S}Z".encode("ascii"))
