"""Asking the door boards of this machine: every process with doors, one after the other or all at once.

A board that cannot be asked is told of, never passed over: one of another user, one that does not answer, one whose
process has gone meanwhile. What is asked and answered is `board_lines`; the boards are `door_board`.
"""

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from dnsbound.edge.board_lines import FORGET, WHO, Board, Forgotten, Inside, Question, from_line
from dnsbound.edge.door_board import SUFFIX, remove_abandoned
from dnsbound.edge.runtime_directory import address_of, runtime_directory
from dnsbound.errors import DnsboundError, Malformed, Misuse
from dnsbound.limits import BOARD_LINE_OCTETS, BOARD_ROWS
from dnsbound.names import ClientName
from dnsbound.times import Seconds

WHO_SECONDS: Final[Seconds] = 10.0
"""For one page of an answer."""
FORGET_SECONDS: Final[Seconds] = 60.0
"""Lookups are waited for, and each has a deadline of its own."""
_AT_ONCE: Final = 16
_DOORS: Final = 10_000
"""Lines about doors in one answer."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unasked:
    """A board that gave no whole answer, and why."""

    path: Path
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgottenAt:
    """What one board answered."""

    path: Path
    board: Board
    doors: tuple[Forgotten, ...]


def boards(directory: Path | None = None) -> list[Path]:
    """Sockets of the boards of this machine, in order; those of processes that have gone are taken away first. None
    where the directory is not there. Misuse for one that cannot be looked into."""
    place = runtime_directory() if directory is None else directory
    try:
        if not place.exists():
            return []
        remove_abandoned(place)
        return sorted(path for path in place.iterdir() if path.suffix == SUFFIX)
    except OSError as error:
        raise Misuse(f"{place}: {(error.strerror or str(error)).lower()}") from error


def who(path: Path, *, name: str = "", door: str = "") -> Iterator[Board | Inside | Unasked]:
    """Ask one board who is in: the board first, then each client, page by page. It ends with Unasked where the answer
    is not whole. name: also a pattern."""
    after: int | None = 0
    is_first = True
    while after is not None:
        page = _asked(path, Question(ask=WHO, name=name, door=door, after=after), seconds=WHO_SECONDS)
        if isinstance(page, Unasked):
            yield page
            return
        board, lines, end = page
        try:
            rows = [Inside.from_json(line) for line in lines]
            former, after = after, _next(end)
            if after is not None and after <= former:
                raise Malformed("the board does not get on")
        except DnsboundError as error:
            yield Unasked(path=path, why=str(error))
            return
        if is_first:
            yield board
            is_first = False
        yield from rows


def forget_everywhere(name: ClientName, *, directory: Path | None = None) -> list[ForgottenAt | Unasked]:
    """Have every board of this machine forget a name, all at the same time."""

    def ask(path: Path) -> ForgottenAt | Unasked:
        answer = _asked(path, Question(ask=FORGET, name=name.canonical), seconds=FORGET_SECONDS)
        if isinstance(answer, Unasked):
            return answer
        board, lines, _ = answer
        try:
            return ForgottenAt(path=path, board=board, doors=tuple(map(Forgotten.from_json, lines)))
        except DnsboundError as error:
            return Unasked(path=path, why=str(error))

    return _each(ask, boards(directory))


def _each(ask: Callable[[Path], _T], paths: list[Path]) -> list[_T]:
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        return list(threads.map(ask, paths))


def _next(end: dict[str, Any]) -> int | None:
    after = end.get("next")
    if after is not None and type(after) is not int:
        raise Malformed("the number of the next page is none")
    return after


_Answer = tuple[Board, list[dict[str, Any]], dict[str, Any]]
"""The board, the lines between its first and its last, and the last."""


def _asked(path: Path, question: Question, *, seconds: Seconds) -> _Answer | Unasked:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.settimeout(seconds)
            with address_of(path) as address:
                asking.connect(address)
            asking.sendall(question.to_line())
            return _answer(_received(asking, seconds), question)
    except OSError as error:
        why = "no answer in time" if isinstance(error, TimeoutError) else (error.strerror or str(error)).lower()
        return Unasked(path=path, why=why)
    except DnsboundError as error:
        return Unasked(path=path, why=str(error))


def _received(asking: socket.socket, seconds: Seconds) -> Iterator[bytes]:
    """Lines, as they come; each is bounded, and so is the time for all."""
    ends_at = time.monotonic() + seconds
    rest = b""
    while True:
        lines = rest.split(b"\n")
        rest = lines.pop()
        yield from lines
        if len(rest) > BOARD_LINE_OCTETS.default:
            raise Malformed(f"a line of more than {BOARD_LINE_OCTETS.default} octets")
        left = ends_at - time.monotonic()
        if left <= 0:
            raise TimeoutError
        asking.settimeout(left)
        part = asking.recv(65_536)
        if not part:
            return
        rest += part


def _answer(lines: Iterator[bytes], question: Question) -> _Answer:
    first = next(lines, None)
    if first is None:
        raise Malformed("the board closed without an answer")
    board = Board.from_json(from_line(first))
    most = BOARD_ROWS.default if question.ask == WHO else _DOORS
    found: list[dict[str, Any]] = []
    for line in lines:
        value = from_line(line)
        if "end" in value:
            return board, found, value
        found.append(value)
        if len(found) > most:
            raise Malformed("the answer is longer than a page")
    raise Malformed("the answer is not whole")
