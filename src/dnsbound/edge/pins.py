"""Pins: servers that promised to send their DNSSEC chain, in memory or in a file (RFC 9102 section 7).

A pinned server that sends no chain is not talked to: somebody may have stripped it. A pin holds nothing but host, port
and its end; what the records are is shown anew in each handshake.
"""

import fcntl
import json
import logging
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Final, TypeAlias

from dnsbound import limits
from dnsbound.edge.file_status import FileStatus
from dnsbound.edge.secret_files import read_public_file, write_public_file
from dnsbound.errors import Malformed, Misuse
from dnsbound.times import Moment

_log: Final = logging.getLogger("dnsbound.chains")

_Key: TypeAlias = tuple[str, int]


class MemoryPins:
    """Pins of this process. Thread-safe. most: servers; see `limits.SERVER_PINS`."""

    def __init__(self, *, most: int | None = None) -> None:
        self._most = limits.SERVER_PINS.checked(most)
        self._lock = RLock()
        self._ends: dict[_Key, Moment] = {}

    def pinned(self, host: str, port: int, *, now: Moment) -> bool:
        with self._lock:
            return now < self._ends.get((host, port), 0.0)

    def pin(self, host: str, port: int, *, until: Moment, now: Moment) -> None:
        """A full store forgets nothing that still holds: then the server is not pinned, and a warning says so."""
        with self._lock:
            if (host, port) not in self._ends and len(self._ends) >= self._most:
                self._ends = {key: end for key, end in self._ends.items() if now < end}
            if (host, port) not in self._ends and len(self._ends) >= self._most:
                _log.warning("%s:%d is not pinned: %d servers are, the most there may be", host, port, self._most)
                return
            self._ends[host, port] = until

    def unpin(self, host: str, port: int) -> None:
        with self._lock:
            self._ends.pop((host, port), None)


class FilePins(MemoryPins):
    """Pins in a file, which any number of processes may share; it is replaced whole.

    Misuse, in one line, when the file is there and cannot be read, since the pins in it protect from somebody: remove
    it to begin anew. A pin that cannot be written is kept in memory, and the logger `dnsbound.chains` tells why.
    """

    def __init__(self, path: str | os.PathLike[str], *, most: int | None = None) -> None:
        super().__init__(most=most)
        self._path = Path(path)
        self._seen: FileStatus | None = None
        self._reload()

    def pinned(self, host: str, port: int, *, now: Moment) -> bool:
        with self._lock:
            self._reload()
            return super().pinned(host, port, now=now)

    def pin(self, host: str, port: int, *, until: Moment, now: Moment) -> None:
        with self._lock, self._alone():
            super().pin(host, port, until=until, now=now)
            self._write()

    def unpin(self, host: str, port: int) -> None:
        with self._lock, self._alone():
            if (host, port) in self._ends:
                super().unpin(host, port)
                self._write()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Other processes wait, and what they wrote is read first."""
        try:
            lock = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            _log.error("%s: pins are changed in memory alone: %s", self._path, error)
            yield
            return
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._reload()
            yield
        finally:
            os.close(lock)

    def _reload(self) -> None:
        try:
            status = FileStatus.from_stat(self._path.stat())
        except FileNotFoundError:
            return
        except OSError as error:
            raise Misuse(f"{self._path}: {error.strerror}") from error
        if status != self._seen:
            try:
                self._ends = _ends_of(read_public_file(self._path))
            except Malformed as error:
                raise Misuse(f"{self._path}: {error}") from error
            self._seen = status

    def _write(self) -> None:
        pins = [{"host": host, "port": port, "until": end} for (host, port), end in sorted(self._ends.items())]
        try:
            write_public_file(self._path, json.dumps({"pins": pins}, indent=1).encode() + b"\n")
            self._seen = FileStatus.from_stat(self._path.stat())
        except (Misuse, OSError) as error:
            _log.error("pins are kept in memory alone: %s", error)


def _ends_of(octets: bytes) -> dict[_Key, Moment]:
    """Malformed for what this module has not written."""
    try:
        pins = json.loads(octets)["pins"]
        read = {(pin["host"], pin["port"]): pin["until"] for pin in pins}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Malformed(f"pins: {type(error).__name__}: {error}") from None
    for (host, port), end in read.items():
        if type(host) is not str or type(port) is not int or type(end) not in {int, float} or not math.isfinite(end):
            raise Malformed(f"pins: {host!r}, {port!r}, {end!r} is no pin")
    return {key: float(end) for key, end in read.items()}
