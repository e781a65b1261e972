"""Memory of a server per idle connection: ours, with DANE client authentication, and Python's own ssl on asyncio.

Each server is a process of its own and is sent the same clients over loopback TCP; when all are in and it rests, the
growth of its memory is divided among them. Sockets' buffers are the kernel's and are not in it. The applications wait
in `StreamReader.readuntil`. Each connection of ours is a live session, too, whose record is asked about again.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.contenders import Contender
from bench.handshakes import NGINX, PYTHON, contenders
from bench.measured_process import MeasuredProcess, cpu_seconds, resident_kib
from bench.peer_missing import PeerMissing
from bench.table import Table
from dnsbound.testing import World

WARM_UP = 50
SPARE_DESCRIPTORS = 200
_RESTS = 1.0
_PATIENCE = 300.0


def measure(connections: int) -> Table:
    """KiB of resident memory for each connection."""
    allow_descriptors(connections + SPARE_DESCRIPTORS)
    table = Table(f"Memory per connection, {connections:,} idle", ["server", "KiB each", "of Python ssl", "whole, MiB"])
    reference = 0.0
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, World() as world:
        for contender in contenders(Path(directory), world):
            if contender.label == NGINX:
                continue
            each, whole = _measure_one(contender, Path(directory), connections)
            if contender.label == PYTHON:
                reference = each
            table.row(contender.label, f"{each:.1f}", f"{each / reference:.2f}", f"{whole / 1024:.0f}")
    return table


def allow_descriptors(wanted: int) -> None:
    """For this process and those it starts; PeerMissing where the system does not let us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            raise PeerMissing(f"{wanted} open files are needed and {hard} allowed (ulimit -Hn)")
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _measure_one(contender: Contender, place: Path, connections: int) -> tuple[float, float]:
    with MeasuredProcess(contender.command, port=contender.port, log=place / "server.log") as server:
        with Clients(contender, WARM_UP):
            pass
        before = at_rest(server.pid)
        with Clients(contender, connections):
            whole = at_rest(server.pid)
    return (whole - before) / connections, whole


class Clients:
    """Clients that are logged in while the block lasts."""

    def __init__(self, contender: Contender, connections: int) -> None:
        self._command = [sys.executable, "-m", "bench.idle_clients", str(contender.port), str(contender.client)]
        self._connections = connections

    def __enter__(self) -> None:
        self._process = subprocess.Popen(
            [*self._command, str(self._connections)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != str(self._connections):
            self._process.kill()
            raise RuntimeError("not all clients were let in")

    def __exit__(self, *_exception: object) -> None:
        self._process.communicate(timeout=_PATIENCE)


def at_rest(pid: int) -> float:
    """Resident KiB of a server once it has done nothing for a moment."""
    deadline = time.monotonic() + _PATIENCE
    spent = -1.0
    while (now := cpu_seconds(pid)) - spent > 0.02:
        if time.monotonic() > deadline:
            raise RuntimeError("the server does not come to rest")
        spent = now
        time.sleep(_RESTS)
    return resident_kib(pid)
