"""`dnsbound gate server --check`: a line for each thing that is missing, and nobody reaches back ends but by gates."""

import contextlib
import json
import os
import socket
import tempfile
import threading
from pathlib import Path

import pytest

from machines.gates import gate_toml, write_files


@contextlib.contextmanager
def listening(place, *, host="127.0.0.1"):
    """Something that accepts connections; its target."""
    if isinstance(place, os.PathLike):
        there = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        there.bind(str(place))
        there.listen()
        target = f"unix:{place}"
    else:
        there = socket.create_server((host, 0))
        target = f"127.0.0.1:{there.getsockname()[1]}"
    ended = threading.Event()

    def accept():
        while not ended.is_set():
            with contextlib.suppress(TimeoutError):
                there.accept()[0].close()

    there.settimeout(0.1)
    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield target
    finally:
        ended.set()
        accepting.join()
        there.close()


@pytest.fixture
def private(tmp_path):
    """A directory that its owner alone enters, as one of a service's socket should be."""
    place = tmp_path / "private"
    place.mkdir(mode=0o700)
    return place


def levels(ran):
    return {(one["check"], one["level"]): one["found"] for one in json.loads(ran.out)["checks"]}


def checked(dnsbound, world, directory, target, options="", **files):
    path = write_files(world, directory, toml=gate_toml(target, options), **files)
    return dnsbound("gate", "server", "--config", path, "--check", "--json")


BACK_END = "gate one: back end"


def test_gw_29_all_is_well(dnsbound, in_world, tmp_path, private):
    with listening(private / "back") as target:
        ran = checked(dnsbound, in_world, tmp_path, target)
    found = levels(ran)
    assert not [key for key in found if key[1] == "fail"]
    assert ran.code == 0
    assert found[BACK_END, "ok"] == "not every user may connect to its socket"


def test_gw_29_a_socket_that_everybody_reaches(dnsbound, in_world, tmp_path):
    with tempfile.TemporaryDirectory() as public:
        Path(public).chmod(0o755)
        with listening(Path(public) / "back") as target:
            (Path(public) / "back").chmod(0o777)
            ran = checked(dnsbound, in_world, tmp_path, target)
            assert levels(ran)[BACK_END, "fail"] == "every user of this machine may connect"
            (Path(public) / "back").chmod(0o660)
            Path(public).chmod(0o777)
            ran = checked(dnsbound, in_world, tmp_path, target)
            assert levels(ran)[BACK_END, "fail"].startswith("everybody may replace")
    assert ran.code == 1


def test_gw_29_a_back_end_that_listens_on_the_network(dnsbound, in_world, tmp_path):
    with listening(None, host="") as target:
        ran = checked(dnsbound, in_world, tmp_path, target)
    assert ran.code == 1
    assert "0.0.0.0 as well" in levels(ran)[BACK_END, "fail"]


def test_gw_29_a_back_end_on_loopback(dnsbound, in_world, tmp_path):
    with listening(None) as target:
        ran = checked(dnsbound, in_world, tmp_path, target)
    assert ran.code == 0
    assert levels(ran)[BACK_END, "ok"].startswith("bound to loopback addresses alone")


def test_gw_29_nothing_behind_the_gate(dnsbound, in_world, tmp_path):
    ran = checked(dnsbound, in_world, tmp_path, f"unix:{tmp_path}/nobody")
    assert ran.code == 1
    assert (BACK_END, "fail") in levels(ran)


def test_gw_29_a_door_that_the_access_list_does_not_have(dnsbound, in_world, tmp_path, private):
    with listening(private / "back") as target:
        ran = checked(dnsbound, in_world, tmp_path, target, door="another")
    assert ran.code == 1
    assert ("access list", "fail") in levels(ran)


def test_gw_29_a_port_that_is_taken(dnsbound, in_world, tmp_path, private):
    with listening(private / "back") as target, socket.create_server(("127.0.0.1", 0)) as taken:
        path = write_files(in_world, tmp_path, toml=gate_toml(target))
        path.write_text(path.read_text().replace("127.0.0.1:0", f"127.0.0.1:{taken.getsockname()[1]}"))
        ran = dnsbound("gate", "server", "--config", path, "--check", "--json")
    assert ran.code == 1


def test_gw_29_a_credential_that_others_may_read(dnsbound, in_world, tmp_path, private):
    with listening(private / "back") as target:
        path = write_files(in_world, tmp_path, toml=gate_toml(target))
        (tmp_path / "server.pem").chmod(0o644)
        ran = dnsbound("gate", "server", "--config", path, "--check", "--json")
    assert ran.code == 1
    assert ("gate one: certificate", "fail") in levels(ran)


def test_gw_29_a_file_with_an_error_is_one_line(dnsbound, in_world, tmp_path):
    ran = checked(dnsbound, in_world, tmp_path, "unix:/x", "nonsense = 1")
    assert (ran.code, len(levels(ran))) == (1, 1)


def test_options_that_do_not_go_together_are_wrong_use(dnsbound):
    ran = dnsbound("gate", "server", "--listen", "127.0.0.1:0")
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)
