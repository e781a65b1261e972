"""nginx with the configuration of `dnsbound config nginx` and `nginx-stream`, over all that a client can bring."""

import pytest

from interop.fronts import VERSIONS, failures, front, whole_trial
from interop.radius_devices import SHAPES

pytestmark = pytest.mark.peer("nginx")
LEAF_ONLY = {"under an authority"}
NOT_IN_STREAMS = {"expired", "for servers", *LEAF_ONLY}


@pytest.fixture(scope="module")
def nginx():
    with front("nginx") as running:
        yield running


@pytest.fixture(scope="module")
def stream():
    with front("nginx-stream") as running:
        yield running


@pytest.mark.parametrize("over_tcp", [False, True], ids=["socket", "secret"])
def test_cs_02_the_printed_configuration_holds(over_tcp):
    assert failures(whole_trial("nginx", over_tcp=over_tcp)) == []


def test_cs_02_the_printed_configuration_holds_before_a_tcp_service():
    assert failures(whole_trial("nginx-stream")) == []


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_cs_01_certificates_of_every_shape(nginx, shape, version):
    outcome = nginx.of_shape(shape, version)
    assert outcome.passed == (shape not in LEAF_ONLY), outcome


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_cs_01_certificates_before_a_tcp_service(stream, shape, version):
    outcome = stream.of_shape(shape, version)
    assert outcome.passed == (shape not in NOT_IN_STREAMS), outcome


@pytest.mark.parametrize("version", VERSIONS)
def test_cs_04_a_session_is_not_resumed_and_a_revoked_client_stays_out(nginx, version):
    resumed, outcome = nginx.resumed_after_revocation(version)
    assert not resumed
    assert outcome.passed, outcome


def test_http_2(nginx):
    answer, arrived = nginx.over_http_2(nginx.stage.right.credential)
    assert (answer.http_version, answer.status_code, arrived) == ("HTTP/2", 200, True)
    answer, arrived = nginx.over_http_2(nginx.stage.stranger.credential)
    assert (answer.status_code, arrived) == (403, False)
