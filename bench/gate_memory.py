"""Memory of a gate for each idle connection, beside stunnel, HAProxy and nginx: as in `bench.idle_memory`.

Each connection has a second one to the back end. The kernel's socket buffers are not in it.
"""

import tempfile
from pathlib import Path

from bench.contenders import Contender, write_files
from bench.gate import echo
from bench.gate_servers import gates, tell_missing
from bench.idle_memory import SPARE_DESCRIPTORS, WARM_UP, Clients, allow_descriptors, at_rest
from bench.measured_process import MeasuredProcess
from bench.table import Table
from dnsbound.testing import World


def measure(few: int, many: int) -> Table:
    """KiB of resident memory for each connection of few, and of many."""
    allow_descriptors(2 * many + SPARE_DESCRIPTORS)
    columns = [f"KiB each of {few:,}", f"KiB each of {many:,}", "whole, MiB"]
    table = Table("Memory of a gate per idle connection", ["gate", *columns])
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, World() as world:
        place = Path(directory)
        client, _ = write_files(place, world)
        with echo(place) as back_end:
            for contender in gates(place, world, back_end, client):
                one, all_of_them, whole = _measure_one(contender, place, few, many)
                table.row(contender.label, f"{one:.1f}", f"{all_of_them:.1f}", f"{whole / 1024:.0f}")
    tell_missing(table)
    return table


def _measure_one(contender: Contender, place: Path, few: int, many: int) -> tuple[float, float, float]:
    with MeasuredProcess(contender.command, port=contender.port, log=place / "server.log") as server:
        with Clients(contender, WARM_UP):
            pass
        before = at_rest(server.pid)
        with Clients(contender, few):
            one = at_rest(server.pid)
        with Clients(contender, many):
            whole = at_rest(server.pid)
    return (one - before) / few, (whole - before) / many, whole
