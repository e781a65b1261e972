"""What an authority answers from, read out of the inventory: every change of any process counts at the next query.

The check for changes is cheap: on SQLite one `PRAGMA data_version`, which reads no table and takes no lock, on
PostgreSQL a look at what the server has notified. What was read is remembered until that number moves; what is absent
has a memory of its own, so that a flood of random names cannot push out what exists. Zones that both live here are
delegated by themselves: the parent shows the child's NS and DS without a record of its own, so that the two cannot
drift apart.

Not here: opening key files (a function for it is an argument), signing, answering (`dnsbound.dns.authority`). A zone
whose keys cannot be read is an error, never an unsigned zone.

Sections: RFC 1034 section 4.2.2 (delegation), RFC 4592 section 2.2.2 (empty non-terminals).
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeAlias

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
from sqlalchemy import bindparam, select

from dnsbound.dns.authority_zone import EMPTY_NON_TERMINAL, RRsets
from dnsbound.dns.authority_zone import Zone as ServedZone
from dnsbound.dns.signer import ZoneKeys
from dnsbound.errors import Malformed
from dnsbound.limits import ZONE_CACHE
from dnsbound.provision import schema
from dnsbound.provision.entries import Zone
from dnsbound.provision.errors import InventoryFailed
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.owner import OwnerName

LoadKeys: TypeAlias = Callable[[dns.name.Name, Path], ZoneKeys]
"""Reads a zone's key file; raises OSError or DnsboundError."""

_KeyFileState: TypeAlias = tuple[str, int, int, int]


