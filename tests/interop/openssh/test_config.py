"""OpenSSH with the configuration of `dnsbound config openssh`, over all keys that it knows."""

import pytest

from interop.fronts import failures, front, whole_trial
from interop.radius_devices import SHAPES

pytestmark = [pytest.mark.peer("sshd"), pytest.mark.peer("ssh"), pytest.mark.peer("curl")]
NO_CHAIN = {"under an authority"}


@pytest.fixture(scope="module")
def openssh():
    with front("openssh") as running:
        yield running


def test_cs_02_the_printed_configuration_holds():
    assert failures(whole_trial("openssh")) == []


@pytest.mark.parametrize("shape", SHAPES)
def test_cs_01_keys_of_certificates_of_every_shape(openssh, shape):
    outcome = openssh.of_shape(shape, "1.3")
    assert outcome.passed == (shape not in NO_CHAIN), outcome
