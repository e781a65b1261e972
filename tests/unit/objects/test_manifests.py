"""Manifests, chunk lists and segment records: what is written is read back, and what does not fit is refused."""

import json
from hashlib import sha256

import pytest

from dnsbound.errors import LimitExceeded, Malformed, Misuse, Reason, Refused, Undecided
from dnsbound.object_limits import CHUNK_OCTETS, CHUNKS, MANIFEST_FILES, MANIFEST_OCTETS
from dnsbound.objects.large.chunks import ChunkCheck, ChunkHashes, ChunkList, chunk_octets_for
from dnsbound.objects.large.manifest import DigestCheck, Manifest, ManifestEntry
from dnsbound.objects.large.paths import checked_path

NOW = 1_780_000_000.0
CONTENT = bytes(range(256)) * 1024
CHUNK = CHUNK_OCTETS.minimum


def entry(path="route/1.mp4", **fields):
    known = {"path": path, "size": len(CONTENT), "sha256": sha256(CONTENT).digest()}
    return ManifestEntry(**(known | fields))


def check_all(content):
    check = DigestCheck.of(entry())
    check.update(content)
    check.finish()


def chunk_list(**fields):
    hashes = ChunkHashes(CHUNK)
    hashes.update(CONTENT + b"rest")
    known = {"made": NOW, "path": "big", "size": len(CONTENT) + 4, "chunk": CHUNK, "digests": hashes.finish()}
    return ChunkList(**(known | fields))


def changed(octets, **members):
    """The same JSON object with other members; None leaves one out."""
    left = {key: value for key, value in (json.loads(octets) | members).items() if value is not None}
    return json.dumps(left).encode()


def test_a_manifest_is_read_back():
    manifest = Manifest(
        made=NOW,
        files=(entry(media_type="video/mp4", modified=NOW, begin=NOW - 60, end=NOW), entry("später.txt", size=0)),
    )
    assert Manifest.from_wire(manifest.to_wire()) == manifest


def test_a_chunk_list_is_read_back():
    listed = chunk_list(media_type="video/mp4")
    assert len(listed.digests) == 5
    assert ChunkList.from_wire(listed.to_wire()) == listed


@pytest.mark.parametrize(
    "members",
    [
        {"made": None},
        {"made": "yesterday"},
        {"files": None},
        {"files": []},
        {"files": {}},
        {"files": ["a"]},
        {"more": 1},
        {"files": [entry().to_json(), entry().to_json()]},
        *({"files": [{**entry().to_json(), "sha256": digest}]} for digest in ("", "A" * 64, "0" * 63, 5, None)),
        *({"files": [{**entry().to_json(), "size": size}]} for size in (-1, 1.0, "1", True, 2**63)),
        {"files": [{**entry().to_json(), "type": "video"}]},
        {"files": [{**entry().to_json(), "type": None}]},
        {"files": [{**entry().to_json(), "mode": "0755"}]},
        {"files": [{**entry().to_json(), "modified": 1}]},
    ],
    ids=lambda members: json.dumps(members)[:60],
)
def test_a_manifest_of_another_form_is_malformed(members):
    with pytest.raises(Malformed):
        Manifest.from_wire(changed(Manifest(made=NOW, files=(entry(),)).to_wire(), **members))


@pytest.mark.parametrize("octets", [b"", b"[]", b"{", b"\xff", b'{"made":"x","made":"y"}'])
def test_octets_that_are_no_manifest_are_malformed(octets):
    for kind in (Manifest, ChunkList):
        with pytest.raises(Malformed):
            kind.from_wire(octets)


def test_what_is_too_long_for_a_manifest_is_not_read_or_written():
    with pytest.raises(LimitExceeded) as caught:
        Manifest.from_wire(b" " * (MANIFEST_OCTETS.maximum + 1))
    assert caught.value.limit == MANIFEST_OCTETS.name
    with pytest.raises(LimitExceeded) as caught:
        Manifest(made=NOW, files=tuple(entry(f"{n}") for n in range(MANIFEST_FILES.default + 1))).to_wire()
    assert caught.value.limit == MANIFEST_FILES.name
    with pytest.raises(LimitExceeded) as caught:
        Manifest(made=NOW, files=tuple(entry(f"{n:0250}") for n in range(12_000))).to_wire()
    assert caught.value.limit == MANIFEST_OCTETS.name
    with pytest.raises(Misuse):
        Manifest(made=NOW, files=())


@pytest.mark.parametrize(
    "path",
    [
        *(
            "",
            "/etc/passwd",
            "..",
            "../a",
            "a/../b",
            "a/..",
            "./a",
            "a/./b",
            "a//b",
            "a/",
            "/",
            "a\\..\\b",
            "C:/a",
            "c:a",
        ),
        *("a\0b", "a\nb", "a\u202eb", "a\x1b[2J", "\ud800", "a" * 256, "/".join(["a"] * 600)),
    ],
    ids=ascii,
)
def test_a_path_that_is_no_plain_way_down_is_refused(path):
    with pytest.raises(Malformed):
        checked_path(path)
    with pytest.raises(Malformed):
        entry(path)
    with pytest.raises(Malformed):
        chunk_list(path=path)


