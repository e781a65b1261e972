"""The names that one target publishes: those of its zone, without the zones below it that are published otherwise."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, not_, or_

from dnsbound.provision.owner import OwnerName


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

    def condition(self, sort_key: "ColumnElement[Any]") -> "ColumnElement[bool]":
        """The same of a column of sort keys."""
        return and_(_within(self.zone, sort_key), *(not_(_within(other, sort_key)) for other in self.without))


def _within(zone: OwnerName, sort_key: "ColumnElement[Any]") -> "ColumnElement[bool]":
    start, end = zone.below
    return or_(sort_key == zone.sort_key, and_(sort_key >= start, sort_key < end))
