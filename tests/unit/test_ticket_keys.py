"""Ticket keys of a door: a schedule with overlap, and a file that processes share."""

import base64
import copy
import logging
import os
import threading
from pathlib import Path

import pytest

from dnsbound.edge.ticket_keys import OwnTicketKeys, SharedTicketKeys, TicketKeyFile, TicketSecrets
from dnsbound.errors import Misuse
from machines.native_pairs import client_config
from machines.test_native_ticket_keys import door, issue, resumes

LIFETIME, INTERVAL = 100, 10


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


CLIENT = client_config()


def own(clock: Clock) -> OwnTicketKeys:
    return OwnTicketKeys(LIFETIME, interval=INTERVAL, monotonic=clock)


def test_a_key_seals_for_its_interval_and_opens_for_a_tickets_lifetime() -> None:
    clock = Clock()
    source = own(clock)
    server = door(source.keys)
    session = issue(server, CLIENT)
    clock.now += INTERVAL - 0.1
    source.refresh()
    assert source._opening == [], "it still seals"
    clock.now += 0.1
    source.refresh()
    assert len(source._opening) == 1
    newer = issue(server, CLIENT)
    clock.now += LIFETIME - 0.1
    source.refresh()
    assert resumes(server, CLIENT, session), "sealed with the key before"
    clock.now += INTERVAL
    source.refresh()
    assert not resumes(server, CLIENT, session)
    assert resumes(server, CLIENT, newer)


def test_an_idle_door_forgets_its_keys_at_its_next_connection() -> None:
    clock = Clock()
    source = own(clock)
    server = door(source.keys)
    session = issue(server, CLIENT)
    clock.now += INTERVAL
    source.refresh()
    clock.now += 10 * LIFETIME
    source.refresh()
    assert not resumes(server, CLIENT, session)


def test_a_key_that_sealed_past_its_interval_is_kept_a_whole_lifetime() -> None:
    """Nobody connected, so nobody turned the keys, and a verdict that came late sealed a ticket meanwhile."""
    clock = Clock()
    source = own(clock)
    server = door(source.keys)
    clock.now += 5 * LIFETIME
    session = issue(server, CLIENT)
    source.refresh()
    clock.now += LIFETIME - 1
    source.refresh()
    assert resumes(server, CLIENT, session)


def test_the_number_of_keys_is_bounded() -> None:
    clock = Clock()
    source = own(clock)
    for _ in range(100):
        clock.now += INTERVAL
        source.refresh()
    assert len(source._opening) <= LIFETIME / INTERVAL


def test_two_doors_never_have_the_same_key() -> None:
    assert not resumes(door(own(Clock()).keys), CLIENT, issue(door(own(Clock()).keys), CLIENT))


def test_a_child_process_is_not_stuck_with_its_parents_lock() -> None:
    clock = Clock()
    source = own(clock)
    clock.now += INTERVAL
    source._lock.acquire()
    source.refresh()
    assert source._opening == [], "another thread is at it"
    source._process = -1
    source.refresh()
    assert len(source._opening) == 1


