"""Door boards: who is in, by whatever way, and what is said on their sockets."""

import json
import os
import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbound import AccessList, Authenticator, ClientName, Malformed, Misuse
from dnsbound.credential.credential import Credential
from dnsbound.dns.answer import Outcome, Security
from dnsbound.edge.board_asking import ForgottenAt, Unasked, boards, forget_everywhere, who
from dnsbound.edge.board_lines import Board, Forgotten, Inside, NameFilter, Question, from_line, to_line
from dnsbound.edge.door_board import DoorBoard
from dnsbound.edge.runtime_directory import SYSTEM, address_of, runtime_directory
from dnsbound.edge.seen_clients import SeenClients
from dnsbound.limits import BOARD_LINE_OCTETS, BOARD_QUESTIONS, BOARD_ROWS
from dnsbound.verify.claim import Claim
from dnsbound.verify.peer import VerifiedPeer
from unit.claims import CREDENTIAL, DOOR, NAME, Records, answer, claim

CAR = ClientName.parse(NAME)
OTHER = "car55._device.cars.example"


def records(*names: str, **fields: Any) -> Records:
    facts = {"validated_at": time.time(), "earliest_expiry": None} | fields
    return Records(*(answer(name, CREDENTIAL.tlsa(), **facts) for name in names))


def authenticator(*names: str, **fields: Any) -> Authenticator:
    names = names or (NAME, OTHER)
    return Authenticator(AccessList.allowing(DOOR, names), records(*names, **fields), door=DOOR)


def admitted(at: Authenticator, name: str = NAME, **options: Any) -> tuple[VerifiedPeer, Claim]:
    made = claim(name, **options)
    return at.authenticate_blocking(made), made


class Connection:
    """A live session's handle."""

    def __init__(self) -> None:
        self.was_cut: object = None

    def renewed(self, peer: VerifiedPeer) -> None:
        pass

    def cut(self, reason: object) -> None:
        self.was_cut = reason


def enter(at: Authenticator, name: str = NAME, **options: Any) -> Connection:
    connection = Connection()
    peer, made = admitted(at, name, **options)
    at.sessions.register(peer, made, connection, now=at.now())
    return connection


@pytest.fixture
def board(tmp_path: Path) -> Iterator[DoorBoard]:
    with DoorBoard.open("test", "one", directory=tmp_path) as opened:
        yield opened


def inside(path: Path, **question: str) -> list[Inside]:
    return [line for line in who(path, **question) if isinstance(line, Inside)]


def test_live_sessions_and_admitted_requests_are_shown_with_their_facts(board: DoorBoard) -> None:
    at = authenticator()
    board.watch(at)
    enter(at, source="192.0.2.1")
    peer, _ = admitted(at, OTHER)
    board.seen(peer, source="nginx", protocol="TLSv1.3")
    first, live, request = who(board.path)
    assert isinstance(first, Board)
    assert (first.kind, first.label, first.pid, first.doors) == ("test", "one", os.getpid(), (DOOR,))
    assert isinstance(live, Inside)
    assert (live.name, live.door, live.source, live.is_live) == (CAR, DOOR, "192.0.2.1", True)
    assert live.since <= time.time() < live.until
    assert isinstance(request, Inside)
    assert (request.name.canonical, request.source, request.protocol, request.is_live) == (
        OTHER,
        "nginx",
        "TLSv1.3",
        False,
    )


def test_a_session_that_ended_is_not_in(board: DoorBoard) -> None:
    at = authenticator()
    board.watch(lambda: [at, at])
    enter(at)
    assert len(inside(board.path)) == 1  # though its authenticator is watched twice
    for session in at.sessions:
        at.sessions.remove(session)
    assert inside(board.path) == []


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        ({"name": NAME.upper()}, 1),
        ({"name": "*._device.cars.example"}, 2),
        ({"name": "**.cars.example"}, 2),
        ({"name": "*._device.bikes.example"}, 0),
        ({"door": DOOR}, 2),
        ({"door": "another"}, 0),
        ({"name": NAME, "door": DOOR}, 1),
    ],
)
def test_who_is_asked_for_by_name_pattern_and_door(board: DoorBoard, asked: dict[str, str], count: int) -> None:
    at = authenticator()
    board.watch(at)
    enter(at)
    enter(at, OTHER)
    assert len(inside(board.path, **asked)) == count


