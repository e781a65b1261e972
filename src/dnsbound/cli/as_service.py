"""What a service manager wants to hear: sd_notify(3) over $NOTIFY_SOCKET, and log lines with a priority.

Without one, nothing is sent and lines begin with the time.
"""

import logging
import os
import socket
from contextlib import suppress
from typing import Final

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
    handler = logging.StreamHandler()
    in_journal = "JOURNAL_STREAM" in os.environ
    handler.setFormatter(_JournalFormatter() if in_journal else logging.Formatter(_WITH_TIME))
    logging.basicConfig(level=level, handlers=[handler])


_WITH_TIME: Final = "%(asctime)s %(name)s %(levelname)s %(message)s"


class _JournalFormatter(logging.Formatter):
    """`<6>dnsbound.run: ...`: the journal takes the priority from the number (sd-daemon(3)) and knows the time."""

    def __init__(self) -> None:
        super().__init__("%(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        priority = next((number for level, number in _PRIORITIES if record.levelno >= level), _DEBUG)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())
