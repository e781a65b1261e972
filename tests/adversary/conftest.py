"""The door as a fixture."""

from collections.abc import Iterator

import pytest

from adversary.door import Door, open_door
from dnsbound.testing import World


@pytest.fixture
def door(world: World) -> Iterator[Door]:
    with open_door(world) as opened:
        yield opened
