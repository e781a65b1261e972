"""`dnsbound zone`: creating, filling, delegating, exporting zones, and rolling keys."""

import json
import stat
from pathlib import Path

import dns.dnssec
import dns.name
import dns.rdatatype
import dns.zone
import pytest

from dnsbound.dns.signer import KeyState
from dnsbound.edge.zone_key_files import load_zone_keys

ORIGIN = dns.name.from_text("cars.example")


def create(dnsbound, *options):
    return json.loads(dnsbound("zone", "create", "cars.example", "--json", *options).out)


def keys_of(zone):
    return load_zone_keys(ORIGIN, Path(zone["key_path"]))


@pytest.mark.parametrize(("algorithm", "number"), [("p256", 13), ("ed25519", 15)])
def test_create_makes_a_private_key_file_and_prints_its_ds(dnsbound, algorithm, number):
    zone = create(dnsbound, "--algorithm", algorithm)
    keys = keys_of(zone)
    assert stat.S_IMODE(Path(zone["key_path"]).stat().st_mode) == 0o600
    assert Path(zone["key_path"]).is_absolute()
    assert zone["ds"] == [dns.dnssec.make_ds(ORIGIN, keys.keys[0].dnskey, "SHA256").to_text()]
    assert keys.keys[0].dnskey.algorithm == number
    assert dnsbound("zone", "ds", "cars.example").lines == [f"cars.example. 300 IN DS {zone['ds'][0]}"]


def test_options_of_create(dnsbound):
    zone = create(
        dnsbound, "--ns", "a.ns.example", "--ns", "b.ns.example.", "--rname", "ops@cars.example", "--ttl", "2"
    )
    assert zone["nameservers"] == ["a.ns.example", "b.ns.example"]
    assert zone["ttl"] == 2
    soa = dnsbound("zone", "export", "cars.example").lines[1]
    assert soa.startswith("cars.example. 2 IN SOA a.ns.example. ops.cars.example. 1 ")


def test_a_zone_is_created_once_and_its_key_is_kept(dnsbound):
    zone = create(dnsbound)
    before = Path(zone["key_path"]).read_bytes()
    ran = dnsbound("zone", "create", "cars.example")
    assert ran.code == 1
    assert Path(zone["key_path"]).read_bytes() == before


def test_a_refused_zone_leaves_no_key_behind(dnsbound, tmp_path):
    ran = dnsbound("zone", "create", "cars.example", "--ttl", "9", "--ns", "a.example", "--ns", "A.example")
    assert ran.code == 2
    assert list(tmp_path.rglob("*.pem")) == []


def test_a_file_in_the_place_of_the_key_is_kept(dnsbound, tmp_path):
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "cars.example.pem").write_bytes(b"somebody's only key")
    ran = dnsbound("zone", "create", "cars.example", "--zone-keys", tmp_path / "keys")
    assert ran.code == 2
    assert (tmp_path / "keys" / "cars.example.pem").read_bytes() == b"somebody's only key"
    assert dnsbound("zone", "list").out == ""


def test_records(dnsbound):
    create(dnsbound, "--ttl", "60")
    assert dnsbound("zone", "publish", "api.cars.example", "a", "192.0.2.1").lines == [
        "api.cars.example. 60 IN A 192.0.2.1"
    ]
    assert dnsbound("zone", "publish", "api.cars.example", "A", "192.0.2.2", "--ttl", "5").code == 0
    assert dnsbound("zone", "publish", "api.cars.example", "A", "192.0.2.2").code == 1
    assert dnsbound("zone", "publish", "*.fleet.cars.example", "TLSA", "2", "0", "1", "ab" * 32).code == 0
    assert dnsbound("zone", "publish", "*.fleet.cars.example", "TLSA", "3", "1", "1", "ab" * 32).code == 2
    assert dnsbound("zone", "withdraw", "api.cars.example", "A", "192.0.2.1").lines == [
        "api.cars.example. 5 IN A 192.0.2.1"
    ]
    assert dnsbound("zone", "withdraw", "api.cars.example", "A", "192.0.2.1").code == 1
    assert dnsbound("zone", "withdraw", "api.cars.example", "A").code == 0


