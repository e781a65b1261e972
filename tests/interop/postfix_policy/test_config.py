"""Postfix with the configuration of `dnsbound config postfix`, over all that a client can bring."""

import os

import pytest

from interop.fronts import VERSIONS, failures, front, whole_trial
from interop.radius_devices import SHAPES

pytestmark = [
    pytest.mark.peer("postfix"),
    pytest.mark.skipif(os.geteuid() != 0, reason="Postfix starts as root alone"),
]
NO_CHAIN = {"under an authority"}


@pytest.fixture(scope="module")
def postfix():
    with front("postfix") as running:
        yield running


def test_cs_02_the_printed_configuration_holds():
    assert failures(whole_trial("postfix")) == []


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_cs_01_certificates_of_every_shape(postfix, shape, version):
    outcome = postfix.of_shape(shape, version)
    assert outcome.passed == (shape not in NO_CHAIN), outcome
