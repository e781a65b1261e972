"""Statically signed zones from a readable description, sound ones and ones damaged on purpose.

    plan = ZonePlan.of("cars.example.", records="www A 192.0.2.1", keys=["ksk 8", "zsk 8"], faults=["expired www A"])
    tree = ZoneTree.build([ZonePlan.of("."), ZonePlan.of("example."), plan], now=time.time())
    tree.anchors()                  # DS of the root, as text
    ZoneAnswers(tree.zones)         # answers for them: `zone_answers`

Every zone gets a SOA and NS records; a parent in the same tree gets the NS and DS records of its children. What can be
said of keys, denial and damage stands in `zone_keys`, `zone_denial` and `zone_faults`. For tests alone: private keys
are derived from names. A live authority is `dnsbound.dns.authority`. Sections: RFC 4034, RFC 4035 section 2, RFC 5155.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

import dns.dnssec
import dns.dnssectypes
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.zonefile
from dns.rdatatype import RdataType
from dns.rdtypes.ANY.RRSIG import RRSIG

from dnsbound.errors import Misuse
from dnsbound.testing.zone_denial import DenialChain, DenialPlan
from dnsbound.testing.zone_faults import Lies, apply_fault
from dnsbound.testing.zone_keys import KeyPlan, ZoneKey, make_key
from dnsbound.testing.zone_signing import Window, sign_rrset
from dnsbound.times import Moment

TTL: Final = 3600
_DIGESTS: Final = {"sha1": 1, "sha256": 2, "sha384": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class DsPlan:
    """One DS record the parent publishes, from text: `sha256`, `sha1`, `sha384`, then words.

    Words: `key=N` (of the child's Nth key; else of each that signs the DNSKEY RRset), `wrong` (another digest),
    `tag=N`, `algorithm=N`, `digest=N` (state other numbers), `stranger` (of a key the child does not have).
    """

    digest: int
    key: int | None = None
    wrong: bool = False
    stranger: bool = False
    stated: tuple[tuple[str, int], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text form; raises Misuse."""
        name, *words = text.split()
        values = dict(word.split("=", 1) for word in words if "=" in word)
        unknown = {word for word in words if "=" not in word} - {"wrong", "stranger"}
        unknown |= set(values) - {"key", "tag", "algorithm", "digest"}
        if name not in _DIGESTS or unknown:
            raise Misuse(f"no such DS: {text!r}")
        fields = {"tag": "key_tag", "algorithm": "algorithm", "digest": "digest_type"}
        return cls(
            digest=_DIGESTS[name],
            key=int(values["key"]) if "key" in values else None,
            wrong="wrong" in words,
            stranger="stranger" in words,
            stated=tuple((fields[word], int(values[word])) for word in fields if word in values),
        )

    def records(self, origin: dns.name.Name, keys: Sequence[ZoneKey]) -> list[dns.rdata.Rdata]:
        """The DS records for a child with these keys."""
        if self.stranger:
            chosen = [make_key(KeyPlan.parse("csk 13 label=stranger"), origin.to_text())]
        elif self.key is not None:
            chosen = [keys[self.key]]
        else:
            chosen = [key for key in keys if key.plan.signs_keys]
        return [self._record(origin, key) for key in chosen]

    def _record(self, origin: dns.name.Name, key: ZoneKey) -> dns.rdata.Rdata:
        digest_type = dns.dnssectypes.DSDigest(self.digest)
        record = dns.dnssec.make_ds(origin, key.dnskey, digest_type, policy=dns.dnssec.allow_all_policy)
        changed = dict(self.stated)
        digest = bytes([record.digest[0] ^ 1]) + record.digest[1:] if self.wrong else record.digest
        return record.replace(**changed, digest=digest) if changed or self.wrong else record


@dataclass(frozen=True, slots=True, kw_only=True)
class ZonePlan:
    """What a zone holds and how it is signed. No keys: not signed. No DS: an unsigned delegation."""

    origin: dns.name.Name
    records: str = ""
    keys: tuple[KeyPlan, ...] = ()
    denial: DenialPlan = field(default_factory=DenialPlan)
    ds: tuple[DsPlan, ...] = ()
    faults: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        origin: str,
        *,
        records: str = "",
        keys: Iterable[str] = ("csk 13",),
        denial: str = "nsec",
        ds: Iterable[str] | None = None,
        faults: Iterable[str] = (),
    ) -> Self:
        """A plan from text; `records` are zone-file lines relative to the origin; a signed zone has a SHA-256 DS."""
        plans = tuple(KeyPlan.parse(key) for key in keys)
        chosen = (("sha256",) if plans else ()) if ds is None else ds
        return cls(
            origin=dns.name.from_text(origin),
            records=records,
            keys=plans,
            denial=DenialPlan.parse(denial),
            ds=tuple(DsPlan.parse(text) for text in chosen),
            faults=tuple(faults),
        )


