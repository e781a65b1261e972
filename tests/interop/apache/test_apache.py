"""Apache with the configuration of `dnsbound config apache`, over all that a client can bring."""

import pytest

from interop.fronts import VERSIONS, failures, front, whole_trial
from interop.radius_devices import SHAPES

pytestmark = pytest.mark.peer("apache2")
NOT_TAKEN = {"expired", "for servers"}


@pytest.fixture(scope="module")
def apache():
    with front("apache") as running:
        yield running


@pytest.mark.parametrize("over_tcp", [False, True], ids=["socket", "secret"])
def test_cs_02_the_printed_configuration_holds(over_tcp):
    assert failures(whole_trial("apache", over_tcp=over_tcp)) == []


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_cs_01_certificates_of_every_shape(apache, shape, version):
    outcome = apache.of_shape(shape, version)
    assert outcome.passed == (shape not in NOT_TAKEN), outcome


@pytest.mark.parametrize("version", VERSIONS)
def test_cs_04_a_revoked_client_stays_out_whether_its_session_is_resumed_or_not(apache, version):
    _, outcome = apache.resumed_after_revocation(version)
    assert outcome.passed, outcome
