"""Leases, transfers, authorities and blocks as a door sees them: real handshakes, an inventory behind World's zones.

Each look is a door of its own, with nothing in its cache; what caches do is in the tests of live sessions.
"""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import dns.name
import pytest

from dnsbound import verified_peer
from dnsbound.credential.credential import Credential
from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.dns.authority_zone import Zone
from dnsbound.dns.signer import ZoneKeys
from dnsbound.edge.context import Context
from dnsbound.edge.lease_targets import LeaseTargets
from dnsbound.errors import Reason, Refused
from dnsbound.names import ClientName
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.ownership.movers import LeaseMover, TransferMover
from dnsbound.provision.zone_data import InventoryZones
from dnsbound.testing import World
from machines.doors import dial, door, hang_up, run, serving
from unit.fleets import ZONES, create_zone

MAKERS = ClientName.parse("car54._device.cars.example")
LEASED = ClientName.parse("van1._device.hire.example")
WILDCARD = OwnerName.parse("*._device.cars.example", wildcard=True)
DAY = 86_400.0
ADMITTED = "admitted"


class Estate:
    """An inventory whose zones World serves, signed with World's keys: a change counts at the next query."""

    def __init__(self, world: World, inventory: Inventory, zones: InventoryZones) -> None:
        self.world = world
        self.inventory = inventory
        self.now = world.now()
        for name in ZONES:
            organisation = world.organisation(name)
            served = zones.find(dns.name.from_text(name))
            assert served is not None
            world.zones.put(Zone(served.data, organisation.keys))

    @property
    def acting(self) -> dict[str, object]:
        return {"now": self.now, "actor": "operations"}

    def register(self, name: ClientName) -> Credential:
        made = Credential.generate(name, now=self.now)
        self.inventory.identities.register(
            name, spki=made.spki, records=[made.tlsa()], ttl=60, certificate=made.chain[0], **self.acting
        )
        return made

    def verdict(self, credential: Credential | None, *, allow: ClientName, stock: Path | None = None) -> str:
        """What a fresh door that lets in `allow` decides about a client. stock: the standard library is the client,
        which sends no extension; a directory for its key."""
        at = door(self.world, allow.canonical)
        client: ssl.SSLContext
        if stock is None:
            client = Context.client(credential)
            client.load_verify_locations(cadata=self.world.web_root_pem.decode())
        else:
            assert credential is not None
            client = ssl.create_default_context(cadata=self.world.web_root_pem.decode())
            (stock / "client.pem").write_bytes(credential.to_pem())
            client.load_cert_chain(stock / "client.pem")

        async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(f"{verified_peer()}".encode())
            await hang_up(writer)

        async def main() -> None:
            loop = asyncio.get_running_loop()
            protocol = lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader(loop=loop), greet, loop=loop)  # noqa: E731
            async with serving(protocol, at) as port:
                with suppress(OSError):
                    reader, writer = await dial(port, client)
                    with suppress(OSError):
                        await reader.read()
                    await hang_up(writer)

        run("asyncio", main)
        [verdict] = at.reasons
        return verdict


@pytest.fixture
def estate(world: World, tmp_path: Path) -> Iterator[Estate]:
    with Inventory.open(tmp_path / "inventory.db", create=True) as inventory:
        for name in ZONES:
            create_zone(inventory, name)
        zones = InventoryZones(inventory, lambda origin, path: ZoneKeys.parse_pem(origin, path.read_bytes()))
        try:
            yield Estate(world, inventory, zones)
        finally:
            zones.close()


def named(credential: Credential, name: ClientName) -> Credential:
    """The same key and certificate, and another name to say."""
    return replace(credential, name=name)


def test_a_device_is_known_under_its_leased_name_until_the_lease_ends(estate: Estate, tmp_path: Path) -> None:
    made = estate.register(MAKERS)
    leased = named(made, LEASED)
    assert estate.verdict(leased, allow=LEASED) == Reason.NO_TLSA
    estate.inventory.leases.grant(LEASED, MAKERS, ends_at=estate.now + DAY, **estate.acting)
    assert estate.verdict(leased, allow=LEASED) == ADMITTED
    assert estate.verdict(made, allow=MAKERS) == ADMITTED
    # Its certificate names its maker: whoever cannot say the leased name is not on the lessee's list.
    assert estate.verdict(made, allow=LEASED, stock=tmp_path) == Reason.NOT_PERMITTED
    assert estate.verdict(made, allow=MAKERS, stock=tmp_path) == ADMITTED
    other = Credential.generate(LEASED, now=estate.now)
    assert estate.verdict(other, allow=LEASED) == Reason.TLSA_MISMATCH
    runner = LeaseMover(estate.inventory.leases, LeaseTargets(estate.world.resolver()), actor="runner")
    assert runner.advance(estate.now + DAY, 10).moved == 1
    assert estate.verdict(leased, allow=LEASED) == Reason.NO_TLSA
    assert estate.verdict(made, allow=MAKERS) == ADMITTED


def test_what_its_maker_revokes_is_gone_under_the_leased_name_too(estate: Estate) -> None:
    leased = named(estate.register(MAKERS), LEASED)
    estate.inventory.leases.grant(LEASED, MAKERS, ends_at=estate.now + DAY, **estate.acting)
    estate.inventory.identities.revoke(MAKERS, **estate.acting)
    assert estate.verdict(leased, allow=LEASED) == Reason.NO_TLSA


