"""Unbound resolves from World's root down through the embedded authority, minimising names, and validates.

It is told where each zone is served (stub zones) because name servers cannot be given ports in the DNS. Its cache
forgets everything within a second, so that the tests need not wait for long.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import pytest
from dns.dnssectypes import Algorithm

from dnsbound.dns.signer import ZoneKeys
from dnsbound.testing import Face, Fault, Organisation, World
from dnsbound.testing.peer_configuration import Stub
from interop import daemon

pytestmark = pytest.mark.peer("unbound")

ASK_SECONDS: Final = 10.0
FORGET_SECONDS: Final = 1.5
"""Longer than anything stays in the cache under `cache-max-ttl: 1`."""

OPTIONS: Final = (
    "qname-minimisation: yes",
    "qname-minimisation-strict: yes",
    "harden-referral-path: no",
    "cache-max-ttl: 1",
    "cache-max-negative-ttl: 1",
    "val-bogus-ttl: 1",
    'local-zone: "test." nodefault',
)
ZONES: Final = (
    *(".", "example", "cars.example", "made.example", "plant.cars.example", "old.cars.example"),
    *("test", "hire.test", "plain.test"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unbound:
    """One running Unbound for one World."""

    running: daemon.Daemon
    port: int

    def ask(self, name: str, rdtype: str = "TLSA") -> dns.message.Message:
        query = dns.message.make_query(name, rdtype, want_dnssec=True)
        return dns.query.udp(query, "127.0.0.1", timeout=ASK_SECONDS, port=self.port)

    def secure(self, name: str, rdtype: str = "TLSA") -> dns.message.Message:
        """The response, which Unbound has validated."""
        response = self.ask(name, rdtype)
        assert response.rcode() == dns.rcode.NOERROR, self.running.log_tail()
        assert response.flags & dns.flags.AD, self.running.log_tail()
        return response

    def bogus(self, name: str, rdtype: str = "TLSA") -> bool:
        return self.ask(name, rdtype).rcode() == dns.rcode.SERVFAIL

    def eventually(self, condition: Callable[[], bool]) -> None:
        """It comes true within a few of the cache's seconds."""
        daemon.eventually(condition, 5 * FORGET_SECONDS, otherwise=self.running.log_tail)


@pytest.fixture
def unbound(world: World, tmp_path: Path) -> Iterator[Unbound]:
    address = world.authority_address
    stubs = [Stub(zone=zone, host=address.host, port=address.port) for zone in ZONES]
    with daemon.unbound(tmp_path, anchors=world.anchors_text, stubs=stubs, options=OPTIONS) as (running, port):
        yield Unbound(running=running, port=port)


@pytest.fixture
def cars(world: World) -> Organisation:
    return world.organisation("cars.example")


def tlsa(response: dns.message.Message) -> list[str]:
    return [rdata.to_text() for rrset in response.answer if rrset.rdtype == dns.rdatatype.TLSA for rdata in rrset]


@pytest.mark.parametrize("algorithm", [Algorithm.ECDSAP256SHA256, Algorithm.ED25519])
def test_positive(world: World, unbound: Unbound, algorithm: Algorithm) -> None:
    organisation = world.organisation("made.example", algorithm=algorithm)
    car = organisation.device("car54")
    assert tlsa(unbound.secure(car.name.text)) == [car.record.to_text()]
    for rdtype in ("SOA", "NS", "DNSKEY"):
        assert unbound.secure("made.example", rdtype).answer


def test_minimised_names_pass_the_empty_non_terminal(world: World, cars: Organisation, unbound: Unbound) -> None:
    car = cars.device("car54")
    world.queries.clear()
    unbound.secure(car.name.text)
    asked = {(query.name, query.rdtype) for query in world.queries}
    assert all(query.face is Face.AUTHORITY for query in world.queries)
    assert any(name == "_device.cars.example" for name, _ in asked), asked
    assert ("car54._device.cars.example", "TLSA") in asked


def test_denials(cars: Organisation, unbound: Unbound) -> None:
    car = cars.device("car54")
    for name, rdtype in (
        (car.name.text, "A"),
        ("nope._device.cars.example", "TLSA"),
        ("a.b.c.nope.cars.example", "TLSA"),
        ("_device.cars.example", "TLSA"),
        ("cars.example", "MX"),
    ):
        response = unbound.secure(name, rdtype)
        assert response.answer == []
        assert response.authority


