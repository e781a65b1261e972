"""A real BIND that signs zones, resolves them, and speaks DNS over TLS, asked by the stub."""

import asyncio
import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import dns.exception
import dns.message
import dns.query
import pytest

from dnsbound.dns.anchors import TrustAnchors
from dnsbound.dns.answer import Outcome, Security
from dnsbound.edge.resolver import Resolver
from dnsbound.edge.upstream import Upstream
from dnsbound.testing.web_authority import WebAuthority

pytestmark = [pytest.mark.peer("named"), pytest.mark.peer("dnssec-dsfromkey")]

START_SECONDS: Final = 20.0
PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"
NAME: Final = "dns.made.example"
POLICIES: Final = {
    "nsec.example": "keys { csk lifetime unlimited algorithm ecdsap256sha256; };",
    "nsec3.example": (
        "keys { csk lifetime unlimited algorithm ed25519; }; nsec3param iterations 0 optout no salt-length 0;"
    ),
    "rsa.example": (
        "keys { ksk lifetime unlimited algorithm rsasha256 2048; zsk lifetime unlimited algorithm rsasha256 2048; };"
    ),
}
RECORD: Final = "3 1 1 " + "ab" * 32
ZONE: Final = f"""$TTL 300
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
ns A 127.0.0.1
car54._device TLSA {RECORD}
alias CNAME car54._device
old DNAME _device
*.wild TLSA {RECORD}
plain NS ns.plain
ns.plain A 127.0.0.1
""" + "".join(f"many TXT {'x' * 200}{n}\n" for n in range(20))
PLAIN: Final = f"""$TTL 300
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
ns A 127.0.0.1
car1 TLSA {RECORD}
"""
# Recursion is on, so that BIND answers below its own zone cuts as a resolver does.
CONFIGURATION: Final = """
options {{
    directory "{directory}";
    pid-file none;
    session-keyfile none;
    listen-on port {port} {{ 127.0.0.1; }};
    listen-on port {tls_port} tls local {{ 127.0.0.1; }};
    listen-on-v6 {{ none; }};
    recursion yes;
    allow-query {{ any; }};
    dnssec-validation no;
    empty-zones-enable no;
    key-directory "{directory}";
}};
tls local {{ cert-file "{directory}/server.pem"; key-file "{directory}/server.pem"; }};
controls {{ }};
zone "." {{ type hint; file "/dev/null"; }};
{policies}
{zones}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bind:
    port: int
    tls_port: int
    roots: Path
    anchors: TrustAnchors

    def resolver(self, *, tls: str | None = None) -> Resolver:
        upstream = Upstream(address="127.0.0.1", port=self.port)
        if tls is not None:
            upstream = Upstream.parse(f"tls://127.0.0.1:{self.tls_port}#{tls}", ca_file=self.roots)
        return Resolver([upstream], self.anchors)


def program(name: str) -> str:
    found = shutil.which(name, path=PATH)
    assert found is not None
    return found


def free_port() -> int:
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
        ):
            stream.bind(("127.0.0.1", 0))
            with contextlib.suppress(OSError):
                datagrams.bind(stream.getsockname())
                return int(stream.getsockname()[1])


def configure(directory: Path, port: int, tls_port: int) -> Path:
    policies = zones = ""
    for zone, keys in POLICIES.items():
        (directory / f"{zone}.zone").write_text(ZONE)
        (directory / f"plain.{zone}.zone").write_text(PLAIN)
        policies += f'dnssec-policy "{zone}" {{ {keys} }};\n'
        zones += f'zone "{zone}" {{ type primary; file "{zone}.zone"; dnssec-policy "{zone}"; inline-signing yes; }};\n'
        zones += f'zone "plain.{zone}" {{ type primary; file "plain.{zone}.zone"; }};\n'
    configuration = directory / "named.conf"
    configuration.write_text(
        CONFIGURATION.format(directory=directory, port=port, tls_port=tls_port, policies=policies, zones=zones)
    )
    return configuration


@pytest.fixture(scope="module")
def bind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bind]:
    directory = tmp_path_factory.mktemp("bind")
    port, tls_port = free_port(), free_port()
    authority = WebAuthority("Test authority", now=time.time())
    (directory / "roots.pem").write_bytes(authority.root_pem)
    (directory / "server.pem").write_bytes(authority.issue(NAME).to_pem())
    configuration = configure(directory, port, tls_port)
    command = [program("named"), "-g", "-c", str(configuration), "-n", "1"]
    with (
        (directory / "named.err").open("wb") as complaints,
        subprocess.Popen(command, stdout=complaints, stderr=complaints) as process,
    ):
        try:
            wait_until_signed(port, process, directory / "named.err")
            anchors = TrustAnchors.from_text(ds_records(directory))
            yield Bind(port=port, tls_port=tls_port, roots=directory / "roots.pem", anchors=anchors)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_until_signed(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    waiting = set(POLICIES)
    while waiting:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, f"not signed: {waiting}: {log.read_text()}"
        for zone in sorted(waiting):
            query = dns.message.make_query(f"absent.{zone}", "TLSA", want_dnssec=True)
            try:
                response = dns.query.tcp(query, "127.0.0.1", port=port, timeout=1)
            except (dns.exception.DNSException, OSError):
                time.sleep(0.05)
                continue
            # SOA and two or three denials, each with a signature: the whole zone is signed.
            if len(response.authority) >= 6:
                waiting.discard(zone)
            else:
                time.sleep(0.05)


def ds_records(directory: Path) -> str:
    """What BIND's own tool makes of the keys that sign the DNSKEY sets."""
    texts = []
    for path in directory.glob("K*.key"):
        if " 257 " in path.read_text():
            done = subprocess.run(
                [program("dnssec-dsfromkey"), "-2", str(path)], capture_output=True, text=True, timeout=30, check=True
            )
            texts.append(done.stdout)
    return "".join(texts)


