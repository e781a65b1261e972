"""A gateway that speaks Basics Station's LNS protocol by WebSocket, the gate, and an LNS behind it that knows names.

The station is the test's own, with the websockets library: no package of Basics Station is at hand.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import websockets

from dnsbound import ClientName, Refused
from dnsbound.protocols.identity_headers import NAME
from dnsbound.protocols.lorawan_names import EuiNames
from dnsbound.protocols.lorawan_station import discovery, refusal
from dnsbound.testing import World
from machines.doors import run
from machines.gates import SERVER, Gated, gated

NAMES = EuiNames.parse("_gateway.plant.example")
EUI, ROUTER = "b827ebfffe000001", "b827:ebff:fe00:1"
WAIT = 20.0


async def lns(socket: Any) -> None:
    """Tells stations where to go on, and there says back what they send."""
    name = ClientName.parse(socket.request.headers[NAME])
    if socket.request.path != "/router-info":
        assert socket.request.path == f"/traffic/{name.labels[0]}"
        async for message in socket:
            await socket.send(f"{name}: {message}")
        return
    message = (await socket.recv()).encode()
    try:
        answer = discovery(message, name=name, names=NAMES, uri=f"wss://{SERVER}/traffic/{name.labels[0]}")
    except Refused:
        answer = refusal(message)
    await socket.send(answer.decode())


async def station(at: Gated, device: Any, router: str) -> dict[str, Any]:
    """What a station is told at /router-info; it goes on if it is sent on."""
    port, tls = at.port, at.client(device)
    at_gate: dict[str, Any] = {"host": "127.0.0.1", "port": port, "ssl": tls, "server_hostname": SERVER}
    async with websockets.connect(f"wss://{SERVER}/router-info", **at_gate) as asking:
        await asking.send(json.dumps({"router": router}))
        told: dict[str, Any] = json.loads(await asyncio.wait_for(asking.recv(), WAIT))
    if "uri" in told:
        async with websockets.connect(told["uri"], **at_gate) as connection:
            await connection.send('{"msgtype": "version"}')
            told["echo"] = await asyncio.wait_for(connection.recv(), WAIT)
    return told


@pytest.fixture
def world() -> Any:
    with World() as world:
        yield world


def at_the_gate(world: World, directory: Path, use: Any) -> Any:
    async def main() -> Any:
        async with websockets.serve(lns, "127.0.0.1", 0) as server:
            target = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            allow = ("*._gateway.plant.example",)
            async with gated(world, directory, target, 'protocol = "http"\n', allow=allow) as at:
                return await use(at)

    return run("asyncio", main)


def test_lw_13_a_gateway_comes_in_by_its_name_and_speaks_for_its_own_eui(world: World, tmp_path: Path) -> None:
    gateway = world.organisation("plant.example").identity(f"eui-{EUI}._gateway")
    told = at_the_gate(world, tmp_path, lambda at: station(at, gateway, ROUTER))
    assert told["router"] == ROUTER
    assert told["echo"] == f'eui-{EUI}._gateway.plant.example: {{"msgtype": "version"}}'


def test_lw_13_a_gateway_that_says_another_eui_is_turned_away(world: World, tmp_path: Path) -> None:
    gateway = world.organisation("plant.example").identity(f"eui-{EUI}._gateway")
    told = at_the_gate(world, tmp_path, lambda at: station(at, gateway, "b827:ebff:fe00:2"))
    assert "uri" not in told
    assert "error" in told


def test_lw_13_a_stranger_never_reaches_the_lns(world: World, tmp_path: Path) -> None:
    stranger = world.organisation("plant.example").device("car54")

    async def turned_away(at: Gated) -> None:
        with pytest.raises((OSError, websockets.exceptions.WebSocketException)):
            await station(at, stranger, ROUTER)

    at_the_gate(world, tmp_path, turned_away)
