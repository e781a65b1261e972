"""Transfers: one key under two names for a time, here and across inventories."""

import base64
import hashlib
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy import delete

from dnsbound.credential.credential import Credential
from dnsbound.errors import DnsboundError, Malformed, Misuse
from dnsbound.names import ClientName
from dnsbound.provision import keys, publication, registration, schema
from dnsbound.provision.entries import IdentityState, KeyState
from dnsbound.provision.errors import AlreadyInInventory, NameBlocked, NotInInventory, PrivateKeyRefused
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.ownership.movers import TransferMover
from dnsbound.provision.ownership.transfer import TransferState
from dnsbound.provision.ownership.transfer_file import TransferFile
from dnsbound.records.tlsa import BLOCK, TLSA
from unit.fleets import NOW, authority, new_spki

OLD, NEW = "car54._device.cars.example", "van1._device.hire.example"
FORMER, LATER = ClientName.parse(OLD), ClientName.parse(NEW)
DAY = 86_400.0
UNTIL = NOW + 30 * DAY


@pytest.fixture
def transfers(fleet):
    fleet.register(OLD, tags=["blue"], owner="Cars Ltd")
    return fleet.inventory.transfers


def begin(transfers, **changes):
    return transfers.begin(FORMER, LATER, **({"overlap_until": UNTIL, "now": NOW, "actor": "operations"} | changes))


def state(fleet, name):
    return fleet.inventory.identities.named(ClientName.parse(name)).state


def test_both_names_are_valid_until_the_overlap_is_over(fleet, transfers):
    transfer = begin(transfers, owner="Hire Ltd", reason="sold")
    assert (transfer.state, transfer.is_here, transfer.new) == (TransferState.OVERLAPPING, True, LATER)
    former, later = (fleet.inventory.identities.named(name) for name in (FORMER, LATER))
    assert (later.spki, later.ttl, later.tags, later.owner) == (former.spki, former.ttl, former.tags, "Hire Ltd")
    assert fleet.served(OLD) == fleet.served(NEW) != []
    mover = TransferMover(transfers, actor="runner")
    assert mover.next_due() == UNTIL
    assert mover.advance(UNTIL - 1, 10).moved == 0
    assert mover.advance(UNTIL, 10).moved == 1
    assert (state(fleet, OLD), state(fleet, NEW)) == (IdentityState.REVOKED, IdentityState.ACTIVE)
    assert (fleet.served(OLD), fleet.served(NEW) != []) == ([], True)
    assert mover.next_due() is None
    assert fleet.events(OLD) == [
        ("register", ""),
        ("transfer", "sold"),
        ("revoke", "transferred"),
        ("transfer-done", "transferred"),
    ]
    assert mover.advance(UNTIL + DAY, 10).moved == 0


def test_the_former_name_below_a_wildcard_is_blocked(fleet, transfers):
    fleet.publish_authority()
    begin(transfers)
    transfers.finish(FORMER, now=NOW + 1, actor="operations")
    assert fleet.served(OLD) == [BLOCK.to_text()]


def test_cancelling_leaves_the_former_name(fleet, transfers):
    begin(transfers)
    assert transfers.cancel(FORMER, now=NOW + 1, actor="operations", reason="not sold").state is TransferState.CANCELLED
    assert (state(fleet, OLD), state(fleet, NEW)) == (IdentityState.ACTIVE, IdentityState.REVOKED)
    assert TransferMover(transfers, actor="runner").advance(UNTIL, 10).moved == 0
    assert state(fleet, OLD) is IdentityState.ACTIVE
    for act in (transfers.cancel, transfers.finish):
        with pytest.raises(NotInInventory):
            act(FORMER, now=NOW + 2, actor="operations")
    begin(transfers)


