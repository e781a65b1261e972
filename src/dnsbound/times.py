"""Moments and spans of time. Nothing here, and nothing on the floors below the edge, reads a clock."""

import re
from datetime import UTC, datetime
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


def iso(moment: Moment) -> str:
    """RFC 3339 text in UTC with whole seconds, as logs and `--json` show it."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
