"""Content as files: opened, read in pieces at the rate a hash takes them, and known again when it has changed.

A file that grows, shrinks, vanishes or is written to while it is read has no digest anybody could sign: what was read
first and what was read last never were in it together.
"""

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final, Self, TypeAlias

from dnsbound.errors import Misuse
from dnsbound.times import Moment

PIECE_OCTETS: Final = 1 << 20
"""Large enough that reading costs a fifth of hashing; larger pieces leave the processor's cache."""
_NANOSECONDS: Final = 1_000_000_000

Octets: TypeAlias = bytes | memoryview
Through: TypeAlias = Callable[[int], None]
"""Told how many more octets are through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileIdentity:
    """Which file this is, and in which state. ctime cannot be set by whoever writes to the file."""

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, descriptor: int) -> Self:
        status = os.fstat(descriptor)
        return cls(
            device=status.st_dev,
            inode=status.st_ino,
            size=status.st_size,
            modified_ns=status.st_mtime_ns,
            changed_ns=status.st_ctime_ns,
        )

    @property
    def modified(self) -> Moment:
        """Whole seconds."""
        return float(self.modified_ns // _NANOSECONDS)


class OpenContent:
    """One regular file while it is read."""

    def __init__(self, descriptor: int, path: str | os.PathLike[str]) -> None:
        """Misuse unless it is a regular file."""
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Misuse(f"{path}: not a regular file")
        self.descriptor: Final = descriptor
        self.path: Final = path
        self.identity: Final = FileIdentity.of(descriptor)

    def pieces(self, *, start: int = 0) -> Iterator[memoryview]:
        """Its octets from there on. A piece holds until the next one is asked for. Misuse, at the end, when the file
        has changed meanwhile."""
        os.lseek(self.descriptor, start, os.SEEK_SET)
        left = self.identity.size - start
        for piece in pieces_of(self.descriptor):
            # A file that grows as fast as it is read has no end.
            yield piece[:left]
            left -= len(piece)
            if left <= 0:
                break
        if FileIdentity.of(self.descriptor) != self.identity:
            raise Misuse(f"{self.path}: changed while it was read")

    def sha256(self, through: Through) -> bytes:
        """Of all its octets."""
        running = sha256()
        for piece in self.pieces():
            running.update(piece)
            through(len(piece))
        return running.digest()


@contextmanager
def opened_content(path: Path) -> Iterator[OpenContent]:
    """The file, closed afterwards. Misuse unless it is a regular one; OSError."""
    # A pipe nobody writes to would not even open.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        yield OpenContent(descriptor, path)
    finally:
        os.close(descriptor)


def pieces_of(descriptor: int) -> Iterator[memoryview]:
    """What can be read, to its end. A piece holds until the next one is asked for."""
    buffer = bytearray(PIECE_OCTETS)
    view = memoryview(buffer)
    while octets := os.readv(descriptor, [buffer]):
        yield view[:octets]


def counted(pieces: Iterable[Octets], through: Through) -> Iterator[Octets]:
    """The pieces, each told when it was taken."""
    for piece in pieces:
        yield piece
        through(len(piece))
