"""Files while they are hashed: changes seen, links refused, checkpoints that count for the same file alone, memory."""

import os
import subprocess
import sys
import time

import pytest

from dnsbound.credential.credential import Credential
from dnsbound.edge.checkpoint import Checkpoint
from dnsbound.edge.content_checking import check_file, check_files
from dnsbound.edge.content_files import FileIdentity, opened_content
from dnsbound.edge.content_paths import opened_below, paths_below
from dnsbound.edge.content_signing import Described, chunk_list_of, manifest_of
from dnsbound.edge.credential_files import save_credential
from dnsbound.errors import Malformed, Misuse, Reason, Refused, Undecided
from dnsbound.object_limits import CHUNK_OCTETS

NOW = 1_780_000_000.0
OLD = 1_700_000_000
CHUNK = CHUNK_OCTETS.default


@pytest.fixture
def big(tmp_path):
    path = tmp_path / "big"
    path.write_bytes(os.urandom(2 * CHUNK + 5))
    return path


def described(path, checkpoint=None, through=lambda _octets: None):
    return manifest_of(
        path.parent, [path.name], described=Described(), made=NOW, through=through, checkpoint=checkpoint
    )


def interrupted(place, *work):
    """A run that kept some of its work in mind when it was interrupted."""
    with Checkpoint(place, now=later()) as checkpoint:
        for each in work:
            each(checkpoint)
        raise KeyboardInterrupt


def keeping(path, chunk, digests):
    def keep(checkpoint):
        with opened_content(path) as content:
            checkpoint.keep_chunks(content.identity, chunk, list(digests))

    return keep


def later():
    """By a clock for which every file of this test is old enough to be kept in mind."""
    return time.time() + 60


@pytest.mark.parametrize("change", ["grows", "shrinks", "is written to", "vanishes"])
def test_bg_13_a_file_that_changes_while_it_is_read_is_not_signed(big, change):
    def interfere(_octets):
        match change:
            case "grows":
                with big.open("ab") as file:
                    file.write(b"x")
            case "shrinks":
                os.truncate(big, CHUNK)
            case "vanishes":
                big.unlink(missing_ok=True)
            case _:
                with big.open("r+b") as file:
                    file.write(b"x")

    with pytest.raises(Misuse, match="changed"):
        described(big, through=interfere)


def test_a_sparse_file_is_what_it_reads_as(tmp_path):
    path, full = tmp_path / "sparse", tmp_path / "full"
    with path.open("wb") as file:
        file.truncate(3 * CHUNK)
    full.write_bytes(bytes(3 * CHUNK))
    assert described(path).files[0].sha256 == described(full).files[0].sha256


