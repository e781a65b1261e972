"""A clock that nobody can set: it counts from the machine's start, through sleep, for all of its processes alike.

Its name is that of the machine's start (Linux: /proc/sys/kernel/random/boot_id), so that a command run once a minute
counts on where the last one stopped. Where a machine does not name its starts the clock is one process's own: waits are
then counted by `dnsbound run` as a service, and anew when it is started again.
"""

import secrets
import time
from functools import cache
from pathlib import Path
from typing import Final

from dnsbound.provision.lifecycle.evidence import Reading

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_BOOT_TIME: Final[int | None] = getattr(time, "CLOCK_BOOTTIME", None)


def steady_reading() -> Reading:
    """The clock of this machine now."""
    boot = _boot_id()
    if _BOOT_TIME is None or boot is None:
        return Reading(clock=_name_of_process(), seconds=time.monotonic())
    return Reading(clock=boot, seconds=time.clock_gettime(_BOOT_TIME))


@cache
def _boot_id() -> str | None:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


@cache
def _name_of_process() -> str:
    return f"process {secrets.token_hex(8)}"
