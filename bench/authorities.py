"""The embedded authority against servers of the trade, over UDP: answers for a second of the server's processor time,
and memory with so many names in the zone.

The same names are asked of each, signatures wanted: names that exist, and names that do not. Each pass is asked twice,
since PowerDNS and ours keep what they signed; NSD was handed signatures and makes none.
"""

import shutil
import tempfile
import time
from pathlib import Path

from bench.dns_load import ask_all, query, wait_until_served
from bench.dns_servers import Builder, build_nsd, build_ours, build_powerdns, started
from bench.measured_process import MeasuredProcess
from bench.peer_missing import PeerMissing
from bench.signed_zone import ZONE, label
from bench.table import Table

_START_SECONDS = 300.0
_SERVERS: dict[str, Builder] = {
    "dnsbound, signs when asked": build_ours,
    "PowerDNS with SQLite, signs when asked": build_powerdns,
    "NSD, signed beforehand": build_nsd,
}
_PASSES = ("exists, first", "exists, again", "absent, first", "absent, again")


class _Measured:
    """What one server showed. rates: of the passes, in answers for a second of its processor time."""

    def __init__(self) -> None:
        self.build_seconds = 0.0
        self.start_seconds = 0.0
        self.disk = 0
        self.rates: dict[str, float] = {}
        self.memory_kib: tuple[float, float] = (0.0, 0.0)


def measure(names: int, asked: int) -> Table:
    """names: in the zone. asked: of them, and as many that are not there."""
    table = Table(
        f"Authoritative servers, {names:,} names in the zone, {asked:,} asked",
        ["server", *_PASSES, "memory MB, started", "then", "on disk MB", "laid out s", "started s"],
    )
    with tempfile.TemporaryDirectory(prefix="dnsbound-bench-") as directory:
        for label_of_server, build in _SERVERS.items():
            place = Path(directory) / build.__name__
            place.mkdir()
            try:
                found = _measured(build, place, names, asked)
            except PeerMissing as missing:
                table.note(f"{label_of_server}: not measured: {missing}.")
                continue
            finally:
                shutil.rmtree(place)
            memory = [f"{kib * 1024 / 1e6:,.0f}" for kib in found.memory_kib]
            seconds = [f"{found.build_seconds:.1f}", f"{found.start_seconds:.1f}"]
            rates = [f"{found.rates[each]:,.0f}" for each in _PASSES]
            table.row(label_of_server, *rates, *memory, f"{found.disk / 1e6:,.0f}", *seconds)
    table.note("Answers for a second of the server's processor time, user and system, over UDP on loopback.")
    return table


def _measured(build: Builder, place: Path, names: int, asked: int) -> _Measured:
    found = _Measured()
    began = time.perf_counter()
    command = build(place, names)
    found.build_seconds = time.perf_counter() - began
    found.disk = sum(file.stat().st_size for file in place.iterdir() if file.is_file())
    began = time.perf_counter()
    running, port = started(command, place)
    with running as server:
        wait_until_served(port, ZONE, _START_SECONDS)
        found.start_seconds = time.perf_counter() - began
        before = server.resident_kib()
        found.rates = _rates(server, port, names, asked)
        found.memory_kib = before, server.resident_kib()
    return found


def _rates(server: MeasuredProcess, port: int, names: int, asked: int) -> dict[str, float]:
    apart = max(1, names // asked)
    queries = {
        "exists": [query(f"{label(number * apart)}.{ZONE}") for number in range(min(asked, names))],
        "absent": [query(f"truck{number}._device.{ZONE}") for number in range(asked)],
    }
    rates = {}
    for each in _PASSES:
        kind = each.partition(",")[0]
        before = server.cpu_seconds()
        ask_all(port, queries[kind], exists=kind == "exists")
        rates[each] = len(queries[kind]) / (server.cpu_seconds() - before)
    return rates
