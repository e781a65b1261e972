"""The inventory's whole round as a user types it: create, issue, serve, verify with delv, revoke, verify again."""

import contextlib
import json
import shutil
import signal
import subprocess
import sys

import pytest

NAME = "car54._device.cars.example"
PROGRAM = [sys.executable, "-c", "from dnsbound.cli import main; main()"]


@contextlib.contextmanager
def serving(*arguments):
    process = subprocess.Popen(
        [*PROGRAM, "serve", "dns", "--port", "0", "--json", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        assert line, process.communicate(timeout=30)[1]
        host, _, port = json.loads(line)["addresses"][0].rpartition(":")
        yield host, port
    finally:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")


@pytest.fixture
def validated(dnsbound, tmp_path):
    """Ask delv, with the zone's DS as the only anchor; what it prints of the name, and its verdict line."""
    made = json.loads(dnsbound("zone", "create", "cars.example", "--ttl", "2", "--json").out)
    anchors = tmp_path / "anchors.conf"
    anchors.write_text(anchors_text(made["ds"]))

    def asked(server, name, rdtype="TLSA"):
        done = subprocess.run(
            [shutil.which("delv"), f"@{server[0]}", "-p", server[1], "-a", anchors, "+root=cars.example", name, rdtype],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.stdout + done.stderr

    return asked


def anchors_text(ds_records):
    lines = []
    for ds in ds_records:
        tag, algorithm, digest_type, digest = ds.split()
        lines.append(f'    cars.example. static-ds {tag} {algorithm} {digest_type} "{digest}";')
    return "trust-anchors {\n" + "\n".join(lines) + "\n};\n"


@pytest.mark.peer("delv")
def test_issue_and_revoke_while_serving(dnsbound, validated):
    with serving() as server:
        absent = validated(server, NAME)
        assert "; negative response, fully validated" in absent
        [line] = dnsbound("id", "new", NAME).lines
        present = validated(server, NAME)
        assert "; fully validated" in present
        assert line.split()[-1].upper() in present.replace(" ", "").upper()
        assert dnsbound("revoke", NAME, "--yes").code == 0
        assert "; negative response, fully validated" in validated(server, NAME)


@pytest.mark.peer("delv")
def test_a_key_roll_while_serving(dnsbound, validated):
    dnsbound("id", "new", NAME)
    with serving() as server:
        for step in ((), ("--activate", "--danger-now")):
            assert dnsbound("zone", "roll-key", "cars.example", *step).code == 0
            assert "; fully validated" in validated(server, NAME)
        assert dnsbound("zone", "roll-key", "cars.example", "--finish", "--danger-now").code == 0
        # The anchor is the old key's DS, and that key is gone now.
        assert "; fully validated" not in validated(server, NAME)


@pytest.mark.peer("delv")
def test_a_zone_created_while_serving(dnsbound, validated):
    with serving() as server:
        assert dnsbound("zone", "create", "late.cars.example").code == 0
        assert dnsbound("id", "new", "car1.late.cars.example").code == 0
        assert "; fully validated" in validated(server, "car1.late.cars.example")


def test_nothing_to_serve_from(dnsbound):
    ran = dnsbound("serve", "dns", "--port", "0")
    assert ran.code == 2
    assert "no inventory" in ran.err


def test_a_zone_without_its_key_is_told_before_serving(dnsbound, tmp_path):
    dnsbound("zone", "create", "cars.example")
    (tmp_path / "share" / "dnsbound" / "zone-keys" / "cars.example.pem").unlink()
    ran = dnsbound("serve", "dns", "--port", "0")
    assert ran.code == 3
    assert len(ran.err.splitlines()) == 1
