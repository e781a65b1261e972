"""What an interrupted run had hashed already, so that the next one need not: digests that this machine computed, each
bound to the file it is of.

A hash under way cannot be written down (no library gives its state away), so what is kept are digests that are
complete: of whole files, and of whole chunks of one file. A digest counts for a file of the same device, inode, size,
mtime and ctime alone, and is not even kept of a file that changed within the last seconds, whose next change might show
the same time. It is nobody's signature: whoever may write to this file decides what is signed or found right, so it is
read only when it is its reader's own and nobody else's.
"""

import json
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from dnsbound.edge.content_files import FileIdentity
from dnsbound.errors import Malformed, Misuse
from dnsbound.object_limits import CHECKPOINT_OCTETS
from dnsbound.objects.large.members import Members
from dnsbound.times import Moment

SUFFIX: Final = ".checkpoint"
_SETTLED_NS: Final = 2_000_000_000
"""Longer than any file system's clock may stand."""
_WHOLE: Final = 0
"""Chunk size that says a digest is of the whole file."""
_DIGESTS_OF_LINE: Final = 1 << 20


class Checkpoint:
    """The digests that are known, and the file they are kept in. Used as a `with` block; it stays where the block fails
    and is removed where it ends well."""

    def __init__(self, path: Path, *, now: Moment) -> None:
        """Begin a new one or go on with the one that is there. Misuse when that is somebody else's."""
        self._path = path
        self._now_ns = int(now * 1_000_000_000)
        self._known: dict[tuple[FileIdentity, int], list[bytes]] = {}
        self._descriptor = _opened(path)
        try:
            self._read()
        except BaseException:
            os.close(self._descriptor)
            raise

    def whole(self, identity: FileIdentity) -> bytes | None:
        """The digest of the file, if it is known."""
        return next(iter(self._known.get((identity, _WHOLE), ())), None)

    def chunks(self, identity: FileIdentity, chunk: int) -> tuple[bytes, ...]:
        """Digests of the file's first whole chunks of this size, as far as they are known."""
        return tuple(self._known.get((identity, chunk), ()))

    def keep_whole(self, identity: FileIdentity, digest: bytes) -> None:
        self._keep(identity, _WHOLE, [digest])

    def keep_chunks(self, identity: FileIdentity, chunk: int, digests: list[bytes]) -> None:
        """Those that follow the ones that are known."""
        self._keep(identity, chunk, digests)

    def _keep(self, identity: FileIdentity, chunk: int, digests: list[bytes]) -> None:
        if self._now_ns - max(identity.modified_ns, identity.changed_ns) < _SETTLED_NS:
            return
        line = {
            "device": identity.device,
            "inode": identity.inode,
            "size": identity.size,
            "modified": identity.modified_ns,
            "changed": identity.changed_ns,
            "chunk": chunk,
            "sha256": [digest.hex() for digest in digests],
        }
        os.write(self._descriptor, json.dumps(line, separators=(",", ":")).encode("ascii") + b"\n")
        self._known.setdefault((identity, chunk), []).extend(digests)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        os.close(self._descriptor)
        if kind is None:
            self._path.unlink(missing_ok=True)

    def _read(self) -> None:
        octets = os.pread(self._descriptor, CHECKPOINT_OCTETS.default + 1, 0)
        if len(octets) > CHECKPOINT_OCTETS.default:
            raise Misuse(f"{self._path}: larger than a checkpoint is; remove it")
        whole, _, torn = octets.rpartition(b"\n")
        try:
            for line in whole.splitlines():
                identity, chunk, digests = _parsed(line)
                self._known.setdefault((identity, chunk), []).extend(digests)
        except Malformed as error:
            raise Misuse(f"{self._path}: {error}; remove it") from None
        # A line the last run did not finish would make the next one unreadable.
        os.truncate(self._descriptor, len(octets) - len(torn))


def _parsed(line: bytes) -> tuple[FileIdentity, int, tuple[bytes, ...]]:
    members = Members.from_wire(line, "checkpoint", CHECKPOINT_OCTETS)
    identity = FileIdentity(
        device=members.number("device"),
        inode=members.number("inode"),
        size=members.number("size"),
        modified_ns=members.number("modified"),
        changed_ns=members.number("changed"),
    )
    chunk = members.number("chunk")
    digests = members.digests("sha256", most=_DIGESTS_OF_LINE)
    members.done()
    return identity, chunk, digests


def _opened(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    status = os.fstat(descriptor)
    is_own = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
    if not is_own or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        os.close(descriptor)
        raise Misuse(f"{path}: others may have written this checkpoint; remove it")
    return descriptor
