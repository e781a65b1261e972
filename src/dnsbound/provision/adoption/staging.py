"""The accepted rows of one adoption, in a temporary file: sorted by name, and held against each other.

The file has no name (SQLite unlinks it at once), lies in $TMPDIR, and is gone with the process however that ends.
Memory stays flat for any number of rows: sorting and comparing are SQLite's.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Self

from dnsbound.errors import LimitExceeded
from dnsbound.limits import ADOPTED_ROWS
from dnsbound.names import ClientName
from dnsbound.provision.adoption.accepting import Accepted
from dnsbound.provision.adoption.candidate import BadRow, Problem
from dnsbound.provision.errors import InventoryFailed
from dnsbound.provision.owner import OwnerName

_SETTINGS: Final = (
    "PRAGMA cache_size = -16384",  # KiB: what does not fit goes into the file
    "PRAGMA journal_mode = OFF",
    "PRAGMA synchronous = OFF",
    "PRAGMA temp_store = FILE",
)
_TABLE: Final = """
CREATE TABLE staged (
  id INTEGER PRIMARY KEY, place TEXT NOT NULL, name TEXT NOT NULL, sort_key TEXT NOT NULL, spki BLOB NOT NULL,
  spki_sha256 BLOB NOT NULL, certificate BLOB, serial TEXT, owner TEXT NOT NULL, tags TEXT NOT NULL, ttl INTEGER,
  problem TEXT, other TEXT
) STRICT
"""
_INDEXES: Final = (
    "CREATE INDEX by_name ON staged (sort_key, id)",
    "CREATE INDEX by_key ON staged (spki_sha256, sort_key)",
    "CREATE INDEX by_serial ON staged (serial, sort_key)",
)
# Each comparison is told its index: a list in which everything is the same must not take the square of its length.
_MARK_REPEATED: Final = """
UPDATE staged SET problem = 'repeated' WHERE EXISTS (SELECT 1 FROM staged other INDEXED BY by_key WHERE
  other.spki_sha256 = staged.spki_sha256 AND other.sort_key = staged.sort_key AND other.id < staged.id)
"""
_MARKS: Final = (
    (
        Problem.DUPLICATE_NAME,
        "another key under this name",
        """
UPDATE staged SET problem = 'duplicate-name', other = (SELECT other.place FROM staged other INDEXED BY by_name WHERE
  other.sort_key = staged.sort_key AND other.spki_sha256 <> staged.spki_sha256 ORDER BY other.id LIMIT 1)
WHERE problem IS NULL AND EXISTS (SELECT 1 FROM staged other INDEXED BY by_name WHERE
  other.sort_key = staged.sort_key AND other.spki_sha256 <> staged.spki_sha256)
""",
    ),
    (
        Problem.DUPLICATE_KEY,
        "the same key under another name",
        """
UPDATE staged SET problem = 'duplicate-key', other = (SELECT other.place FROM staged other INDEXED BY by_key WHERE
  other.spki_sha256 = staged.spki_sha256 AND other.sort_key <> staged.sort_key ORDER BY other.sort_key LIMIT 1)
WHERE problem IS NULL AND EXISTS (SELECT 1 FROM staged other INDEXED BY by_key WHERE
  other.spki_sha256 = staged.spki_sha256 AND other.sort_key <> staged.sort_key)
""",
    ),
    (
        Problem.DUPLICATE_SERIAL,
        "the same serial number under another name",
        """
UPDATE staged SET problem = 'duplicate-serial', other = (SELECT other.place FROM staged other INDEXED BY by_serial WHERE
  other.serial = staged.serial AND other.sort_key <> staged.sort_key ORDER BY other.sort_key LIMIT 1)
WHERE problem IS NULL AND EXISTS (SELECT 1 FROM staged other INDEXED BY by_serial WHERE
  other.serial = staged.serial AND other.sort_key <> staged.sort_key)
