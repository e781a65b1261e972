"""A `ChainSource` that reads a file of `dnsbound chain export`, and reads it again when it changes.

For programs that build no chains themselves: a job exports the chain where there is a network, and the device that
carries it has the file. A file with an error does not replace a chain that was read before; `dnsbound.chains`, the
logger, is told once. What the chain proves is for the other side to judge.
"""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Final

import dns.exception
import dns.name
import dns.rdatatype

from dnsbound.dns.chain_file import ChainFile
from dnsbound.edge.file_status import FileStatus
from dnsbound.edge.secret_files import read_public_file
from dnsbound.errors import DnsboundError, LimitExceeded, Malformed, Misuse
from dnsbound.times import Seconds

CHECK_SECONDS: Final[Seconds] = 1.0

_log = logging.getLogger("dnsbound.chains")


class ChainFromFile:
    """See the module. Thread-safe."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        name: dns.name.Name | str | None = None,
        *,
        interval: Seconds = CHECK_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read the file. name: whose chain it must be; anybody's without. interval: seconds between looks at it.

        Misuse or Malformed when it cannot be read, or is the chain of somebody else.
        """
        if interval < 0:
            raise Misuse("the interval is not negative")
        self._path = Path(path)
        self._name = None if name is None else _name(name)
        self._interval = interval
        self._monotonic = monotonic
        self._lock = Lock()
        self._seen = FileStatus.of(self._path)
        self._file = self._read()
        self._looked_at = monotonic()

    @property
    def file(self) -> ChainFile:
        """What was read last."""
        return self._file

    def current(self) -> bytes:
        """See `ChainSource`."""
        moment = self._monotonic()
        if moment - self._looked_at >= self._interval and self._lock.acquire(blocking=False):
            try:
                self._looked_at = moment
                self._look()
            finally:
                self._lock.release()
        return self._file.octets

    def _look(self) -> None:
        status = FileStatus.of(self._path)
        if status == self._seen:
            return
        self._seen = status
        try:
            self._file = self._read()
        except DnsboundError as error:
            _log.error("%s; the chain read before stays", error)

    def _read(self) -> ChainFile:
        octets = read_public_file(self._path)
        try:
            file = ChainFile.from_text(octets.decode("ascii", "replace"))
        except (Malformed, LimitExceeded) as error:
            raise Malformed(f"{self._path}: {error}") from error
        if self._name is not None and (file.name, file.rdtype) != (self._name, dns.rdatatype.TLSA):
            raise Misuse(f"{self._path} holds the chain of {file.name}, not of {self._name} TLSA")
        return file


def _name(name: dns.name.Name | str) -> dns.name.Name:
    try:
        return (dns.name.from_text(name) if isinstance(name, str) else name).canonicalize()
    except dns.exception.DNSException as error:
        raise Misuse(f"{name!r} is not a domain name: {error}") from None
