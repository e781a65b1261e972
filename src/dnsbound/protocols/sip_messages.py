"""SIP over streams: where one message ends and the next begins, and its header fields one by one.

Over a stream Content-Length alone says where a message ends, so there is exactly one in each (RFC 3261 section 18.3).
Heads are read whole and within limits; folded fields are unfolded, since who reads them next may not know folding.
Bodies are counted and passed on, not kept. Empty lines between messages are keep-alives (RFC 5626 section 4.4.1).
What this is not: a parser of SIP's values; of URIs and identities there is `dnsbound.protocols.sip_identity`.

Sections: RFC 3261 sections 7, 18.3 and 20; RFC 5626 section 4.4.1.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Self, TypeAlias

from dnsbound.door_limits import SIP_BODY_OCTETS, SIP_HEADER_OCTETS, SIP_HEADERS
from dnsbound.errors import LimitExceeded, Malformed

Fields: TypeAlias = tuple[tuple[bytes, bytes], ...]

_COMPACT: Final[Mapping[bytes, bytes]] = MappingProxyType(
    {b"f": b"from", b"t": b"to", b"v": b"via", b"i": b"call-id", b"l": b"content-length", b"m": b"contact"}
    | {b"c": b"content-type", b"e": b"content-encoding", b"s": b"subject", b"k": b"supported", b"o": b"event"}
    | {b"r": b"refer-to", b"b": b"referred-by", b"x": b"session-expires", b"u": b"allow-events", b"y": b"identity"}
    | {b"n": b"identity-info", b"a": b"accept-contact", b"j": b"reject-contact", b"d": b"request-disposition"}
)
"""RFC 3261 section 20 and the registry of SIP header fields."""
_TOKEN: Final = rb"[A-Za-z0-9.!%*_+`'~-]+"
_REQUEST: Final = re.compile(rb"(" + _TOKEN + rb") ([\x21-\x7e]+) SIP/2\.0")
_RESPONSE: Final = re.compile(rb"SIP/2\.0 ([1-6][0-9]{2}) .*")
_FIELD: Final = re.compile(rb"(" + _TOKEN + rb")[ \t]*:[ \t]*(.*)")
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_LENGTH: Final = re.compile(rb"[0-9]{1,10}")
_BLANK: Final = b"\r\n"
_END: Final = b"\r\n\r\n"


def canonical(name: bytes) -> bytes:
    """A field's name in lower case and in full."""
    lower = name.lower()
    return _COMPACT.get(lower, lower)


@dataclass(frozen=True, slots=True, kw_only=True)
class SipHead:
    """A message without its body. start_line: without CRLF. method: of a request, None for a response. fields: names
    and values in order, as they came but for folding. body_octets: what Content-Length says."""

    start_line: bytes
    method: bytes | None
    fields: Fields
    body_octets: int

    @classmethod
    def from_wire(cls, octets: bytes) -> Self:
        """octets: up to and with the empty line. Malformed, or LimitExceeded for too many fields."""
        start_line, *lines = _unfolded(octets.removesuffix(_END))
        if len(lines) > SIP_HEADERS.default:
            raise LimitExceeded(SIP_HEADERS.name, "fields of one message")
        request = _REQUEST.fullmatch(start_line)
        if request is None and _RESPONSE.fullmatch(start_line) is None:
            raise Malformed("neither a SIP request nor a response")
        fields = tuple(_field(line) for line in lines)
        lengths = [value for name, value in fields if canonical(name) == b"content-length"]
        if len(lengths) != 1 or _LENGTH.fullmatch(lengths[0]) is None:
            raise Malformed("a SIP message without exactly one Content-Length")
        if int(lengths[0]) > SIP_BODY_OCTETS.default:
            raise LimitExceeded(SIP_BODY_OCTETS.name, "the body of one message")
        return cls(
            start_line=start_line,
            method=None if request is None else request[1],
            fields=fields,
            body_octets=int(lengths[0]),
        )

    def to_wire(self) -> bytes:
        lines = [name + b": " + value for name, value in self.fields]
        return _BLANK.join([self.start_line, *lines]) + _END

    def values(self, name: bytes) -> tuple[bytes, ...]:
        """Of every field of this name, given in lower case and in full."""
        return tuple(value for each, value in self.fields if canonical(each) == name)

    def only(self, name: bytes) -> bytes:
        """Of the one field of this name; Malformed when there is none or another."""
        found = self.values(name)
        if len(found) != 1:
            raise Malformed(f"a SIP message with {len(found)} fields {name.decode('ascii')}")
        return found[0]


def _unfolded(head: bytes) -> list[bytes]:
    lines: list[bytes] = []
    for line in head.split(_BLANK):
        if _CONTROL.search(line):
            raise Malformed("a control character, or a bare CR or LF, in a SIP message")
        if line[:1] in (b" ", b"\t") and lines:
            lines[-1] += b" " + line.strip(b" \t")
        else:
            lines.append(line)
    return lines


def _field(line: bytes) -> tuple[bytes, bytes]:
    found = _FIELD.fullmatch(line)
    if found is None:
        raise Malformed("a line of a SIP message that is no header field")
    return found[1], found[2].rstrip(b" \t")


class SipStream:
    """Cuts one direction of a connection into heads, pieces of bodies, and keep-alives."""

    __slots__ = ("_body", "_kept")

    def __init__(self) -> None:
        self._kept = bytearray()
        self._body = 0

    def receive(self, octets: bytes) -> None:
        """Keep what was said for `next`."""
        self._kept += octets

    def next(self) -> SipHead | bytes | None:
        """A head; or octets to pass on, of the body before it or a keep-alive; None until more is heard.

        Malformed or LimitExceeded for what is no message; nothing behind it can be told apart any more.
        """
        if not self._kept:
            return None
        if self._body:
            piece = bytes(self._kept[: self._body])
            del self._kept[: len(piece)]
            self._body -= len(piece)
            return piece
        if self._kept.startswith(_BLANK):
            del self._kept[: len(_BLANK)]
            return _BLANK
        return self._head()

    @property
    def body_left(self) -> int:
        """Octets of the present message's body that are still to come."""
        return self._body

    def _head(self) -> SipHead | None:
        end = self._kept.find(_END, 0, SIP_HEADER_OCTETS.default)
        if end < 0:
            if len(self._kept) >= SIP_HEADER_OCTETS.default:
                raise LimitExceeded(SIP_HEADER_OCTETS.name, "the head of one message")
            return None
        head = SipHead.from_wire(bytes(self._kept[: end + len(_END)]))
        del self._kept[: end + len(_END)]
        self._body = head.body_octets
        return head
