"""The trial itself: a configuration that lets somebody by fails it, where it says so, and nothing stays behind."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from dnsbound.errors import PeerError
from dnsbound.testing.front_trials.trials import outcomes, server_trial
from interop.daemon import eventually
from interop.fronts import failures, here

pytestmark = pytest.mark.peer("nginx")
OWN_FIELDS = "proxy_set_header Dnsbound-Name $dnsbound_name;\n"


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Who is never put out need not be waited for."""
    monkeypatch.setattr("dnsbound.testing.front_trials.http_trial.REVOKED_SECONDS", 4.0)


def tried_with(*changes):
    """The outcomes that fail when the printed text is changed so."""
    trial, program = server_trial("nginx"), here("nginx")

    def changed(settings):
        files = trial.snippet.files(settings)
        for before, after in changes:
            assert any(before in file.text for file in files), before
            files = tuple(replace(file, text=file.text.replace(before, after)) for file in files)
        return files

    broken = replace(trial, snippet=replace(trial.snippet, files=changed))
    with closing(outcomes(broken, program.path, program.version)) as tried:
        return {outcome.what: outcome.came for outcome in failures(list(tried))}


def test_cs_02_a_server_that_does_not_ask_fails():
    failed = tried_with(("auth_request /_dnsbound_trial;", ""))
    assert failed["a client that is not on the access list"] == "in (200)"
    assert failed["a client without a certificate"] == "in (200)"
    assert failed["the same after its record is removed"] == "in (200)"
    assert "none" in failed["the right client"]


def test_cs_03_a_server_that_believes_the_clients_fields_fails():
    failed = tried_with(
        (OWN_FIELDS, ""),
        ('proxy_set_header Dnsbound_Name "";\n', ""),
        ("underscores_in_headers off;", "underscores_in_headers on;"),
    )
    came = failed["the right client, with fields that name another"]
    assert "car66._device.cars.example" in came
    assert "dnsbound_name" in came


def test_cs_05_a_server_that_opens_when_nobody_answers_fails():
    opened = "    error_page 500 = @open;\n    location @open { return 200; }\n"
    failed = tried_with(("    location / {", f"{opened}    location / {{"))
    assert list(failed) == ["the right client while the verify service is down"]


def test_cs_06_a_server_that_tells_another_certificate_fails():
    """As if it did not matter whose key signed the handshake."""
    failed = tried_with(("X-Client-Cert $ssl_client_escaped_cert", "X-Client-Cert $http_x_client_cert"))
    assert "the right client" in failed
    assert failed["a client without a certificate, with forged ones"].startswith("in")


def test_cs_09_a_server_that_tells_clients_why_not_fails():
    failed = tried_with(("satisfy all;", "satisfy all;\nadd_header Dnsbound-Reason $dnsbound_reason always;"))
    assert failed["a client that is not on the access list"] == "out, and told Dnsbound-Reason"


def test_a_server_that_does_not_start_is_no_outcome():
    with pytest.raises(PeerError, match="no_such_directive"):
        tried_with(("satisfy all;", "no_such_directive;"))


def command(*options):
    return [sys.executable, "-m", "dnsbound", "config", "nginx", "--check", *options]


def test_the_command_tells_each_outcome_and_ends_with_0():
    done = subprocess.run(command("--json"), capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(line["ok"] for line in told)
    assert len(told) == 13


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_what_was_started_ends_with_the_trial(tmp_path, number):
    """Ctrl-C in the middle: no program, and no file, stays behind."""
    environment = {**os.environ, "TMPDIR": tempfile.gettempdir()}
    with (tmp_path / "out").open("wb") as out:
        trial = subprocess.Popen(command(), stdout=out, stderr=out, env=environment, start_new_session=True)
    try:
        eventually(lambda: b"\n" in (tmp_path / "out").read_bytes(), 60)
        started = children(trial.pid)
        assert len(started) >= 2
        trial.send_signal(number)
        assert trial.wait(60) == 130
        assert [pid for pid in started if Path(f"/proc/{pid}/exe").exists()] == []
    finally:
        trial.kill()
        trial.wait(20)


def children(parent):
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            number, _, rest = stat.read_text().partition(" (")
        except OSError:
            continue
        if int(rest.rpartition(")")[2].split()[1]) == parent:
            found.append(int(number))
    return found
