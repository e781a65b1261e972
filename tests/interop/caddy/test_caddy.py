"""Caddy with the configuration of `dnsbound config caddy`, over all that a client can bring."""

import pytest

from interop.fronts import VERSIONS, failures, front, whole_trial
from interop.radius_devices import SHAPES

pytestmark = pytest.mark.peer("caddy")
LEAF_ONLY = {"under an authority"}


@pytest.fixture(scope="module")
def caddy():
    with front("caddy") as running:
        yield running


@pytest.mark.parametrize("over_tcp", [False, True], ids=["socket", "secret"])
def test_cs_02_the_printed_configuration_holds(over_tcp):
    assert failures(whole_trial("caddy", over_tcp=over_tcp)) == []


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_cs_01_certificates_of_every_shape(caddy, shape, version):
    outcome = caddy.of_shape(shape, version)
    assert outcome.passed == (shape not in LEAF_ONLY), outcome


@pytest.mark.parametrize("version", VERSIONS)
def test_cs_04_a_revoked_client_stays_out_whether_its_session_is_resumed_or_not(caddy, version):
    _, outcome = caddy.resumed_after_revocation(version)
    assert outcome.passed, outcome


def test_http_2(caddy):
    answer, arrived = caddy.over_http_2(caddy.stage.right.credential)
    assert (answer.http_version, answer.status_code, arrived) == ("HTTP/2", 200, True)
    answer, arrived = caddy.over_http_2(caddy.stage.stranger.credential)
    assert (answer.status_code, arrived) == (403, False)
