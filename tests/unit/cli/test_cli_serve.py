"""`dnsbound serve demo-api` as a process, with curl as the client."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

PROGRAM = [sys.executable, "-c", "from dnsbound.cli import main; main()"]


@contextlib.contextmanager
def served(*arguments):
    """The API at a free port; its address. Ends it by SIGINT and expects a clean end."""
    process = subprocess.Popen(
        [*PROGRAM, "serve", "demo-api", "--port", "0", "--ca-out", "ca.pem", "--json", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    decisions = []
    try:
        line = process.stdout.readline()
        assert line, process.communicate(timeout=30)[1]
        yield json.loads(line)["url"], decisions
    finally:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    decisions += [json.loads(line) for line in errors.splitlines()]


def curl(url, *arguments):
    return subprocess.run(
        [shutil.which("curl"), "-sS", "--max-time", "20", "--cacert", "ca.pem", *arguments, url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": os.environ["PATH"]},
    )


@pytest.fixture
def devices(in_world, tmp_path):
    cars = in_world.organisation("cars.example")
    made = {}
    for label in ("car54", "car55"):
        device = cars.device(f"{label}-api", ttl=60)
        path = tmp_path / f"{label}.pem"
        path.write_bytes(device.credential.to_pem())
        made[label] = (device.name.text, path)
    return made


@pytest.mark.peer("curl")
def test_callers_are_known_by_name(devices):
    name, path = devices["car54"]
    with served("--allow", name) as (url, decisions):
        greeted = curl(url, "--cert", path)
        assert greeted.returncode == 0, greeted.stderr
        assert json.loads(greeted.stdout)["name"] == name
        for refused in (curl(url), curl(url, "--cert", devices["car55"][1])):
            assert refused.returncode != 0
            assert refused.stdout == ""
    assert [decision["verdict"] for decision in decisions] == ["admitted", "refused", "refused"]
    assert [decision.get("reason") for decision in decisions] == [None, "no-credential", "not-permitted"]


@pytest.mark.peer("curl")
def test_an_access_list_with_grants_and_its_reload(devices, tmp_path):
    name, path = devices["car54"]
    access = tmp_path / "access.toml"
    access.write_text(f'[door.gate]\nallow = [{{ names = ["{name}"], grants = {{ vlan = 12 }} }}]\n')
    with served("--access", access, "--door", "gate") as (url, _):
        facts = json.loads(curl(url, "--cert", path).stdout)
        assert (facts["door"], facts["grants"]) == ("gate", {"vlan": 12})


@pytest.mark.peer("curl")
def test_optional_lets_the_nameless_in_as_nobody(devices):
    with served("--allow", devices["car54"][0], "--optional") as (url, _):
        assert json.loads(curl(url).stdout) == {"name": None}
        assert json.loads(curl(url, "--cert", devices["car54"][1]).stdout) == {"name": None}, "curl does not signal"


@pytest.mark.peer("curl")
def test_ask_always_asks_clients_that_do_not_signal(devices):
    name, path = devices["car54"]
    with served("--allow", name, "--optional", "--ask-always") as (url, _):
        assert json.loads(curl(url).stdout) == {"name": None}
        assert json.loads(curl(url, "--cert", path).stdout)["name"] == name
        assert curl(url, "--cert", devices["car55"][1]).returncode != 0


@pytest.mark.peer("curl")
def test_a_profile_lets_tls_1_2_in_and_says_so(devices):
    name, path = devices["car54"]
    with served("--allow", name, "--profile", "ca13", "--profile", "cid07") as (url, decisions):
        assert json.loads(curl(url, "--tls-max", "1.2", "--cert", path).stdout)["name"] == name
        assert json.loads(curl(url, "--cert", path).stdout)["name"] == name
    assert [decision["protocol"] for decision in decisions] == ["TLSv1.2", "TLSv1.3"]
    with served("--allow", name) as (url, decisions):
        assert curl(url, "--tls-max", "1.2", "--cert", path).returncode == 35
    assert decisions == []


def test_a_port_that_is_taken(dnsbound):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = dnsbound("serve", "demo-api", "--allow", "a.cars.example", "--port", port, "--resolver", "127.0.0.1:1")
    assert ran.code == 3
    [line] = ran.err.splitlines()
    assert "in use" in line