@pytest.mark.parametrize("tls", [None, NAME], ids=["plain", "tls"])
@pytest.mark.parametrize("zone", POLICIES)
def test_everything_a_zone_can_say(bind: Bind, zone: str, tls: str | None) -> None:
    expected = {
        (f"car54._device.{zone}", "TLSA"): (Security.SECURE, Outcome.RECORDS),
        (f"car54._device.{zone}", "A"): (Security.SECURE, Outcome.NODATA),
        (f"_device.{zone}", "TLSA"): (Security.SECURE, Outcome.NODATA),
        (f"car55._device.{zone}", "TLSA"): (Security.SECURE, Outcome.NXDOMAIN),
        (f"a.b.c.car54._device.{zone}", "TLSA"): (Security.SECURE, Outcome.NXDOMAIN),
        (f"alias.{zone}", "TLSA"): (Security.SECURE, Outcome.RECORDS),
        (f"car54.old.{zone}", "TLSA"): (Security.SECURE, Outcome.RECORDS),
        (f"any.wild.{zone}", "TLSA"): (Security.SECURE, Outcome.RECORDS),
        (f"any.wild.{zone}", "A"): (Security.SECURE, Outcome.NODATA),
        (f"many.{zone}", "TXT"): (Security.SECURE, Outcome.RECORDS),
        (f"plain.{zone}", "DS"): (Security.SECURE, Outcome.NODATA),
        (f"car1.plain.{zone}", "TLSA"): (Security.INSECURE, Outcome.RECORDS),
        (f"car2.plain.{zone}", "TLSA"): (Security.INSECURE, Outcome.NXDOMAIN),
    }
    with bind.resolver(tls=tls) as resolver:
        for (name, rdtype), (security, outcome) in expected.items():
            answer = resolver.lookup_blocking(name, rdtype)
            assert (answer.security, answer.outcome) == (security, outcome), f"{name} {rdtype}: {answer.detail}"
            assert answer.wildcard is (name.startswith("any.wild") and outcome is Outcome.RECORDS)


def test_another_name_is_refused(bind: Bind) -> None:
    with bind.resolver(tls="other.made.example") as resolver:
        answer = resolver.lookup_blocking("car54._device.nsec.example", "TLSA")
    assert (answer.security, answer.outcome) == (Security.INDETERMINATE, Outcome.FAILED)
    assert "certificate is refused" in answer.detail


def test_asyncio_over_tls(bind: Bind) -> None:
    async def ask() -> set[Security]:
        async with bind.resolver(tls=NAME) as resolver:
            names = [f"car54._device.{zone}" for zone in POLICIES]
            return {answer.security for answer in await asyncio.gather(*(resolver.lookup(n, "TLSA") for n in names))}

    assert asyncio.run(ask()) == {Security.SECURE}
