"""Moments and spans of time. Nothing here, and nothing on the floors below the edge, reads a clock."""

from datetime import UTC, datetime
from typing import TypeAlias

Moment: TypeAlias = float
"""Seconds since 1970-01-01T00:00:00Z (POSIX time)."""

Seconds: TypeAlias = float
"""A span of time in seconds."""


def iso(moment: Moment) -> str:
    """RFC 3339 text in UTC with whole seconds, as logs and `--json` show it."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
