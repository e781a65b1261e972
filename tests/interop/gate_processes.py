"""`dnsbound gate server` as operators run it, a program beside a test, on a World.

with gate_process(tmp_path, world, "--config", path) as gate:
    async with gate.client(device, "one") as (reader, writer): ...
"""

import asyncio
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dnsbound import Context
from dnsbound.testing import Device, World
from interop.daemon import Daemon, started
from machines.gates import SERVER

WAIT: Final = 60.0
GATE: Final = (sys.executable, "-m", "dnsbound", "gate")


@dataclass(kw_only=True)
class GateProcess:
    """The program. told: its first line."""

    daemon: Daemon
    world: World
    told: dict[str, Any]

    def port(self, label: str) -> int:
        return int(self.told["gates"][label]["listen"][0].rpartition(":")[2])

    def context(self, device: Device | None) -> Context:
        made = Context.client(None if device is None else device.credential)
        made.load_verify_locations(cadata=self.world.web_root_pem.decode())
        return made

    @asynccontextmanager
    async def client(
        self, device: Device | None, label: str
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A client of a gate; ssl.SSLError for one that is refused, then or while reading."""
        context = self.context(device)
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port(label), ssl=context, server_hostname=SERVER
        )
        try:
            yield reader, writer
        finally:
            writer.close()

    def workers(self) -> list[int]:
        """Process ids of the workers; the program's own when it is alone."""
        here = self.daemon.process.pid
        children = Path(f"/proc/{here}/task/{here}/children").read_text().split()
        return [int(child) for child in children] or [here]

    def signal(self, number: int) -> None:
        self.daemon.process.send_signal(number)

    def wait_for(self, holds: Any, what: str) -> None:
        self.daemon.wait_for(holds, what, seconds=WAIT)

    @property
    def log(self) -> str:
        return self.daemon.log.read_text()

    def decisions(self) -> list[dict[str, Any]]:
        """What was decided so far."""
        return [
            json.loads(line[line.index("{") :])
            for line in self.log.splitlines()
            if " dnsbound.decisions INFO {" in line
        ]


def fetched(url: str) -> tuple[int, str]:
    """Status and body."""
    try:
        with urllib.request.urlopen(url, timeout=WAIT) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@contextmanager
def gate_process(
    directory: Path, world: World, *options: str | Path, direction: str = "server"
) -> Iterator[GateProcess]:
    """options: of the command. direction: `server` or `client`."""
    env = {**os.environ, **world.trust_env(), "DNSBOUND_RUNTIME": str(directory / "runtime")}
    log, output = directory / "gate.log", directory / "gate.out"
    with started(
        [*GATE, direction, *map(str, options), "--json"], log, output=output, cwd=directory, env=env
    ) as daemon:
        daemon.wait_for(lambda: b"\n" in output.read_bytes(), "its first line", seconds=WAIT)
        yield GateProcess(daemon=daemon, world=world, told=json.loads(daemon.wait_for_line()))


@asynccontextmanager
async def in_thread(running: AbstractContextManager[GateProcess]) -> AsyncIterator[GateProcess]:
    """A process whose start must not keep this loop, which serves its back end, from running."""
    gate = await asyncio.to_thread(running.__enter__)
    try:
        yield gate
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)
