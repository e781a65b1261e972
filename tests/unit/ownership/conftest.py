"""A fleet for every test."""

import pytest

from dnsbound.provision.inventory import Inventory
from unit.fleets import ZONES, Fleet, create_zone


@pytest.fixture
def fleet(tmp_path):
    with Inventory.open(tmp_path / "inventory.db", create=True) as opened:
        for name in ZONES:
            create_zone(opened, name)
        yield Fleet(opened)
