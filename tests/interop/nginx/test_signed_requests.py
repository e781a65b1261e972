"""Signed requests through a real nginx that ends TLS and adds fields of its own: no client certificate anywhere."""

import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import uvicorn

from dnsbound import AccessList
from dnsbound.adapters.http_signatures_asgi import SignedRequestsMiddleware
from dnsbound.adapters.http_signatures_httpx import SignedByName
from dnsbound.edge.nonces import NoncesHere
from dnsbound.edge.object_verifier import ObjectVerifier
from dnsbound.edge.signed_requests import SignedRequests
from dnsbound.testing import World
from interop.daemon import free_port, program, started

pytestmark = pytest.mark.peer("nginx")
CONFIGURATION = """
daemon off; master_process off; pid nginx.pid; error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate web.pem; ssl_certificate_key web.pem;
        location / {{
            proxy_pass http://127.0.0.1:{back};
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Real-IP $remote_addr;
        }}
        location /v2/ {{
            proxy_pass http://127.0.0.1:{back}/;
        }}
        location /gzip/ {{
            gzip on; gzip_types *; gzip_min_length 1;
            proxy_pass http://127.0.0.1:{back};
        }}
    }}
}}
"""


async def echo(scope: Any, receive: Any, send: Any) -> None:
    message = await receive()
    name, octets = scope["extensions"]["dnsbound"]["name"], len(message["body"])
    body = f"{name} sent {octets} octets".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": body})


class Way:
    """A way to the API: World, the application on a thread, nginx before it."""

    def __init__(self, world: World, port: int) -> None:
        self.world = world
        self.car = world.organisation("cars.example").device("car54")
        self.server = world.organisation("gov.example").identity("api")
        self.origin = f"https://localhost:{port}"
        self.resolver = world.resolver()
        self.trusted = ssl.create_default_context(cadata=world.web_root_pem.decode())

    def application(self, path: str = "") -> Any:
        verifier = ObjectVerifier(AccessList.allowing("api", [self.car.name.text]), self.resolver, door="api")
        requests = SignedRequests(verifier, origin=self.origin + path, nonces=NoncesHere())
        return SignedRequestsMiddleware(echo, requests, answers=self.server.credential)

    def ask(self, method: str, target: str, **options: Any) -> httpx.Response:
        answers = ObjectVerifier.expecting([self.server.name.text], self.resolver)
        auth = options.pop("auth", SignedByName(self.car.credential, answers=answers))
        with httpx.Client(verify=self.trusted, base_url=self.origin, auth=auth) as client:
            return client.request(method, target, **options)


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    directory = tmp_path_factory.mktemp("nginx")
    port = free_port()
    with World() as world, socket.create_server(("127.0.0.1", 0)) as listener:
        made = Way(world, port)
        plain, below = made.application(), made.application("/v2")

        async def app(scope: Any, receive: Any, send: Any) -> None:
            """One application below two paths of the front, as one that is mounted twice."""
            stripped = scope["type"] == "http" and scope["path"].startswith("/stripped")
            await (below if stripped else plain)(scope, receive, send)

        (directory / "web.pem").write_bytes(world.web_credential("localhost").to_pem())
        configuration = CONFIGURATION.format(port=port, back=listener.getsockname()[1])
        (directory / "nginx.conf").write_text(configuration)
        serving = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=serving.run, kwargs={"sockets": [listener]})
        thread.start()
        command = [program("nginx"), "-p", str(directory), "-c", str(directory / "nginx.conf")]
        try:
            with started(command, directory / "log") as nginx:
                nginx.wait_for(lambda: _answers(port), "nginx to listen")
                yield made
        finally:
            serving.should_exit = True
            thread.join(20)


def _answers(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("target", ["/", "/reports?day=1&x=%20", "/a%20b/c~d", "/a%2Fb", "/v2/stripped/reports"])
def test_hs_15_a_signature_goes_through(way: Way, target: str) -> None:
    for method, content in (("POST", b"42 km"), ("GET", b""), ("PUT", b"x" * 200_000)):
        response = way.ask(method, target, content=content)
        assert response.text == f"{way.car.name} sent {len(content)} octets"
        assert response.extensions["dnsbound"].name == way.server.name


def test_hs_04_a_front_that_repeats_a_request_repeats_nothing(way: Way) -> None:
    first = way.ask("POST", "/once", content=b"1")
    assert first.status_code == 200
    again = way.ask("POST", "/once", content=b"1", auth=None, headers=first.request.headers)
    assert again.status_code == 401


def test_hs_10_another_path_of_the_front_is_another_target(way: Way) -> None:
    first = way.ask("POST", "/v2/stripped/one", content=b"1")
    assert first.status_code == 200
    headers = {name: value for name, value in first.request.headers.items() if name != "host"}
    assert way.ask("POST", "/stripped/one", content=b"1", auth=None, headers=headers).status_code == 401


def test_hs_13_a_front_is_asked_not_to_compress_what_was_signed(way: Way) -> None:
    assert way.ask("GET", "/gzip/x").headers.get("content-encoding") is None
