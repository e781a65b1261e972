"""Verifying what `dnsbound verify` was given: finding the signature of each file, who made it, and whether the content
is what was signed.

The signer comes first wherever the signature can be checked without the content: nothing is read of a large file for a
stranger. A manifest names files below its own directory, or the one that was given, and nowhere else.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dnsbound.cli.exit_codes import ExitCode
from dnsbound.cli.signature_formats import FORMATS, format_of, opened_signature
from dnsbound.cli.verified import Outcome, told
from dnsbound.errors import Malformed, Misuse, Reason, Refused, Undecided
from dnsbound.object_limits import SIGNATURE_FILE_OCTETS

if TYPE_CHECKING:
    from dnsbound.edge.checkpoint import Checkpoint
    from dnsbound.edge.content_files import Octets
    from dnsbound.edge.object_verifier import ObjectVerifier
    from dnsbound.names import ClientName
    from dnsbound.objects.large.chunks import ChunkList
    from dnsbound.objects.large.content import Opened
    from dnsbound.objects.large.manifest import Manifest, ManifestEntry
    from dnsbound.objects.signed import VerifiedObject
    from dnsbound.times import Seconds

STANDARD_INPUT: Final = "-"
STREAM_SUFFIX: Final = ".segments"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What one command asks."""

    files: tuple[str, ...]
    signature: str | None
    typ: str | None
    audience: str | None
    payload: bool
    base: Path | None
    takes_unsigned: bool
    resume: bool
    patience: "Seconds | None"
    output: str | None
    max_age: "Seconds | None"
    stream: str | None
    as_json: bool


def verify_all(asked: Asked, verifier: "ObjectVerifier") -> ExitCode:
    """Verify every file, tell what came of each, and say the worst: a no before an undecided before a yes."""
    codes = [told(outcome, as_json=asked.as_json) for outcome in _outcomes(asked, verifier)]
    for code in (ExitCode.NO, ExitCode.UNDECIDED):
        if code in codes:
            return code
    return ExitCode.YES


def _outcomes(asked: Asked, verifier: "ObjectVerifier") -> Iterator[Outcome]:
    if asked.signature is not None:
        yield from _by_signature(asked.signature, asked.files, asked, verifier)
        return
    for file in asked.files:
        beside = _signature_beside(file)
        if beside is not None:
            yield from _by_signature(beside, (file,), asked, verifier)
        else:
            yield from _by_signature(file, (), asked, verifier)


def _signature_beside(file: str) -> str | None:
    """The signature of a file, where it is expected; None where there is none, so that the file is one itself."""
    if file == STANDARD_INPUT:
        return None
    suffixes = [*(each.suffix for each in FORMATS.values()), STREAM_SUFFIX]
    found = [file.rstrip("/") + suffix for suffix in suffixes if Path(file.rstrip("/") + suffix).exists()]
    if len(found) > 1:
        raise Misuse(f"{file} has several signatures ({', '.join(found)}): --signature says which")
    if not found and Path(file).is_dir():
        raise Misuse(f"{file} has no signature beside it: --signature says where it is")
    return found[0] if found else None


def _by_signature(
    signature: str, files: tuple[str, ...], asked: Asked, verifier: "ObjectVerifier"
) -> Iterator[Outcome]:
    """files: what it covers; none where the signature is all there is."""
    from dnsbound.cli.verify_stream import is_stream, verify_stream

    if asked.patience is not None or asked.output is not None or is_stream(signature):
        if len(files) != 1:
            raise Misuse(f"{signature} signs a stream: give its recording, or - for standard input")
        yield from verify_stream(signature, files[0], asked, verifier)
        return
    shown = "standard input" if signature == STANDARD_INPUT else signature
    octets = _read_signature(signature)
    if not files and format_of(octets) is None:
        raise Misuse(f"{shown} is no signature, and none is beside it: --signature says where it is")
    yield from _covered(opened_signature(octets, shown), signature, files, asked, verifier)


def _read_signature(signature: str) -> bytes:
    if signature == STANDARD_INPUT:
        octets = sys.stdin.buffer.read(SIGNATURE_FILE_OCTETS.default + 1)
    else:
        with Path(signature).open("rb") as file:
            octets = file.read(SIGNATURE_FILE_OCTETS.default + 1)
    if len(octets) > SIGNATURE_FILE_OCTETS.default:
        raise Malformed(f"{signature}: larger than a signature is")
    return octets


