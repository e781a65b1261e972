"""An access list in a file, read again when the file changes. A list with an error never replaces one that works.

Write a new list beside the file and rename it into place: a file read while it is being written may look whole.
`current` looks at the file's status at most once per interval. A small list is read on the spot; a long one in a
thread, so that no event loop waits for it, and the old list stays in force until the new one is whole. An error is
reported once for each state of the file.
"""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock, Thread
from typing import Final

from dnsbound.edge.file_status import FileStatus
from dnsbound.errors import Malformed, Misuse
from dnsbound.times import Seconds
from dnsbound.verify.access import AccessList

CHECK_SECONDS: Final[Seconds] = 1.0
READ_ON_THE_SPOT: Final = 65_536
"""Octets; a list of this size is read in a few milliseconds."""
MAX_OCTETS: Final = 1 << 30

_log = logging.getLogger("dnsbound.access")


class AccessFile:
    """The list in a TOML file. Thread-safe; safe after fork, since each process looks for itself."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        interval: Seconds = CHECK_SECONDS,
        on_error: Callable[[Malformed | Misuse], None] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read the file. Malformed or Misuse when that fails: there is no older list to keep. interval: seconds between
        looks at the file; 0 looks each time. on_error: told what is wrong with a newer file; the log is told too."""
        if interval < 0:
            raise Misuse("the interval is not negative")
        self._path = Path(path)
        self._interval = interval
        self._on_error = on_error
        self._monotonic = monotonic
        self._lock = Lock()
        self._thread: Thread | None = None
        self._process = os.getpid()
        self._seen: FileStatus | None
        self._seen, text = _read(self._path)
        self._list = _parse(self._path, text)
        self._looked_at = monotonic()
        self.error: Malformed | Misuse | None = None
        """What is wrong with the file as it is now; None while the list in force is the file's."""

    @property
    def path(self) -> Path:
        return self._path

    def current(self) -> AccessList:
        """The list in force, after a look at the file if the interval has passed."""
        if self._process != os.getpid():
            self._after_fork()
        moment = self._monotonic()
        if moment - self._looked_at >= self._interval and self._lock.acquire(blocking=False):
            try:
                self._looked_at = moment
                self._look()
            finally:
                self._lock.release()
        return self._list

    def reload(self) -> AccessList:
        """Read the file now, changed or not, and wait for it. Malformed or Misuse when it has an error; the list in
        force then stays."""
        if self._process != os.getpid():
            self._after_fork()
        with self._lock:
            try:
                self._seen, text = _read(self._path)
                self._list = _parse(self._path, text)
            except (Malformed, Misuse) as error:
                self.error = error
                raise
            self.error = None
            return self._list

    def _look(self) -> None:
        status = FileStatus.of(self._path)
        if status == self._seen or (self._thread is not None and self._thread.is_alive()):
            return
        if status is None or status.size <= READ_ON_THE_SPOT:
            self._replace()
            return
        self._thread = Thread(target=self._replace_locked, name="dnsbound-access", daemon=True)
        self._thread.start()

    def _after_fork(self) -> None:
        """The lock may have been held by a thread that exists in the parent process only."""
        self._lock = Lock()
        self._thread = None
        self._process = os.getpid()

    def _replace_locked(self) -> None:
        with self._lock:
            self._replace()

    def _replace(self) -> None:
        try:
            self._seen = FileStatus.from_stat(self._path.stat())
            self._seen, text = _read(self._path)
            self._list = _parse(self._path, text)
        except OSError as error:
            self._seen = None
            self._report(Misuse(f"{self._path}: {(error.strerror or str(error)).lower()}"))
        except (Malformed, Misuse) as error:
            self._report(error)
        else:
            self.error = None
            _log.info("%s: %d entries in force", self._path, len(self._list))

    def _report(self, error: Malformed | Misuse) -> None:
        self.error = error
        _log.error("%s; the list read before stays in force", error)
        if self._on_error is None:
            return
        try:
            self._on_error(error)
        except Exception:  # noqa: BLE001 (an observer's mistake must not change who comes in)
            _log.exception("on_error failed")


def _read(path: Path) -> tuple[FileStatus, str]:
    """Status and text of the same open file, so that a change while it is read is seen at the next look."""
    try:
        with path.open("rb") as file:
            status = FileStatus.from_stat(os.fstat(file.fileno()))
            octets = file.read(MAX_OCTETS + 1)
    except (OSError, ValueError) as error:
        words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise Misuse(f"{path}: {words.lower()}") from error
    if len(octets) > MAX_OCTETS:
        raise Misuse(f"{path}: larger than {MAX_OCTETS} octets")
    try:
        return status, octets.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(f"{path}: not UTF-8 text", error.start) from None


def _parse(path: Path, text: str) -> AccessList:
    try:
        return AccessList.from_toml(text)
    except Malformed as error:
        raise Malformed(f"{path}: {error}") from error