def test_export_is_a_zone_file(dnsbound):
    create(dnsbound)
    dnsbound("zone", "create", "sub.cars.example")
    dnsbound("id", "new", "car54._device.cars.example")
    dnsbound("id", "new", "car1.sub.cars.example")
    dnsbound("zone", "publish", "ns1.cars.example", "A", "192.0.2.1")
    text = dnsbound("zone", "export", "cars.example").out
    zone = dns.zone.from_text(text, relativize=False)
    found = {(name.to_text(), dns.rdatatype.to_text(rdataset.rdtype)) for name, rdataset in zone.iterate_rdatasets()}
    assert found == {
        ("cars.example.", "SOA"),
        ("cars.example.", "NS"),
        ("car54._device.cars.example.", "TLSA"),
        ("ns1.cars.example.", "A"),
        ("sub.cars.example.", "NS"),
        ("sub.cars.example.", "DS"),
    }


def test_list(dnsbound):
    create(dnsbound)
    dnsbound("zone", "create", "sub.cars.example")
    assert [line.split()[0] for line in dnsbound("zone", "list").lines] == ["cars.example", "sub.cars.example"]
    assert [json.loads(line)["name"] for line in dnsbound("zone", "list", "--json").lines] == [
        "cars.example",
        "sub.cars.example",
    ]


def test_a_roll_in_three_steps(dnsbound):
    zone = create(dnsbound)
    [old] = keys_of(zone).keys
    assert dnsbound("zone", "roll-key", "cars.example", "--activate").code == 1
    assert dnsbound("zone", "roll-key", "cars.example", "--finish").code == 1
    begun = dnsbound("zone", "roll-key", "cars.example", "--json")
    assert begun.code == 0
    assert len(json.loads(begun.out)["ds"]) == 2
    assert {key.state for key in keys_of(zone).keys} == {KeyState.ACTIVE, KeyState.PUBLISHED}
    assert dnsbound("zone", "roll-key", "cars.example").code == 1
    early = dnsbound("zone", "roll-key", "cars.example", "--activate")
    assert early.code == 1
    assert "caches may remember" in early.err
    assert dnsbound("zone", "roll-key", "cars.example", "--activate", "--danger-now").code == 0
    states = {key.tag: key.state for key in keys_of(zone).keys}
    assert states.pop(old.tag) is KeyState.RETIRED
    assert set(states.values()) == {KeyState.ACTIVE}
    assert dnsbound("zone", "roll-key", "cars.example", "--finish").code == 1
    done = json.loads(dnsbound("zone", "roll-key", "cars.example", "--finish", "--danger-now", "--json").out)
    assert [key.tag for key in keys_of(zone).keys] == list(states)
    assert len(done["ds"]) == 1
    assert done["ds"] == json.loads(dnsbound("zone", "ds", "cars.example", "--json").out)["ds"]
    assert stat.S_IMODE(Path(zone["key_path"]).stat().st_mode) == 0o600
    assert dnsbound("zone", "roll-key", "cars.example", "--activate", "--finish").code == 2  # wrong use


def test_time_lets_the_roll_go_on(dnsbound, monkeypatch):
    import time

    create(dnsbound)
    dnsbound("zone", "roll-key", "cars.example")
    later = time.time() + 301
    monkeypatch.setattr("dnsbound.cli.zone.time.time", lambda: later)
    assert dnsbound("zone", "roll-key", "cars.example", "--activate").code == 0


def test_a_key_file_that_others_may_read_is_refused(dnsbound):
    zone = create(dnsbound)
    Path(zone["key_path"]).chmod(0o644)
    ran = dnsbound("zone", "roll-key", "cars.example")
    assert ran.code == 2
    assert "chmod 600" in ran.err
