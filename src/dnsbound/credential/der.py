"""Reading DER (ITU-T X.690 section 10): one element at a time, definite and shortest lengths only.

This is not an ASN.1 library. It exists because a TLSA record is matched against the exact octets of a certificate's
SubjectPublicKeyInfo (RFC 6698 section 2.1.2), also in certificates whose other parts a strict parser refuses, and on
the hot path of every verification.
"""

from collections.abc import Iterator
from typing import Final

from dnsbound.errors import Malformed

BOOLEAN: Final = 0x01
INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OCTET_STRING: Final = 0x04
OBJECT_IDENTIFIER: Final = 0x06
UTC_TIME: Final = 0x17
GENERALIZED_TIME: Final = 0x18
SEQUENCE: Final = 0x30
"""Identifier octets of the universal types that certificates are made of (X.690 section 8.1.2)."""


def read_element(octets: bytes, offset: int, end: int) -> tuple[int, int, int]:
    """Tag, start of content and end of content of the element at `offset`, which must lie within `end`."""
    start = offset + 2
    if start > end:
        raise Malformed("DER element is cut short", offset)
    tag = octets[offset]
    if tag & 0x1F == 0x1F:
        raise Malformed("DER tag number above 30", offset)
    length = octets[offset + 1]
    if length >= 0x80:
        count = length & 0x7F
        if not 1 <= count <= 4 or start + count > end:
            raise Malformed("DER length is indefinite, too long or cut short", offset + 1)
        length = int.from_bytes(octets[start : start + count], "big")
        if length < 0x80 or length >> (8 * (count - 1)) == 0:
            raise Malformed("DER length is not the shortest", offset + 1)
        start += count
    stop = start + length
    if stop > end:
        raise Malformed("DER element is cut short", offset)
    return tag, start, stop


def expect(octets: bytes, offset: int, end: int, tag: int, what: str) -> tuple[int, int]:
    """Start and end of the content of the element at `offset`, which must have `tag`. what: for the error."""
    found, start, stop = read_element(octets, offset, end)
    if found != tag:
        raise Malformed(f"{what} has DER tag {found:#04x}, not {tag:#04x}", offset)
    return start, stop


def elements(octets: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Tag, start and end of each element between `start` and `end`, which they must fill exactly."""
    offset = start
    while offset < end:
        tag, content, offset = read_element(octets, offset, end)
        yield tag, content, offset


def oid_text(octets: bytes) -> str:
    """Dotted decimal form of an OBJECT IDENTIFIER's content (X.690 section 8.19)."""
    if not octets or octets[-1] & 0x80 or len(octets) > 64:
        raise Malformed("object identifier is empty, cut short or too long")
    arcs: list[int] = []
    value = 0
    for octet in octets:
        if value == 0 and octet == 0x80:
            raise Malformed("object identifier has a padded arc")
        value = value << 7 | octet & 0x7F
        if not octet & 0x80:
            arcs.append(value)
            value = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))
