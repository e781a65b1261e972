"""A real Unbound between the stub and a signed tree: UDP, TCP, DNS over TLS, and what Unbound itself holds for bogus.

The stub sets CD and judges by itself, so that what Unbound refuses to its own clients is seen, and named, here.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import dns.flags
import dns.message
import dns.rcode
import pytest

from dnsbound.dns.anchors import TrustAnchors
from dnsbound.dns.answer import Outcome, Security
from dnsbound.edge.resolver import Resolver
from dnsbound.edge.upstream import Upstream
from dnsbound.testing.peer_configuration import Stub
from dnsbound.testing.web_authority import WebAuthority
from dnsbound.testing.zone_answers import ZoneAnswers
from dnsbound.testing.zone_server import serve_zones
from dnsbound.testing.zones import ZonePlan, ZoneTree
from interop import daemon

pytestmark = pytest.mark.peer("unbound")

ASK_SECONDS: Final = 10.0
NAME: Final = "dns.made.example"
CAR: Final = "car54._device.cars.example"
RECORD: Final = "3 1 1 " + "ab" * 32
PLANS: Final = [
    ZonePlan.of("."),
    ZonePlan.of("example."),
    ZonePlan.of(
        "cars.example.",
        records=f"car54._device TLSA {RECORD}\nalias CNAME car54._device\naway CNAME car1.plain.example.\n"
        f"old DNAME _device\n*.wild TLSA {RECORD}\nexpired TLSA {RECORD}\nbare TLSA {RECORD}\n"
        + "".join(f"many TXT {'x' * 200}{n}\n" for n in range(20)),
        faults=["expired expired TLSA", "unsigned bare TLSA"],
    ),
    ZonePlan.of("hashed.example.", denial="nsec3 iterations=5 salt=ab", records=f"car54._device TLSA {RECORD}\n"),
    ZonePlan.of("plain.example.", keys=(), records=f"car1 TLSA {RECORD}\n"),
]
OPTIONS: Final = """\
interface: 127.0.0.1@{tls_port}
tls-port: {tls_port}
tls-service-key: "{directory}/server.pem"
tls-service-pem: "{directory}/server.pem"
ede: yes
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unbound:
    port: int
    tls_port: int
    roots: Path
    anchors: TrustAnchors

    def resolver(self, *, tls: str | None = None) -> Resolver:
        upstream = Upstream(address="127.0.0.1", port=self.port)
        if tls is not None:
            upstream = Upstream.parse(f"tls://127.0.0.1:{self.tls_port}#{tls}", ca_file=self.roots)
        return Resolver([upstream], self.anchors)

    def says(self, name: str, rdtype: str = "TLSA") -> dns.message.Message:
        """What an ordinary client is told, who leaves the validation to Unbound."""
        return daemon.ask(self.port, name, rdtype, seconds=ASK_SECONDS)


@contextlib.contextmanager
def running(directory: Path, *more: str) -> Iterator[Unbound]:
    tree = ZoneTree.build(PLANS, now=time.time())
    answers = ZoneAnswers(tree.zones)
    authority = WebAuthority("Test authority", now=time.time())
    (directory / "roots.pem").write_bytes(authority.root_pem)
    (directory / "server.pem").write_bytes(authority.issue(NAME).to_pem())
    tls_port = daemon.free_port()
    options = [*OPTIONS.format(directory=directory, tls_port=tls_port).splitlines(), *more]
    with serve_zones(lambda packet, udp: answers.respond_wire(packet, udp=udp)) as served:
        stubs = [Stub(zone=zone.origin.to_text(), port=served) for zone in tree.zones]
        with daemon.unbound(directory, anchors=tree.anchors(), stubs=stubs, options=options) as (_, port):
            yield Unbound(
                port=port,
                tls_port=tls_port,
                roots=directory / "roots.pem",
                anchors=TrustAnchors.from_text(tree.anchors()),
            )


@pytest.fixture(scope="module")
def unbound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Unbound]:
    with running(tmp_path_factory.mktemp("unbound")) as one:
        yield one


