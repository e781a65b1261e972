"""Credential files: modes, atomic writing, nothing lost, and one line of error for each mistake."""

import os
import stat
from pathlib import Path

import pytest

from dnsbound.credential.credential import Credential, certificates_to_pem
from dnsbound.credential.keys import private_key_to_pem
from dnsbound.edge import secret_files
from dnsbound.edge.credential_files import load_credential, save_credential
from dnsbound.errors import DnsboundError, Malformed, Misuse

NAME = "car54._device.cars.example"
NOW = 1_780_000_000.0


@pytest.fixture
def credential() -> Credential:
    return Credential.generate(NAME, now=NOW)


def test_what_is_saved_is_loaded_and_is_for_its_owner_alone(credential: Credential, tmp_path: Path) -> None:
    path = tmp_path / "car54.pem"
    previous = os.umask(0)
    try:
        save_credential(credential, path)
    finally:
        os.umask(previous)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_credential(path) == load_credential(str(path)) == credential
    assert [entry.name for entry in tmp_path.iterdir()] == ["car54.pem"]


def test_a_file_is_replaced_only_when_told_to(credential: Credential, tmp_path: Path) -> None:
    path = tmp_path / "car54.pem"
    save_credential(credential, path)
    other = Credential.generate(NAME, now=NOW)
    with pytest.raises(Misuse, match=r"car54\.pem: exists already"):
        save_credential(other, path)
    assert load_credential(path) == credential
    save_credential(other, path, force=True)
    assert load_credential(path) == other
    assert len(list(tmp_path.iterdir())) == 1


def test_saving_never_writes_through_a_link(credential: Credential, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("precious")
    link = tmp_path / "car54.pem"
    link.symlink_to(elsewhere)
    with pytest.raises(Misuse, match="exists already"):
        save_credential(credential, link)
    save_credential(credential, link, force=True)
    assert elsewhere.read_text() == "precious"
    assert not link.is_symlink()


def test_a_failed_write_changes_nothing(
    credential: Credential, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "car54.pem"
    save_credential(credential, path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(secret_files.os, "fsync", full)
    with pytest.raises(Misuse, match="no space left"):
        save_credential(Credential.generate(NAME, now=NOW), path, force=True)
    assert load_credential(path) == credential
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_system_without_links_is_written_to_and_nothing_is_replaced(
    credential: Credential, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(source: object, target: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(secret_files.os, "link", no_links)
    path = tmp_path / "car54.pem"
    save_credential(credential, path)
    assert load_credential(path) == credential
    with pytest.raises(Misuse, match="exists already"):
        save_credential(Credential.generate(NAME, now=NOW), path)
    assert load_credential(path) == credential
    assert [entry.name for entry in tmp_path.iterdir()] == ["car54.pem"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o700 | 0o001])
def test_a_key_that_others_may_read_is_refused(credential: Credential, tmp_path: Path, mode: int) -> None:
    path = tmp_path / "car54.pem"
    save_credential(credential, path)
    path.chmod(mode)
    with pytest.raises(Misuse, match="chmod 600"):
        load_credential(path)
    assert load_credential(path, danger_readable_by_others=True) == credential


def test_key_and_certificate_in_two_files(credential: Credential, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    key.touch(0o600)
    key.write_bytes(private_key_to_pem(credential.private_key))
    certificate.write_bytes(certificates_to_pem(credential.chain))
    assert load_credential(key, certificate) == credential
    bare = load_credential(key, name=NAME)
    assert (bare.name, bare.chain) == (credential.name, ())
    with pytest.raises(Malformed, match="holds no certificate"):
        load_credential(key, key)
    both = tmp_path / "both.pem"
    both.write_bytes(credential.to_pem())
    with pytest.raises(Misuse, match="holds a private key too"):
        load_credential(key, both)


def _missing(path: Path) -> None:
    path.unlink()


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _garbage(path: Path) -> None:
    path.write_bytes(b"-----BEGIN PRIVATE KEY-----\n%%%%\n-----END PRIVATE KEY-----\n")


def _huge(path: Path) -> None:
    path.write_bytes(bytes(secret_files.MAX_OCTETS + 1))


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


@pytest.mark.parametrize("spoil", [_missing, _directory, _empty, _garbage, _huge, _fifo])
def test_every_bad_file_is_one_line_that_begins_with_its_path(
    credential: Credential, tmp_path: Path, spoil: object
) -> None:
    path = tmp_path / "car54.pem"
    save_credential(credential, path)
    assert callable(spoil)
    spoil(path)
    with pytest.raises((Misuse, Malformed)) as caught:
        load_credential(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_place_that_is_not_there_is_one_line_too(credential: Credential, tmp_path: Path) -> None:
    for path in (tmp_path / "no" / "car54.pem", tmp_path / "nul\x00", Path("/dev/null/x")):
        with pytest.raises(DnsboundError) as caught:
            save_credential(credential, path)
        assert "\n" not in str(caught.value)
