"""`dnsbound zone create` that does not come to its end: the next one does, and no key of a registered zone is lost."""

import json
import os
import sqlite3
import subprocess
import time
from contextlib import closing, contextmanager
from pathlib import Path

import dns.name
import pytest
from dns.dnssectypes import Algorithm

from dnsbound.dns.signer import ZoneKeys
from dnsbound.edge.zone_key_files import save_zone_keys
from dnsbound.provision.zones import Zones
from unit.cli.conftest import PROGRAM

ORIGIN = dns.name.from_text("cars.example")
PATIENCE = 60.0


@pytest.fixture
def inventory(dnsbound, tmp_path):
    """An inventory with one zone, whose key must survive everything."""
    path = tmp_path / "inventory.db"
    assert dnsbound("zone", "create", "other.example", "--inventory", path).code == 0
    return path


@contextmanager
def write_locked(path):
    """As long as this lasts, whoever wants to register waits."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")


@contextmanager
def creating(inventory, *options):
    """A process of its own that creates the zone; killed at the end, if it still runs."""
    process = subprocess.Popen(
        [*PROGRAM, "zone", "create", "cars.example", "--inventory", str(inventory), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE)


def appeared(path, process):
    until = time.monotonic() + PATIENCE
    while not path.exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.01)


def killed_between_key_and_registration(inventory):
    key = inventory.parent / "zone-keys" / "cars.example.pem"
    with write_locked(inventory), creating(inventory) as process:
        appeared(key, process)
    assert process.returncode == -9
    return key


def zones(dnsbound, inventory):
    return {zone["name"]: zone for zone in map(json.loads, dnsbound_list(dnsbound, inventory))}


def dnsbound_list(dnsbound, inventory):
    return dnsbound("zone", "list", "--json", "--inventory", inventory).lines


def test_after_a_kill_the_next_try_takes_the_key_over(dnsbound, inventory):
    key = killed_between_key_and_registration(inventory)
    octets = key.read_bytes()
    assert set(zones(dnsbound, inventory)) == {"other.example"}
    ran = dnsbound("zone", "create", "cars.example", "--inventory", inventory)
    assert ran.code == 0
    assert str(key) in ran.err.splitlines()[0]
    assert key.read_bytes() == octets
    made = zones(dnsbound, inventory)["cars.example"]
    keys = ZoneKeys.parse_pem(ORIGIN, octets)
    assert made["key_path"] == str(key)
    assert made["ds"] == [record.to_text() for record in keys.ds()]


def test_what_a_kill_left_of_a_file_that_was_being_written_is_taken_away(dnsbound, inventory):
    key = killed_between_key_and_registration(inventory)
    key.rename(key.with_name(".cars.example.pem.0123456789abcdef.new"))
    kept = key.with_name(".other.example.pem.0123456789abcdef.new")
    kept.write_bytes(b"another zone's")
    assert dnsbound("zone", "create", "cars.example", "--inventory", inventory).code == 0
    assert sorted(path.name for path in key.parent.iterdir()) == [kept.name, "cars.example.pem", "other.example.pem"]


def test_a_refused_try_leaves_the_key_it_found(dnsbound, inventory):
    key = killed_between_key_and_registration(inventory)
    octets = key.read_bytes()
    twice = ("--ns", "a.example", "--ns", "A.example")
    assert dnsbound("zone", "create", "cars.example", "--inventory", inventory, *twice).code == 2
    assert key.read_bytes() == octets
    assert dnsbound("zone", "create", "cars.example", "--inventory", inventory).code == 0
    assert key.read_bytes() == octets


def _other_algorithm(path):
    save_zone_keys(path, ZoneKeys.generate(ORIGIN, Algorithm.ED25519))


def _key_of_something_else(path):
    octets = ZoneKeys.generate(ORIGIN).to_pem()
    path.write_bytes(octets[octets.index(b"-----BEGIN") :])
    path.chmod(0o600)


def _readable_by_others(path):
    save_zone_keys(path, ZoneKeys.generate(ORIGIN))
    path.chmod(0o644)


def _of_another_user(path):
    save_zone_keys(path, ZoneKeys.generate(ORIGIN))
    try:
        os.chown(path, 65534, -1)
    except PermissionError:
        pytest.skip("only root can give a file away")


def _leading_nowhere(path):
    path.symlink_to("nowhere")


def _as_it_lies(path):
    """All that a change would show; reading it may renew the time of access."""
    status = os.lstat(path)
    content = path.readlink() if path.is_symlink() else path.read_bytes()
    return status.st_ino, status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, content


@pytest.mark.parametrize(
    "put", [_other_algorithm, _key_of_something_else, _readable_by_others, _of_another_user, _leading_nowhere]
)
def test_a_file_that_cannot_be_taken_over_stays_and_the_refusal_says_what_to_do(dnsbound, inventory, put):
    path = inventory.parent / "zone-keys" / "cars.example.pem"
    put(path)
    before = _as_it_lies(path)
    ran = dnsbound("zone", "create", "cars.example", "--inventory", inventory)
    assert ran.code == 2
    [line] = ran.err.splitlines()
    assert str(path) in line
    assert "move the file away" in line
    assert _as_it_lies(path) == before
    assert set(zones(dnsbound, inventory)) == {"other.example"}


def test_of_two_at_once_one_registers_and_its_key_stays(dnsbound, inventory):
    key = inventory.parent / "zone-keys" / "cars.example.pem"
    with creating(inventory) as one, creating(inventory) as two:
        with write_locked(inventory):
            appeared(key, one)
        ends = sorted((one.wait(PATIENCE), two.wait(PATIENCE)))
    assert ends == [0, 1]
    made = zones(dnsbound, inventory)["cars.example"]
    assert made["ds"] == [record.to_text() for record in ZoneKeys.parse_pem(ORIGIN, key.read_bytes()).ds()]


def test_an_interrupt_after_the_registration_leaves_the_key_it_uses(dnsbound, inventory, monkeypatch):
    create = Zones.create

    def interrupted(*arguments, **options):
        create(*arguments, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Zones, "create", interrupted)
        dnsbound("zone", "create", "cars.example", "--inventory", inventory)
    made = zones(dnsbound, inventory)["cars.example"]
    assert Path(made["key_path"]).exists()
