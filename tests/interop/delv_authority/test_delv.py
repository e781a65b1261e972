"""BIND's delv validates what the embedded authority signs. Its exit code is 0 on failure, so its text is read."""

import re
from pathlib import Path
from typing import Final

import pytest
from dns.dnssectypes import Algorithm

from dnsbound.dns.anchors import TrustAnchors
from dnsbound.dns.signer import ZoneKeys
from dnsbound.testing import Fault, Organisation, World
from dnsbound.testing.peer_configuration import delv_anchors
from interop.daemon import program, run

pytestmark = pytest.mark.peer("delv")

SECURE: Final = "fully validated"
DENIED: Final = "negative response, fully validated"
UNSIGNED: Final = "unsigned answer"


@pytest.fixture
def cars(world: World) -> Organisation:
    return world.organisation("cars.example")


class Delv:
    """Asks World's authority, with one zone's DS as the only anchor."""

    def __init__(self, world: World, directory: Path) -> None:
        self._world = world
        self._anchors = directory / "anchors.conf"
        self.anchor_at(world.root)

    def anchor_at(self, organisation: Organisation) -> None:
        assert organisation.keys is not None
        self._root = organisation.origin.to_text()
        anchors = TrustAnchors.of((organisation.origin, ds) for ds in organisation.keys.ds())
        self._anchors.write_text(delv_anchors(anchors))

    def ask(self, name: str, rdtype: str = "TLSA") -> str:
        address = self._world.authority_address
        done = run(
            [
                *(program("delv"), "-a", str(self._anchors), f"+root={self._root}", "+nocrypto", "+vtrace"),
                *(f"@{address.host}", "-p", str(address.port), name, rdtype),
            ]
        )
        return done.stdout + done.stderr

    def verdict(self, name: str, rdtype: str = "TLSA") -> str:
        """The words of delv's comment about the answer as a whole, or of its failure."""
        text = self.ask(name, rdtype)
        found = re.search(
            r"^(?:\S+ )?; ((?:negative response, )?(?:fully validated|unsigned answer))$", text, re.MULTILINE
        )
        if found:
            return found[1]
        failed = re.search(r"^;; resolution failed: (.+)$", text, re.MULTILINE)
        assert failed, text
        return failed[1]


@pytest.fixture
def delv(world: World, tmp_path: Path) -> Delv:
    return Delv(world, tmp_path)


@pytest.mark.parametrize("algorithm", [Algorithm.ECDSAP256SHA256, Algorithm.ED25519])
def test_positive(world: World, delv: Delv, algorithm: Algorithm) -> None:
    organisation = world.organisation("made.example", algorithm=algorithm)
    car = organisation.device("car54")
    text = delv.ask(car.name.text)
    assert f"; {SECURE}" in text
    assert car.record.data.hex()[:32].upper() in text.upper()
    for rdtype in ("SOA", "NS", "DNSKEY"):
        assert delv.verdict("made.example", rdtype) == SECURE


def test_the_zone_alone_with_its_own_anchor(cars: Organisation, delv: Delv) -> None:
    car = cars.device("car54")
    delv.anchor_at(cars)
    assert delv.verdict(car.name.text) == SECURE
    assert delv.verdict("nope.cars.example") == DENIED


def test_denials(cars: Organisation, delv: Delv) -> None:
    car = cars.device("car54")
    assert delv.verdict(car.name.text, "A") == DENIED
    for name, types in (
        ("nope._device.cars.example", "RRSIG NSEC TYPE128"),
        ("_device.cars.example", "RRSIG NSEC"),
        (car.name.text, "RRSIG NSEC TLSA"),
    ):
        text = delv.ask(name, "A")
        assert f"; {DENIED}" in text
        assert re.search(rf"^; {re.escape(name)}\. NSEC \S+ {types}$", text, re.MULTILINE), text


def test_delegations(world: World, cars: Organisation, delv: Delv) -> None:
    robot = cars.delegate("plant").device("robot")
    assert delv.verdict(robot.name.text) == SECURE
    assert delv.verdict("plant.cars.example", "DS") == SECURE
    thing = cars.delegate("old", signed=False).device("thing")
    assert delv.verdict(thing.name.text) == UNSIGNED
    assert delv.verdict("old.cars.example", "DS") == DENIED
    assert delv.verdict(world.organisation("cars.example").name, "DS") == SECURE


