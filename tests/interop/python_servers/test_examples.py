"""The examples of servers do what they say, at a door on World."""

import http.client
import runpy
import threading
from pathlib import Path
from typing import Any

import httpx

from dnsbound import start_server
from dnsbound.testing import World
from interop.python_servers.running import uvicorn_server
from machines.doors import PATIENCE, SERVER, car, dial, door, hang_up, run

EXAMPLES = Path(__file__).parents[3] / "examples" / "servers"


def example(name: str) -> dict[str, Any]:
    """The names in an example, whose `main` is not run: it serves for ever, by the system's resolver."""
    return runpy.run_path(str(EXAMPLES / name))


def test_uvicorn_api(world: World) -> None:
    """Its endpoint is no coroutine: it runs in a thread of the framework's pool, and knows its peer there."""
    device, at = car(world), door(world)
    with (
        uvicorn_server("uvloop", example("uvicorn_api.py")["app"], at.context) as port,
        httpx.Client(verify=at.client(device), timeout=PATIENCE) as client,
    ):
        answer = client.get(f"https://{SERVER}:{port}/").json()
    assert answer == {"hello": str(device.name), "path": "/"}


def test_streams(world: World) -> None:
    device, at = car(world), door(world)

    async def main() -> None:
        server = await start_server(example("streams.py")["serve"], "127.0.0.1", 0, context=at.context)
        async with server:
            reader, writer = await dial(server.sockets[0].getsockname()[1], at.client(device))
            assert await reader.readline() == f"hello {device.name}\n".encode()
            writer.write(b"ping\n")
            assert await reader.readline() == b"ping\n"
            await hang_up(writer)
        await at.resolver.aclose()

    run("asyncio", main)


def test_threads(world: World) -> None:
    device, at = car(world), door(world)
    names = example("threads.py")
    names["Server"].context = at.context
    names["Handler"].log_message = lambda *_: None
    with names["Server"](("127.0.0.1", 0), names["Handler"]) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        client = http.client.HTTPSConnection(SERVER, server.server_address[1], context=at.client(device), timeout=10)
        client.request("GET", "/")
        assert client.getresponse().read() == f"hello {device.name}\n".encode()
        client.close()
        server.shutdown()
        thread.join(PATIENCE)