class Zone:
    """A zone as it is served: RRsets, their signatures, its denial chain, and the lies it was told to tell."""

    def __init__(self, plan: ZonePlan, *, now: Moment) -> None:
        self.plan = plan
        self.origin = plan.origin
        self.window = Window.around(now)
        self.now = now
        self.keys = tuple(make_key(key, plan.origin.to_text()) for key in plan.keys)
        self.rrsets: dict[tuple[dns.name.Name, RdataType], dns.rrset.RRset] = {}
        self.signatures: dict[tuple[dns.name.Name, RdataType], list[RRSIG]] = {}
        self.names: set[dns.name.Name] = set()
        self.chain = DenialChain(plan.denial, plan.origin)
        self.lies = Lies()
        nameserver = dns.name.from_text("ns", plan.origin)
        text = f"@ SOA {nameserver} {nameserver} 1 3600 600 86400 {TTL}\n@ NS {nameserver}\n{nameserver} A 127.0.0.1\n"
        for rrset in dns.zonefile.read_rrsets(
            text + plan.records, origin=plan.origin, relativize=False, default_ttl=TTL
        ):
            self.add(rrset)

    @property
    def signed(self) -> bool:
        return bool(self.keys)

    def add(self, rrset: dns.rrset.RRset) -> None:
        """Put an RRset into the zone, beside records of the same owner and type. Only before `sign`."""
        if not rrset.name.is_subdomain(self.origin):
            raise Misuse(f"{rrset.name} is not in {self.origin}")
        present = self.rrsets.get((rrset.name, rrset.rdtype))
        if present is None:
            self.rrsets[rrset.name, rrset.rdtype] = rrset
        else:
            present.update(rrset)  # type: ignore[no-untyped-call]

    def cut_above(self, name: dns.name.Name) -> dns.name.Name | None:
        """The delegation at or above the name, highest first; None when the zone speaks for the name itself."""
        for depth in range(len(self.origin) + 1, len(name) + 1):
            above = name.split(depth)[1]
            if (above, dns.rdatatype.NS) in self.rrsets:
                return above
        return None

    def sign(self) -> None:
        """Publish the keys, make the denial chain, sign every authoritative RRset."""
        self.names = {
            name.split(depth)[1] for name, _ in self.rrsets for depth in range(len(self.origin), len(name) + 1)
        }
        if not self.keys:
            return
        published = [key.dnskey for key in self.keys if not key.plan.hidden]
        if published:
            self.add(dns.rrset.from_rdata_list(self.origin, TTL, published))
        self._make_chain()
        for name, rdtype in self.rrsets:
            cut = self.cut_above(name)
            if cut is None or (name == cut and rdtype in {dns.rdatatype.DS, dns.rdatatype.NSEC}):
                self.sign_again(name, rdtype)

    def sign_again(
        self, name: dns.name.Name, rdtype: RdataType, *, keys: Sequence[ZoneKey] | None = None, **stated: object
    ) -> None:
        """Replace the signatures of one RRset; `stated` are the keyword arguments of `sign_rrset`."""
        self.signatures[name, rdtype] = self.signatures_over(self.rrsets[name, rdtype], keys=keys, **stated)

    def signatures_over(
        self, rrset: dns.rrset.RRset, *, keys: Sequence[ZoneKey] | None = None, **stated: object
    ) -> list[RRSIG]:
        """Signatures over any RRset by the keys that would sign it here, or by the given ones."""
        if keys is None:
            apex_keys = rrset.rdtype == dns.rdatatype.DNSKEY
            keys = [key for key in self.keys if (key.plan.signs_keys if apex_keys else key.plan.signs_records)]
        arguments: dict[str, object] = {"signer": self.origin, "window": self.window} | stated
        return [sign_rrset(rrset, key, **arguments) for key in keys]  # type: ignore[arg-type]

    def _make_chain(self) -> None:
        plan = self.plan.denial
        if plan.kind not in {"nsec", "nsec3"}:
            return
        if plan.kind == "nsec3":
            text = f"{plan.stated_hash} 0 {plan.iterations} {plan.salt.hex() or '-'}"
            record = dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.NSEC3PARAM, text)
            self.add(dns.rrset.from_rdata(self.origin, TTL, record))
        types_at: dict[dns.name.Name, set[RdataType]] = {}
        for name, rdtype in self.rrsets:
            cut = self.cut_above(name)
            if cut is None or (name == cut and rdtype in {dns.rdatatype.NS, dns.rdatatype.DS}):
                types_at.setdefault(name, set()).add(rdtype)
        if plan.opt_out:
            types_at = {name: types for name, types in types_at.items() if types != {dns.rdatatype.NS}}
        if plan.kind == "nsec3":
            for name in list(types_at):
                for depth in range(len(self.origin), len(name)):
                    types_at.setdefault(name.split(depth)[1], set())
        for link in self.chain.links(types_at, TTL):
            self.add(link)


