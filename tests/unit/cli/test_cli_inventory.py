"""`dnsbound inventory` and the words identities are found by."""

import gzip
import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = (sys.executable, "-c", "from dnsbound.cli import main; main()")

NAME = "car54._device.cars.example"
OTHER = "car55._device.cars.example"


@pytest.fixture
def filled(dnsbound):
    """Two identities: one with an owner and tags, one revoked."""
    assert dnsbound("id", "new", NAME, "--owner", "Cars Ltd", "--tag", "blue", "--reason", "delivered").code == 0
    assert dnsbound("id", "new", OTHER).code == 0
    assert dnsbound("revoke", OTHER, "--yes", "--no-publish", "--reason", "sold").code == 0


def names(ran):
    assert ran.code == 0, ran.err
    return [json.loads(line)["name"] for line in ran.lines]


def test_info_counts(dnsbound, filled):
    told = json.loads(dnsbound("inventory", "info", "--json").out)
    assert (told["active_identities"], told["revoked_identities"], told["current_keys"]) == (1, 1, 2)
    assert (told["records"], told["unpublished_names"], told["events"]) == (1, 2, 3)
    assert told["octets"] > 0
    assert told["place"] == str(Path(os.environ["XDG_DATA_HOME"]) / "dnsbound" / "inventory.db")
    shown = dnsbound("inventory", "info").lines
    assert shown[0] == told["place"]
    assert "  1 active identities" in shown


def test_events_tell_who_what_why(dnsbound, filled):
    log = [json.loads(line) for line in dnsbound("inventory", "events", "--json").lines]
    assert [(one["actor"], one["action"], one["subject"], one["reason"]) for one in log] == [
        ("operations", "register", NAME, "delivered"),
        ("operations", "register", OTHER, ""),
        ("operations", "revoke", OTHER, "sold"),
    ]
    assert log[0]["detail"]["owner"] == "Cars Ltd"
    about = [json.loads(line) for line in dnsbound("inventory", "events", "--json", "--subject", f"{OTHER}.").lines]
    assert about == log[1:]
    [last] = dnsbound("inventory", "events", "--after", str(log[1]["number"])).lines
    assert last.endswith(f"operations  revoke  {OTHER}  (sold)")


def test_events_are_followed(dnsbound, filled):
    with subprocess.Popen([*PROGRAM, "inventory", "events", "--json", "--follow"], stdout=subprocess.PIPE) as following:
        try:
            assert [json.loads(following.stdout.readline())["subject"] for _ in range(3)] == [NAME, OTHER, OTHER]
            assert dnsbound("id", "tag", NAME, "red").code == 0
            assert json.loads(following.stdout.readline())["detail"] == {"tags": ["red"]}
        finally:
            following.send_signal(signal.SIGINT)
        assert following.wait(20) == 130


def test_backup_and_restore(dnsbound, filled):
    made = dnsbound("inventory", "backup", "fleet.backup", "--json")
    assert (made.code, json.loads(made.out)["rows"]["identities"]) == (0, 2)
    assert stat.S_IMODE(Path("fleet.backup").stat().st_mode) == 0o600
    before = [dnsbound("id", "show", name, "--json").out for name in (NAME, OTHER)]
    restored = dnsbound("inventory", "restore", "fleet.backup", "--inventory", "other/inventory.db")
    assert (restored.code, restored.out.startswith("fleet.backup  2 identities, 2 keys, 1 records, 3 events")) == (
        0,
        True,
    )
    assert [
        dnsbound("id", "show", name, "--json", "--inventory", "other/inventory.db").out for name in (NAME, OTHER)
    ] == before


def test_the_keys_of_zones_are_missed_in_a_backup(dnsbound):
    assert dnsbound("zone", "create", "cars.example").code == 0
    ran = dnsbound("inventory", "backup", "fleet.backup")
    assert ran.code == 0
    assert "cars.example.pem" in ran.err


