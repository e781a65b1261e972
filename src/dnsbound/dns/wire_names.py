"""Names in DNS messages, compressed or not (RFC 1035 section 4.1.4), read without building more than is needed."""

from typing import Final, TypeAlias

from dnsbound.dns.canonical import Key
from dnsbound.errors import Malformed

Labels: TypeAlias = tuple[bytes, ...]
"""Labels as they stand on the wire, leftmost first, without the root."""

_MAX_OCTETS: Final = 255


def read_name(wire: bytes, at: int) -> tuple[Labels, int]:
    """The labels of the name at an offset, and the offset behind it; Malformed if it has none of the allowed forms.

    A compression pointer must lead backwards, further than any before it, so that reading always ends.
    """
    labels: list[bytes] = []
    behind = -1
    lowest = at
    octets = 1
    try:
        while length := wire[at]:
            if length < 64:
                at += 1
                octets += length + 1
                if octets > _MAX_OCTETS or at + length > len(wire):
                    raise Malformed("DNS name is too long", at)
                labels.append(wire[at : at + length])
                at += length
            elif length >= 192:
                target = (length & 0x3F) << 8 | wire[at + 1]
                if behind < 0:
                    behind = at + 2
                if target >= lowest:
                    raise Malformed("DNS name has a compression pointer that leads forward", at)
                at = lowest = target
            else:
                raise Malformed("DNS name has a label of an unknown kind", at)
    except IndexError:
        raise Malformed("DNS name is cut short", at) from None
    return tuple(labels), at + 1 if behind < 0 else behind


def key_of_labels(labels: Labels) -> Key:
    """The canonical Key of labels as `read_name` gives them."""
    return tuple([label.lower() for label in reversed(labels)])
