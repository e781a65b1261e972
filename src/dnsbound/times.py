"""Moments and spans of time. Nothing here, and nothing on the floors below the edge, reads a clock."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Final, TypeAlias

from dnsbound.errors import Malformed

Moment: TypeAlias = float
"""Seconds since 1970-01-01T00:00:00Z (POSIX time)."""

Seconds: TypeAlias = float
"""A span of time in seconds."""


_RFC_3339: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def moment_of_text(text: str) -> Moment:
    """RFC 3339 text, zone included, as a moment; Malformed otherwise."""
    if _RFC_3339.fullmatch(text) is None:
        raise Malformed(f"{text[:40]!r} is no time like 2026-11-22T16:00:00Z")
    try:
        return datetime.fromisoformat(text.upper()).timestamp()
    except (ValueError, OverflowError) as error:
        raise Malformed(f"{text[:40]!r}: {error}") from None


_UNITS: Final[Mapping[str, int]] = MappingProxyType({"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800})
_SPAN: Final = re.compile(r"([0-9]{1,9})([smhdw]?)")


def seconds_of_text(text: str) -> Seconds:
    """A span of time as people write it: `90`, `90s`, `15m`, `12h`, `30d`, `2w`; Malformed otherwise."""
    found = _SPAN.fullmatch(text.strip().lower())
    if found is None:
        raise Malformed(f"{text[:40]!r} is no span of time like 90s, 15m, 12h, 30d or 2w")
    return float(int(found[1]) * _UNITS[found[2]])


def moment_after(text: str, *, now: Moment) -> Moment:
    """RFC 3339 text as the moment it names, or a span of time counted from now; Malformed otherwise."""
    if _SPAN.fullmatch(text.strip().lower()):
        return now + seconds_of_text(text)
    try:
        return moment_of_text(text)
    except Malformed:
        raise Malformed(f"{text[:40]!r} is neither a time like 2026-11-22T16:00:00Z nor a span like 30d") from None


def iso(moment: Moment) -> str:
    """RFC 3339 text in UTC with whole seconds, as logs and `--json` show it."""
    return _iso_of_second(math.floor(moment))


@lru_cache(maxsize=256)
def _iso_of_second(second: int) -> str:
    """A busy service says the same second again and again."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
