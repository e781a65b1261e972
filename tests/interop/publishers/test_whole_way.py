"""From the inventory to what a server answers, by every target a configuration can name."""

import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dnsbound.edge.publishers import open_publisher
from dnsbound.names import ClientName
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.publish.drift import Drift, DriftKind
from dnsbound.provision.publish.moving import Manner, Moved
from dnsbound.provision.publish.publisher import OutcomeKind
from dnsbound.provision.publish.reconcile import Publishing
from dnsbound.records.tlsa import TLSA
from interop.daemon import eventually, run
from interop.primaries import FOREIGN, ZONE
from interop.publishers.test_conformance import WAYS as CHANGING
from interop.publishers.ways import OTHER, TTL, Way, applied, change, embedded, zone_file

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

CAR = ClientName.parse(f"car54._device.{ZONE}")
SHARED = ClientName.parse(f"shared.{ZONE}")
FILE = pytest.param(zone_file, id="zonefile-nsd", marks=[pytest.mark.peer("nsd"), pytest.mark.peer("nsd-control")])
EVERY = [*CHANGING, FILE, pytest.param(embedded, id="embedded")]
WRITTEN_APART = [*CHANGING, FILE]
"""Those whose server keeps its records elsewhere than in the inventory, so that they can differ."""


@pytest.fixture
def way(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Way]:
    started: Callable[[Path], AbstractContextManager[Way]] = request.param
    directory = tmp_path / "server"
    directory.mkdir()
    with started(directory) as running:
        yield running


@pytest.fixture
def inventory(way: Way) -> Iterator[Inventory]:
    with Inventory.open(way.directory / "inventory.db", create=True) as opened:
        yield opened


def publishing(way: Way, inventory: Inventory, *, right: bool = True) -> Publishing:
    return Publishing(inventory, way.targets(right=right), open_publisher)


def published(way: Way, inventory: Inventory, *, right: bool = True) -> Moved:
    whole = publishing(way, inventory, right=right)
    [target] = whole.targets.values()
    return whole.publish(target, Manner())


def differences(way: Way, inventory: Inventory) -> list[tuple[DriftKind, str]]:
    whole = publishing(way, inventory)
    [target] = whole.targets.values()
    found = [drift for some in whole.drifts(target) for drift in some]
    return sorted((drift.kind, drift.owner.text.removesuffix(f".{ZONE}")) for drift in found)


def mended(way: Way, inventory: Inventory) -> Moved:
    whole = publishing(way, inventory)
    [target] = whole.targets.values()
    found: list[Drift] = [drift for some in whole.drifts(target) for drift in some]
    whole.again(found)
    return whole.publish(target, Manner())


def register(inventory: Inventory, name: ClientName = CAR, *, ttl: int = TTL) -> str:
    """A new identity; its record."""
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    record = f"3 1 1 {hashlib.sha256(spki).hexdigest()}"
    inventory.identities.register(name, spki=spki, records=[TLSA.from_text(record)], ttl=ttl, now=0.0, actor="tests")
    return record


def serves(way: Way, name: ClientName, *records: str) -> None:
    """It comes true soon: some servers read what they are given after they have said yes."""
    eventually(lambda: way.server.tlsa(name.canonical) == set(records), 10, otherwise=way.server.daemon.log_tail)


@pytest.mark.parametrize("way", EVERY, indirect=True)
def test_registered_published_revoked(way: Way, inventory: Inventory) -> None:
    first, second = register(inventory), register(inventory, ClientName.parse(f"car55._device.{ZONE}"))
    published(way, inventory)
    serves(way, CAR, first)
    serves(way, ClientName.parse(f"car55._device.{ZONE}"), second)
    assert differences(way, inventory) == []
    assert published(way, inventory) == Moved(), "nothing waits, nothing is sent"
    inventory.identities.revoke(CAR, now=1.0, actor="tests")
    published(way, inventory)
    serves(way, CAR)
    serves(way, ClientName.parse(f"car55._device.{ZONE}"), second)
    assert differences(way, inventory) == []


