"""One SQLite file and how it is opened, locked, migrated, and how its failures are told.

Every writing transaction begins with BEGIN IMMEDIATE: it holds the write lock before it reads what it will change, so
that concurrent updates of several processes queue up instead of overwriting each other (with the driver's defaults two
thirds of them were lost). Readers use a plain BEGIN and never wait for writers (WAL). PostgreSQL is not offered yet:
the schema would carry over, the triggers and these settings would not.

SQLite: https://sqlite.org/lang_transaction.html, https://sqlite.org/wal.html, https://sqlite.org/pragma.html.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Self

from sqlalchemy import URL, Connection, Engine, Select, create_engine, event, inspect
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from dnsbound.errors import Misuse
from dnsbound.limits import INVENTORY_BUSY_SECONDS
from dnsbound.provision.errors import InventoryFailed, InventoryMissing

HEAD_REVISION: Final = "0002"
"""Schema this code reads and writes: the newest of migrations/versions."""

APPLICATION_ID: Final = 0x646E7362

_WRITES: Final = "dnsbound_writes"
_BETWEEN_TRIES: Final = 0.01
"""Seconds."""


class Database:
    """An inventory's file. Threads may share it; a forked child opens connections of its own."""

    def __init__(self, path: Path, *, busy_seconds: int | None = None) -> None:
        self.path = path
        self._busy_seconds = INVENTORY_BUSY_SECONDS.checked(busy_seconds)
        self._engine = self._new_engine()
        self._pid = os.getpid()

    @classmethod
    def open(cls, path: Path, *, create: bool, busy_seconds: int | None = None) -> Self:
        """Open the file and bring its schema up to date. InventoryMissing when absent and not to be made."""
        if not path.exists():
            if not create:
                raise InventoryMissing(f"there is no inventory at {path}")
            _make_private_file(path)
        database = cls(path, busy_seconds=busy_seconds)
        try:
            database._bring_up_to_date(create=create)
        except BaseException:
            database.close()
            raise
        return database

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A consistent view of the inventory."""
        with self._told(), self._usable_engine().connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """The only writer while it lasts; leaving by an exception undoes everything."""
        with (
            self._told(),
            self._usable_engine().connect().execution_options(**{_WRITES: True}) as connection,
            connection.begin(),
        ):
            yield connection

    def watch(self) -> "Watch":
        """A cheap way to see that any other connection, of any process, has changed something, and to read on."""
        return Watch(self.path, self._usable_engine())

    def migrate(self, revision: str) -> None:
        """Take the schema up or down to `revision`, or `base` for nothing at all, in one transaction."""
        with self.writing() as connection:
            _migrate(connection, revision)

    def _bring_up_to_date(self, *, create: bool) -> None:
        # Nothing is written, not even the journal mode, before the file is known to be ours or empty.
        with self.reading() as connection:
            revision = self._revision(connection)
            logs_ahead = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
        if revision is None and not create:
            raise Misuse(f"{self.path} is empty, not an inventory")
        if not logs_ahead:
            self._log_ahead()
        if revision == HEAD_REVISION:
            return
        with self.writing() as connection:
            # Another process may have done it while this one waited for the lock.
            if self._revision(connection) != HEAD_REVISION:
                _migrate(connection, HEAD_REVISION)

    def _log_ahead(self) -> None:
        """Switch the file to a write-ahead log, for good."""
        with self._told():
            raw = self._usable_engine().raw_connection()
            try:
                mode = self._switched(raw.cursor())
            except sqlite3.Error as error:
                raise InventoryFailed(f"the inventory at {self.path} {_said(error)}") from error
            finally:
                raw.close()
        if mode != "wal":
            raise InventoryFailed(f"the file system of {self.path} does not allow a write-ahead log ({mode})")

    def _switched(self, cursor: DBAPICursor) -> str:
        """The journal mode after the switch. SQLite does not wait for others here, whatever its timeout: processes that
        meet at a new file would fail each other."""
        deadline = time.monotonic() + self._busy_seconds
        while True:
            try:
                cursor.execute("PRAGMA journal_mode = WAL")
                [mode] = cursor.fetchall()[0]
                return str(mode)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                    raise
                time.sleep(_BETWEEN_TRIES)

    def _revision(self, connection: Connection) -> str | None:
        """The schema's revision; None when the file is empty; Misuse when it is not an inventory of ours."""
        tables = inspect(connection).get_table_names()
        if not tables:
            return None
        application_id = connection.exec_driver_sql("PRAGMA application_id").scalar_one()
        if "alembic_version" not in tables or application_id not in (0, APPLICATION_ID):
            raise Misuse(f"{self.path} is a database of another program, not an inventory")
        found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one_or_none()
        if found is not None and found > HEAD_REVISION:
            raise Misuse(
                f"{self.path} was written by a newer dnsbound (schema {found}; this one knows {HEAD_REVISION})"
            )
        return found

    def _new_engine(self) -> Engine:
        engine = create_engine(
            URL.create("sqlite", database=os.fspath(self.path)),
            connect_args={"timeout": self._busy_seconds},
            # Parameters hold key data; they do not belong into messages.
            hide_parameters=True,
        )
        event.listen(engine, "connect", _configure)
        event.listen(engine, "begin", _begin)
        return engine

    def _usable_engine(self) -> Engine:
        if self._pid != os.getpid():
            # SQLite connections must not cross a fork (https://sqlite.org/howtocorrupt.html section 2.6).
            self._engine.dispose(close=False)
            self._engine = self._new_engine()
            self._pid = os.getpid()
        return self._engine

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn the driver's failures into InventoryFailed with one line of cause."""
        try:
            yield
        except IntegrityError as error:
            raise InventoryFailed(f"the inventory at {self.path} refused the change: {error.orig}") from error
        except DBAPIError as error:
            raise InventoryFailed(f"the inventory at {self.path} {_said(error.orig)}") from error
        except SQLAlchemyError as error:
            raise InventoryFailed(f"the inventory at {self.path} failed: {error}") from error


