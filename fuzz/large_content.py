"""Where manifests, chunk lists, segment records and detached signatures are read."""

from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path

from dnsbound.cli.signature_formats import opened_signature
from dnsbound.credential.credential import Credential
from dnsbound.errors import Refused, Undecided
from dnsbound.names import ClientName
from dnsbound.objects import jose
from dnsbound.objects.large.chunks import ChunkCheck, ChunkHashes, ChunkList
from dnsbound.objects.large.manifest import DigestCheck, Manifest, ManifestEntry
from dnsbound.objects.large.segments import ChainPosition, SegmentChain, SegmentCutter, SegmentRecord
from fuzz.target import Target

NOW = 1_790_000_000.0
CHUNK = 65_536
CONTENT = bytes(CHUNK + 10)


@cache
def credential() -> Credential:
    return Credential.generate(ClientName.parse("car54._device.cars.example"), now=NOW)


def manifests() -> list[bytes]:
    entry = ManifestEntry(path="route/1.mp4", size=3, sha256=sha256(b"abc").digest(), media_type="video/mp4", end=NOW)
    other = ManifestEntry(path="2", size=0, sha256=sha256(b"").digest(), modified=NOW, begin=NOW)
    return [Manifest(made=NOW, files=files).to_wire() for files in ((entry,), (entry, other))]


def chunk_lists() -> list[bytes]:
    hashes = ChunkHashes(CHUNK)
    hashes.update(CONTENT)
    listed = ChunkList(made=NOW, path="big", size=len(CONTENT), chunk=CHUNK, digests=hashes.finish())
    return [listed.to_wire(), ChunkList(made=NOW, path="no", size=0, chunk=CHUNK, digests=()).to_wire()]


def records() -> list[bytes]:
    position, made = ChainPosition.start("0" * 32), []
    for number in range(3):
        cutter = SegmentCutter()
        cutter.update(b"abc", now=NOW)
        record = cutter.cut(position, now=NOW, last=number == 2)
        made.append(record.to_wire())
        position = ChainPosition.after(record, made[-1])
    return [*made, b"\n".join(made)]


def signatures() -> list[bytes]:
    own = credential()
    inside = [jose.sign(manifest, own, typ="dnsbound-manifest") for manifest in manifests()]
    return [token.encode() for token in (*inside, jose.sign(b"x", own.as_raw_key(), detached=True))]


def _read_manifest(octets: bytes) -> None:
    manifest = Manifest.from_wire(octets)
    assert Manifest.from_wire(manifest.to_wire()) == manifest
    for entry in manifest.files:
        # No path of a manifest that was read leads anywhere but down.
        assert not Path(entry.path).is_absolute()
        assert ".." not in Path(entry.path).parts
    check = DigestCheck.of(manifest.files[0])
    with suppress(Refused):
        check.update(b"abc")
        check.finish()


def _read_chunk_list(octets: bytes) -> None:
    listed = ChunkList.from_wire(octets)
    assert ChunkList.from_wire(listed.to_wire()) == listed
    check = ChunkCheck(listed)
    with suppress(Refused, Undecided):
        list(check.update(CONTENT))
        check.finish()


def _follow_chain(octets: bytes) -> None:
    chain = SegmentChain()
    for line in octets.split(b"\n"):
        record = SegmentRecord.from_wire(line)
        assert SegmentRecord.from_wire(record.to_wire()) == record
        with suppress(Refused):
            chain.accept(record, line)


def _open_signature(octets: bytes) -> None:
    opened = opened_signature(octets, "fuzz")
    assert (opened.signed is None) <= (opened.content is not None)
    if opened.content is not None:
        opened.content.update(CONTENT)
        opened.content.finish()


LARGE_CONTENT_TARGETS = {
    "manifest": Target(_read_manifest, manifests),
    "chunk-list": Target(_read_chunk_list, chunk_lists),
    "segment-chain": Target(_follow_chain, records),
    "content-signature": Target(_open_signature, signatures),
}
