"""The access list in a file: read again when it changes, and never worse than before."""

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dnsbound.edge import access_file
from dnsbound.edge.access_file import AccessFile
from dnsbound.errors import Malformed, Misuse, Refused
from dnsbound.names import ClientName

DOOR = "api"


def text(*names: str) -> str:
    return f"[door.{DOOR}]\nallow = [{', '.join(repr(name) for name in names)}]\n"


def put(path: Path, content: str | bytes) -> None:
    """Replace the file as an operator should: whole, by a rename."""
    new = path.with_suffix(".new")
    new.write_bytes(content.encode() if isinstance(content, str) else content)
    new.replace(path)


def lets_in(source: AccessFile, name: str) -> bool:
    try:
        source.current().permit(DOOR, ClientName.parse(name))
    except Refused:
        return False
    return True


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        threading.Event().wait(0.005)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "access.toml"
    put(path, text("a.example"))
    return path


def test_a_change_comes_into_force_at_the_next_look(path: Path) -> None:
    source = AccessFile(path, interval=0)
    before = source.current()
    assert (lets_in(source, "a.example"), lets_in(source, "b.example")) == (True, False)
    put(path, text("b.example"))
    assert (lets_in(source, "a.example"), lets_in(source, "b.example")) == (False, True)
    assert source.current().generation > before.generation


def test_a_file_that_did_not_change_stays_the_same_list(path: Path) -> None:
    source = AccessFile(path, interval=0)
    assert source.current() is source.current()


def test_the_file_is_looked_at_once_per_interval(path: Path) -> None:
    moment = [100.0]
    source = AccessFile(path, interval=5, monotonic=lambda: moment[0])
    put(path, text("b.example"))
    moment[0] = 104.9
    assert lets_in(source, "a.example")
    moment[0] = 105.0
    assert lets_in(source, "b.example")


@pytest.mark.parametrize(
    "spoilt",
    ["[door.api]\nallow = [\n", "[door.api]\nallowed = []\n", text("*.example"), b"\xff\xfe"],
    ids=["cut short", "unknown key", "short pattern", "not UTF-8"],
)
def test_a_list_with_an_error_is_reported_once_and_the_old_one_stays(
    path: Path, spoilt: str | bytes, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Exception] = []
    source = AccessFile(path, interval=0, on_error=seen.append)
    before = source.current()
    put(path, spoilt)
    for _ in range(5):
        assert source.current() is before
    [error] = seen
    assert isinstance(error, Malformed)
    assert str(error).startswith(f"{path}: ")
    assert "\n" not in str(error)
    assert source.error is error
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1
    put(path, text("b.example"))
    assert lets_in(source, "b.example")
    assert source.error is None
    put(path, spoilt)
    source.current()
    assert len(seen) == 2


def test_a_file_that_vanishes_is_reported_once_and_the_old_list_stays(path: Path) -> None:
    seen: list[Exception] = []
    source = AccessFile(path, interval=0, on_error=seen.append)
    path.unlink()
    for _ in range(5):
        assert lets_in(source, "a.example")
    [error] = seen
    assert isinstance(error, Misuse)
    put(path, text("c.example"))
    assert lets_in(source, "c.example")


@pytest.mark.parametrize(
    "spoil", [Path.unlink, lambda path: path.write_text("["), lambda path: path.write_bytes(b"\xff")]
)
def test_the_first_list_must_be_good(path: Path, spoil: Callable[[Path], object]) -> None:
    spoil(path)
    with pytest.raises((Malformed, Misuse)) as caught:
        AccessFile(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_reloading_by_hand_raises_and_keeps(path: Path) -> None:
    source = AccessFile(path, interval=1000)
    put(path, text("b.example"))
    assert source.reload() is source.current()
    assert lets_in(source, "b.example")
    path.write_text("[")
    with pytest.raises(Malformed):
        source.reload()
    assert source.error is not None
    assert lets_in(source, "b.example")


def test_a_long_list_is_read_in_a_thread_while_the_old_one_serves(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_file, "READ_ON_THE_SPOT", 10)
    reading, go_on = threading.Event(), threading.Event()
    parse = access_file._parse

    def slow(where: Path, content: str) -> object:
        reading.set()
        assert go_on.wait(10)
        return parse(where, content)

    source = AccessFile(path, interval=0)
    monkeypatch.setattr(access_file, "_parse", slow)
    put(path, text("b.example"))
    assert lets_in(source, "a.example")
    assert reading.wait(10)
    for _ in range(100):
        assert lets_in(source, "a.example")
    go_on.set()
    wait_until(lambda: lets_in(source, "b.example"))
    assert not lets_in(source, "a.example")


def test_many_threads_read_one_file(path: Path) -> None:
    source = AccessFile(path, interval=0)
    stop, wrong = threading.Event(), []

    def look() -> None:
        while not stop.is_set():
            access = source.current()
            names = [name for name in ("a.example", "b.example") if _permits(access, name)]
            if len(names) != 1:
                wrong.append(names)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for turn in range(50):
        put(path, text("ab"[turn % 2] + ".example"))
    stop.set()
    for thread in threads:
        thread.join(10)
    assert wrong == []
    assert lets_in(source, "b.example")


def _permits(access: object, name: str) -> bool:
    try:
        access.permit(DOOR, ClientName.parse(name))  # type: ignore[attr-defined]
    except Refused:
        return False
    return True


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_process_looks_for_itself_even_if_a_thread_held_the_lock(path: Path) -> None:
    source = AccessFile(path, interval=0)
    put(path, text("b.example"))
    with source._lock:
        child = os.fork()
        if child == 0:
            os._exit(0 if lets_in(source, "b.example") else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_an_observer_that_breaks_keeps_the_old_list(path: Path) -> None:
    def broken(error: Exception) -> None:
        raise RuntimeError("observer")

    source = AccessFile(path, interval=0, on_error=broken)
    path.write_text("[")
    assert lets_in(source, "a.example")


def test_the_interval_is_a_time(path: Path) -> None:
    with pytest.raises(Misuse):
        AccessFile(path, interval=-1)
