"""A fleet for every test."""

import pytest

from dnsbound.provision.inventory import Inventory
from unit.fleets import ZONES, Fleet, create_zone


@pytest.fixture
def fleet(database_url):
    with Inventory.open(database_url, create=True) as opened:
        for name in ZONES:
            create_zone(opened, name)
        yield Fleet(opened)
