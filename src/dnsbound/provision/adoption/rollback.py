"""The rollback file of an adoption: JSON Lines, each what takes one change back, written before the change is made.

The lines of a batch are on the disk before the batch is committed. A line whose change never came to be does no harm:
taking back looks first whether what it would take back is there. Lines are read from the last to the first.
"""

import base64
import binascii
import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from dnsbound.errors import Malformed, Misuse
from dnsbound.limits import ADOPTED_ROW_OCTETS
from dnsbound.names import ClientName
from dnsbound.provision.errors import InventoryFailed
from dnsbound.times import Moment

_HEADER: Final = {"dnsbound-rollback": 1}
_BLOCK: Final = 65_536


class Undo(StrEnum):
    """What takes a change back."""

    REVOKE = "revoke"
    """Of a name that was registered."""
    RESTORE_KEY = "restore-key"
    """Of a name whose key was replaced."""
    RESTORE_FACTS = "restore-facts"
    """Of a name that got another owner, or tags."""
    REGISTER = "register"
    """Of a name that was revoked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Former:
    """An identity as it was. records: TLSA data in presentation form. registered_at: tells it from others that had the
    name before or after it."""

    spki: bytes
    certificate: bytes | None
    records: tuple[str, ...]
    ttl: int
    owner: str
    tags: tuple[str, ...]
    registered_at: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line. spki_sha256: of the key that the adoption gave, or took, in hexadecimal. former: what there was before;
    of RESTORE_FACTS only owner and the tags that were added are used."""

    undo: Undo
    name: ClientName
    spki_sha256: str
    former: Former | None = None

    def to_text(self) -> str:
        line: dict[str, object] = {"undo": self.undo.value, "name": self.name.canonical, "key": self.spki_sha256}
        if self.former is not None:
            former = self.former
            line["former"] = {
                "spki": base64.b64encode(former.spki).decode(),
                "certificate": None if former.certificate is None else base64.b64encode(former.certificate).decode(),
                "records": list(former.records),
                "ttl": former.ttl,
                "owner": former.owner,
                "tags": list(former.tags),
                "registered_at": former.registered_at,
            }
        return json.dumps(line)

    @classmethod
    def parse(cls, line: str | bytes) -> Self:
        """Malformed."""
        try:
            members = json.loads(line)
            former = members.get("former")
            return cls(
                undo=Undo(members["undo"]),
                name=ClientName.parse(members["name"]),
                spki_sha256=str(members["key"]),
                former=None if former is None else _former(former),
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise Malformed(f"no line of a rollback file: {error}") from None


def _former(members: dict[str, Any]) -> Former:
    return Former(
        spki=_octets(members["spki"]),
        certificate=None if members["certificate"] is None else _octets(members["certificate"]),
        records=tuple(str(record) for record in members["records"]),
        ttl=int(members["ttl"]),
        owner=str(members["owner"]),
        tags=tuple(str(tag) for tag in members["tags"]),
        registered_at=float(members["registered_at"]),
    )


def _octets(text: str) -> bytes:
    return binascii.a2b_base64(text, strict_mode=True)


class RollbackFile:
    """The file while it is written: for one process at a time, mode 0600. OSError when the disk is full."""

    def __init__(self, path: Path, *, resume: bool) -> None:
        """resume: go on with a file that is there. Misuse when it is there and was not to be, or the other way round,
        is none, or is being written."""
        self.path = path
        self.used = resume
        """Whether there is anything to be taken back."""
        how = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (0 if resume else os.O_CREAT | os.O_EXCL)
        try:
            self._descriptor = os.open(path, how, 0o600)
        except FileExistsError:
            raise Misuse(f"{path} is there already: --resume goes on with it, or name another file") from None
        try:
            self._begin(resume=resume)
        except BaseException:
            os.close(self._descriptor)
            raise

    def _begin(self, *, resume: bool) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Misuse(f"{self.path} is being written by another adoption") from None
        if not resume:
            self._write(json.dumps(_HEADER) + "\n")
            _sync_directory(self.path)
            return
        _check_header(self._descriptor, self.path)
        os.ftruncate(self._descriptor, _end_of_lines(self._descriptor))
        os.lseek(self._descriptor, 0, os.SEEK_END)

    def add(self, entries: Iterable[Entry]) -> None:
        """Write these lines; when it returns they are on the disk."""
        text = "".join(f"{entry.to_text()}\n" for entry in entries)
        if text:
            self.used = True
            self._write(text)

    def _write(self, text: str) -> None:
        octets = memoryview(text.encode("ascii"))
        try:
            while octets:
                octets = octets[os.write(self._descriptor, octets) :]
            os.fsync(self._descriptor)
        except OSError as error:
            raise InventoryFailed(f"{self.path}: {error.strerror}: nothing of this batch was changed") from error

    def close(self) -> None:
        """A file with nothing in it is taken away."""
        if not self.used:
            self.path.unlink(missing_ok=True)
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_backwards(path: Path) -> Iterator[Entry]:
    """The entries of a file from the last to the first; what was being written when the process died is left out.

    Malformed for a file that is none, or has a line that is none; OSError.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check_header(descriptor, path)
        for line in _lines_backwards(descriptor, _end_of_lines(descriptor)):
            if b'"dnsbound-rollback"' not in line:
                yield Entry.parse(line)
    finally:
        os.close(descriptor)


def _check_header(descriptor: int, path: Path) -> None:
    first = os.pread(descriptor, _BLOCK, 0).partition(b"\n")[0]
    try:
        fits = json.loads(first) == _HEADER
    except (ValueError, RecursionError):
        fits = False
    if not fits:
        raise Malformed(f"{path} is no rollback file of an adoption")


def _end_of_lines(descriptor: int) -> int:
    """Where the last whole line ends."""
    end = os.fstat(descriptor).st_size
    while end:
        start = max(0, end - _BLOCK)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _lines_backwards(descriptor: int, end: int) -> Iterator[bytes]:
    rest = b""
    while end:
        start = max(0, end - _BLOCK)
        rest = os.pread(descriptor, end - start, start) + rest
        end = start
        first, *whole = rest.split(b"\n")
        yield from (line for line in reversed(whole) if line)
        rest = first
        if len(rest) > 4 * ADOPTED_ROW_OCTETS.maximum:
            raise Malformed("a line of the rollback file does not end")
    if rest:
        yield rest


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
