"""`dnsbound privacy report`: against real servers of one's own, with and without an inventory."""

import json

import pytest

from interop.primaries import FOREIGN, ZONE, knot

CARS = "".join(f"car{number}._device TLSA {FOREIGN}\n" for number in range(10, 15))


def report(dnsbound, *arguments, zone=ZONE):
    ran = dnsbound("privacy", "report", zone, "--rate", "5000", "--json", *arguments)
    facts = json.loads(ran.out)
    return ran.code, facts["outcome"], facts["checks"]


@pytest.mark.peer("knotd")
def test_a_zone_that_is_walked(dnsbound, tmp_path):
    with knot(tmp_path, more=CARS) as server:
        code, outcome, checks = report(dnsbound, "--server", server.address)
    assert (code, outcome) == (0, "yes")  # warnings are for people
    by_check = {entry["check"]: entry for entry in checks}
    where = f"127.0.0.1 port {server.port}"
    assert by_check[f"denial by {where}"]["level"] == "warn"
    assert "a walk listed 9 names" in by_check[f"denial by {where}"]["found"]
    assert by_check[f"denial by {where}"]["remedy"]
    assert by_check[f"transfer from {where}"]["level"] == "ok"
    assert by_check["labels"]["found"] == "the inventory has no client there"


@pytest.mark.peer("knotd")
def test_hashes_and_the_inventorys_own_labels(dnsbound, tmp_path):
    assert dnsbound("id", "new", f"car77._device.{ZONE}", "--raw", "--out", str(tmp_path)).code == 0
    with knot(tmp_path, more=CARS, nsec3=True) as server:
        code, outcome, checks = report(dnsbound, "--server", server.address, "--names", "400", "--guesses", "100")
    assert (code, outcome) == (0, "yes")
    assert [entry["level"] for entry in checks] == ["warn", "ok", "warn", "warn"]
    assert checks[0]["found"] == f"1 of 1 clients are car## below _device.{ZONE}: 100 guesses find them all"
    assert checks[2]["found"].startswith("NSEC3: all 11 hashes of names collected")
    assert checks[3]["found"] == f"5 of these were found by counting, car10._device.{ZONE} for one"


def test_labels_that_show_nothing(dnsbound, tmp_path, in_world):
    made = dnsbound("id", "new", "--unguessable", "--below", f"_device.{ZONE}", "--raw", "--out", str(tmp_path))
    assert made.code == 0, made.err
    in_world.organisation(ZONE)
    code, _, checks = report(dnsbound, "--server", str(in_world.authority_address))
    assert code == 0
    assert [entry["level"] for entry in checks] == ["ok", "ok", "ok"]
    assert "nsec-minimal" in checks[2]["found"]


def test_an_unsigned_zone_is_a_no(dnsbound, in_world):
    in_world.organisation("plain.example", signed=False)
    code, outcome, checks = report(dnsbound, "--server", str(in_world.authority_address), zone="plain.example")
    assert (code, outcome) == (1, "no")
    assert [entry["level"] for entry in checks] == ["ok", "ok", "fail"]


def test_a_silent_server_is_unknown(dnsbound):
    code, outcome, checks = report(dnsbound, "--server", "127.0.0.1:1")
    assert (code, outcome) == (3, "undecided")
    assert checks[-1]["level"] == "unknown"


@pytest.mark.parametrize("arguments", [["cars..example"], [ZONE, "--rate", "0"], [ZONE, "--server", "no port:x"]])
def test_wrong_use_is_one_line(dnsbound, arguments):
    ran = dnsbound("privacy", "report", *arguments)
    assert ran.code == 2
    assert len(ran.err.splitlines()) == 1
