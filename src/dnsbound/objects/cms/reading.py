"""Reading CMS structures: a cursor over DER, and what makes DER of the BER that mail programs stream.

CMS may be written in BER (RFC 5652 section 4). In use is one form of it: indefinite lengths from the outermost element
down, with octet strings in pieces. That is turned into DER once, within bounds, and everything is then read strictly;
what is not that form must be DER from the start.
"""

from datetime import UTC, datetime
from typing import Final, Self

from dnsbound.budget import Budget
from dnsbound.credential import der
from dnsbound.errors import Malformed
from dnsbound.object_limits import CMS_ELEMENTS, CMS_OCTETS
from dnsbound.objects.cms import encoding
from dnsbound.times import Moment

MAX_DEPTH: Final = 32
"""Of elements in elements; a signed message with certificates needs about twelve."""

_CONSTRUCTED: Final = 0x20
_INDEFINITE: Final = 0x80
_OCTET_STRING_IN_PIECES: Final = der.OCTET_STRING | _CONSTRUCTED
_TIME_FORMATS: Final = {der.UTC_TIME: (13, "%y%m%d%H%M%SZ"), der.GENERALIZED_TIME: (15, "%Y%m%d%H%M%SZ")}


class Cursor:
    """Takes the elements of one constructed element one after the other. what: its name, for errors."""

    __slots__ = ("_end", "_octets", "_offset", "_what")

    def __init__(self, octets: bytes, what: str, start: int = 0, end: int | None = None) -> None:
        self._octets = octets
        self._what = what
        self._offset = start
        self._end = len(octets) if end is None else end

    @classmethod
    def whole(cls, octets: bytes, what: str, tag: int = der.SEQUENCE) -> Self:
        """The content of the one element that the octets are."""
        start, end = der.expect(octets, 0, len(octets), tag, what)
        if end != len(octets):
            raise Malformed(f"{what} has {len(octets) - end} octets too many", end)
        return cls(octets, what, start, end)

    @property
    def next_tag(self) -> int | None:
        """The first octet of the next element; None at the end."""
        return self._octets[self._offset] if self._offset < self._end else None

    def enter(self, tag: int, what: str) -> "Cursor":
        """Into the next element, which must be there."""
        start, end = der.expect(self._octets, self._offset, self._end, tag, what)
        self._offset = end
        return Cursor(self._octets, what, start, end)

    def enter_optional(self, tag: int, what: str) -> "Cursor | None":
        return self.enter(tag, what) if self.next_tag == tag else None

    def take(self, tag: int, what: str) -> bytes:
        """The content of the next element."""
        start, end = der.expect(self._octets, self._offset, self._end, tag, what)
        self._offset = end
        return self._octets[start:end]

    def take_raw(self) -> bytes:
        """The next element, whatever it is, with its tag and length."""
        start = self._offset
        _, _, self._offset = der.read_element(self._octets, start, self._end)
        return self._octets[start : self._offset]

    def take_identifier(self, what: str) -> str:
        return der.oid_text(self.take(der.OBJECT_IDENTIFIER, what))

    def take_number(self, what: str) -> int:
        """A non-negative INTEGER of at most four octets, such as a version."""
        content = self.take(der.INTEGER, what)
        padded = len(content) > 1 and content[0] == 0 and content[1] < 0x80
        if not 1 <= len(content) <= 4 or content[0] & 0x80 or padded:
            raise Malformed(f"{what} is no small number", self._offset)
        return int.from_bytes(content, "big")

    def take_algorithm(self, what: str) -> tuple[str, bytes]:
        """Identifier of an AlgorithmIdentifier, and its parameters' DER, empty when absent."""
        inner = self.enter(der.SEQUENCE, what)
        name = inner.take_identifier(what)
        parameters = b"" if inner.next_tag is None else inner.take_raw()
        inner.finish()
        return name, parameters

    def rest(self) -> bytes:
        """The octets that are left; nothing is taken."""
        return self._octets[self._offset : self._end]

    def finish(self) -> None:
        """Malformed unless everything was taken."""
        if self._offset != self._end:
            raise Malformed(f"{self._what} holds more than it should", self._offset)


def read_time(octets: bytes) -> Moment:
    """The moment of a Time element (RFC 5652 section 11.3): seconds present, zone Z."""
    tag, start, end = der.read_element(octets, 0, len(octets))
    length, form = _TIME_FORMATS.get(tag, (0, ""))
    content = octets[start:end]
    if not length or end != len(octets) or len(content) != length or not content[:-1].isdigit():
        raise Malformed("signing time is no time")
    try:
        moment = datetime.strptime(content.decode("ascii"), form).replace(tzinfo=UTC)
    except ValueError:
        raise Malformed("signing time is no time of the calendar") from None
    if tag == der.UTC_TIME:
        moment = moment.replace(year=(1900 if moment.year % 100 >= 50 else 2000) + moment.year % 100)
    return moment.timestamp()


def der_of(octets: bytes) -> bytes:
    """The structure in DER. Malformed for what is neither DER nor streamed BER, and for more than CMS_OCTETS."""
    if len(octets) > CMS_OCTETS.default:
        raise Malformed(f"the message is longer than {CMS_OCTETS.default} octets")
    if len(octets) < 2 or octets[1] != _INDEFINITE:
        return octets
    budget = Budget(CMS_ELEMENTS)
    made, end = _definite(octets, 0, len(octets), MAX_DEPTH, budget)
    if end != len(octets):
        raise Malformed(f"the message has {len(octets) - end} octets too many", end)
    return made


def _definite(octets: bytes, offset: int, end: int, depth: int, budget: Budget) -> tuple[bytes, int]:
    """The element at the offset with definite lengths all through, and where it ends."""
    budget.spend()
    if depth == 0:
        raise Malformed(f"elements lie more than {MAX_DEPTH} deep", offset)
    if offset + 2 > end:
        raise Malformed("BER element is cut short", offset)
    tag = octets[offset]
    if octets[offset + 1] != _INDEFINITE:
        tag, start, stop = der.read_element(octets, offset, end)
        if not tag & _CONSTRUCTED:
            return octets[offset:stop], stop
        return _joined(tag, _parts(octets, start, stop, depth, budget)), stop
    if not tag & _CONSTRUCTED or tag & 0x1F == 0x1F:
        raise Malformed("BER element of indefinite length is not constructed", offset)
    parts: list[bytes] = []
    inner = offset + 2
    while octets[inner : inner + 2] != b"\x00\x00":
        made, inner = _definite(octets, inner, end, depth - 1, budget)
        parts.append(made)
    if inner + 2 > end:
        raise Malformed("BER element has no end within the one around it", offset)
    return _joined(tag, parts), inner + 2


def _parts(octets: bytes, start: int, stop: int, depth: int, budget: Budget) -> list[bytes]:
    parts: list[bytes] = []
    while start < stop:
        made, start = _definite(octets, start, stop, depth - 1, budget)
        parts.append(made)
    return parts


def _joined(tag: int, parts: list[bytes]) -> bytes:
    """Octet strings in pieces become one."""
    if tag != _OCTET_STRING_IN_PIECES:
        return encoding.element(tag, *parts)
    return encoding.octet_string(b"".join(pieces(b"".join(parts))))


def pieces(octets: bytes) -> list[bytes]:
    """The contents of the octet strings that stand one after the other."""
    cursor, found = Cursor(octets, "octet string in pieces"), []
    while cursor.next_tag is not None:
        found.append(cursor.take(der.OCTET_STRING, "piece of an octet string"))
    return found
