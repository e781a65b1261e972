"""Zones that a real Knot DNS signs and serves, looked up by the stub from the zones' own keys as anchors."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from dnsbound.dns.anchors import TrustAnchors
from dnsbound.dns.answer import Outcome, Security
from dnsbound.edge.resolver import Resolver
from dnsbound.edge.upstream import Upstream
from interop.daemon import ask, free_port, program, run, started

pytestmark = [pytest.mark.peer("knotd"), pytest.mark.peer("keymgr")]

# Zone, and how it is signed.
POLICIES: Final = {
    "nsec.example": ("ecdsap256sha256", "nsec3: off\n    single-type-signing: on"),
    "nsec3.example": ("ed25519", "nsec3: on\n    nsec3-iterations: 0\n    nsec3-salt-length: 0"),
    "optout.example": (
        "ecdsap384sha384",
        "nsec3: on\n    nsec3-opt-out: on\n    nsec3-iterations: 5\n    nsec3-salt-length: 8",
    ),
    "rsa.example": ("rsasha256", "nsec3: off\n    ksk-size: 2048\n    zsk-size: 1024"),
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
CONFIGURATION: Final = """
server:
    rundir: "{directory}"
    listen: 127.0.0.1@{port}
log:
  - target: stderr
    any: warning
database:
    storage: "{directory}"
policy:
{policies}
zone:
{zones}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Knot:
    port: int
    anchors: TrustAnchors

    def resolver(self) -> Resolver:
        return Resolver([Upstream(address="127.0.0.1", port=self.port)], self.anchors)


@pytest.fixture(scope="module")
def knot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Knot]:
    directory = tmp_path_factory.mktemp("knot")
    port = free_port()
    policies = zones = ""
    for zone, (algorithm, options) in POLICIES.items():
        (directory / f"{zone}.zone").write_text(ZONE)
        policies += f"  - id: {zone}\n    algorithm: {algorithm}\n    {options}\n"
        zones += f'  - domain: {zone}\n    storage: "{directory}"\n    file: {zone}.zone\n'
        zones += f"    dnssec-signing: on\n    dnssec-policy: {zone}\n    zonefile-sync: -1\n"
        zones += "    zonefile-load: difference-no-serial\n    journal-content: all\n"
    configuration = directory / "knot.conf"
    configuration.write_text(CONFIGURATION.format(directory=directory, port=port, policies=policies, zones=zones))
    with started([program("knotd"), "-c", str(configuration)], directory / "knot.err") as daemon:
        daemon.wait_for(lambda: all(is_signed(port, zone) for zone in POLICIES), "every zone is signed")
        yield Knot(port=port, anchors=TrustAnchors.from_text(anchors(configuration)))


def is_signed(port: int, zone: str) -> bool:
    return len(ask(port, zone, "DNSKEY").answer) == 2


def anchors(configuration: Path) -> str:
    """The DS records Knot's own key manager states."""
    texts = []
    for zone in POLICIES:
        done = run([program("keymgr"), "-c", str(configuration), zone, "ds"])
        done.check_returncode()
        texts += [line for line in done.stdout.splitlines() if " DS " in line]
    return "\n".join(texts)


@pytest.mark.parametrize("zone", POLICIES)
def test_everything_a_zone_can_say(knot: Knot, zone: str) -> None:
    # What opt-out covers may be an unsigned delegation: insecure, wildcards too (RFC 5155 section 9.2).
    denied_name = Security.INSECURE if zone == "optout.example" else Security.SECURE
    expected = {
        (f"car54._device.{zone}", "TLSA"): (Security.SECURE, Outcome.RECORDS),
        (f"car54._device.{zone}", "A"): (Security.SECURE, Outcome.NODATA),
        (f"_device.{zone}", "TLSA"): (Security.SECURE, Outcome.NODATA),
        (f"car55._device.{zone}", "TLSA"): (denied_name, Outcome.NXDOMAIN),
        (f"a.b.c.car54._device.{zone}", "TLSA"): (denied_name, Outcome.NXDOMAIN),
        (f"alias.{zone}", "TLSA"): (Security.SECURE, Outcome.RECORDS),
        (f"car54.old.{zone}", "TLSA"): (Security.SECURE, Outcome.RECORDS),
        (f"any.wild.{zone}", "TLSA"): (denied_name, Outcome.RECORDS),
        (f"any.wild.{zone}", "A"): (denied_name, Outcome.NODATA),
        (f"many.{zone}", "TXT"): (Security.SECURE, Outcome.RECORDS),
        (zone, "SOA"): (Security.SECURE, Outcome.RECORDS),
        (zone, "DNSKEY"): (Security.SECURE, Outcome.RECORDS),
    }
    with knot.resolver() as resolver:
        for (name, rdtype), (security, outcome) in expected.items():
            answer = resolver.lookup_blocking(name, rdtype)
            assert (answer.security, answer.outcome) == (security, outcome), f"{name} {rdtype}: {answer.detail}"
            assert answer.wildcard is (name.startswith("any.wild") and outcome is Outcome.RECORDS)
            assert len(answer.aliases) == (name.startswith(("alias", "car54.old")))


@pytest.mark.parametrize("zone", POLICIES)
def test_unsigned_delegation(knot: Knot, zone: str) -> None:
    with knot.resolver() as resolver:
        answer = resolver.lookup_blocking(f"plain.{zone}", "DS")
        insecure = Security.INSECURE if zone == "optout.example" else Security.SECURE
        assert (answer.security, answer.outcome) == (insecure, Outcome.NODATA), answer.detail
        # Knot serves the zones and resolves nothing: below the cut it has a referral and no answer.
        below = resolver.lookup_blocking(f"car1.plain.{zone}", "TLSA")
        assert (below.security, below.outcome) == (Security.INDETERMINATE, Outcome.FAILED)
        assert "refers to other servers" in below.detail


def test_anchor_of_another_zone_does_not_fit(knot: Knot) -> None:
    text = knot.anchors.to_text().replace("rsa.example.", "x.example.").replace("nsec.example.", "rsa.example.")
    upstream = Upstream(address="127.0.0.1", port=knot.port)
    with Resolver([upstream], TrustAnchors.from_text(text)) as resolver:
        assert resolver.lookup_blocking("car54._device.rsa.example", "TLSA").security is Security.BOGUS
        assert resolver.lookup_blocking("car54._device.nsec.example", "TLSA").security is Security.INDETERMINATE


def test_asyncio_face(knot: Knot) -> None:
    async def ask() -> set[Security]:
        async with knot.resolver() as resolver:
            names = [f"car54._device.{zone}" for zone in POLICIES]
            return {answer.security for answer in await asyncio.gather(*(resolver.lookup(n, "TLSA") for n in names))}

    assert asyncio.run(ask()) == {Security.SECURE}
