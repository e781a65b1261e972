"""Wildcards and blocks as real servers answer them and a real resolver passes them on (RFC 4592).

The inventory publishes by dynamic updates with a key that may touch TLSA alone where the server can say so (BIND).
Unbound asks the server; our resolver asks Unbound, validates for itself, and the engine decides about a device with a
certificate of the authority that stands at the wildcard.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.dns.anchors import TrustAnchors
from dnsbound.edge.publishers import open_publisher
from dnsbound.edge.resolver import Resolver
from dnsbound.edge.upstream import Upstream
from dnsbound.errors import Reason, Refused
from dnsbound.names import ClientName
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.publish.endpoint import Endpoint
from dnsbound.provision.publish.mover import OutboxMover
from dnsbound.provision.publish.reconcile import Publishing
from dnsbound.provision.publish.targets import Rfc2136Target
from dnsbound.testing.peer_configuration import Stub
from dnsbound.verify.access import AccessList
from dnsbound.verify.claim import Claim, NameSource, Proved
from dnsbound.verify.engine import Verifier
from interop import daemon
from interop.primaries import ZONE, Server, bind, knot, nsd_secondary, powerdns, write_key

WILDCARD: Final = OwnerName.parse(f"*._device.{ZONE}", wildcard=True)
CAR: Final = ClientName.parse(f"car54._device.{ZONE}")
OTHER: Final = ClientName.parse(f"car55._device.{ZONE}")
BELOW: Final = ClientName.parse(f"engine.car54._device.{ZONE}")
DEEP: Final = ClientName.parse(f"a.plant._device.{ZONE}")
BESIDE_DEEP: Final = ClientName.parse(f"b.plant._device.{ZONE}")
ADMITTED: Final = "admitted"
PATIENCE: Final = 20.0
FORGETFUL: Final = ("cache-max-ttl: 0", "cache-min-ttl: 0", "cache-max-negative-ttl: 0", "aggressive-nsec: no")
"""Unbound keeps nothing, so that a test need not wait for its cache."""


@contextlib.contextmanager
def knot_behind_nsd(directory: Path) -> Iterator[tuple[Server, int]]:
    """Knot signs and takes the updates; NSD answers."""
    port = daemon.free_port()
    for role in ("primary", "secondary"):
        (directory / role).mkdir()
    with (
        knot(directory / "primary", notify=[port]) as primary,
        nsd_secondary(directory / "secondary", primary.port, port=port),
    ):
        yield primary, port


def alone(start: Callable[[Path], contextlib.AbstractContextManager[Server]]) -> Callable[[Path], object]:
    @contextlib.contextmanager
    def started(directory: Path) -> Iterator[tuple[Server, int]]:
        with start(directory) as server:
            yield server, server.port

    return started


SERVERS = [
    pytest.param(alone(knot), id="knot", marks=pytest.mark.peer("knotd", "keymgr")),
    pytest.param(alone(bind), id="bind", marks=pytest.mark.peer("named", "dnssec-dsfromkey")),
    pytest.param(alone(powerdns), id="powerdns", marks=pytest.mark.peer("pdns_server", "pdnsutil")),
    pytest.param(knot_behind_nsd, id="nsd", marks=pytest.mark.peer("nsd", "knotd", "keymgr")),
]
pytestmark = pytest.mark.peer("unbound")


@dataclass(frozen=True)
class Site:
    """An inventory that publishes to a server, an Unbound that asks it, and an authority for the devices."""

    inventory: Inventory
    target: Rfc2136Target
    resolver: Resolver
    authority: CertificateAuthority

    @property
    def acting(self) -> dict[str, object]:
        return {"now": time.time(), "actor": "operations"}

    def publish(self) -> None:
        outbox = OutboxMover(lambda: Publishing(self.inventory, {ZONE: self.target}, open_publisher))
        report = outbox.advance(time.time(), 100)
        assert report.moved, report
        assert (report.refused, report.undecided) == (0, 0), report

    def verdict(self, name: ClientName) -> str:
        """What a door decides about a device with a certificate of the authority."""
        presented = self.authority.issue(name, now=time.time()).presented
        verifier = Verifier(AccessList.from_toml(f'[door.api]\nallow = ["{name}"]\n'), door="api")
        claim = Claim(
            name=name,
            name_source=NameSource.EXTENSION,
            presented=presented,
            possession=Proved("test"),
            door="api",
        )
        need = verifier.begin(claim, now=time.time())
        answer = self.resolver.lookup_blocking(need.question.name, need.question.rdtype, refresh=True)
        try:
            need.answer(answer, now=time.time())
        except Refused as refusal:
            return refusal.reason.value
        return ADMITTED

    def comes_to(self, name: ClientName, expected: str) -> None:
        """At once where the server that takes updates answers; where another copies it, soon."""
        seen: list[str] = []

        def holds() -> bool:
            seen.append(self.verdict(name))
            return seen[-1] == expected

        daemon.eventually(holds, PATIENCE, otherwise=lambda: f"{name}: {seen[-1]}, not {expected}")


@pytest.fixture(params=SERVERS)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    for name in ("server", "unbound"):
        (tmp_path / name).mkdir()
    with contextlib.ExitStack() as held:
        server, port = held.enter_context(request.param(tmp_path / "server"))
        stub = Stub(zone=ZONE, host="127.0.0.1", port=port)
        _, asked = held.enter_context(
            daemon.unbound(tmp_path / "unbound", anchors=server.ds, stubs=[stub], options=FORGETFUL)
        )
        anchors = TrustAnchors.from_text(server.ds)
        resolver = held.enter_context(Resolver([Upstream.parse(f"127.0.0.1:{asked}")], anchors=anchors))
        inventory = held.enter_context(Inventory.open(tmp_path / "inventory.db", create=True))
        target = Rfc2136Target(
            zone=OwnerName.parse(ZONE), server=Endpoint.parse(server.address), key_file=write_key(tmp_path)
        )
        authority = CertificateAuthority.create("Cars", now=time.time(), path_length=0)
        yield Site(inventory=inventory, target=target, resolver=resolver, authority=authority)


@pytest.fixture
def certified(site: Site) -> Site:
    """The authority stands at the wildcard, and speaks for everybody below it."""
    site.inventory.authorities.publish(WILDCARD, site.authority.chain[0], ttl=1, **site.acting)
    site.publish()
    for name in (CAR, OTHER, BELOW, DEEP, BESIDE_DEEP):
        site.comes_to(name, ADMITTED)
    return site


def test_a_block_shuts_out_one_name_and_what_is_below_it(certified: Site) -> None:
    certified.inventory.blocks.block(CAR, **certified.acting)
    certified.publish()
    certified.comes_to(CAR, Reason.TLSA_MISMATCH)
    certified.comes_to(BELOW, Reason.NO_TLSA)
    assert certified.verdict(OTHER) == ADMITTED
    certified.inventory.blocks.lift(CAR, **certified.acting)
    certified.publish()
    certified.comes_to(CAR, ADMITTED)
    certified.comes_to(BELOW, ADMITTED)


def test_a_block_two_labels_down_silences_the_wildcard_for_its_neighbours(certified: Site) -> None:
    """RFC 4592 section 2.2.2; `authority gaps` tells of it."""
    [silenced] = certified.inventory.blocks.silenced_by(DEEP)
    certified.inventory.blocks.block(DEEP, **certified.acting)
    certified.publish()
    certified.comes_to(DEEP, Reason.TLSA_MISMATCH)
    certified.comes_to(BESIDE_DEEP, Reason.NO_TLSA)
    assert certified.verdict(ClientName.parse(silenced.text)) == Reason.NO_TLSA
    assert certified.verdict(CAR) == ADMITTED
    assert [gap.name for gap in certified.inventory.gaps()] == [silenced]


def test_a_registered_device_that_is_revoked_stays_out(certified: Site) -> None:
    device = certified.authority.issue(CAR, now=time.time())
    certified.inventory.identities.register(CAR, spki=device.spki, records=[device.tlsa()], ttl=1, **certified.acting)
    certified.publish()
    # Its own record speaks for its own key alone: another certificate of the authority is not enough any more.
    certified.comes_to(CAR, Reason.TLSA_MISMATCH)
    certified.inventory.identities.revoke(CAR, **certified.acting)
    certified.publish()
    certified.comes_to(CAR, Reason.TLSA_MISMATCH)
    assert certified.inventory.blocks.at(CAR) is not None
    certified.inventory.authorities.revoke(WILDCARD, certified.authority.chain[0], **certified.acting)
    certified.publish()
    certified.comes_to(OTHER, Reason.NO_TLSA)
    certified.comes_to(CAR, Reason.TLSA_MISMATCH)
