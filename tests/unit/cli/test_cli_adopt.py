"""`dnsbound id adopt`: what it prints, and its exit codes."""

import csv
import json
from pathlib import Path

import pytest

from unit.adoption_sources import (
    authority,
    b64,
    certificate,
    element,
    manifest_entry,
    pem,
    private_pem,
    public_pem,
    spki,
)

LIST = "name,public_key,owner,tags\n"


@pytest.fixture
def zone(dnsbound):
    assert dnsbound("zone", "create", "cars.example", "--ns", "ns1.other.example").code == 0


def table(*rows: tuple[str, int]) -> Path:
    path = Path("devices.csv")
    path.write_text(LIST + "".join(f"{name},{b64(spki(number))},cars,red;blue\n" for name, number in rows))
    return path


def names(dnsbound) -> set[str]:
    listed = dnsbound("id", "list", "--state", "active", "--json")
    return {json.loads(line)["name"].partition(".")[0] for line in listed.lines}


def test_the_plan_changes_nothing(dnsbound, zone):
    ran = dnsbound("id", "adopt", table(("a", 1), ("b", 2)), "--below", "cars.example", "--dry-run")
    assert ran.code == 0
    assert "create     a._device.cars.example" in ran.out
    assert "        2  create" in ran.out
    assert names(dnsbound) == set()
    assert sorted(path.name for path in Path().iterdir()) == ["devices.csv"]


def test_the_plan_needs_no_inventory_and_makes_none(dnsbound):
    ran = dnsbound("id", "adopt", table(("a", 1), ("b", 2)), "--below", "cars.example", "--dry-run")
    assert (ran.code, len(ran.err.splitlines())) == (0, 1)
    assert "        2  create" in ran.out
    assert dnsbound("id", "list").code == 2
    assert sorted(path.name for path in Path().iterdir()) == ["devices.csv"]


def test_the_plan_for_programs_has_every_step(dnsbound, zone):
    ran = dnsbound("id", "adopt", table(("a", 1), ("b", 2)), "--below", "cars.example", "--dry-run", "--json")
    first, second, facts = map(json.loads, ran.lines)
    assert (first["action"], first["where"]) == ("create", "devices.csv:2")
    assert second["name"] == "b._device.cars.example"
    assert facts == {
        "read": 2,
        "passed_over": 0,
        "repeated": 0,
        "unchecked": 0,
        "actions": {"create": 2},
        "rejected": {},
        "dry_run": True,
        "rollback": None,
    }


def test_clients_are_adopted_and_the_adoption_taken_back(dnsbound, zone):
    ran = dnsbound(
        "id", "adopt", table(("a", 1), ("b", 2)), "--below", "cars.example", "--json", "--reason", "new fleet"
    )
    assert ran.code == 0
    facts = json.loads(ran.out)
    assert facts["actions"] == {"create": 2}
    shown = json.loads(dnsbound("id", "show", "a._device.cars.example", "--json").out)
    assert shown["events"][0]["reason"] == "new fleet"
    rollback = Path(facts["rollback"])
    assert rollback.exists()
    again = dnsbound("id", "adopt", "devices.csv", "--below", "cars.example", "--json")
    assert (again.code, json.loads(again.out)["actions"]) == (0, {"unchanged": 2})
    assert json.loads(again.out)["rollback"] is None
    assert dnsbound("id", "adopt", "--undo", rollback, "--dry-run").out.split() == ["2", "revoke"]
    refused = dnsbound("id", "adopt", "--undo", rollback)
    assert (refused.code, names(dnsbound)) == (1, {"a", "b"})
    assert dnsbound("id", "adopt", "--undo", rollback, "--max-removals", "2").code == 0
    assert names(dnsbound) == set()
    assert dnsbound("id", "adopt", "--undo", rollback, "--max-removals", "2").code == 0


def test_bad_rows_are_told_and_good_ones_go_through(dnsbound, zone):
    Path("devices.csv").write_text(f"name,public_key\na,{b64(spki(1))}\nb,zz\n*,{b64(spki(2))}\n")
    ran = dnsbound("id", "adopt", "devices.csv", "--below", "cars.example")
    assert ran.code == 1
    told = [line for line in ran.err.splitlines() if line.startswith("devices.csv:")]
    assert [line.split(": ")[0] for line in told] == ["devices.csv:3", "devices.csv:4"]
    assert "unreadable" in told[0]
    assert names(dnsbound) == {"a"}


@pytest.mark.parametrize("name", ["rejects.csv", "rejects.jsonl"])
def test_rejects_are_written_for_repair(dnsbound, zone, name):
    rows = "".join(f"d{number},zz\n" for number in range(30))
    Path("devices.csv").write_text(f"name,public_key\n{rows}")
    ran = dnsbound("id", "adopt", "devices.csv", "--below", "cars.example", "--rejects", name)
    assert ran.code == 1
    text = Path(name).read_text()
    rejected = (
        list(csv.DictReader(text.splitlines())) if name.endswith("csv") else [*map(json.loads, text.splitlines())]
    )
    assert [row["where"] for row in rejected] == [f"devices.csv:{number + 2}" for number in range(30)]
    assert {row["problem"] for row in rejected} == {"unreadable"}
    assert len([line for line in ran.err.splitlines() if line.startswith("devices.csv:")]) == 20
    assert "10 more" in ran.err


def test_a_private_key_is_never_shown(dnsbound, zone):
    Path("keys.pem").write_bytes(private_pem(3) + public_pem(3))
    ran = dnsbound("id", "adopt", "keys.pem", "--label-template", "{filename}.cars.example", "--json")
    assert (ran.code, json.loads(ran.out)["rejected"]) == (1, {"private-key": 1})
    secret = private_pem(3).decode().splitlines()[2]
    assert secret not in ran.out + ran.err + Path(json.loads(ran.out)["rollback"]).read_text()