def _covered(
    opened: "Opened", signature: str, files: tuple[str, ...], asked: Asked, verifier: "ObjectVerifier"
) -> Iterator[Outcome]:
    from dnsbound.objects.large.chunks import CHUNKS_TYPE, ChunkList
    from dnsbound.objects.large.manifest import MANIFEST_TYPE, Manifest

    if opened.content is not None:
        yield _over_content(opened, signature, files, verifier)
        return
    assert opened.signed is not None
    _expect_type(opened.typ, asked.typ, signature)
    try:
        verified = verifier.verify_blocking(opened.signed)
        if opened.check is not None:
            opened.check(verifier.now(), asked.audience)
    except (Refused, Undecided) as error:
        yield Outcome.failed(", ".join(files) or signature, error, claimed=opened.signed)
        return
    if opened.typ == MANIFEST_TYPE:
        yield from _manifest(Manifest.from_wire(verified.payload), verified, signature, files, asked)
    elif opened.typ == CHUNKS_TYPE:
        yield _chunks(ChunkList.from_wire(verified.payload), verified, signature, files, asked)
    else:
        yield _inside(verified, signature, files, asked)


def _expect_type(typ: str | None, expected: str | None, signature: str) -> None:
    if expected is not None and typ != expected.lower().removeprefix("application/"):
        raise Malformed(f"{signature}: of type {typ!r}, not {expected!r}")


def _inside(verified: "VerifiedObject", signature: str, files: tuple[str, ...], asked: Asked) -> Outcome:
    """The payload is in the signature. A file beside it is compared with that."""
    outcome = Outcome.of(files[0] if files else signature, verified, size=len(verified.payload))
    if files:
        if len(files) > 1:
            raise Misuse(f"{signature} signs one file")
        pieces = iter_pieces(files[0])
        if b"".join(_at_most(pieces, len(verified.payload))) != verified.payload:
            error = Refused(Reason.CONTENT_MISMATCH, "the file is another than the payload that was signed")
            return outcome.but(error)
    if asked.payload:
        sys.stdout.buffer.write(verified.payload)
        return outcome.silently()
    return outcome


def _at_most(pieces: "Iterator[Octets]", octets: int) -> "Iterator[Octets]":
    """Enough to see that there are more."""
    for piece in pieces:
        yield bytes(piece)
        octets -= len(piece)
        if octets < 0:
            return


def _over_content(opened: "Opened", signature: str, files: tuple[str, ...], verifier: "ObjectVerifier") -> Outcome:
    from dnsbound.edge.content_checking import give_content

    if len(files) != 1:
        raise Misuse(f"{signature} signs content outside of it: give that file as well, or - for standard input")
    assert opened.content is not None
    if opened.claim is not None:
        opened.claim(_only_signer(signature, verifier))
    verified = None
    signed = opened.signed
    try:
        if signed is not None:
            verified = verifier.verify_blocking(signed)
        with counting(files[0]) as pieces:
            signed = give_content(opened.content, pieces)
        verified = verified or verifier.verify_blocking(signed)
    except (Refused, Undecided) as error:
        return Outcome.failed(files[0], error, claimed=signed)
    return Outcome.of(files[0], verified)


def _only_signer(signature: str, verifier: "ObjectVerifier") -> "ClientName":
    name = verifier.only_signer
    if name is None:
        raise Misuse(f"{signature} says no name: --from says the one name whose it should be")
    return name


def _chunks(
    listed: "ChunkList", verified: "VerifiedObject", signature: str, files: tuple[str, ...], asked: Asked
) -> Outcome:
    from dnsbound.cli.progress import octets_bar
    from dnsbound.edge.content_checking import check_chunk_pieces, check_chunks
    from dnsbound.objects.large.chunks import CheckedChunk

    if len(files) > 1:
        raise Misuse(f"{signature} signs one file")
    file = files[0] if files else _from_manifest(asked, signature, listed.path)
    wrong: list[tuple[int, int]] = []

    def tell(chunk: CheckedChunk) -> None:
        if not chunk.is_signed:
            wrong.append((chunk.offset, chunk.offset + chunk.octets))

    outcome = Outcome.of(file, verified, size=listed.size, media_type=listed.media_type)
    try:
        if file == STANDARD_INPUT:
            check_chunk_pieces(listed, iter_pieces(file), tell=tell)
        else:
            with _checkpoint(signature, asked) as checkpoint, octets_bar("verifying", listed.size) as through:
                check_chunks(listed, Path(file), through=through, checkpoint=checkpoint, tell=tell)
    except (Refused, Undecided) as error:
        return outcome.but(error, wrong=tuple(wrong))
    return outcome


def _from_manifest(asked: Asked, signature: str, path: str) -> str:
    if signature == STANDARD_INPUT and asked.base is None:
        raise Misuse("standard input is a manifest: give the file it is of, or --base")
    return str((asked.base or Path(signature).parent) / path)


