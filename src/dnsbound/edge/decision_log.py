"""The decision log that all doors of a machine may share: one line of JSON for each decision, appended to a file.

    decisions = DecisionLog("/var/log/dnsbound/decisions.jsonl")
    Authenticator(..., on_decision=decisions)           # one door of a program's own
    with decisions.attached(): ...                      # or whatever the logger dnsbound.decisions is told

A line is what `Decision.to_json` says, written at once and as a whole (O_APPEND), so that any number of processes may
write the same file. It is rotated by whoever rotates logs: when another file, or none, stands at the path, that one is
opened or made. A log that cannot be written changes nothing about who comes in; it is told of, and counted in `lost`.

What this is not: the accounting of a network, or a log that anything is decided by.
"""

import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, Final, Self

from dnsbound.edge.authenticator import DECISIONS
from dnsbound.edge.file_status import FileStatus
from dnsbound.edge.repeated_warnings import RepeatedWarnings
from dnsbound.errors import Misuse
from dnsbound.times import Seconds
from dnsbound.verify.decision import Decision

MODE: Final = 0o640
"""Of a file that is made here: who comes and goes is not for everybody."""

_log: Final = logging.getLogger("dnsbound.decision_log")
_to_text: Final = json.JSONEncoder(separators=(",", ":")).encode


class DecisionLog:
    """See the module. Thread-safe; what is forked should open its own."""

    def __init__(self, path: str | os.PathLike[str], *, monotonic: Callable[[], Seconds] = time.monotonic) -> None:
        """Open the file, or make it. Misuse, in one line, when that cannot be done."""
        self.path: Final = Path(path)
        self.lost = 0
        """Decisions that could not be written."""
        self._lock = Lock()
        self._warnings = RepeatedWarnings(_log, monotonic=monotonic)
        try:
            self._descriptor, self._place = _opened(self.path)
        except (OSError, ValueError) as error:
            raise Misuse(f"{self.path}: {_words(error)}") from error

    def __call__(self, decision: Decision) -> None:
        """Write one decision; it never raises for what the file system does. An `on_decision`."""
        self._write(decision.to_json())

    @contextmanager
    def attached(self, logger: str = DECISIONS) -> Iterator[Self]:
        """While the block runs, write what the logger is told; it is made to let decisions (INFO) through."""
        handler = _Handler(self)
        told = logging.getLogger(logger)
        former = told.level
        if not told.isEnabledFor(logging.INFO):
            told.setLevel(logging.INFO)
        told.addHandler(handler)
        try:
            yield self
        finally:
            told.removeHandler(handler)
            told.setLevel(former)

    def close(self) -> None:
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _write(self, shown: dict[str, Any]) -> None:
        line = _to_text(shown).encode() + b"\n"
        with self._lock:
            if self._descriptor < 0:
                return
            try:
                self._follow()
                written = os.write(self._descriptor, line)
                if written < len(line):
                    # The next line must not end as part of this one.
                    os.write(self._descriptor, b"\n")
                    raise OSError(0, "only a part of a line was written")  # noqa: TRY301 (told of like the others)
            except OSError as error:
                self.lost += 1
                self._warnings.warn("lost", f"{self.path}: {_words(error)}: a decision is missing in it")

    def _follow(self) -> None:
        """Go on in the file that stands at the path now."""
        status = FileStatus.of(self.path)
        if status is not None and (status.device, status.inode) == self._place:
            return
        descriptor, place = _opened(self.path)
        os.close(self._descriptor)
        self._descriptor, self._place = descriptor, place


class _Handler(logging.Handler):
    def __init__(self, decisions: DecisionLog) -> None:
        super().__init__(logging.INFO)
        self._decisions = decisions

    def emit(self, record: logging.LogRecord) -> None:
        shown = getattr(record, "decision", None)
        if isinstance(shown, dict):
            self._decisions._write(shown)  # noqa: SLF001 (the two classes are one)


def _opened(path: Path) -> tuple[int, tuple[int, int]]:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
    descriptor = os.open(path, flags, MODE)
    status = FileStatus.from_stat(os.fstat(descriptor))
    return descriptor, (status.device, status.inode)


def _words(error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        return "its directory is not there"
    return (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)
