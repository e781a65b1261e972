"""How many lookups one source may cause, and how many may go to one zone, where no exact entry named the client.

A name that a pattern permits is chosen by the peer, and an alias sends the lookup to a zone that is on no list: both
could be used to make this host flood somebody's servers. Each source and each zone has a token bucket; the table of
buckets is bounded and drops the ones longest untouched. Aliases are known only after the lookup, so they may leave a
debt, which is then waited off. Time is an argument.
"""

from threading import Lock

from dnsbound.errors import Reason, Undecided
from dnsbound.limits import LOOKUP_SOURCES, LOOKUPS_PER_SOURCE, LOOKUPS_PER_ZONE
from dnsbound.times import Moment
from dnsbound.verify.token_buckets import TokenBuckets, source_prefix


class LookupBudget:
    """Token buckets per source and per zone. Thread-safe."""

    __slots__ = ("_lock", "_sources", "_zones")

    def __init__(
        self, *, per_source: int | None = None, per_zone: int | None = None, table_size: int | None = None
    ) -> None:
        """per_source, per_zone: lookups per minute, also the burst. table_size: buckets of each kind."""
        size = LOOKUP_SOURCES.checked(table_size)
        self._lock = Lock()
        self._sources = TokenBuckets(LOOKUPS_PER_SOURCE.checked(per_source), size)
        self._zones = TokenBuckets(LOOKUPS_PER_ZONE.checked(per_zone), size)

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
