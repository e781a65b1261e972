"""Unmodified gunicorn, with its own thread workers, and WSGI applications that know their callers."""

import os
import re
import signal
import socket
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from dnsbound import Context
from dnsbound.testing import World
from interop.daemon import Daemon, started

WAIT = 30.0
CAR = "car54._device.cars.example"
CONFIGURATION = """
import os
from pathlib import Path

import dnsbound
from dnsbound.adapters.gunicorn import door
from dnsbound.adapters.wsgi import VerifiedPeerMiddleware, require

HERE = Path(__file__).parent


def make_context():
    anchors = dnsbound.TrustAnchors.from_text(Path(os.environ["DNSBOUND_ANCHORS"]).read_text())
    resolver = dnsbound.Resolver([dnsbound.Upstream.parse(os.environ["DNSBOUND_RESOLVER"])], anchors)
    access = dnsbound.AccessFile(HERE / "access.toml")
    authenticator = dnsbound.Authenticator(access, resolver, door="api")
    return dnsbound.Context.server(
        dnsbound.load_credential(HERE / "server.pem"), authenticator=authenticator, policy=os.environ["POLICY"]
    )


worker_class, workers, threads, keepalive = "gthread", int(os.environ["WORKERS"]), 4, 60
certfile = keyfile = str(HERE / "server.pem")
ssl_context = door(make_context)


def show(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    peer = dnsbound.verified_peer()
    assert peer is environ["dnsbound.peer"]
    yield f"{environ.get('REMOTE_USER', 'somebody')} {dict(environ['dnsbound.grants'])} {os.getpid()}\\n".encode()
    yield from (f"{key}={value}\\n".encode() for key, value in sorted(environ.items()) if "admin" in str(value))
    assert dnsbound.verified_peer() is peer


def route(environ, start_response):
    if environ["PATH_INFO"] == "/admin":
        return require(show, role="admin")(environ, start_response)
    return show(environ, start_response)


application = VerifiedPeerMiddleware(route)
"""
ACCESS = """
[door.api]
allow = [
    { names = ["*._device.cars.example"], grants = { role = "reader" } },
    { names = ["boss._device.cars.example"], grants = { role = ["reader", "admin"] } },
]
"""


class Site:
    def __init__(self, world: World, port: int, daemon: Daemon) -> None:
        self.world = world
        self.port = port
        self.daemon = daemon
        self.url = f"https://localhost:{port}/"

    def context(self, device: Any) -> Context:
        made = Context.client(None if device is None else device.credential)
        made.load_verify_locations(cadata=self.world.web_root_pem.decode())
        return made

    def client(self, device: Any) -> httpx.Client:
        return httpx.Client(verify=self.context(device), timeout=WAIT, trust_env=False)


@contextmanager
def site(world: World, directory: Path, *, policy: str = "required", workers: int = 1) -> Iterator[Site]:
    (directory / "doors_site.py").write_text(CONFIGURATION)
    (directory / "access.toml").write_text(ACCESS)
    (directory / "server.pem").touch(mode=0o600)
    (directory / "server.pem").write_bytes(world.web_credential("localhost").to_pem())
    env = {**os.environ, **world.trust_env(), "POLICY": policy, "WORKERS": str(workers), "PYTHONPATH": str(directory)}
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "-c",
        "python:doors_site",
        "-b",
        "127.0.0.1:0",
        "doors_site:application",
    ]
    with started(command, directory / "log", cwd=directory, env=env) as daemon:
        daemon.wait_for(lambda: "Booting worker" in daemon.log_tail(), "its workers", seconds=WAIT)
        listening = re.search(r"Listening at: \S+:([0-9]+) ", daemon.log.read_text())
        assert listening is not None
        yield Site(world, int(listening[1]), daemon)


@pytest.fixture
def world() -> Iterator[World]:
    with World() as world:
        yield world


def to_the_end(tls: ssl.SSLSocket) -> None:
    """Until the server has closed the connection; OSError for an alert."""
    with suppress(ssl.SSLEOFError):
        while tls.recv(4096):
            pass


