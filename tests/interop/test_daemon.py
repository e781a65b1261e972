"""What starts other people's programs fails loudly, stops what it started, and waits for no longer than it says."""

import socket
import sys
import time
from pathlib import Path

import pytest

from interop import daemon

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
)


def python(text: str) -> list[str]:
    return [sys.executable, "-c", text]


IDLE = python("import time; time.sleep(60)")


def test_a_program_that_ends_fails_with_the_end_of_its_log(tmp_path: Path) -> None:
    command = python("import sys; print('x' * 20_000, file=sys.stderr); sys.exit('no such zone')")
    with daemon.started(command, tmp_path / "log") as running, pytest.raises(AssertionError) as failure:
        running.wait_for_line()
    assert "it ended with 1" in str(failure.value)
    assert "no such zone" in str(failure.value)
    assert len(running.log_tail()) == daemon.LOG_CHARACTERS


def test_a_program_that_says_nothing_is_not_waited_for_longer(tmp_path: Path) -> None:
    began = time.monotonic()
    port = daemon.free_port()
    too_late = pytest.raises(AssertionError, match=r"it answers: not within 0\.2 s")
    with daemon.started(IDLE, tmp_path / "log") as running, too_late:
        running.wait_for(lambda: bool(daemon.ask(port, ".", "SOA")), "it answers", seconds=0.2)
    assert running.process.poll() is not None
    assert time.monotonic() - began < daemon.START_SECONDS


def test_other_failures_are_not_waited_out(tmp_path: Path) -> None:
    with daemon.started(IDLE, tmp_path / "log") as running, pytest.raises(ZeroDivisionError):
        running.wait_for(lambda: bool(1 // 0), "it answers")


def test_the_first_line_is_of_the_output_and_not_of_the_log(tmp_path: Path) -> None:
    command = python("import sys, time; print('no', file=sys.stderr); print('yes', flush=True); time.sleep(60)")
    with daemon.started(command, tmp_path / "log", output=tmp_path / "out") as running:
        assert running.wait_for_line() == "yes"
    assert running.log_tail() == "no\n"


def test_who_does_not_listen_to_terminate_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "STOP_SECONDS", 0.2)
    with daemon.started(python(STUBBORN), tmp_path / "log") as running:
        assert running.wait_for_line() == "deaf"
    assert running.process.returncode == -9


def test_a_free_port_is_free_for_both(tmp_path: Path) -> None:
    port = daemon.free_port()
    with socket.create_server(("127.0.0.1", port)), socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.1", port))


@pytest.mark.peer("unbound")
def test_unbound_moves_to_another_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = daemon.free_port()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = iter([taken.getsockname()[1], free])
        monkeypatch.setattr(daemon, "free_port", lambda: next(ports))
        with daemon.unbound(tmp_path, anchors="", stubs=[]) as (_, port):
            assert port == free
            assert daemon.ask(port, "localhost", "A").answer


@pytest.mark.peer("unbound")
def test_unbound_that_does_not_start_says_why(tmp_path: Path) -> None:
    wrong = daemon.unbound(tmp_path, anchors="", stubs=[], options=["no-such-option: yes"])
    with pytest.raises(AssertionError, match="no-such-option"), wrong:
        pass