def test_aliases(world: World, cars: Organisation, delv: Delv) -> None:
    car = cars.device("car54")
    cars.cname("alias", car.name.text)
    assert delv.verdict("alias.cars.example") == SECURE
    cars.cname("dangling", "nowhere.cars.example")
    text = delv.ask("dangling.cars.example")
    assert f"; {SECURE}\ndangling.cars.example." in text
    assert "validating nowhere.cars.example/TLSA: nonexistence proof(s) found" in text


def test_wildcards(cars: Organisation, delv: Delv) -> None:
    cars.publish("*._user", f"TLSA 2 0 1 {'ab' * 32}")
    assert delv.verdict("ann._user.cars.example") == SECURE
    assert delv.verdict("desk.ann._user.cars.example") == SECURE
    assert delv.verdict("ann._user.cars.example", "A") == DENIED
    cars.publish("box7._user", "TXT here")
    assert delv.verdict("box7._user.cars.example") == DENIED
    assert delv.verdict("x.box7._user.cars.example") == DENIED


def test_publishing_and_revoking_count_at_the_next_query(cars: Organisation, delv: Delv) -> None:
    car = cars.device("car54", publish=False)
    assert delv.verdict(car.name.text) == DENIED
    car.publish()
    assert delv.verdict(car.name.text) == SECURE
    assert car.revoke()
    assert delv.verdict(car.name.text) == DENIED


def test_every_step_of_a_key_roll_validates(cars: Organisation, delv: Delv) -> None:
    car = cars.device("car54")
    for algorithm in (Algorithm.ECDSAP256SHA256, Algorithm.ED25519):
        assert cars.keys is not None
        old = cars.keys.keys[0].tag
        new = cars.roll_key(algorithm).tag
        assert delv.verdict(car.name.text) == SECURE
        cars.set_keys(cars.keys.with_activated(new), publish_ds=False)  # the parent still has both DS
        assert delv.verdict(car.name.text) == SECURE
        cars.set_keys(cars.keys)
        assert delv.verdict(car.name.text) == SECURE
        cars.set_keys(cars.keys.without(old))
        assert delv.verdict(car.name.text) == SECURE
        assert delv.verdict("nope.cars.example") == DENIED


def test_a_key_the_parent_does_not_know_is_refused(cars: Organisation, delv: Delv) -> None:
    car = cars.device("car54")
    cars.set_keys(ZoneKeys.generate(cars.origin), publish_ds=False)
    assert delv.verdict(car.name.text) not in (SECURE, UNSIGNED)


@pytest.mark.parametrize(
    "fault", [Fault.BOGUS, Fault.EXPIRED, Fault.NOT_YET_VALID, Fault.STRIPPED, Fault.REPLAYED, Fault.SERVFAIL]
)
def test_faults_are_seen(world: World, cars: Organisation, delv: Delv, fault: Fault) -> None:
    car, other = cars.device("car54"), cars.device("car55")
    world.fault(car.name.text, fault)
    assert delv.verdict(car.name.text) not in (SECURE, UNSIGNED, DENIED)
    assert delv.verdict(other.name.text) == SECURE
    world.heal(car.name.text)
    assert delv.verdict(car.name.text) == SECURE


def test_lies_are_seen(world: World, cars: Organisation, delv: Delv) -> None:
    car = cars.device("car54")
    world.fault(car.name.text, Fault.LYING, records=(f"TLSA 3 1 1 {'66' * 32}",))
    text = delv.ask(car.name.text)
    assert "resolution failed" in text
    world.fault("ghost._device.cars.example", Fault.LYING, records=(f"TLSA 3 1 1 {'66' * 32}",))
    assert "resolution failed" in delv.ask("ghost._device.cars.example")


def test_a_replay_in_time_cannot_be_told_from_the_truth(world: World, cars: Organisation, delv: Delv) -> None:
    car = cars.device("car54")
    world.fault(car.name.text, Fault.REPLAYED_IN_TIME)
    car.revoke()
    assert delv.verdict(car.name.text) == SECURE
    world.heal()
    assert delv.verdict(car.name.text) == DENIED
