"""Server CPU per EAP-TLS authentication by RADIUS: `dnsbound serve radius`, with names, against FreeRADIUS, with a CA.

Whole authentications of four round trips, with the same client, client certificate, server certificate, group and
fragment size; no resumption. The evidence of ours is in its cache, but for the rows that say otherwise: there each
client is one whose name was never asked for.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.contenders import ratio
from bench.eap_load import Wanted
from bench.eap_servers import FREERADIUS, EapServers, Started, has_freeradius, reach
from bench.measured_process import cpu_seconds
from bench.table import Table
from dnsbound.testing import World

WARM_UP = 40
TTL = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One server with one kind of client. beside: label of the row it is compared with."""

    label: str
    tls: str
    started: Started
    clients: Sequence[Path]
    beside: str
    warm_up: Sequence[Path] = ()
    """Clients of the round before the one that counts, where they are others."""
    processes: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Microseconds for each authentication, of the server and of the load."""

    server: float
    load: float
    round_trips: float
    each_second: float


def measure(authentications: int, rounds: int) -> Table:
    """Of each row the round with the least CPU of the server, rounds taken in turn."""
    best: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, World() as world:
        rows = _rows(EapServers(Path(directory), world), _strangers(Path(directory), world, authentications))
        for _ in range(rounds):
            for row in rows:
                found = _one_round(row, authentications)
                if row.label not in best or found.server < best[row.label].server:
                    best[row.label] = found
    header = ["server", "us", "of FreeRADIUS", "round trips", "load, us", "each second"]
    table = Table("Server CPU per EAP-TLS authentication", header)
    for row in rows:
        one, beside = best[row.label], best.get(row.beside)
        cells = (ratio(one.server, beside.server if beside else None), f"{one.round_trips:.1f}", f"{one.load:.0f}")
        table.row(row.label, f"{one.server:.0f}", *cells, f"{one.each_second:.0f}")
    if not has_freeradius():
        table.note("FreeRADIUS is not installed (Debian package freeradius): not compared with.")
    return table


def _rows(servers: EapServers, strangers: Sequence[Path]) -> list[Row]:
    rows: list[Row] = []
    for tls in ("1.3", "1.2"):
        for size, processes in ((1, 1), (2, 2)):
            peer = f"{FREERADIUS}, {size} {'thread' if size == 1 else 'threads'}, TLS {tls}"
            add = partial(Row, tls=tls, beside=peer, processes=processes)
            ours = partial(servers.ours, size)
            said = f"dnsbound, {size} {'worker' if size == 1 else 'workers'}"
            if has_freeradius():
                peers = partial(servers.freeradius, size)
                rows.append(add(label=peer, started=peers, clients=[servers.client]))
            rows.append(add(label=f"{said}, X.509, TLS {tls}", started=ours, clients=[servers.client]))
            if size == 1 and tls == "1.3":
                rows.append(add(label=f"{said}, raw key, TLS {tls}", started=ours, clients=[servers.raw]))
            if size == 1:
                cold = partial(servers.ours, size, "lookups_per_zone = 100000\nlookups_per_source = 100000\n")
                rows.append(
                    add(
                        label=f"{said}, X.509, TLS {tls}, cold names",
                        started=cold,
                        clients=strangers,
                        warm_up=[servers.client],
                    )
                )
    return rows


def _strangers(place: Path, world: World, number: int) -> list[Path]:
    """Clients of whom no server has heard."""
    cars = world.organisation("cars.example")
    paths = []
    for index in range(number):
        path = place / f"stranger{index}.pem"
        path.write_bytes(cars.device(f"stranger{index}", ttl=TTL).credential.to_pem())
        path.chmod(0o600)
        paths.append(path)
    return paths


def _one_round(row: Row, authentications: int) -> Figures:
    with row.started() as server:
        wanted = partial(Wanted, port=server.port, secret=server.secret, tls=row.tls, processes=row.processes)
        warm_up = list(map(str, row.warm_up or row.clients))
        reach(wanted(clients=warm_up, authentications=WARM_UP, first=authentications))
        before = cpu_seconds(server.pid)
        reached = reach(wanted(clients=list(map(str, row.clients)), authentications=authentications))
        spent = cpu_seconds(server.pid) - before
    return Figures(
        server=spent / authentications * 1e6,
        load=reached.cpu_seconds / authentications * 1e6,
        round_trips=reached.round_trips / authentications,
        each_second=authentications / reached.seconds,
    )
