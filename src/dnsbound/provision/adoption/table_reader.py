"""Tables: CSV with a header (RFC 4180), separated by comma, semicolon or tab, in UTF-8."""

import csv
from collections import deque
from collections.abc import Iterator
from typing import Final

from dnsbound.limits import ADOPTED_COLUMNS, ADOPTED_ROW_OCTETS
from dnsbound.provision.adoption.bounded_lines import bounded_lines
from dnsbound.provision.adoption.candidate import BadRow, Problem, Row, RowFault
from dnsbound.provision.adoption.columns import candidate_of_fields, columns_of, refuse_secrets
from dnsbound.provision.adoption.source import Source

_SEPARATORS: Final = ",;\t"


def separator_of(header: str) -> str | None:
    """What separates the columns of a header: what stands in it most often; None when there is one column."""
    counts = {separator: header.count(separator) for separator in _SEPARATORS}
    best = max(counts, key=lambda separator: counts[separator])
    return best if counts[best] else None


def read_table(source: Source) -> Iterator[Row]:
    """A row for each record after the header; the one bad row alone when the header will not do."""
    lines = _Lines(source)
    try:
        header = next(lines, "")
        table = csv.reader(_chained(header, lines), delimiter=separator_of(header) or ",", strict=True)
        columns = _checked_columns(next(table, []))
        meaning = columns_of(columns, source.rules.columns)
    except csv.Error as error:
        yield from lines.told()
        yield BadRow(where=source.at(1), problem=Problem.UNKNOWN_FORMAT, detail=f"no table: {error}")
        return
    except RowFault as fault:
        yield from lines.told()
        yield BadRow(where=source.at(1), problem=fault.problem, detail=fault.detail)
        return
    while True:
        lines.first = 0
        try:
            cells = next(table)
        except StopIteration:
            yield from lines.told()
            return
        except csv.Error as error:
            yield from lines.told()
            # What stands inside quotation marks is not taken for rows, even if a mark seems to be missing.
            lost = f"; lines {lines.first} to {lines.number} were not read" if lines.number > lines.first else ""
            yield BadRow(
                where=source.at(lines.first), problem=Problem.UNREADABLE, detail=f"no row of a table: {error}{lost}"
            )
            continue
        yield from lines.told()
        if cells and any(cells):
            yield _row(columns, meaning, cells, source.at(lines.first))


def _row(columns: list[str], meaning: dict[str, str], cells: list[str], where: str) -> Row:
    try:
        named = _named(columns, cells)
        refuse_secrets(columns, named)
        return candidate_of_fields({meaning[column]: named[column] for column in columns if column in meaning}, where)
    except RowFault as fault:
        return BadRow(where=where, problem=fault.problem, detail=fault.detail)


def _checked_columns(header: list[str]) -> list[str]:
    if len(header) > ADOPTED_COLUMNS.default:
        raise RowFault(Problem.UNKNOWN_FORMAT, f"more than {ADOPTED_COLUMNS.default} columns")
    return [column.strip() for column in header]


def _named(columns: list[str], cells: list[str]) -> dict[str, str]:
    if len(cells) != len(columns):
        raise RowFault(Problem.UNREADABLE, f"{len(cells)} cells under {len(columns)} columns")
    return dict(zip(columns, cells, strict=True))


def _chained(header: str, lines: "_Lines") -> Iterator[str]:
    yield header
    yield from lines


class _Lines(Iterator[str]):
    """The lines of a file as text. Those that are none are left out, and told at the next row."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._limit = ADOPTED_ROW_OCTETS.checked(source.rules.row_octets)
        self._lines = bounded_lines(source.stream, self._limit)
        self._bad: deque[BadRow] = deque()
        self.number = 0
        self.first = 0
        """Number of the first line of the record that is being read."""

    def __next__(self) -> str:
        while True:
            self.number, octets = next(self._lines)
            try:
                if octets is not None:
                    text = octets.decode("utf-8")
                    self.first = self.first or self.number
                    return text
                problem, detail = Problem.TOO_LARGE, f"longer than the {self._limit} octets of a row"
            except UnicodeDecodeError:
                problem, detail = Problem.ENCODING, "not UTF-8"
            self._bad.append(BadRow(where=self._source.at(self.number), problem=problem, detail=detail))

    def told(self) -> Iterator[BadRow]:
        while self._bad:
            yield self._bad.popleft()
