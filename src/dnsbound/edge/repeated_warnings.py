"""Warnings that anybody can cause as often as he likes: one line for each subject, then one each ten minutes at most,
which says how often it happened meanwhile. What this is not: a count of everything, which metrics are.
"""

import logging
import time
from collections.abc import Callable
from typing import Final

from dnsbound.limits import WARNED_SUBJECTS, WARNING_SECONDS
from dnsbound.times import Seconds


class RepeatedWarnings:
    """subjects: how many are known at once; further ones are not warned of until a known one has been quiet."""

    def __init__(
        self,
        log: logging.Logger,
        *,
        subjects: int | None = None,
        seconds: int | None = None,
        monotonic: Callable[[], Seconds] = time.monotonic,
    ) -> None:
        self._log: Final = log
        self._most: Final = WARNED_SUBJECTS.checked(subjects)
        self._seconds: Final = WARNING_SECONDS.checked(seconds)
        self._monotonic = monotonic
        self._known: dict[str, tuple[Seconds, int]] = {}
        """When a subject was last told of, and how often it came up since; the oldest first."""

    def warn(self, subject: str, text: str) -> None:
        """Say the text, unless the subject was told of a short time ago."""
        since = self.due(subject)
        if since:
            self._log.warning("%s (and %d times since it was last said)", text, since)
        elif since is not None:
            self._log.warning("%s", text)

    def due(self, subject: str) -> int | None:
        """For whoever says it in words of its own: how often it came up since it was last said; None when nothing is to
        be said of it now."""
        now = self._monotonic()
        told_at, since = self._known.get(subject, (None, 0))
        if told_at is not None and now < told_at + self._seconds:
            self._known[subject] = (told_at, since + 1)
            return None
        self._known.pop(subject, None)
        if len(self._known) >= self._most and not self._made_room(now):
            return None
        self._known[subject] = (now, 0)
        return since

    def forget(self) -> None:
        """Say everything again: what was wrong may have been mended."""
        self._known.clear()

    def _made_room(self, now: Seconds) -> bool:
        oldest = next(iter(self._known))
        if now < self._known[oldest][0] + self._seconds:
            return False
        del self._known[oldest]
        return True
