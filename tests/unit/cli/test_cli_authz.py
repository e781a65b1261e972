"""`dnsbound serve authz`: its checks, and the command as a process that is asked, reads again and ends in order."""

import contextlib
import getpass
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from machines.authz_fronts import DOOR, NAME, escaped

PROGRAM = (sys.executable, "-c", "from dnsbound.cli import main; main()")
SECONDS = 20.0

AUTHZ = f"""
[server]
access = "access.toml"
decisions = "decisions.jsonl"

[front.nginx]
protocol = "http"
listen = "unix:{{directory}}/nginx.sock"
users = ["{getpass.getuser()}"]
door = "{DOOR}"

[front.caddy]
protocol = "http"
listen = "127.0.0.1:0"
secret_file = "caddy.secret"
door = "{DOOR}"
"""
SECRET = "0123456789abcdef" * 2


@pytest.fixture
def configured(in_world, tmp_path):
    (tmp_path / "access.toml").write_text(f'[door."{DOOR}"]\nallow = ["{NAME}"]\n[door.empty]\n')
    (tmp_path / "caddy.secret").touch(mode=0o600)
    (tmp_path / "caddy.secret").write_text(SECRET)
    path = tmp_path / "authz.toml"
    path.write_text(AUTHZ.format(directory=tmp_path))
    return path


