"""The names that one target publishes: those of its zone, without the zones below it that are published otherwise."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, not_

from dnsbound.provision.owner import OwnerName
from dnsbound.provision.tree_order import at_or_below


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """without: zones below `zone` whose names do not belong to it."""

    zone: OwnerName
    without: tuple[OwnerName, ...] = ()

    @classmethod
    def of(cls, zone: OwnerName, others: Iterable[OwnerName]) -> "Scope":
        """others: all zones there are, those elsewhere in the tree among them."""
        below = {other for other in others if other != zone and other.is_at_or_below(zone)}
        return cls(zone=zone, without=tuple(sorted(below)))

    def holds(self, owner: OwnerName) -> bool:
        return owner.is_at_or_below(self.zone) and not any(owner.is_at_or_below(other) for other in self.without)

    def condition(self, sort_key: ColumnElement[str], *, after: str = "") -> ColumnElement[bool]:
        """The same of a column of sort keys. after: names behind this sort key alone, in tree order."""
        inside = at_or_below(sort_key, self.zone, after=after)
        return and_(inside, *(not_(at_or_below(sort_key, other)) for other in self.without))