class InventoryZones:
    """The zones of an inventory, for `dnsbound.dns.authority.Authority`. For one thread at a time."""

    def __init__(self, inventory: Inventory, load_keys: LoadKeys, *, cache: int | None = None) -> None:
        """load_keys: how key files are read. cache: names whose records are remembered (limits.ZONE_CACHE)."""
        self._inventory = inventory
        self._load_keys = load_keys
        self._cache_size = ZONE_CACHE.checked(cache)
        self._watch = inventory.watch()
        rows = schema.records.c
        self._records_at = self._watch.prepared(
            select(rows.rdtype, rows.rdata, rows.ttl).where(rows.owner == bindparam("owner")).order_by(rows.id)
        )
        self._one_between = self._watch.prepared(
            select(rows.id).where(rows.sort_key >= bindparam("start"), rows.sort_key < bindparam("end")).limit(1)
        )
        self._seen: int | None = None
        self._zones: Mapping[dns.name.Name, Zone] = {}
        self._above_zones: frozenset[str] = frozenset()
        self._served: dict[dns.name.Name, ServedZone] = {}
        self._nodes: dict[tuple[str, dns.name.Name], RRsets] = {}
        self._absent: set[tuple[str, dns.name.Name]] = set()
        self._keys: dict[_KeyFileState, ZoneKeys] = {}

    def close(self) -> None:
        self._watch.close()

    def find(self, origin: dns.name.Name) -> ServedZone | None:
        """The zone of exactly this origin, newest content and keys. InventoryFailed when they cannot be had."""
        self._refresh()
        served = self._served.get(origin)
        if served is None:
            zone = self._zones.get(origin)
            if zone is None:
                return None
            served = ServedZone(
                _ZoneContent(self, zone.name, dns.name.from_text(zone.name.absolute)), self._keys_of(zone)
            )
            self._served[origin] = served
        return served

    def node(self, zone: OwnerName, name: dns.name.Name) -> RRsets | None:
        """What `ZoneData.lookup` answers for one of the zones."""
        self._refresh()
        place = (zone.text, name)
        known = self._nodes.get(place)
        if known is not None or place in self._absent:
            return known
        found = self._read(zone, name)
        if found is not None:
            if len(self._nodes) >= self._cache_size:
                self._nodes.clear()
            self._nodes[place] = found
        else:
            if len(self._absent) >= self._cache_size:
                self._absent.clear()
            self._absent.add(place)
        return found

    def _refresh(self) -> None:
        version = self._watch.version()
        if version == self._seen:
            return
        # Read after the number: what is read may be newer than it says, and is then read once more, but never older.
        zones = {dns.name.from_text(zone.name.absolute): zone for zone in self._inventory.zones.all()}
        self._zones = MappingProxyType(zones)
        self._above_zones = frozenset(above for zone in zones.values() for above in zone.name.ancestors[1:])
        self._served.clear()
        self._nodes.clear()
        self._absent.clear()
        self._seen = version

    def _keys_of(self, zone: Zone) -> ZoneKeys | None:
        if zone.key_path is None:
            return None
        try:
            state = zone.key_path.stat()
            found = (str(zone.key_path), state.st_mtime_ns, state.st_ino, state.st_size)
            if found not in self._keys:
                self._keys = {key: value for key, value in self._keys.items() if key[0] != found[0]}
                self._keys[found] = self._load_keys(dns.name.from_text(zone.name.absolute), zone.key_path)
        except OSError as error:
            told = f"{zone.key_path}: {error.strerror or error}"
            raise InventoryFailed(f"the keys of {zone.name} cannot be read: {told}") from error
        return self._keys[found]

    def _read(self, zone: OwnerName, name: dns.name.Name) -> RRsets | None:
        try:
            owner = OwnerName.parse(name.to_text(), wildcard=True)
        except Malformed:
            return None  # A name the inventory could not hold: it is not there.
        below = self._zones.get(name)
        if owner == zone:
            node = self._apex(self._zones[name])
        elif below is not None:
            return self._delegation(below)
        else:
            node = {}
        node = {**node, **self._records(owner)}
        if node:
            return MappingProxyType(node)
        return EMPTY_NON_TERMINAL if self._has_names_below(owner) else None

    def _apex(self, zone: Zone) -> RRsets:
        settings = zone.settings
        soa = (
            f"{settings.nameservers[0].absolute} {settings.rname.absolute} {zone.serial} "
            f"{settings.refresh} {settings.retry} {settings.expire} {settings.negative_ttl}"
        )
        return {
            dns.rdatatype.SOA: _rdataset("SOA", settings.ttl, [soa]),
            dns.rdatatype.NS: _rdataset("NS", settings.ttl, [host.absolute for host in settings.nameservers]),
        }

    def _delegation(self, child: Zone) -> RRsets:
        settings = child.settings
        node = {dns.rdatatype.NS: _rdataset("NS", settings.ttl, [host.absolute for host in settings.nameservers])}
        if child.ds:
            node[dns.rdatatype.DS] = _rdataset("DS", settings.ttl, child.ds)
        return MappingProxyType(node)

    def _records(self, owner: OwnerName) -> RRsets:
        texts: dict[str, list[str]] = {}
        ttls: dict[str, int] = {}
        for rdtype, rdata, ttl in self._records_at(owner=owner.text):
            texts.setdefault(rdtype, []).append(rdata)
            ttls[rdtype] = ttl
        return {dns.rdatatype.from_text(kind): _rdataset(kind, ttls[kind], data) for kind, data in texts.items()}

    def _has_names_below(self, owner: OwnerName) -> bool:
        if owner.text in self._above_zones:
            return True
        start, end = owner.below
        return bool(self._one_between(start=start, end=end))


class _ZoneContent:
    """One zone, as `ZoneData`."""

    __slots__ = ("_name", "_origin", "_zones")

    def __init__(self, zones: InventoryZones, name: OwnerName, origin: dns.name.Name) -> None:
        self._zones = zones
        self._name = name
        self._origin = origin

    @property
    def origin(self) -> dns.name.Name:
        return self._origin

    def lookup(self, name: dns.name.Name) -> RRsets | None:
        return self._zones.node(self._name, name)


_IN: Final = dns.rdataclass.IN


def _rdataset(rdtype: str, ttl: int, texts: Iterable[str]) -> dns.rdataset.Rdataset:
    return dns.rdataset.ImmutableRdataset(dns.rdataset.from_text_list(_IN, rdtype, ttl, list(texts)))
