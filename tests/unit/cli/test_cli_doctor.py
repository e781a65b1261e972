"""`dnsbound doctor` on World: each check finds what is wrong, says what to do, and decides the exit code."""

import json
from pathlib import Path

import pytest

from dnsbound.cli.checks import Finding, Level, exit_code_of
from dnsbound.testing.faults import Fault
from dnsbound.testing.world import World


def report(dnsbound, *arguments):
    ran = dnsbound("doctor", "--json", "--timeout", "2", *arguments)
    facts = json.loads(ran.out)
    levels = {}
    for check in facts["checks"]:
        levels[check["check"]] = check["level"]
        if check["level"] in ("fail", "warn"):
            assert check["remedy"], check
    return ran.code, facts["outcome"], levels, facts["checks"]


@pytest.fixture
def resolver(in_world):
    return f"resolver {in_world.resolver_address}"


def test_everything_in_order(dnsbound, in_world, resolver):
    car = in_world.organisation("cars.example").device("car54")
    code, outcome, levels, _ = report(dnsbound, car.name.text)
    assert (code, outcome) == (0, "yes")
    assert levels == {
        "openssl": "ok",
        resolver: "ok",
        f"{resolver} DNSSEC": "ok",
        "clock": "ok",
        f"{resolver} privacy": "ok",
        "root keys": "ok",
        "hardware keys": "ok",
        f"zone of {car.name}": "ok",
    }


def test_people_see_a_line_for_each_check(dnsbound, in_world):
    ran = dnsbound("doctor")
    assert ran.code == 0
    assert [line.split()[0] for line in ran.lines] == ["ok"] * 7


def test_an_unsigned_zone_fails(dnsbound, in_world):
    in_world.organisation("plain.example", signed=False)
    code, outcome, levels, _ = report(dnsbound, "car1.plain.example")
    assert (code, outcome, levels["zone of car1.plain.example"]) == (1, "no", "fail")


def test_a_dead_resolver_is_unknown_not_no(dnsbound, in_world):
    code, outcome, levels, _ = report(dnsbound, "--resolver", "127.0.0.1:1")
    assert (code, outcome) == (3, "undecided")
    assert levels["resolver 127.0.0.1:1"] == "unknown"


def test_a_resolver_that_strips_signatures(dnsbound, in_world, resolver):
    in_world.fault(".", Fault.STRIPPED)
    code, _, levels, _ = report(dnsbound)
    in_world.heal()
    assert code == 1
    assert levels[f"{resolver} DNSSEC"] == "fail"
    assert levels["clock"] == "unknown"


def test_a_wrong_clock(dnsbound, monkeypatch):
    import time

    real = time.time
    with World(clock=lambda: real() - 90_000) as past:
        for name, value in past.trust_env().items():
            monkeypatch.setenv(name, value)
        code, _, levels, checks = report(dnsbound)
    assert (code, levels["clock"]) == (1, "fail")
    assert any("clock" in (check["remedy"] or "") for check in checks)


def test_a_root_key_that_is_not_known_yet(dnsbound, monkeypatch):
    with World() as world:
        for name, value in world.trust_env().items():
            monkeypatch.setenv(name, value)
        new = world.root.roll_key()
        code, _, levels, checks = report(dnsbound)
    assert (code, levels["root keys"]) == (0, "warn")
    [found] = [check["found"] for check in checks if check["check"] == "root keys"]
    assert str(new.tag) in found


def test_private_anchors_have_no_root_to_look_at(dnsbound, in_world, tmp_path):
    cars = in_world.organisation("cars.example")
    anchors = tmp_path / "anchors.txt"
    anchors.write_text("".join(f"cars.example. IN DS {ds}\n" for ds in cars.keys.ds()))
    code, _, levels, checks = report(dnsbound, "--anchors", anchors)
    assert (code, levels["root keys"]) == (0, "ok")
    assert any("cars.example. validates" in check["found"] for check in checks)


def test_zones_of_the_inventory(dnsbound, in_world):
    organisation = in_world.organisation("fleet.example")
    made = json.loads(dnsbound("zone", "create", "fleet.example", "--json").out)
    code, _, levels, _ = report(dnsbound)
    assert code == 1
    assert levels["keys of fleet.example"] == "ok"
    assert levels["DS of fleet.example"] == "fail"
    assert levels["inventory"] == "ok"
    parent = in_world.organisation("example")
    parent.replace("fleet.example", *[f"DS {text}" for text in made["ds"]])
    code, _, levels, _ = report(dnsbound)
    in_world.publish_ds(organisation)
    assert (code, levels["DS of fleet.example"]) == (0, "ok")


def test_key_files_that_others_may_read(dnsbound, in_world):
    made = json.loads(dnsbound("zone", "create", "fleet2.example", "--json").out)
    Path(made["key_path"]).chmod(0o640)
    _, _, levels, _ = report(dnsbound)
    assert levels["keys of fleet2.example"] == "fail"
    Path(made["key_path"]).unlink()
    _, _, levels, _ = report(dnsbound)
    assert levels["keys of fleet2.example"] == "fail"


def test_an_inventory_that_others_may_write(dnsbound, in_world, tmp_path):
    dnsbound("id", "new", "car54.cars.example")
    (tmp_path / "share" / "dnsbound" / "inventory.db").chmod(0o666)
    code, _, levels, _ = report(dnsbound)
    assert (code, levels["inventory"]) == (1, "fail")


def test_names_in_clear_on_a_network_are_a_warning(dnsbound, in_world, monkeypatch):
    """192.0.2.0/24 leads nowhere, so the privacy check is asked directly."""
    from dnsbound.cli.checks import _privacy
    from dnsbound.edge.upstream import Upstream

    def no_route(*_arguments, **_options):
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr("socket.create_connection", no_route)
    cases = {
        "192.0.2.1": Level.WARN,
        "127.0.0.1": Level.OK,
        "[::1]:5300": Level.OK,
        "tls://192.0.2.1#dns.example": Level.OK,
    }
    for text, level in cases.items():
        assert _privacy("x", Upstream.parse(text), 1.0).level is level
    opportunistic = Upstream.parse("tls://192.0.2.1", danger_opportunistic=True)
    assert _privacy("x", opportunistic, 1.0).level is Level.WARN


@pytest.mark.parametrize(
    ("levels", "code"),
    [
        ([], 0),
        ([Level.OK, Level.WARN], 0),
        ([Level.OK, Level.UNKNOWN], 3),
        ([Level.UNKNOWN, Level.FAIL], 1),
    ],
)
def test_levels_to_exit_codes(levels, code):
    assert exit_code_of(Finding(check="x", level=level, found="y") for level in levels) == code


def test_a_module_that_does_not_load_is_a_warning(dnsbound, in_world, monkeypatch):
    monkeypatch.setenv("DNSBOUND_PKCS11_MODULE", "/nowhere/module.so")
    code, _, levels, _ = report(dnsbound)
    assert (code, levels["hardware keys"]) == (0, "warn")
