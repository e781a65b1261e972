"""Octets of the chains that clients carry and servers show, by how their zones are signed. Nothing is timed.

The root has the keys it has in life: two key-signing keys and a zone-signing key of RSA with 2048 bits.
"""

import time

import dns.name
import dns.rdatatype

from bench.table import Table
from dnsbound.dns.anchors import TrustAnchors
from dnsbound.dns.canonical import name_of
from dnsbound.dns.chain_building import BuiltChain, ChainBuilding
from dnsbound.dns.messages import Query, Question, Response
from dnsbound.dns.validator import validate
from dnsbound.testing.zone_answers import ZoneAnswers
from dnsbound.testing.zones import ZonePlan, ZoneTree

RECORD = "TLSA 3 1 1 " + "ab" * 32
ROOT = ("ksk 8", "ksk 8 label=next idle", "zsk 8")
P256 = ("ksk 13", "zsk 13")
NAME = "car54._device.cars.example."


def measure() -> Table:
    """Octets and records of each chain."""
    table = Table("Sizes of chains", ["chain", "octets", "records", "packets of 1,400 octets"])
    for label, plans, name in _chains():
        built = _built(plans, name)
        octets = len(built.octets)
        table.row(label, f"{octets:,}", str(len(built.chain.records)), str(-(-octets // 1400)))
    return table


def _chains() -> list[tuple[str, list[ZonePlan], str]]:
    record, root = f"car54._device {RECORD}\n", ZonePlan.of(".", keys=ROOT)
    tld = ZonePlan.of("example.", keys=P256)
    below = ZonePlan.of("_device.cars.example.", records=f"car54 {RECORD}\n", keys=("csk 13",))
    alias = ZonePlan.of("cars.example.", records="car54._device CNAME car54.kept.test.\n", keys=("csk 13",))
    kept = ZonePlan.of("kept.test.", records=f"car54 {RECORD}\n", keys=("csk 13",))
    wildcard = ZonePlan.of("cars.example.", records=f"*._device {RECORD.replace('3', '2', 1)}\n", keys=("csk 13",))
    rsa = ("ksk 8", "zsk 8")
    return [
        ("P-256 below the root, one key in the zone", [root, tld, _cars(record, ("csk 13",))], NAME),
        ("the same, two keys in the zone", [root, tld, _cars(record, P256)], NAME),
        ("Ed25519 in the zone", [root, tld, _cars(record, ("csk 15",))], NAME),
        ("RSA-2048 throughout", [root, ZonePlan.of("example.", keys=rsa), _cars(record, rsa)], NAME),
        ("P-256, `_device` a zone of its own", [root, tld, _cars("", ("csk 13",)), below], NAME),
        ("P-256, from a wildcard", [root, tld, wildcard], NAME),
        ("P-256, an alias into another TLD", [root, tld, alias, ZonePlan.of("test.", keys=P256), kept], NAME),
        ("P-256, that there is no such record", [root, tld, _cars(record, ("csk 13",))], "none.cars.example."),
    ]


def _cars(records: str, keys: tuple[str, ...]) -> ZonePlan:
    return ZonePlan.of("cars.example.", records=records, keys=keys)


def _built(plans: list[ZonePlan], name: str) -> BuiltChain:
    now = time.time()
    tree = ZoneTree.build(plans, now=now)
    answers = ZoneAnswers(tree.zones, recursive=True)

    def look_up(question: Question) -> Response:
        wire = answers.respond_wire(Query(0, name_of(question.key), question.rdtype).to_wire(), udp=False)
        assert wire is not None
        return Response.from_wire(wire, source="the zones")

    anchors = TrustAnchors.from_text(tree.anchors())
    building = ChainBuilding(dns.name.from_text(name), dns.rdatatype.TLSA, anchors=anchors, now=now)
    validate(building, look_up)
    return building.chain()
