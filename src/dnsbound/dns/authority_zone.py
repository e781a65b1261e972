"""What an authority answers from: zone content behind a small Protocol, and zone content held in memory.

`ZoneData` is implemented here by `MemoryZone` and, over the inventory, by `provision/`. Names are absolute; RRsets are
dnspython rdatasets of class IN. Content never holds DNSSEC's own records (DNSKEY, RRSIG, NSEC...): the authority makes
them from the keys.

Wildcards: a wildcard's records are served with the wildcard in the signature's label count and an NSEC that shows that
no closer name exists (RFC 4035 section 3.1.3.3), so that verifiers can see it. `3 x x` and `1 x x` TLSA records at a
wildcard are refused at publication: they would make one key stand for every name (RFC 7671 section 5.1 ignores names).

Sections: RFC 1034 section 4.2 (cuts, glue), RFC 4592 (wildcards, empty non-terminals).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rdtypes.ANY.TLSA

from dnsbound.errors import Misuse
from dnsbound.iana import Usage

if TYPE_CHECKING:
    from dns.rdtypes.ANY.SOA import SOA

    from dnsbound.dns.signer import ZoneKeys

RRsets: TypeAlias = Mapping[dns.rdatatype.RdataType, dns.rdataset.Rdataset]

EMPTY_NON_TERMINAL: Final[RRsets] = MappingProxyType({})
"""A name without records and with names below it (RFC 4592 section 2.2.2)."""

_MADE_BY_THE_AUTHORITY: Final = frozenset(
    {
        dns.rdatatype.DNSKEY,
        dns.rdatatype.RRSIG,
        dns.rdatatype.NSEC,
        dns.rdatatype.NSEC3,
        dns.rdatatype.NSEC3PARAM,
    }
)
_ONE_KEY_FOR_ALL: Final = frozenset({Usage.DANE_EE, Usage.PKIX_EE})


class ZoneData(Protocol):
    """The content of one zone at the moment it is asked. Implementations answer from their newest state."""

    @property
    def origin(self) -> dns.name.Name: ...

    def lookup(self, name: dns.name.Name) -> RRsets | None:
        """The RRsets at exactly this name of the zone; empty when only names below it exist; None when neither.

        No wildcard is applied, no alias followed, and names at and below a delegation (glue) are looked up alike. The
        origin always has SOA and NS.
        """
        ...


@dataclass(frozen=True, slots=True)
class Zone:
    """Content and keys. keys: None for a zone that is not signed."""

    data: ZoneData
    keys: ZoneKeys | None

    def __post_init__(self) -> None:
        if self.keys is not None and self.keys.origin != self.data.origin:
            raise Misuse(f"keys of {self.keys.origin} cannot sign zone {self.data.origin}")

    @property
    def origin(self) -> dns.name.Name:
        return self.data.origin


class ZoneDirectory(Protocol):
    """The zones of one authority."""

    def find(self, origin: dns.name.Name) -> Zone | None:
        """The zone of exactly this origin."""
        ...


def enclosing_zone(zones: ZoneDirectory, name: dns.name.Name) -> Zone | None:
    """The deepest zone that holds `name` or would delegate it."""
    while True:
        zone = zones.find(name)
        if zone is not None:
            return zone
        if name == dns.name.root:
            return None
        name = name.parent()


class MemoryDirectory:
    """Zones in memory; may be changed while it is being asked, from any thread."""

    __slots__ = ("_lock", "_zones")

    def __init__(self, zones: Iterable[Zone] = ()) -> None:
        self._lock = threading.Lock()
        self._zones = {zone.origin: zone for zone in zones}

    def find(self, origin: dns.name.Name) -> Zone | None:
        return self._zones.get(origin)

    def put(self, zone: Zone) -> None:
        """Add a zone, or replace the one of the same origin."""
        with self._lock:
            self._zones = {**self._zones, zone.origin: zone}

    def drop(self, origin: dns.name.Name) -> None:
        with self._lock:
            self._zones = {name: zone for name, zone in self._zones.items() if name != origin}

    def all(self) -> tuple[Zone, ...]:
        return tuple(self._zones.values())


class MemoryZone:
    """Zone content in memory. Every change is visible at the next query; changes may come from any thread."""

    __slots__ = ("_below", "_lock", "_nodes", "_origin")

    def __init__(
        self, origin: dns.name.Name, *, soa: SOA, name_servers: Iterable[dns.name.Name], ttl: int = 3600
    ) -> None:
        self._origin = origin
        self._lock = threading.Lock()
        self._nodes: dict[dns.name.Name, RRsets] = {}
        self._below: dict[dns.name.Name, int] = {}
        self.replace(origin, ttl, [soa])
        servers = [
            dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.NS, server.to_text()) for server in name_servers
        ]
        self.replace(origin, ttl, servers)

    @property
    def origin(self) -> dns.name.Name:
        return self._origin

    def lookup(self, name: dns.name.Name) -> RRsets | None:
        node = self._nodes.get(name)
        if node is None and self._below.get(name):
            return EMPTY_NON_TERMINAL
        return node

    def replace(
        self,
        name: dns.name.Name,
        ttl: int,
        records: Iterable[dns.rdata.Rdata],
        *,
        danger_one_key_for_all_names: bool = False,
    ) -> None:
        """Make these the only records of their type at `name`; Misuse when they cannot stand there."""
        with self._lock:
            self._put(name, ttl, list(records), wildcard_policy=not danger_one_key_for_all_names)

    def add(
        self, name: dns.name.Name, ttl: int, record: dns.rdata.Rdata, *, danger_one_key_for_all_names: bool = False
    ) -> None:
        """Add one record to its RRset, whose TTL becomes `ttl`; Misuse when it cannot stand there."""
        with self._lock:
            present = self._nodes.get(name, EMPTY_NON_TERMINAL).get(record.rdtype, ())
            records = [*(other for other in present if other != record), record]
            self._put(name, ttl, records, wildcard_policy=not danger_one_key_for_all_names)

    def _put(self, name: dns.name.Name, ttl: int, records: list[dns.rdata.Rdata], *, wildcard_policy: bool) -> None:
        node = self._nodes.get(name, EMPTY_NON_TERMINAL)
        check_placement(self._origin, name, records, node)
        if wildcard_policy:
            check_wildcard_policy(name, records)
        rdataset = dns.rdataset.ImmutableRdataset(dns.rdataset.from_rdata_list(ttl, records))
        self._set(name, {**node, rdataset.rdtype: rdataset})

    def remove(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType | None = None) -> bool:
        """Remove one RRset, or all records of a name; whether there was anything. SOA and NS of the origin stay."""
        with self._lock:
            node = self._nodes.get(name, EMPTY_NON_TERMINAL)
            keep = {dns.rdatatype.SOA, dns.rdatatype.NS} if name == self._origin else set()
            left = {t: r for t, r in node.items() if t in keep or (rdtype is not None and t != rdtype)}
            self._set(name, left)
            return len(left) != len(node)

    def names(self) -> tuple[dns.name.Name, ...]:
        """Every owner name, in canonical order."""
        return tuple(sorted(self._nodes))

    def _set(self, name: dns.name.Name, node: RRsets) -> None:
        existed = name in self._nodes
        if node:
            self._nodes[name] = MappingProxyType(dict(node))
        else:
            self._nodes.pop(name, None)
        change = (name in self._nodes) - existed
        while change and name != self._origin:
            name = name.parent()
            self._below[name] = self._below.get(name, 0) + change


def check_placement(
    origin: dns.name.Name, name: dns.name.Name, records: Sequence[dns.rdata.Rdata], node: RRsets
) -> None:
    """Misuse when an RRset cannot stand at `name` beside the others there (RFC 1034 sections 3.6.2 and 4.2.1)."""
    if not name.is_subdomain(origin):
        raise Misuse(f"{name} is not of zone {origin}")
    if len({(record.rdclass, record.rdtype) for record in records}) != 1:
        raise Misuse(f"an RRset at {name} has one record or more, all of one class and type")
    if not all(_is_absolute(record) for record in records):
        raise Misuse(f"{name} would have record data with a relative name in it, which cannot be served")
    rdtype = records[0].rdtype
    if rdtype in _MADE_BY_THE_AUTHORITY or dns.rdatatype.is_metatype(rdtype):
        raise Misuse(f"{dns.rdatatype.to_text(rdtype)} records are not zone content: the authority makes them")
    if dns.rdatatype.is_singleton(rdtype) and len(records) > 1:
        raise Misuse(f"{name} would have two {dns.rdatatype.to_text(rdtype)} records")
    others = set(node) - {rdtype}
    if (rdtype == dns.rdatatype.CNAME and others) or dns.rdatatype.CNAME in others:
        raise Misuse(f"{name} would have a CNAME and other records")
    if rdtype == dns.rdatatype.SOA and name != origin:
        raise Misuse(f"SOA stands at {origin} alone")
    if rdtype == dns.rdatatype.DS and name == origin:
        raise Misuse(f"DS of {origin} belongs to its parent")
    if rdtype == dns.rdatatype.DNAME:
        raise Misuse("DNAME is not served")


def _is_absolute(record: dns.rdata.Rdata) -> bool:
    try:
        record.to_digestable()
    except dns.name.NeedAbsoluteNameOrOrigin:
        return False
    return True


def check_wildcard_policy(name: dns.name.Name, records: Sequence[dns.rdata.Rdata]) -> None:
    """Misuse for what may not stand at a wildcard: end-entity keys, delegations."""
    if not name.is_wild():
        return
    for record in records:
        if record.rdtype in (dns.rdatatype.NS, dns.rdatatype.DS):
            raise Misuse(f"{name} cannot be delegated (RFC 4592 section 4.2)")
        if isinstance(record, dns.rdtypes.ANY.TLSA.TLSA) and record.usage in _ONE_KEY_FOR_ALL:
            raise Misuse(f"TLSA usage {record.usage} at {name} would make one key stand for every name")
