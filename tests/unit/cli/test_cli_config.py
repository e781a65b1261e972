"""`dnsbound config`: what is printed, written, and refused."""

import json
import stat

import pytest

from dnsbound.adapters.fronts.listing import MODULES


@pytest.mark.parametrize("server", [server for server in MODULES if server != "stunnel"])
def test_json_has_every_file_and_our_part(dnsbound, server):
    ran = dnsbound("config", server, "--door", "gate-of-cars", "--json")
    assert ran.code == 0, ran.err
    told = json.loads(ran.out)
    assert told["server"] == server
    assert all(file["text"] and file["place"] for file in told["files"])
    assert any('door = "gate-of-cars"' in text for text in (told["authz"], *(file["text"] for file in told["files"])))
    assert '[door."gate-of-cars"]' in told["access"]


def _secret(tmp_path):
    file = tmp_path / "secret"
    file.touch(0o600)
    file.write_text("0123456789abcdefghijkl\n")
    return ("--verifier", "127.0.0.1:9301", "--secret-file", file)


def test_without_a_server_all_are_told(dnsbound):
    ran = dnsbound("config")
    assert ran.code == 0
    assert [line.split()[0] for line in ran.lines] == list(MODULES)
    rows = [json.loads(line) for line in dnsbound("config", "--json").lines]
    assert [row["server"] for row in rows] == list(MODULES)


def test_files_are_written_once_and_over_themselves_by_force(dnsbound, tmp_path):
    out = tmp_path / "made"
    ran = dnsbound("config", "nginx", "--output", out)
    assert (ran.code, ran.out) == (0, "")
    first = (out / "dnsbound-nginx.conf").read_text()
    assert f'include "{out}/dnsbound-nginx.door"' in first
    again = dnsbound("config", "nginx", "--output", out, "--door", "another")
    assert again.code == 2
    assert (out / "dnsbound-nginx.conf").read_text() == first
    assert dnsbound("config", "nginx", "--output", out, "--door", "another", "--force").code == 0
    assert "another" in (out / "dnsbound-nginx.conf").read_text()


def test_cs_08_the_secret_is_written_for_its_owner_and_never_printed(dnsbound, tmp_path):
    options = ("config", "nginx", *_secret(tmp_path))
    printed = dnsbound(*options)
    assert printed.code == 0
    assert "0123456789abcdefghijkl" not in printed.out + printed.err + dnsbound(*options, "--json").out
    assert dnsbound(*options, "--output", tmp_path / "made").code == 0
    file = tmp_path / "made" / "dnsbound-nginx.secret"
    assert "Bearer 0123456789abcdefghijkl" in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_secret_is_made_once_and_is_the_services_too(dnsbound, tmp_path):
    out = tmp_path / "made"
    assert dnsbound("config", "traefik", "--output", out).code == 0
    secret = (out / "traefik.secret").read_text().strip()
    assert (out / "dnsbound-traefik.env").read_text() == f"DNSBOUND_SECRET={secret}\n"
    assert len(secret) >= 22
    assert f'secret_file = "{out}/traefik.secret"' in (out / "dnsbound-traefik.yaml").read_text()
    assert dnsbound("config", "traefik", "--output", out, "--force").code == 0
    assert (out / "traefik.secret").read_text().strip() == secret


def test_our_part_alone(dnsbound):
    ran = dnsbound("config", "nginx", "--label", "shop", "--user", "nginx", "--socket", "/run/x.sock", "--authz")
    assert ran.lines == [
        "[front.shop]",
        'protocol = "http"',
        'listen = "unix:/run/x.sock"',
        'users = ["nginx"]',
        'door = "api.example"',
        'claim_from = ["san"]',
    ]


@pytest.mark.parametrize(
    "options",
    [
        ("telnetd",),
        ("nginx", "--listen", "nowhere"),
        ("nginx", "--verifier", "nowhere"),
        ("nginx", "--verifier", "192.0.2.1:9301"),
        ("nginx", "--secret-file", "missing"),
        ("traefik", "--socket", "/run/x"),
        ("postfix", "--verifier", "127.0.0.1:9301"),
        ("stunnel", "--authz"),
        ("mosquitto", "--authz"),
        ("mosquitto", "--verifier", "127.0.0.1:1883"),
        ("nginx", "--verifier", "127.0.0.1:1", "--secret-file", "missing"),
        ("nginx", "--certificate", "relative.pem"),
        ("nginx", "--door", "two\nlines"),
        ("nginx", "--server-name", "a b"),
        ("nginx", "--label", "a b"),
    ],
)
def test_wrong_use(dnsbound, options):
    ran = dnsbound("config", *options)
    assert ran.code == 2
    assert len(ran.err.splitlines()) == 1
    assert ran.out == ""


def test_a_secret_that_others_may_read_is_refused(dnsbound, tmp_path):
    options = _secret(tmp_path)
    options[-1].chmod(0o644)
    assert dnsbound("config", "nginx", *options).code == 2


def test_a_socket_and_an_address_are_one_too_many(dnsbound, tmp_path):
    assert dnsbound("config", "nginx", *_secret(tmp_path), "--socket", "/run/x").code == 2


def test_what_is_not_installed_is_not_tried(dnsbound, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("dnsbound.adapters.fronts.installed._SERVERS", str(tmp_path))
    assert dnsbound("config", "nginx", "--check").code == 3
    assert "not found on this machine" in dnsbound("config", "nginx").out
