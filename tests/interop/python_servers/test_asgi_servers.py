"""uvicorn and hypercorn, unmodified, on both loops: the verified peer reaches every request and websocket."""

import asyncio
import json
import socket
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from dnsbound import Misuse, Reason, verified_peer
from dnsbound.adapters.asgi import VerifiedPeerMiddleware
from dnsbound.testing import Fault, World
from interop.python_servers.running import hypercorn_server, uvicorn_server
from machines.doors import LOOPS, PATIENCE, SERVER, car, door

pytestmark = pytest.mark.parametrize("kind", LOOPS)

SERVERS = {"uvicorn": uvicorn_server, "hypercorn": hypercorn_server}


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answers with who asks, by the scope and by the context variable, after a pause in which others may come."""
    if scope["type"] == "websocket":
        await talk(scope, receive, send)
        return
    assert scope["type"] == "http"
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    await asyncio.sleep(0.01)
    evidence = scope["extensions"]["dnsbound"]
    assert evidence["verified_peer"] is verified_peer()
    answer = json.dumps(
        {
            "name": evidence["name"],
            "source": evidence["verified_peer"] and evidence["verified_peer"].name_source,
            "version": scope["http_version"],
            "scheme": scope["scheme"],
            "body": body.decode(),
            "extensions": sorted(scope["extensions"]),
        }
    ).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


async def talk(scope: Any, receive: Any, send: Any) -> None:
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        peer = verified_peer()
        assert peer is not None
        assert scope["extensions"]["dnsbound"]["verified_peer"] is peer
        await send({"type": "websocket.send", "text": f"{peer.name} said {message['text']}"})


app = VerifiedPeerMiddleware(application)


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("credential", ["x509", "raw"])
def test_our_client(kind: str, server: str, credential: Any, world: World) -> None:
    """With the extension; several requests on one kept-alive connection, while DNS is slow."""
    device, at = car(world, kind=credential), door(world)
    world.fault(str(device.name), Fault.SLOW, seconds=0.3)
    with (
        SERVERS[server](kind, app, at.context) as port,
        httpx.Client(verify=at.client(device), base_url=f"https://{SERVER}:{port}", timeout=PATIENCE) as client,
    ):
        for number in range(3):
            seen = client.post("/", content=f"request {number}").json()
            assert seen["name"] == str(device.name)
            assert seen["source"] == "extension"
            assert seen["scheme"] == "https"
            assert seen["body"] == f"request {number}"
    assert at.reasons == ["admitted"]


@pytest.mark.parametrize("server", SERVERS)
def test_a_client_without_the_extension(kind: str, server: str, world: World, tmp_path: Path) -> None:
    device, at = car(world), door(world)
    with (
        SERVERS[server](kind, app, at.context) as port,
        httpx.Client(verify=at.stock_client(device, tmp_path), timeout=PATIENCE) as client,
    ):
        seen = client.get(f"https://{SERVER}:{port}/").json()
    assert seen["name"] == str(device.name)
    assert seen["source"] == "san"


@pytest.mark.parametrize("server", SERVERS)
def test_a_refused_client(kind: str, server: str, world: World) -> None:
    at = door(world)
    stranger = world.organisation("strangers.example").device("car54")
    with (
        SERVERS[server](kind, app, at.context) as port,
        httpx.Client(verify=at.client(stranger), timeout=PATIENCE) as client,
        pytest.raises(httpx.ReadError, match="ALERT_HANDSHAKE_FAILURE"),
    ):
        client.get(f"https://{SERVER}:{port}/")
    assert at.reasons == [Reason.NOT_PERMITTED]
    assert world.queries_for(str(stranger.name)) == ()


@pytest.mark.parametrize("server", SERVERS)
def test_an_optional_door(kind: str, server: str, world: World) -> None:
    """Public and private content on one site: a client that signals is known by name, all others are nobody."""
    device = car(world)
    at = door(world, policy="optional")
    with SERVERS[server](kind, app, at.context) as port:
        for shown, name in ((None, None), (device, str(device.name))):
            with httpx.Client(verify=at.client(shown), timeout=PATIENCE) as client:
                assert client.get(f"https://{SERVER}:{port}/").json()["name"] == name
        with httpx.Client(verify=at.client(device, request_signal=None), timeout=PATIENCE) as quiet:
            assert quiet.get(f"https://{SERVER}:{port}/").json()["name"] is None
    assert at.reasons == ["admitted"]


@pytest.mark.parametrize("server", SERVERS)
def test_pipelined_requests(kind: str, server: str, world: World, tmp_path: Path) -> None:
    """Three requests in one write, before the verdict is there."""
    device, at = car(world), door(world)
    request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    last = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with SERVERS[server](kind, app, at.context) as port:
        context = at.stock_client(device, tmp_path)
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as plain:
            tls = context.wrap_socket(plain, server_hostname=SERVER)
            tls.sendall(request + request + last)
            answers = b""
            while octets := tls.recv(65_536):
                answers += octets
            tls.close()
    assert answers.count(b"200") == 3
    assert answers.count(f'"name": "{device.name}"'.encode()) == 3


@pytest.mark.parametrize("server", SERVERS)
def test_many_clients_at_once_never_mix(kind: str, server: str, world: World) -> None:
    devices, at = [car(world, f"car{number}") for number in range(8)], door(world)

    async def ask(port: int, device: Any) -> None:
        async with httpx.AsyncClient(verify=at.client(device), timeout=PATIENCE) as client:
            for _ in range(5):
                answer = await client.get(f"https://{SERVER}:{port}/")
                assert answer.json()["name"] == str(device.name)

    async def main(port: int) -> None:
        await asyncio.gather(*(ask(port, device) for device in devices))

    with SERVERS[server](kind, app, at.context) as port:
        asyncio.run(main(port))
    assert at.reasons == ["admitted"] * len(devices)


def test_http2(kind: str, world: World) -> None:
    """hypercorn speaks HTTP/2: many requests at once on one connection, each with its peer."""
    device, at = car(world), door(world)

    async def main(port: int) -> list[Any]:
        async with httpx.AsyncClient(verify=at.client(device), http2=True, timeout=PATIENCE) as client:
            first = await client.get(f"https://{SERVER}:{port}/")
            rest = await asyncio.gather(*(client.get(f"https://{SERVER}:{port}/") for _ in range(10)))
            return [answer.json() for answer in (first, *rest)]

    with hypercorn_server(kind, app, at.context) as port:
        answers = asyncio.run(main(port))
    assert {(answer["version"], answer["name"]) for answer in answers} == {("2", str(device.name))}
    assert at.reasons == ["admitted"]


@pytest.mark.parametrize("server", SERVERS)
def test_websockets_through_asgi(kind: str, server: str, world: World) -> None:
    device, at = car(world), door(world)

    async def main(port: int) -> list[Any]:
        async with websockets.connect(f"wss://{SERVER}:{port}/", ssl=at.client(device)) as connection:
            answers = []
            for word in ("one", "two"):
                await connection.send(word)
                answers.append(await connection.recv())
            return answers

    with SERVERS[server](kind, app, at.context) as port:
        answers = asyncio.run(main(port))
    assert answers == [f"{device.name} said one", f"{device.name} said two"]


def test_a_cut_session_over_http(kind: str, world: World) -> None:
    """The kept-alive connection ends soon after the record is removed; a new one is refused."""
    device, at = car(world), door(world)

    async def main(port: int) -> None:
        async with httpx.AsyncClient(verify=at.client(device), timeout=PATIENCE) as client:
            url = f"https://{SERVER}:{port}/"
            assert (await client.get(url)).json()["name"] == str(device.name)
            assert device.revoke()
            refused = None
            async with asyncio.timeout(PATIENCE):
                while refused is None:
                    await asyncio.sleep(0.1)
                    try:
                        await client.get(url)
                    except (httpx.TransportError, ssl.SSLError) as error:
                        refused = error

    with uvicorn_server(kind, app, at.context) as port:
        asyncio.run(main(port))
    assert at.decisions[-1].reason is Reason.NO_TLSA


def test_a_server_that_empties_the_context_fails_closed(kind: str, world: World) -> None:
    """uvicorn's reset_contextvars hides the connection: nobody is then taken for nobody."""
    device, at = car(world), door(world, policy="optional")
    errors: list[BaseException] = []

    async def watching(scope: Any, receive: Any, send: Any) -> None:
        try:
            await app(scope, receive, send)
        except Misuse as error:
            errors.append(error)
            raise

    with (
        uvicorn_server(kind, watching, at.context, reset_contextvars=True, log_config=None) as port,
        httpx.Client(verify=at.client(device), timeout=PATIENCE) as client,
    ):
        assert client.get(f"https://{SERVER}:{port}/").status_code == 500
    assert len(errors) == 1
