"""Publishing to a real primary by signed updates, against a bare loop of dnspython over the same.

Both send batches of the same size over one connection to a server that starts afresh for each, with the zone signed at
every update. The bare loop makes records from numbers and waits for each answer. Ours reads an inventory, notes what it
sends and what is done, verifies every answer, and has several updates on their way.
"""

import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeAlias

import dns.name
import dns.query
import dns.update
from sqlalchemy import insert

from bench.inventory import memory
from bench.peer_missing import PeerMissing
from bench.table import Table
from dnsbound.edge.publishers import open_publisher
from dnsbound.provision import schema
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.publication import waiting_row
from dnsbound.provision.publish.moving import Manner
from dnsbound.provision.publish.reconcile import Publishing
from dnsbound.provision.publish.targets import parse_targets

ZONE = "cars.example"
BATCH = 500
NOW = 1_700_000_000.0
_ROWS = 1000
_Cost: TypeAlias = tuple[float, float, int]
"""Seconds, seconds of CPU, octets by which memory grew."""
_Work: TypeAlias = Callable[[int, Path, int], _Cost]
_SERVERS = {"Knot": ("knotd", "knot"), "BIND": ("named", "bind")}


def measure(names: int, rounds: int) -> Table:
    """Names per second, the best of several rounds in which the contenders take turns."""
    table = Table(
        f"Publishing {names:,} names by RFC 2136, batches of {BATCH}",
        ["server", "who", "seconds", "names/s", "ratio", "CPU seconds", "memory grew by"],
    )
    with tempfile.TemporaryDirectory() as directory:
        for server in _SERVERS:
            try:
                _rows(table, server, Path(directory), names, rounds)
            except PeerMissing as missing:
                table.note(f"{server} not measured: {missing}.")
    table.note(
        "Each in a process of its own, one connection, TSIG by HMAC-SHA256; memory from an open inventory to the peak, "
        "CPU of that process alone. Ours includes the inventory: what waits is read, what is sent is noted first, what "
        "is done is crossed off."
    )
    return table


def _rows(table: Table, server: str, directory: Path, names: int, rounds: int) -> None:
    best: dict[str, _Cost] = {}
    for turn in range(rounds):
        for who, work in (("bare dnspython loop", _bare), ("dnsbound publish", _ours)):
            place = directory / f"{server}-{turn}-{work.__name__}"
            place.mkdir()
            with _started(server, place) as primary:
                seconds, cpu, grown = _apart(work, primary.port, place, names)
            shutil.rmtree(place)
            known = best.get(who, (float("inf"), float("inf"), 0))
            best[who] = min(known[0], seconds), min(known[1], cpu), max(known[2], grown)
    bare = best["bare dnspython loop"][0]
    for who, (seconds, cpu, grown) in best.items():
        ratio = f"{bare / seconds:.2f}"
        table.row(
            server, who, f"{seconds:.1f}", f"{names / seconds:,.0f}", ratio, f"{cpu:.1f}", f"{grown / 1e6:.0f} MB"
        )


def _started(server: str, directory: Path) -> AbstractContextManager[Any]:
    program, function = _SERVERS[server]
    if shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/usr/local/sbin") is None:
        raise PeerMissing(program)
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    try:
        from interop import primaries
    finally:
        sys.path.pop()
    made: AbstractContextManager[Any] = getattr(primaries, function)(directory)
    return made


def _apart(work: _Work, port: int, place: Path, names: int) -> _Cost:
    with get_context("spawn").Pool(1) as pool:
        result: _Cost = pool.apply(work, (port, place, names))
    return result


def _name(number: int) -> str:
    return f"car{number}._device.{ZONE}"


def _data(number: int) -> str:
    return f"3 1 1 {number + 1:064x}"


def _bare(port: int, _place: Path, names: int) -> _Cost:
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    from interop.primaries import KEY

    before, start, cpu = memory("VmRSS"), time.perf_counter(), time.process_time()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for first in range(0, names, BATCH):
            update = dns.update.UpdateMessage(ZONE)
            update.use_tsig({KEY.name: KEY.secret}, KEY.name, algorithm=KEY.algorithm)
            for number in range(first, min(first + BATCH, names)):
                update.add(f"car{number}._device", 300, "TLSA", _data(number))
            response = dns.query.tcp(update, "127.0.0.1", port=port, timeout=120, sock=connection)
            if response.rcode():
                raise RuntimeError(f"refused: {response}")
    return time.perf_counter() - start, time.process_time() - cpu, memory("VmHWM") - before


def _ours(port: int, place: Path, names: int) -> _Cost:
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    from interop.primaries import write_key

    key = write_key(place)
    table = {"to": "rfc2136", "server": f"127.0.0.1:{port}", "key_file": str(key), "batch": BATCH}
    targets = parse_targets({ZONE: table}, place / "dnsbound.toml")
    with closing(Inventory.open(place / "inventory.db", create=True)) as inventory:
        _fill(inventory, names)
        publishing = Publishing(inventory, targets, open_publisher)
        before, start, cpu = memory("VmRSS"), time.perf_counter(), time.process_time()
        moved = publishing.publish(targets[ZONE], Manner())
        cost = time.perf_counter() - start, time.process_time() - cpu, memory("VmHWM") - before
    if moved.done != names:
        raise RuntimeError(f"{moved.done} of {names} were published: {moved.lines}")
    return cost


def _fill(inventory: Inventory, names: int) -> None:
    """The records and the outbox as registering leaves them; identities and keys are not looked at when publishing."""
    for first in range(0, names, _ROWS):
        owners = [(number, OwnerName.parse(_name(number))) for number in range(first, min(first + _ROWS, names))]
        records = [
            {"owner": owner.text, "sort_key": owner.sort_key, "rdtype": "TLSA", "rdata": _data(number), "ttl": 300}
            for number, owner in owners
        ]
        with inventory.database.writing() as connection:
            connection.execute(insert(schema.records), records)
            connection.execute(insert(schema.outbox), [waiting_row(owner, now=NOW) for _, owner in owners])