EXPECTED: Final = {
    (CAR, "TLSA"): (Security.SECURE, Outcome.RECORDS),
    (CAR, "A"): (Security.SECURE, Outcome.NODATA),
    ("_device.cars.example", "TLSA"): (Security.SECURE, Outcome.NODATA),
    ("car55._device.cars.example", "TLSA"): (Security.SECURE, Outcome.NXDOMAIN),
    ("alias.cars.example", "TLSA"): (Security.SECURE, Outcome.RECORDS),
    ("car54.old.cars.example", "TLSA"): (Security.SECURE, Outcome.RECORDS),
    ("any.wild.cars.example", "TLSA"): (Security.SECURE, Outcome.RECORDS),
    ("many.cars.example", "TXT"): (Security.SECURE, Outcome.RECORDS),
    ("away.cars.example", "TLSA"): (Security.INSECURE, Outcome.RECORDS),
    ("car1.plain.example", "TLSA"): (Security.INSECURE, Outcome.RECORDS),
    ("car54._device.hashed.example", "TLSA"): (Security.SECURE, Outcome.RECORDS),
    ("car55._device.hashed.example", "TLSA"): (Security.SECURE, Outcome.NXDOMAIN),
    ("expired.cars.example", "TLSA"): (Security.BOGUS, Outcome.FAILED),
    ("bare.cars.example", "TLSA"): (Security.BOGUS, Outcome.FAILED),
}


@pytest.mark.parametrize("tls", [None, NAME], ids=["plain", "tls"])
def test_judged_as_unbound_judges(unbound: Unbound, tls: str | None) -> None:
    with unbound.resolver(tls=tls) as resolver:
        for (name, rdtype), expected in EXPECTED.items():
            answer = resolver.lookup_blocking(name, rdtype)
            assert (answer.security, answer.outcome) == expected, f"{name} {rdtype}: {answer.detail}"
            theirs = unbound.says(name, rdtype)
            assert (theirs.rcode() == dns.rcode.SERVFAIL) is (answer.security is Security.BOGUS)
            assert bool(theirs.flags & dns.flags.AD) is (answer.security is Security.SECURE)


def test_what_is_wrong_is_named(unbound: Unbound) -> None:
    with unbound.resolver() as resolver:
        assert "expired 20" in resolver.lookup_blocking("expired.cars.example", "TLSA").detail
        bare = resolver.lookup_blocking("bare.cars.example", "TLSA").detail
        assert "no RRSIG over bare.cars.example. TLSA" in bare


def test_private_anchor_below_the_root(unbound: Unbound) -> None:
    text = ZoneTree.build(PLANS, now=time.time()).anchors("cars.example.")
    with Resolver([Upstream(address="127.0.0.1", port=unbound.port)], TrustAnchors.from_text(text)) as resolver:
        assert resolver.lookup_blocking(CAR, "TLSA").security is Security.SECURE
        other = resolver.lookup_blocking("car54._device.hashed.example", "TLSA")
        assert other.security is Security.INDETERMINATE


def test_the_worlds_root_is_not_this_root(unbound: Unbound) -> None:
    with Resolver([Upstream(address="127.0.0.1", port=unbound.port)]) as resolver:
        answer = resolver.lookup_blocking(CAR, "TLSA")
    assert answer.security is Security.BOGUS
    assert "none of the keys of . is its trust anchor (key 20326, 38696)" in answer.detail


def test_certificate_of_another_name_is_refused(unbound: Unbound) -> None:
    with unbound.resolver(tls="other.made.example") as resolver:
        answer = resolver.lookup_blocking(CAR, "TLSA")
    assert (answer.security, answer.outcome) == (Security.INDETERMINATE, Outcome.FAILED)
    assert "certificate is refused" in answer.detail


def test_asyncio_over_tls(unbound: Unbound) -> None:
    async def ask() -> list[tuple[Security, Outcome]]:
        async with unbound.resolver(tls=NAME) as resolver:
            answers = await asyncio.gather(*(resolver.lookup(name, rdtype) for name, rdtype in EXPECTED))
            return [(answer.security, answer.outcome) for answer in answers]

    assert asyncio.run(ask()) == list(EXPECTED.values())


def test_ad_bit_of_a_resolver_that_lies_is_not_used(tmp_path: Path) -> None:
    """Unbound told to state an answer of its own: AD or not, an unsigned record in a signed zone is bogus."""
    lie = (f'local-zone: "{CAR}." redirect', f'local-data: "{CAR}. TLSA 3 1 1 {"cd" * 32}"')
    with running(tmp_path, *lie) as lying, lying.resolver() as resolver:
        assert [rrset.to_text().split()[-1] for rrset in lying.says(CAR).answer] == ["cd" * 32]
        answer = resolver.lookup_blocking(CAR, "TLSA")
    assert (answer.security, answer.outcome, answer.records) == (Security.BOGUS, Outcome.FAILED, ())
