"""The text form of a whole inventory: lines of JSON, compressed, that neither database is needed to read.

The first line says what it is, which schema it was written from, and the columns of each table; then each line is one
row, `["TABLE", VALUE, ...]`, those it refers to always before it; the last line counts the rows and has the SHA-256 of
all lines before it. A file without its last line, or with one octet changed, is refused. Octets are `{"b64": "..."}`.

Not here: databases and files (`dnsbound.provision.backup`).

Sections: RFC 8259 (JSON), RFC 1952 (gzip).
"""

import base64
import binascii
import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Final, Self, TypeAlias

from dnsbound.errors import LimitExceeded, Malformed
from dnsbound.limits import BACKUP_OCTETS
from dnsbound.times import Moment

FORMAT: Final = "dnsbound inventory"
VERSION: Final = 1
MAX_LINE_OCTETS: Final = 16_777_216
_NUMBERS: Final = range(-(2**63), 2**63)
_LEVEL: Final = 3
"""Of compression: higher ones take several times as long for a tenth less."""

Value: TypeAlias = str | int | float | bytes | None
Row: TypeAlias = tuple[str, list[Value]]
"""A table's name, and the values of its columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The first line."""

    schema: str
    """Revision of the schema."""
    made_at: Moment
    tables: Mapping[str, tuple[str, ...]]
    """Columns of each table, the tables in the order their rows come in."""

    def to_text(self) -> str:
        return _json(
            {
                "format": FORMAT,
                "version": VERSION,
                "schema": self.schema,
                "made_at": self.made_at,
                "tables": {name: list(columns) for name, columns in self.tables.items()},
            }
        )

    @classmethod
    def from_text(cls, text: bytes) -> Self:
        """Malformed for anything else than a header of a version that is known."""
        found = _parsed(text, 1)
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise Malformed("this is no backup of an inventory")
        if found.get("version") != VERSION:
            raise Malformed(f"the backup has format version {found.get('version')!r}; this dnsbound reads {VERSION}")
        schema, made_at, tables = found.get("schema"), found.get("made_at"), found.get("tables")
        if not isinstance(schema, str) or not isinstance(made_at, int | float) or not isinstance(tables, dict):
            raise Malformed("the backup's first line is incomplete")
        for columns in tables.values():
            if not isinstance(columns, list) or not columns or not all(isinstance(column, str) for column in columns):
                raise Malformed("the backup's first line is incomplete")
        return cls(schema=schema, made_at=made_at, tables={name: tuple(columns) for name, columns in tables.items()})


def write(out: IO[bytes], header: Header, rows: Iterable[Row]) -> dict[str, int]:
    """Write a backup; how many rows of each table. OSError."""
    digest = hashlib.sha256()
    counts = dict.fromkeys(header.tables, 0)
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=_LEVEL, mtime=0) as packed:

        def line(text: str) -> None:
            octets = text.encode() + b"\n"
            digest.update(octets)
            packed.write(octets)

        line(header.to_text())
        for table, values in rows:
            line(_json([table, *(_to_json(value) for value in values)]))
            counts[table] += 1
        line_end = _json({"end": {"rows": counts, "sha256": digest.hexdigest()}})
        packed.write(line_end.encode() + b"\n")
    return counts


class Reader:
    """Reads a backup from a file. Iterating yields the rows; only when that has come to its end is it known that the
    backup was whole: until then nothing of it may be kept."""

    def __init__(self, file: IO[bytes], *, octets: int | None = None) -> None:
        """Malformed when the file does not begin as a backup does.

        octets: limit `backup-octets`, of all lines together; LimitExceeded at the line that goes beyond it.
        """
        self._packed = gzip.GzipFile(fileobj=file, mode="rb")
        self._left = BACKUP_OCTETS.checked(octets)
        self._digest = hashlib.sha256()
        self._number = 0
        first = self._line()
        self.header = Header.from_text(first)
        self._digest.update(first)
        self.counts = dict.fromkeys(self.header.tables, 0)

    def __iter__(self) -> Iterator[Row]:
        """Malformed, at the latest at the end, for a file that is not exactly what was written."""
        while True:
            octets = self._line()
            found = _parsed(octets, self._number)
            if isinstance(found, dict):
                self._check_end(found)
                return
            self._digest.update(octets)
            yield self._row(found)

    def _line(self) -> bytes:
        self._number += 1
        try:
            octets = self._packed.readline(MAX_LINE_OCTETS + 1)
        except EOFError:
            raise Malformed("the backup ends too early: it was cut off") from None
        except (gzip.BadGzipFile, zlib.error) as error:
            where = "this is no backup of an inventory" if self._number == 1 else "the backup is damaged"
            raise Malformed(f"{where}: {error}") from None
        if len(octets) > MAX_LINE_OCTETS:
            raise Malformed(f"line {self._number} of the backup is longer than {MAX_LINE_OCTETS} octets")
        if not octets.endswith(b"\n"):
            raise Malformed("the backup ends too early: it was cut off")
        self._left -= len(octets)
        if self._left < 0:
            raise LimitExceeded(BACKUP_OCTETS.name, f"the backup unpacks to more, at line {self._number}")
        return octets

    def _row(self, found: object) -> Row:
        if not isinstance(found, list) or not found or not isinstance(found[0], str):
            raise Malformed(f"line {self._number} of the backup is no row")
        table, values = found[0], found[1:]
        columns = self.header.tables.get(table)
        if columns is None or len(values) != len(columns):
            raise Malformed(f"line {self._number} of the backup does not fit its first line")
        self.counts[table] += 1
        return table, [self._value(value) for value in values]

    def _value(self, value: object) -> Value:
        if value is None or isinstance(value, float) or (type(value) is int and value in _NUMBERS):
            return value
        if isinstance(value, str) and "\0" not in value and _has_a_form(value):
            return value
        if isinstance(value, dict) and set(value) == {"b64"} and isinstance(value["b64"], str):
            try:
                return base64.b64decode(value["b64"], validate=True)
            except (binascii.Error, ValueError):
                pass
        raise Malformed(f"line {self._number} of the backup has a value that is none")

    def _check_end(self, found: Mapping[str, object]) -> None:
        if found.get("end") != {"rows": self.counts, "sha256": self._digest.hexdigest()}:
            raise Malformed("the backup was changed after it was written, or rows of it are lost")
        try:
            if self._packed.read(1):
                raise Malformed("something follows the end of the backup")
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise Malformed(f"the backup is damaged at its end: {error}") from None


def _has_a_form(text: str) -> bool:
    """JSON can name halves of characters, which no database takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _to_json(value: Value) -> object:
    return {"b64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def _json(value: Sequence[object] | Mapping[str, object]) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)


def _parsed(octets: bytes, number: int) -> object:
    try:
        return json.loads(octets, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise Malformed(f"line {number} of the backup does not parse") from None


def _refuse_constant(name: str) -> float:
    raise ValueError(name)  # NaN and its like are no JSON