def changed(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def checked(dnsbound, path):
    ran = dnsbound("serve", "authz", "--config", path, "--check", "--json")
    return ran, {check["check"]: check["level"] for check in json.loads(ran.out)["checks"]}


def test_what_is_complete_is_found_so_and_nothing_is_left_behind(dnsbound, configured):
    ran, found = checked(dnsbound, configured)
    assert (ran.code, json.loads(ran.out)["outcome"]) == (0, "yes")
    assert (found["configuration"], found["front nginx"], found["decision log"]) == ("ok", "ok", "ok")
    assert {path.name for path in configured.parent.iterdir()} >= {"authz.toml", "access.toml"}
    assert not (configured.parent / "nginx.sock").exists()
    assert not (configured.parent / "decisions.jsonl").exists()


@pytest.mark.parametrize(
    ("old", "new", "check"),
    [
        ("[front.caddy]", "[fronts.caddy]", "configuration"),
        (f'door = "{DOOR}"', 'door = "nowhere"', "front nginx"),
        ('decisions = "', 'decisions = "none/', "decision log"),
        ("unix:", "unix:/nowhere", None),
    ],
)
def test_each_thing_that_is_missing_is_a_no(dnsbound, configured, old, new, check):
    changed(configured, old, new)
    ran, found = checked(dnsbound, configured)
    assert ran.code == 1
    failed = {name for name, level in found.items() if level == "fail"}
    assert check in failed if check else any(name.startswith("front nginx at") for name in failed)


def test_a_door_without_entries_lets_nobody_in_and_is_warned_of(dnsbound, configured):
    changed(configured, f'door = "{DOOR}"', 'door = "empty"')
    ran, found = checked(dnsbound, configured)
    assert (ran.code, found["front nginx"]) == (0, "warn")


@pytest.mark.parametrize(("door", "code", "level"), [(DOOR, 0, "ok"), ("empty", 0, "warn"), ("nowhere", 1, "fail")])
def test_the_doors_of_materialisers_are_looked_at_too(dnsbound, configured, door, code, level):
    table = f'[materialise.broker]\ndoor = "{door}"\nform = "by-name"\npath = "{configured.parent}/broker"\n'
    configured.write_text(f"{configured.read_text()}\n{table}")
    ran, found = checked(dnsbound, configured)
    assert (ran.code, found["materialise broker"]) == (code, level)


def test_grants_that_no_field_can_hold_are_found(dnsbound, configured):
    grants = f'{{ names = ["{NAME}"], grants = {{ note = "{"x" * 9000}" }} }}'
    (configured.parent / "access.toml").write_text(f'[door."{DOOR}"]\nallow = [{grants}]\n')
    ran, found = checked(dnsbound, configured)
    assert ran.code == 1
    assert found["front nginx"] == "fail"


def test_a_running_service_is_no_fault(dnsbound, configured):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as served:
        served.bind(str(configured.parent / "nginx.sock"))
        served.listen()
        ran, _ = checked(dnsbound, configured)
    assert ran.code == 0


def test_a_port_in_use_is_a_warning_for_it_may_be_the_services_own(dnsbound, configured):
    with socket.create_server(("127.0.0.1", 0)) as served:
        changed(configured, "127.0.0.1:0", f"127.0.0.1:{served.getsockname()[1]}")
        ran, found = checked(dnsbound, configured)
    [level] = [level for check, level in found.items() if check.startswith("front caddy at")]
    assert (ran.code, level) == (0, "warn")


class OverUnix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("verifier", timeout=SECONDS)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(SECONDS)
        self.sock.connect(self._path)


def asked(place, leaf, target="/auth"):
    if place.startswith("unix:"):
        connection = OverUnix(place.removeprefix("unix:"))
    else:
        connection = http.client.HTTPConnection(place, timeout=SECONDS)
    try:
        connection.request("GET", target, headers={"X-Client-Cert": escaped(leaf), "X-Real-IP": "192.0.2.7"})
        response = connection.getresponse()
        response.read()
        return response.status, response.headers["Dnsbound-Name"]
    finally:
        connection.close()


def workers_of(pid):
    """Processes that this one started; none where it works itself."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            number, _, rest = stat.read_text().partition(" (")
            if int(rest.rpartition(")")[2].split()[1]) == pid:
                found.append(int(number))
    return found


@pytest.mark.parametrize("workers", [1, 2])
def test_the_command_is_asked_reads_again_at_sighup_and_ends_at_sigterm(internet, dnsbound, configured, workers):
    changed(configured, "[server]", f"[server]\nworkers = {workers}")
    leaf = internet.organisation("cars.example").device("car54").credential.chain[0]
    metrics = configured.parent / "authz.prom"
    process = subprocess.Popen(
        [*PROGRAM, "serve", "authz", "--config", configured, "--metrics", metrics, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        places = json.loads(process.stdout.readline())["fronts"]
        assert asked(places["nginx"], leaf) == (200, NAME)
        assert asked(places["caddy"], leaf, f"/s/{SECRET}/auth") == (200, NAME)
        assert asked(places["caddy"], leaf) == (403, None)
        inside = json.loads(dnsbound("who", "--json").out.splitlines()[0])
        assert NAME in json.dumps(inside)
        changed(configured, f'door = "{DOOR}"', 'door = "empty"')
        process.send_signal(signal.SIGHUP)
        for _ in range(workers):
            assert any("fronts in force" in line for line in process.stderr)
        assert asked(places["nginx"], leaf) == (403, None)
        for pid in workers_of(process.pid):
            os.kill(pid, signal.SIGKILL)
            assert any("fronts in force" in line for line in process.stderr), "a successor begins with what is in force"
        assert asked(places["nginx"], leaf) == (403, None)
        changed(configured, "[front.caddy]", "[fronts.caddy]")
        process.send_signal(signal.SIGHUP)
        for _ in range(workers):
            assert any("stays in force" in line for line in process.stderr)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, said
    finally:
        process.kill()
        process.communicate()
    assert not (configured.parent / "nginx.sock").exists()
    lines = [json.loads(line) for line in (configured.parent / "decisions.jsonl").read_text().splitlines()]
    assert {line["verdict"] for line in lines} == {"admitted", "refused"}
    assert "dnsbound_authz_worker_starts" in metrics.read_text()


@pytest.mark.parametrize("text", ["[server]\n", None])
def test_a_configuration_that_cannot_be_used_ends_it_with_one_line(program, tmp_path, text):
    if text is not None:
        (tmp_path / "authz.toml").write_text(text)
    ran = program("serve", "authz", "--config", tmp_path / "authz.toml")
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)


def test_a_door_that_is_not_there_ends_it_before_any_socket_is_made(program, configured):
    changed(configured, f'door = "{DOOR}"', 'door = "nowhere"')
    ran = program("serve", "authz", "--config", configured, env={**os.environ})
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert not (configured.parent / "nginx.sock").exists()


def test_help_names_the_tables_in_their_brackets(dnsbound):
    assert "[materialise]" in dnsbound("serve", "authz", "--help").out
