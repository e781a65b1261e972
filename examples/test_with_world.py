"""Tests of your own door, against a signed miniature Internet: pytest's `world` fixture comes with the package."""

import pytest

import dnsbound
from dnsbound.credential.presented import Presented
from dnsbound.testing import Fault, World
from dnsbound.verify.claim import Claim, NameSource, Proved


def claim_of(device_name: str, credential: dnsbound.Credential) -> Claim:
    """What a door puts together in a handshake; here without one, so that a test takes milliseconds."""
    return Claim(
        name=dnsbound.ClientName.parse(device_name),
        name_source=NameSource.EXTENSION,
        presented=Presented(credential.chain),
        door="api",
        possession=Proved(by="this test"),
    )


@pytest.fixture
def door(world: World) -> dnsbound.Authenticator:
    access = dnsbound.AccessList.allowing("api", ["*._device.cars.example"])
    return dnsbound.Authenticator(access, world.resolver(), door="api")


def test_a_car_comes_in_and_its_record_is_asked_for_once(world: World, door: dnsbound.Authenticator) -> None:
    car = world.organisation("cars.example").device("car54")
    for _ in range(2):
        peer = door.authenticate_blocking(claim_of(car.name.text, car.credential))
        assert peer.name == car.name
    asked = [query for query in world.queries_for(car.name.text) if query.face == "resolver"]
    assert len(asked) == 1


def test_a_revoked_car_stays_out(world: World, door: dnsbound.Authenticator) -> None:
    car = world.organisation("cars.example").device("car54", publish=False)
    with pytest.raises(dnsbound.Refused) as refused:
        door.authenticate_blocking(claim_of(car.name.text, car.credential))
    assert refused.value.reason is dnsbound.Reason.NO_TLSA


def test_a_forged_zone_lets_nobody_in(world: World, door: dnsbound.Authenticator) -> None:
    car = world.organisation("cars.example").device("car54")
    world.organisation("cars.example").fault(Fault.BOGUS)
    with pytest.raises(dnsbound.Undecided) as undecided:
        door.authenticate_blocking(claim_of(car.name.text, car.credential))
    assert undecided.value.reason is dnsbound.Reason.BOGUS
