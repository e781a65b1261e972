"""Reading what still grows: the octets of a recording, and the lines of its segment records.

A pipe brings what it brings and ends when its writer is gone. A regular file ends where it ends, unless it is followed:
then more is waited for, until nothing has come for as long as the caller is patient.
"""

import os
import select
import stat
import time
from collections.abc import Callable
from typing import Final

from dnsbound.errors import LimitExceeded
from dnsbound.object_limits import SEGMENT_RECORD_OCTETS
from dnsbound.times import Seconds

_LOOKS_EVERY: Final[Seconds] = 0.1
"""Between two looks at a file that has not grown, since no notice of that is portable, and at whether to stop."""
_PIECE: Final = 1 << 20


class GrowingInput:
    """One descriptor that is read as its octets come."""

    def __init__(
        self,
        descriptor: int,
        *,
        patience: Seconds = 0.0,
        stopped: Callable[[], bool] = lambda: False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """patience: how long a regular file that has ended is waited for; 0 does not wait. A pipe is always waited for:
        it says itself when it has ended. stopped: asked between two waits, so that an interruption comes where nothing
        that was read can be lost."""
        self.descriptor: Final = descriptor
        self._patience = patience
        self._stopped = stopped
        self._monotonic = monotonic
        self.is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)

    def read(self, most: int, *, within: Seconds | None = None) -> bytes | None:
        """Some octets; none of them where it has ended; None where nothing came within those seconds.
        KeyboardInterrupt when it is stopped."""
        most = min(most, _PIECE)
        began = self._monotonic()
        while True:
            if self._stopped():
                raise KeyboardInterrupt
            waited = self._monotonic() - began
            if within is not None and waited > within:
                return None
            if self.is_file:
                if octets := os.read(self.descriptor, most):
                    return octets
                if waited >= self._patience:
                    return b""
                select.select([], [], [], _LOOKS_EVERY)
            elif select.select([self.descriptor], [], [], _LOOKS_EVERY)[0] and not self._stopped():
                return os.read(self.descriptor, most)


class RecordLines:
    """The lines of a file of segment records, each as it comes."""

    def __init__(self, source: GrowingInput) -> None:
        self._source = source
        self._held = bytearray()

    def next(self) -> bytes | None:
        """A record without its line's end; None where there are no more. A last line without an end is no record: its
        writer was interrupted. LimitExceeded for one too long."""
        while (end := self._held.find(b"\n")) < 0:
            if len(self._held) > SEGMENT_RECORD_OCTETS.default:
                raise LimitExceeded(SEGMENT_RECORD_OCTETS.name, "a segment record without an end")
            octets = self._source.read(SEGMENT_RECORD_OCTETS.default)
            if not octets:
                return None
            self._held += octets
        line = bytes(self._held[:end])
        del self._held[: end + 1]
        return line
