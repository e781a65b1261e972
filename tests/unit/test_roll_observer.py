"""Whose word a roll takes: answers that validate, and no others."""

from pathlib import Path

import dns.rdatatype

from dnsbound.edge.roll_observer import RollObserver
from dnsbound.provision.lifecycle.machine import Observation, Served, Unknown
from dnsbound.provision.lifecycle.roll_mover import Expected
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.publish.targets import parse_targets
from dnsbound.testing.organisation import Device
from dnsbound.testing.world import World


def seen(world: World, device: Device) -> Observation:
    table = {"cars.example": {"to": "embedded", "servers": [str(world.authority_address)]}}
    expected = Expected(owner=OwnerName.parse(device.name.canonical), records=frozenset({device.record}))
    with world.resolver() as resolver:
        observer = RollObserver(resolver, targets=parse_targets(table, Path("targets.toml")), zones=lambda: ())
        [(_, observation)] = observer([expected])
    return observation


def test_a_zone_without_an_anchor_moves_no_roll() -> None:
    """Its signatures have good dates and prove nothing: whoever is on the way could have made them."""
    with World() as world:
        organisation = world.organisation("cars.example")
        device = organisation.device("car54")
        assert isinstance(seen(world, device), Served)
        world.organisation("example").data.remove(organisation.origin, dns.rdatatype.DS)
        observation = seen(world, device)
    assert isinstance(observation, Unknown)
    assert "no trust anchor" in observation.why
