"""Comparing files with what was signed of them: digest manifests, chunk lists, and signatures over the content itself.

Nothing here asks who signed: a manifest or chunk list comes from an object that was verified. Its paths lead below the
directory the caller names and nowhere else (`dnsbound.edge.content_paths`).
"""

import errno
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dnsbound.edge.checkpoint import Checkpoint
from dnsbound.edge.content_files import Octets, OpenContent, Through, counted, opened_content
from dnsbound.edge.content_paths import opened_below
from dnsbound.edge.content_signing import chunk_digests_of, digest_of
from dnsbound.errors import DnsboundError, Misuse, Reason, Refused, Undecided
from dnsbound.objects.large.chunks import CheckedChunk, ChunkCheck, ChunkList
from dnsbound.objects.large.content import CoveredContent
from dnsbound.objects.large.manifest import DigestCheck, Manifest, ManifestEntry
from dnsbound.objects.signed import SignedObject

_NOT_THE_FILE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR})


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedFile:
    """One file of a manifest."""

    path: str
    entry: ManifestEntry
    error: Refused | Undecided | None
    """Why it is not what was signed; None where it is."""


def check_files(
    manifest: Manifest, base: Path, *, through: Through, checkpoint: Checkpoint | None = None
) -> Iterator[CheckedFile]:
    """Every file of the manifest, below a directory."""
    for entry in manifest.files:
        error = None
        try:
            with opened_below(base, entry.path) as content:
                _compare(content, entry, through, checkpoint)
        except (Refused, Undecided) as refused:
            error = refused
        except (OSError, Misuse) as failed:
            error = not_readable(failed)
        yield CheckedFile(path=entry.path, entry=entry, error=error)


def check_file(entry: ManifestEntry, path: Path, *, through: Through, checkpoint: Checkpoint | None = None) -> None:
    """One file the caller names, whatever the manifest calls it. Refused unless it is what was signed."""
    with opened_content(path) as content:
        _compare(content, entry, through, checkpoint)


def not_readable(failed: OSError | DnsboundError) -> Refused | Undecided:
    """A file that is not there, or that a link stands for, is not what was signed; one that changes, or cannot be read,
    might be."""
    if isinstance(failed, OSError):
        if failed.errno in _NOT_THE_FILE:
            return Refused(Reason.CONTENT_MISMATCH, f"the file is not there: {failed.strerror}")
        return Undecided(Reason.INCOMPLETE, f"the file cannot be read: {failed.strerror}")
    return Undecided(Reason.INCOMPLETE, f"the file cannot be read: {failed}")


def _compare(content: OpenContent, entry: ManifestEntry, through: Through, checkpoint: Checkpoint | None) -> None:
    if content.identity.size != entry.size:
        said = f"{content.identity.size} octets, and {entry.size} were signed"
        raise Refused(Reason.CONTENT_MISMATCH, said)
    if digest_of(content, through, checkpoint) != entry.sha256:
        raise Refused(Reason.CONTENT_MISMATCH, "the digest is another than the one that was signed")


def check_pieces(entry: ManifestEntry, pieces: Iterable[Octets]) -> None:
    """What a pipe brings, as `check_file`."""
    check = DigestCheck.of(entry)
    for piece in pieces:
        check.update(piece)
    check.finish()


def check_chunks(
    listed: ChunkList,
    path: Path,
    *,
    through: Through,
    checkpoint: Checkpoint | None = None,
    tell: Callable[[CheckedChunk], None],
) -> None:
    """Every chunk of a file. tell: called for each. Refused when one is wrong, Undecided(INCOMPLETE) when the last ones
    are missing."""
    with opened_content(path) as content:
        if checkpoint is not None and content.identity.size == listed.size:
            _compare_digests(listed, chunk_digests_of(content, listed.chunk, through, checkpoint), tell)
            return
        check_chunk_pieces(listed, counted(content.pieces(), through), tell=tell)


def check_chunk_pieces(listed: ChunkList, pieces: Iterable[Octets], *, tell: Callable[[CheckedChunk], None]) -> None:
    """What a pipe brings, as `check_chunks`: each chunk is told as it comes."""
    check = ChunkCheck(listed)
    for piece in pieces:
        for chunk in check.update(piece):
            tell(chunk)
    check.finish()


def _compare_digests(listed: ChunkList, digests: tuple[bytes, ...], tell: Callable[[CheckedChunk], None]) -> None:
    wrong = 0
    for index, (signed, digest) in enumerate(zip(listed.digests, digests, strict=True)):
        wrong += signed != digest
        octets = listed.octets_of(index)
        tell(CheckedChunk(index=index, offset=index * listed.chunk, octets=octets, is_signed=signed == digest))
    if wrong:
        raise Refused(Reason.CONTENT_MISMATCH, f"{wrong} of {len(digests)} chunks are not as signed")


def give_content(content: CoveredContent, pieces: Iterable[Octets]) -> SignedObject:
    """All octets to a signature that covers them; what there is to verify then."""
    for piece in pieces:
        content.update(piece)
    return content.finish()