def test_restoring_over_something_asks(dnsbound, filled):
    assert dnsbound("inventory", "backup", "fleet.backup").code == 0
    assert dnsbound("id", "tag", NAME, "red").code == 0
    assert dnsbound("inventory", "restore", "fleet.backup").code == 1
    assert dnsbound("inventory", "restore", "fleet.backup", "--replace", stdin=b"n\n").code == 1
    assert dnsbound("inventory", "restore", "fleet.backup", "--replace", stdin=b"").code == 2
    assert names(dnsbound("id", "list", "--tag", "red", "--json")) == [NAME]
    assert dnsbound("inventory", "restore", "fleet.backup", "--replace", stdin=b"y\n").code == 0
    assert names(dnsbound("id", "list", "--tag", "red", "--json")) == []
    last = json.loads(dnsbound("inventory", "events", "--json").lines[-1])
    assert (last["action"], last["detail"]["replaced"]) == ("restore", True)


@pytest.mark.parametrize("danger", [False, True])
def test_a_restore_names_who_was_revoked_since(dnsbound, filled, danger):
    assert dnsbound("inventory", "backup", "fleet.backup").code == 0
    assert dnsbound("revoke", NAME, "--yes", "--no-publish").code == 0
    assert dnsbound("zone", "create", "cars.example").code == 0
    assert dnsbound("id", "block", "lost._device.cars.example").code == 0
    restore = ("inventory", "restore", "fleet.backup", "--replace", "--yes", *(("--danger-revoked",) if danger else ()))
    told = dnsbound(*restore)
    assert (told.code, told.out.count(NAME), told.out.count("lost._device.cars.example")) == (0, 1, 1)
    assert json.loads(dnsbound("id", "show", NAME, "--json").out)["state"] == ("active" if danger else "revoked")
    assert dnsbound("inventory", "restore", "fleet.backup", "--inventory", "new.db").code == 0
    facts = json.loads(dnsbound(*restore, "--json").out)
    assert facts["kept_revoked"] is not danger
    limited = dnsbound(*restore, "--max-octets", "65536")
    assert limited.code == 0
    assert dnsbound(*restore, "--max-octets", "1").code == 2


@pytest.mark.parametrize(
    "content",
    [None, b"", b"text", gzip.compress(b"{}\n", mtime=0), gzip.compress(b'["tags", 1]\n', mtime=0)[:-9]],
    ids=["missing", "empty", "text", "no header", "cut"],
)
def test_what_is_no_backup_makes_no_inventory(dnsbound, content):
    if content is not None:
        Path("file").write_bytes(content)
    ran = dnsbound("inventory", "restore", "file", "--inventory", "new/inventory.db")
    assert (ran.code, ran.out, len(ran.err.splitlines())) == (2, "", 1)
    assert not Path("new").exists()


def test_a_backup_replaces_no_other_file(dnsbound, filled):
    Path("notes").write_text("mine")
    ran = dnsbound("inventory", "backup", "notes")
    assert (ran.code, Path("notes").read_text()) == (2, "mine")


def test_migrate_goes_back_only_with_consent(dnsbound, filled):
    assert dnsbound("inventory", "migrate").out.strip().endswith("schema 0002")
    ran = dnsbound("inventory", "migrate", "--to", "0001")
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)
    assert "1 rows of tags" in ran.err
    assert "--danger-lose-data" in ran.err
    assert dnsbound("inventory", "migrate", "--to", "nonsense").code == 2
    assert dnsbound("inventory", "migrate", "--to", "0001", "--danger-lose-data").out.strip().endswith("schema 0001")
    place = Path(os.environ["XDG_DATA_HOME"]) / "dnsbound" / "inventory.db"
    with sqlite3.connect(place) as direct:
        assert direct.execute("SELECT count(*) FROM identities WHERE length(spki) > 0").fetchone() == (2,)
    direct.close()
    assert names(dnsbound("id", "list", "--json")) == [NAME, OTHER]  # and up again


