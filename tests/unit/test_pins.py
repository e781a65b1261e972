"""Pins in memory and in a file: what is remembered, for how long, by how many, and what a damaged file means."""

import logging
import multiprocessing
from pathlib import Path

import pytest

from dnsbound.edge.pins import FilePins, MemoryPins
from dnsbound.errors import Misuse
from dnsbound.limits import SERVER_PINS

NOW = 1_790_000_000.0
HOST = "api.cars.example"


@pytest.fixture(params=["memory", "file"])
def pins(request: pytest.FixtureRequest, tmp_path: Path) -> MemoryPins:
    return MemoryPins() if request.param == "memory" else FilePins(tmp_path / "pins.json")


def test_a_pin_holds_until_its_end(pins: MemoryPins) -> None:
    assert not pins.pinned(HOST, 443, now=NOW)
    pins.pin(HOST, 443, until=NOW + 60, now=NOW)
    assert pins.pinned(HOST, 443, now=NOW + 59.9)
    assert not pins.pinned(HOST, 443, now=NOW + 60)
    assert not pins.pinned(HOST, 8443, now=NOW)
    assert not pins.pinned("www.cars.example", 443, now=NOW)


def test_a_later_promise_replaces_an_earlier_one_also_a_longer_one(pins: MemoryPins) -> None:
    pins.pin(HOST, 443, until=NOW + 3600, now=NOW)
    pins.pin(HOST, 443, until=NOW + 60, now=NOW)
    assert not pins.pinned(HOST, 443, now=NOW + 61)


def test_a_pin_that_is_taken_back(pins: MemoryPins) -> None:
    pins.pin(HOST, 443, until=NOW + 60, now=NOW)
    pins.pin(HOST, 8443, until=NOW + 60, now=NOW)
    pins.unpin(HOST, 443)
    pins.unpin("never.example", 443)
    assert not pins.pinned(HOST, 443, now=NOW)
    assert pins.pinned(HOST, 8443, now=NOW)


def test_a_full_store_forgets_only_what_is_over(caplog: pytest.LogCaptureFixture) -> None:
    pins = MemoryPins(most=2)
    pins.pin("a.example", 443, until=NOW + 10, now=NOW)
    pins.pin("b.example", 443, until=NOW + 60, now=NOW)
    with caplog.at_level(logging.WARNING, "dnsbound.chains"):
        pins.pin("c.example", 443, until=NOW + 60, now=NOW)
    assert "c.example:443 is not pinned" in caplog.text
    assert [pins.pinned(host, 443, now=NOW) for host in ("a.example", "b.example", "c.example")] == [True, True, False]
    pins.pin("b.example", 443, until=NOW + 90, now=NOW)
    pins.pin("c.example", 443, until=NOW + 60, now=NOW + 11)
    assert [pins.pinned(host, 443, now=NOW + 11) for host in ("a.example", "b.example", "c.example")] == [
        False,
        True,
        True,
    ]


def test_the_limit_is_checked() -> None:
    for wrong in (0, SERVER_PINS.maximum + 1):
        with pytest.raises(Misuse):
            MemoryPins(most=wrong)


# --- in a file


def test_a_file_outlives_its_program(tmp_path: Path) -> None:
    path = tmp_path / "pins.json"
    FilePins(path).pin(HOST, 443, until=NOW + 60.25, now=NOW)
    again = FilePins(path)
    assert again.pinned(HOST, 443, now=NOW + 60)
    again.unpin(HOST, 443)
    assert not FilePins(path).pinned(HOST, 443, now=NOW)


def test_two_programs_see_each_other_s_pins(tmp_path: Path) -> None:
    one, other = FilePins(tmp_path / "pins.json"), FilePins(tmp_path / "pins.json")
    one.pin("a.example", 443, until=NOW + 60, now=NOW)
    other.pin("b.example", 443, until=NOW + 60, now=NOW)
    for pins in (one, other, FilePins(tmp_path / "pins.json")):
        assert pins.pinned("a.example", 443, now=NOW)
        assert pins.pinned("b.example", 443, now=NOW)


def pin_many(path: Path, label: str) -> None:
    pins = FilePins(path)
    for number in range(20):
        pins.pin(f"{label}{number}.example", 443, until=NOW + 60, now=NOW)


def test_processes_at_once_lose_no_pin(tmp_path: Path) -> None:
    path = tmp_path / "pins.json"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=pin_many, args=(path, label)) for label in ("a", "b")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    pins = FilePins(path)
    assert all(pins.pinned(f"{label}{number}.example", 443, now=NOW) for label in "ab" for number in range(20))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pins",
        "[]",
        "{}",
        '{"pins": 3}',
        '{"pins": [3]}',
        '{"pins": [{"host": "a.example", "port": 443}]}',
        '{"pins": [{"host": 7, "port": 443, "until": 1}]}',
        '{"pins": [{"host": "a.example", "port": "443", "until": 1}]}',
        '{"pins": [{"host": "a.example", "port": true, "until": 1}]}',
        '{"pins": [{"host": "a.example", "port": 443, "until": "never"}]}',
        '{"pins": [{"host": "a.example", "port": 443, "until": NaN}]}',
        '{"pins": [{"host": [], "port": 443, "until": 1}]}',
        "\udcff",
        "[" * 100_000,
    ],
    ids=lambda text: text[:40],
)
def test_a_damaged_file_is_an_error_and_no_empty_store(tmp_path: Path, text: str) -> None:
    path = tmp_path / "pins.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(Misuse, match=r"pins\.json"):
        FilePins(path)


def test_a_file_damaged_while_it_is_used(tmp_path: Path) -> None:
    path = tmp_path / "pins.json"
    pins = FilePins(path)
    pins.pin(HOST, 443, until=NOW + 60, now=NOW)
    path.write_text("{")
    with pytest.raises(Misuse):
        pins.pinned(HOST, 443, now=NOW)
    with pytest.raises(Misuse):
        pins.unpin(HOST, 443)


def test_a_file_that_cannot_be_written_is_told_and_the_pin_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pins = FilePins(tmp_path / "no-such-directory" / "pins.json")
    with caplog.at_level(logging.ERROR, "dnsbound.chains"):
        pins.pin(HOST, 443, until=NOW + 60, now=NOW)
    assert "in memory alone" in caplog.text
    assert pins.pinned(HOST, 443, now=NOW)