def test_a_lease_begins_only_when_the_dns_shows_the_device(estate: Estate) -> None:
    """Looked up through the validating resolver, as `lease grant` and the runner do."""
    foreign = estate.world.organisation("maker.test")
    unsigned = estate.world.organisation("plain.test", signed=False)
    device = foreign.device("car1")
    hidden = unsigned.device("car1")
    foreign.cname("alias._device", device.name.text)
    targets = LeaseTargets(estate.world.resolver())
    targets(device.name)
    with pytest.raises(Refused) as caught:
        targets(hidden.name)
    assert caught.value.reason is Reason.INSECURE
    with pytest.raises(Refused) as caught:
        targets(ClientName.parse("nobody._device.maker.test"))
    assert caught.value.reason is Reason.NO_TLSA
    later = estate.now + DAY
    for number, target in enumerate((device.name, hidden.name, ClientName.parse("alias._device.maker.test"))):
        name = ClientName.parse(f"van{number}._device.hire.example")
        estate.inventory.leases.grant(name, target, starts_at=later, ends_at=later + DAY, **estate.acting)
    runner = LeaseMover(estate.inventory.leases, targets, actor="runner")
    report = runner.advance(later, 10)
    assert (report.moved, report.refused, report.undecided) == (1, 2, 0)
    first = ClientName.parse("van0._device.hire.example")
    assert estate.verdict(named(device.credential, first), allow=first) == ADMITTED


def test_a_transferred_device_is_known_by_both_names_and_then_by_one(estate: Estate) -> None:
    made = estate.register(MAKERS)
    estate.inventory.transfers.begin(MAKERS, LEASED, overlap_until=estate.now + DAY, **estate.acting)
    assert estate.verdict(made, allow=MAKERS) == ADMITTED
    assert estate.verdict(named(made, LEASED), allow=LEASED) == ADMITTED
    assert TransferMover(estate.inventory.transfers, actor="runner").advance(estate.now + DAY, 10).moved == 1
    assert estate.verdict(made, allow=MAKERS) == Reason.NO_TLSA
    assert estate.verdict(named(made, LEASED), allow=LEASED) == ADMITTED


def test_an_authority_at_a_wildcard_and_one_device_that_is_shut_out(estate: Estate) -> None:
    authority = CertificateAuthority.create("Cars", now=estate.now, path_length=0)
    certified = authority.issue(MAKERS, now=estate.now)
    other = authority.issue("car55._device.cars.example", now=estate.now)
    assert other.name is not None
    assert estate.verdict(certified, allow=MAKERS) == Reason.NO_TLSA
    estate.inventory.authorities.publish(WILDCARD, authority.chain[0], **estate.acting)
    assert estate.verdict(certified, allow=MAKERS) == ADMITTED
    # Nobody's own certificate, and nobody else's name.
    assert estate.verdict(Credential.generate(MAKERS, now=estate.now), allow=MAKERS) == Reason.TLSA_MISMATCH
    assert estate.verdict(named(other, MAKERS), allow=MAKERS) == Reason.NAME_NOT_IN_CERTIFICATE
    estate.inventory.blocks.block(MAKERS, **estate.acting)
    assert estate.verdict(certified, allow=MAKERS) == Reason.TLSA_MISMATCH
    assert estate.verdict(other, allow=other.name) == ADMITTED
    estate.inventory.blocks.lift(MAKERS, **estate.acting)
    assert estate.verdict(certified, allow=MAKERS) == ADMITTED
    estate.inventory.authorities.revoke(WILDCARD, authority.chain[0], **estate.acting)
    assert estate.verdict(certified, allow=MAKERS) == Reason.NO_TLSA


def test_a_registered_device_that_is_revoked_below_a_wildcard_does_not_come_back_by_it(estate: Estate) -> None:
    """Without the block its certificate of the authority would count again."""
    authority = CertificateAuthority.create("Cars", now=estate.now)
    certified = authority.issue(MAKERS, now=estate.now)
    estate.inventory.authorities.publish(WILDCARD, authority.chain[0], **estate.acting)
    estate.inventory.identities.register(
        MAKERS, spki=certified.spki, records=[certified.tlsa()], ttl=60, **estate.acting
    )
    assert estate.verdict(certified, allow=MAKERS) == ADMITTED
    estate.inventory.identities.revoke(MAKERS, **estate.acting)
    assert estate.verdict(certified, allow=MAKERS) == Reason.TLSA_MISMATCH


def test_users_of_a_domain_under_their_authority(estate: Estate) -> None:
    authority = CertificateAuthority.create("Cars users", now=estate.now)
    users = OwnerName.parse("_user.cars.example")
    everybody = ClientName.parse("_user.cars.example")
    ann = ClientName.parse("ann._user.cars.example")
    for owner in (users, OwnerName.parse("*._user.cars.example", wildcard=True)):
        estate.inventory.authorities.publish(owner, authority.chain[0], **estate.acting)
    assert estate.verdict(authority.issue(everybody, now=estate.now), allow=everybody) == ADMITTED
    assert estate.verdict(authority.issue(ann, now=estate.now), allow=ann) == ADMITTED


def test_the_makers_name_is_enough_at_anybodys_door(estate: Estate) -> None:
    """No lease, no transfer: the lessee's door has the maker's name on its list."""
    made = estate.register(MAKERS)
    assert estate.verdict(made, allow=MAKERS) == ADMITTED
    assert estate.verdict(made, allow=LEASED) == Reason.NOT_PERMITTED
