"""`dnsbound who`: who is in on this machine, through which door, since when and until when."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from dnsbound.cli.exit_codes import ExitCode, printable
from dnsbound.cli.options import JsonOption
from dnsbound.cli.output import advise, console, emit
from dnsbound.times import iso

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dnsbound.edge.board_asking import Unasked
    from dnsbound.edge.board_lines import Board, Inside

_COLUMNS: Final = ("name", "door", "kind", "from", "since", "until")


def who(
    name: Annotated[
        str, typer.Argument(metavar="[NAME|PATTERN]", help="Only this name, or names of a pattern.", show_default=False)
    ] = "",
    *,
    door: Annotated[str, typer.Option("--door", help="Only at this door.", show_default=False)] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="Clients that are shown to people.")] = 200,
    as_json: JsonOption = False,
) -> None:
    """Show who is in at the doors of this machine: live connections and sessions, and requests admitted lately.

    Every server with a board is asked; one that cannot be asked is told of, and ends the command with 3.
    Nobody in is an answer as well: 1.
    """
    from dnsbound.edge.board_asking import Unasked, boards
    from dnsbound.edge.board_lines import Inside, NameFilter
    from dnsbound.edge.runtime_directory import runtime_directory

    wanted = NameFilter(name.removesuffix(".")).text
    sockets = boards()
    shown = _Shown(limit, as_json=as_json)
    unasked = []
    for line, board in _lines(sockets, wanted, door):
        if isinstance(line, Inside):
            assert board is not None
            shown.add(line, board)
        elif isinstance(line, Unasked):
            unasked.append(line)
    shown.end()
    for one in unasked:
        if as_json:
            emit({"board": str(one.path), "error": one.why})
        else:
            advise(printable(f"{one.path.name} did not answer: {one.why}"))
    if not sockets and not as_json:
        advise(f"No server with a board in {runtime_directory()} runs (see DNSBOUND_RUNTIME).")
    if unasked:
        raise typer.Exit(ExitCode.UNDECIDED)
    raise typer.Exit(ExitCode.YES if shown.count else ExitCode.NO)


def _lines(sockets: "list[Path]", name: str, door: str) -> "Iterator[tuple[Inside | Unasked | Board, Board | None]]":
    """What each board says, with the board that says it."""
    from dnsbound.edge.board_asking import who as ask
    from dnsbound.edge.board_lines import Board

    for path in sockets:
        board = None
        for line in ask(path, name=name, door=door):
            if isinstance(line, Board):
                board = line
            yield line, board


class _Shown:
    """JSON as it comes; a table for people, up to a limit."""

    def __init__(self, limit: int, *, as_json: bool) -> None:
        self._limit = limit
        self._as_json = as_json
        self._rows: list[tuple[str, ...]] = []
        self.count = 0

    def add(self, inside: "Inside", board: "Board") -> None:
        self.count += 1
        if self._as_json:
            emit(inside.to_json() | {"kind": board.kind, "label": board.label, "pid": board.pid})
            return
        if len(self._rows) < self._limit:
            kind = f"{board.kind} {board.label}".rstrip() + ("" if inside.is_live else " (request)")
            texts = (inside.name.canonical, inside.door, kind, inside.source, iso(inside.since), iso(inside.until))
            self._rows.append(tuple(map(printable, texts)))

    def end(self) -> None:
        if not self._rows:
            return
        from rich.table import Table

        table = Table(*_COLUMNS, box=None, pad_edge=False)
        for row in sorted(self._rows):
            table.add_row(*row)
        console().print(table)
        if self.count > len(self._rows):
            advise(f"and {self.count - len(self._rows)} more: name a door or a name, or say --limit")