@pytest.mark.parametrize("way", WRITTEN_APART, indirect=True)
def test_records_of_others_are_told_of_and_stay(way: Way, inventory: Inventory) -> None:
    record = register(inventory, SHARED, ttl=300)
    published(way, inventory)
    serves(way, SHARED, record, FOREIGN)
    if way.signs:
        # A file of our records alone says nothing of what stands beside them.
        assert differences(way, inventory) == [(DriftKind.FOREIGN, "shared")]
    mended(way, inventory)
    serves(way, SHARED, record, FOREIGN)
    inventory.identities.revoke(SHARED, now=1.0, actor="tests")
    published(way, inventory)
    serves(way, SHARED, FOREIGN)


@pytest.mark.parametrize("way", CHANGING, indirect=True)
def test_what_differs_is_found_and_mended(way: Way, inventory: Inventory) -> None:
    record = register(inventory)
    published(way, inventory)
    with way.publisher() as behind_our_back:
        # Ours is taken away, and somebody else's is put in its place.
        taken = change("car54._device", before=(record,), after=(OTHER,))
        assert applied(behind_our_back, taken) == [OutcomeKind.DONE]
    assert differences(way, inventory) == [(DriftKind.FOREIGN, "car54._device"), (DriftKind.MISSING, "car54._device")]
    assert mended(way, inventory).done == 1
    serves(way, CAR, record, OTHER)
    assert differences(way, inventory) == [(DriftKind.FOREIGN, "car54._device")]


@pytest.mark.parametrize("way", CHANGING, indirect=True)
def test_a_wrong_secret_leaves_everything_waiting(way: Way, inventory: Inventory) -> None:
    record = register(inventory)
    moved = published(way, inventory, right=False)
    assert (moved.done, moved.refused + moved.undecided) == (0, 1)
    serves(way, CAR)
    assert published(way, inventory).done == 1
    serves(way, CAR, record)


@pytest.mark.parametrize("way", CHANGING, indirect=True)
def test_trying_the_server_out(way: Way, inventory: Inventory) -> None:
    for right, kinds in ((True, {OutcomeKind.DONE}), (False, {OutcomeKind.REFUSED, OutcomeKind.UNDECIDED})):
        whole = publishing(way, inventory, right=right)
        outcome = whole.try_out(whole.targets[ZONE])
        assert outcome is not None
        assert outcome.kind in kinds


@pytest.mark.parametrize("way", [FILE], indirect=True)
def test_a_file_that_somebody_changed_is_written_again(way: Way, inventory: Inventory) -> None:
    record = register(inventory)
    published(way, inventory)
    (way.directory / "ours.zone").write_text("")
    assert differences(way, inventory) == [(DriftKind.MISSING, "car54._device")]
    mended(way, inventory)
    serves(way, CAR, record)
    assert OwnerName.parse(CAR.canonical).text in (way.directory / "ours.zone").read_text()


@pytest.mark.parametrize("way", CHANGING, indirect=True)
def test_the_command_waits_until_it_is_served_signed(way: Way, inventory: Inventory) -> None:
    register(inventory)
    targets, anchors = way.directory / "targets.toml", way.directory / "anchors.txt"
    targets.write_text(f'[publish."{ZONE}"]\nservers = ["{way.server.address}"]\n{way.table(True)}')
    anchors.write_text(way.server.ds)
    command = [sys.executable, "-m", "dnsbound", "publish", "--json", "--wait", "30", "--targets", str(targets)]
    command += ["--inventory", str(way.directory / "inventory.db"), "--anchors", str(anchors)]
    command += ["--resolver", way.server.address]
    done = run(command, seconds=60)
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert told[-1] == {"zone": ZONE, "served_everywhere": 1, "not_yet": 0, "largest_ttl": TTL, "late": []}
