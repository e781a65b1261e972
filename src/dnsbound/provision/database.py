"""A database of this package, the inventory's for one: transactions, schema and failures, the same to everyone
whichever database it is. What it is for is its `DatabaseKind`.

Every change is made in `writing()`, which holds the one write lock before it reads what it will change: concurrent
updates of several processes queue up instead of overwriting each other (with the drivers' defaults two thirds of them
were lost). `reading()` is one consistent view and waits for nobody. A process that dies in the middle leaves nothing.

What differs is in `dnsbound.provision.sqlite_database` and `dnsbound.provision.postgresql_database`.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, Self

from sqlalchemy import Connection, Engine, Select
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from dnsbound.errors import Misuse
from dnsbound.limits import INVENTORY_BUSY_SECONDS
from dnsbound.provision import schema_migration
from dnsbound.provision.database_kind import DatabaseKind
from dnsbound.provision.errors import DatabaseFailed
from dnsbound.provision.inventory_kind import INVENTORY
from dnsbound.provision.place import is_url


class Watch(Protocol):
    """A connection kept for one reader that asks often: it sees that anybody changed something, and runs prepared
    statements without the cost of building them. It never writes. For one thread at a time."""

    def version(self) -> int:
        """A number that moves when anybody, of this or another process, has changed the database. DatabaseFailed when
        that cannot be found out."""

    def prepared(self, statement: Select[Any]) -> Callable[..., list[tuple[Any, ...]]]:
        """A function from the values of the statement's bind parameters, by name, to its rows."""

    def close(self) -> None:
        """Give the connection back."""


class Database(ABC):
    """One database. Threads may share it; a forked child gets connections of its own."""

    path: Path | None = None
    """The file, where it is one."""

    def __init__(self, place: str, *, kind: DatabaseKind = INVENTORY, busy_seconds: int | None = None) -> None:
        self.place = place
        self.kind = kind
        self.busy_seconds = INVENTORY_BUSY_SECONDS.checked(busy_seconds)
        self._engine = self._new_engine()
        self._pid = os.getpid()

    @staticmethod
    def open(
        place: Path | str, *, create: bool, kind: DatabaseKind = INVENTORY, busy_seconds: int | None = None
    ) -> "Database":
        """Open what lies at a path or behind a URL (`postgresql://USER@HOST/NAME`), bringing its schema up to date.

        The kind's `missing` when there is none and none is to be made. Misuse for a database of another kind.
        """
        if isinstance(place, str) and is_url(place):
            try:
                from dnsbound.provision.postgresql_database import PostgreSQLDatabase
            except ImportError as error:
                raise Misuse(f"{kind.a} on PostgreSQL needs the extra `postgres` ({error})") from error
            return PostgreSQLDatabase.open_url(place, create=create, kind=kind, busy_seconds=busy_seconds)
        from dnsbound.provision.sqlite_database import SQLiteDatabase

        return SQLiteDatabase.open_file(Path(place), create=create, kind=kind, busy_seconds=busy_seconds)

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A consistent view of it."""
        with self.told(), self._for_reading(self.engine()) as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self, *, unhurried: bool = False) -> Iterator[Connection]:
        """The only writer while it lasts; leaving by an exception undoes everything.

        unhurried: no time limit of the server's ends it; for what rewrites everything.
        """
        with self.told(), self._for_writing(self.engine()) as connection:
            transaction = connection.begin()
            try:
                self._lock(connection)
                if unhurried:
                    self._without_time_limit(connection)
                yield connection
            except BaseException:
                transaction.rollback()
                raise
            self._commit(transaction.commit)

    @abstractmethod
    def watch(self) -> Watch:
        """For an authority."""

    @abstractmethod
    def size(self) -> int:
        """Octets on disk."""

    def migrate(self, revision: str, *, danger_lose_data: bool = False) -> None:
        """Take the schema up or down to `revision`, or `base` for nothing at all, in one transaction.

        Misuse when the older schema has no place for what is kept, unless danger_lose_data.
        """
        with self.writing(unhurried=True) as connection:
            schema_migration.migrate(connection, self.kind, revision, danger_lose_data=danger_lose_data)

    def revision(self) -> str | None:
        """The schema's revision; None when there is nothing yet; Misuse for the database of another program."""
        with self.reading() as connection:
            return self._revision(connection)

    def engine(self) -> Engine:
        if self._pid != os.getpid():
            # Connections must not cross a fork: https://sqlite.org/howtocorrupt.html section 2.6, and two processes
            # would talk on one socket.
            self._engine.dispose(close=False)
            self._engine = self._new_engine()
            self._pid = os.getpid()
        return self._engine

    @contextmanager
    def told(self) -> Iterator[None]:
        """Turn the driver's failures into the kind's `failed` with one line of cause."""
        try:
            yield
        except IntegrityError as error:
            raise self.failed(f"refused the change: {self._cause(error.orig)}") from error
        except DBAPIError as error:
            raise self.failed(self._said(error.orig)) from error
        except PoolTimeout as error:
            raise self.failed("is used by too many threads at once") from error
        except SQLAlchemyError as error:
            raise self.failed(f"failed: {error}") from error

    def failed(self, what: str) -> DatabaseFailed:
        """The error that says so. what: the rest of the sentence."""
        return self.kind.failed(f"{self.kind.the} at {self.place} {what}")

    def opened(self, *, create: bool) -> Self:
        """Itself, with what is there looked at and the schema up to date; closed when that fails."""
        try:
            self._prepare(create=create)
            if self.revision() != self.kind.head:
                self._bring_up_to_date()
        except BaseException:
            self.close()
            raise
        return self

    def _bring_up_to_date(self) -> None:
        with self.writing(unhurried=True) as connection:
            # Another process may have done it while this one waited for the lock.
            if self._revision(connection) != self.kind.head:
                schema_migration.migrate(connection, self.kind, self.kind.head)

    def _revision(self, connection: Connection) -> str | None:
        tables = schema_migration.tables(connection)
        if not tables:
            return None
        if "alembic_version" not in tables or not self._is_ours(connection):
            raise Misuse(f"{self.place} is a database of another program, not {self.kind.a}")
        found = schema_migration.current(connection)
        if found is not None and found > self.kind.head:
            raise Misuse(
                f"{self.place} was written by a newer dnsbound (schema {found}; this one knows {self.kind.head})"
            )
        return found

    @abstractmethod
    def _new_engine(self) -> Engine: ...

    @abstractmethod
    def _for_reading(self, engine: Engine) -> Connection: ...

    @abstractmethod
    def _for_writing(self, engine: Engine) -> Connection: ...

    @abstractmethod
    def _prepare(self, *, create: bool) -> None:
        """Look at what is there, before anything is written: the kind's `missing`, Misuse."""

    @abstractmethod
    def _lock(self, connection: Connection) -> None:
        """Wait until this transaction is the only one that writes."""

    def _commit(self, commit: Callable[[], None]) -> None:
        commit()

    @abstractmethod
    def _without_time_limit(self, connection: Connection) -> None:
        """What follows in this transaction takes as long as it takes."""

    @abstractmethod
    def _is_ours(self, connection: Connection) -> bool:
        """Whether the tables were made by our migrations."""

    @abstractmethod
    def _said(self, cause: BaseException | None) -> str:
        """What the driver complains of, as the rest of a sentence; one line."""

    @abstractmethod
    def _cause(self, cause: BaseException | None) -> str:
        """The driver's own words alone, in one line."""
