"""Going through what was named: files, directories and standard input, and every row in them.

Directories are gone through in the order of their names, hidden files left out. Links in them are not followed: what
they lead to inside the directory is read in its own place, and what lies outside was not named. A file that cannot be
read is a bad row; that a place that was named does not exist is an error.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from stat import S_ISDIR, S_ISREG
from typing import BinaryIO, Final

from dnsbound.errors import LimitExceeded
from dnsbound.limits import ADOPTED_DEPTH, ADOPTED_FILES, Budget
from dnsbound.provision.adoption.candidate import BadRow, PassedOver, Problem, Row, RowFault
from dnsbound.provision.adoption.formats import HEAD_OCTETS, READERS, Format, format_of
from dnsbound.provision.adoption.source import ReadingRules, Source

STANDARD_INPUT: Final = "-"
_BUFFER: Final = 131_072


def rows(
    places: Iterable[str],
    rules: ReadingRules,
    *,
    format_: Format | None = None,
    read: Callable[[int], object] = int,
) -> Iterator[Row]:
    """Every row of every place, in order. format_: of all files; None: each one's own. read: told of octets, for those
    who show how far it is. OSError for a place that cannot be opened."""
    reading = _Reading(rules=rules, format_=format_, read=read, files=Budget(ADOPTED_FILES))
    for place in places:
        if place == STANDARD_INPUT:
            yield from reading.stream(sys.stdin.buffer, "standard input", None)
        elif S_ISDIR(Path(place).stat().st_mode):
            yield from reading.directory(Path(place))
        else:
            with Path(place).open("rb", buffering=_BUFFER) as stream:
                yield from reading.stream(stream, place, PurePath(place).stem)


def octets_in(places: Iterable[str]) -> int | None:
    """How much there is to be read, for those who show how far it is; None when nobody can say quickly."""
    total = 0
    for place in places:
        status = None if place == STANDARD_INPUT else Path(place).stat()
        if status is None or not S_ISREG(status.st_mode):
            return None
        total += status.st_size
    return total


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    rules: ReadingRules
    format_: Format | None
    read: Callable[[int], object]
    files: Budget

    def directory(self, top: Path) -> Iterator[Row]:
        for found in _files(top, top.resolve(), ADOPTED_DEPTH.default):
            if not isinstance(found, Path):
                yield found
                continue
            try:
                self.files.spend()
                # What was a file a moment ago must not have become a link or a pipe.
                descriptor = os.open(found, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
                with os.fdopen(descriptor, "rb", buffering=_BUFFER) as stream:
                    yield from self.stream(stream, str(found), found.stem)
            except LimitExceeded:
                detail = f"more than {ADOPTED_FILES.default} files: this one and those after it were not read"
                yield BadRow(where=str(found), problem=Problem.TOO_LARGE, detail=detail)
                return
            except OSError as error:
                yield BadRow(where=str(found), problem=Problem.UNREADABLE, detail=error.strerror or str(error))

    def stream(self, stream: BinaryIO, label: str, stem: str | None) -> Iterator[Row]:
        try:
            counted = _Counted(stream, self.read)
            reader = READERS[self.format_ or format_of(counted.head(), label, self.rules.columns)]
            yield from reader(Source(label=label, stream=counted, stem=stem, rules=self.rules))
        except RowFault as fault:
            yield BadRow(where=label, problem=fault.problem, detail=fault.detail)
        except OSError as error:
            yield BadRow(where=label, problem=Problem.UNREADABLE, detail=f"reading failed: {error.strerror or error}")


def _files(directory: Path, top: Path, depth: int) -> Iterator[Path | BadRow | PassedOver]:
    try:
        with os.scandir(directory) as entries:
            names = sorted(entry.name for entry in entries if not entry.name.startswith("."))
    except OSError as error:
        yield BadRow(where=str(directory), problem=Problem.UNREADABLE, detail=error.strerror or str(error))
        return
    for name in names:
        path = directory / name
        try:
            mode = path.lstat().st_mode
        except OSError as error:
            yield BadRow(where=str(path), problem=Problem.UNREADABLE, detail=error.strerror or str(error))
            continue
        if S_ISREG(mode):
            yield path
        elif path.is_symlink():
            yield _link(path, top)
        elif not S_ISDIR(mode):
            yield BadRow(where=str(path), problem=Problem.NOT_A_FILE, detail="neither a file nor a directory")
        elif depth > 1:
            yield from _files(path, top, depth - 1)
        else:
            detail = f"more than {ADOPTED_DEPTH.default} directories below each other"
            yield BadRow(where=str(path), problem=Problem.TOO_LARGE, detail=detail)


def _link(path: Path, top: Path) -> BadRow | PassedOver:
    try:
        inside = path.resolve(strict=True).is_relative_to(top)
    except (OSError, RuntimeError):  # RuntimeError: a loop of links
        inside = False
    if inside:
        return PassedOver(where=str(path), what="a link to what is read in its own place")
    return BadRow(where=str(path), problem=Problem.NOT_A_FILE, detail="a link that leads out of the directory")


class _Counted:
    """A stream whose first octets can be looked at, and that tells how much of it was read."""

    def __init__(self, stream: BinaryIO, read: Callable[[int], object]) -> None:
        self._stream = stream
        self._read = read
        self._first = stream.read(HEAD_OCTETS)

    def head(self) -> bytes:
        return self._first

    def read(self, size: int) -> bytes:
        first, self._first = self._first[:size], self._first[size:]
        octets = first + self._stream.read(size - len(first)) if len(first) < size else first
        self._read(len(octets))
        return octets

    def readline(self, size: int) -> bytes:
        if self._first:
            end = self._first.find(b"\n", 0, size) + 1 or min(size, len(self._first))
            octets, self._first = self._first[:end], self._first[end:]
            if len(octets) < size and not octets.endswith(b"\n"):
                octets += self._stream.readline(size - len(octets))
        else:
            octets = self._stream.readline(size)
        self._read(len(octets))
        return octets
