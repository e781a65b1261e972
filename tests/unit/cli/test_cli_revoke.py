"""`dnsbound revoke`: the records go, the servers are told, doors of this machine close, and what failed is told."""

import json
import socket
import time
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest

from dnsbound import ClientName
from dnsbound.cli.closing_doors import close_doors, why_open
from dnsbound.edge.board_lines import Forgotten
from dnsbound.edge.door_board import DoorBoard
from dnsbound.edge.runtime_directory import runtime_directory
from dnsbound.provision.publication import BLOCK_DATA
from unit.claims import NAME, Records, answer
from unit.test_door_board import OTHER, authenticator, enter

RECORD = "3 1 1 " + "ab" * 32


@pytest.fixture
def cars(dnsbound):
    assert dnsbound("zone", "create", "cars.example", "--ttl", "60").code == 0
    assert dnsbound("id", "new", NAME, "--out", "keys").code == 0
    return dnsbound


@pytest.fixture
def door():
    at = authenticator()
    with DoorBoard.open("gate", "mqtt") as board:
        board.watch(at)
        yield at


def says(at, *records):
    resolver = at._resolver
    assert isinstance(resolver, Records)
    resolver.answers[answer(NAME).name] = answer(NAME, *records, validated_at=time.time(), earliest_expiry=None)


def test_every_door_closes_and_the_live_session_is_cut(cars, door):
    inside, other = enter(door), enter(door, OTHER)
    says(door)
    ran = cars("revoke", NAME, "--yes", "--reason", "stolen")
    assert ran.code == 0, ran.err
    assert ran.lines[0] == f"{NAME}  revoked"
    assert ran.lines[1].startswith("door api (gate mqtt)  closed after ")
    assert ran.lines[1].endswith(", 1 cut")
    assert "up to 60 seconds" in ran.err
    assert inside.was_cut is not None
    assert other.was_cut is None


def test_json_is_one_object_that_says_all(cars, door):
    enter(door)
    says(door)
    ran = cars("revoke", NAME, "--yes", "--json")
    told = json.loads(ran.out)
    assert (ran.code, told["name"], told["state"], told["published"]) == (
        0,
        NAME,
        "revoked",
        {"to": "embedded", "done": True, "lines": []},
    )
    [closed] = told["doors"]
    assert (closed["door"], closed["kind"], closed["label"], closed["closed"], closed["cut"]) == (
        "api",
        "gate",
        "mqtt",
        True,
        1,
    )
    assert (told["unasked"], told["elsewhere_seconds"]) == ([], 60)


def test_a_door_that_still_hears_of_the_record_is_told_and_is_no_success(cars, door):
    inside = enter(door)
    ran = cars("revoke", NAME, "--yes", "--wait", "0")
    assert ran.code == 3
    assert "not closed: the resolver that it asks still tells the record" in ran.lines[1]
    assert inside.was_cut is None


def test_a_board_that_does_not_answer_is_told_and_is_no_success(cars):
    runtime_directory().mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(runtime_directory() / "odd-1-00000000.board"))
        silent.listen(8)

        def hang_up():
            with suppress(OSError):  # until it is shut down
                while True:
                    silent.accept()[0].close()

        thread = Thread(target=hang_up)
        thread.start()
        ran = cars("revoke", NAME, "--yes", "--wait", "0")
        silent.shutdown(socket.SHUT_RDWR)
        thread.join(20)
    assert ran.code == 3
    assert "odd-1-00000000.board did not answer" in ran.err


def test_alone_the_inventory_is_changed_and_nobody_is_told(cars, door):
    inside = enter(door)
    ran = cars("revoke", NAME, "--yes", "--no-publish")
    assert (ran.code, ran.lines) == (0, [f"{NAME}  revoked"])
    assert inside.was_cut is None


def test_a_zone_that_nobody_publishes_is_no_success(dnsbound):
    assert dnsbound("id", "new", NAME, "--out", "keys").code == 0
    ran = dnsbound("revoke", NAME, "--yes")
    assert ran.code == 3
    assert "No zone of this inventory holds the name" in ran.err


def test_a_server_that_is_away_leaves_it_open_and_the_inventory_changed(dnsbound, closed_port):
    assert dnsbound("id", "new", NAME, "--out", "keys").code == 0
    key = Path("tsig.key")
    key.write_text("hmac-sha256:upd:" + "a" * 44)
    key.chmod(0o600)
    targets = Path("targets.toml")
    targets.write_text(
        f'[publish."cars.example"]\nto = "rfc2136"\nserver = "127.0.0.1:{closed_port}"\n'
        f'key_file = "{key.absolute()}"\nseconds = 1\n'
    )
    assert dnsbound("publish", "--targets", targets).code == 3  # it may have come through
    ran = dnsbound("revoke", NAME, "--yes", "--targets", targets, "--wait", "1", "--json")
    told = json.loads(ran.out)
    assert (ran.code, told["state"], told["published"]["done"]) == (3, "revoked", False)
    assert f"127.0.0.1:{closed_port}" in " ".join(told["published"]["lines"])


def test_a_foreign_name_is_shut_out_by_the_access_list(cars):
    ran = cars("revoke", "x._device.elsewhere.example", "--yes")
    assert ran.code == 1
    assert "dnsbound access add x._device.elsewhere.example --deny" in ran.err


def test_id_revoke_is_no_more(dnsbound):
    assert dnsbound("id", "revoke", NAME).code == 2


# --- when a door is closed


@pytest.mark.parametrize(
    "found",
    [
        Forgotten(door="api", permitted=True, state="secure nodata"),
        Forgotten(door="api", permitted=True, state="secure nxdomain", cut=4),
        Forgotten(door="api", permitted=True, state="secure records", records=(BLOCK_DATA,)),
        Forgotten(door="api", permitted=True, state="insecure records", records=(RECORD,)),
        Forgotten(door="api", permitted=False),
        Forgotten(door="", dropped=3),
        Forgotten(door="offline", permitted=True),
    ],
)
def test_it_is_closed_when_nobody_may_come_in_or_is_in(found):
    assert why_open(found) == ""


@pytest.mark.parametrize(
    "found",
    [
        Forgotten(door="api", permitted=True, state="secure records", records=(RECORD,)),
        Forgotten(door="api", permitted=True, state="secure records", records=(BLOCK_DATA, RECORD)),
        Forgotten(door="api", permitted=True, state="secure records", records=("nonsense",)),
        Forgotten(door="api", permitted=True, state="indeterminate failed"),
        Forgotten(door="api", permitted=True, state="bogus nodata"),
        Forgotten(door="api", permitted=True, state="secure nodata", renewed=1),
        Forgotten(door="api", permitted=True, state="secure nodata", kept=1),
        Forgotten(door="offline", permitted=True, carried=1),
    ],
)
def test_bd_08_a_door_is_open_while_anybody_may_or_nobody_can_say(found):
    assert why_open(found) != ""


def test_doors_are_asked_until_the_caches_on_the_way_have_forgotten(door):
    """The record is told by a resolver's cache twice; then it has run out."""
    inside = enter(door)
    looks = []

    def sleep(_seconds):
        looks.append(door.sessions and len(door.sessions))
        if len(looks) == 2:
            says(door)

    closing = close_doors([ClientName.parse(NAME)], changed_at=time.monotonic(), wait=60, sleep=sleep)
    [closed] = closing.doors
    assert (closing.is_complete, closed.is_closed, closed.cut, len(looks)) == (True, True, 1, 2)
    assert inside.was_cut is not None
