"""Exit codes, and the one place where an error becomes an exit code and a line for people.

    0 yes (or: done)    1 no    2 usage    3 undecided: could not find out, or could not finish

Ctrl-C ends a command with 130, a reader that went away (`| head`) with 141, as shells expect.
"""

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from dnsbound.errors import (
    UNDECIDED_REASONS,
    DnsboundError,
    LimitExceeded,
    Malformed,
    Misuse,
    PeerError,
    Reason,
    Refused,
    Undecided,
)


class ExitCode(IntEnum):
    """What the exit status of a command says."""

    YES = 0
    NO = 1
    USAGE = 2
    UNDECIDED = 3
    INTERRUPTED = 130
    """128 and the number of SIGINT."""
    READER_GONE = 141
    """128 and the number of SIGPIPE."""


EXIT_CODE_OF_ERROR: Final[Mapping[str, ExitCode]] = MappingProxyType(
    {
        # By name, so that telling an error loads nothing. The nearest class of an error's ancestry counts.
        "NotInInventory": ExitCode.NO,
        "AlreadyInInventory": ExitCode.NO,
        "RollRefused": ExitCode.NO,
        "LeaseRefused": ExitCode.NO,
        "NameBlocked": ExitCode.NO,
        "EnrolmentDenied": ExitCode.NO,
        "EnrolmentRefused": ExitCode.NO,
        "RemovalsRefused": ExitCode.NO,
        "DatabaseFailed": ExitCode.UNDECIDED,
        "ServerRefused": ExitCode.NO,
        "ServerUnclear": ExitCode.UNDECIDED,
        "BackendError": ExitCode.UNDECIDED,
        Misuse.__name__: ExitCode.USAGE,
        Malformed.__name__: ExitCode.USAGE,
        PeerError.__name__: ExitCode.UNDECIDED,
        Refused.__name__: ExitCode.NO,
        Undecided.__name__: ExitCode.UNDECIDED,
        LimitExceeded.__name__: ExitCode.UNDECIDED,
        DnsboundError.__name__: ExitCode.UNDECIDED,
        KeyboardInterrupt.__name__: ExitCode.INTERRUPTED,
        BrokenPipeError.__name__: ExitCode.READER_GONE,
        # A path on the command line that is not what the command needs.
        FileNotFoundError.__name__: ExitCode.USAGE,
        FileExistsError.__name__: ExitCode.USAGE,
        IsADirectoryError.__name__: ExitCode.USAGE,
        NotADirectoryError.__name__: ExitCode.USAGE,
        PermissionError.__name__: ExitCode.USAGE,
        OSError.__name__: ExitCode.UNDECIDED,
        # Typer's: the arguments do not parse; a question on the terminal got no answer.
        "UsageError": ExitCode.USAGE,
        "TyperException": ExitCode.USAGE,
        "Abort": ExitCode.USAGE,
        # Anything else is a defect of this program. It is never a yes and never a decided no.
        BaseException.__name__: ExitCode.UNDECIDED,
    }
)


def exit_code_of_error(error: BaseException) -> ExitCode:
    """The exit status that ends a command which failed with this."""
    return next(
        EXIT_CODE_OF_ERROR[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in EXIT_CODE_OF_ERROR
    )


def exit_code_of_reason(reason: Reason) -> ExitCode:
    """Refusals are a no; what could not be decided is undecided."""
    return ExitCode.UNDECIDED if reason in UNDECIDED_REASONS else ExitCode.NO


def line_of_error(error: BaseException) -> str:
    """One printable line that says what went wrong."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, OSError) and error.strerror:
        told = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    elif type(error).__name__ == "Abort":
        told = "the question was not answered, so nothing was done (--yes answers it)"
    elif hasattr(error, "format_message"):
        told = error.format_message()
    elif isinstance(error, DnsboundError | OSError):
        told = str(error)
    else:
        told = f"internal error, please report it: {type(error).__name__}: {error}"
    return printable(told) or type(error).__name__


def printable(text: str) -> str:
    """Without line breaks and control characters, which hostile names and files could bring along."""
    return "".join(char if char.isprintable() else " " if char.isspace() else "?" for char in text).strip()