class Watch:
    """A connection kept for one reader that asks often: it sees at once that anybody changed something, and runs
    prepared statements without the cost of building them. It never writes. For one thread at a time.

    https://sqlite.org/pragma.html#pragma_data_version
    """

    def __init__(self, path: Path, engine: Engine) -> None:
        self._path = path
        self._dialect = engine.dialect
        self._connection = engine.raw_connection()
        self._pid = os.getpid()

    def version(self) -> int:
        """A number that moves whenever another connection, of this or another process, has changed the database."""
        [[version]] = self._rows("PRAGMA data_version", ())
        return int(version)

    def prepared(self, statement: Select[Any]) -> Callable[..., list[tuple[Any, ...]]]:
        """A function from the values of the statement's bind parameters, by name, to its rows."""
        compiled = statement.compile(dialect=self._dialect)
        text, order = compiled.string, compiled.positiontup or []
        fixed = compiled.params
        return lambda **values: self._rows(text, tuple(values.get(name, fixed[name]) for name in order))

    def close(self) -> None:
        self._connection.close()

    def _rows(self, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        if self._pid != os.getpid():
            raise Misuse("a watch on the inventory is not carried over a fork; open another one")
        cursor = self._connection.cursor()
        try:
            cursor.execute(statement, values)
            return list(cursor.fetchall())
        except sqlite3.Error as error:
            raise InventoryFailed(f"the inventory at {self._path} {_said(error)}") from error
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
    sqlite3.SQLITE_NOTADB: "is not an inventory",
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


def _migrate(connection: Connection, revision: str) -> None:
    # Imported here: most commands find the schema current and never need Alembic.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "dnsbound.provision:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    current = connection.exec_driver_sql(
        "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'"
    ).scalar_one()
    here = (
        connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one_or_none() if current else None
    )
    if revision == "base" or (here is not None and here > revision):
        command.downgrade(config, revision)
    else:
        command.upgrade(config, revision)


def _make_private_file(path: Path) -> None:
    """Make the directory and an empty file, both for the owner alone; SQLite gives its log the same mode."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
