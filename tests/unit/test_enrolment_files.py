"""The files of a device that enrols or renews: killed after any step, it goes on, and no key of a record is lost."""

from pathlib import Path

import pytest

from dnsbound.credential.credential import Credential
from dnsbound.edge.enrolment_files import EnrolmentFiles
from dnsbound.errors import Misuse
from dnsbound.names import ClientName

NOW = 1_795_000_000.0
CAR = ClientName.parse("car54._device.cars.example")


def made() -> Credential:
    return Credential.generate(CAR, now=NOW, kind="raw")


@pytest.fixture
def files(tmp_path: Path) -> EnrolmentFiles:
    return EnrolmentFiles(tmp_path / "out" / f"{CAR}.pem")


def test_the_key_is_on_disk_before_anybody_hears_of_it(files: EnrolmentFiles) -> None:
    begun = files.begin(CAR, made)
    assert files.read(files.new).spki == begun.spki
    assert files.new.stat().st_mode & 0o777 == 0o600
    assert not files.path.exists()


def test_what_was_begun_is_gone_on_with(files: EnrolmentFiles) -> None:
    begun = files.begin(CAR, made)
    assert files.begin(CAR, lambda: pytest.fail("a second key was made")).spki == begun.spki
    with pytest.raises(Misuse, match="begun for"):
        files.begin(ClientName.parse("car55._device.cars.example"), made)


def test_the_first_credential_takes_its_place(files: EnrolmentFiles) -> None:
    files.put_in_place(files.begin(CAR, made))
    assert sorted(path.name for path in files.path.parent.iterdir()) == [files.path.name]


def test_a_new_key_keeps_the_former_until_it_is_seen_to_work(files: EnrolmentFiles) -> None:
    first = files.begin(CAR, made)
    files.put_in_place(first)
    second = files.begin(CAR, made)
    files.put_in_place(second)
    assert (files.read(files.path).spki, files.read(files.former).spki) == (second.spki, first.spki)
    assert not files.new.exists()
    files.confirmed()
    assert not files.former.exists()


def test_killed_before_the_new_file_was_put_away(files: EnrolmentFiles) -> None:
    first = files.begin(CAR, made)
    files.put_in_place(first)
    second = files.begin(CAR, made)
    assert not files.is_in_place()
    kept = files.new.read_bytes()
    files.put_in_place(second)
    files.new.write_bytes(kept)
    files.new.chmod(0o600)
    assert files.is_in_place()
    files.put_in_place(files.read(files.path))
    assert files.read(files.former).spki == first.spki, "putting it in place again keeps the true former one"
    assert not files.new.exists()


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises((Misuse, OSError)):
        EnrolmentFiles(tmp_path / "out" / "x.pem").begin(CAR, made)
