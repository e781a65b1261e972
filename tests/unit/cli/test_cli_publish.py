"""`dnsbound publish` on the command line: what it says, its exit codes, and one clear line for what is wrong."""

import json

import pytest

from dnsbound.limits import PUBLISH_CLAIM_SECONDS

ZONE = "cars.example"
CAR = f"car54._device.{ZONE}"


@pytest.fixture
def targets(tmp_path):
    """Write the targets; returns their options."""

    def written(text):
        path = tmp_path / "targets.toml"
        path.write_text(text)
        return ["--targets", str(path)]

    return written


@pytest.fixture
def file_target(targets, tmp_path):
    return targets(f'[publish."{ZONE}"]\nto = "zonefile"\nfile = "{tmp_path}/fleet.zone"\n')


def new(dnsbound, name=CAR):
    assert dnsbound("id", "new", name).code == 0


def test_a_file_is_written_and_nothing_waits_then(dnsbound, file_target, tmp_path):
    new(dnsbound)
    shown = dnsbound("publish", "--dry-run", *file_target)
    assert (shown.code, [line.split()[:2] for line in shown.lines]) == (0, [["+", f"{CAR}."]])
    done = dnsbound("publish", "--json", *file_target)
    assert (done.code, json.loads(done.out)["done"]) == (0, 1)
    assert f"{CAR}. 300 IN TLSA 3 1 1 " in (tmp_path / "fleet.zone").read_text()
    assert dnsbound("publish", "--dry-run", *file_target).out == ""
    assert dnsbound("publish", "--check", *file_target).code == 0


def test_differences_are_shown_and_mended(dnsbound, file_target, tmp_path):
    new(dnsbound)
    dnsbound("publish", *file_target)
    (tmp_path / "fleet.zone").write_text("")
    checked = dnsbound("publish", "--check", "--json", *file_target)
    assert checked.code == 1
    [drift] = map(json.loads, checked.lines)
    assert (drift["drift"], drift["owner"], drift["waiting"]) == ("missing", CAR, False)
    assert dnsbound("publish", "--fix", *file_target).code == 0
    assert dnsbound("publish", "--check", *file_target).code == 0


def test_names_that_nobody_publishes_are_told(dnsbound, file_target):
    new(dnsbound, "pump7._device.plant.example")
    ran = dnsbound("publish", *file_target)
    assert ran.code == 1
    assert "pump7._device.plant.example" in ran.err


def test_zones_of_the_inventory_need_no_publishing(dnsbound):
    assert dnsbound("zone", "create", ZONE).code == 0
    new(dnsbound)
    ran = dnsbound("publish")
    assert (ran.code, ran.out) == (0, f"{ZONE}  embedded: every change is published at once\n")
    assert dnsbound("publish", "--test").code == 0


def test_removals_wait_for_somebody_to_agree(dnsbound, file_target):
    new(dnsbound)
    dnsbound("publish", *file_target)
    assert dnsbound("revoke", CAR, "--yes", "--no-publish").code == 0
    held = dnsbound("publish", "--limit", "0", *file_target)
    assert (held.code, "--allow-removals" in held.err) == (1, True)
    assert dnsbound("publish", "--limit", "0", "--allow-removals", *file_target).code == 0
    assert dnsbound("publish", "--check", *file_target).code == 0


def key_file(tmp_path, mode=0o600, text="hmac-sha256:upd:" + "a" * 44):
    path = tmp_path / "tsig.key"
    path.write_text(text)
    path.chmod(mode)
    return path


def updates(targets, path, port):
    return targets(
        f'[publish."{ZONE}"]\nto = "rfc2136"\nserver = "127.0.0.1:{port}"\nkey_file = "{path}"\nseconds = 1\n'
    )


def test_a_server_that_is_away_is_undecided(dnsbound, targets, tmp_path, closed_port):
    new(dnsbound)
    options = updates(targets, key_file(tmp_path), closed_port)
    for arguments in ([], ["--check"], ["--test"]):
        ran = dnsbound("publish", *arguments, *options)
        assert ran.code == 3
        assert f"127.0.0.1:{closed_port}" in ran.out + ran.err
        assert len(ran.err.splitlines()) <= 1


@pytest.mark.parametrize(
    ("mode", "text", "told"),
    [
        (0o644, None, "others may read this secret"),
        (0o600, "hmac-md5:upd:aaaa", "hmac-sha256, hmac-sha384, hmac-sha512"),
        (0o600, "\x00\xff", "a TSIG key is BIND's"),
    ],
)
def test_a_key_file_that_is_none(dnsbound, targets, tmp_path, mode, text, told):  # noqa: PLR0917 (fixtures and cases)
    path = key_file(tmp_path, mode) if text is None else key_file(tmp_path, mode, text)
    new(dnsbound)
    ran = dnsbound("publish", *updates(targets, path, 53))
    assert (ran.code, told in ran.err, str(path) in ran.err) == (2, True, True)
    assert len(ran.err.splitlines()) == 1


def test_a_zone_of_the_inventory_is_not_sent_elsewhere(dnsbound, targets, tmp_path, closed_port):
    assert dnsbound("zone", "create", ZONE).code == 0
    ran = dnsbound("publish", *updates(targets, key_file(tmp_path), closed_port))
    assert (ran.code, "its own authority" in ran.err) == (2, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--check", "--dry-run"],
        ["--test", "--fix"],
        ["--check", "--wait", "5"],
        ["--wait", "0"],
        ["--claim", str(PUBLISH_CLAIM_SECONDS.maximum + 1)],
        ["nowhere.example"],
        ["not a name"],
    ],
)
def test_wrong_use(dnsbound, file_target, arguments):
    new(dnsbound)
    ran = dnsbound("publish", *arguments, *file_target)
    assert ran.code == 2
    assert len(ran.err.splitlines()) == 1


def test_one_zone_that_fails_does_not_hold_up_the_others(dnsbound, targets, tmp_path, closed_port):
    new(dnsbound)
    new(dnsbound, "pump7._device.plant.example")
    options = targets(
        f'[publish."{ZONE}"]\nto = "rfc2136"\nserver = "127.0.0.1:{closed_port}"\nkey_file = "none.key"\n'
        f'[publish."plant.example"]\nto = "zonefile"\nfile = "{tmp_path}/plant.zone"\n'
    )
    ran = dnsbound("publish", *options)
    assert ran.code == 2
    assert "plant.example  1 published" in ran.out
    assert "pump7" in (tmp_path / "plant.zone").read_text()
