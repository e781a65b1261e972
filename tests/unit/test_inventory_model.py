"""Any sequence of changes, held against a model in plain dictionaries: what is kept, what is served, what is logged."""

import hashlib
import tempfile
from pathlib import Path

import dns.name
import dns.rdatatype
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from dnsbound.errors import Misuse
from dnsbound.names import ClientName
from dnsbound.provision.entries import IdentityState, Record, ZoneSettings
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.zone_data import InventoryZones
from dnsbound.records.tlsa import TLSA

ORIGIN = "cars.example"
NAMES = [f"{label}.{ORIGIN}" for label in ("a", "b", "a.b", "c.a.b", "_device", "car1._device")]
SPKIS = [
    ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for _ in range(3)
]
ADDRESSES = ["192.0.2.1", "192.0.2.2"]
ACT = {"now": 1.0, "actor": "model"}

names = st.sampled_from(NAMES)
spkis = st.sampled_from(SPKIS)


class InventoryModel(RuleBasedStateMachine):
    """active: name to key. records: (name, type) to data. changes: how often something was changed."""

    def __init__(self):
        super().__init__()
        self.inventory = Inventory.open(self.new_place(), create=True)
        settings_ = ZoneSettings(
            name=OwnerName.parse(ORIGIN),
            nameservers=(OwnerName.parse("ns.other.example"),),
            rname=OwnerName.parse("admin.other.example"),
            ttl=2,
        )
        self.inventory.zones.create(settings_, **ACT)
        self.zones = InventoryZones(self.inventory, lambda _origin, _path: None, cache=16)
        self.active = {}
        self.records = {}
        self.changes = 0

    def teardown(self):
        self.zones.close()
        self.inventory.close()
        self.drop_place()

    def new_place(self):
        self.directory = tempfile.TemporaryDirectory()
        return Path(self.directory.name) / "inventory.db"

    def drop_place(self):
        self.directory.cleanup()

    def has(self, name, rdtype):
        return self.records.get((name, rdtype), set())

    def changed(self, *, allowed, change):
        """Run a change that the model allows or not; it must agree."""
        try:
            change()
        except Misuse:
            assert not allowed
            return
        assert allowed
        self.changes += 1

    @rule(name=names, spki=spkis)
    def register(self, name, spki):
        record = TLSA(3, 1, 1, hashlib.sha256(spki).digest())
        allowed = (
            name not in self.active and not self.has(name, "CNAME") and record.to_text() not in self.has(name, "TLSA")
        )
        self.changed(
            allowed=allowed,
            change=lambda: self.inventory.identities.register(
                ClientName.parse(name), spki=spki, records=[record], ttl=2, **ACT
            ),
        )
        if allowed:
            self.active[name] = spki
            self.records.setdefault((name, "TLSA"), set()).add(record.to_text())

    @rule(name=names)
    def revoke(self, name):
        self.changed(
            allowed=name in self.active,
            change=lambda: self.inventory.identities.revoke(ClientName.parse(name), **ACT),
        )
        if self.active.pop(name, None) is not None:
            # Whatever else could still identify somebody under the name goes as well.
            self.records.pop((name, "TLSA"), None)
            self.records.pop((name, "CNAME"), None)

    @rule(name=names, address=st.sampled_from(ADDRESSES))
    def publish_address(self, name, address):
        allowed = not self.has(name, "CNAME") and address not in self.has(name, "A")
        self.changed(allowed=allowed, change=lambda: self.publish(name, "A", address))
        if allowed:
            self.records.setdefault((name, "A"), set()).add(address)

    @rule(name=names)
    def publish_alias(self, name):
        allowed = not any(self.has(name, rdtype) for rdtype in ("A", "TLSA", "CNAME"))
        self.changed(allowed=allowed, change=lambda: self.publish(name, "CNAME", "x.other.example."))
        if allowed:
            self.records[name, "CNAME"] = {"x.other.example."}

    @rule(name=names, rdtype=st.sampled_from(["A", "CNAME", "TLSA"]))
    def withdraw(self, name, rdtype):
        allowed = bool(self.has(name, rdtype))
        self.changed(
            allowed=allowed, change=lambda: self.inventory.zones.withdraw(OwnerName.parse(name), rdtype, **ACT)
        )
        self.records.pop((name, rdtype), None)

    def publish(self, name, rdtype, rdata):
        record = Record(owner=OwnerName.parse(name), rdtype=rdtype, rdata=rdata, ttl=2)
        self.inventory.zones.publish(record, **ACT)

    @invariant()
    def active_identities_are_those_of_the_model(self):
        kept = {one.name.text: one.spki for one in self.inventory.identities.all(state=IdentityState.ACTIVE)}
        assert kept == self.active

    @invariant()
    def what_is_served_is_what_was_published(self):
        data = self.zones.find(dns.name.from_text(ORIGIN)).data
        for name in NAMES:
            node = data.lookup(dns.name.from_text(name))
            expected = {rdtype: data_ for (owner, rdtype), data_ in self.records.items() if owner == name and data_}
            below = any(owner.endswith(f".{name}") and data_ for (owner, _), data_ in self.records.items())
            if not expected:
                assert (node is not None) == below
                assert not node
            else:
                served = {
                    dns.rdatatype.to_text(rdtype): {record.to_text() for record in rdataset}
                    for rdtype, rdataset in node.items()
                }
                assert served == expected

    @invariant()
    def every_change_is_logged(self):
        assert sum(1 for _ in self.inventory.events()) == self.changes + 1


InventoryModel.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestInventoryModel = InventoryModel.TestCase


@pytest.mark.peer("postgres")
def test_the_same_on_postgresql(postgresql_server, monkeypatch):
    monkeypatch.setattr("dnsbound.provision.postgresql_watch.ASK_SECONDS", 0.0)

    class OnPostgreSQL(InventoryModel):
        def new_place(self):
            return postgresql_server.database()

        def drop_place(self):
            pass

    run_state_machine_as_test(OnPostgreSQL, settings=settings(max_examples=8, stateful_step_count=20, deadline=None))
