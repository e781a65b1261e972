"""JSON: an array of objects, objects one after the other, or one to a line (JSON Lines). One object is one row.

An array is read element by element, never whole. In JSON Lines a broken line spoils itself alone; in a document
nothing after the first broken element can be trusted to begin where it seems to, and is not read.
"""

import codecs
import json
from collections.abc import Iterator
from typing import Any, Final

from dnsbound.limits import ADOPTED_ROW_OCTETS
from dnsbound.provision.adoption.bounded_lines import bounded_lines, whole
from dnsbound.provision.adoption.candidate import BadRow, Problem, Row, RowFault
from dnsbound.provision.adoption.columns import candidate_of_fields, columns_of, refuse_secrets
from dnsbound.provision.adoption.element_manifest import ManifestEntry, is_manifest_entry
from dnsbound.provision.adoption.source import Source

_CHUNK: Final = 65_536
_SPACE: Final = " \t\r\n"


def read_json_lines(source: Source) -> Iterator[Row]:
    """A row for each line that is not empty."""
    limit = ADOPTED_ROW_OCTETS.checked(source.rules.row_octets)
    for number, line in bounded_lines(source.stream, limit):
        where = source.at(number)
        try:
            if text := whole(line, limit).strip():
                yield _row(_decoded(text), where, source)
        except RowFault as fault:
            yield BadRow(where=where, problem=fault.problem, detail=fault.detail)


def read_json_document(source: Source) -> Iterator[Row]:
    """A row for each element of the array, or for each object."""
    text = _Text(source)
    try:
        for line, value in _elements(text) if text.skip(_SPACE) == "[" else _objects(text):
            yield _checked_row(value, source.at(line), source)
    except RowFault as fault:
        detail = f"{fault.detail}; nothing after it was read"
        yield BadRow(where=source.at(text.line), problem=fault.problem, detail=detail)


def _objects(text: "_Text") -> Iterator[tuple[int, object]]:
    while text.skip(_SPACE) is not None:
        line = text.line
        yield line, text.value()


def _elements(text: "_Text") -> Iterator[tuple[int, object]]:
    text.take()
    following = text.skip(_SPACE)
    while following != "]":
        line = text.line
        yield line, text.value()
        following = text.skip(_SPACE)
        if following == ",":
            text.take()
            text.skip(_SPACE)
        elif following != "]":
            raise RowFault(Problem.UNREADABLE, "the array goes on without a comma, or does not end")
    text.take()
    if text.skip(_SPACE) is not None:
        raise RowFault(Problem.UNREADABLE, "something follows the end of the array")


def is_json_object(octets: bytes) -> bool:
    """Whether a line is a whole JSON object."""
    try:
        return isinstance(_decoded(octets), dict)
    except RowFault:
        return False


def _checked_row(value: object, where: str, source: Source) -> Row:
    try:
        return _row(value, where, source)
    except RowFault as fault:
        return BadRow(where=where, problem=fault.problem, detail=fault.detail)


def _row(value: object, where: str, source: Source) -> Row:
    if not isinstance(value, dict):
        raise RowFault(Problem.UNREADABLE, "not an object")
    if is_manifest_entry(value):
        return ManifestEntry.parse(value, source.rules).candidate(where)
    refuse_secrets(value, value)
    meaning = columns_of(value, {want: has for want, has in source.rules.columns.items() if has in value})
    return candidate_of_fields({meaning[member]: value[member] for member in value if member in meaning}, where)


def _decoded(line: bytes) -> object:
    try:
        return _DECODER.decode(line.decode("utf-8").strip())
    except UnicodeDecodeError:
        raise RowFault(Problem.ENCODING, "not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise _broken(error) from None


def _broken(error: Exception) -> RowFault:
    if isinstance(error, RowFault):
        return error
    said = error.msg if isinstance(error, json.JSONDecodeError) else "a value too deep or too large"
    return RowFault(Problem.UNREADABLE, f"no JSON: {said}")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise RowFault(Problem.UNREADABLE, "a member of the object stands there twice")
    return members


def _no_constant(name: str) -> None:
    raise RowFault(Problem.UNREADABLE, f"{name} is no JSON")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_no_constant)


class _Text:
    """The characters of a file, of which no more than one value is kept."""

    def __init__(self, source: Source) -> None:
        self._limit = ADOPTED_ROW_OCTETS.checked(source.rules.row_octets)
        self._stream = source.stream
        self._utf8 = codecs.getincrementaldecoder("utf-8-sig")()
        self._kept = ""
        self._place = 0
        self._ended = False
        self.line = 1

    def skip(self, characters: str) -> str | None:
        """Go over these characters; the next one, or None at the end."""
        while True:
            while self._place < len(self._kept):
                character = self._kept[self._place]
                if character not in characters:
                    return character
                self.take()
            if not self._more():
                return None

    def take(self) -> None:
        """Go over the next character."""
        self.line += self._kept[self._place] == "\n"
        self._place += 1

    def value(self) -> object:
        """The next JSON value, whole. RowFault when there is none, or a longer one than a row may be."""
        while True:
            try:
                value, end = _DECODER.raw_decode(self._kept, self._place)
            except (ValueError, RecursionError) as error:
                if len(self._kept) - self._place > self._limit:
                    raise RowFault(
                        Problem.TOO_LARGE, f"an element is broken, or longer than the {self._limit} octets of a row"
                    ) from None
                if self._more():
                    continue
                raise _broken(error) from None
            if end - self._place > self._limit:
                raise RowFault(Problem.TOO_LARGE, f"longer than the {self._limit} octets of a row")
            self.line += self._kept.count("\n", self._place, end)
            self._place = end
            return value

    def _more(self) -> bool:
        """Read on, as much again as is kept; whether there was anything."""
        if self._ended:
            return False
        self._kept = self._kept[self._place :]
        self._place = 0
        octets = self._stream.read(max(_CHUNK, len(self._kept)))
        self._ended = not octets
        try:
            self._kept += self._utf8.decode(octets, final=self._ended)
        except UnicodeDecodeError:
            raise RowFault(Problem.ENCODING, "not UTF-8") from None
        return not self._ended
