"""`dnsbound serve dns` as a process: what other processes publish and revoke counts at the next query."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dns.dnssec
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import pytest

from dnsbound.testing.web_authority import WebAuthority

CAR = "car54._device.cars.example"
PROGRAM = [sys.executable, "-c", "from dnsbound.cli import main; main()"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith("DNSBOUND_")},
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "PYTHONUNBUFFERED": "1",
    }


def run(environment: dict[str, str], *arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        [*PROGRAM, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


@contextmanager
def serving(
    environment: dict[str, str], *options: str
) -> Iterator[tuple["subprocess.Popen[str]", dict[str, Any], int]]:
    process = subprocess.Popen(
        [*PROGRAM, "serve", "dns", "--json", "--port", "0", *options],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        facts = json.loads(line)
        yield process, facts, int(facts["addresses"][0].rpartition(":")[2])
    finally:
        process.kill()
        process.communicate(timeout=10)


def ask(port: int, name: str = CAR, rdtype: str = "TLSA", *, tcp: bool = False) -> dns.message.Message:
    query = dns.message.make_query(name, rdtype, want_dnssec=True)
    exchange = dns.query.tcp if tcp else dns.query.udp
    return exchange(query, "127.0.0.1", port=port, timeout=5)


@pytest.fixture
def zone(environment: dict[str, str]) -> None:
    run(environment, "zone", "create", "cars.example")


@pytest.mark.usefixtures("zone")
def test_publishing_and_revoking_count_at_the_next_query(environment: dict[str, str], tmp_path: Path) -> None:
    with serving(environment) as (_, facts, port):
        assert facts["zones"] == ["cars.example"]
        assert ask(port).answer == []
        run(environment, "id", "new", CAR, "--out", str(tmp_path / "out"))
        for tcp in (False, True):
            response = ask(port, tcp=tcp)
            assert response.flags & dns.flags.AA
            [tlsa, rrsig] = response.answer
            keys = ask(port, "cars.example", "DNSKEY").answer[0]
            dns.dnssec.validate(tlsa, rrsig, {dns.name.from_text("cars.example"): keys})
            assert rrsig[0].expiration - time.time() <= 3600
        run(environment, "revoke", CAR, "--yes")
        assert ask(port).answer == []


@pytest.mark.peer("delv")
@pytest.mark.usefixtures("zone")
def test_delv_validates_with_what_zone_ds_prints(environment: dict[str, str], tmp_path: Path) -> None:
    run(environment, "id", "new", CAR, "--out", str(tmp_path / "out"))
    *_, tag, algorithm, digest_type, digest = run(environment, "zone", "ds", "cars.example").split()
    anchors = tmp_path / "delv.conf"
    anchors.write_text(f'trust-anchors {{ "cars.example." static-ds {tag} {algorithm} {digest_type} "{digest}"; }};\n')
    with serving(environment) as (_, _, port):

        def delv(name: str) -> str:
            options = ["-a", str(anchors), "+root=cars.example", "@127.0.0.1", "-p", str(port)]
            done = subprocess.run(
                ["delv", *options, name, "TLSA"], capture_output=True, text=True, timeout=30, check=False
            )
            return done.stdout + done.stderr

        assert "; fully validated" in delv(CAR)
        assert "; negative response, fully validated" in delv("nope.cars.example")
        run(environment, "revoke", CAR, "--yes")
        assert "; negative response, fully validated" in delv(CAR)


@pytest.mark.usefixtures("zone")
def test_zones_and_keys_may_change_while_it_serves(environment: dict[str, str]) -> None:
    with serving(environment) as (_, _, port):
        run(environment, "zone", "create", "hire.example")
        assert ask(port, "hire.example", "SOA").answer
        before = set(ask(port, "cars.example", "DNSKEY").answer[0])
        run(environment, "zone", "roll-key", "cars.example")
        after = set(ask(port, "cars.example", "DNSKEY").answer[0])
        assert before < after
        ds = run(environment, "zone", "ds", "cars.example")
        for key in after:
            assert str(dns.dnssec.key_id(key)) in ds


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_cleanly(environment: dict[str, str], number: signal.Signals) -> None:
    with serving(environment) as (process, _, port), socket.create_connection(("127.0.0.1", port)):
        process.send_signal(number)
        assert process.wait(10) == 0
        assert process.stderr.read() == ""


@pytest.mark.usefixtures("zone")
def test_dns_over_tls(environment: dict[str, str], tmp_path: Path) -> None:
    authority = WebAuthority("test", now=time.time())
    path = tmp_path / "tls.pem"
    path.touch(0o600)
    path.write_bytes(authority.issue("ns1.cars.example").to_pem())
    (tmp_path / "root.pem").write_bytes(authority.root_pem)
    with serving(environment, "--tls-credential", str(path), "--tls-port", "0") as (_, facts, _):
        [tls_address] = facts["tls_addresses"]
        tls_port = int(tls_address.rpartition(":")[2])
        query = dns.message.make_query("cars.example", "SOA")
        response = dns.query.tls(
            query,
            "127.0.0.1",
            port=tls_port,
            timeout=5,
            server_hostname="ns1.cars.example",
            verify=str(tmp_path / "root.pem"),
        )
        assert response.answer


@pytest.mark.usefixtures("zone")
def test_what_cannot_be_served_is_told_in_one_line(environment: dict[str, str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        line = run(environment, "serve", "dns", "--port", str(taken.getsockname()[1]), code=3)
        assert "in use" in line
        assert line.count("\n") == 1
    assert run(environment, "serve", "dns", "--port", "0", "--validity", "1", code=2).count("\n") == 1
    (tmp_path / "bad.pem").touch(0o600)
    bad = run(environment, "serve", "dns", "--port", "0", "--tls-credential", str(tmp_path / "bad.pem"), code=2)
    assert bad.count("\n") == 1
    [key] = (tmp_path / "data" / "dnsbound" / "zone-keys").iterdir()
    key.chmod(0o644)
    assert "others may read" in run(environment, "serve", "dns", "--port", "0", code=2)
    key.unlink()
    assert run(environment, "serve", "dns", "--port", "0", code=3).count("\n") == 1


@pytest.mark.usefixtures("zone")
def test_keys_that_vanish_while_it_serves_are_an_error_and_never_an_unsigned_zone(
    environment: dict[str, str], tmp_path: Path
) -> None:
    with serving(environment) as (_, _, port):
        [key] = (tmp_path / "data" / "dnsbound" / "zone-keys").iterdir()
        key.unlink()
        run(environment, "zone", "create", "hire.example")  # a change, so that everything is read again
        assert ask(port, "cars.example", "SOA").rcode() == dns.rcode.SERVFAIL
        assert ask(port, "hire.example", "SOA").rcode() == dns.rcode.NOERROR
