"""An adoption that is killed, shares the inventory, or runs out of disk: nothing is lost, nothing is there twice, and
the same command finishes the rest. Real processes of the program, on both databases."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dnsbound.provision.adoption.plan import TAKEN_BACK
from dnsbound.provision.adoption.rollback import read_backwards
from dnsbound.provision.inventory import Inventory

PROGRAM = "from dnsbound.cli import main; main()"
SHORT_OF_DISK = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000)); {PROGRAM}"
CLIENTS = 3000
BATCH = 1000
PATIENCE = 90


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list of clients, a few bad rows among them."""
    path = tmp_path_factory.mktemp("lists") / "devices.csv"
    lines = ["serial,public_key,tags"]
    for number in range(CLIENTS):
        private = ed25519.Ed25519PrivateKey.from_private_bytes(number.to_bytes(32, "big"))
        spki = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        lines.append(f"SN{number:05},{spki.hex()},fleet")
        if number % 1000 == 0:
            lines.append("broken,zz,")
    path.write_text("\n".join(lines) + "\n")
    return path


def start(place: str, directory: Path, *arguments: object, program: str = PROGRAM) -> subprocess.Popen[bytes]:
    """The program in a directory of its own, with nothing of this machine's configuration."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DNSBOUND_", "XDG_"))}
    environment |= {"DNSBOUND_INVENTORY": place, "DNSBOUND_ACTOR": "test", "XDG_CONFIG_HOME": str(directory)}
    return subprocess.Popen(
        [sys.executable, "-c", program, "id", "adopt", *map(str, arguments)],
        env=environment,
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def ended(process: subprocess.Popen[bytes]) -> tuple[int, str, str]:
    try:
        out, err = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return process.returncode, out.decode(), err.decode()


def kept(place: str) -> tuple[dict[str, object], Counter[tuple[str, str]]]:
    """What is in force, and how often what was done with each name."""
    with Inventory.open(place) as inventory:
        identities = {
            identity.name.canonical: (
                *(identity.spki, identity.state, identity.tags, identity.ttl, identity.owner),
                *(record.rdata for record in identity.records),
            )
            for identity in inventory.identities.all()
        }
        done = Counter((event.action, event.subject) for event in inventory.events())
    return identities, done


def lines_of(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def kill_when(process: subprocess.Popen[bytes], path: Path, lines: int) -> None:
    """End it the hard way, once its rollback file has so many lines; it may be done by then."""
    deadline = time.monotonic() + PATIENCE
    while lines_of(path) < lines and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_killed_and_started_again(database_url: str, listed: Path, tmp_path: Path) -> None:
    Inventory.open(database_url, create=True).close()
    rollback = tmp_path / "rollback"
    options = (listed, "--below", "cars.example", "--rollback", rollback)
    # The lines of a batch are written just before it is committed: a kill then hits the commit, or what is before it.
    kill_when(start(database_url, tmp_path, *options), rollback, 1)
    assert lines_of(rollback) >= 1
    for lines in (BATCH + 2, 2 * BATCH + 2):
        kill_when(start(database_url, tmp_path, *options, "--resume"), rollback, lines)
    between, done = kept(database_url)
    assert all(number == 1 for number in done.values())
    assert len(between) == done.total()
    code, _, err = ended(start(database_url, tmp_path, *options, "--resume"))
    assert (code, err.count("unreadable")) == (1, 3)
    identities, done = kept(database_url)
    assert len(identities) == CLIENTS
    assert done == Counter({("register", name): 1 for name in identities})
    assert between.items() <= identities.items()
    # As if nothing had happened.
    other = tmp_path / "other.db"
    assert ended(start(str(other), tmp_path, listed, "--below", "cars.example"))[0] == 1
    assert kept(str(other)) == (identities, done)
    # What takes it back knows all of it, whatever was written and never done.
    assert {entry.name.canonical for entry in read_backwards(rollback)} == set(identities)


def test_two_at_once_share_the_work(database_url: str, listed: Path, tmp_path: Path) -> None:
    Inventory.open(database_url, create=True).close()
    both = [start(database_url, tmp_path, listed, "--below", "cars.example", "--rollback", name) for name in ("a", "b")]
    assert [ended(process)[0] for process in both] == [1, 1]
    identities, done = kept(database_url)
    assert done == Counter({("register", name): 1 for name in identities})
    assert len(identities) == CLIENTS
    taken = [
        {e.name for e in read_backwards(tmp_path / name)} if (tmp_path / name).exists() else set() for name in "ab"
    ]
    assert len(taken[0]) + len(taken[1]) == CLIENTS
    assert not taken[0] & taken[1]


def test_a_full_disk_ends_it_in_one_line_between_two_batches(listed: Path, tmp_path: Path) -> None:
    place = str(tmp_path / "inventory.db")
    Inventory.open(place, create=True).close()

    options = (listed, "--below", "cars.example", "--rollback", tmp_path / "rollback")
    code, _, err = ended(start(place, tmp_path, *options, program=SHORT_OF_DISK))
    [told] = [line for line in err.splitlines() if line.startswith("dnsbound: ")]
    assert code == 3, told
    identities, done = kept(place)
    assert 0 < len(identities) < CLIENTS
    assert len(identities) % BATCH == 0
    assert done == Counter({("register", name): 1 for name in identities})
    assert ended(start(place, tmp_path, *options, "--resume"))[0] == 1
    assert len(kept(place)[0]) == CLIENTS


def test_an_interrupt_says_how_far_it_is(database_url: str, listed: Path, tmp_path: Path) -> None:
    Inventory.open(database_url, create=True).close()
    rollback = tmp_path / "rollback"
    process = start(database_url, tmp_path, listed, "--below", "cars.example", "--rollback", rollback)
    deadline = time.monotonic() + PATIENCE
    while lines_of(rollback) <= BATCH + 1 and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    code, _, err = ended(process)
    assert code == 130
    assert "the same command goes on" in err
    assert 0 < len(kept(database_url)[0]) < CLIENTS


def test_taking_back_is_killed_and_goes_on(database_url: str, listed: Path, tmp_path: Path) -> None:
    few = tmp_path / "few.csv"
    few.write_text("".join(listed.read_text().splitlines(keepends=True)[:400]))
    Inventory.open(database_url, create=True).close()
    rollback = tmp_path / "rollback"
    ended(start(database_url, tmp_path, few, "--below", "cars.example", "--rollback", rollback))
    process = start(database_url, tmp_path, "--undo", rollback, "--max-removals", "100%")
    deadline = time.monotonic() + PATIENCE
    while not kept(database_url)[1][("revoke", _last(rollback))] and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert ended(start(database_url, tmp_path, "--undo", rollback, "--max-removals", "100%"))[0] == 0
    identities, done = kept(database_url)
    once = ("register", "revoke", TAKEN_BACK)
    assert done == Counter({(action, name): 1 for name in identities for action in once})


def _last(rollback: Path) -> str:
    return next(iter(read_backwards(rollback))).name.canonical
