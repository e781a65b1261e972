"""Editing an access list's file: what stays, who waits for whom, and what never comes about."""

import fcntl
import os
import threading
from pathlib import Path

import pytest

from dnsbound import AccessList, LimitExceeded, Malformed, Misuse
from dnsbound.edge import access_editing
from dnsbound.edge.access_editing import DENY, AccessEditing
from dnsbound.limits import ACCESS_EDIT_OCTETS

LIST = '# who\n[door.api]\nallow = [\n  "a.cars.example",  # first\n]\n'


@pytest.fixture
def place(tmp_path: Path) -> Path:
    path = tmp_path / "access.toml"
    path.write_text(LIST)
    path.chmod(0o640)
    return path


def test_mode_owner_and_link_stay_and_nothing_is_left_beside(place: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.toml"
    link.symlink_to(place)
    owner = place.stat().st_uid, place.stat().st_gid
    if os.geteuid() == 0:
        os.chown(place, 12345, 12346)
        owner = 12345, 12346
    with AccessEditing.of(link) as editing:
        assert editing.allow("api", "b.cars.example")
    status = place.stat()
    assert (status.st_mode & 0o7777, (status.st_uid, status.st_gid)) == (0o640, owner)
    assert link.is_symlink()
    assert "# first" in place.read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["access.toml", "link.toml"]


def test_what_changes_nothing_writes_nothing(place: Path) -> None:
    before = place.stat()
    with AccessEditing.of(place) as editing:
        assert not editing.allow("api", "A.cars.example")
        assert editing.remove("api", "z.cars.example") == 0
    assert (place.stat().st_ino, place.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_an_error_in_the_block_and_in_the_text_leave_the_file(place: Path) -> None:
    with pytest.raises(ZeroDivisionError), AccessEditing.of(place) as editing:
        assert 1 / (editing.allow("api", "b.cars.example") - 1)
    with pytest.raises(Malformed), AccessEditing.of(place) as editing:
        editing.allow("api", "*.example")
    assert place.read_text() == LIST


def test_bd_09_editors_wait_for_each_other_and_no_change_is_lost(place: Path) -> None:
    def add(number: int) -> None:
        for turn in range(5):
            with AccessEditing.of(place) as editing:
                editing.allow("api", f"x{number}-{turn}.cars.example")

    threads = [threading.Thread(target=add, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert AccessList.from_toml(place.read_text()).entries("api") == 21


def test_a_lock_that_is_held_for_good_is_told(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_editing, "LOCK_SECONDS", 0.1)
    with place.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(Misuse, match="somebody else"), AccessEditing.of(place):
            pass


def test_a_list_too_long_to_edit_is_told(place: Path) -> None:
    place.write_text(LIST + "#" * ACCESS_EDIT_OCTETS.default)
    with pytest.raises(LimitExceeded), AccessEditing.of(place):
        pass


def test_a_file_that_is_not_there_or_no_text_is_told(tmp_path: Path) -> None:
    with pytest.raises(Misuse), AccessEditing.of(tmp_path / "none.toml"):
        pass
    with pytest.raises(Misuse), AccessEditing.of(tmp_path / "none" / "none.toml", create=True):
        pass
    (tmp_path / "octets").write_bytes(b"\xff")
    with pytest.raises(Malformed), AccessEditing.of(tmp_path / "octets"):
        pass


@pytest.mark.parametrize(
    "text",
    [
        '[door.api]\nallow = [{ names = ["a.b", "c.d"], grants = { v = 1 } }, "a.b"]\n',
        '[[door.api.allow]]\nnames = ["a.b"]\n',
        'door.api.allow = ["a.b"]\n',
        'door = { api = { allow = ["a.b"] } }\n',
    ],
)
def test_other_spellings_of_toml_are_edited_or_refused_and_never_broken(text: str) -> None:
    editing = AccessEditing.from_text(text)
    try:
        editing.allow("api", "x.y")
        editing.deny("api", "q.r")
        assert editing.remove("api", "a.b") >= 1
        assert editing.remove("api", "q.r", of=DENY) == 1
    except Misuse:
        assert editing.text == text
        return
    listed = AccessList.from_toml(editing.text)
    assert "x.y" in dict(listed.grants("api"))
    assert "a.b" not in dict(listed.grants("api"))
