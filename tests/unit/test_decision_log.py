"""The decision log: whole lines, any number of writers, rotation, and that its troubles change no decision."""

import json
import logging
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from dnsbound import AccessList, Authenticator, Misuse, Reason, Refused
from dnsbound.edge.decision_log import DecisionLog
from dnsbound.verify.decision import Decision
from unit.claims import CREDENTIAL, DOOR, NAME, NOW, Records, answer, claim


def decision(number: int = 0) -> Decision:
    return Decision.without_claim(Refused(Reason.NO_NAME), door="api", source=f"{number}", at=NOW)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_decision_is_one_line_of_what_it_says(tmp_path: Path) -> None:
    path = tmp_path / "decisions.jsonl"
    with DecisionLog(path) as decisions:
        at = Authenticator(
            AccessList.allowing(DOOR, [NAME]),
            Records(answer(NAME, CREDENTIAL.tlsa())),
            door=DOOR,
            clock=lambda: NOW,
            on_decision=decisions,
        )
        at.authenticate_blocking(claim())
        with pytest.raises(Refused):
            at.authenticate_blocking(claim("car99._device.cars.example"))
    admitted, refused = lines(path)
    assert (admitted["verdict"], admitted["name"], admitted["door"]) == ("admitted", NAME, DOOR)
    assert refused["reason"] == "not-permitted"
    assert stat.S_IMODE(path.stat().st_mode) & 0o007 == 0


def test_it_hears_what_the_logger_is_told_and_leaves_it_as_it_was(tmp_path: Path) -> None:
    logger = logging.getLogger("dnsbound.decisions")
    former = logger.level, list(logger.handlers)
    path = tmp_path / "decisions.jsonl"
    at = Authenticator(AccessList.allowing(DOOR, []), Records(), door=DOOR)
    with DecisionLog(path) as decisions:
        with decisions.attached():
            at.turned_away(Refused(Reason.NO_NAME), source="192.0.2.1")
        at.turned_away(Refused(Reason.NO_NAME), source="192.0.2.2")
    assert [line["source"] for line in lines(path)] == ["192.0.2.1"]
    assert (logger.level, list(logger.handlers)) == former


@pytest.mark.parametrize("rotate", ["rename", "unlink", "replace"])
def test_it_goes_on_in_the_file_that_stands_at_the_path(tmp_path: Path, rotate: str) -> None:
    path, old = tmp_path / "decisions.jsonl", tmp_path / "decisions.jsonl.1"
    with DecisionLog(path) as decisions:
        decisions(decision(1))
        if rotate == "rename":
            path.rename(old)
        elif rotate == "unlink":
            path.unlink()
        else:
            (tmp_path / "new").write_text("")
            (tmp_path / "new").rename(path)
        decisions(decision(2))
    assert [line["source"] for line in lines(path)] == ["2"]


def test_a_truncated_file_is_gone_on_at_its_end(tmp_path: Path) -> None:
    """As logrotate's copytruncate leaves it."""
    path = tmp_path / "decisions.jsonl"
    with DecisionLog(path) as decisions:
        decisions(decision(1))
        os.truncate(path, 0)
        decisions(decision(2))
    assert [line["source"] for line in lines(path)] == ["2"]


_WRITER = """
import sys
from dnsbound.edge.decision_log import DecisionLog
from dnsbound.errors import Reason, Refused
from dnsbound.verify.decision import Decision
with DecisionLog(sys.argv[1]) as decisions:
    for number in range(300):
        decisions(Decision.without_claim(Refused(Reason.NO_NAME, "x" * 900), door="api", source=f"{number}", at=0.0))
"""


def test_bd_06_processes_and_threads_write_whole_lines_into_one_file(tmp_path: Path) -> None:
    path = tmp_path / "decisions.jsonl"
    others = [subprocess.Popen([sys.executable, "-c", _WRITER, str(path)]) for _ in range(2)]
    with DecisionLog(path) as decisions:

        def write() -> None:
            for number in range(300):
                decisions(decision(number))

        threads = [threading.Thread(target=write) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [other.wait(60) for other in others] == [0, 0]
    assert len(lines(path)) == 4 * 300


def test_a_log_that_cannot_be_opened_is_misuse_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(Misuse) as caught:
        DecisionLog(tmp_path / "none" / "decisions.jsonl")
    assert str(caught.value) == f"{tmp_path}/none/decisions.jsonl: its directory is not there"
    with pytest.raises(Misuse):
        DecisionLog(tmp_path)
    with pytest.raises(Misuse):
        DecisionLog("with\0zero")


def test_a_directory_that_went_loses_lines_and_no_decision(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    place = tmp_path / "log"
    place.mkdir()
    path = place / "decisions.jsonl"
    with DecisionLog(path) as decisions:
        decisions(decision(1))
        path.unlink()
        place.rmdir()
        for number in range(5):
            decisions(decision(number))
        assert decisions.lost == 5
        place.mkdir()
        decisions(decision(7))
    assert [line["source"] for line in lines(path)] == ["7"]
    assert len([record for record in caplog.records if record.name == "dnsbound.decision_log"]) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is Linux's")
def test_bd_07_a_full_disk_loses_lines_and_no_decision(tmp_path: Path) -> None:
    path = tmp_path / "decisions.jsonl"
    path.symlink_to("/dev/full")
    with DecisionLog(path) as decisions:
        decisions(decision())
        assert decisions.lost == 1


def test_half_a_line_does_not_become_part_of_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "decisions.jsonl"
    real = os.write
    parts = iter([10])

    def write(descriptor: int, octets: bytes) -> int:
        return real(descriptor, octets[: next(parts, len(octets))])

    with DecisionLog(path) as decisions:
        monkeypatch.setattr(os, "write", write)
        decisions(decision(1))
        decisions(decision(2))
        assert decisions.lost == 1
    half, whole = path.read_text().splitlines()
    assert len(half) == 10
    assert json.loads(whole)["source"] == "2"


def test_after_its_end_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "decisions.jsonl"
    decisions = DecisionLog(path)
    decisions.close()
    decisions.close()
    decisions(decision())
    assert lines(path) == []
    assert decisions.lost == 0