""",
    ),
)


class Staging:
    """Rows on their way into the inventory. Add them all, `settle`, then read; for one thread."""

    def __init__(self) -> None:
        with _told():
            self._connection = sqlite3.connect("", isolation_level=None)
            for setting in _SETTINGS:
                self._connection.execute(setting)
            self._connection.execute(_TABLE)
        self.count = 0

    def add(self, rows: Iterable[Accepted]) -> None:
        """LimitExceeded above `adopted-rows`; InventoryFailed when the temporary file cannot grow."""
        values = [_values(row) for row in rows]
        self.count += len(values)
        if self.count > ADOPTED_ROWS.default:
            raise LimitExceeded(ADOPTED_ROWS.name, f"more than {ADOPTED_ROWS.default} rows")
        with _told():
            self._connection.execute("BEGIN")
            self._connection.executemany(
                "INSERT INTO staged (place, name, sort_key, spki, spki_sha256, certificate, serial, owner, tags, ttl) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                values,
            )
            self._connection.execute("COMMIT")

    def settle(self, *, danger_shared_keys: bool = False) -> None:
        """Sort, and mark the rows that cannot stand beside each other: all of them, since none is known to be right."""
        with _told():
            for index in _INDEXES:
                self._connection.execute(index)
            self._connection.execute(_MARK_REPEATED)
            for problem, _, statement in _MARKS:
                if problem is not Problem.DUPLICATE_KEY or not danger_shared_keys:
                    self._connection.execute(statement)

    @property
    def repeated(self) -> int:
        """Rows that say the same as one before them."""
        return self._number("SELECT count(*) FROM staged WHERE problem = 'repeated'")

    @property
    def usable(self) -> int:
        """Rows that no other row stands against."""
        return self._number("SELECT count(*) FROM staged WHERE problem IS NULL")

    def conflicts(self) -> Iterator[BadRow]:
        """The rows that others stand against, in the order of the source."""
        said = {problem.value: words for problem, words, _ in _MARKS}
        query = "SELECT place, name, problem, other FROM staged WHERE problem <> 'repeated' ORDER BY id"
        for place, name, problem, other in self._rows(query):
            yield BadRow(where=place, problem=Problem(problem), detail=f"{said[problem]}: {other}", name=name)

    def batches(self, size: int) -> Iterator[list[Accepted]]:
        """The usable rows in the order of their names."""
        last = ""
        query = "SELECT * FROM staged WHERE problem IS NULL AND sort_key > ? ORDER BY sort_key, id LIMIT ?"
        while True:
            with _told():
                rows = self._connection.execute(query, [last, size]).fetchall()
            if not rows:
                return
            yield [_row(row) for row in rows]
            last = rows[-1][3]

    def lacking(self, names: Sequence[str]) -> set[str]:
        """Those of the names (canonical) that no row has, rows with a problem included."""
        keys = {OwnerName.parse(name).sort_key: name for name in names}
        present = "SELECT sort_key FROM staged WHERE sort_key IN (SELECT value FROM json_each(?))"
        for [key] in self._rows(present, json.dumps(list(keys))):
            keys.pop(key, None)
        return set(keys.values())

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _number(self, query: str) -> int:
        [(number,)] = self._rows(query)
        return int(number)

    def _rows(self, query: str, *values: Any) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401 (what SQLite takes)
        with _told():
            yield from self._connection.execute(query, values)


def _values(row: Accepted) -> tuple[object, ...]:
    owner = OwnerName.parse(row.name.canonical)
    tags = json.dumps(sorted(row.tags))
    return (
        *(row.where, owner.text, owner.sort_key, row.spki, row.spki_sha256, row.certificate, row.serial),
        *(row.owner, tags, row.ttl),
    )


def _row(values: tuple[Any, ...]) -> Accepted:
    _, place, name, _, spki, _, certificate, serial, owner, tags, ttl, _, _ = values
    return Accepted(
        where=place,
        name=ClientName.parse(name),
        spki=spki,
        certificate=certificate,
        serial=serial,
        owner=owner,
        tags=frozenset(json.loads(tags)),
        ttl=ttl,
    )


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise InventoryFailed(f"the temporary file of the adoption failed ($TMPDIR full?): {error}") from error
