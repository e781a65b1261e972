"""What a PostgreSQL server or its driver complains of, as the rest of one sentence.

Sections: PostgreSQL 15 appendix A (SQLSTATE). A connection that is not made carries no SQLSTATE, only words, which a
server may say in its own language: those are passed on.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

SAID: Final[Mapping[str, str]] = MappingProxyType(
    {
        # By SQLSTATE, or by its class of two characters; the whole one counts first.
        "08": "cannot be reached",
        "22": "refused the change",
        "23": "refused the change",
        "25006": "may not be written: the server is read-only",
        "25P03": "cut this transaction off: it held the others up for too long",
        "28": "refuses the login",
        "3D000": "does not exist",
        "3F000": "has no schema to work in",
        "42501": "does not allow this user to do that",
        "42": "has not the tables that belong there",
        "53100": "does not fit the server's disk",
        "53300": "has no connection left",
        "53": "lacks resources",
        "55P03": "is locked by another process",
        "57014": "took too long and was stopped",
        "57P01": "is shutting down or restarting",
        "57P02": "is restarting after a crash",
        "57P03": "is starting or shutting down",
        "58": "cannot be read or written",
        "XX": "is damaged",
    }
)

_UNSUPPORTED: Final = "0A000"
_WORDS: Final = (
    (re.compile(r"during recovery"), "25006"),
    (re.compile(r"password authentication failed|no password supplied|no pg_hba\.conf entry|authentication"), "28"),
    (re.compile(r'FATAL:\s+database ".*" does not exist'), "3D000"),
    (re.compile(r"starting up|shutting down|recovery mode"), "57P03"),
    (re.compile(r"too many (?:clients|connections)|connection slots"), "53300"),
)


def said(cause: BaseException | None) -> str:
    """The sentence, with the driver's own words behind a colon."""
    words = cause_in_one_line(cause)
    state = getattr(cause, "sqlstate", None)
    if state is None or state == _UNSUPPORTED:
        state = next((code for pattern, code in _WORDS if pattern.search(words)), state or "08000")
    return f"{SAID.get(state) or SAID.get(state[:2]) or 'failed'}: {words}"


def cause_in_one_line(cause: BaseException | None) -> str:
    """The driver's words, or the server's without its details, which hold what was to be written."""
    primary = getattr(getattr(cause, "diag", None), "message_primary", None)
    if primary:
        return str(primary)
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return lines[0] if lines else type(cause).__name__