def test_another_key_needs_to_be_said(dnsbound, zone):
    dnsbound("id", "adopt", table(("a", 1)), "--below", "cars.example")
    ran = dnsbound("id", "adopt", table(("a", 2)), "--below", "cars.example")
    assert ran.code == 1
    assert "other-key" in ran.err
    assert (
        dnsbound("id", "adopt", "devices.csv", "--below", "cars.example", "--replace", "--rollback", "back").code == 0
    )
    shown = json.loads(dnsbound("id", "show", "a._device.cars.example", "--json").out)
    assert shown["spki"] == b64(spki(2))


def test_a_complete_list_revokes_within_its_limit(dnsbound, zone):
    dnsbound("id", "adopt", table(("a", 1), ("b", 2), ("c", 3)), "--below", "cars.example")
    complete = ("id", "adopt", table(("a", 1)), "--below", "cars.example", "--complete")
    planned = dnsbound(*complete, "--dry-run")
    assert planned.code == 1
    assert "revoke     b._device.cars.example" in planned.out
    assert dnsbound(*complete).code == 1
    assert names(dnsbound) == {"a", "b", "c"}
    assert dnsbound(*complete, "--dry-run", "--max-removals", "2").code == 0
    assert dnsbound(*complete, "--max-removals", "2").code == 0
    assert names(dnsbound) == {"a"}


def test_a_complete_list_with_a_bad_row_revokes_nobody(dnsbound, zone):
    dnsbound("id", "adopt", table(("a", 1), ("b", 2)), "--below", "cars.example")
    Path("devices.csv").write_text(LIST + f"a,{b64(spki(1))},,\nb,zz,,\nnew,{b64(spki(5))},,\n")
    ran = dnsbound("id", "adopt", "devices.csv", "--below", "cars.example", "--complete", "--max-removals", "100%")
    assert ran.code == 1
    assert names(dnsbound) == {"a", "b"}


def test_a_manifest_whose_signer_nobody_checked_says_so(dnsbound, zone):
    Path("manifest.json").write_text(json.dumps([manifest_entry(element(1))]))
    Path("signer.pem").write_bytes(pem("CERTIFICATE", authority(8)))
    options = ("id", "adopt", "manifest.json", "--below", "cars.example", "--dry-run")
    assert "--manifest-signer" in dnsbound(*options).err
    checked = dnsbound(*options, "--manifest-signer", "signer.pem")
    assert (checked.code, checked.err) == (0, "")
    Path("signer.pem").write_bytes(pem("CERTIFICATE", certificate(7)))
    assert "bad-signature" in dnsbound(*options, "--manifest-signer", "signer.pem").err


def test_the_examples_are_adopted(dnsbound, zone):
    examples = Path(__file__).parents[3] / "examples" / "adoption"
    listed = dnsbound("id", "adopt", examples / "devices.csv", "--below", "cars.example")
    assert (listed.code, names(dnsbound)) == (0, {"sn-24-0001", "sn-24-0002", "sn-24-0003"})
    signer = ("--manifest-signer", examples / "manifest-signer.pem")
    manifest = dnsbound("id", "adopt", examples / "manifest.json", "--below", "cars.example", *signer)
    assert (manifest.code, len(names(dnsbound))) == (0, 5)
    assert "--manifest-signer" not in manifest.err


def test_standard_input_is_a_source(dnsbound, zone):
    line = f'{{"serial": "7", "public_key": "{b64(spki(1))}"}}\n'.encode()
    assert dnsbound("id", "adopt", "-", "--below", "cars.example", stdin=line * 2).code == 0
    assert names(dnsbound) == {"7"}


def test_hashed_labels_need_a_secret_of_ones_own(dnsbound, zone):
    Path("secret").write_bytes(b"s" * 32)
    options = ("id", "adopt", table(("a", 1)), "--below", "cars.example", "--label-secret", "secret", "--dry-run")
    Path("secret").chmod(0o644)
    assert dnsbound(*options).code == 2
    Path("secret").chmod(0o600)
    ran = dnsbound(*options)
    assert ran.code == 0
    assert "a._device" not in ran.out


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("nowhere.csv",),
        ("devices.csv", "--undo", "x"),
        ("devices.csv", "--format", "xlsx"),
        ("devices.csv", "--column", "key=x"),
        ("devices.csv", "--column", "name"),
        ("devices.csv", "--name-from", "dns"),
        ("devices.csv", "--label-template", "same.cars.example"),
        ("devices.csv", "--usage", "2"),
        ("devices.csv", "--selector", "0", "--matching", "0"),
        ("devices.csv", "--ttl", "99999999"),
        ("devices.csv", "--tag", "not a tag"),
        ("devices.csv", "--max-removals", "many"),
        ("devices.csv", "--complete"),
        ("devices.csv", "--below", "cars.example", "--complete", "--tag", "a", "--tag", "b"),
        ("devices.csv", "--rejects", "rejects.xlsx"),
        ("devices.csv", "--resume"),
        ("devices.csv", "--below", "cars.example", "--resume", "--rollback", "absent"),
        ("devices.csv", "--below", "cars.example", "--rollback", "devices.csv"),
        ("devices.csv", "--manifest-signer", "devices.csv"),
        ("--undo", "devices.csv"),
    ],
)
def test_wrong_use_is_told_and_changes_nothing(dnsbound, zone, arguments):
    table(("a", 1))
    ran = dnsbound("id", "adopt", *arguments)
    assert ran.code == 2, ran
    assert len([line for line in ran.err.splitlines() if line.startswith("dnsbound: ")]) == 1
    assert names(dnsbound) == set()
    assert sorted(path.name for path in Path().iterdir()) == ["devices.csv"]
