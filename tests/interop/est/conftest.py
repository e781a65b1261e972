"""One World for the tests of a module, and an enrolment server for each test."""

import pytest

from dnsbound.testing.world import World
from interop.est.est_site import Clock, est_site


@pytest.fixture(scope="module")
def internet():
    with World(clock=Clock()) as world:
        yield world


@pytest.fixture
def site(internet, tmp_path):
    with est_site(internet, tmp_path) as running:
        yield running
