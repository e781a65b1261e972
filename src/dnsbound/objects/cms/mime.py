"""The little of MIME that S/MIME stands on: header fields, multipart bodies, and the octets between them.

What was signed is signed octet for octet, so a message is cut up here and never written anew. Sections: RFC 5322
sections 2.2 and 3.6.2, RFC 2045 section 5, RFC 2046 section 5.1.
"""

import binascii
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser
from typing import Final, Self

from dnsbound.errors import Malformed
from dnsbound.names import MailboxName
from dnsbound.object_limits import CMS_OCTETS

MAX_HEADER_OCTETS: Final = 262_144
"""Of one header section; mail servers take a tenth of it."""
MAX_FIELD_CHARACTERS: Final = 4096
"""Of the fields that are looked into. What looks into them takes the square of their length, here and in `email`."""

_LINE: Final = 76
_BLANK_LINE: Final = re.compile(rb"(?:\A|\r?\n)\r?\n")
_LINE_END: Final = re.compile(rb"\r?\n")
_FIELD: Final = re.compile(rb"([!-9;-~]++)[ \t]*+:.*(?:\r?\n[ \t].*)*(?:\r?\n|\Z)")
_FOLD: Final = re.compile(r"\r?\n[ \t]+")
_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_FROM: Final = re.compile(r'(?:(?:"(?:[^"\\]|\\.)*"|[^"<>,;:@\\]*)\s*<([^<>\s]{1,320})>|([^<>\s",;:]{1,320}))')


@dataclass(frozen=True, slots=True)
class Entity:
    """A header section and a body. Octets as they came."""

    header: bytes
    """Whole fields with their line ends, without the empty line."""
    body: bytes
    fields: Message

    @classmethod
    def parse(cls, octets: bytes) -> Self:
        """Cut at the first empty line. Malformed when there is none, or the header section is too long."""
        if len(octets) > CMS_OCTETS.default:
            raise Malformed(f"the message is longer than {CMS_OCTETS.default} octets")
        blank = _BLANK_LINE.search(octets, 0, MAX_HEADER_OCTETS)
        if blank is None:
            raise Malformed("the message has no end of its header, or a header that is too long")
        header = octets[: blank.start()] + (b"\r\n" if blank.start() else b"")
        _expect_fields(header)
        return cls(header, octets[blank.end() :], BytesHeaderParser().parsebytes(header))

    @property
    def content_type(self) -> str:
        self.only("Content-Type")
        return self.fields.get_content_type()

    def parameter(self, name: str) -> str:
        """A parameter of Content-Type; empty without it. Malformed when it is encoded (RFC 2231)."""
        self.only("Content-Type")
        value = self.fields.get_param(name, "")
        if not isinstance(value, str):
            raise Malformed(f"parameter {name} of Content-Type is encoded")
        return value

    def only(self, name: str) -> str | None:
        """A field's value, unfolded; None without it. Malformed when it occurs twice, or is too long."""
        found = self.fields.get_all(name, [])
        if len(found) > 1:
            raise Malformed(f"the message has several {name} fields")
        if found and len(str(found[0])) > MAX_FIELD_CHARACTERS:
            raise Malformed(f"the {name} field is too long")
        return _FOLD.sub(" ", str(found[0])).strip() if found else None

    def header_of(self, *, content: bool) -> bytes:
        """The fields that describe the content, or all others but MIME-Version."""
        kept = []
        for match in _FIELD.finditer(self.header):
            name = match[1].lower()
            if name != b"mime-version" and name.startswith(b"content-") is content:
                kept.append(with_crlf(match[0]))
        return b"".join(kept)

    def base64_body(self) -> bytes:
        """What the body encodes. Malformed when it is not in base64."""
        if (self.only("Content-Transfer-Encoding") or "").lower() != "base64":
            raise Malformed(f"a part of type {self.content_type} is not in base64")
        try:
            return b64decode(b"".join(self.body.split()), validate=True)
        except (binascii.Error, ValueError):
            raise Malformed(f"a part of type {self.content_type} is not base64") from None

    def parts(self) -> list[bytes]:
        """The parts of a multipart body, octet for octet. Malformed without boundary or end."""
        boundary = self.parameter("boundary")
        if not _BOUNDARY.fullmatch(boundary):
            raise Malformed("the multipart message has no boundary, or one that is none")
        mark = re.compile(rb"(?:\A|\r?\n)--" + re.escape(boundary.encode("ascii")) + rb"(--)?[ \t]*(?:\r?\n|\Z)")
        parts: list[bytes] = []
        position: int | None = None
        offset = 0
        while (found := mark.search(self.body, offset)) is not None:
            if position is not None:
                parts.append(self.body[position : found.start()])
            if found[1]:
                return parts
            position = found.end()
            offset = found.end() - 1  # The line end before a boundary may be the one that ended the boundary before.
            if len(parts) > _MAX_PARTS:
                break
        raise Malformed("the multipart message has too many parts, or no end")


def _expect_fields(header: bytes) -> None:
    """Field after field, from the start of each: a search would begin anew at every octet of a line that is none."""
    offset = 0
    while offset < len(header):
        field = _FIELD.match(header, offset)
        if field is None:
            raise Malformed("the message's header has a line that is no field", offset)
        offset = field.end()


_MAX_PARTS: Final = 2
"""A signed message has no more."""


def sender_of(entity: Entity) -> MailboxName | None:
    """The one mailbox of the From field; None without the field. Malformed for several, and for what is no mailbox."""
    text = entity.only("From")
    if text is None:
        return None
    match = _FROM.fullmatch(text)
    if match is None:
        raise Malformed("the From field is not one mailbox")
    return MailboxName.parse(match[1] or match[2])


def with_crlf(octets: bytes) -> bytes:
    """Every line end as the network writes it (RFC 8551 section 3.1.1)."""
    return _LINE_END.sub(b"\r\n", octets)


def base64_lines(octets: bytes) -> bytes:
    text = b64encode(octets)
    return b"".join(text[start : start + _LINE] + b"\r\n" for start in range(0, len(text), _LINE))