def test_a_request_counts_until_its_evidence_ends_and_is_renewed_by_the_next() -> None:
    moment = time.time()
    seen = SeenClients(clock=lambda: moment)
    at = authenticator(ttl=60.0)
    peer, _ = admitted(at)
    seen.add(peer, source="a", protocol="")
    [(number, first)] = seen.rows()
    moment += 30
    seen.add(peer, source="a", protocol="TLSv1.2")
    [(again, second)] = seen.rows()
    assert (again, second.since) == (number, first.since)
    assert second.protocol == "TLSv1.2"
    moment = peer.valid_until
    assert list(seen.rows()) == []
    seen.add(peer, source="a", protocol="")
    assert seen.doors() == {DOOR}


def test_requests_are_remembered_up_to_a_limit() -> None:
    seen = SeenClients(limit=3)
    peer, _ = admitted(authenticator())
    for number in range(5):
        seen.add(peer, source=f"{number}", protocol="")
    assert [row.source for _, row in seen.rows()] == ["2", "3", "4"]


def test_one_source_may_go_and_then_all(board: DoorBoard) -> None:
    peer, _ = admitted(authenticator())
    for source in ("a", "b", "c"):
        board.seen(peer, source=source)
    assert board.gone(CAR, source="b") == 1
    assert [row.source for row in inside(board.path)] == ["a", "c"]
    assert board.gone(CAR) == 2
    assert board.gone(CAR) == 0


def test_a_long_answer_comes_in_pages_and_nobody_is_missing_or_twice(board: DoorBoard) -> None:
    peer, _ = admitted(authenticator())
    count = 2 * BOARD_ROWS.default + 1
    for number in range(count):
        board.seen(peer, source=f"{number}")
    assert [row.source for row in inside(board.path)] == [f"{number}" for number in range(count)]


def test_forgetting_drops_cuts_and_says_what_the_dns_says_now(board: DoorBoard, tmp_path: Path) -> None:
    at = authenticator()
    board.watch(at)
    told: list[ClientName] = []

    def removed(name: ClientName) -> int:
        told.append(name)
        return 2

    board.when_forgotten(removed)
    gone, stays = enter(at), enter(at, OTHER)
    peer, _ = admitted(at)
    board.seen(peer)
    at._resolver.answers[answer(NAME).name] = answer(NAME, validated_at=time.time())  # type: ignore[attr-defined]
    [found] = forget_everywhere(CAR, directory=tmp_path)
    assert isinstance(found, ForgottenAt)
    door, files = found.doors
    assert door == Forgotten(door=DOOR, permitted=True, dropped=1, cut=1, state="secure nodata")
    assert files == Forgotten(door="", dropped=2)
    assert gone.was_cut is not None
    assert stays.was_cut is None
    assert told == [CAR]
    assert [row.name.canonical for row in inside(board.path)] == [OTHER]


def test_who_may_stay_is_renewed_and_the_record_is_told(board: DoorBoard, tmp_path: Path) -> None:
    at = authenticator()
    board.watch(at)
    connection = enter(at)
    [found] = forget_everywhere(CAR, directory=tmp_path)
    assert isinstance(found, ForgottenAt)
    [door] = found.doors
    assert (door.cut, door.renewed, door.state) == (0, 1, "secure records")
    assert door.records == (CREDENTIAL.tlsa().to_text(),)
    assert connection.was_cut is None


def test_what_cannot_be_found_out_keeps_and_says_so(board: DoorBoard, tmp_path: Path) -> None:
    at = authenticator()
    board.watch(at)
    connection = enter(at)
    failed = answer(NAME, outcome=Outcome.FAILED, security=Security.INDETERMINATE, validated_at=time.time())
    at._resolver.answers[failed.name] = failed  # type: ignore[attr-defined]
    [found] = forget_everywhere(CAR, directory=tmp_path)
    assert isinstance(found, ForgottenAt)
    assert (found.doors[0].kept, found.doors[0].cut, found.doors[0].state) == (1, 0, "indeterminate failed")
    assert connection.was_cut is None


