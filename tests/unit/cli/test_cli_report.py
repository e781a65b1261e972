"""`dnsbound report` on World: sent, received by every way, kept, exported, and judged again without a network."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dnsbound.credential.credential import Credential
from dnsbound.times import moment_of_text

PROGRAM = [sys.executable, "-c", "from dnsbound.cli import main; main()"]
CAR = "car54._device.cars.example"
OFFICE = "report.gov.example"


@pytest.fixture
def estate(in_world, tmp_path):
    """A car and an office, published; their credentials as files."""
    car = in_world.organisation("cars.example").device("car54")
    office = in_world.organisation("gov.example").identity("report")
    for name, credential in (("car", car.credential), ("office", office.credential)):
        (tmp_path / f"{name}.pem").write_bytes(credential.to_pem())
        (tmp_path / f"{name}.pem").chmod(0o600)
    yield car
    car.revoke()
    office.revoke()


@pytest.fixture
def send(dnsbound, estate, tmp_path):
    """Make a report, and the token of it."""

    def sent(*arguments, content=b'{"km": 12}'):
        to = ("--credential", tmp_path / "car.pem", "--to", OFFICE, "--store", "out.db")
        return dnsbound("report", "send", "-", *to, *arguments, stdin=content)

    return sent


def token_of(ran):
    assert ran.code == 0, ran.err
    return json.loads(ran.out)["token"].encode()


@pytest.fixture
def receive(dnsbound, estate, tmp_path):
    def received(*arguments, stdin=b"", signer=CAR):
        own = ("--credential", tmp_path / "office.pem", "--store", "in.db", "--from", signer)
        return dnsbound("report", "receive", *own, "--json", *arguments, stdin=stdin)

    return received


def outcome(ran):
    facts = json.loads(ran.out)
    return ran.code, facts["outcome"], facts.get("reason")


def test_a_report_by_hand(send, receive, dnsbound):
    token = token_of(send("--print", "--json"))
    ran = receive("-", stdin=token + b"\n")
    assert outcome(ran) == (0, "accepted", None)
    assert json.loads(ran.out)["order"] == "first"
    again = receive("-", stdin=token + b"\n")
    assert (again.code, json.loads(again.out)["again"]) == (0, True)
    [taken] = dnsbound("report", "list", "--store", "in.db", "--json").lines
    assert {"signer": CAR, "sequence": 1, "evidence": True}.items() <= json.loads(taken).items()
    shown = json.loads(dnsbound("report", "show", 1, "--store", "in.db", "--json").out)
    assert (shown["claims"]["km"], shown["token"].encode()) == (12, token)
    [sent] = dnsbound("report", "outbox", "--store", "out.db", "--json").lines
    assert {"to": OFFICE, "sequence": 1, "state": "waiting"}.items() <= json.loads(sent).items()


def test_an_exported_report_is_judged_without_a_network(send, receive, dnsbound, estate, monkeypatch):
    assert receive("-", stdin=token_of(send("--print", "--json"))).code == 0
    exported = dnsbound("report", "export", 1, "--store", "in.db", "--out", "1.archive", "--json")
    assert exported.code == 0, exported.err
    estate.revoke()
    monkeypatch.setenv("DNSBOUND_RESOLVER", "127.0.0.1:1")
    ran = dnsbound("verify", "1.archive", "--from", CAR, "--receiver", OFFICE, "--json")
    facts = json.loads(ran.out)
    assert (ran.code, facts["outcome"], facts["signer"], facts["receiver"]) == (0, "yes", CAR, OFFICE)
    assert facts["claims"]["km"] == 12
    at = ("--at", facts["received"])
    assert dnsbound("verify", "1.archive", "--from", CAR, *at).code == 0
    assert dnsbound("verify", "1.archive", "--from", "truck1._device.cars.example", *at).code == 1
    assert dnsbound("verify", "1.archive", "--from", CAR, "--at", "2020-01-01T00:00:00Z").code == 3
    assert dnsbound("verify", "1.archive", "--from", CAR).code == 2
    assert dnsbound("verify", "1.archive", *at).code == 2
    Path("content").write_bytes(b"no archive")
    assert dnsbound("verify", "content", "--from", CAR, *at).code == 2


def test_mallory_and_the_quarantine(receive, dnsbound, estate, tmp_path):
    mallory = Credential.generate(CAR, now=time.time())
    (tmp_path / "mallory.pem").write_bytes(mallory.to_pem())
    (tmp_path / "mallory.pem").chmod(0o600)
    to = ("--credential", tmp_path / "mallory.pem", "--to", OFFICE, "--store", "mallory.db")
    token = token_of(dnsbound("report", "send", "-", *to, "--print", "--json", stdin=b"{}"))
    assert outcome(receive("-", stdin=token)) == (1, "refused", "tlsa-mismatch")
    [kept] = dnsbound("report", "list", "--quarantine", "--store", "in.db", "--json").lines
    assert {"state": "refused", "reason": "tlsa-mismatch"}.items() <= json.loads(kept).items()
    gone = dnsbound("report", "prune", "--quarantine", "--store", "in.db", "--before", "0s", "--json")
    assert json.loads(gone.out)["forgotten"] == 1


def test_what_could_not_be_decided_is_judged_again(send, receive, dnsbound, tmp_path, monkeypatch):
    token = token_of(send("--print", "--json"))
    resolver = os.environ["DNSBOUND_RESOLVER"]
    monkeypatch.setenv("DNSBOUND_RESOLVER", "127.0.0.1:1")
    assert outcome(receive("-", stdin=token)) == (3, "undecided", "dns-failed")
    monkeypatch.setenv("DNSBOUND_RESOLVER", resolver)
    own = ("--credential", tmp_path / "office.pem", "--store", "in.db", "--from", CAR)
    ran = dnsbound("report", "judge", *own, "--json")
    assert outcome(ran) == (0, "accepted", None)
    assert dnsbound("report", "judge", *own).code == 0


def test_a_spool_directory(send, receive, tmp_path):
    spool = tmp_path / "spool"
    spool.mkdir()
    (spool / "1.report").write_bytes(token_of(send("--print", "--json")))
    (spool / "2.report").write_bytes(b"no report")
    (spool / "3.report").write_bytes(token_of(send("--print", "--json")))
    ran = receive("--spool", spool)
    assert ran.code == 2
    assert [json.loads(line)["outcome"] for line in ran.lines] == ["accepted", "malformed", "accepted"]
    assert sorted(path.name for path in spool.iterdir()) == ["1.receipt", "2.report", "3.receipt"]
    (spool / "2.report").write_bytes(token_of(send("--print", "--json")))
    assert receive("--spool", spool, signer="truck1._device.cars.example").code == 1
    assert (spool / "2.refused").is_file()


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("-", "--http", "127.0.0.1:0"),
        ("elsewhere",),
        ("--http", "192.0.2.1:80"),
        ("--http", "here"),
        ("--http", "127.0.0.1:0", "--path", "reports"),
    ],
)
def test_wrong_ways_to_receive(receive, arguments):
    ran = receive(*arguments)
    assert ran.code == 2
    assert len(ran.err.splitlines()) == 1


def test_a_door_of_an_access_list(send, dnsbound, tmp_path):
    token = token_of(send("--print", "--json"))
    (tmp_path / "access.toml").write_text(f'[door.reports]\nallow = ["{CAR}"]\n')
    own = ("--credential", tmp_path / "office.pem", "--store", "in.db", "--access", tmp_path / "access.toml")
    assert dnsbound("report", "receive", "-", *own, "--door", "other", stdin=token).code == 2
    assert dnsbound("report", "receive", "-", *own, "--door", "reports", "--check", stdin=token).code == 0
    assert dnsbound("report", "list", "--store", "in.db").lines == []
    assert dnsbound("report", "receive", "-", *own, "--door", "reports", stdin=token).code == 0


def test_wrong_content(send):
    assert send(content=b"[1]").code == 2
    assert send(content=b'{"iss": "somebody"}').code == 2
    assert send(content=b'{"a": 1, "a": 2}').code == 2
    assert send("--event-at", "yesterday").code == 2
    assert send("--url", "http://report.gov.example/").code == 2
    assert send("--url", "ftp://report.gov.example/").code == 2


def test_nobody_to_receive_is_no_refusal(send, closed_port):
    ran = send("--url", f"http://127.0.0.1:{closed_port}/", "--json")
    facts = json.loads(ran.out)
    assert ran.code == 3
    assert (facts["sent"]["waiting"], facts["report"]["state"]) == (1, "waiting")
    assert facts["sent"]["trouble"]


@contextlib.contextmanager
def serving(tmp_path, *arguments):
    process = subprocess.Popen(
        [
            *PROGRAM,
            *("report", "receive", "--credential", str(tmp_path / "office.pem"), "--store", "in.db", "--json"),
            *("--http", "127.0.0.1:0", *arguments),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        assert line, process.communicate(timeout=30)[1]
        yield json.loads(line)["url"]
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors


def test_over_http(send, dnsbound, estate, tmp_path):
    with serving(tmp_path, "--from", CAR, "--path", "/reports") as url:
        for number in (1, 2):
            ran = send("--url", url, "--json")
            facts = json.loads(ran.out)
            assert (ran.code, facts["report"]["state"], facts["report"]["sequence"]) == (0, "accepted", number)
            assert facts["report"]["receipt"]
        estate.revoke()
        ran = send("--url", url.removesuffix("reports"), "--json")
        assert (ran.code, json.loads(ran.out)["sent"]["waiting"]) == (3, 1)
    taken = [json.loads(line) for line in dnsbound("report", "list", "--store", "in.db", "--json").lines]
    assert [(report["sequence"], report["order"]) for report in taken] == [(1, "first"), (2, "next")]
    assert moment_of_text(taken[0]["received"]) <= moment_of_text(taken[1]["received"])
