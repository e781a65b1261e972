"""Publishing as a file: a real NSD loads it, and the file is whole or as it was, whatever goes wrong."""

import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dnsbound.provision.entries import ZoneSettings
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.publish.drift import DriftKind
from interop.daemon import program, run
from interop.primaries import FOREIGN, ZONE, Server, nsd, nsd_reload
from interop.publishers.fleet import NOW, Fleet, data, name

LOADED = "the new file is served"
"""While NSD reads it, connections may be cut."""
SETTINGS = ZoneSettings(
    name=OwnerName.parse(ZONE),
    nameservers=(OwnerName.parse(f"ns.{ZONE}"),),
    rname=OwnerName.parse(f"hostmaster.{ZONE}"),
    ttl=60,
)
MAIN = f"""$ORIGIN {ZONE}.
$TTL 300
@ SOA ns hostmaster 1 3600 600 86400 5
@ NS ns
ns A 127.0.0.1
foreign TLSA {FOREIGN}
$INCLUDE fleet.zone
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    directory = tmp_path / "nsd"
    directory.mkdir()
    (directory / "fleet.zone").write_text("")
    with nsd(directory, text=MAIN) as running:
        yield running


def fleet_of(place: str, directory: Path, **table: object) -> Fleet:
    return Fleet(place, directory, {"to": "zonefile"} | dict(table))


@pytest.mark.peer("nsd")
@pytest.mark.peer("nsd-control")
def test_records_for_a_zone_of_somebody_else(database_url: str, tmp_path: Path, server: Server) -> None:
    path = server.directory / "fleet.zone"
    # NSD looks at the date of the main file, whose serial is its keeper's to raise.
    script = f"touch {server.directory}/{ZONE}.zone && {' '.join(nsd_reload(server))}"
    fleet = fleet_of(database_url, tmp_path, file=str(path), after=["sh", "-c", script])
    fleet.add(range(1500))
    assert fleet.publish().done == 1500
    server.daemon.wait_for(lambda: server.tlsa(name(1499)) == {data(1499)}, LOADED)
    assert server.tlsa(f"foreign.{ZONE}") == {FOREIGN}
    assert (fleet.count("outbox"), fleet.count("published")) == (0, 1500)
    assert fleet.drifts() == []
    before = path.stat().st_mtime_ns
    assert fleet.publish().done == 0
    assert path.stat().st_mtime_ns == before
    fleet.remove([7])
    fleet.alias(f"leased.{ZONE}", f"{name(8)}.")
    assert fleet.publish().done == 2
    server.daemon.wait_for(lambda: server.tlsa(name(7)) == set() and server.tlsa(f"leased.{ZONE}") == {data(8)}, LOADED)
    assert fleet.count("published") == 1500
    fleet.inventory.close()


@pytest.mark.peer("nsd")
@pytest.mark.peer("nsd-control")
def test_a_whole_zone(tmp_path: Path, server: Server) -> None:
    path = server.directory / f"{ZONE}.zone"
    fleet = fleet_of(str(tmp_path / "i.db"), tmp_path, file=str(path), content="zone", after=nsd_reload(server))
    fleet.inventory.zones.create(SETTINGS, now=NOW, actor="tests")
    fleet.add(range(20))
    assert fleet.publish().done == 1
    server.daemon.wait_for(lambda: server.tlsa(name(3)) == {data(3)}, LOADED)
    done = run([program("nsd-checkzone"), ZONE, str(path)])
    assert done.returncode == 0, done.stdout + done.stderr
    assert fleet.drifts() == []
    assert fleet.publish().done == 0
    fleet.remove([3])
    assert [drift.kind for drift in fleet.drifts()] == [DriftKind.STALE]
    assert fleet.publish().done == 1
    server.daemon.wait_for(lambda: server.tlsa(name(3)) == set(), LOADED)
    fleet.inventory.close()


def small(tmp_path: Path, **table: object) -> tuple[Fleet, Path]:
    path = tmp_path / "fleet.zone"
    fleet = fleet_of(str(tmp_path / "i.db"), tmp_path, file=str(path), **table)
    fleet.add(range(5))
    return fleet, path


def test_drift_of_a_file(tmp_path: Path) -> None:
    fleet, path = small(tmp_path)
    fleet.publish()
    lines = path.read_text().splitlines(keepends=True)
    lines[1] = lines[1].replace(" 60 ", " 61 ")
    lines[2] = lines[2].upper().replace("TLSA", "TLSA")
    lines[3] = ""
    path.write_text("".join([*lines, f"zzz.{ZONE}. 60 IN TLSA {FOREIGN}\n"]))
    assert {(drift.owner.text, drift.kind) for drift in fleet.drifts()} == {
        (name(0), DriftKind.TTL),
        (name(2), DriftKind.MISSING),
    }
    assert fleet.fix().done == 2
    assert fleet.drifts() == []
    fleet.inventory.close()


@pytest.mark.parametrize(
    ("after", "kind", "told"),
    [
        (["/no/such/program"], "refused", "cannot be run"),
        ([sys.executable, "-c", "raise SystemExit('the zone is broken')"], "refused", "the zone is broken"),
        ([sys.executable, "-c", "import time; time.sleep(30)"], "undecided", "did not end within 1 s"),
    ],
    ids=["missing", "failing", "hanging"],
)
def test_a_command_that_fails_is_told_and_run_again(tmp_path: Path, after: list[str], kind: str, told: str) -> None:
    fleet, _ = small(tmp_path, after=after, seconds=1)
    moved = fleet.publish()
    assert getattr(moved, kind) == 5
    [line] = moved.lines
    assert told in line
    assert (fleet.count("outbox"), fleet.problems()) == (5, {line.split(": ", 2)[2]})
    fleet.table["after"] = []
    assert fleet.publish().done == 5
    assert fleet.count("outbox") == 0
    fleet.inventory.close()


def test_the_mode_of_a_file_is_kept(tmp_path: Path) -> None:
    fleet, path = small(tmp_path)
    fleet.publish()
    path.chmod(0o640)
    fleet.add([9])
    fleet.publish()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    fleet.inventory.close()


FILLS_THE_DISK = """
import resource, sys
from pathlib import Path
from dnsbound.provision.publish.publisher import ServerUnclear
from dnsbound.provision.publish.zone_file import write_zone_file

resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    write_zone_file(Path(sys.argv[1]), ("x" * 100 for _ in range(1000)))
except ServerUnclear as error:
    print(error)
"""


def test_a_disk_that_is_full_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """A limit of file sizes fails the same write as a disk without room."""
    path = tmp_path / "fleet.zone"
    path.write_text("as it was\n")
    done = run([sys.executable, "-c", FILLS_THE_DISK, str(path)])
    assert done.stdout == f"{path}: file too large\n", done.stderr
    assert path.read_text() == "as it was\n"
    assert [found.name for found in tmp_path.iterdir()] == ["fleet.zone"]
