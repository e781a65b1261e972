"""Making the signatures of `dnsbound sign`, all but those of live streams.

A signature is written whole or not at all: what is interrupted leaves none, and with --resume what was hashed already.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dnsbound.cli.output import advise, emit
from dnsbound.errors import Misuse
from dnsbound.object_limits import ATTACHED_OCTETS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dnsbound.cli.signature_formats import SignatureFormat
    from dnsbound.credential.credential import Credential
    from dnsbound.edge.checkpoint import Checkpoint
    from dnsbound.edge.content_signing import Described
    from dnsbound.objects.large.content import ContentSigning

STANDARD_INPUT: Final = "-"
_PIECE: Final = 1 << 20


class Way(StrEnum):
    """How content and signature belong together."""

    MANIFEST = "manifest"
    ATTACHED = "attached"
    DETACHED = "detached"
    CHUNKS = "chunks"
    STREAM = "stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """What all signatures of one command have in common."""

    credential: "Credential"
    format: "SignatureFormat"
    way: Way
    described: "Described"
    typ: str | None
    key_in_band: bool
    resume: bool
    force: bool
    as_json: bool


def sign_files(files: list[Path], out: str | None, signing: Signing) -> None:
    """Each by itself, or, with --out, all in one manifest."""
    for file in files:
        if not file.exists():
            raise FileNotFoundError(2, "No such file or directory", str(file))
    if out is not None and (len(files) > 1 or files[0].is_dir()) and signing.way is not Way.MANIFEST:
        raise Misuse(f"--{signing.way} makes one signature for each file: leave --out away")
    batches = [files] if out is not None else [[file] for file in files]
    for batch in batches:
        target = out or str(batch[0]).rstrip("/") + signing.format.suffix
        _expect_room(target, signing)
        octets = _signed_batch(batch, target, signing)
        _write(target, octets)
        _tell(target, batch, signing)


def _signed_batch(batch: list[Path], target: str, signing: Signing) -> bytes:
    match signing.way:
        case Way.MANIFEST:
            return _signed_manifest(batch, target, signing)
        case Way.CHUNKS:
            return _signed_chunks(batch[0], target, signing)
        case Way.ATTACHED:
            with batch[0].open("rb") as file:
                return _attached(file.read(ATTACHED_OCTETS.default + 1), str(batch[0]), signing)
        case _:
            return _detached(batch[0], signing)


def _signed_manifest(batch: list[Path], target: str, signing: Signing) -> bytes:
    from dnsbound.cli.progress import octets_bar
    from dnsbound.edge.content_signing import manifest_of
    from dnsbound.objects.large.manifest import MANIFEST_TYPE

    base, paths = _base_and_paths(batch, target)
    if not paths:
        raise Misuse(f"{batch[0]}: no file in it")
    total = sum((base / path).stat().st_size for path in paths)
    with _checkpoint(target, signing) as checkpoint, octets_bar("signing", total) as through:
        manifest = manifest_of(
            base, paths, described=signing.described, made=time.time(), through=through, checkpoint=checkpoint
        )
        return _attach(manifest.to_wire(), MANIFEST_TYPE, signing)


def _base_and_paths(batch: list[Path], target: str) -> tuple[Path, list[str]]:
    """The directory that paths of the manifest start from, and the paths. Of a directory: itself. Of one file: where it
    is. Of several: where the manifest is."""
    from dnsbound.edge.content_paths import paths_below

    if len(batch) == 1 and batch[0].is_dir():
        return batch[0], list(paths_below(batch[0]))
    if len(batch) == 1:
        return batch[0].parent, [batch[0].name]
    base = Path.cwd() if target == STANDARD_INPUT else Path(target).absolute().parent
    return base, list(_below(batch, base))


def _below(batch: list[Path], base: Path) -> Iterator[str]:
    from dnsbound.edge.content_paths import paths_below

    for file in batch:
        place = Path(os.path.normpath(file.absolute()))
        try:
            relative = place.relative_to(Path(os.path.normpath(base))).as_posix()
        except ValueError:
            raise Misuse(f"{file} is not below {base}, where the manifest is") from None
        if place.is_dir():
            yield from (f"{relative}/{path}" for path in paths_below(place))
        else:
            yield relative


def _signed_chunks(file: Path, target: str, signing: Signing) -> bytes:
    from dnsbound.cli.progress import octets_bar
    from dnsbound.edge.content_signing import chunk_list_of
    from dnsbound.objects.large.chunks import CHUNKS_TYPE

    with _checkpoint(target, signing) as checkpoint, octets_bar("signing", file.stat().st_size) as through:
        listed = chunk_list_of(
            file, described=signing.described, made=time.time(), through=through, checkpoint=checkpoint
        )
        return _attach(listed.to_wire(), CHUNKS_TYPE, signing)


def _detached(file: Path, signing: Signing) -> bytes:
    from dnsbound.cli.progress import octets_bar
    from dnsbound.edge.content_files import opened_content

    making = _detaching(signing)
    with opened_content(file) as content, octets_bar("signing", content.identity.size) as through:
        for piece in content.pieces():
            making.update(piece)
            through(len(piece))
    return making.finish()


def sign_input(out: str | None, path: str | None, signing: Signing) -> None:
    """Standard input, to the file, or to standard output. path: what a manifest calls it."""
    target = out or STANDARD_INPUT
    _expect_room(target, signing)
    match signing.way:
        case Way.ATTACHED:
            octets = _attached(sys.stdin.buffer.read(ATTACHED_OCTETS.default + 1), "standard input", signing)
        case Way.MANIFEST if path is not None:
            octets = _signed_input_manifest(path, signing)
        case Way.DETACHED:
            making = _detaching(signing)
            for piece in input_pieces():
                making.update(piece)
            octets = making.finish()
        case _:
            raise Misuse("--chunks needs a file: of standard input nobody knows the size beforehand")
    _write(target, octets)
    _tell(target, [path or STANDARD_INPUT], signing)


def _signed_input_manifest(path: str, signing: Signing) -> bytes:
    from hashlib import sha256

    from dnsbound.objects.large.manifest import MANIFEST_TYPE, Manifest, ManifestEntry

    running, size = sha256(), 0
    for piece in input_pieces():
        running.update(piece)
        size += len(piece)
    described = signing.described
    entry = ManifestEntry(
        path=path,
        size=size,
        sha256=running.digest(),
        media_type=described.type_of(path),
        begin=described.begin,
        end=described.end,
    )
    return _attach(Manifest(made=float(int(time.time())), files=(entry,)).to_wire(), MANIFEST_TYPE, signing)


def _attached(payload: bytes, where: str, signing: Signing) -> bytes:
    if len(payload) > ATTACHED_OCTETS.default:
        raise Misuse(
            f"{where} has more than {ATTACHED_OCTETS.default} octets, too many to go inside a signature: "
            "sign a file, use --detached, or say by --path what a manifest is to call it"
        )
    return _attach(payload, signing.typ, signing)


def _attach(payload: bytes, typ: str | None, signing: Signing) -> bytes:
    if signing.format.attach is None:
        raise Misuse(f"--format {signing.format.name} signs content from outside alone: --detached")
    return signing.format.attach(payload, signing.credential, typ=typ, key_in_band=signing.key_in_band)


def _detaching(signing: Signing) -> "ContentSigning":
    if signing.format.detach is None:
        raise Misuse(f"--format {signing.format.name} has no --detached")
    return signing.format.detach(signing.credential, key_in_band=signing.key_in_band)


def input_pieces() -> Iterator[bytes]:
    """Standard input as it comes."""
    while piece := sys.stdin.buffer.read1(_PIECE):  # type: ignore[union-attr] # it is buffered
        yield piece


@contextmanager
def _checkpoint(target: str, signing: Signing) -> "Iterator[Checkpoint | None]":
    """With --resume: what is known already, and what will be should this be interrupted."""
    from dnsbound.edge.checkpoint import SUFFIX, Checkpoint

    if not signing.resume:
        yield None
        return
    if target == STANDARD_INPUT:
        raise Misuse("--resume keeps what is done beside the signature: --out says where that is")
    with Checkpoint(Path(target + SUFFIX), now=time.time()) as checkpoint:
        yield checkpoint


def _expect_room(target: str, signing: Signing) -> None:
    """Before hours of hashing."""
    if target != STANDARD_INPUT and not signing.force and Path(target).exists():
        raise Misuse(f"{target}: exists already (--force replaces it)")


def _write(target: str, octets: bytes) -> None:
    from dnsbound.edge.secret_files import write_public_file

    if target == STANDARD_INPUT:
        sys.stdout.buffer.write(octets)
    else:
        write_public_file(target, octets)


def _tell(target: str, signed: "Iterable[Path | str]", signing: Signing) -> None:
    if target == STANDARD_INPUT:
        return
    files = [str(file) for file in signed]
    if signing.as_json:
        emit({"signature": target, "files": files, "name": str(signing.credential.name), "way": signing.way.value})
    else:
        advise(f"{target}: signature of {signing.credential.name} over {', '.join(files)}")
