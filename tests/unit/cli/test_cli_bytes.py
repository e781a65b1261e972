"""`dnsbound bytes`: the same facts as a table, JSON, CSV, Markdown and a picture."""

import builtins
import csv
import json
import subprocess
import sys

import pytest

from dnsbound.testing.octet_combinations import standard

ONE = ("--version", "tls13", "--key", "p256", "--group", "x25519", "--client", "raw", "--server", "raw", "--no-chains")


def test_a_table_for_people(dnsbound):
    ran = dnsbound("bytes", *ONE)
    assert ran.code == 0
    header, without, named, note = ran.lines
    assert header.split()[:4] == ["version", "key", "group", "client"]
    assert without.split()[:6] == ["TLS", "1.3", "p256", "X25519", "raw", "raw"]
    assert "yes" in named
    assert "MTU of 1280" in note
    assert ran.err == "", "no progress where nobody looks"


def test_json_has_every_number(dnsbound):
    ran = dnsbound("bytes", *ONE, "--name", "--json", "--mtu", "1400")
    [handshake] = json.loads(ran.out)["handshakes"]
    assert json.loads(ran.out)["mtu"] == 1400
    assert (
        handshake["octets"]
        == handshake["client_octets"] + handshake["server_octets"]
        == sum(handshake["flight_octets"])
    )
    assert handshake["name"] is True
    assert handshake["ratio"] < 0.6
    assert handshake["datagrams"] is None
    assert handshake["packets"] == handshake["client_packets"] + handshake["server_packets"] == 3
    assert handshake["packet_octets"] == handshake["octets"] + 3 * 60


def test_nothing_is_passed_over(dnsbound):
    """Every standard combination is there: measured, or with the reason."""
    handshakes = json.loads(dnsbound("bytes", "--json").out)["handshakes"]
    assert len(handshakes) == len(standard())
    for combination, handshake in zip(standard(), handshakes, strict=True):
        assert handshake.get("reason") == combination.unavailable_because
        assert ("octets" in handshake) == (combination.unavailable_because is None)


def test_csv_is_a_table_of_one_width(dnsbound):
    ran = dnsbound("bytes", "--csv", "--version", "dtls12", "--version", "dtls13")
    rows = list(csv.DictReader(ran.lines))
    assert len(rows) > 5
    assert {row["version"] for row in rows} == {"dtls12", "dtls13"}
    assert all(None not in row and None not in row.values() for row in rows)
    assert {row["reason"] for row in rows if row["version"] == "dtls13"} == {"OpenSSL has no DTLS 1.3"}
    only_reasons = dnsbound("bytes", "--csv", "--version", "dtls13")
    assert only_reasons.lines[0].endswith(",reason")


def test_markdown_is_what_documents_take(dnsbound):
    ran = dnsbound("bytes", *ONE, "--markdown")
    assert all(line.startswith("|") and line.endswith("|") for line in ran.lines)
    assert len({line.count("|") for line in ran.lines}) == 1
    assert set(ran.lines[1]) == {"|", "-"}


def test_all_combinations_can_be_chosen_from(dnsbound):
    asked = ("bytes", "--client", "chain", "--server", "self-signed", "--no-chains", "--key", "p256", "--json")
    assert dnsbound(*asked).code == 2
    ran = dnsbound(*asked, "--all", "--version", "tls12", "--group", "X25519")
    assert len(json.loads(ran.out)["handshakes"]) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--version", "ssl3"), "none of tls13"),
        (("--key", "dsa"), "none of p256"),
        (("--group", "ffdhe2048"), "none of X25519"),
        (("--client", "pgp"), "none of chain"),
        (("--json", "--csv"), "choose one"),
        (("--mtu", "20"), "an MTU is from"),
        (("--plot", "picture.pdf"), ".svg or .png"),
        (("--plot", "missing/picture.svg"), "no such directory"),
    ],
)
def test_wrong_use_is_one_line(dnsbound, arguments, words):
    ran = dnsbound("bytes", *arguments)
    assert ran.code == 2
    assert words in ran.err
    assert ran.out == ""


@pytest.mark.parametrize(("name", "magic"), [("picture.svg", b"<?xml"), ("picture.PNG", b"\x89PNG")])
def test_a_picture(dnsbound, tmp_path, name, magic):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    file = tmp_path / name
    ran = dnsbound("bytes", *ONE, "--plot", file)
    assert ran.code == 0
    assert file.read_bytes().startswith(magic)
    if name.endswith("svg"):
        assert b"<!-- TLS 1.3, p256, X25519, raw / raw, name -->" in file.read_bytes()


def test_a_picture_of_nothing(dnsbound, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    ran = dnsbound("bytes", "--version", "dtls13", "--plot", tmp_path / "picture.svg")
    assert ran.code == 2
    assert "nothing was measured" in ran.err


def test_without_matplotlib_it_says_what_to_install(dnsbound, monkeypatch, tmp_path):
    real = builtins.__import__

    def without(name, *arguments, **options):
        if name.split(".")[0] == "matplotlib":
            raise ImportError(name)
        return real(name, *arguments, **options)

    for module in [module for module in sys.modules if module.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(builtins, "__import__", without)
    ran = dnsbound("bytes", *ONE, "--plot", tmp_path / "picture.svg")
    assert ran.code == 2
    assert "pip install 'dnsbound[plot]'" in ran.err
    assert ran.out == "", "before anything is measured"


def test_a_handshake_that_fails_is_a_no(dnsbound, monkeypatch):
    monkeypatch.setattr("dnsbound.testing.octet_measure._TURNS", 1)
    ran = dnsbound("bytes", *ONE)
    assert ran.code == 1
    assert "the handshake does not end" in ran.out


def test_matplotlib_is_loaded_for_pictures_alone():
    code = (
        "import sys; from dnsbound.cli.app import run; run(['bytes', '--version', 'dtls13']);"
        " print('matplotlib' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "False"
