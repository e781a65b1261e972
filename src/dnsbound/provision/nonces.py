"""Nonces that several workers of one machine remember together, in a file of SQLite.

    nonces = NoncesShared("/run/api/nonces.db")

Each worker opens the file for itself; a nonce that one has taken is known to all. What has ended is swept out as others
come. The file is worth nothing beyond the few minutes that signatures live, is in no backup and needs no migration: it
is made anew when it is not there, and losing it lets requests of the last minutes be taken once more. It belongs on a
local disk. Machines that share no disk share a `NonceMemory` of their own (`dnsbound.edge.nonces`).
"""

import os
import sqlite3
from pathlib import Path
from threading import Lock
from typing import Final

from dnsbound.errors import Misuse, Reason, Undecided
from dnsbound.http_limits import HTTP_NONCES, HTTP_NONCES_PER_NAME
from dnsbound.names import ClientName
from dnsbound.times import Moment, Seconds

_MODE: Final = 0o600
_BUSY_SECONDS: Final[Seconds] = 5.0
_SWEEP_EVERY: Final = 256
"""New nonces between two sweeps of one worker."""
_TABLE: Final = """
    CREATE TABLE IF NOT EXISTS nonce (
        name TEXT NOT NULL, nonce TEXT NOT NULL, until REAL NOT NULL, PRIMARY KEY (name, nonce)
    ) WITHOUT ROWID
"""
_INDEX: Final = "CREATE INDEX IF NOT EXISTS nonce_until ON nonce (until)"


class NoncesShared:
    """A `NonceMemory`. Any number of threads may use one; a process that forks opens its own afterwards."""

    waits: Final = True

    def __init__(self, path: str | Path, *, limit: int | None = None, per_name: int | None = None) -> None:
        """path: made with mode 0600 when it is not there. Misuse when it cannot be opened."""
        self._limit = HTTP_NONCES.checked(limit)
        self._per_name = HTTP_NONCES_PER_NAME.checked(per_name)
        self._lock = Lock()
        self._until_sweep = 0
        self._count = 0
        self._of_name: dict[str, int] = {}
        """Remembered by all workers as of the last sweep, and added here since; so is `_count`."""
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE))
            self._database = _opened(path)
        except (OSError, sqlite3.Error) as error:
            raise Misuse(f"nonces cannot be remembered in {path}: {error}") from error

    def is_new(self, name: ClientName, nonce: str, *, until: Moment, now: Moment) -> bool:
        """As `NonceMemory`. One statement decides, whichever worker comes first."""
        with self._lock:
            try:
                self._sweep(now)
                return self._remember(name.canonical, nonce, until)
            except sqlite3.Error as error:
                raise Undecided(Reason.WORK_BUDGET, f"the nonce cannot be remembered: {error}") from error

    def close(self) -> None:
        with self._lock:
            self._database.close()

    def _remember(self, name: str, nonce: str, until: Moment) -> bool:
        known = self._database.execute("SELECT 1 FROM nonce WHERE name = ? AND nonce = ?", (name, nonce))
        if known.fetchone() is not None:
            return False
        if self._count >= self._limit or self._of_name.get(name, 0) >= self._per_name:
            raise Undecided(Reason.WORK_BUDGET, "too many nonces are remembered to take another")
        added = self._database.execute(
            "INSERT INTO nonce VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (name, nonce, until)
        ).rowcount
        self._count += added
        self._of_name[name] = self._of_name.get(name, 0) + added
        return added == 1

    def _sweep(self, now: Moment) -> None:
        self._until_sweep -= 1
        if self._until_sweep > 0:
            return
        self._until_sweep = _SWEEP_EVERY
        self._database.execute("DELETE FROM nonce WHERE until < ?", (now,))
        self._of_name = dict(self._database.execute("SELECT name, count(*) FROM nonce GROUP BY name").fetchall())
        self._count = sum(self._of_name.values())


def _opened(path: str | Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", _TABLE, _INDEX):
            database.execute(statement)
    except sqlite3.Error:
        database.close()
        raise
    return database