def test_delegations(cars: Organisation, unbound: Unbound) -> None:
    robot = cars.delegate("plant").device("robot")
    assert tlsa(unbound.secure(robot.name.text)) == [robot.record.to_text()]
    assert unbound.secure("plant.cars.example", "DS").answer
    thing = cars.delegate("old", signed=False).device("thing")
    response = unbound.ask(thing.name.text)
    assert tlsa(response) == [thing.record.to_text()]
    assert not response.flags & dns.flags.AD
    assert unbound.secure("old.cars.example", "DS").answer == []


def test_aliases(world: World, cars: Organisation, unbound: Unbound) -> None:
    car = cars.device("car54")
    other = world.organisation("hire.test")
    other.cname("rented", car.name.text)
    assert tlsa(unbound.secure("rented.hire.test")) == [car.record.to_text()]
    other.cname("dangling", "nowhere.cars.example")
    assert [rrset.rdtype for rrset in unbound.secure("dangling.hire.test").answer] == [
        dns.rdatatype.CNAME,
        dns.rdatatype.RRSIG,
    ]
    unsigned = world.organisation("plain.test", signed=False)
    unsigned.cname("alias", car.name.text)
    assert not unbound.ask("alias.plain.test").flags & dns.flags.AD


def test_wildcards(cars: Organisation, unbound: Unbound) -> None:
    cars.publish("*._user", f"TLSA 2 0 1 {'ab' * 32}")
    for name in ("ann._user.cars.example", "desk.ann._user.cars.example", "z._user.cars.example"):
        assert tlsa(unbound.secure(name)) == [f"2 0 1 {'ab' * 32}"]
    assert unbound.secure("ann._user.cars.example", "A").answer == []
    cars.publish("box7._user", "TXT here")
    assert unbound.secure("box7._user.cars.example").answer == []
    assert unbound.secure("x.box7._user.cars.example").answer == []


def test_publishing_and_revoking_count_as_soon_as_the_cache_forgets(cars: Organisation, unbound: Unbound) -> None:
    car = cars.device("car54", publish=False)
    assert tlsa(unbound.secure(car.name.text)) == []
    car.publish()
    unbound.eventually(lambda: tlsa(unbound.secure(car.name.text)) == [car.record.to_text()])
    assert car.revoke()
    unbound.eventually(lambda: tlsa(unbound.secure(car.name.text)) == [])


def test_every_step_of_a_key_roll_validates(cars: Organisation, unbound: Unbound) -> None:
    car = cars.device("car54")
    for algorithm in (Algorithm.ECDSAP256SHA256, Algorithm.ED25519):
        assert cars.keys is not None
        old = cars.keys.keys[0].tag
        new = cars.roll_key(algorithm).tag
        time.sleep(FORGET_SECONDS)  # every step of a roll waits for the TTL of what it replaces
        unbound.secure(car.name.text)
        cars.set_keys(cars.keys.with_activated(new), publish_ds=False)
        unbound.secure(car.name.text)
        cars.set_keys(cars.keys)
        time.sleep(FORGET_SECONDS)
        unbound.secure(car.name.text)
        cars.set_keys(cars.keys.without(old))
        time.sleep(FORGET_SECONDS)
        unbound.secure(car.name.text)
        unbound.secure("nope.cars.example")


def test_a_key_the_parent_does_not_know_is_refused(cars: Organisation, unbound: Unbound) -> None:
    car = cars.device("car54")
    cars.set_keys(ZoneKeys.generate(cars.origin), publish_ds=False)
    assert unbound.bogus(car.name.text)


@pytest.mark.parametrize(
    "fault", [Fault.BOGUS, Fault.EXPIRED, Fault.NOT_YET_VALID, Fault.STRIPPED, Fault.REPLAYED, Fault.SERVFAIL]
)
def test_faults_are_seen(world: World, cars: Organisation, unbound: Unbound, fault: Fault) -> None:
    car, other = cars.device("car54"), cars.device("car55")
    world.fault(car.name.text, fault)
    assert unbound.bogus(car.name.text)
    unbound.secure(other.name.text)


def test_a_faulty_zone_is_seen(cars: Organisation, unbound: Unbound) -> None:
    car = cars.device("car54")
    cars.fault(Fault.EXPIRED)
    assert unbound.bogus(car.name.text)
    assert unbound.bogus("nope.cars.example")
