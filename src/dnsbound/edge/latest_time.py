"""The latest time this verifier has seen, kept in a small file, so that a clock set back makes nothing valid again.

A door without a network knows the time by its own clock alone. Whoever can set it back, or takes the battery out, would
bring ended signatures to life. The file holds one line, a time (RFC 3339); it is replaced whole. A clock that once ran
far ahead leaves a time behind that locks the door: remove the file then. Several processes may share one file.
"""

import logging
import os
from pathlib import Path
from threading import Lock
from typing import Final

from dnsbound.edge.secret_files import read_public_file, write_public_file
from dnsbound.errors import Malformed, Misuse, Reason, Undecided
from dnsbound.times import Moment, Seconds, iso, moment_of_text

WRITE_SECONDS: Final[Seconds] = 60.0
"""How far the clock goes on before the file is written again: what a restart may forget."""
STEP_SECONDS: Final[Seconds] = 5.0
"""How far a clock may step back without anything being wrong, as when it is disciplined by NTP."""

_log = logging.getLogger("dnsbound.clock")


class LatestTime:
    """See the module. Thread-safe."""

    def __init__(
        self, path: str | os.PathLike[str], *, interval: Seconds = WRITE_SECONDS, step: Seconds = STEP_SECONDS
    ) -> None:
        """Read the file, or begin one. interval: of the clock, between two writings. step: back, that is let pass.

        Misuse when the file cannot be read, or holds no time: what it said may have been what protects this door.
        """
        if interval < 0 or step < 0:
            raise Misuse("interval and step are not negative")
        self._path = Path(path)
        self._interval = interval
        self._step = step
        self._lock = Lock()
        self._latest = self._kept = self._read()

    @property
    def moment(self) -> Moment:
        """The latest time seen; 0 when there was none."""
        return self._latest

    def check(self, now: Moment) -> None:
        """Remember this time; Undecided(CLOCK) when it is earlier than one that was seen."""
        with self._lock:
            if now < self._latest - self._step:
                raise Undecided(Reason.CLOCK, f"the clock shows {iso(now)}, but {iso(self._latest)} was seen before")
            self._latest = max(self._latest, now)
            if self._kept == 0 or self._latest >= self._kept + self._interval:
                self._write()

    def _read(self) -> Moment:
        if not self._path.exists():
            return 0.0
        octets = read_public_file(self._path)
        try:
            return moment_of_text(octets.decode("ascii", "replace").strip())
        except Malformed as error:
            raise Misuse(f"{self._path}: {error}; remove it if this clock can be trusted now") from None

    def _write(self) -> None:
        """A full disk must not shut the door: in memory the time is remembered all the same."""
        try:
            self._latest = max(self._latest, self._read())
            write_public_file(self._path, f"{iso(self._latest)}\n".encode())
        except Misuse as error:
            _log.error("the latest time seen could not be written: %s", error)
        self._kept = self._latest
