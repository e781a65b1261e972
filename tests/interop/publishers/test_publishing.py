"""Publishing a fleet to a real Knot: all of it gets there, once, and nothing of others is touched, whatever happens."""

import time
from collections.abc import Iterator
from pathlib import Path

import dns.query
import dns.update
import pytest

from dnsbound.dns.tsig import TsigKey
from dnsbound.provision import publication
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.publish.drift import DriftKind
from dnsbound.provision.publish.publisher import OutcomeKind, ServerRefused
from dnsbound.testing.peer_configuration import Stub
from interop.daemon import RUN_SECONDS, eventually, free_port, run, unbound
from interop.primaries import FOREIGN, KEY, ZONE, Server, bind, knot, nsd_secondary, write_key
from interop.publishers.fleet import NOW, Fleet, data, expected, name

pytestmark = [pytest.mark.peer("knotd"), pytest.mark.peer("keymgr")]

KILLS = 4


@pytest.fixture
def primary(tmp_path: Path) -> Iterator[Server]:
    directory = tmp_path / "knot"
    directory.mkdir()
    with knot(directory) as server:
        yield server


@pytest.fixture
def fleet(database_url: str, tmp_path: Path, primary: Server) -> Iterator[Fleet]:
    made = Fleet.of(database_url, tmp_path, primary)
    yield made
    made.inventory.close()


@pytest.fixture
def small(tmp_path: Path, primary: Server) -> Iterator[Fleet]:
    made = Fleet.of(str(tmp_path / "inventory.db"), tmp_path, primary)
    yield made
    made.inventory.close()


def test_what_waits_gets_there_and_goes(fleet: Fleet, primary: Server) -> None:
    fleet.add(range(1200))
    moved = fleet.publish()
    assert (moved.done, moved.refused, moved.undecided, moved.lines) == (1200, 0, 0, [])
    assert primary.transfer() == expected(range(1200))
    assert (fleet.count("outbox"), fleet.count("published")) == (0, 1200)
    assert fleet.publish().done == 0
    fleet.remove(range(50))
    fleet.add(range(1200, 1300), ttl=30)
    assert fleet.publish().done == 150
    assert primary.transfer() == {**expected(range(50, 1200)), **expected(range(1200, 1300), ttl=30)}
    assert (fleet.count("outbox"), fleet.count("published")) == (0, 1250)
    assert fleet.drifts() == []


def test_drift_is_shown_and_mended(fleet: Fleet, primary: Server) -> None:
    fleet.add(range(6))
    fleet.publish()
    fleet.remove([5])
    by_hand(primary, "delete", name(0), "TLSA")
    by_hand(primary, "add", name(1), 60, "TLSA", FOREIGN)
    by_hand(primary, "replace", name(2), 77, "TLSA", data(2))
    by_hand(primary, "replace", name(3), 60, "TLSA", data(3).upper())
    by_hand(primary, "delete", name(4), "TLSA")
    by_hand(primary, "add", name(4), 60, "CNAME", f"ns.{ZONE}.")
    found = {(drift.owner.text, drift.rdtype, drift.kind): drift for drift in fleet.drifts()}
    assert set(found) == {
        (name(0), "TLSA", DriftKind.MISSING),
        (name(1), "TLSA", DriftKind.FOREIGN),
        (name(2), "TLSA", DriftKind.TTL),
        (name(4), "TLSA", DriftKind.MISSING),
        (name(4), "CNAME", DriftKind.FOREIGN),
        (name(5), "TLSA", DriftKind.STALE),
    }
    assert [drift.owner.text for drift in found.values() if drift.waiting] == [name(5)]
    moved = fleet.fix()
    assert (moved.done, moved.refused) == (3, 1)
    held = primary.transfer()
    assert held[name(0), "TLSA"] == (60, frozenset({data(0)}))
    assert held[name(1), "TLSA"] == (60, frozenset({data(1), FOREIGN}))
    assert held[name(2), "TLSA"] == (60, frozenset({data(2)}))
    assert held[name(4), "CNAME"] == (60, frozenset({f"ns.{ZONE}."}))
    assert (name(5), "TLSA") not in held
    assert {drift.kind for drift in fleet.drifts()} == {DriftKind.FOREIGN, DriftKind.MISSING}


