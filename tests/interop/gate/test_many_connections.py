"""Ten thousand connections that say nothing, through one gate process: all of them live, none costs much."""

import asyncio
import json
import resource
import sys
from pathlib import Path

import pytest

from dnsbound.testing import Device, World
from interop.daemon import started
from interop.gate_processes import GateProcess, fetched, gate_process
from machines.doors import car
from machines.gates import LABEL, SERVER, gate_toml, write_files

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

CONNECTIONS = 10_000
AT_ONCE = 50
MOST_OCTETS_EACH = 100_000
"""Resident memory of the gate for one idle connection: TLS, two sockets and what is around them."""
WORKERS = 2
"""A process may have too few files for both ends of all of them."""
SERVER_OPTIONS = f'workers = {WORKERS}\nstatus = "127.0.0.1:0"'
OPTIONS = f"connections_per_name = {CONNECTIONS}\nrate_per_name = 1000000\nidle_seconds = 3600"


def allow_files() -> None:
    """One for each connection here and in the back end, and, inherited, some more in each worker."""
    wanted = CONNECTIONS + 4000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), max(hard, wanted)))
    except (ValueError, OSError):
        pytest.skip(f"this user may open {hard} files, and {wanted} are needed")


def resident_octets(process: int) -> int:
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


async def connected(gate: GateProcess, context: object, slots: asyncio.Semaphore) -> asyncio.StreamWriter:
    async with slots:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1",
            gate.port(LABEL),
            ssl=context,  # type: ignore[arg-type] # an SSLContext
            server_hostname=SERVER,
        )
        writer.write(b"x")
        assert await reader.read(1) == b"x"
        return writer


BACK_END = """
import asyncio, sys

async def echo(reader, writer):
    while data := await reader.read(4096):
        writer.write(data)
    writer.close()

async def main():
    async with await asyncio.start_unix_server(echo, sys.argv[1], backlog=4096) as server:
        print("ready", flush=True)
        await server.serve_forever()

asyncio.run(main())
"""


def test_gw_33_ten_thousand_idle_connections(tmp_path: Path) -> None:
    allow_files()
    place = tmp_path / "back"
    path_of_log, output = tmp_path / "back.log", tmp_path / "back.out"

    async def main(world: World, gate: GateProcess, device: Device) -> None:
        slots, context = asyncio.Semaphore(AT_ONCE), gate.context(device)
        writers = [await connected(gate, context, slots)]
        before = sum(map(resident_octets, gate.workers()))
        writers += await asyncio.gather(*(connected(gate, context, slots) for _ in range(CONNECTIONS - 1)))
        each = (sum(map(resident_octets, gate.workers())) - before) / CONNECTIONS
        print(f"{each:.0f} octets for each connection")
        await asyncio.to_thread(gate.wait_for, lambda: opened(gate) == CONNECTIONS, "all of them")
        assert each < MOST_OCTETS_EACH
        for writer in writers:
            writer.close()
        await asyncio.to_thread(gate.wait_for, lambda: opened(gate) == 0, "their end")

    with World() as world, started([sys.executable, "-c", BACK_END, str(place)], path_of_log, output=output) as behind:
        behind.wait_for_line()
        device = car(world, "car54", ttl=3600)
        path = write_files(world, tmp_path, toml=gate_toml(f"unix:{place}", OPTIONS, server=SERVER_OPTIONS))
        with gate_process(tmp_path, world, "--config", path) as gate:
            asyncio.run(main(world, gate, device))


def opened(gate: GateProcess) -> int:
    """As the status endpoint tells."""
    url = next((line.split()[-1] for line in gate.log.splitlines() if "Status at" in line), "")
    return int(json.loads(fetched(url)[1])["gates"][LABEL]["connections"]) if url else -1
