"""What tests of rolls share: an inventory whose records a few pretended servers show, some of them late."""

import hashlib

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dnsbound.names import ClientName
from dnsbound.provision.lifecycle.beginning import Wish
from dnsbound.provision.lifecycle.evidence import Reading
from dnsbound.provision.lifecycle.machine import Behind, Served, Unknown
from dnsbound.provision.lifecycle.roll_mover import RollMover
from dnsbound.records.tlsa import TLSA

NOW = 1_800_000_000.0
CAR = ClientName.parse("car54._device.cars.example")
TTL = 300
ACT = {"actor": "operations"}


def new_spki():
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def digest(spki, usage=3, matching=1):
    make = hashlib.sha256 if matching == 1 else hashlib.sha512
    return TLSA(usage, 1, matching, make(spki).digest())


def register(inventory, name=CAR, *, spki=None, records=None, ttl=TTL, now=NOW, **more):
    key = spki or new_spki()
    records = records or [digest(key)]
    return inventory.identities.register(name, spki=key, records=records, ttl=ttl, now=now, **ACT, **more)


def records_of(inventory, name=CAR):
    return {TLSA.from_text(record.rdata) for record in inventory.identities.named(name).records}


class Rolling:
    """A mover over an inventory, with a clock on the wall, a steady one, and servers.

    late: names that one server still shows as they were when they were put there. silent: names nobody answers for.
    """

    def __init__(self, inventory, by="runner 1"):
        self.inventory = inventory
        self.wall, self.time, self.boot = NOW, 0.0, "boot 1"
        self.late, self.silent, self.ttl = {}, set(), TTL
        self.asked = []
        self.mover = RollMover(
            inventory._database,
            self.observe,
            by=by,
            actor="runner",
            clock=lambda: self.wall,
            steady=lambda: Reading(clock=self.boot, seconds=self.time),
        )

    def observe(self, wanted):
        for one in wanted:
            self.asked.append(one.owner.text)
            yield one, self.seen(one)

    def seen(self, one):
        if one.owner.text in self.silent:
            return Unknown(server="192.0.2.1", why="no answer")
        shown = records_of(self.inventory, ClientName.parse(one.owner.text))
        for records in (shown, self.late.get(one.owner.text, shown)):
            if records != one.records:
                return Behind(server="192.0.2.2", why="other records stand there")
        return Served(ttl=self.ttl, signed_until=self.wall + 86_400)

    def turn(self, limit=1000):
        return self.mover.advance(self.wall, limit)

    def passes(self, seconds):
        self.wall += seconds
        self.time += seconds

    def roll(self, name=CAR):
        return self.inventory.rolls.of(name)

    def to_switch(self, name=CAR):
        self.turn()
        self.turn()
        self.passes(2 * self.ttl)
        self.turn()
        return self.roll(name)


def begin(inventory, name=CAR, spki=None, now=NOW, **wish):
    return inventory.rolls.begin(name, Wish.checked(spki=spki, **wish), now=now, **ACT)
