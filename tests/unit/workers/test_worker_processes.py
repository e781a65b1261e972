"""Worker processes of a service: started, replaced when they die or hang, told of signals, ended; real processes."""

import contextlib
import os
import signal
import threading
from pathlib import Path

import pytest

from dnsbound.edge.worker import Worker
from dnsbound.edge.worker_processes import Patience, run_workers, workers_for
from dnsbound.errors import Misuse
from dnsbound.limits import WORKERS
from unit.workers.conftest import SECONDS


def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_workers_serve_and_end_in_order(service, number):
    running = service(workers=3).serving()
    people = [running.who(worker) for worker in range(3)]
    assert [index for index, _, _ in people] == [0, 1, 2]
    pids = {pid for _, pid, _ in people}
    assert len(pids) == 3
    assert running.process.pid not in pids
    assert running.end(number) == 0
    assert sorted(running.told("ending")) == [0, 1, 2]
    assert running.told("ready") == [True]
    assert running.told("stopping") == [True]
    assert running.told("ended") == [True]
    assert all(is_gone(pid) for pid in pids)
    assert running.logged() == ""


def test_one_worker_is_the_process_itself(service):
    running = service(workers=1).serving()
    assert running.who(0) == [0, running.process.pid, 0]
    running.wait(lambda: running.told("alive"))
    running.process.send_signal(signal.SIGHUP)
    running.wait(lambda: running.told("reloaded"))
    assert running.who(0) == [0, running.process.pid, 1]
    assert running.end() == 0
    assert running.told("stopping") == [True]
    assert running.told("ending") == [0]


@pytest.mark.parametrize("workers", [1, 2])
def test_each_worker_has_an_event_loop_of_the_kind_that_is_wanted(service, workers):
    running = service(workers=workers, mode="own-loop").serving()
    assert running.told("loop") == ["OwnLoop"] * workers
    assert running.end() == 0


@pytest.mark.parametrize("killed", [False, True])
def test_a_dead_worker_is_replaced_and_the_others_go_on(service, killed):
    running = service(workers=2).serving()
    (_, first, _), (_, other, _) = running.who(0), running.who(1)
    if killed:
        os.kill(first, signal.SIGKILL)
    else:
        running.ask(0, "die")
    running.wait(lambda: "serves again" in running.logged())
    assert (f"({first}) ended: " + ("signal 9" if killed else "exit 7")) in running.logged()
    index, second, reloads = running.who(0)
    assert index == 0
    assert reloads == 1, "the others may have read their configuration again since they began"
    assert second != first
    assert running.who(1) == [1, other, 0]
    assert running.told("ready") == [True]
    assert running.end() == 0


def test_a_worker_whose_loop_stands_still_is_killed_and_replaced(service):
    running = service(workers=2, patience={"silence": 2}).serving()
    _, hung, _ = running.who(1)
    running.ask(1, "hang")
    running.wait(lambda: "serves again" in running.logged())
    assert f"worker 1 ({hung}) stands still and is killed" in running.logged()
    assert running.who(1)[1] != hung
    assert running.end() == 0


def test_a_worker_that_dies_again_and_again_ends_the_service(service):
    running = service(workers=2, patience={"deaths": 2}).serving()
    pid = None
    for _ in range(3):
        before, pid = pid, running.who(0)[1]
        assert pid != before
        running.ask(0, "die")
        running.wait(lambda pid=pid: is_gone(pid))
    assert running.process.wait(SECONDS) == 1
    assert running.told("failed") == ["LimitExceeded"]
    assert running.told("stopping") == [True]
    assert 1 in running.told("ending")


@pytest.mark.parametrize(
    ("mode", "text"),
    [("refuses", "worker 1 has no such network"), ("breaks", "ZeroDivisionError: in worker 1")],
)
def test_a_worker_that_cannot_begin_ends_the_service_with_its_words(service, mode, text):
    running = service(workers=2, mode=mode)
    assert running.process.wait(SECONDS) == 1
    assert running.told("failed") == ["Misuse"]
    assert running.told("text") == [text]
    assert running.told("ready") == []


def test_a_worker_that_never_serves_is_not_waited_for(service):
    running = service(workers=2, mode="never-ready", patience={"start": 2})
    assert running.process.wait(SECONDS) == 1
    assert running.told("failed") == ["Misuse"]
    assert "does not begin to serve" in running.logged()


def test_a_worker_that_does_not_end_is_killed(service):
    running = service(workers=2, mode="never-ends", patience={"drain": 1}).serving()
    assert running.end() == 0
    assert running.logged().count("has not ended in time and is killed") == 2
    assert running.told("ended") == [True]


def test_a_second_signal_does_not_wait(service):
    running = service(workers=2, mode="never-ends", patience={"drain": 3600}).serving()
    running.process.send_signal(signal.SIGTERM)
    running.wait(lambda: len(running.told("ending")) == 2)
    assert running.end() == 0
    assert running.logged().count("is killed") == 2


def test_signals_to_every_process_of_the_service_are_one(service):
    """As Ctrl-C on a terminal and some service managers send them."""
    running = service(workers=2).serving()
    os.killpg(running.process.pid, signal.SIGTERM)
    os.killpg(running.process.pid, signal.SIGINT)
    assert running.process.wait(SECONDS) == 0
    assert running.told("ended") == [True]


def test_sighup_reaches_each_worker(service):
    running = service(workers=2).serving()
    running.process.send_signal(signal.SIGHUP)
    running.wait(lambda: running.told("reloaded"))
    running.wait(lambda: [running.who(worker)[2] for worker in range(2)] == [1, 1])
    assert running.end() == 0


def test_a_reload_is_owed_to_whoever_says_later_what_it_is():
    done = []
    worker = Worker(0, 2, lambda word: None)
    worker.at_reload(lambda: done.append("first"))
    assert done == []
    worker.reload()
    worker.at_reload(lambda: done.append("second"))
    assert done == ["first", "second"]


def test_workers_end_when_the_process_that_started_them_is_gone(service):
    running = service(workers=2).serving()
    pids = [running.who(worker)[1] for worker in range(2)]
    running.process.kill()
    running.process.wait(SECONDS)
    running.wait(lambda: sorted(running.told("ending")) == [0, 1])
    # Nobody of this test waits for them: init does.
    running.wait(lambda: all(is_gone(pid) or state_of(pid) == "Z" for pid in pids))
    assert running.logged().count("the process that started it is gone") == 2


def state_of(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_alive_is_said_while_the_service_is_well(service):
    running = service(workers=2).serving()
    running.wait(lambda: len(running.told("alive")) >= 2)
    assert running.end() == 0


async def never(worker):
    raise AssertionError(worker)


def test_workers_are_not_forked_beside_threads():
    halt = threading.Event()
    thread = threading.Thread(target=halt.wait)
    thread.start()
    try:
        with pytest.raises(Misuse, match="while there is no other"):
            run_workers(never, count=2)
    finally:
        halt.set()
        thread.join()


def test_numbers_are_checked():
    assert workers_for(0) == min(len(os.sched_getaffinity(0)), WORKERS.maximum)
    assert workers_for(3) == 3
    for wrong in (-1, WORKERS.maximum + 1):
        with pytest.raises(Misuse):
            workers_for(wrong)
        with pytest.raises(Misuse):
            run_workers(never, count=wrong)
    with pytest.raises(Misuse):
        run_workers(never, count=0)
    with pytest.raises(Misuse):
        run_workers(never, count=2, patience=Patience(silence=0))
