"""Databases in SQLite files: how one is opened, locked and watched, and how its failures are told.

Writers begin with BEGIN IMMEDIATE; readers use a plain BEGIN and never wait for writers (WAL).

SQLite: https://sqlite.org/lang_transaction.html, https://sqlite.org/wal.html, https://sqlite.org/pragma.html.
"""

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

from sqlalchemy import URL, Connection, Engine, Select, create_engine, event
from sqlalchemy.engine.interfaces import DBAPICursor

from dnsbound.errors import Misuse
from dnsbound.provision.database import Database
from dnsbound.provision.database_kind import DatabaseKind
from dnsbound.provision.inventory_kind import INVENTORY

_WRITES: Final = "dnsbound_writes"
_BETWEEN_TRIES: Final = 0.01
"""Seconds."""


class SQLiteDatabase(Database):
    """A database in a file."""

    path: Path

    def __init__(self, path: Path, *, kind: DatabaseKind = INVENTORY, busy_seconds: int | None = None) -> None:
        self.path = path
        super().__init__(str(path), kind=kind, busy_seconds=busy_seconds)

    @classmethod
    def open_file(
        cls, path: Path, *, create: bool, kind: DatabaseKind = INVENTORY, busy_seconds: int | None = None
    ) -> Self:
        """As `Database.open`. A new file and its directory are readable by their owner alone."""
        if path.is_dir():
            raise Misuse(f"{path}, named as {kind.the}, is a directory")
        if not path.exists():
            if not create:
                raise kind.missing(f"there is no {kind.noun} at {path}")
            _make_private_file(path)
        return cls(path, kind=kind, busy_seconds=busy_seconds).opened(create=create)

    def watch(self) -> "SQLiteWatch":
        return SQLiteWatch(self, self.engine())

    def size(self) -> int:
        beside = self.path.with_name(f"{self.path.name}-wal")
        return sum(path.stat().st_size for path in (self.path, beside) if path.exists())

    def log_ahead(self) -> None:
        """Switch the file to a write-ahead log, for good."""
        with self.told():
            raw = self.engine().raw_connection()
            try:
                mode = self._switched(raw.cursor())
            except sqlite3.Error as error:
                raise self.failed(self._said(error)) from error
            finally:
                raw.close()
        if mode != "wal":
            raise self.kind.failed(f"the file system of {self.path} does not allow a write-ahead log ({mode})")

    def _switched(self, cursor: DBAPICursor) -> str:
        """The journal mode after the switch. SQLite does not wait for others here, whatever its timeout: processes that
        meet at a new file would fail each other."""
        cursor.execute("PRAGMA journal_mode")
        [[found]] = cursor.fetchall()
        if found == "wal":
            return "wal"
        deadline = time.monotonic() + self.busy_seconds
        while True:
            try:
                cursor.execute("PRAGMA journal_mode = WAL")
                [mode] = cursor.fetchall()[0]
                return str(mode)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                    raise
                time.sleep(_BETWEEN_TRIES)

    def _new_engine(self) -> Engine:
        engine = create_engine(
            URL.create("sqlite", database=os.fspath(self.path)),
            connect_args={"timeout": self.busy_seconds},
            # Parameters hold key data; they do not belong into messages.
            hide_parameters=True,
        )
        event.listen(engine, "connect", _configure)
        event.listen(engine, "begin", _begin)
        return engine

    def _for_reading(self, engine: Engine) -> Connection:
        return engine.connect()

    def _for_writing(self, engine: Engine) -> Connection:
        return engine.connect().execution_options(**{_WRITES: True})

    def _prepare(self, *, create: bool) -> None:
        # Nothing is written, not even the journal mode, before the file is known to be ours or empty.
        if self.revision() is None and not create:
            raise Misuse(f"{self.path} is empty, not {self.kind.a}")
        self.log_ahead()

    def _lock(self, connection: Connection) -> None:
        """BEGIN IMMEDIATE has taken it."""

    def _without_time_limit(self, connection: Connection) -> None:
        """There is none."""

    def _is_ours(self, connection: Connection) -> bool:
        return connection.exec_driver_sql("PRAGMA application_id").scalar_one() in (0, self.kind.application_id)

    def _said(self, cause: BaseException | None) -> str:
        return _said(cause)

    def _cause(self, cause: BaseException | None) -> str:
        return str(cause)


class SQLiteWatch:
    """A `Watch` of a file.

    https://sqlite.org/pragma.html#pragma_data_version
    """

    def __init__(self, database: SQLiteDatabase, engine: Engine) -> None:
        self._database = database
        self._dialect = engine.dialect
        self._connection = engine.raw_connection()
        self._pid = os.getpid()

    def version(self) -> int:
        """No table is read and no lock is taken."""
        [[version]] = self._rows("PRAGMA data_version", ())
        return int(version)

    def prepared(self, statement: Select[Any]) -> Callable[..., list[tuple[Any, ...]]]:
        compiled = statement.compile(dialect=self._dialect)
        text, order = compiled.string, compiled.positiontup or []
        fixed = compiled.params
        return lambda **values: self._rows(text, tuple(values.get(name, fixed[name]) for name in order))

    def close(self) -> None:
        self._connection.close()

    def _rows(self, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        if self._pid != os.getpid():
            raise Misuse("a watch is not carried over a fork; open another one")
        cursor = self._connection.cursor()
        try:
            cursor.execute(statement, values)
            return list(cursor.fetchall())
        except sqlite3.Error as error:
            raise self._database.failed(_said(error)) from error
        finally:
            cursor.close()


_SAID: Final = {
    sqlite3.SQLITE_BUSY: "is locked by another process",
    sqlite3.SQLITE_LOCKED: "is locked by another connection",
    sqlite3.SQLITE_READONLY: "may not be written",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened",
    sqlite3.SQLITE_PERM: "cannot be opened",
    sqlite3.SQLITE_FULL: "does not fit the disk",
    sqlite3.SQLITE_CORRUPT: "is damaged",
    sqlite3.SQLITE_NOTADB: "is no database",
}


def _said(cause: BaseException | None) -> str:
    code = getattr(cause, "sqlite_errorcode", None)
    if code is None:
        return f"failed: {cause}"
    # The low octet of an extended code is its primary code.
    return f"{_SAID.get(code & 0xFF, 'failed')}: {cause}"


def _configure(connection: sqlite3.Connection, _record: Any) -> None:  # noqa: ANN401 (a pool record, unused)
    # Transactions are begun by `_begin`, not by the driver at the first write.
    connection.isolation_level = None
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA trusted_schema = OFF")


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _make_private_file(path: Path) -> None:
    """Make the directory and an empty file, both for the owner alone; SQLite gives its log the same mode."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
