"""The chunk list: the digest of every chunk of one file, so that it is verified while it comes, chunk by chunk.

    {"made": "2026-11-22T16:00:00Z", "path": "big.mp4", "size": 2500000, "chunk": 1048576,
     "sha256": ["<64 hexadecimal digits>", "...", "..."], "type": "video/mp4"}

It is the payload of a signed object whose type is CHUNKS_TYPE. A chunk that verifies is what was signed whatever comes
after it; one that does not is named, so that it alone is fetched again. Chunks have 1 MiB, or the smallest power of two
above that keeps the list short; the last one may be shorter.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Self

from dnsbound.errors import LimitExceeded, Malformed, Misuse, Reason, Refused, Undecided
from dnsbound.object_limits import CHUNK_OCTETS, CHUNKS, MANIFEST_OCTETS
from dnsbound.objects.large.members import Members, checked_media_type
from dnsbound.objects.large.paths import checked_path
from dnsbound.times import Moment, iso

CHUNKS_TYPE: Final = "dnsbound-chunks"
_WHAT: Final = "chunk list"


def chunk_octets_for(size: int) -> int:
    """How large the chunks of a file of this many octets are. LimitExceeded for one beyond all measure."""
    chunk = CHUNK_OCTETS.default
    while -(-size // chunk) > CHUNKS.default:
        chunk *= 2
        if chunk > CHUNK_OCTETS.maximum:
            raise LimitExceeded(CHUNKS.name, f"{size} octets")
    return chunk


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkList:
    """The digests of one file's chunks. Malformed where size, chunk and digests do not fit together."""

    made: Moment
    """Whole seconds."""
    path: str
    """What the signer calls the file."""
    size: int
    """Octets of the file."""
    chunk: int
    """Octets of every chunk but the last."""
    digests: tuple[bytes, ...]
    media_type: str | None = None

    def __post_init__(self) -> None:
        checked_path(self.path)
        if self.media_type is not None:
            checked_media_type(self.media_type)
        if not CHUNK_OCTETS.minimum <= self.chunk <= CHUNK_OCTETS.maximum:
            raise Malformed(f"{_WHAT}: chunks of {self.chunk} octets")
        if len(self.digests) != -(-self.size // self.chunk):
            raise Malformed(f"{_WHAT}: {len(self.digests)} digests for {self.size} octets in chunks of {self.chunk}")

    @classmethod
    def from_wire(cls, payload: bytes) -> Self:
        """Read the payload of a signed chunk list. Malformed, LimitExceeded."""
        members = Members.from_wire(payload, _WHAT, MANIFEST_OCTETS)
        found = cls(
            made=members.moment("made"),
            path=members.text("path"),
            size=members.number("size"),
            chunk=members.number("chunk", least=1),
            digests=members.digests("sha256", most=CHUNKS.maximum),
            media_type=members.media_type("type"),
        )
        members.done()
        return found

    def to_wire(self) -> bytes:
        """The payload."""
        listed: dict[str, object] = {"made": iso(self.made), "path": self.path, "size": self.size, "chunk": self.chunk}
        listed["sha256"] = [digest.hex() for digest in self.digests]
        if self.media_type is not None:
            listed["type"] = self.media_type
        return json.dumps(listed, ensure_ascii=False, separators=(",", ":")).encode("utf-8")

    def octets_of(self, index: int) -> int:
        """Of the chunk of this number."""
        return min(self.chunk, self.size - index * self.chunk)


class ChunkHashes:
    """The digests of content that is given in pieces of any size."""

    __slots__ = ("_chunk", "_filled", "_hash", "digests", "size")

    def __init__(self, chunk: int, *, done: tuple[bytes, ...] = ()) -> None:
        """done: digests of chunks that come before the first piece, all whole."""
        self._chunk = chunk
        self._hash = sha256()
        self._filled = 0
        self.digests: Final = list(done)
        """Of the chunks that are complete."""
        self.size = len(done) * chunk

    def update(self, octets: bytes | memoryview) -> None:
        for part in parts(octets, self._chunk, self._filled):
            self._hash.update(part)
            self._filled += len(part)
            self.size += len(part)
            if self._filled == self._chunk:
                self._complete()

    def finish(self) -> tuple[bytes, ...]:
        """All digests, the last chunk's among them."""
        if self._filled:
            self._complete()
        return tuple(self.digests)

    def _complete(self) -> None:
        self.digests.append(self._hash.digest())
        self._hash = sha256()
        self._filled = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedChunk:
    """One chunk that has come whole."""

    index: int
    offset: int
    octets: int
    is_signed: bool
    """Whether it is what was signed."""


class ChunkCheck:
    """Compares content, given in pieces of any size, with a chunk list, chunk by chunk."""

    __slots__ = ("_filled", "_hash", "_index", "_list", "wrong")

    def __init__(self, listed: ChunkList, *, done: int = 0) -> None:
        """done: chunks that were seen to be right before; the first piece comes after them."""
        if not 0 <= done <= len(listed.digests):
            raise Misuse(f"{done} chunks are done of {len(listed.digests)}")
        self._list = listed
        self._index = done
        self._filled = 0
        self._hash = sha256()
        self.wrong = 0
        """Chunks that are not what was signed."""

    def update(self, octets: bytes | memoryview) -> Iterator[CheckedChunk]:
        """The chunks that are complete with these octets. Refused when there are more octets than were signed. The
        octets count as given once the iterator has ended."""
        while octets:
            if self._index == len(self._list.digests):
                raise Refused(Reason.CONTENT_MISMATCH, f"more than the {self._list.size} octets that were signed")
            part = octets[: self._list.octets_of(self._index) - self._filled]
            self._hash.update(part)
            self._filled += len(part)
            octets = octets[len(part) :]
            if self._filled == self._list.octets_of(self._index):
                yield self._complete()

    def finish(self) -> None:
        """Refused when a chunk was wrong, Undecided(INCOMPLETE) when the last ones have not come."""
        if self.wrong:
            raise Refused(
                Reason.CONTENT_MISMATCH, f"{self.wrong} of {len(self._list.digests)} chunks are not as signed"
            )
        if self._index < len(self._list.digests):
            come = self._index * self._list.chunk + self._filled
            raise Undecided(Reason.INCOMPLETE, f"{come} of the {self._list.size} octets that were signed")

    def _complete(self) -> CheckedChunk:
        index = self._index
        is_signed = self._hash.digest() == self._list.digests[index]
        self.wrong += not is_signed
        self._index += 1
        self._filled = 0
        self._hash = sha256()
        return CheckedChunk(
            index=index, offset=index * self._list.chunk, octets=self._list.octets_of(index), is_signed=is_signed
        )


def parts(octets: bytes | memoryview, unit: int, filled: int) -> Iterator[bytes | memoryview]:
    """The octets cut where units of a size end; the first unit has `filled` octets already."""
    start = 0
    while start < len(octets):
        end = min(len(octets), start + unit - filled)
        yield octets[start:end]
        start, filled = end, 0
