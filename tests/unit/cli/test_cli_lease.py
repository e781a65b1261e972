"""`dnsbound lease`, and what `dnsbound run` does with leases."""

import json
import re

import pytest

from dnsbound.testing import Fault

MAKERS = "car54._device.cars.example"
LEASED = "van1._device.hire.example"


@pytest.fixture
def hire(dnsbound, in_world):
    """A lessee with a zone of its own, and a maker's device in World's DNS."""
    assert dnsbound("zone", "create", "hire.example").code == 0
    in_world.organisation("cars.example").device("car54")
    yield dnsbound
    in_world.organisation("cars.example").remove(MAKERS)


def grant(dnsbound, *more, name=LEASED, of=MAKERS, until="30d"):
    return dnsbound("lease", "grant", name, "--of", of, "--until", until, *more)


def test_grant_publishes_an_alias_and_says_what_the_device_must_do(hire):
    ran = grant(hire, "--ttl", "60", "--reason", "summer")
    assert ran.code == 0
    assert re.fullmatch(rf"1  {LEASED} -> {MAKERS}  active  \S+ to \S+", ran.lines[0])
    assert "dane_clientid" in ran.err
    assert f"{LEASED}. 60 IN CNAME {MAKERS}." in hire("zone", "export", "hire.example").out
    shown = hire("lease", "show", LEASED)
    assert (shown.code, "lease by operations: summer" in shown.out) == (0, True)
    told = json.loads(hire("lease", "list", "--json").out)
    assert (told["name"], told["target"], told["state"], told["ttl"]) == (LEASED, MAKERS, "active", 60)


def test_lease_end_extend_and_their_refusals(hire):
    assert hire("lease", "end", LEASED).code == 1
    assert grant(hire).code == 0
    assert grant(hire).code == 1
    assert hire("lease", "extend", LEASED, "--until", "1d").code == 2
    assert hire("lease", "extend", LEASED, "--until", "60d").code == 0
    ran = hire("lease", "end", LEASED, "--reason", "brought back")
    assert (ran.code, " ended " in ran.out) == (0, True)
    assert "CNAME" not in hire("zone", "export", "hire.example").out
    assert hire("lease", "extend", LEASED, "--until", "60d").code == 1
    assert hire("lease", "list", "--state", "active").out == ""
    assert len(hire("lease", "list", "--state", "ended", "--of", MAKERS, "--below", "hire.example").lines) == 1


def test_the_device_is_looked_up_first(hire, in_world):
    cars = in_world.organisation("cars.example")
    assert grant(hire, of="nobody._device.cars.example").code == 1
    cars.publish("mixed._device", f"TLSA 3 1 1 {'ab' * 32}", f"TLSA 2 0 1 {'cd' * 32}")
    assert grant(hire, of="mixed._device.cars.example").code == 1
    cars.cname("alias._device", MAKERS)
    assert grant(hire, of="alias._device.cars.example").code == 1
    in_world.organisation("plain.example", signed=False).device("car1")
    assert grant(hire, of="car1._device.plain.example").code == 1
    in_world.fault("silent._device.cars.example", Fault.SERVFAIL)
    assert grant(hire, "--timeout", "1", of="silent._device.cars.example").code == 3
    assert hire("lease", "list").out == ""
    assert grant(hire, "--danger-unchecked", of="nobody._device.cars.example").code == 0


@pytest.mark.parametrize("until", ["yesterday", "10s", "2020-01-01T00:00:00Z", "99999d"])
def test_times_that_make_no_lease(hire, until):
    assert grant(hire, until=until).code == 2
    assert hire("lease", "list").out == ""


def test_a_registered_name_is_not_leased(hire):
    assert hire("id", "new", LEASED).code == 0
    assert grant(hire).code == 1


def test_revoking_a_device_tells_of_its_leases(dnsbound, in_world):
    for zone in ("cars.example", "hire.example"):
        assert dnsbound("zone", "create", zone).code == 0
    assert dnsbound("id", "new", MAKERS).code == 0
    assert grant(dnsbound, "--danger-unchecked").code == 0
    assert "1 leases lead to it" in dnsbound("revoke", MAKERS, "--yes").err


def test_the_runner_begins_a_lease_and_ends_it(hire):
    assert grant(hire, "--from", "1d").code == 0
    assert " pending " in hire("lease", "list").out
    assert hire("run", "--once", "--json").code == 0
    assert " pending " in hire("lease", "list").out


def test_states_that_there_are_not(dnsbound):
    assert dnsbound("lease", "list", "--state", "lost").code == 2
    assert dnsbound("zone", "create", "hire.example").code == 0
    assert dnsbound("lease", "show", LEASED).code == 1