def test_many_threads_turn_once() -> None:
    clock = Clock()
    source = own(clock)
    clock.now += INTERVAL
    threads = [threading.Thread(target=source.refresh) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(source._opening) == 1


@pytest.mark.parametrize("interval", [0, 604_801])
def test_an_interval_out_of_range(interval: int) -> None:
    with pytest.raises(Misuse):
        OwnTicketKeys(LIFETIME, interval=interval)


# --- worker processes


def twice(clock: Clock, *doors: str) -> list[SharedTicketKeys]:
    """Keys of doors as two processes have them that were forked from one."""
    mine = TicketSecrets(LIFETIME, interval=INTERVAL, monotonic=clock)
    theirs = copy.deepcopy(mine, {id(clock): clock})
    return [SharedTicketKeys(secrets, door=name) for secrets in (mine, theirs) for name in doors or ("api",)]


def test_workers_know_each_others_tickets_whenever_each_turned_its_keys() -> None:
    clock = Clock()
    one, two = twice(clock)
    first, second = door(one.keys), door(two.keys)
    for _ in range(15):
        clock.now += INTERVAL - 1
        one.refresh()
        session = issue(first, CLIENT)
        two.refresh()
        assert resumes(second, CLIENT, session)
    clock.now += 3.5 * INTERVAL
    two.refresh()
    assert resumes(second, CLIENT, session), "one may have idled for some intervals"
    newer = issue(second, CLIENT)
    one.refresh()
    assert resumes(first, CLIENT, newer)
    clock.now += LIFETIME + INTERVAL
    two.refresh()
    assert not resumes(second, CLIENT, session)


def test_keys_turn_at_the_same_moment_in_all_workers() -> None:
    clock = Clock()
    one, two = twice(clock)
    clock.now += INTERVAL - 1
    one.refresh()
    clock.now += 1
    one.refresh()
    session = issue(door(one.keys), CLIENT)
    two.refresh()
    assert resumes(door(two.keys), CLIENT, session)
    assert one._secrets.at(clock.now) == two._secrets.at(clock.now)


def test_old_secrets_are_forgotten_and_do_not_follow_from_new_ones() -> None:
    clock = Clock()
    secrets = TicketSecrets(LIFETIME, interval=INTERVAL, monotonic=clock)
    old = secrets.at(clock.now)
    clock.now += 1000 * (LIFETIME + INTERVAL)
    new = secrets.at(clock.now)
    assert not set(old) & set(new)
    assert len(new) <= 1 + LIFETIME / INTERVAL
    assert secrets._seed not in new


def test_each_door_of_the_workers_has_keys_of_its_own() -> None:
    api, mail, *_ = twice(Clock(), "api", "mail")
    assert not resumes(door(mail.keys), CLIENT, issue(door(api.keys), CLIENT))


def test_a_door_that_is_made_anew_opens_the_tickets_of_the_former() -> None:
    clock = Clock()
    secrets = TicketSecrets(LIFETIME, interval=INTERVAL, monotonic=clock)
    session = issue(door(SharedTicketKeys(secrets, door="api").keys), CLIENT)
    clock.now += 2 * INTERVAL
    assert resumes(door(SharedTicketKeys(secrets, door="api").keys), CLIENT, session)


# --- files

ONE, TWO = (base64.b64encode(bytes((number,)) * 32).decode() for number in (1, 2))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tickets.keys"
    write(path, f"# the first line seals\n\n{ONE}\n")
    return path


def write(path: Path, text: str, mode: int = 0o600) -> None:
    new = path.with_suffix(".new")
    new.write_text(text)
    new.chmod(mode)
    new.replace(path)


def test_processes_that_share_a_file_know_each_others_tickets(file: Path) -> None:
    one, two = (TicketKeyFile(file, door="api") for _ in range(2))
    session = issue(door(one.keys), CLIENT)
    assert resumes(door(two.keys), CLIENT, session)


def test_doors_have_keys_of_their_own_from_one_file(file: Path) -> None:
    one, two = TicketKeyFile(file, door="api"), TicketKeyFile(file, door="mail")
    assert not resumes(door(two.keys), CLIENT, issue(door(one.keys), CLIENT))


def test_a_new_first_line_seals_and_the_old_one_opens_until_it_is_gone(file: Path) -> None:
    clock = Clock()
    source = TicketKeyFile(file, door="api", monotonic=clock)
    server = door(source.keys)
    session = issue(server, CLIENT)
    write(file, f"{TWO}\n{ONE}\n")
    clock.now += 1
    source.refresh()
    newer = issue(server, CLIENT)
    assert resumes(server, CLIENT, session)
    write(file, f"{TWO}\n")
    clock.now += 1
    source.refresh()
    assert not resumes(server, CLIENT, session)
    assert resumes(server, CLIENT, newer)


def test_a_newer_file_with_an_error_changes_nothing(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    source = TicketKeyFile(file, door="api", monotonic=clock)
    server = door(source.keys)
    session = issue(server, CLIENT)
    with caplog.at_level(logging.ERROR, logger="dnsbound.context"):
        for damage in (lambda: write(file, "nonsense\n"), lambda: write(file, TWO, 0o644), file.unlink):
            damage()
            for _ in range(3):
                clock.now += 1
                source.refresh()
            assert resumes(server, CLIENT, session)
    assert len(caplog.records) == 3, "once for each state of the file"
    assert ONE not in caplog.text
    assert TWO not in caplog.text


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_a_file_that_others_may_read_is_refused(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(Misuse, match="chmod 600"):
        TicketKeyFile(file, door="api")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "0 ticket secrets"),
        ("# nothing but words\n", "0 ticket secrets"),
        ("\n".join(base64.b64encode(os.urandom(32)).decode() for _ in range(17)), "17 ticket secrets"),
        (f"{ONE}\n{ONE}\n", "twice"),
        (f"{ONE}\nnot base64!\n", "line 2 is not base64"),
        (base64.b64encode(bytes(31)).decode(), "31 octets"),
    ],
)
def test_a_file_that_holds_no_secrets(file: Path, text: str, words: str) -> None:
    write(file, text)
    with pytest.raises(Misuse, match=words) as caught:
        TicketKeyFile(file, door="api")
    assert ONE not in str(caught.value), "no secret is repeated in an error"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Misuse):
        TicketKeyFile(tmp_path / "missing", door="api")