def test_bd_02_a_name_that_is_not_permitted_causes_no_query(board: DoorBoard, tmp_path: Path) -> None:
    at = authenticator()
    board.watch(at)
    [found] = forget_everywhere(ClientName.parse("x._device.elsewhere.example"), directory=tmp_path)
    assert isinstance(found, ForgottenAt)
    assert found.doors == (Forgotten(door=DOOR, permitted=False),)
    assert at._resolver.asked == []  # type: ignore[attr-defined]


# --- the socket


def test_bd_01_the_socket_is_for_its_owner_alone_and_goes_with_its_board(tmp_path: Path) -> None:
    board = DoorBoard.open("test", directory=tmp_path / "made")
    mode = board.path.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600
    assert boards(tmp_path / "made") == [board.path]
    board.close()
    board.close()
    assert boards(tmp_path / "made") == []
    assert list((tmp_path / "made").iterdir()) == []


def test_sockets_of_processes_that_are_no_more_are_taken_away(tmp_path: Path) -> None:
    left = tmp_path / "test-1-00000000.board"
    with socket.socket(socket.AF_UNIX) as dead, address_of(left) as address:
        dead.bind(address)
    assert left.exists()
    with DoorBoard.open("test", directory=tmp_path) as board:
        assert boards(tmp_path) == [board.path]


def test_a_directory_may_have_a_long_path(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 60) / ("y" * 60)
    with DoorBoard.open("test", directory=deep) as board:
        assert len(os.fsencode(board.path)) > 107
        [answered] = who(board.path)
        assert isinstance(answered, Board)


@pytest.mark.parametrize(
    ("kind", "label"), [("", ""), ("Big", ""), ("a/b", ""), ("a", "line\nbreak"), ("a", "x" * 129)]
)
def test_a_kind_and_a_label_are_words(tmp_path: Path, kind: str, label: str) -> None:
    with pytest.raises(Misuse):
        DoorBoard.open(kind, label, directory=tmp_path)


def test_a_directory_that_cannot_be_is_misuse_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Misuse) as caught:
        DoorBoard.open("test", directory=tmp_path / "file" / "below")
    assert "\n" not in str(caught.value)


def test_the_runtime_directory_is_the_named_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DNSBOUND_RUNTIME", str(tmp_path))
    assert runtime_directory() == tmp_path
    monkeypatch.setenv("DNSBOUND_RUNTIME", "relative")
    with pytest.raises(Misuse):
        runtime_directory()
    monkeypatch.delenv("DNSBOUND_RUNTIME")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert runtime_directory() == SYSTEM
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    assert runtime_directory() == Path("/run/user/1000/dnsbound")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "relative")
    assert runtime_directory() == SYSTEM


def said(path: Path, octets: bytes) -> list[dict[str, Any]]:
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(20)
        with address_of(path) as address:
            asking.connect(address)
        asking.sendall(octets)
        asking.shutdown(socket.SHUT_WR)
        with asking.makefile("rb") as answered:
            return [json.loads(line) for line in answered]


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\n",
        b"[]\n",
        b"\xff\n",
        b"[" * 10_000 + b"\n",
        b'{"board":2,"ask":"who"}\n',
        b'{"board":1,"ask":"who","after":"1"}\n',
        b'{"board":1,"ask":"who","after":true}\n',
        b'{"board":1,"ask":"who","name":"a b"}\n',
        b'{"board":1,"ask":"who","name":5}\n',
        b'{"board":1,"ask":"shutdown"}\n',
        b'{"board":1,"ask":"forget"}\n',
        b'{"board":1,"ask":"forget","name":"*._device.cars.example"}\n',
        b'{"board":1,"ask":"who","name":"' + b"x" * BOARD_LINE_OCTETS.default + b'"}\n',
    ],
)
def test_questions_that_are_none_get_one_line_that_says_why(board: DoorBoard, octets: bytes) -> None:
    [only] = said(board.path, octets)
    assert set(only) == {"error"}
    assert len(inside(board.path)) == 0  # it goes on


