"""`dnsbound id roll`, `status`, `confirm`, `cancel`, and `dnsbound run`: what they take, say, and end with."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dnsbound.credential.credential import Credential
from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.names import ClientName
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.lifecycle.machine import RollState
from unit.rolling import Rolling

NAME = "car54._device.cars.example"
CAR = ClientName.parse(NAME)


@pytest.fixture
def inventory_file(tmp_path):
    return tmp_path / "share" / "dnsbound" / "inventory.db"


@pytest.fixture
def old(dnsbound):
    assert dnsbound("id", "new", NAME, "--out", "keys").code == 0
    return f"keys/{NAME}.pem"


def credential(path="new.pem", name=NAME):
    made = Credential.generate(name, now=time.time())
    Path(path).write_bytes(made.to_pem())
    Path(path).chmod(0o600)
    return made


def to_switch(inventory_file, *names):
    """Let pretended servers and clocks take the rolls to SWITCH; the moment by that clock."""
    with Inventory.open(inventory_file) as inventory:
        rolling = Rolling(inventory)
        rolling.wall = time.time()
        for _ in range(2):
            rolling.turn()
        rolling.passes(600)
        rolling.turn()
        assert all(inventory.rolls.of(name).state is RollState.SWITCH for name in names or [CAR])
        return rolling.wall


def facts(ran):
    return [json.loads(line) for line in ran.lines]


def test_a_roll_from_its_beginning_to_its_confirmation(dnsbound, old, inventory_file):
    new = credential()
    begun = dnsbound("id", "roll", NAME, "--cert", "new.pem", "--reason", "yearly", "--json")
    [told] = facts(begun)
    assert (begun.code, told["state"], told["kind"], told["parameters"]) == (0, "stable", "key", "3 1 1")
    assert told["new_key"] == new.tlsa().data.hex()
    assert dnsbound("id", "confirm", NAME).code == 1
    to_switch(inventory_file)
    [line] = dnsbound("id", "status").lines
    assert line.startswith(f"{NAME}  switch since")
    assert "may use the new key" in line
    assert dnsbound("id", "confirm", NAME, "--key", "00" * 32).code == 1
    assert dnsbound("id", "confirm", NAME, "--key", "zz").code == 2
    confirmed = facts(dnsbound("id", "confirm", NAME, "--key", told["new_key"], "--json"))[0]
    assert (confirmed["state"], confirmed["confirmed_by"]) == ("retire", "operations")
    assert dnsbound("id", "cancel", NAME).code == 1
    shown = json.loads(dnsbound("id", "show", NAME, "--json").out)
    assert shown["records"] == [f"{NAME}. 300 IN TLSA {new.tlsa().to_text()}"]
    assert [event["reason"] for event in shown["events"] if event["action"] == "roll-begin"] == ["yearly"]


def test_status_of_what_is_not_rolled(dnsbound, old):
    assert dnsbound("id", "status").lines == []
    assert "never rolled" in dnsbound("id", "status", NAME).out
    assert dnsbound("id", "status", NAME, "--json").lines == []
    assert dnsbound("id", "status", "nobody.cars.example").code == 1
    assert dnsbound("id", "status", "--state", "finished").code == 2
    assert dnsbound("id", "cancel", NAME).code == 1


def test_cancelled(dnsbound, old):
    credential()
    dnsbound("id", "roll", NAME, "--cert", "new.pem")
    [told] = facts(dnsbound("id", "cancel", NAME, "--json"))
    assert (told["state"], told["waits_for"]) == ("cancelled", "")
    assert facts(dnsbound("id", "status", NAME, "--json"))[0]["state"] == "cancelled"


def test_many_to_other_parameters(dnsbound):
    for number in range(3):
        dnsbound("id", "new", f"car{number}._device.cars.example", "--raw", "--out", "keys")
    dnsbound("id", "new", "user1._user.cars.example", "--raw", "--out", "keys")
    ran = dnsbound("id", "roll", "--below", "_device.cars.example", "--parameters", "3 1 1, 3 1 2", "--json")
    assert ran.code == 0
    assert [one["kind"] for one in facts(ran)] == ["parameters"] * 3
    again = dnsbound("id", "roll", "--below", "cars.example", "--parameters", "3 1 1, 3 1 2", "--json")
    assert again.code == 1  # three are under way
    assert sorted("refused" in one for one in facts(again)) == [False, True, True, True]
    one = dnsbound("id", "roll", "car0._device.cars.example", "--parameters", "3 1 1, 3 1 2")
    assert (one.code, one.err.count("car0._device.cars.example")) == (1, 1)
    assert dnsbound("id", "roll", "--tag", "nothing", "--parameters", "3 1 2").code == 1


def test_new_keys_of_many_from_files(dnsbound, old):
    other = "car55._device.cars.example"
    dnsbound("id", "new", other, "--out", "keys")
    Path("new").mkdir()
    for name in (NAME, other, "stranger._device.cars.example"):
        pem = credential(f"new/{name}.pem", name).to_pem()
        Path(f"new/{name}.pem").write_bytes(pem[pem.index(b"-----BEGIN CERTIFICATE") :])
    (Path("new") / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    ran = dnsbound("id", "roll", "--manifest", "new", "--json")
    assert ran.code == 1
    assert {one["name"]: one.get("state", "refused") for one in facts(ran)} == {
        NAME: "stable",
        other: "stable",
        "stranger._device.cars.example": "refused",
    }
    assert "broken.pem" in ran.err


def test_to_the_records_of_an_authority(dnsbound, old, inventory_file):
    now = time.time()
    authority = CertificateAuthority.create("Cars", now=now)
    chain = authority.issue(NAME, now=now)
    Path("chain.pem").write_bytes(chain.to_pem())
    Path("chain.pem").chmod(0o600)
    [told] = facts(dnsbound("id", "roll", NAME, "--parameters", "2 0 1", "--chain", "chain.pem", "--json"))
    assert (told["kind"], told["parameters"]) == ("key", "2 0 1")
    to_switch(inventory_file)
    [confirmed] = facts(dnsbound("id", "confirm", NAME, "--json"))
    assert [record.split()[:3] for record in confirmed["expected"]] == [["2", "0", "1"]]


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        (NAME,),
        (NAME, "--below", "cars.example", "--parameters", "3 1 2"),
        (NAME, "--cert", "new.pem", "--csr", "x.csr"),
        (NAME, "--cert", "new.pem", "--chain", "new.pem"),
        (NAME, "--public-key", "new.pem"),
        (NAME, "--parameters", "3 1"),
        (NAME, "--parameters", "3 1 7"),
        (NAME, "car55.cars.example", "--cert", "new.pem"),
        ("--below", "cars.example", "--cert", "new.pem"),
        ("--below", "cars.example", "--emergency"),
        ("--manifest", "new", "--tag", "x"),
        (NAME, "--emergency", "--yes"),
    ],
)
def test_wrong_use(dnsbound, old, arguments):
    credential()
    ran = dnsbound("id", "roll", *arguments)
    assert (ran.code, ran.out) in ((2, ""), (1, "")), ran
    assert dnsbound("id", "status").lines == []


def test_an_emergency_is_told_what_it_means_and_asks(dnsbound, old):
    new = credential()
    asked = dnsbound("id", "roll", NAME, "--emergency", "--cert", "new.pem", "--resolver", "127.0.0.1:1", stdin=b"n\n")
    assert asked.code == 1
    assert "300 seconds" in asked.err
    assert dnsbound("id", "status").lines == []
    ran = dnsbound(
        *("id", "roll", NAME, "--emergency", "--cert", "new.pem", "--resolver", "127.0.0.1:1", "--yes", "--json")
    )
    [told] = facts(ran)
    assert (ran.code, told["kind"], told["state"]) == (0, "emergency", "retire")
    shown = json.loads(dnsbound("id", "show", NAME, "--json").out)
    assert shown["records"] == [f"{NAME}. 300 IN TLSA {new.tlsa().to_text()}"]


# The door's log


def decision(record, **changes):
    line = {
        "at": "2026-11-22T15:02:35Z",
        "door": "api",
        "verdict": "admitted",
        "name": NAME,
        "record": record.to_text(),
    }
    return json.dumps(line | changes).encode() + b"\n"


def test_a_log_of_decisions_confirms(dnsbound, old, inventory_file):
    new = credential()
    dnsbound("id", "roll", NAME, "--cert", "new.pem")
    to_switch(inventory_file)
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2))
    log = b"".join(
        [
            b"\n",
            b"starting up\n",
            b'{"at": [], "door": 1, "verdict": "admitted", "name": 7, "record": {}}\n',
            b"[" * 70_000 + b"\n",
            b"x" * 200_000 + b"\n",
            decision(new.tlsa(), verdict="refused", at=at),
            decision(new.tlsa(), name="stranger.cars.example", at=at),
            decision(new.tlsa(), at="2020-01-01T00:00:00Z"),
            decision(new.tlsa(), at=at),
            decision(new.tlsa(), at=at),
        ]
    )
    ran = dnsbound("id", "confirm", "--from-log", "-", "--json", stdin=log)
    [told] = facts(ran)
    assert (ran.code, told["state"], told["confirmed_by"]) == (0, "retire", "door api")
    assert ran.err == "5 lines of - did not parse as decisions.\n"
    assert dnsbound("id", "confirm").code == 2
    assert dnsbound("id", "confirm", NAME, "--from-log", "-").code == 2
    assert dnsbound("id", "confirm", "--from-log", "missing.log").code == 2


# The runner


def test_run_once_says_that_it_could_not_ask(dnsbound, old):
    credential()
    assert dnsbound("run", "--once", "--resolver", "127.0.0.1:1").code == 0  # nothing to do
    dnsbound("id", "roll", NAME, "--cert", "new.pem")
    ran = dnsbound("run", "--once", "--json", "--resolver", "127.0.0.1:1")
    told = [one for one in facts(ran) if one["mover"] == "rolls"]
    assert (ran.code, told[-1]["undecided"]) == (3, 1)
    [status] = facts(dnsbound("id", "status", "--json"))
    assert "no publish target" in status["problem"]
    assert dnsbound("run", "--once", "--interval", "0").code == 2


def test_a_service_is_ready_and_ends_when_it_is_told(tmp_path, old):
    """As systemd runs it: told by sd_notify, ended by SIGTERM."""
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(60)
        environment = {**os.environ, "NOTIFY_SOCKET": path, "JOURNAL_STREAM": "1:2"}
        service = subprocess.Popen(
            [sys.executable, "-m", "dnsbound", "run", "--interval", "1", "--resolver", "127.0.0.1:1"],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert manager.recv(4096).startswith(b"READY=1\n")
            assert manager.recv(4096) == b"WATCHDOG=1"
            service.send_signal(signal.SIGTERM)
            _, errors = service.communicate(timeout=60)
        finally:
            service.kill()
            service.wait()
        said = []
        while said[-1:] != [b"STOPPING=1"]:
            said.append(manager.recv(4096))
    assert service.returncode == 0
    assert errors == ""
