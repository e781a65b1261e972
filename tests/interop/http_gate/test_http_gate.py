"""The HTTP gate before real back ends: nginx, uvicorn and a WebSocket server; curl, httpx-like and raw clients."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import websockets

from dnsbound.testing import Device, World
from interop.daemon import program, started
from interop.daemon import run as run_program
from interop.mqtt_gates import CAR54, turned_away
from machines.doors import car, run
from machines.gates import SERVER, Gated, gated

GRANTS = '[door.api]\nallow = [{ names = ["*._device.cars.example"], grants = { role = "reader" } }]\n'
HTTP = 'protocol = "http"\n[gate.one.options]\n'
WAIT = 20.0


@asynccontextmanager
async def http_gate(world: World, directory: Path, target: str, options: str = "") -> AsyncIterator[Gated]:
    async with gated(world, directory, target, HTTP + options, access=GRANTS) as at:
        yield at


async def told(at: Gated, device: Device | None, octets: bytes) -> bytes:
    """Everything that is answered to these octets, to the end."""
    reader, writer = await at.connect(device)
    try:
        writer.write(octets)
        async with asyncio.timeout(WAIT):
            return await reader.read(-1)
    finally:
        writer.close()


def request(*lines: str, start: str = "GET / HTTP/1.1", content: str = "") -> bytes:
    return "\r\n".join((start, "Host: api.cars.example", "Connection: close", *lines, "", content)).encode()


# --- uvicorn


async def show(scope: Any, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
    """An application that says which fields it was asked with, and how long the content was."""
    octets = 0
    while True:
        event = await receive()
        octets += len(event.get("body", b""))
        if not event.get("more_body", False):
            break
    fields = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]]
    body = json.dumps({"fields": fields, "octets": octets, "path": scope["path"]}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def served_by_uvicorn(directory: Path) -> AsyncIterator[str]:
    """An ASGI server on a Unix socket; its target."""
    path = directory / "app.sock"
    bound = socket.socket(socket.AF_UNIX)
    bound.bind(str(path))
    configuration = uvicorn.Config(show, lifespan="off", log_level="error", http="h11", timeout_graceful_shutdown=1)
    server = uvicorn.Server(configuration)
    task = asyncio.ensure_future(server.serve(sockets=[bound]))
    try:
        async with asyncio.timeout(WAIT):
            while not server.started:  # noqa: ASYNC110 (uvicorn tells in no other way)
                await asyncio.sleep(0.01)
        yield f"unix:{path}"
    finally:
        server.should_exit = True
        await task
        bound.close()


def shown(answer: bytes) -> dict[str, Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), answer
    found: dict[str, Any] = json.loads(body)
    return found


FORGED = [
    f"{name.replace('-', mark)}: admin.example"
    for name in ("Dnsbound-Name", "DNSBOUND-NAME", "Dnsbound-Grants", "Client-Cert", "X-Forwarded-Client-Cert")
    for mark in ("-", "_", ".")
]


def test_uvicorn_sees_who_asks_and_no_forged_name(tmp_path: Path) -> None:
    async def main(world: World) -> None:
        device = car(world)
        async with served_by_uvicorn(tmp_path) as target, http_gate(world, tmp_path, target) as at:
            for forged in ([], *([line] for line in FORGED), FORGED):
                seen = shown(await told(at, device, request(*forged)))["fields"]
                assert [value for name, value in seen if name == "dnsbound-name"] == [CAR54]
                assert [value for _, value in seen if "admin" in value] == []
            fields = dict(seen)
            assert json.loads(fields["dnsbound-grants"]) == {"role": "reader"}
            assert fields["host"] == "api.cars.example"
            assert fields["x-forwarded-for"] == "127.0.0.1"

    with World() as world:
        run("asyncio", lambda: main(world))


SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: x\r\nDnsbound-Name: admin.example\r\n\r\n"
CHUNKS = "0\r\n\r\n"


@pytest.mark.parametrize(
    "octets",
    [
        request(
            "Content-Length: 4", "Transfer-Encoding: chunked", start="POST / HTTP/1.1", content="0\r\n\r\n" + SMUGGLED
        ),
        request("Transfer-Encoding: chunked", "Transfer-encoding: x", start="POST / HTTP/1.1", content=CHUNKS),
        request("Content-Length: 0", f"Content-Length: {len(SMUGGLED)}", start="POST / HTTP/1.1", content=SMUGGLED),
        request("X: a\n\nGET /smuggled HTTP/1.1\nDnsbound-Name: admin.example"),
        request("X: a\r\n Dnsbound-Name: admin.example"),
        request("Dnsbound-Name : admin.example"),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_smuggling_ends_at_the_gate(tmp_path: Path, octets: bytes) -> None:
    async def main(world: World) -> None:
        device = car(world)
        async with served_by_uvicorn(tmp_path) as target, http_gate(world, tmp_path, target) as at:
            answer = await told(at, device, octets)
            assert answer.split(b" ")[1] in (b"400", b"501", b"505")
            assert answer.count(b"HTTP/1.1") == 1
            assert at.gate.counted().from_clients == 0

    with World() as world:
        run("asyncio", lambda: main(world))


def test_a_hidden_second_request_is_content(tmp_path: Path) -> None:
    async def main(world: World) -> None:
        device = car(world)
        async with served_by_uvicorn(tmp_path) as target, http_gate(world, tmp_path, target) as at:
            hidden = request(f"Content-Length: {len(SMUGGLED)}", start="POST /a HTTP/1.1", content=SMUGGLED)
            assert shown(await told(at, device, hidden))["octets"] == len(SMUGGLED)
            pipelined = request(start="GET /1 HTTP/1.1").replace(b"Connection: close\r\n", b"") + request(
                "Transfer-Encoding: chunked",
                start="POST /2 HTTP/1.1",
                content="5;x=y\r\nhello\r\n0\r\nDnsbound-Name: x\r\n\r\n",
            )
            answer = await told(at, device, pipelined)
            assert answer.count(b"HTTP/1.1 200 ") == 2
            assert answer.index(b'"/1"') < answer.index(b'"/2"')

    with World() as world:
        run("asyncio", lambda: main(world))


def test_strangers_stay_outside_or_come_in_without_a_name(tmp_path: Path) -> None:
    async def main(world: World) -> None:
        device, stranger = car(world), world.organisation("vans.example").device("van1")
        wrong_key = car(world, publish=False)
        async with served_by_uvicorn(tmp_path) as target:
            async with http_gate(world, tmp_path, target) as at:
                for refused in (stranger, None, wrong_key):
                    assert await turned_away(partial(at.connect, refused))
            public = tmp_path / "public"
            public.mkdir()
            async with http_gate(world, public, target, 'strangers = "pass"\n') as at:
                seen = shown(await told(at, None, request(*FORGED)))["fields"]
                assert [name for name, _ in seen if "dnsbound" in name or "cert" in name] == []
                assert [value for _, value in seen if "admin" in value] == []
                assert CAR54 in str(shown(await told(at, device, request())))

    with World() as world:
        run("asyncio", lambda: main(world))


@pytest.mark.peer("curl")
def test_curl_asks_and_sends(tmp_path: Path) -> None:
    async def main(world: World) -> None:
        device = car(world)
        (tmp_path / "ca.pem").write_bytes(world.web_root_pem)
        (tmp_path / "device.pem").write_bytes(device.credential.to_pem())
        (tmp_path / "large").write_bytes(b"x" * 3_000_000)
        async with served_by_uvicorn(tmp_path) as target, http_gate(world, tmp_path, target) as at:
            base = [program("curl"), "--silent", "--show-error", "--max-time", "20", "--cacert", f"{tmp_path}/ca.pem"]
            base += [
                "--cert",
                f"{tmp_path}/device.pem",
                "--key",
                f"{tmp_path}/device.pem",
                "-H",
                "dnsbound_name: admin",
            ]
            url = f"https://{SERVER}:{at.port}"

            async def curl(*arguments: str) -> str:
                ask = partial(run_program, [*base, *arguments])
                return (await asyncio.get_running_loop().run_in_executor(None, ask)).stdout

            plain = await curl(f"{url}/1", f"{url}/2")
            assert plain.count(CAR54) == 2, plain
            assert "admin" not in plain
            for how in (("-T", f"{tmp_path}/large"), ("-H", "Transfer-Encoding: chunked", "-T", f"{tmp_path}/large")):
                sent = json.loads(await curl("-H", "Expect: 100-continue", *how, url + "/up"))
                assert sent["octets"] == 3_000_000
            head = await curl("--head", url)
            assert head.startswith("HTTP/1.1 200 ")

    with World() as world:
        run("asyncio", lambda: main(world))


def test_who_is_removed_is_cut_off(tmp_path: Path) -> None:
    async def main(world: World) -> None:
        device = car(world)
        async with served_by_uvicorn(tmp_path) as target, http_gate(world, tmp_path, target) as at:
            reader, writer = await at.connect(device)
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            device.revoke()
            async with asyncio.timeout(WAIT):
                with suppress(OSError):  # an alert, or what is left of the connection
                    await reader.read(-1)
            writer.close()
            await at.until(lambda: at.gate.counted().ended == {"cut": 1})
            assert await turned_away(partial(at.connect, device))

    with World() as world:
        run("asyncio", lambda: main(world))


# --- nginx


@contextmanager
def nginx(directory: Path) -> Iterator[str]:
    """nginx on a Unix socket that says who asks; its target."""
    path, configuration = directory / "nginx.sock", directory / "nginx.conf"
    temporary = " ".join(
        f"{kind}_temp_path {directory}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    configuration.write_text(
        f"daemon off; worker_processes 1; user root; pid {directory}/pid; error_log {directory}/error.log info;\n"
        f"events {{}} http {{ access_log off; {temporary} underscores_in_headers on; server {{ listen unix:{path};\n"
        'location / { return 200 "$http_dnsbound_name|$http_host|$http_x_forwarded_for\\n"; } } }\n'
    )
    with started([program("nginx"), "-c", str(configuration), "-p", str(directory)], directory / "log") as daemon:
        daemon.wait_for(path.exists, "it listens")
        yield f"unix:{path}"


@pytest.mark.peer("nginx")
def test_nginx_sees_who_asks(tmp_path: Path) -> None:
    async def main(world: World, target: str) -> None:
        device = car(world)
        async with http_gate(world, tmp_path, target) as at:
            for forged in ([], FORGED):
                answer = await told(at, device, request(*forged))
                assert answer.endswith(f"{CAR54}|api.cars.example|127.0.0.1\n".encode())

    with World() as world, nginx(tmp_path) as target:
        run("asyncio", lambda: main(world, target))


def test_a_back_end_that_is_down_is_a_bad_gateway(tmp_path: Path) -> None:
    async def main(world: World) -> None:
        async with http_gate(world, tmp_path, f"unix:{tmp_path}/nobody.sock") as at:
            assert (await told(at, car(world), request())).startswith(b"HTTP/1.1 502 ")

    with World() as world:
        run("asyncio", lambda: main(world))


# --- WebSocket


def test_a_websocket_passes_with_the_name_in_its_handshake(tmp_path: Path) -> None:
    """Octets both ways, and an end in order: what a LoRaWAN Basics Station needs of the gate."""

    async def lns(connection: websockets.ServerConnection) -> None:
        assert connection.request is not None
        name = connection.request.headers["Dnsbound-Name"]
        async for message in connection:
            asked = json.loads(message)
            await connection.send(
                json.dumps({"router": asked["router"], "uri": "wss://lns.example/traffic", "name": name})
            )

    async def main(world: World) -> None:
        device = car(world)
        path = tmp_path / "lns.sock"
        async with websockets.unix_serve(lns, str(path)), http_gate(world, tmp_path, f"unix:{path}") as at:
            context = at.client(device)
            url = f"wss://{SERVER}:{at.port}/router-info"
            forged = {"Dnsbound-Name": "admin.example", "dnsbound_name": "admin.example"}
            async with websockets.connect(url, ssl=context, additional_headers=forged, proxy=None) as station:
                for router in range(3):
                    await station.send(json.dumps({"router": router}))
                    async with asyncio.timeout(WAIT):
                        answer = json.loads(await station.recv())
                    assert answer == {"router": router, "uri": "wss://lns.example/traffic", "name": CAR54}
                await station.ping()
            assert station.close_code == 1000

    with World() as world:
        run("asyncio", lambda: main(world))
