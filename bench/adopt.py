"""Adopting a list of keys, against bare inserts of the very rows it makes: rate and peak memory, on both databases.

Ours is the whole command: reading a CSV, checking every key, sorting and comparing, the plan of each batch under the
write lock, rollback lines on the disk, records, events, names to be published. The bare inserts are the driver's
`executemany` into an inventory with the same tables and indexes, in transactions of the same size, of rows that lie
ready in memory batch by batch. Making the keys is not counted.
"""

import base64
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bench.peer_missing import PeerMissing
from bench.table import Table

PROGRAM = "from dnsbound.cli import main; main()"


def measure(clients: int) -> Table:
    """clients: of the list. PostgreSQL is measured where it is installed."""
    table = Table(
        f"Adopting {clients:,} keys",
        ["what", "seconds", "keys/s", "CPU seconds", "peak memory MB", "of bare inserts"],
    )
    with tempfile.TemporaryDirectory(prefix="dnsbound-bench-") as top, ExitStack() as stack:
        directory = Path(top)
        source = directory / "devices.csv"
        _write_list(source, clients)
        _measure_one(table, "SQLite", source, clients, lambda name: str(directory / f"{name}.db"))
        try:
            place = _postgresql(stack)
        except PeerMissing as missing:
            table.note(str(missing))
        else:
            _measure_one(table, "PostgreSQL", source, clients, place)
    table.note("The CPU seconds and the memory are of the program; PostgreSQL's own are not in them.")
    return table


def _measure_one(table: Table, database: str, source: Path, clients: int, place: Callable[[str], str]) -> None:
    adopted, bare = place("adopted"), place("bare")
    command = [sys.executable, "-c", PROGRAM, "id", "adopt", str(source), "--below", "cars.example"]
    inserts = [sys.executable, "-m", "bench.bare_inserts", adopted, bare]
    ours = _Run(command, adopted, source.parent)
    again = _Run(command, adopted, source.parent)
    theirs = _Run(inserts, adopted, Path.cwd())
    # The inserting program says how long the inserts alone took: reading the rows is not what is compared.
    seconds = float(theirs.output.strip())
    for what, run, took in (
        (f"{database}: bare inserts", theirs, seconds),
        (f"{database}: id adopt", ours, ours.seconds),
        (f"{database}: the same again, nothing to do", again, again.seconds),
    ):
        table.row(
            what,
            f"{took:.0f}",
            f"{clients / took:,.0f}",
            f"{run.cpu:.0f}" if run is not theirs else "",
            f"{run.memory / 1e6:.0f}",
            f"{seconds / took:.2f}",
        )


class _Run:
    """What a process took. memory: octets, at its peak."""

    def __init__(self, command: Sequence[str], place: str, directory: Path) -> None:
        environment = os.environ | {"DNSBOUND_INVENTORY": place, "DNSBOUND_ACTOR": "bench"}
        environment["XDG_CONFIG_HOME"] = str(directory)
        start = time.perf_counter()
        process = subprocess.Popen(command, env=environment, cwd=directory, stdout=subprocess.PIPE)
        assert process.stdout is not None
        self.output = process.stdout.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        self.seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stdout.close()
        if process.returncode:
            raise RuntimeError(f"{command} ended with {process.returncode}")
        self.cpu = usage.ru_utime + usage.ru_stime
        self.memory = usage.ru_maxrss * 1024


def _write_list(path: Path, clients: int) -> None:
    with path.open("w", encoding="ascii") as file:
        file.write("serial,public_key\n")
        for number in range(clients):
            public = ec.generate_private_key(ec.SECP256R1()).public_key()
            spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            file.write(f"SN{number:07},{base64.b64encode(spki).decode()}\n")


def _postgresql(stack: ExitStack) -> Callable[[str], str]:
    sys.path.append(str(Path(__file__).parent.parent / "tests"))
    try:
        from interop.postgres import postgres
    except ImportError as error:
        raise PeerMissing(f"PostgreSQL was not measured: {error}") from None
    server = stack.enter_context(postgres())
    return lambda _name: server.database()
