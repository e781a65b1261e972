"""Prosody with the configuration of `dnsbound config prosody`, over all that a client can bring."""

import pytest

from interop.fronts import VERSIONS, failures, front, whole_trial
from interop.radius_devices import SHAPES

pytestmark = pytest.mark.peer("prosody")


@pytest.fixture(scope="module")
def prosody():
    with front("prosody") as running:
        yield running


def test_cs_02_the_printed_configuration_holds():
    assert failures(whole_trial("prosody")) == []


def test_cs_02_the_printed_configuration_for_other_servers_holds():
    assert failures(whole_trial("prosody-s2s")) == []


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_cs_01_certificates_of_every_shape(prosody, shape, version):
    assert failures([prosody.of_shape(shape, version)]) == []
