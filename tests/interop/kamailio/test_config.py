"""Kamailio with the configuration of `dnsbound config kamailio`, over all that a client can bring."""

import pytest

from interop.fronts import VERSIONS, failures, front, whole_trial
from interop.radius_devices import SHAPES

pytestmark = pytest.mark.peer("kamailio")
LEAF_ONLY = {"under an authority"}


@pytest.fixture(scope="module")
def kamailio():
    with front("kamailio") as running:
        yield running


def test_cs_02_the_printed_configuration_holds():
    assert failures(whole_trial("kamailio")) == []


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_cs_01_certificates_of_every_shape(kamailio, shape, version):
    outcome = kamailio.of_shape(shape, version)
    assert outcome.passed == (shape not in LEAF_ONLY), outcome
