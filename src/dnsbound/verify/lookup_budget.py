"""How many lookups one source may cause, and how many may go to one zone, where no exact entry named the client.

A name that a pattern permits is chosen by the peer, and an alias sends the lookup to a zone that is on no list: both
could be used to make this host flood somebody's servers. Each source and each zone has a token bucket; the table of
buckets is bounded and drops the ones longest untouched. Aliases are known only after the lookup, so they may leave a
debt, which is then waited off. Time is an argument.
"""

from collections import OrderedDict
from ipaddress import IPv6Address, ip_address
from threading import Lock

from dnsbound.errors import Reason, Undecided
from dnsbound.limits import LOOKUP_SOURCES, LOOKUPS_PER_SOURCE, LOOKUPS_PER_ZONE
from dnsbound.times import Moment

_MINUTE = 60.0


class LookupBudget:
    """Token buckets per source and per zone. Thread-safe."""

    __slots__ = ("_lock", "_sources", "_zones")

    def __init__(
        self, *, per_source: int | None = None, per_zone: int | None = None, table_size: int | None = None
    ) -> None:
        """per_source, per_zone: lookups per minute, also the burst. table_size: buckets of each kind."""
        size = LOOKUP_SOURCES.checked(table_size)
        self._lock = Lock()
        self._sources = _Buckets(LOOKUPS_PER_SOURCE.checked(per_source), size)
        self._zones = _Buckets(LOOKUPS_PER_ZONE.checked(per_zone), size)

    def spend(self, source: str, zone: str, *, now: Moment) -> None:
        """One lookup that a pattern lets this source cause; Undecided(LOOKUP_BUDGET) when either bucket is empty."""
        prefix = source_prefix(source)
        with self._lock:
            if prefix and self._sources.level(prefix, now) < 1:
                raise Undecided(Reason.LOOKUP_BUDGET, f"{prefix} caused too many lookups")
            if self._zones.level(zone, now) < 1:
                raise Undecided(Reason.LOOKUP_BUDGET, f"too many lookups below {zone}")
            self._take(prefix, zone, 1, now)

    def check_debt(self, source: str, *, now: Moment) -> None:
        """A lookup by exact name is free, unless the source still owes for aliases."""
        prefix = source_prefix(source)
        with self._lock:
            in_debt = bool(prefix) and self._sources.level(prefix, now) < 0
        if in_debt:
            raise Undecided(Reason.LOOKUP_BUDGET, f"{prefix} caused too many lookups of alias targets")

    def charge_aliases(self, source: str, zone: str, count: int, *, now: Moment) -> None:
        """Lookups that aliases caused, after the fact; Undecided(LOOKUP_BUDGET) when the zone's bucket is overdrawn."""
        prefix = source_prefix(source)
        with self._lock:
            self._take(prefix, zone, count, now)
            overdrawn = self._zones.level(zone, now) < 0
        if overdrawn:
            raise Undecided(Reason.LOOKUP_BUDGET, f"too many lookups of alias targets in {zone}")

    def refund(self, source: str, zone: str, *, now: Moment) -> None:
        """The evidence was at hand: no lookup took place."""
        with self._lock:
            self._take(source_prefix(source), zone, -1, now)

    def _take(self, prefix: str, zone: str, count: int, now: Moment) -> None:
        if prefix:
            self._sources.take(prefix, count, now)
        self._zones.take(zone, count, now)


class _Buckets:
    __slots__ = ("_capacity", "_levels", "_size")

    def __init__(self, capacity: int, size: int) -> None:
        self._capacity = float(capacity)
        self._size = size
        self._levels: OrderedDict[str, tuple[float, Moment]] = OrderedDict()

    def level(self, key: str, now: Moment) -> float:
        held = self._levels.get(key)
        if held is None:
            return self._capacity
        level, touched = held
        # A clock that went backwards refills nothing.
        return min(self._capacity, level + max(0.0, now - touched) * self._capacity / _MINUTE)

    def take(self, key: str, count: int, now: Moment) -> None:
        # A debt is at most one bucket deep, so that a minute always clears it.
        level = min(self._capacity, max(-self._capacity, self.level(key, now) - count))
        self._levels[key] = (level, now)
        self._levels.move_to_end(key)
        if len(self._levels) > self._size:
            self._levels.popitem(last=False)


def source_prefix(source: str) -> str:
    """Who counts as one source: an IPv4 address, an IPv6 /64, and any other text as it is."""
    try:
        address = ip_address(source.partition("%")[0])
    except ValueError:
        return source
    if not isinstance(address, IPv6Address):
        return source
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{IPv6Address(int(address) >> 64 << 64)}/64"
