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
        now = self._monotonic()
        told_at, since = self._known.get(subject, (None, 0))
        if told_at is not None and now < told_at + self._seconds:
            self._known[subject] = (told_at, since + 1)
            return
        self._known.pop(subject, None)
        if len(self._known) >= self._most and not self._made_room(now):
            return
        self._known[subject] = (now, 0)
        if since:
            self._log.warning("%s (and %d times since it was last said)", text, since)
        else:
            self._log.warning("%s", text)

    def forget(self) -> None:
        """Say everything again: what was wrong may have been mended."""
        self._known.clear()

    def _made_room(self, now: Seconds) -> bool:
        oldest = next(iter(self._known))
        if now < self._known[oldest][0] + self._seconds:
            return False
        del self._known[oldest]
        return True