def test_revoking_the_new_name_ends_the_transfer_and_costs_the_former_nothing(fleet, transfers):
    begin(transfers)
    fleet.revoke(NEW, reason="stolen")
    assert [transfer.state for transfer in transfers.all()] == [TransferState.CANCELLED]
    assert fleet.events(OLD)[-1] == ("transfer-cancelled", "stolen")
    assert fleet.events(NEW)[-1] == ("revoke", "stolen")
    fleet.register(NEW)  # another identity by then
    assert TransferMover(transfers, actor="runner").advance(UNTIL, 10).moved == 0
    assert state(fleet, OLD) is IdentityState.ACTIVE


def test_revoking_the_former_name_ends_the_transfer_and_leaves_the_new_one(fleet, transfers):
    begin(transfers)
    fleet.revoke(OLD, reason="stolen")
    assert [transfer.state for transfer in transfers.all()] == [TransferState.DONE]
    assert fleet.events(OLD)[-2:] == [("revoke", "stolen"), ("transfer-done", "stolen")]
    assert state(fleet, NEW) is IdentityState.ACTIVE
    fleet.register(OLD)
    assert TransferMover(transfers, actor="runner").advance(UNTIL, 10).moved == 0
    assert state(fleet, OLD) is IdentityState.ACTIVE


def test_revoking_what_was_exported_ends_the_transfer(fleet, transfers):
    transfers.export(FORMER, to=LATER, overlap_until=UNTIL, **fleet.acting)
    fleet.revoke(OLD)
    assert [transfer.state for transfer in transfers.all()] == [TransferState.DONE]
    assert transfers.next_due() is None


def test_the_former_name_waits_for_the_new_one_to_be_published(fleet, transfers):
    elsewhere = ClientName.parse("van1._device.elsewhere.example")
    transfers.begin(FORMER, elsewhere, overlap_until=UNTIL, **fleet.acting)
    mover = TransferMover(transfers, actor="runner")
    report = mover.advance(UNTIL, 10)
    assert (report.moved, report.waiting, len(report.lines)) == (0, 1, 1)
    assert state(fleet, OLD) is IdentityState.ACTIVE
    with fleet.inventory.database.writing() as connection:
        connection.execute(delete(schema.outbox))
    assert mover.advance(UNTIL, 10).moved == 1
    assert state(fleet, OLD) is IdentityState.REVOKED


def test_what_cannot_be_transferred(fleet, transfers):
    with pytest.raises(NotInInventory):
        transfers.begin(ClientName.parse("nobody.cars.example"), LATER, overlap_until=UNTIL, **fleet.acting)
    fleet.register(NEW)
    with pytest.raises(AlreadyInInventory):
        begin(transfers)
    fleet.revoke(NEW)
    fleet.inventory.blocks.block(LATER, **fleet.acting)
    with pytest.raises(NameBlocked):
        begin(transfers)
    fleet.inventory.blocks.lift(LATER, **fleet.acting)
    for until in (NOW, NOW + 59, NOW + 4000 * DAY):
        with pytest.raises(Misuse):
            begin(transfers, overlap_until=until)
    begin(transfers)
    for former, new in ((OLD, "third.hire.example"), (NEW, "third.hire.example")):
        with pytest.raises(AlreadyInInventory):
            transfers.begin(ClientName.parse(former), ClientName.parse(new), overlap_until=UNTIL, **fleet.acting)
    with pytest.raises(Misuse):
        transfers.cancel(LATER, **fleet.acting)


def test_records_that_ask_for_the_name_do_not_go_along(fleet):
    spki = new_spki(5)
    key = TLSA(3, 1, 1, hashlib.sha256(spki).digest())
    fleet.register(OLD, spki=spki, records=[authority().tlsa(), key])
    fleet.register("car55.cars.example", records=[authority().tlsa()])
    fleet.inventory.transfers.begin(FORMER, LATER, overlap_until=UNTIL, **fleet.acting)
    assert fleet.served(NEW) == [key.to_text()]
    with pytest.raises(Misuse):
        fleet.inventory.transfers.begin(
            ClientName.parse("car55.cars.example"),
            ClientName.parse("x.hire.example"),
            overlap_until=UNTIL,
            **fleet.acting,
        )