def by_hand(primary: Server, action: str, *arguments: object) -> None:
    """What an administrator does behind our back."""
    update = dns.update.UpdateMessage(
        ZONE, keyring={KEY.name: KEY.secret}, keyname=KEY.name, keyalgorithm=KEY.algorithm
    )
    owner, *rest = arguments
    getattr(update, action)(f"{owner}.", *rest)
    response = dns.query.tcp(update, "127.0.0.1", port=primary.port, timeout=RUN_SECONDS)
    assert response.rcode() == 0


def test_an_emptied_inventory_does_not_empty_the_zone(small: Fleet, primary: Server) -> None:
    small.table["removals"] = 5
    small.add(range(40))
    small.publish()
    small.remove(range(30))
    small.add([100])
    moved = small.publish()
    assert (moved.done, moved.held_back) == (1, 30)
    assert primary.transfer() == expected([*range(40), 100])
    moved = small.publish(allow_removals=True)
    assert (moved.done, moved.held_back) == (30, 0)
    assert primary.transfer() == expected([*range(30, 40), 100])
    small.remove(range(30, 35))
    assert small.publish().done == 5


def test_a_name_that_changes_is_no_removal(small: Fleet, primary: Server) -> None:
    small.table["removals"] = 0
    small.add(range(20))
    small.publish()
    with small.inventory.database.writing() as connection:
        for number in range(20):
            owner = OwnerName.parse(name(number))
            publication.remove(connection, owner, frozenset({"TLSA"}), now=NOW)
            publication.add(connection, publication.parse_record(owner, "TLSA", data(number + 500), 60), now=NOW)
    assert small.publish().done == 20
    assert primary.transfer()[name(3), "TLSA"] == (60, frozenset({data(503)}))


def test_killed_again_and_again(fleet: Fleet, primary: Server) -> None:
    """Nothing is lost, nothing is there twice, and what was removed meanwhile goes."""
    fleet.table |= {"batch": 20, "in_flight": 2}
    fleet.add(range(1500))
    for _ in range(KILLS):
        kill_in_the_middle(fleet)
        fleet.remove([1499 - fleet.count("outbox") % 500])
        time.sleep(1.1)  # the claim of who was killed
    gone = {number for number in range(1500) if not any_records(fleet, number)}
    assert gone
    eventually(lambda: fleet.publish().done == 0 and fleet.count("outbox") == 0, 60)
    assert primary.transfer() == expected(set(range(1500)) - gone)
    assert fleet.count("published") == 1500 - len(gone)


def kill_in_the_middle(fleet: Fleet) -> None:
    before = fleet.count("outbox")
    process = fleet.start("--claim", "1")
    try:
        eventually(lambda: process.poll() is not None or fleet.count("published") > 1500 - before, 60)
        time.sleep(0.05)
    finally:
        process.kill()
        process.communicate()


def any_records(fleet: Fleet, number: int) -> bool:
    with fleet.inventory.database.reading() as connection:
        return bool(publication.records_at(connection, OwnerName.parse(name(number))))


def test_two_publishers_at_once(fleet: Fleet, primary: Server) -> None:
    fleet.table |= {"batch": 50}
    fleet.add(range(1500))
    processes = [fleet.start("--json") for _ in range(2)]
    for process in processes:
        output, _ = process.communicate(timeout=90)
        assert process.returncode in (0, 3), output  # 3: the other had names that were not done yet
    assert fleet.count("outbox") == 0
    assert primary.transfer() == expected(range(1500))
    assert fleet.count("published") == 1500


def test_a_wrong_clock_is_told_and_costs_nothing(small: Fleet, primary: Server) -> None:
    small.add(range(5))
    small.ahead = -4000.0
    moved = small.publish()
    assert (moved.done, moved.undecided) == (0, 5)
    assert {problem for problem in small.problems() if "BADTIME" in problem}
    assert primary.transfer() == expected([])
    small.ahead = 0.0
    assert small.publish().done == 5
    assert primary.transfer() == expected(range(5))


@pytest.mark.parametrize(
    ("key", "told"),
    [
        (TsigKey.parse(f"hmac-sha256:upd:{'eHh4' * 11}"), "BADSIG"),
        (TsigKey.parse(f"hmac-sha256:nobody:{'eHh4' * 11}"), "BADKEY"),
        (TsigKey.parse(f"hmac-sha512:upd:{'eHh4' * 11}"), "BADKEY"),
    ],
    ids=["secret", "name", "algorithm"],
)
def test_a_wrong_key_is_one_clear_line(small: Fleet, primary: Server, key: TsigKey, told: str) -> None:
    small.add(range(5))
    small.table["key_file"] = str(write_key(small.directory, key, name="wrong.key"))
    outcome = small.publishing.try_out(small.target)
    assert outcome is not None
    assert (outcome.kind, told in outcome.line) == (OutcomeKind.REFUSED, True)
    moved = small.publish()
    assert (moved.done, moved.refused) == (0, 5)
    assert all(told in line for line in moved.lines)
    with pytest.raises(ServerRefused):
        small.drifts()
    assert primary.transfer() == expected([])


