"""An inventory of a million identities, in a file and on a PostgreSQL server: how fast, and how much memory.

Each piece of work runs in a process of its own, which tells how much its memory grew from an open inventory to its
peak: work that streams grows by the same little amount however many identities there are.
"""

import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from multiprocessing import get_context
from pathlib import Path

from bench.peer_missing import PeerMissing
from bench.table import Table
from dnsbound.provision import schema
from dnsbound.provision.backup import back_up, restore
from dnsbound.provision.backup_format import Header, Row, write
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.inventory_facts import InventoryFacts
from dnsbound.provision.inventory_kind import HEAD_REVISION
from dnsbound.provision.owner import OwnerName
from dnsbound.records.tlsa import TLSA

ZONE = "cars.example"
NOW = 1_800_000_000.0
_TABLES = ("zones", "nameservers", "identities", "keys", "tags", "records", "events")
HEADER = Header(
    schema=HEAD_REVISION,
    made_at=NOW,
    tables={name: tuple(schema.metadata.tables[name].columns.keys()) for name in _TABLES},
)
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
    table.note("One owner, one tag, one key, one TLSA record and one event each. A restore is one transaction.")
    return table


def _rows(table: Table, database: str, placed: "_Placed", identities: int) -> None:
    place, directory = placed
    made, backup = directory / "made.backup", directory / "fleet.backup"
    with made.open("wb") as file:
        write(file, HEADER, fleet(identities))
    for label, work, path in (
        ("restore", restore_all, made),
        ("list", list_all, None),
        ("list by tag", list_by_tag, None),
        ("list below a name", list_below, None),
        ("export the zone", export_zone, None),
        ("count (`inventory info`)", count_all, None),
        ("back up", back_up_all, backup),
    ):
        seconds, grown = apart(work, place, str(path), identities)
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
    before = memory("VmRSS")
    start = time.perf_counter()
    work(place, backup, identities)
    return time.perf_counter() - start, memory("VmHWM") - before


def memory(field: str) -> int:
    """VmRSS: now. VmHWM: the peak of this process."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def fleet(identities: int) -> Iterator[Row]:
    """What a backup of so many identities holds: one zone, and for each an owner, a tag, a key, a record, an event."""
    yield "zones", [1, ZONE, "example.cars", "ns." + ZONE, ZONE, identities, 60, 60, 60, 30, 60, None, "[]", NOW]
    yield "nameservers", [1, 0, "ns." + ZONE]
    numbers = range(1, identities + 1)
    for number in numbers:
        yield (
            "identities",
            [number, f"car{number}.{ZONE}", f"example.cars.car{number}", 60, "active", NOW, None, "Cars Ltd"],
        )
    for number in numbers:
        spki = _spki(number)
        yield "keys", [number, number, spki, hashlib.sha256(spki).digest(), None, "current", NOW, None]
    for number in numbers:
        yield "tags", [number, "model=x5"]
    for number in numbers:
        owner, sort_key, data = f"car{number}.{ZONE}", f"example.cars.car{number}", _record(number)
        yield "records", [number, owner, sort_key, "TLSA", data, 60, number, number]
    for number in numbers:
        detail = json.dumps({"records": [_record(number)], "tags": ["model=x5"], "ttl": 60})
        yield "events", [number, NOW, "bench", "register", f"car{number}.{ZONE}", detail, "delivered"]


def _spki(number: int) -> bytes:
    return _ED25519 + hashlib.sha256(str(number).encode()).digest()


def _record(number: int) -> str:
    return TLSA(3, 1, 1, hashlib.sha256(_spki(number)).digest()).to_text()


def list_all(place: str, _backup: str, identities: int) -> None:
    with Inventory.open(place) as inventory:
        assert sum(1 for _ in inventory.identities.all()) == identities


def list_by_tag(place: str, _backup: str, identities: int) -> None:
    with Inventory.open(place) as inventory:
        assert sum(1 for _ in inventory.identities.all(tag="model=x5")) == identities


def list_below(place: str, _backup: str, identities: int) -> None:
    with Inventory.open(place) as inventory:
        assert sum(1 for _ in inventory.identities.all(below=OwnerName.parse(ZONE))) == identities


def export_zone(place: str, _backup: str, identities: int) -> None:
    with Inventory.open(place) as inventory:
        lines = (record.to_text() for record in inventory.zones.records(OwnerName.parse(ZONE)))
        assert sum(1 for _ in lines) == identities


def count_all(place: str, _backup: str, identities: int) -> None:
    with Inventory.open(place) as inventory:
        assert InventoryFacts.of(inventory.database).records == identities


def back_up_all(place: str, backup: str, identities: int) -> None:
    with Inventory.open(place) as inventory:
        assert back_up(inventory.database, Path(backup), now=NOW).rows["identities"] == identities


def restore_all(place: str, backup: str, identities: int) -> None:
    with Inventory.open(place, create=True) as inventory:
        made = restore(inventory.database, Path(backup), now=NOW, actor="bench").backup
        assert made.rows["identities"] == identities


_Placed = tuple[str, Path]


@contextmanager
def _file() -> Iterator[_Placed]:
    with tempfile.TemporaryDirectory(prefix="dnsbound-bench-") as name:
        place = Path(name)
        yield str(place / "inventory.db"), place


@contextmanager
def _server() -> Iterator[_Placed]:
    with _postgres() as server, tempfile.TemporaryDirectory(prefix="dnsbound-bench-") as name:
        yield server.database(), Path(name)


def _postgres() -> "AbstractContextManager":
    """The server that the tests start, as they start it."""
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    try:
        from interop.postgres import postgres
    except ImportError as error:
        raise PeerMissing(str(error)) from error
    return postgres()
