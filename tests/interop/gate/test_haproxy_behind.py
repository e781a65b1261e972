"""HAProxy behind the gate reads the PROXY header that tells it who the client is; the example's own configuration."""

import asyncio
import contextlib
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import places
from dnsbound.testing import Device, World
from interop.daemon import started
from machines.bio_client import BioClient
from machines.doors import car
from machines.gates import Gated, gated

pytestmark = pytest.mark.peer("haproxy")

EXAMPLE = Path(__file__).parents[3] / "examples" / "gate" / "haproxy.cfg"
FORGED = b"GET / HTTP/1.1\r\nHost: x\r\nDnsbound-Name: forged.cars.example\r\nConnection: close\r\n\r\n"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@contextlib.contextmanager
def haproxy(directory: Path) -> Iterator[int]:
    """The example, at a port of its own."""
    port = free_port()
    configuration = directory / "haproxy.cfg"
    configuration.write_text(EXAMPLE.read_text().replace("127.0.0.1:8080", f"127.0.0.1:{port}"))
    program = shutil.which("haproxy", path=places())
    assert program is not None
    with started([program, "-db", "-f", str(configuration)], directory / "haproxy.log") as daemon:

        def accepts() -> bool:
            with socket.create_connection(("127.0.0.1", port), timeout=5):
                return True

        daemon.wait_for(accepts, "its port")
        yield port


async def told(at: Gated, device: Device) -> str:
    client = await BioClient.connect(at.client(device), at.port)
    try:
        await client.write(FORGED)
        return (await client.read_all()).decode()
    finally:
        await client.close()


@pytest.mark.parametrize("mode", ["tls", "tls-full"])
def test_gw_30_haproxy_knows_the_client_by_the_header(tmp_path: Path, mode: str) -> None:
    async def main(world: World, port: int) -> None:
        target = f"127.0.0.1:{port}"
        async with gated(world, tmp_path, target, f'proxy_protocol = "{mode}"') as at:
            answer = await told(at, car(world))
            assert "200 OK" in answer
            assert "\r\n\r\ncar54._device.cars.example at localhost\n" in answer
            assert "forged" not in answer

    with World() as world, haproxy(tmp_path) as port:
        asyncio.run(main(world, port))


def test_gw_30_without_the_name_haproxy_lets_nobody_in(tmp_path: Path) -> None:
    async def main(world: World, port: int) -> None:
        async with gated(world, tmp_path, f"127.0.0.1:{port}", 'proxy_protocol = "conn"') as at:
            assert "403 Forbidden" in await told(at, car(world))

    with World() as world, haproxy(tmp_path) as port:
        asyncio.run(main(world, port))
