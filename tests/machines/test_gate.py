"""The gate on World: who comes through to the back end, and how both sides of a connection end."""

import ssl
from pathlib import Path

import pytest

from dnsbound.testing import Device, World
from machines.doors import LOOPS, car, run
from machines.gates import Gated, back_end, gated


async def refused(at: Gated, device: Device | None) -> bool:
    """Whether the client is told so: in TLS 1.3 it may have been through with its own handshake."""
    try:
        reader, writer = await at.connect(device)
    except ssl.SSLError:
        return True
    try:
        await reader.read(1)
    except ssl.SSLError:
        return True
    finally:
        writer.close()
    return False


pytestmark = pytest.mark.parametrize("kind", LOOPS)


def test_gw_01_a_known_client_speaks_with_the_back_end(kind: str, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        device = car(world)
        async with back_end(tmp_path / "socket") as (behind, target), gated(world, tmp_path, target) as at:
            reader, writer = await at.connect(device)
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            (connection,) = at.gate.connections
            assert str(connection.identity.name) == "car54._device.cars.example"
            writer.close()
            await writer.wait_closed()
            await at.until(lambda: not at.gate.connections)
            assert behind.connections == 1
            counted = at.gate.counted()
            assert (counted.from_clients, counted.to_clients, counted.open) == (5, 5, 0)
            assert counted.verdicts == {"admitted": 1}
            assert counted.ended == {"orderly": 1}

    with World() as world:
        run(kind, lambda: main(world))


def test_gw_02_a_stranger_never_reaches_the_back_end(kind: str, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        stranger = world.organisation("vans.example").device("van1")
        async with back_end() as (behind, target), gated(world, tmp_path, target) as at:
            for device in (stranger, None):
                assert await refused(at, device)
            await at.until(lambda: at.gate.counted().handshakes["refused"] == 2)
            assert behind.connections == 0
            assert at.gate.counted().verdicts == {"not-permitted": 1, "no-credential": 1}

    with World() as world:
        run(kind, lambda: main(world))