def test_a_key_that_is_being_rolled_is_not_transferred(fleet, transfers):
    with fleet.inventory.database.writing() as connection:
        identity = registration.id_of_active(connection, FORMER)
        keys.add(connection, identity, spki=new_spki(99), state=KeyState.NEXT, now=NOW)
    with pytest.raises(Misuse):
        begin(transfers)


def test_another_inventory_takes_over(fleet, transfers, tmp_path):
    file = transfers.export(FORMER, to=LATER, overlap_until=UNTIL, **fleet.acting)
    again = TransferFile.parse(file.to_text())
    assert again == file
    assert "operations" not in file.to_text()
    with Inventory.open(tmp_path / "theirs.db", create=True) as theirs:
        taken = theirs.transfers.take(again, LATER, owner="Hire Ltd", **fleet.acting)
        assert (taken.spki, taken.owner) == (fleet.inventory.identities.named(FORMER).spki, "Hire Ltd")
        [_, event] = theirs.events(subject=NEW)
        assert (event.action, event.detail["from"]) == ("transfer-import", OLD)
        assert any("register" in line for line in event.detail["history"])
        with pytest.raises(AlreadyInInventory):
            theirs.transfers.take(again, LATER, **fleet.acting)
    assert TransferMover(transfers, actor="runner").advance(UNTIL, 10).moved == 1
    assert state(fleet, OLD) is IdentityState.REVOKED


def test_an_export_alone_changes_nothing_but_the_log(fleet, transfers):
    file = transfers.export(FORMER, **fleet.acting)
    assert file.valid_until is None
    assert list(transfers.all()) == []
    assert fleet.events(OLD)[-1] == ("transfer-export", "")


def test_a_certificate_goes_along(fleet, tmp_path):
    credential = Credential.generate(OLD, now=NOW)
    fleet.register(OLD, spki=credential.spki, records=[credential.tlsa()], certificate=credential.chain[0])
    file = TransferFile.parse(fleet.inventory.transfers.export(FORMER, **fleet.acting).to_text())
    with Inventory.open(tmp_path / "theirs.db", create=True) as theirs:
        assert theirs.transfers.take(file, LATER, **fleet.acting).key.certificate == credential.chain[0]


@pytest.fixture
def table(fleet, transfers):
    return json.loads(transfers.export(FORMER, overlap_until=UNTIL, **fleet.acting).to_text())


@pytest.mark.parametrize(
    "changes",
    [
        {"dnsbound_transfer": 2},
        {"more": 1},
        {"name": "not a name"},
        {"name": None},
        {"spki": "!"},
        {"spki": "AAAA"},
        {"certificate": "AAAA"},
        {"records": "3 1 1 00"},
        {"records": [1]},
        {"records": ["3 1"]},
        {"exported_at": "yesterday"},
        {"valid_until": 5},
        {"history": [{}]},
        {"history": [{"at": "2026-01-01T00:00:00Z", "action": "rm -rf"}]},
        {"history": [{"at": "2026-01-01T00:00:00Z", "action": "x"}] * 300},
    ],
)
def test_a_file_that_is_no_transfer(table, changes):
    with pytest.raises(Malformed):
        TransferFile.parse(json.dumps(table | changes))


@pytest.mark.parametrize("text", ["", "[]", "nonsense", "[" * 100_000, " " * 300_000])
def test_octets_that_are_no_transfer(text):
    with pytest.raises(Malformed):
        TransferFile.parse(text)


def test_a_private_key_does_not_come_along(table):
    key = ec.generate_private_key(ec.SECP256R1())
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(PrivateKeyRefused):
        TransferFile.parse(json.dumps(table | {"spki": base64.b64encode(der).decode()}))


def test_a_record_of_another_key_is_not_taken(fleet, table):
    other = TLSA(3, 1, 1, bytes(32 * [7])).to_text()
    file = TransferFile.parse(json.dumps(table | {"records": [other]}))
    with pytest.raises(DnsboundError):
        fleet.inventory.transfers.take(file, LATER, **fleet.acting)
    with fleet.inventory.database.reading() as connection:
        assert publication.records_at(connection, OwnerName.parse(NEW)) == []