def test_a_zone_the_server_does_not_keep(tmp_path: Path) -> None:
    with knot(tmp_path, zones=["other.example"]) as server:
        lost = Fleet.of(str(tmp_path / "inventory.db"), tmp_path, server)
        lost.add(range(3))
        outcome = lost.publishing.try_out(lost.target)
        assert outcome is not None
        assert (outcome.kind, "NOTAUTH" in outcome.line) == (OutcomeKind.REFUSED, True)
        assert lost.publish().refused == 3
        lost.inventory.close()


def test_a_server_that_is_away(small: Fleet) -> None:
    small.add(range(5))
    small.table |= {"server": f"127.0.0.1:{free_port()}", "seconds": 1}
    moved = small.publish()
    assert (moved.done, moved.undecided) == (0, 5)
    assert small.count("outbox") == 5


@pytest.mark.peer("named")
def test_a_key_for_tlsa_alone(tmp_path: Path) -> None:
    """BIND's narrowest right: an alias is refused in one line, and what is beside it goes through."""
    with bind(tmp_path, grant="grant upd zonesub TLSA;") as server:
        narrow = Fleet.of(str(tmp_path / "inventory.db"), tmp_path, server)
        narrow.add(range(30))
        narrow.alias(f"leased.{ZONE}", "car1._device.maker.example.")
        moved = narrow.publish()
        assert (moved.done, moved.refused) == (30, 1)
        [line] = moved.lines
        assert line.startswith(f"leased.{ZONE}: refused: ")
        assert "may not change this name and type" in line
        assert server.transfer() == expected(range(30))
        narrow.inventory.close()


@pytest.mark.peer("nsd")
def test_until_every_server_serves_it(tmp_path: Path) -> None:
    for part in ("first", "second"):
        (tmp_path / part).mkdir()
    port = free_port()
    with (
        knot(tmp_path / "first", notify=[port]) as first,
        nsd_secondary(tmp_path / "second", first.port, port=port) as second,
    ):
        anchors = tmp_path / "anchors.txt"
        anchors.write_text(first.ds)
        fleet = Fleet.of(str(tmp_path / "inventory.db"), tmp_path, first, servers=[first.address, second.address])
        fleet.add(range(20))
        common = ["--anchors", str(anchors), "--resolver", first.address]
        done = run(fleet.command("--wait", "30", *common), seconds=60)
        assert done.returncode == 0, done.stderr + done.stdout
        assert second.tlsa(name(3)) == {data(3)}
        fleet.remove([3])
        done = run(fleet.command("--wait", "30", *common), seconds=60)
        assert done.returncode == 0, done.stderr + done.stdout
        assert second.tlsa(name(3)) == set()
        fleet.table["servers"] = [first.address, f"127.0.0.1:{free_port()}"]
        fleet.add([50])
        done = run(fleet.command("--wait", "2", *common), seconds=60)
        assert done.returncode == 3, done.stderr + done.stdout
        fleet.inventory.close()


@pytest.mark.peer("unbound")
def test_a_validating_resolver_believes_what_is_published_and_what_is_revoked(
    small: Fleet, primary: Server, tmp_path: Path
) -> None:
    directory = tmp_path / "unbound"
    directory.mkdir()
    options = ["cache-max-ttl: 0", "cache-max-negative-ttl: 0", "aggressive-nsec: no"]
    stubs = [Stub(zone=ZONE, port=primary.port)]
    small.add([54, 55])
    small.publish()
    with unbound(directory, anchors=primary.ds, stubs=stubs, options=options) as (_, port):
        assert validated(port, name(54)) == {data(54)}
        small.remove([54])
        small.publish()
        eventually(lambda: validated(port, name(54)) == set(), 15)
        assert validated(port, name(55)) == {data(55)}


def validated(port: int, owner: str) -> set[str]:
    query = dns.message.make_query(owner, "TLSA", want_dnssec=True)
    response = dns.query.tcp(query, "127.0.0.1", port=port, timeout=RUN_SECONDS)
    assert response.flags & dns.flags.AD, response
    return {rdata.to_text() for rrset in response.answer if rrset.rdtype == 52 for rdata in rrset}