def told(client: httpx.Client, site: Site, path: str = "", **options: Any) -> list[str]:
    answer = client.get(site.url + path, **options)
    assert answer.status_code == 200
    return answer.text.splitlines()


def test_wsgi_applications_know_their_callers_and_grants(world: World, tmp_path: Path) -> None:
    cars = world.organisation("cars.example")
    car, boss = cars.device("car54"), cars.device("boss")
    with site(world, tmp_path) as at, at.client(car) as client, at.client(boss) as chief:
        first, again = told(client, at), told(client, at)
        assert first[0].startswith(f"{CAR} {{'role': 'reader'}} ")
        assert again == first  # by the same connection
        assert client.get(at.url + "admin").status_code == 403
        assert told(chief, at, "admin")[0].startswith("boss._device.cars.example ")


def test_forged_fields_are_not_seen(world: World, tmp_path: Path) -> None:
    car = world.organisation("cars.example").device("car54")
    forged = {
        "Dnsbound-Name": "admin.example",
        "dnsbound-grants": '{"role": "admin"}',
        "Client-Cert": ":admin:",
        "X-SSL-Client-S-DN": "CN=admin",
        "Remote-User": "no-admin",
    }
    with site(world, tmp_path) as at, at.client(car) as client:
        lines = told(client, at, headers=forged)
        assert lines[0].startswith(f"{CAR} ")
        assert lines[1:] == ["HTTP_REMOTE_USER=no-admin"]  # another key than REMOTE_USER


def test_strangers_are_shut_out_before_anything_is_said_in_clear(world: World, tmp_path: Path) -> None:
    stranger = world.organisation("mallory.example").device("car54")
    with site(world, tmp_path) as at:
        for device in (stranger, None):
            context = at.context(device)
            with socket.create_connection(("127.0.0.1", at.port), WAIT) as plain:
                tls = context.wrap_socket(plain, server_hostname="localhost")
                with tls, pytest.raises(OSError):  # noqa: PT011 (an alert, or a reset after it)
                    to_the_end(tls)
        assert "Traceback" not in at.daemon.log.read_text()


def test_a_kept_connection_is_cut_when_its_record_goes(world: World, tmp_path: Path) -> None:
    car = world.organisation("cars.example").device("car54")
    with site(world, tmp_path) as at, socket.create_connection(("127.0.0.1", at.port), WAIT) as plain:
        tls = at.context(car).wrap_socket(plain, server_hostname="localhost")
        with tls:
            tls.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert tls.recv(4096).startswith(b"HTTP/1.1 200")
            car.revoke()
            tls.settimeout(WAIT)
            to_the_end(tls)  # long before gunicorn's keepalive of 60 s
            with at.client(car) as again, pytest.raises(httpx.HTTPError):
                again.get(at.url)


def test_clients_without_a_name_where_the_door_is_optional(world: World, tmp_path: Path) -> None:
    car = world.organisation("cars.example").device("car54")
    with site(world, tmp_path, policy="optional") as at, at.client(None) as nobody, at.client(car) as client:
        assert told(nobody, at)[0].startswith("somebody {} ")
        assert told(client, at)[0].startswith(f"{CAR} ")
        assert nobody.get(at.url + "admin").status_code == 403


def test_a_client_that_does_not_shake_hands_holds_up_nobody(world: World, tmp_path: Path) -> None:
    car = world.organisation("cars.example").device("car54")
    with site(world, tmp_path) as at, socket.create_connection(("127.0.0.1", at.port), WAIT) as silent:
        silent.sendall(b"\x16")
        with at.client(car) as client:
            assert told(client, at)[0].startswith(f"{CAR} ")


def test_new_workers_are_doors_too(world: World, tmp_path: Path) -> None:
    car = world.organisation("cars.example").device("car54")
    with site(world, tmp_path) as at:
        with at.client(car) as client:
            before = told(client, at)[0].split()[-1]
        at.daemon.process.send_signal(signal.SIGHUP)

        def another() -> bool:
            with at.client(car) as client:
                return told(client, at)[0].split()[-1] != before

        at.daemon.wait_for(another, "a new worker", seconds=WAIT)
