"""What commands print: lines and JSON on standard output, advice on standard error."""

import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import typer

if TYPE_CHECKING:
    from rich.console import Console

_NO_WIDTH: Final = 10_000


def say(line: str = "") -> None:
    """A line of the result."""
    typer.echo(line)


def advise(line: str) -> None:
    """A line for people beside the result; programs that read the result do not see it."""
    typer.echo(line, err=True)


def emit(result: Mapping[str, object]) -> None:
    """One JSON object on one line."""
    typer.echo(json.dumps(result, ensure_ascii=True, separators=(", ", ": ")))


def console() -> "Console":
    """Rich on standard output; plain text where that is no terminal, and not broken into lines of a width then."""
    from rich.console import Console

    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else _NO_WIDTH)
