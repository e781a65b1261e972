"""What a service manager wants to hear: sd_notify(3) over $NOTIFY_SOCKET, and log lines with a priority.

Without one, nothing is sent and lines begin with the time.
"""

import logging
import os
import socket
import time
from contextlib import suppress
from functools import lru_cache
from typing import Final, TextIO

_PRIORITIES: Final = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_DEBUG: Final = 7


def notify(**states: str) -> None:
    """Such as READY="1", STATUS="...", WATCHDOG="1". A manager that does not listen is no error."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if path[:1] not in ("/", "@"):
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    message = "\n".join(f"{key}={value}" for key, value in states.items())
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.sendto(message.encode(), address)


def log_to_stderr(level: int = logging.INFO) -> None:
    """Logs of the program on standard error: for the journal where it reads them, for people otherwise."""
    _leave_out_what_no_line_shows()
    handler = _LineHandler()
    in_journal = "JOURNAL_STREAM" in os.environ
    handler.setFormatter(_JournalFormatter() if in_journal else _TimedFormatter())
    logging.basicConfig(level=level, handlers=[handler])


def _leave_out_what_no_line_shows() -> None:
    """Where in the code, in which thread and process: to find that out takes longer than to write the line (see
    "Optimization" in Python's logging HOWTO)."""
    logging._srcfile = None  # noqa: SLF001 (the documented way)
    logging.logThreads = False
    logging.logProcesses = False
    logging.logMultiprocessing = False


class _LineHandler(logging.StreamHandler[TextIO]):
    """Standard error sends each line when it ends."""

    def flush(self) -> None:
        """There is nothing left to send."""


class _TimedFormatter(logging.Formatter):
    """`2026-11-22 16:00:00,123 dnsbound.run INFO ...`, as `logging` has it, with the second put into words once."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(name)s %(levelname)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        if record.exc_info or record.exc_text or record.stack_info:
            return super().format(record)
        return f"{self.formatTime(record)} {record.name} {record.levelname} {record.getMessage()}"

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802 (its name)
        return f"{_words_of_second(int(record.created))},{int(record.msecs):03}"


@lru_cache(maxsize=4)
def _words_of_second(second: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))


class _JournalFormatter(logging.Formatter):
    """`<6>dnsbound.run: ...`: the journal takes the priority from the number (sd-daemon(3)) and knows the time."""

    def __init__(self) -> None:
        super().__init__("%(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        priority = next((number for level, number in _PRIORITIES if record.levelno >= level), _DEBUG)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())
