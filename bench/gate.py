"""A gate before an echo: processor time for a connection, and for octets that pass; beside stunnel, HAProxy and nginx.

Ours with DANE client authentication and evidence in its cache, the others with a CA. A connection is a full handshake,
one question of 64 octets through the back end, and the end.
"""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bench.contenders import Contender, ratio, write_files
from bench.exchanges import Reached, Wanted, reach
from bench.gate_servers import HAPROXY, NGINX, STUNNEL, gates, tell_missing
from bench.measured_process import MeasuredProcess, free_port
from bench.table import Table
from dnsbound.testing import World

WARM_UP = 40
CONCURRENCY = 4
QUESTION = b"q" * 64
BLOCK = b"b" * 262_144
"""A question as large as many applications' buffers together: it and its answer are both under way at times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """cpu: microseconds of the server for each question."""

    cpu: float
    reached: Reached


@contextmanager
def echo(place: Path) -> Iterator[int]:
    """Its port."""
    port = free_port()
    command = [sys.executable, "-m", "bench.echo_back_end", str(port)]
    with MeasuredProcess(command, port=port, log=place / "echo.log"):
        yield port


def measure(connections: int, rounds: int) -> Table:
    """Of each the round with the least processor time of the server, rounds taken in turn."""
    wanted = partial(Wanted, question=QUESTION.hex(), answer="echo", afresh=True, connections=CONCURRENCY)
    best = _best(rounds, wanted(place=0, each=WARM_UP), wanted(place=0, each=connections // CONCURRENCY))
    header = ["gate", "us", "of stunnel", "of HAProxy", "of nginx", "each second"]
    table = Table("Server CPU per connection through a gate", header)
    for label, found in best.items():
        table.row(label, f"{found.cpu:.0f}", *_beside(found.cpu, best), f"{found.reached.each_second:.0f}")
    tell_missing(table)
    return table


def throughput(blocks: int, rounds: int) -> Table:
    """One connection, blocks of 256 KiB there and back."""
    wanted = partial(Wanted, question=BLOCK.hex(), answer="echo")
    best = _best(rounds, wanted(place=0, each=4), wanted(place=0, each=blocks))
    megabytes = 2 * len(BLOCK) / 1e6
    header = ["gate", "CPU us per MB", "of stunnel", "of HAProxy", "of nginx", "MB each second"]
    table = Table("Octets through a gate, there and back", header)
    for label, found in best.items():
        speed = found.reached.each_second * megabytes
        table.row(label, f"{found.cpu / megabytes:.0f}", *_beside(found.cpu, best), f"{speed:.0f}")
    tell_missing(table)
    return table


def _best(rounds: int, warm_up: Wanted, wanted: Wanted) -> dict[str, Figures]:
    best: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, World() as world:
        place = Path(directory)
        client, _ = write_files(place, world)
        with echo(place) as back_end:
            contenders = gates(place, world, back_end, client)
            for _ in range(rounds):
                for contender in contenders:
                    found = figures(contender, place, warm_up, wanted)
                    if contender.label not in best or found.cpu < best[contender.label].cpu:
                        best[contender.label] = found
    return best


def figures(contender: Contender, place: Path, warm_up: Wanted, wanted: Wanted) -> Figures:
    """One round of one server, whose place and client the load is given."""
    with MeasuredProcess(contender.command, port=contender.port, log=place / "server.log") as server:
        reach(replace(warm_up, place=contender.port, credential=str(contender.client)))
        before = server.cpu_seconds()
        reached = reach(replace(wanted, place=contender.port, credential=str(contender.client)))
        spent = server.cpu_seconds() - before
    return Figures(cpu=spent / reached.answered * 1e6, reached=reached)


def _beside(cpu: float, best: dict[str, Figures]) -> list[str]:
    return [ratio(cpu, best[peer].cpu if peer in best else None) for peer in (STUNNEL, HAPROXY, NGINX)]
