"""`dnsbound lab` as people run it: a process, its files, the lines it takes, and how it ends."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest

from dnsbound.cli.lab_console import ACTIONS, LabConsole
from dnsbound.edge.credential_files import load_credential
from dnsbound.testing import World
from dnsbound.testing.peer_configuration import commands

CAR = "car54._device.cars.example"


@contextmanager
def running_lab(*options: str) -> Iterator[tuple["subprocess.Popen[str]", dict[str, Any]]]:
    process = subprocess.Popen(
        [sys.executable, "-c", "from dnsbound.cli import main; main()", "lab", "--json", *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        yield process, json.loads(line)
    finally:
        process.kill()
        process.communicate(timeout=10)


def ask(where: str, name: str = CAR) -> dns.message.Message:
    host, _, port = where.partition(":")
    return dns.query.udp(dns.message.make_query(name, "TLSA", want_dnssec=True), host, port=int(port), timeout=5)


def told(process: "subprocess.Popen[str]", line: str) -> str:
    process.stdin.write(line + "\n")
    process.stdin.flush()
    return process.stdout.readline()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_runs_until_it_is_told_to_end_and_leaves_nothing(number: signal.Signals) -> None:
    with running_lab() as (process, facts):
        assert facts["name"] == CAR
        directory = Path(facts["directory"])
        for key in ("anchors", "web_root", "delv", "unbound", "credential"):
            assert Path(facts[key]).parent == directory
            assert Path(facts[key]).read_bytes()
        assert stat.S_IMODE(Path(facts["credential"]).stat().st_mode) == 0o600
        record = load_credential(facts["credential"]).tlsa()
        response = ask(facts["resolver"])
        assert response.flags & dns.flags.AD
        assert record.to_text() in response.answer[0].to_text()
        assert ask(facts["authority"]).flags & dns.flags.AA
        process.send_signal(number)
        assert process.wait(10) == 0
        assert not directory.exists()


def test_lines_change_the_world_while_it_runs() -> None:
    with running_lab() as (process, facts):
        assert len(ask(facts["resolver"]).answer) == 2
        assert "is revoked" in told(process, "revoke car54")
        assert ask(facts["resolver"]).answer == []
        assert "is published" in told(process, "publish car54")
        assert "is bogus" in told(process, f"fault {CAR} bogus")
        assert ask(facts["resolver"]).rcode() == dns.rcode.SERVFAIL
        assert told(process, "heal") == "healed\n"
        assert "hire.test" in told(process, "device car1 hire.test")
        assert len(ask(facts["resolver"], "car1._device.hire.test").answer) == 2
        assert "is expired" in told(process, "fault hire.test expired")
        assert ask(facts["resolver"], "car1._device.hire.test").rcode() == dns.rcode.SERVFAIL
        process.stdin.close()  # the end of the input ends nothing
        assert len(ask(facts["resolver"]).answer) == 2
        process.stdin = None


def test_a_directory_of_ones_own_is_kept_and_never_overwritten(tmp_path: Path) -> None:
    with running_lab("--directory", str(tmp_path / "lab")) as (process, facts):
        assert facts["directory"] == str(tmp_path / "lab")
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    assert (tmp_path / "lab" / "car54.pem").is_file()
    again = subprocess.run(
        [sys.executable, "-c", "from dnsbound.cli import main; main()", "lab", "--directory", str(tmp_path / "lab")],
        capture_output=True,
        text=True,
        timeout=30,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert again.returncode == 2
    assert again.stderr.count("\n") == 1
    assert "not empty" in again.stderr


def test_what_it_prints_for_people_runs(tmp_path: Path) -> None:
    """Every printed command whose program is here and which ends by itself says yes."""
    with World() as world:
        world.organisation("cars.example").device("car54")
        (tmp_path / "anchors.txt").write_text(world.anchors_text)
        printed = {
            command.program: command for command in commands(world, directory=tmp_path, name=CAR, unbound_port=5399)
        }
        assert {"dnsbound", "dig", "delv", "kdig", "unbound", "curl"} <= set(printed)
        [explain] = [
            c.line for c in commands(world, directory=tmp_path, name=CAR, unbound_port=5399) if " explain " in c.line
        ]
        arguments = explain.split()[1:]
        done = subprocess.run(
            [sys.executable, "-c", "from dnsbound.cli import main; main()", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.peer("delv", "unbound-checkconf")
def test_other_peoples_software_takes_the_files() -> None:
    with running_lab() as (_, facts):
        host, _, port = facts["resolver"].partition(":")
        done = subprocess.run(
            ["delv", "-a", facts["delv"], "+root=.", f"@{host}", "-p", port, CAR, "TLSA"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert "; fully validated" in done.stdout + done.stderr
        checker = shutil.which("unbound-checkconf", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
        checked = subprocess.run([checker, facts["unbound"]], capture_output=True, text=True, timeout=30, check=False)
        assert checked.returncode == 0, checked.stderr


@pytest.mark.peer("kdig")
def test_kdig_asks_over_tls_and_verifies_the_resolver() -> None:
    with running_lab() as (_, facts):
        address, _, name = facts["resolver_tls"].removeprefix("tls://").partition("#")
        host, _, port = address.partition(":")
        options = [f"@{host}", "-p", port, f"+tls-ca={facts['web_root']}", "+dnssec", CAR, "TLSA"]
        asked = subprocess.run(
            ["kdig", f"+tls-hostname={name}", *options], capture_output=True, text=True, timeout=30, check=False
        )
        assert "status: NOERROR" in asked.stdout
        assert "RRSIG" in asked.stdout
        other = subprocess.run(
            ["kdig", "+tls-hostname=other.test", "+retry=0", *options],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert "NOERROR" not in other.stdout


@pytest.mark.parametrize(
    "line",
    [
        "frobnicate",
        "revoke",
        "revoke nobody",
        "publish nobody._device.cars.example",
        "fault car54 sideways",
        "fault car54",
        "device",
        "device ../../etc",
        "device a b c",
        "device car54",
        "fault nowhere.example replayed",
        "revoke 'open",
    ],
)
def test_mistakes_are_told_and_change_nothing(world: World, tmp_path: Path, line: str) -> None:
    console = LabConsole(world, tmp_path)
    console.device(["car54"])
    before = console.names([])
    [answer] = console.run(line)
    assert answer
    assert console.names([]) == before
    assert [path.name for path in tmp_path.iterdir()] == ["car54.pem"]
    assert world.resolver().lookup_blocking(CAR, "TLSA").records


def test_the_last_queries_are_shown(world: World, tmp_path: Path) -> None:
    console = LabConsole(world, tmp_path)
    console.device(["car54"])
    ask(str(world.resolver_address))
    assert console.run("queries") == [f"{CAR} TLSA at the resolver over udp"]
    assert console.run("queries car54") == console.run(f"queries {CAR}") == console.run("queries")
    assert console.run("") == []
    assert len(console.run("help")) == len(ACTIONS)