@pytest.mark.parametrize("path", ["a", "a/b/c.mp4", "...", ".hidden", "später/ü.txt", "a b", "-rf", "a" * 255])
def test_other_paths_are_taken_as_they_are(path):
    assert checked_path(path) == path


@pytest.mark.parametrize("pieces", [[CONTENT], [CONTENT[:1], CONTENT[1:]], [b"", CONTENT]])
def test_content_that_was_signed_is_what_was_signed(pieces):
    check = DigestCheck.of(entry())
    for piece in pieces:
        check.update(memoryview(piece))
    check.finish()


@pytest.mark.parametrize("content", [b"", CONTENT[:-1], CONTENT + b"x", CONTENT[:-1] + b"x"])
def test_other_content_is_not(content):
    with pytest.raises(Refused) as caught:
        check_all(content)
    assert caught.value.reason is Reason.CONTENT_MISMATCH


def test_a_size_that_is_a_lie_is_seen_before_all_octets_have_come():
    check = DigestCheck.of(entry(size=10))
    check.update(b"0123456789")
    with pytest.raises(Refused):
        check.update(b"0")


@pytest.mark.parametrize(
    "members",
    [
        {"size": 0},
        {"size": 5 * CHUNK + 1},
        {"size": 4 * CHUNK},
        {"chunk": 0},
        {"chunk": 1},
        {"chunk": CHUNK_OCTETS.maximum + 1},
        {"sha256": []},
        {"sha256": "0" * 64},
        {"sha256": [5]},
        {"path": "../big"},
        {"prev": "0" * 64},
    ],
    ids=json.dumps,
)
def test_a_chunk_list_that_does_not_fit_together_is_malformed(members):
    with pytest.raises(Malformed):
        ChunkList.from_wire(changed(chunk_list().to_wire(), **members))


@pytest.mark.parametrize("piece", [1000, CHUNK, CHUNK + 1, 10 * CHUNK])
def test_bg_09_each_chunk_is_verified_as_it_comes(piece):
    check = ChunkCheck(chunk_list())
    content = CONTENT + b"rest"
    seen = []
    for start in range(0, len(content), piece):
        seen += check.update(memoryview(content)[start : start + piece])
        assert len(seen) >= min(start + piece, len(content)) // CHUNK
    check.finish()
    assert [(chunk.index, chunk.offset, chunk.octets, chunk.is_signed) for chunk in seen] == [
        *((index, index * CHUNK, CHUNK, True) for index in range(4)),
        (4, 4 * CHUNK, 4, True),
    ]


def test_bg_09_the_chunk_that_is_wrong_is_named_and_the_others_hold():
    check = ChunkCheck(chunk_list())
    content = bytearray(CONTENT + b"rest")
    content[CHUNK + 5] ^= 1
    assert [chunk.index for chunk in check.update(bytes(content)) if not chunk.is_signed] == [1]
    with pytest.raises(Refused) as caught:
        check.finish()
    assert caught.value.reason is Reason.CONTENT_MISMATCH


def test_chunks_that_are_swapped_are_both_wrong():
    check = ChunkCheck(chunk_list(digests=(b"\1" * 32, *chunk_list().digests[1:])))
    assert [chunk.is_signed for chunk in check.update(CONTENT)] == [False, True, True, True]


def test_bg_10_content_that_ends_early_is_undecided_and_what_came_is_right():
    check = ChunkCheck(chunk_list())
    assert all(chunk.is_signed for chunk in check.update(CONTENT[: 2 * CHUNK + 1]))
    with pytest.raises(Undecided) as caught:
        check.finish()
    assert caught.value.reason is Reason.INCOMPLETE


def test_octets_after_the_last_chunk_are_refused():
    check = ChunkCheck(chunk_list())
    with pytest.raises(Refused) as caught:
        list(check.update(CONTENT + b"rest."))
    assert caught.value.reason is Reason.CONTENT_MISMATCH


def test_checking_goes_on_after_chunks_that_were_seen_before():
    check = ChunkCheck(chunk_list(), done=3)
    assert [chunk.index for chunk in check.update(CONTENT[3 * CHUNK :] + b"rest")] == [3, 4]
    check.finish()
    with pytest.raises(Misuse):
        ChunkCheck(chunk_list(), done=6)


def test_hashing_goes_on_after_digests_that_are_known():
    whole = chunk_list().digests
    hashes = ChunkHashes(CHUNK, done=whole[:2])
    hashes.update(CONTENT[2 * CHUNK :] + b"rest")
    assert hashes.finish() == whole
    assert hashes.size == len(CONTENT) + 4


def test_an_empty_file_has_no_chunks():
    assert ChunkHashes(CHUNK).finish() == ()
    ChunkCheck(chunk_list(size=0, digests=())).finish()


def test_large_files_get_larger_chunks_and_a_list_of_bounded_length():
    assert chunk_octets_for(0) == CHUNK_OCTETS.default
    most = CHUNK_OCTETS.default * CHUNKS.default
    assert chunk_octets_for(most) == CHUNK_OCTETS.default
    assert chunk_octets_for(most + 1) == 2 * CHUNK_OCTETS.default
    with pytest.raises(LimitExceeded):
        chunk_octets_for(2**63)