@pytest.mark.parametrize("path", ["link", "deep/link", "linked/file", "pipe", "deep"])
def test_bg_05_no_link_and_no_pipe_is_opened_for_a_file(tmp_path, path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(b"x")
    (tmp_path / "deep" / "link").symlink_to("/etc/hostname")
    (tmp_path / "link").symlink_to("deep/file")
    (tmp_path / "linked").symlink_to("deep")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises((Misuse, OSError)), opened_below(tmp_path, path):
        pass
    with opened_below(tmp_path, "deep/file") as content:
        assert content.identity.size == 1
    with pytest.raises(Malformed), opened_below(tmp_path, "deep/../deep/file"):
        pass


def test_a_directory_itself_may_be_reached_by_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("real")
    assert list(paths_below(tmp_path / "link")) == ["file"]
    with opened_below(tmp_path / "link", "file") as content:
        assert content.identity.size == 1


@pytest.mark.parametrize("name", [b"new\nline", b"back\\slash", b"\xff"])
def test_a_name_that_no_manifest_can_hold_is_said(tmp_path, name):
    with open(os.fsencode(tmp_path) + b"/" + name, "wb"):  # noqa: PTH123 (octets)
        pass
    with pytest.raises(Misuse):
        list(paths_below(tmp_path))


def test_bg_12_what_was_hashed_is_not_hashed_again(big, tmp_path):
    """An interrupted run's checkpoint: the same digests, without reading."""
    place = tmp_path / "c"
    plain, chunks = described(big), chunk_list_of(big, described=Described(), made=NOW, through=lambda _octets: None)
    with pytest.raises(KeyboardInterrupt):
        interrupted(place, lambda checkpoint: described(big, checkpoint), keeping(big, CHUNK, chunks.digests[:1]))
    assert place.stat().st_mode & 0o777 == 0o600
    identity = big.stat()
    with Checkpoint(place, now=later()) as checkpoint:
        with opened_content(big) as content:
            assert checkpoint.whole(content.identity) == plain.files[0].sha256
            assert checkpoint.chunks(content.identity, CHUNK) == chunks.digests[:1]
            assert checkpoint.chunks(content.identity, 2 * CHUNK) == ()
        again = chunk_list_of(big, described=Described(), made=NOW, through=lambda _octets: None, checkpoint=checkpoint)
        assert again == chunks
        assert described(big, checkpoint) == plain
    assert not place.exists()
    assert big.stat() == identity


def test_chunks_that_are_known_are_not_read(big, tmp_path):
    """They would be wrong otherwise: nothing but their digests is left of them."""
    false = [b"\1" * 32]
    with Checkpoint(tmp_path / "c", now=later()) as checkpoint:
        keeping(big, CHUNK, false)(checkpoint)
        listed = chunk_list_of(
            big, described=Described(), made=NOW, through=lambda _octets: None, checkpoint=checkpoint
        )
    assert listed.digests[0] == false[0]
    assert len(listed.digests) == 3


@pytest.mark.parametrize("change", ["content", "same size and time", "another file"])
def test_bg_12_a_checkpoint_counts_for_the_same_file_alone(big, tmp_path, change):
    place = tmp_path / "c"
    os.utime(big, (OLD, OLD))
    with pytest.raises(KeyboardInterrupt):
        interrupted(place, lambda checkpoint: described(big, checkpoint))
    octets = bytearray(big.read_bytes())
    octets[7] ^= 1
    match change:
        case "content":
            big.write_bytes(octets)
        case "same size and time":
            big.write_bytes(octets)
            os.utime(big, (OLD, OLD))
        case _:
            big.rename(tmp_path / "other")
            big.write_bytes(octets)
    with Checkpoint(place, now=later()) as checkpoint:
        assert described(big, checkpoint) == described(big)


def test_a_file_that_changed_just_now_is_not_kept_in_mind(big, tmp_path):
    with Checkpoint(tmp_path / "c", now=time.time()) as checkpoint:
        described(big, checkpoint)
        with opened_content(big) as content:
            assert checkpoint.whole(content.identity) is None


@pytest.mark.parametrize("left", [b"garbage\n", b"{}\n", b'{"device":1}\n'])
def test_a_checkpoint_that_is_none_is_said(tmp_path, left):
    (tmp_path / "c").write_bytes(left)
    (tmp_path / "c").chmod(0o600)
    with pytest.raises(Misuse, match="remove it"):
        Checkpoint(tmp_path / "c", now=NOW)


def test_bg_12_a_checkpoint_others_may_write_or_a_link_is_not_believed(tmp_path):
    (tmp_path / "c").write_bytes(b"")
    (tmp_path / "c").chmod(0o666)
    with pytest.raises(Misuse, match="others"):
        Checkpoint(tmp_path / "c", now=NOW)
    (tmp_path / "link").symlink_to("c")
    with pytest.raises(OSError, match="symbolic"):
        Checkpoint(tmp_path / "link", now=NOW)


def test_a_line_that_was_not_finished_is_dropped(big, tmp_path):
    place = tmp_path / "c"
    with pytest.raises(KeyboardInterrupt):
        interrupted(place, lambda checkpoint: described(big, checkpoint))
    whole = place.read_bytes()
    place.write_bytes(whole + whole[:20])
    with Checkpoint(place, now=later()) as checkpoint:
        assert place.read_bytes() == whole
        with opened_content(big) as content:
            assert checkpoint.whole(content.identity) is not None


def test_files_are_compared_by_size_before_they_are_read(big):
    entry = described(big).files[0]
    read = []
    with big.open("ab") as file:
        file.write(b"x")
    with pytest.raises(Refused) as caught:
        check_file(entry, big, through=read.append)
    assert (caught.value.reason, read) == (Reason.CONTENT_MISMATCH, [])


def test_a_file_that_cannot_be_read_is_undecided(big):
    manifest = described(big)
    big.unlink()
    os.mkfifo(big)
    [checked] = check_files(manifest, big.parent, through=lambda _octets: None)
    assert isinstance(checked.error, Undecided)
    big.unlink()
    [checked] = check_files(manifest, big.parent, through=lambda _octets: None)
    assert checked.error.reason is Reason.CONTENT_MISMATCH


def test_an_identity_is_of_one_state_of_one_file(big):
    with opened_content(big) as first, opened_content(big) as again:
        assert first.identity == again.identity == FileIdentity.of(first.descriptor)
    big.chmod(0o600)
    time_before = first.identity
    with opened_content(big) as changed:
        assert changed.identity.inode == time_before.inode


_MEMORY = """
import sys
from dnsbound.cli.app import run
code = run(sys.argv[1:])
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(code, int(peak.split()[1]))
"""


@pytest.mark.parametrize("way", ["", "--chunks", "--detached"])
def test_bg_11_memory_does_not_grow_with_the_file(tmp_path, way):
    big, credential = tmp_path / "big", tmp_path / "car54.pem"
    with big.open("wb") as file:
        file.truncate(256 * CHUNK)
    save_credential(Credential.generate("car54._device.cars.example", now=time.time()), credential)
    arguments = ["sign", str(big), *filter(None, [way]), "--credential", str(credential)]
    ran = subprocess.run([sys.executable, "-c", _MEMORY, *arguments], capture_output=True, timeout=60, check=True)
    code, peak = map(int, ran.stdout.split()[-2:])
    assert code == 0
    assert peak < 64 * 1024
