"""An inventory of a million identities, in a file and on a PostgreSQL server: how fast, and how much memory.

Each piece of work runs in a process of its own, which tells how much its memory grew from an open inventory to its
peak: work that streams grows by the same little amount however many identities there are.
"""

import hashlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from multiprocessing import get_context
from pathlib import Path

from bench.peer_missing import PeerMissing
from bench.table import Table
from dnsbound.names import ClientName
from dnsbound.provision.backup import back_up, restore
from dnsbound.provision.bulk_registration import register_all
from dnsbound.provision.entries import ZoneSettings
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.inventory_facts import InventoryFacts
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.registration import Registration
from dnsbound.records.tlsa import TLSA

ZONE = "cars.example"
NOW = 1_800_000_000.0
BATCH = 1000
_ED25519 = bytes.fromhex("302a300506032b6570032100")


def measure(identities: int) -> Table:
    table = Table(
        f"Inventory of {identities:,} identities", ["work", "database", "seconds", "identities/s", "memory grew by"]
    )
    for database, placed in {"SQLite": _file, "PostgreSQL": _server}.items():
        try:
            with placed() as places:
                _rows(table, database, places, identities)
        except PeerMissing as missing:
            table.note(f"{database} not measured: {missing}.")
    table.note("One owner, one tag, one key and one TLSA record each; registered in transactions of a thousand.")
    return table


def _rows(table: Table, database: str, placed: "_Placed", identities: int) -> None:
    place, second, directory = placed
    backup = directory / "fleet.backup"
    for label, work, where in (
        ("register", _register, place),
        ("list", _list, place),
        ("list by tag", _list_by_tag, place),
        ("export the zone", _export, place),
        ("count (`inventory info`)", _count, place),
        ("back up", _back_up, place),
        ("restore", _restore, second),
    ):
        seconds, grown = apart(work, where, str(backup), identities)
        table.row(label, database, f"{seconds:.1f}", f"{identities / seconds:,.0f}", f"{grown / 1e6:.0f} MB")
    table.note(f"{database}: the backup has {backup.stat().st_size / 1e6:.0f} MB.")


def apart(work: Callable[[str, str, int], None], place: str, backup: str, identities: int) -> tuple[float, int]:
    """Run in a fresh process: seconds, and octets its memory grew by from an open inventory to its peak."""
    with get_context("spawn").Pool(1) as pool:
        seconds, grown = pool.apply(_watched, (work, place, backup, identities))
    return seconds, grown


def _watched(work: Callable[[str, str, int], None], place: str, backup: str, identities: int) -> tuple[float, int]:
    with Inventory.open(place, create=True) as inventory:
        next(iter(inventory.identities.all()), None)
    before = _memory("VmRSS")
    start = time.perf_counter()
    work(place, backup, identities)
    return time.perf_counter() - start, _memory("VmHWM") - before


def _memory(field: str) -> int:
    """VmRSS: now. VmHWM: the peak of this process."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def _register(place: str, _backup: str, identities: int) -> None:
    with Inventory.open(place, create=True) as inventory:
        zone = OwnerName.parse(ZONE)
        settings = ZoneSettings(name=zone, nameservers=(zone,), rname=zone, ttl=60)
        inventory.zones.create(settings, now=NOW, actor="bench")
        for first in range(0, identities, BATCH):
            batch = [_registration(number) for number in range(first, min(first + BATCH, identities))]
            with inventory.database.writing() as connection:
                refused = [error for error in register_all(connection, batch, now=NOW, actor="bench") if error]
            assert refused == []


def _registration(number: int) -> Registration:
    spki = _ED25519 + hashlib.sha256(str(number).encode()).digest()
    return Registration.checked(
        ClientName.parse(f"car{number}._device.{ZONE}"),
        spki=spki,
        records=[TLSA(3, 1, 1, hashlib.sha256(spki).digest())],
        owner="Cars Ltd",
        tags=["model=x5"],
    )


def _list(place: str, _backup: str, identities: int) -> None:
    with Inventory.open(place) as inventory:
        assert sum(1 for _ in inventory.identities.all()) == identities


def _list_by_tag(place: str, _backup: str, identities: int) -> None:
    with Inventory.open(place) as inventory:
        assert sum(1 for _ in inventory.identities.all(tag="model=x5")) == identities


def _export(place: str, _backup: str, identities: int) -> None:
    with Inventory.open(place) as inventory:
        lines = (record.to_text() for record in inventory.zones.records(OwnerName.parse(ZONE)))
        assert sum(1 for _ in lines) == identities


def _count(place: str, _backup: str, identities: int) -> None:
    with Inventory.open(place) as inventory:
        assert InventoryFacts.of(inventory.database).records == identities


def _back_up(place: str, backup: str, identities: int) -> None:
    with Inventory.open(place) as inventory:
        assert back_up(inventory.database, Path(backup), now=NOW).rows["identities"] == identities


def _restore(place: str, backup: str, identities: int) -> None:
    with Inventory.open(place, create=True) as inventory:
        made = restore(inventory.database, Path(backup), now=NOW, actor="bench")
        assert made.rows["identities"] == identities


_Placed = tuple[str, str, Path]


@contextmanager
def _file() -> Iterator[_Placed]:
    with tempfile.TemporaryDirectory(prefix="dnsbound-bench-") as name:
        place = Path(name)
        yield str(place / "one.db"), str(place / "two.db"), place


@contextmanager
def _server() -> Iterator[_Placed]:
    with _postgres() as server, tempfile.TemporaryDirectory(prefix="dnsbound-bench-") as name:
        yield server.database(), server.database(), Path(name)


def _postgres() -> "AbstractContextManager":
    """The server that the tests start, as they start it."""
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    try:
        from interop.postgres import postgres
    except ImportError as error:
        raise PeerMissing(str(error)) from error
    return postgres()
