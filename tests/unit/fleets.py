"""An inventory with two organisations' zones, what its authority answers, and short words for changing it."""

import hashlib
from functools import cache

import dns.message
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.dns.authority import Arrival, Authority, Transport
from dnsbound.dns.signer import ZoneKeys
from dnsbound.names import ClientName
from dnsbound.provision.entries import Record, ZoneSettings
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.zone_data import InventoryZones
from dnsbound.records.tlsa import TLSA

NOW = 1_800_000_000.0
ZONES = ("cars.example", "hire.example")
WILDCARD = "*._device.cars.example"


@cache
def new_spki(_number=0):
    """One key for each number: making them is slow."""
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@cache
def authority(number=0):
    return CertificateAuthority.create(f"Cars {number}", now=NOW, path_length=0)


class Fleet:
    """Short words for what tests of ownership do all the time."""

    def __init__(self, inventory):
        self.inventory = inventory
        self.acting = {"now": NOW, "actor": "operations"}
        self._keys = 0

    def register(self, name, **changes):
        self._keys += 1
        spki = changes.pop("spki", None) or new_spki(self._keys)
        records = changes.pop("records", None) or [TLSA(3, 1, 1, hashlib.sha256(spki).digest())]
        given = {"spki": spki, "records": records, "ttl": 60} | self.acting | changes
        return self.inventory.identities.register(ClientName.parse(name), **given)

    def revoke(self, name, **changes):
        return self.inventory.identities.revoke(ClientName.parse(name), **(self.acting | changes))

    def publish(self, owner, rdtype, rdata):
        record = Record(owner=OwnerName.parse(owner, wildcard=True), rdtype=rdtype, rdata=rdata, ttl=60)
        self.inventory.zones.publish(record, **self.acting)

    def publish_authority(self, owner=WILDCARD):
        """A `2 0 1` at a wildcard, put there by hand."""
        self.publish(owner, "TLSA", authority().tlsa().to_text())

    def served(self, name, rdtype="TLSA"):
        """Record data that the embedded authority answers with."""
        zones = InventoryZones(self.inventory, lambda origin, path: ZoneKeys.parse_pem(origin, path.read_bytes()))
        try:
            query = dns.message.make_query(name, rdtype)
            arrival = Arrival(source="127.0.0.1", transport=Transport.TCP, now=NOW)
            answer = dns.message.from_wire(Authority(zones).respond(query.to_wire(), arrival)).answer
        finally:
            zones.close()
        return [rdata.to_text() for rrset in answer for rdata in rrset]

    def events(self, name):
        return [(event.action, event.reason) for event in self.inventory.events(subject=name)]


def create_zone(inventory, name):
    settings = ZoneSettings(
        name=OwnerName.parse(name),
        nameservers=(OwnerName.parse(f"ns1.{name}"),),
        rname=OwnerName.parse(f"hostmaster.{name}"),
        ttl=120,
    )
    inventory.zones.create(settings, now=NOW, actor="operations")
