"""Whatever is typed, the answer is one line and an exit code, never a traceback."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dnsbound.credential.credential import Credential

NAME = "car54._device.cars.example"

# arguments, exit code, a word of the line. {name}: files made by the test below.
WRONG = [
    ((), 2, None),
    (("id",), 2, None),
    (("zone",), 2, None),
    (("nonsense",), 2, "nonsense"),
    (("id", "nonsense"), 2, "nonsense"),
    (("--nonsense",), 2, "--nonsense"),
    (("record",), 2, "FILE"),
    (("record", "missing.pem"), 2, "missing.pem"),
    (("record", "."), 2, "directory"),
    (("record", "{empty}"), 2, "empty"),
    (("record", "{junk}"), 2, "junk"),
    (("record", "{binary}"), 2, "binary"),
    (("record", "{cut}"), 2, "cut"),
    (("record", "{other}"), 2, "OTHER THING"),
    (("record", "{huge}"), 2, "larger"),
    (("record", "{cert}", "--usage", "9"), 2, "9"),
    (("record", "{cert}", "--usage", "-1"), 2, "-1"),
    (("record", "{cert}", "--usage", "3 1"), 2, "one word"),
    (("record", "{cert}", "--usage", ""), 2, "one word"),
    (("record", "{cert}", "--selector", "SPKY"), 2, "SPKY"),
    (("record", "{cert}", "--matching", "sha1"), 2, "sha1"),
    (("record", "{cert}", "--ttl", "-5"), 2, "-5"),
    (("record", "{cert}", "--ttl", "soon"), 2, "--ttl"),
    (("record", "{cert}", "--name", "*.cars.example"), 2, "wildcard"),
    (("record", "{cert}", "--name", "a..b"), 2, "empty label"),
    (("record", "{encrypted}"), 2, "encrypted"),
    (("record", "{key}", "--selector", "0"), 2, "certificate"),
    (("id", "new", "car54"), 2, "single label"),
    (("id", "new", "ü._device.cars.example"), 2, "label"),
    (("id", "new", NAME, "--algorithm", "dsa"), 2, "dsa"),
    (("id", "new", NAME, "--usage", "2"), 2, "--cert"),
    (("id", "new", NAME, "--raw", "--selector", "0"), 2, "certificate"),
    (("id", "new", NAME, "--cert", "{cert}", "--csr", "{cert}"), 2, "exclude"),
    (("id", "new", NAME, "--cert", "{key}"), 2, "private key"),
    (("id", "new", NAME, "--public-key", "{cert}"), 2, "certificate"),
    (("id", "new", NAME, "--cert", "{cert}", "--raw"), 2, "--raw"),
    (("id", "new", NAME, "--out", "{junk}"), 2, "junk"),
    (("id", "list"), 2, "no inventory"),
    (("id", "list", "--inventory", "{junk}"), 3, "inventory"),
    (("id", "list", "--inventory", "{songs}"), 2, "another program"),
    (("id", "list", "--inventory", "."), 2, "inventory"),
    (("id", "list", "--inventory", "{store}", "--state", "odd"), 2, "odd"),
    (("id", "show", NAME, "--inventory", "{store}"), 1, "not in the inventory"),
    (("revoke", NAME, "--yes", "--inventory", "{store}"), 1, "not an active identity of the inventory"),
    (("zone", "ds", "cars.example", "--inventory", "{store}"), 1, "not in the inventory"),
    (("zone", "export", "cars.example", "--inventory", "{store}"), 1, "not in the inventory"),
    (("zone", "roll-key", "cars.example", "--inventory", "{store}"), 1, "not in the inventory"),
    (("zone", "create", "*.example", "--inventory", "{store}"), 2, "wildcard"),
    (("zone", "create", "cars.example", "--ns", "a b", "--inventory", "{store}"), 2, "a b"),
    (("zone", "create", "cars.example", "--algorithm", "rsa", "--inventory", "{store}"), 2, "rsa"),
    (("zone", "create", "cars.example", "--ttl", "99999999", "--inventory", "{store}"), 2, "record-ttl"),
    (("zone", "publish", "a.cars.example", "A", "192.0.2.1", "--inventory", "{store}"), 1, "no zone"),
    (("zone", "publish", "a.cars.example", "TXT", "x", "--inventory", "{store}"), 2, "TXT"),
    (("match", NAME), 2, "--cert"),
    (("match", NAME, "--cert", "missing.pem"), 2, "missing.pem"),
    (("match", NAME, "--cert", "{cert}", "--resolver", "dns.example"), 2, "dns.example"),
    (("match", NAME, "--cert", "{cert}", "--resolver", "tls://192.0.2.1"), 2, "name or a pin"),
    (("match", NAME, "--cert", "{cert}", "--anchors", "{junk}"), 2, "junk"),
    (("match", NAME, "--cert", "{cert}", "--anchors", "{binary}"), 2, "binary"),
    (("match", NAME, "--cert", "{cert}", "--roots", "{key}"), 2, "no certificate"),
    (("explain", NAME, "--resolver", "127.0.0.1:70000"), 2, "70000"),
    (("explain", NAME, "--timeout", "0"), 2, "--timeout"),
    (("explain", "not a name"), 2, "label"),
    (("doctor", "--resolver", "nonsense"), 2, "nonsense"),
    (("completion", "tcsh"), 2, "tcsh"),
    (("serve", "dns"), 2, "no inventory"),
    (("serve", "dns", "--inventory", "{store}", "--port", "70000"), 2, "--port"),
    (("serve", "dns", "--inventory", "{store}", "--validity", "1"), 2, "signature-seconds"),
    (("serve", "dns", "--inventory", "{store}", "--tls-credential", "{junk}"), 2, "junk"),
    (("lab", "--port", "-1"), 2, "--port"),
    (("lab", "--directory", "{junk}"), 2, "--directory"),
    (("serve", "demo-api"), 2, "--allow"),
    (("serve", "demo-api", "--access", "{junk}"), 2, "line"),
    (("serve", "demo-api", "--allow", "nonsense"), 2, "label"),
    (("serve", "demo-api", "--allow", NAME, "--credential", "{cert}"), 2, "cert"),
]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

    from dnsbound.provision.inventory import Inventory

    directory = tmp_path_factory.mktemp("files")
    made = Credential.generate(NAME, now=1_700_000_000)
    pem = made.to_pem()
    start = pem.index(b"-----BEGIN CERTIFICATE")
    contents = {
        "empty": b"",
        "junk": b"hello, this is not what was asked for\n",
        "binary": bytes(range(256)) * 4,
        "cut": pem[start : start + 200],
        "other": b"-----BEGIN OTHER THING-----\nAAAA\n-----END OTHER THING-----\n",
        "huge": b"\x30" * ((1 << 20) + 1),
        "cert": pem[start:],
        "key": pem[:start],
        "encrypted": made.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pw")),
    }
    paths = {name: directory / name for name in contents}
    for name, octets in contents.items():
        paths[name].write_bytes(octets)
        paths[name].chmod(0o600)
    paths["store"] = directory / "store.db"
    Inventory.open(paths["store"], create=True).close()
    paths["songs"] = directory / "songs.db"
    songs = sqlite3.connect(paths["songs"])
    songs.execute("CREATE TABLE songs (title TEXT)")
    songs.close()
    return paths


@pytest.mark.parametrize(("arguments", "code", "word"), WRONG, ids=[" ".join(case[0]) or "nothing" for case in WRONG])
def test_wrong_use(dnsbound, files, arguments, code, word):
    before = {path: path.read_bytes() for path in files.values()}
    ran = dnsbound(*(argument.format(**files) for argument in arguments))
    assert (ran.code, ran.out if word else "") == (code, "")
    if word is not None:
        [line] = ran.err.splitlines()
        assert line.startswith("dnsbound: ")
        assert word in line
        assert "internal error" not in line
    assert "Traceback" not in ran.err
    assert {path: path.read_bytes() for path in files.values()} == before
    assert list(Path.cwd().iterdir()) == []


# The same as processes: what only a real exit shows.


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), 2),
        (("--help",), 0),
        (("--version",), 0),
        (("record", "missing.pem"), 2),
        (("id", "show", NAME, "--inventory", "{store}"), 1),
        (("explain", NAME, "--resolver", "127.0.0.1:1", "--timeout", "1"), 3),
    ],
)
def test_exit_codes_of_the_process(program, files, arguments, code):
    ran = program(*(argument.format(**files) for argument in arguments))
    assert ran.code == code
    assert "Traceback" not in ran.err


def test_a_reader_that_goes_away(files, dnsbound, tmp_path):
    store = tmp_path / "many.db"
    pem = tmp_path / "public.pem"
    pem.write_bytes(files["cert"].read_bytes())
    for number in range(3):
        assert dnsbound("id", "new", f"car{number}.cars.example", "--cert", pem, "--inventory", store).code == 0
    with subprocess.Popen(
        [sys.executable, "-c", "from dnsbound.cli import main; main()", "id", "list", "--inventory", store],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.close()
        errors = process.stderr.read()
        assert process.wait(60) == 141
    assert errors == b""


def test_ctrl_c():
    with subprocess.Popen(
        [sys.executable, "-c", "from dnsbound.cli import main; main()", "record", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdin.write(b"-----BEGIN")
        process.stdin.flush()
        wait_until_reading(process.pid)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.decode().splitlines() == ["dnsbound: interrupted"]


def wait_until_reading(pid):
    """Until the process sleeps in a read of its standard input, as the kernel tells."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        wchan, syscall = (Path(f"/proc/{pid}/{fact}").read_text() for fact in ("wchan", "syscall"))
        if "pipe" in wchan or syscall.startswith("0 0x0 "):
            return
        time.sleep(0.02)
    raise AssertionError("the program never read its input")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk(unbuffered):
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", "from dnsbound.cli import main; main()", "completion", "bash"],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        )
    assert done.returncode == 3
    [line] = done.stderr.decode().splitlines()
    assert "No space left" in line


def test_a_defect_is_one_line_and_undecided(dnsbound, monkeypatch):
    def broken(*_arguments):
        raise ZeroDivisionError("a defect\nof two lines")

    monkeypatch.setattr("dnsbound.cli.record.read_key_material", broken)
    ran = dnsbound("record", "x")
    assert ran.code == 3
    assert ran.err == "dnsbound: internal error, please report it: ZeroDivisionError: a defect of two lines\n"


def test_damage_is_undecided(dnsbound, files, tmp_path):
    store = tmp_path / "damaged.db"
    octets = bytearray(files["store"].read_bytes())
    octets[4096:] = os.urandom(len(octets) - 4096)
    store.write_bytes(octets)
    ran = dnsbound("id", "list", "--inventory", store)
    assert ran.code == 3
    assert len(ran.err.splitlines()) == 1
