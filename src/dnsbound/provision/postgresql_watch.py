"""Seeing at once that a PostgreSQL inventory changed: notifications on a connection kept for it.

Each change appends an event, and a trigger on that table notifies when the transaction commits. Looking for
notifications asks nobody: it reads what has arrived on the socket. Once in a while, and whenever the connection was
lost, the server is asked for the number of the last event instead, so that a link that died silently, or a pooler that
swallows notifications, delays a change by no more than that.

PostgreSQL 15: LISTEN, NOTIFY; libpq chapter 34.9.
"""

import os
import time
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import psycopg
from sqlalchemy import Dialect, Select

from dnsbound.errors import Misuse
from dnsbound.provision.errors import DatabaseFailed

ASK_SECONDS: Final = 1.0
"""The server is asked at least this often while anybody looks."""
RETRY_SECONDS: Final = 0.5
"""Between attempts to reach a server that cannot be reached: each one blocks who asks."""

_LISTEN: Final = "LISTEN dnsbound_events"
_LAST_EVENT: Final = "SELECT coalesce(max(id), 0) FROM events"

Connect: TypeAlias = Callable[[], "psycopg.Connection[tuple[Any, ...]]"]
"""Makes a connection that commits by itself; raises psycopg.Error."""


class PostgreSQLWatch:
    """A `Watch` of an inventory on a server. While that cannot be reached every question is an InventoryFailed."""

    def __init__(self, connect: Connect, dialect: Dialect, failed: Callable[[BaseException], DatabaseFailed]) -> None:
        self._connect = connect
        self._dialect = dialect
        self._failed = failed
        self._version = 0
        self._last_event = 0
        self._asked_at = 0.0
        self._retry_at = 0.0
        self._why: BaseException | None = None
        self._pid = os.getpid()
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._connected()

    def version(self) -> int:
        connection = self._connected()
        try:
            connection.pgconn.consume_input()
            while connection.pgconn.notifies() is not None:
                self._version += 1
            if time.monotonic() - self._asked_at >= ASK_SECONDS:
                self._ask(connection)
        except psycopg.Error as error:
            raise self._lost(error) from error
        return self._version

    def prepared(self, statement: Select[Any]) -> Callable[..., list[tuple[Any, ...]]]:
        compiled = statement.compile(dialect=self._dialect)
        text, fixed = compiled.string, compiled.params
        return lambda **values: self._rows(text, {**fixed, **values})

    def close(self) -> None:
        if self._connection is not None and self._pid == os.getpid():
            self._connection.close()
        self._connection = None

    def _rows(self, statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        connection = self._connected()
        try:
            return connection.execute(statement.encode(), values, prepare=True).fetchall()
        except psycopg.Error as error:
            raise self._lost(error) from error

    def _connected(self) -> "psycopg.Connection[tuple[Any, ...]]":
        if self._pid != os.getpid():
            raise Misuse("a watch on the inventory is not carried over a fork; open another one")
        if self._connection is not None:
            return self._connection
        if self._why is not None and time.monotonic() < self._retry_at:
            raise self._failed(self._why)
        try:
            connection = self._connect()
            connection.add_notify_handler(self._notified)
            connection.execute(_LISTEN)
            # Whatever happened while nobody listened counts as a change.
            self._version += 1
            self._ask(connection)
        except psycopg.Error as error:
            raise self._lost(error) from error
        self._connection = connection
        self._why = None
        return connection

    def _ask(self, connection: "psycopg.Connection[tuple[Any, ...]]") -> None:
        [[last_event]] = connection.execute(_LAST_EVENT, prepare=True).fetchall()
        if last_event != self._last_event:
            self._version += 1
            self._last_event = last_event
        self._asked_at = time.monotonic()

    def _notified(self, _notification: psycopg.Notify) -> None:
        """Called for what arrives while a statement runs."""
        self._version += 1

    def _lost(self, error: psycopg.Error) -> DatabaseFailed:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._why = error
        self._retry_at = time.monotonic() + RETRY_SECONDS
        return self._failed(error)