class ZoneTree:
    """Zones that delegate to each other, signed at one moment."""

    def __init__(self, zones: Sequence[Zone]) -> None:
        self.zones = tuple(zones)

    @classmethod
    def build(cls, plans: Iterable[ZonePlan], *, now: Moment) -> Self:
        """Delegate, sign, then damage, children before parents. The parent of a zone is the closest one above it."""
        zones = {plan.origin: Zone(plan, now=now) for plan in plans}
        for zone in sorted(zones.values(), key=lambda zone: len(zone.origin), reverse=True):
            parent = _closest_above(zones, zone.origin)
            if parent is not None:
                _delegate(parent, zone)
            zone.sign()
        for zone in zones.values():
            for fault in zone.plan.faults:
                apply_fault(zone, fault)
        return cls(list(zones.values()))

    def zone(self, origin: str) -> Zone:
        """The zone of that name; raises Misuse."""
        name = dns.name.from_text(origin)
        for zone in self.zones:
            if zone.origin == name:
                return zone
        raise Misuse(f"no zone {origin}")

    def anchors(self, origin: str = ".") -> str:
        """DS lines, zone-file form, for the keys that sign the DNSKEY RRset of a zone of the tree."""
        zone = self.zone(origin)
        records = DsPlan(digest=_DIGESTS["sha256"]).records(zone.origin, zone.keys)
        return "".join(f"{zone.origin} {TTL} IN DS {record}\n" for record in records)


def _closest_above(zones: dict[dns.name.Name, Zone], origin: dns.name.Name) -> Zone | None:
    name = origin
    while name != dns.name.root:
        name = name.parent()
        if name in zones:
            return zones[name]
    return None


def _delegate(parent: Zone, child: Zone) -> None:
    nameservers = child.rrsets[child.origin, dns.rdatatype.NS]
    parent.add(dns.rrset.from_rdata_list(child.origin, TTL, list(nameservers)))
    records = [record for plan in child.plan.ds for record in plan.records(child.origin, child.keys)]
    if records:
        parent.add(dns.rrset.from_rdata_list(child.origin, TTL, records))