def _manifest(
    manifest: "Manifest", verified: "VerifiedObject", signature: str, files: tuple[str, ...], asked: Asked
) -> Iterator[Outcome]:
    if len(files) == 1 and len(manifest.files) == 1 and not Path(files[0]).is_dir():
        # The file was named by the user: what the signer calls it does not matter.
        with _checkpoint(signature, asked) as checkpoint:
            yield _one(manifest.files[0], files[0], verified, checkpoint)
    elif len(files) == 1 and Path(files[0]).is_dir():
        yield from _below(manifest, Path(files[0]), verified, signature, asked)
        yield from _unsigned(manifest, Path(files[0]), signature, asked)
    elif not files:
        if signature == STANDARD_INPUT and asked.base is None:
            raise Misuse("standard input is a manifest: give the files it is of, or --base")
        yield from _below(manifest, asked.base or Path(signature).parent, verified, signature, asked)
    else:
        yield from _named(manifest, files, verified, signature, asked)


def _one(entry: "ManifestEntry", file: str, verified: "VerifiedObject", checkpoint: "Checkpoint | None") -> Outcome:
    from dnsbound.cli.progress import octets_bar
    from dnsbound.edge.content_checking import check_file, check_pieces

    outcome = Outcome.of(file, verified, size=entry.size, media_type=entry.media_type)
    try:
        if file == STANDARD_INPUT:
            check_pieces(entry, iter_pieces(file))
        else:
            with octets_bar("verifying", entry.size) as through:
                check_file(entry, Path(file), through=through, checkpoint=checkpoint)
    except (Refused, Undecided) as error:
        return outcome.but(error)
    return outcome


def _below(
    manifest: "Manifest", base: Path, verified: "VerifiedObject", signature: str, asked: Asked
) -> Iterator[Outcome]:
    from dnsbound.cli.progress import octets_bar
    from dnsbound.edge.content_checking import check_files

    total = sum(entry.size for entry in manifest.files)
    with _checkpoint(signature, asked) as checkpoint, octets_bar("verifying", total) as through:
        for checked in check_files(manifest, base, through=through, checkpoint=checkpoint):
            entry = checked.entry
            outcome = Outcome.of(str(base / entry.path), verified, size=entry.size, media_type=entry.media_type)
            yield outcome if checked.error is None else outcome.but(checked.error)


def _unsigned(manifest: "Manifest", directory: Path, signature: str, asked: Asked) -> Iterator[Outcome]:
    """A directory that verifies has no file nobody signed, but for the signature itself."""
    from dnsbound.edge.content_paths import paths_below

    if asked.takes_unsigned:
        return
    signed = {entry.path for entry in manifest.files}
    try:
        for path in paths_below(directory):
            if path not in signed and not _is_same(directory / path, signature):
                error = Refused(Reason.CONTENT_MISMATCH, "the manifest does not name it: nobody signed this file")
                yield Outcome.failed(str(directory / path), error)
    except Misuse as other:
        yield Outcome.failed(str(directory), Refused(Reason.CONTENT_MISMATCH, f"nobody signed {other}"))


def _is_same(path: Path, signature: str) -> bool:
    return signature != STANDARD_INPUT and path.samefile(signature)


def _named(
    manifest: "Manifest", files: tuple[str, ...], verified: "VerifiedObject", signature: str, asked: Asked
) -> Iterator[Outcome]:
    """Files of a batch, by where they are below the manifest's directory."""
    base = asked.base or (Path.cwd() if signature == STANDARD_INPUT else Path(signature).parent)
    entries = {entry.path: entry for entry in manifest.files}
    with _checkpoint(signature, asked) as checkpoint:
        for file in files:
            relative = os.path.relpath(Path(file).absolute(), base.absolute())
            entry = entries.get(Path(relative).as_posix())
            if entry is None:
                error = Refused(Reason.CONTENT_MISMATCH, f"the manifest names no {relative} below {base}")
                yield Outcome.of(file, verified).but(error)
            else:
                yield _one(entry, file, verified, checkpoint)


@contextmanager
def _checkpoint(signature: str, asked: Asked) -> "Iterator[Checkpoint | None]":
    from dnsbound.edge.checkpoint import SUFFIX, Checkpoint

    if not asked.resume:
        yield None
        return
    if signature == STANDARD_INPUT:
        raise Misuse("--resume keeps what is done beside the signature, which is standard input")
    with Checkpoint(Path(signature + SUFFIX), now=time.time()) as checkpoint:
        yield checkpoint


@contextmanager
def counting(file: str) -> "Iterator[Iterator[Octets]]":
    """A file's octets, with a bar; or standard input's."""
    from dnsbound.cli.progress import octets_bar
    from dnsbound.edge.content_files import counted, opened_content

    if file == STANDARD_INPUT:
        yield iter_pieces(file)
        return
    with opened_content(Path(file)) as content, octets_bar("verifying", content.identity.size) as through:
        yield counted(content.pieces(), through)


def iter_pieces(file: str) -> "Iterator[Octets]":
    """The same without one."""
    from dnsbound.cli.signing import input_pieces
    from dnsbound.edge.content_files import opened_content

    if file == STANDARD_INPUT:
        yield from input_pieces()
        return
    with opened_content(Path(file)) as content:
        yield from content.pieces()
