"""Describing files for a signature: digest manifests and chunk lists, with digests of an earlier, interrupted run where
they still hold."""

import mimetypes
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dnsbound.edge.checkpoint import Checkpoint
from dnsbound.edge.content_files import OpenContent, Through, opened_content
from dnsbound.edge.content_paths import opened_below
from dnsbound.objects.large.chunks import ChunkHashes, ChunkList, chunk_octets_for
from dnsbound.objects.large.manifest import Manifest, ManifestEntry
from dnsbound.times import Moment

_KEPT_EVERY = 64
"""Chunks: what is lost at most when a run is interrupted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What a signer says of all its files alike."""

    media_type: str | None = None
    """None: by the end of each file's name."""
    begin: Moment | None = None
    end: Moment | None = None

    def type_of(self, path: str) -> str | None:
        return self.media_type or mimetypes.guess_type(path)[0]


def manifest_of(
    base: Path,
    paths: Iterable[str],
    *,
    described: Described,
    made: Moment,
    through: Through,
    checkpoint: Checkpoint | None = None,
) -> Manifest:
    """The manifest of files below a directory. OSError; Misuse for what is no regular file, or changes meanwhile."""
    entries = []
    for path in paths:
        with opened_below(base, path) as content:
            entries.append(_entry(content, path, described, through, checkpoint))
    return Manifest(made=float(int(made)), files=tuple(entries))


def _entry(
    content: OpenContent, path: str, described: Described, through: Through, checkpoint: Checkpoint | None
) -> ManifestEntry:
    return ManifestEntry(
        path=path,
        size=content.identity.size,
        sha256=digest_of(content, through, checkpoint),
        media_type=described.type_of(path),
        modified=content.identity.modified,
        begin=described.begin,
        end=described.end,
    )


def digest_of(content: OpenContent, through: Through, checkpoint: Checkpoint | None) -> bytes:
    """SHA-256 of a file, as far as it is not known."""
    known = None if checkpoint is None else checkpoint.whole(content.identity)
    if known is not None:
        through(content.identity.size)
        return known
    digest = content.sha256(through)
    if checkpoint is not None:
        checkpoint.keep_whole(content.identity, digest)
    return digest


def chunk_list_of(
    path: Path,
    *,
    described: Described,
    made: Moment,
    through: Through,
    checkpoint: Checkpoint | None = None,
) -> ChunkList:
    """The chunk list of one file. Errors as of `manifest_of`."""
    with opened_content(path) as content:
        size = content.identity.size
        chunk = chunk_octets_for(size)
        digests = chunk_digests_of(content, chunk, through, checkpoint)
    return ChunkList(
        made=float(int(made)),
        path=path.name,
        size=size,
        chunk=chunk,
        digests=digests,
        media_type=described.type_of(path.name),
    )


def chunk_digests_of(
    content: OpenContent, chunk: int, through: Through, checkpoint: Checkpoint | None
) -> tuple[bytes, ...]:
    """The digests of a file's chunks, as far as they are not known."""
    done = checkpoint.chunks(content.identity, chunk) if checkpoint is not None else ()
    done = done[: content.identity.size // chunk]
    hashes = ChunkHashes(chunk, done=done)
    through(len(done) * chunk)
    kept = len(done)
    for piece in content.pieces(start=len(done) * chunk):
        hashes.update(piece)
        through(len(piece))
        if checkpoint is not None and len(hashes.digests) >= kept + _KEPT_EVERY:
            checkpoint.keep_chunks(content.identity, chunk, hashes.digests[kept:])
            kept = len(hashes.digests)
    return hashes.finish()