def test_who_asks_slowly_or_too_often_keeps_nobody_from_an_answer_for_good(board: DoorBoard) -> None:
    idle = []
    for _ in range(BOARD_QUESTIONS.default):
        asking = socket.socket(socket.AF_UNIX)
        with address_of(board.path) as address:
            asking.connect(address)
        idle.append(asking)
    refused = False
    ends_at = time.monotonic() + 20
    while time.monotonic() < ends_at and not refused:
        refused = isinstance(next(who(board.path)), Unasked)
    assert refused
    for asking in idle:
        asking.close()
    answered = next(who(board.path))
    while time.monotonic() < ends_at and isinstance(answered, Unasked):
        answered = next(who(board.path))
    assert isinstance(answered, Board)


def pretending(path: Path, octets: bytes) -> threading.Thread:
    """A board that answers one question with these."""
    listening = socket.socket(socket.AF_UNIX)
    with address_of(path) as address:
        listening.bind(address)
    listening.listen(1)
    listening.settimeout(20)

    def answer_once() -> None:
        with listening:
            asking, _ = listening.accept()
            with asking:
                asking.settimeout(20)
                asking.recv(4096)
                asking.sendall(octets)

    thread = threading.Thread(target=answer_once)
    thread.start()
    return thread


FIRST = to_line(Board(kind="x", label="", pid=1, started=0.0).to_json())
ROW = Inside(name=CAR, door="api", since=0.0, until=1.0)


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"nonsense\n",
        b'{"error":"no"}\n',
        FIRST,
        FIRST + b'{"name":"x"}\n{"end":"who"}\n',
        FIRST + to_line(ROW.to_json() | {"name": "*.x"}) + b'{"end":"who"}\n',
        FIRST + to_line(ROW.to_json() | {"since": "yesterday"}) + b'{"end":"who"}\n',
        FIRST + b'{"end":"who","next":"a"}\n',
        FIRST + b'{"end":"who","next":0}\n',
        FIRST + to_line(ROW.to_json()) * (BOARD_ROWS.default + 1) + b'{"end":"who"}\n',
        FIRST + b" " * (BOARD_LINE_OCTETS.default + 1),
    ],
)
def test_bd_05_an_answer_that_is_not_whole_is_told_and_not_believed(tmp_path: Path, octets: bytes) -> None:
    path = tmp_path / "x.board"
    thread = pretending(path, octets)
    [only] = who(path)
    thread.join(20)
    assert isinstance(only, Unasked)
    assert only.path == path


def test_nobody_there_is_told(tmp_path: Path) -> None:
    [only] = who(tmp_path / "none.board")
    assert isinstance(only, Unasked)
    assert boards(tmp_path / "none") == []


# --- values


@given(st.binary(max_size=200))
def test_any_line_is_a_question_or_malformed(octets: bytes) -> None:
    try:
        question = Question.from_line(octets)
    except Malformed:
        return
    assert Question.from_line(question.to_line().rstrip()) == question


@given(
    st.dictionaries(st.sampled_from(["name", "door", "since", "until", "live", "records", "state", "pid"]), st.text())
)
def test_any_object_is_a_value_or_malformed(value: dict[str, Any]) -> None:
    for kind in (Inside, Forgotten, Board):
        with pytest.raises(Malformed):
            kind.from_json(value)


@pytest.mark.parametrize(
    "value",
    [
        ROW,
        Forgotten(door="api", permitted=True, cut=3, records=("3 1 1 00",), state="secure records"),
        Forgotten(door="", dropped=1),
        Board(kind="gate", label="mqtt", pid=7, started=1.0, doors=("a", "b")),
    ],
)
def test_values_survive_the_line(value: Any) -> None:
    assert type(value).from_json(from_line(to_line(value.to_json()).rstrip())) == value


def test_a_filter_takes_labels_with_underscores_too() -> None:
    assert NameFilter("**.cars.example").takes(CAR)
    assert NameFilter().takes(CAR)
    with pytest.raises(Malformed):
        NameFilter("a*b.example")


def test_another_key_is_not_what_a_name_is_known_by() -> None:
    """A board shows names that were verified; whoever fails is on no board."""
    at = authenticator()
    impostor = Credential.generate(NAME, now=time.time())
    with pytest.raises(Exception, match="tlsa-mismatch"):
        admitted(at, presented=impostor.presented)
    assert len(at.sessions) == 0
