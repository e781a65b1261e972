"""The door as a fixture."""

from collections.abc import Iterator

import pytest

from adversary.door import Door, open_door
from dnsbound.testing import World


@pytest.fixture
def door(world: World) -> Iterator[Door]:
    # Tickets are on, so that their absence says something.
    with open_door(world, ticket_lifetime=600) as opened:
        yield opened
