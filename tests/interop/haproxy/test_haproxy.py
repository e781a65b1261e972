"""HAProxy with the configuration of `dnsbound config haproxy` and `haproxy-tcp`, over all that a client can bring."""

import pytest

from interop.fronts import VERSIONS, failures, front, whole_trial
from interop.radius_devices import SHAPES

pytestmark = pytest.mark.peer("haproxy")


@pytest.fixture(scope="module")
def haproxy():
    with front("haproxy") as running:
        yield running


@pytest.fixture(scope="module")
def before_tcp():
    with front("haproxy-tcp") as running:
        yield running


@pytest.mark.parametrize("over_tcp", [False, True], ids=["socket", "secret"])
@pytest.mark.parametrize("server", ["haproxy", "haproxy-tcp"])
def test_cs_02_the_printed_configuration_holds(server, over_tcp):
    assert failures(whole_trial(server, over_tcp=over_tcp)) == []


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_cs_01_certificates_of_every_shape(haproxy, shape, version):
    assert failures([haproxy.of_shape(shape, version)]) == []


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_cs_01_certificates_before_a_tcp_service(before_tcp, shape, version):
    assert failures([before_tcp.of_shape(shape, version)]) == []


@pytest.mark.parametrize("version", VERSIONS)
def test_cs_04_a_revoked_client_stays_out_whether_its_session_is_resumed_or_not(haproxy, version):
    _, outcome = haproxy.resumed_after_revocation(version)
    assert outcome.passed, outcome


def test_http_2(haproxy):
    answer, arrived = haproxy.over_http_2(haproxy.stage.right.credential)
    assert (answer.http_version, answer.status_code, arrived) == ("HTTP/2", 200, True)
    answer, arrived = haproxy.over_http_2(haproxy.stage.stranger.credential)
    assert (answer.status_code, arrived) == (403, False)