def test_identities_are_found_by_what_is_known_of_them(dnsbound, filled):
    key = json.loads(dnsbound("id", "show", NAME, "--json").out)["keys"][0]["sha256"]
    find = lambda *options: names(dnsbound("id", "list", "--json", *options))  # noqa: E731
    assert find("--owner", "Cars Ltd") == find("--tag", "blue") == find("--key", key) == [NAME]
    assert find("--key", ":".join(key[i : i + 2] for i in range(0, 64, 2)).upper()) == [NAME]
    assert find("--key", "00" * 32) == find("--tag", "blue", "--state", "revoked") == []
    for wrong in ("", "zz", "00", "00" * 33):
        assert dnsbound("id", "list", "--key", wrong).code == 2


def test_owner_and_tags_are_changed_and_told(dnsbound, filled):
    assert dnsbound("id", "tag", NAME, "model=x5", "blue", "--reason", "sorted").lines == [
        f"{NAME}  owner Cars Ltd  tags blue, model=x5"
    ]
    assert dnsbound("id", "untag", NAME, "blue").code == 0
    assert dnsbound("id", "untag", NAME, "blue").code == 1
    assert dnsbound("id", "tag", NAME, "two words").code == 2
    told = json.loads(dnsbound("id", "set-owner", NAME, "Rental Ltd", "--reason", "sold", "--json").out)
    assert told == {"name": NAME, "owner": "Rental Ltd", "tags": ["model=x5"]}
    assert dnsbound("id", "tag", OTHER, "late").code == 1
    shown = dnsbound("id", "show", NAME).lines
    assert "  owner  Rental Ltd" in shown
    assert "  tags   model=x5" in shown
    assert any(line.endswith("set-owner by operations: sold") for line in shown)
    [key] = json.loads(dnsbound("id", "show", NAME, "--json").out)["keys"]
    assert (key["state"], key["algorithm"], bool(key["certificate"])) == ("current", "P-256", True)


@pytest.mark.parametrize("option", ["--reason", "--owner"])
def test_texts_that_may_not_be_kept(dnsbound, option):
    ran = dnsbound("id", "new", NAME, option, "-----BEGIN PRIVATE KEY-----")
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)
    assert not Path(f"{NAME}.pem").exists()


@pytest.mark.peer("postgres")
def test_the_same_commands_on_postgresql(dnsbound, postgresql_server):
    place = postgresql_server.database()
    assert dnsbound("id", "list", "--inventory", place).code == 2
    assert dnsbound("id", "new", NAME, "--tag", "blue", "--inventory", place).code == 0
    assert names(dnsbound("id", "list", "--tag", "blue", "--json", "--inventory", place)) == [NAME]
    told = dnsbound("inventory", "info", "--json", "--inventory", place)
    assert (
        json.loads(told.out)["place"]
        == place.replace(place.split("@")[0], "postgresql://fleet")
        .replace("/inventory", f"{postgresql_server.directory}/inventory", 1)
        .partition("?")[0]
    )
    assert "pass-" not in told.out + told.err
    assert dnsbound("inventory", "backup", "fleet.backup", "--inventory", place).code == 0
    assert dnsbound("inventory", "restore", "fleet.backup").code == 0
    assert names(dnsbound("id", "list", "--json")) == [NAME]
    refused = dnsbound("id", "list", "--inventory", postgresql_server.url("absent"))
    assert (refused.code, len(refused.err.splitlines())) == (3, 1)
    assert "pass-" not in refused.err


def test_a_url_in_the_configuration(dnsbound, monkeypatch):
    Path("dnsbound.toml").write_text('inventory = "postgresql://fleet:secret@127.0.0.1:1/fleet"\n')
    monkeypatch.setenv("DNSBOUND_CONFIG", "dnsbound.toml")
    ran = dnsbound("id", "list")
    assert (ran.code, len(ran.err.splitlines())) == (3, 1)
    assert "postgresql://fleet@127.0.0.1:1/fleet" in ran.err
    assert "secret" not in ran.err


def test_a_database_of_another_kind_is_no_path(dnsbound):
    for place in ("mysql://fleet:secret@db.example/identities", "sqlite:///inventory.db"):
        ran = dnsbound("id", "new", NAME, "--inventory", place)
        assert (ran.code, len(ran.err.splitlines())) == (2, 1)
        assert "secret" not in ran.err
        assert list(Path().iterdir()) == []
