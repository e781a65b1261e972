"""Databases in PostgreSQL, by URL: how one is reached, locked and watched, and how its failures are told.

Writers hold an advisory lock of their transaction from its beginning; it ends with the transaction, however that ends.
Under READ COMMITTED what they read after the lock is what the writer before them left. Readers see one snapshot
(REPEATABLE READ, READ ONLY). To a server that is not on this machine the connection is TLS with a verified name unless
the URL says otherwise (`sslmode`).

A password is better kept in libpq's password file than in the URL; one in the URL is never shown again.

PostgreSQL 15: chapters 13.2 (isolation), 13.3.5 (advisory locks), 34.1.2 (libpq's parameters), 34.16 (the password
file), appendix A (SQLSTATE). Driver: psycopg 3.
"""

import os
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Final, Self

import psycopg
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, OperationalError

from dnsbound.errors import Misuse
from dnsbound.provision.database import Database
from dnsbound.provision.database_kind import DatabaseKind
from dnsbound.provision.errors import DatabaseFailed
from dnsbound.provision.inventory_kind import INVENTORY
from dnsbound.provision.postgresql_failures import SAID, cause_in_one_line, said
from dnsbound.provision.postgresql_watch import PostgreSQLWatch

_LOCK: Final = text("SELECT pg_advisory_xact_lock(:key), current_setting('default_transaction_read_only') AS read_only")
_CONNECT_SECONDS: Final = 10
_STATEMENT_SECONDS: Final = 120
"""No statement of ours takes that long; what does is stuck."""
_IDLE_SECONDS: Final = 300
"""A client that holds a transaction and says nothing is cut off: others wait for its lock."""
_CONNECTIONS: Final = 8

_LIBPQ: Final = MappingProxyType(
    {
        "connect_timeout": _CONNECT_SECONDS,
        "application_name": "dnsbound",
        # A server that vanished without a word is noticed within about half a minute.
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
    }
)

_SOON: Final = MappingProxyType({"connect_timeout": 2, "tcp_user_timeout": 3_000})
"""An authority cannot answer anybody while it waits for the server."""


class PostgreSQLDatabase(Database):
    """A database of a PostgreSQL server, in the schema its user works in."""

    def __init__(self, url: URL, *, kind: DatabaseKind = INVENTORY, busy_seconds: int | None = None) -> None:
        self._url = url
        super().__init__(_shown(url), kind=kind, busy_seconds=busy_seconds)

    @classmethod
    def open_url(
        cls, url: str, *, create: bool, kind: DatabaseKind = INVENTORY, busy_seconds: int | None = None
    ) -> Self:
        """As `Database.open`. The database itself must exist."""
        return cls(parse_url(url), kind=kind, busy_seconds=busy_seconds).opened(create=create)

    def watch(self) -> PostgreSQLWatch:
        return PostgreSQLWatch(self._watching_connection, self.engine().dialect, self._lost)

    def size(self) -> int:
        with self.reading() as connection:
            return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())

    def _watching_connection(self) -> "psycopg.Connection[tuple[Any, ...]]":
        places, parameters = self.engine().dialect.create_connect_args(self.engine().url)
        return psycopg.connect(*places, **{**_LIBPQ, **_SOON, **parameters}, autocommit=True)

    def _lost(self, cause: BaseException) -> DatabaseFailed:
        return self.failed(said(cause))

    def _new_engine(self) -> Engine:
        query = dict(self._url.query)
        if _is_remote(self._url) and "sslmode" not in query and "PGSSLMODE" not in os.environ:
            query = {"sslrootcert": "system"} | query | {"sslmode": "verify-full"}
        engine = create_engine(
            self._url.set(query=query),
            connect_args={name: value for name, value in _LIBPQ.items() if name not in query},
            hide_parameters=True,
            # A connection that died unused, as when the server was restarted, costs its next user nothing.
            pool_pre_ping=True,
            pool_size=_CONNECTIONS,
            max_overflow=0,
            pool_timeout=self.busy_seconds,
        )
        event.listen(engine, "connect", self._configure)
        return engine

    def _configure(self, connection: "psycopg.Connection[tuple[Any, ...]]", _record: object) -> None:
        for name, seconds in {
            "lock_timeout": self.busy_seconds,
            "statement_timeout": _STATEMENT_SECONDS + self.busy_seconds,
            "idle_in_transaction_session_timeout": _IDLE_SECONDS,
        }.items():
            connection.execute("SELECT set_config(%s, %s, false)", [name, f"{seconds}s"])
        connection.commit()

    def _for_reading(self, engine: Engine) -> Connection:
        return engine.connect().execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    def _for_writing(self, engine: Engine) -> Connection:
        return engine.connect().execution_options(isolation_level="READ COMMITTED", postgresql_readonly=False)

    def _prepare(self, *, create: bool) -> None:
        if self.revision() is None and not create:
            raise self.kind.missing(f"there is no {self.kind.noun} in {self.place}: the database is empty")

    def _lock(self, connection: Connection) -> None:
        found = connection.execute(_LOCK, {"key": self.kind.application_id}).one()
        if found.read_only == "on":
            # Our transactions say what they are; who set this default did not mean them to overrule it.
            raise self.failed(f"{SAID['25006']} by default_transaction_read_only")

    def _commit(self, commit: Callable[[], None]) -> None:
        try:
            commit()
        except OperationalError as error:
            if not error.connection_invalidated:
                raise
            told = self.failed(self._said(error.orig))
            raise self.kind.unconfirmed(
                f"{told}; whether the change was made is not known, look before repeating it"
            ) from error

    def _without_time_limit(self, connection: Connection) -> None:
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))

    def _is_ours(self, connection: Connection) -> bool:
        found = connection.execute(text("SELECT to_regprocedure(:mark)"), {"mark": self.kind.mark}).scalar_one()
        return found is not None

    def _said(self, cause: BaseException | None) -> str:
        return said(cause)

    def _cause(self, cause: BaseException | None) -> str:
        return cause_in_one_line(cause)


def parse_url(text: str) -> URL:
    """Read `postgresql://USER:PASSWORD@HOST:PORT/DATABASE?PARAMETER=VALUE`. Misuse, without the text: it may hold a
    password."""
    try:
        url = make_url(text).set(drivername="postgresql+psycopg")
    except (ArgumentError, ValueError):
        raise Misuse("the URL of the database does not parse: postgresql://USER@HOST:PORT/DATABASE") from None
    if not url.database:
        raise Misuse("the URL names no database: postgresql://USER@HOST:PORT/DATABASE")
    if "password" in url.query:
        raise Misuse("a password is no parameter of the URL; put it into libpq's password file")
    return url


def _shown(url: URL) -> str:
    """Without the password and the parameters."""
    user = f"{url.username}@" if url.username else ""
    port = f":{url.port}" if url.port else ""
    return f"postgresql://{user}{_host(url)}{port}/{url.database}"


def _host(url: URL) -> str:
    named = url.host or url.query.get("host") or os.environ.get("PGHOST", "")
    return named if isinstance(named, str) else ",".join(named)


def _is_remote(url: URL) -> bool:
    """Whether what is said would leave this machine. Several hosts are separated by commas; a path is a socket."""
    return any(
        host and not host.startswith(("/", "@")) and host not in ("localhost", "127.0.0.1", "::1")
        for host in _host(url).split(",")
    )
