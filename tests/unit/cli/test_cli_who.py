"""`dnsbound who`: every board asked, one table or JSON, and a word for each that does not answer."""

import json
import socket
import threading

import pytest

from dnsbound.edge.door_board import DoorBoard
from dnsbound.edge.runtime_directory import runtime_directory
from unit.test_door_board import NAME, OTHER, admitted, authenticator, enter


@pytest.fixture
def boards():
    at = authenticator()
    with DoorBoard.open("gate", "mqtt") as gate, DoorBoard.open("authz") as authz:
        gate.watch(at)
        enter(at, source="192.0.2.1")
        authz.seen(admitted(at, OTHER)[0], source="nginx-api")
        yield gate, authz


def test_everybody_is_in_one_table(dnsbound, boards):
    ran = dnsbound("who")
    assert ran.code == 0
    header, first, second = ran.lines
    assert header.split() == ["name", "door", "kind", "from", "since", "until"]
    assert first.split()[:5] == [NAME, "api", "gate", "mqtt", "192.0.2.1"]
    assert second.split()[:5] == [OTHER, "api", "authz", "(request)", "nginx-api"]


def test_json_is_one_object_a_line_with_the_board(dnsbound, boards):
    ran = dnsbound("who", f"{NAME}.", "--json")
    [only] = map(json.loads, ran.lines)
    assert (ran.code, only["name"], only["kind"], only["label"], only["live"]) == (0, NAME, "gate", "mqtt", True)


@pytest.mark.parametrize("asked", [("x._device.elsewhere.example",), ("--door", "another"), ("*.x.example",)])
def test_nobody_is_an_answer(dnsbound, boards, asked):
    ran = dnsbound("who", *asked)
    assert (ran.code, ran.out, ran.err) == (1, "", "")


def test_no_board_is_told(dnsbound):
    ran = dnsbound("who")
    assert ran.code == 1
    assert "DNSBOUND_RUNTIME" in ran.err
    assert str(runtime_directory()) in ran.err


def test_what_is_no_name_is_wrong_use(dnsbound):
    assert dnsbound("who", "not a name").code == 2
    assert dnsbound("who", "a*b.example").code == 2


def test_more_than_people_read_is_counted(dnsbound, boards):
    ran = dnsbound("who", "--limit", "1")
    assert len(ran.lines) == 2
    assert "1 more" in ran.err


@pytest.mark.parametrize("option", [(), ("--json",)])
def test_a_board_that_does_not_answer_is_told_and_leaves_it_open(dnsbound, boards, option):
    with socket.socket(socket.AF_UNIX) as closed:
        closed.bind(str(runtime_directory() / "other-1-00000000.board"))
        closed.listen(8)
        boards[0].close()
        boards[1].close()
        closed.settimeout(20)

        def hang_up():
            for _ in range(2):  # whether anybody listens, and the question
                closed.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        ran = dnsbound("who", *option)
        thread.join(20)
    assert ran.code == 3
    assert "other-1-00000000.board" in ran.out + ran.err
