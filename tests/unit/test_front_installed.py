"""Which servers are here: a program on the path, and what it says of its version."""

from dataclasses import replace

import pytest

from dnsbound.adapters.fronts.installed import found, installed
from dnsbound.adapters.fronts.listing import snippet
from dnsbound.adapters.fronts.snippet import Version

NGINX = snippet("nginx").facts


@pytest.fixture
def on_the_path(tmp_path, monkeypatch):
    """Make nginx a script of this text, and nothing else a program."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("dnsbound.adapters.fronts.installed._SERVERS", str(tmp_path))

    def put(text):
        path = tmp_path / "nginx"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    return put


@pytest.mark.parametrize("stream", ["", " >&2"], ids=["output", "errors"])
def test_a_version_on_either_stream(on_the_path, stream):
    path = on_the_path(f"echo nginx version: nginx/1.29.10{stream}; exit 3")
    here = installed(NGINX)
    assert here is not None
    assert (here.path, here.version) == (str(path), Version((1, 29, 10)))


@pytest.mark.parametrize("text", ["echo nothing of the kind", "exit 1", "printf 'nginx/\\377'"])
def test_a_program_that_says_no_version_is_here_all_the_same(on_the_path, text):
    on_the_path(text)
    here = installed(NGINX)
    assert here is not None
    assert here.version is None


def test_a_program_that_says_nothing_in_time(on_the_path, monkeypatch):
    monkeypatch.setattr("dnsbound.adapters.fronts.installed.ASK_SECONDS", 0.2)
    on_the_path("exec /bin/sleep 20")
    here = installed(NGINX)
    assert here is not None
    assert here.version is None


def test_what_is_not_here(on_the_path):
    assert installed(NGINX) is None
    assert installed(replace(NGINX, program=None)) is None
    assert found("../nginx") is None


@pytest.mark.parametrize(
    ("server", "said", "version"),
    [
        ("nginx", "nginx version: nginx/1.22.1", "1.22.1"),
        ("haproxy", "HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/", "2.6.12"),
        ("apache", "Server version: Apache/2.4.71 (Debian)\nServer built:   2026-11-12", "2.4.71"),
        ("caddy", "2.6.2", "2.6.2"),
        ("caddy", "v2.8.4 h1:q3pe0wpBj1OcHFZ3n/1nl4V4bxBrYoSoab7rL9BMYNk=", "2.8.4"),
        ("envoy", "envoy  version: 9c2c1a0/1.40.0/Clean/RELEASE/BoringSSL", "1.40.0"),
        ("mosquitto", "mosquitto version 2.0.11", "2.0.11"),
        ("rabbitmq", "3.10.8", "3.10.8"),
        ("stunnel", "stunnel 5.68 on x86_64-pc-linux-gnu platform", "5.68"),
        ("traefik", "Version:      3.1.2\nCodename:     comte", "3.1.2"),
    ],
)
def test_how_each_server_says_it(server, said, version):
    match = snippet(server).facts.version_pattern.search(said)
    assert match is not None
    assert Version.from_text(match[1]).to_text() == version
