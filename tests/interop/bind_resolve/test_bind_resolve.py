"""A real BIND that signs zones, resolves them, and speaks DNS over TLS, asked by the stub."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from dnsbound.dns.anchors import TrustAnchors
from dnsbound.dns.answer import Outcome, Security
from dnsbound.edge.resolver import Resolver
from dnsbound.edge.upstream import Upstream
from dnsbound.testing.web_authority import WebAuthority
from interop.daemon import ask, free_port, program, run, started

pytestmark = [pytest.mark.peer("named"), pytest.mark.peer("dnssec-dsfromkey")]

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
    with started(command, directory / "named.err") as daemon:
        daemon.wait_for(lambda: all(is_signed(port, zone) for zone in POLICIES), "every zone is signed")
        anchors = TrustAnchors.from_text(ds_records(directory))
        yield Bind(port=port, tls_port=tls_port, roots=directory / "roots.pem", anchors=anchors)


def is_signed(port: int, zone: str) -> bool:
    # SOA and two or three denials, each with a signature: the whole zone is signed.
    return len(ask(port, f"absent.{zone}", "TLSA").authority) >= 6


def ds_records(directory: Path) -> str:
    """What BIND's own tool makes of the keys that sign the DNSKEY sets."""
    texts = []
    for path in directory.glob("K*.key"):
        if " 257 " in path.read_text():
            done = run([program("dnssec-dsfromkey"), "-2", str(path)])
            done.check_returncode()
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
