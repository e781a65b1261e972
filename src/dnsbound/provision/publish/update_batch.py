"""Changes put together into updates that fit a message, with the conditions under which a server must do nothing.

A server passes over a record added beside an alias without a word, and an alias added where another one stands takes
its place (RFC 2136 section 3.4.2.2). So records are added on condition that no alias stands there, and an alias on
condition that what was seen there before still does. A name that turns from records to an alias or back is cleared by
an update of its own first: Knot does not add, in the same update, what was impossible before it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import dns.name

from dnsbound.dns.update import MAX_OCTETS, OF_TSIG, Update
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.publish.publisher import Change
from dnsbound.provision.publish.record_text import dns_name, type_number, wire_of_text

ALIAS = "CNAME"
HOPELESS = 64
"""So many names of one update, all refused, and the rest is not tried."""
_OVERHEAD = 14
"""Octets of a record beside its owner's text and its data, at most."""


@dataclass(frozen=True)
class NameChanges:
    """All changes of one name in one update: it is done as a whole. is_cleared: the first of two updates was done."""

    owner: OwnerName
    changes: tuple[Change, ...]
    is_cleared: bool = False

    @cached_property
    def octets(self) -> int:
        """What they take of a message, at most."""
        data = [len(wire_of_text(change.rdtype, text)) for change in self.changes for text in _all(change)]
        # There may be a condition, of no more data than the longest record.
        return sum(data) + max(data, default=0) + (len(data) + 1) * (len(self.owner.text) + _OVERHEAD)

    @property
    def turns(self) -> bool:
        """Whether the name becomes an alias, stays one, or stops being one and gets records."""
        return any(change.rdtype == ALIAS for change in self.changes) and any(change.after for change in self.changes)

    @property
    def is_clearing(self) -> bool:
        """Whether this update takes away what is in the way of the next one."""
        return (
            self.turns and not self.is_cleared and any(change.removed and not change.after for change in self.changes)
        )

    @property
    def makes_alias(self) -> bool:
        return not self.is_clearing and any(change.rdtype == ALIAS and change.after for change in self.changes)

    def cleared(self) -> "NameChanges":
        return NameChanges(self.owner, self.changes, is_cleared=True)

    def stands(self, served: Mapping[tuple[OwnerName, str], tuple[str, ...]]) -> bool:
        """Whether what shall stand is served."""
        return all(set(change.after) <= set(served.get((self.owner, change.rdtype), ())) for change in self.changes)

    def is_hindered(self, served: Mapping[tuple[OwnerName, str], tuple[str, ...]]) -> bool:
        """Whether records are served that cannot stand beside what shall."""
        wanted = {change.rdtype for change in self.changes if change.after}
        return any(owner == self.owner and (rdtype == ALIAS) != (ALIAS in wanted) for owner, rdtype in served)

    def write(self, update: Update, alias: str | None) -> None:
        """alias: what stands at the name now, looked at only where it becomes or stays an alias."""
        name = dns_name(self.owner)
        clearing = self.is_clearing
        if not clearing:
            self._write_condition(update, name, alias)
        for change in self.changes:
            number = type_number(change.rdtype)
            for text in self._removals(change):
                update.remove(name, number, wire_of_text(change.rdtype, text))
            for text in () if clearing else change.after:
                update.add(name, number, change.ttl, wire_of_text(change.rdtype, text))

    def _removals(self, change: Change) -> tuple[str, ...]:
        if not change.after:
            return change.removed if self.is_clearing or not self.is_cleared else ()
        if self.is_clearing or change.rdtype == ALIAS:
            # An alias that is added takes the place of another one; taken away and added in one update, Knot has none.
            return ()
        # What stands and shall go on standing goes too: Knot gives a record it has no new TTL.
        return change.before

    def _write_condition(self, update: Update, name: dns.name.Name, alias: str | None) -> None:
        if self.makes_alias and alias is not None:
            update.require_only(name, type_number(ALIAS), wire_of_text(ALIAS, alias))
        elif any(change.after for change in self.changes):
            update.require_absent(name, type_number(ALIAS))


class Root:
    """What became of the names that were in one update before it was cut."""

    __slots__ = ("_left",)

    def __init__(self, names: int) -> None:
        self._left: int | None = names if names >= HOPELESS else None

    def something_done(self) -> None:
        self._left = None

    def all_refused(self, names: int) -> bool:
        """Count refused ones. Whether they were many, and now none is left that was not refused."""
        if self._left is None:
            return False
        self._left -= names
        return self._left <= 0


@dataclass(slots=True, kw_only=True)
class Batch:
    """What one update does. attempts: how often it was sent. not_before: of the monotonic clock."""

    names: list[NameChanges]
    root: Root
    attempts: int = 0
    not_before: float = 0.0

    @property
    def changes(self) -> Iterator[Change]:
        for name in self.names:
            yield from name.changes

    def update(self, zone: OwnerName, aliases: Mapping[OwnerName, str]) -> Update:
        """aliases: what stands at names that become or stay one, as read before."""
        update = Update(dns_name(zone))
        for name in self.names:
            name.write(update, aliases.get(name.owner))
        return update

    def halves(self) -> "tuple[Batch, Batch]":
        middle = len(self.names) // 2
        return Batch(names=self.names[:middle], root=self.root), Batch(names=self.names[middle:], root=self.root)


def names_of(changes: Iterable[Change]) -> Iterator[NameChanges]:
    """Changes by name, which come one behind the other."""
    for owner, group in groupby(changes, key=lambda change: change.owner):
        yield NameChanges(owner, tuple(group))


def fits(name: NameChanges) -> bool:
    """Whether any message could hold it."""
    return name.octets <= _room()


def batches(names: Iterator[NameChanges], size: int) -> Iterator[Batch]:
    """size: names of one batch at most. What is in one fits a message."""
    batch: list[NameChanges] = []
    octets = 0
    for name in names:
        if batch and (len(batch) >= size or octets + name.octets > _room()):
            yield Batch(names=batch, root=Root(len(batch)))
            batch, octets = [], 0
        batch.append(name)
        octets += name.octets
    if batch:
        yield Batch(names=batch, root=Root(len(batch)))


def _room() -> int:
    # A zone's name and the header are at most 300 octets.
    return MAX_OCTETS - OF_TSIG - 300


def _all(change: Change) -> Iterator[str]:
    yield from change.before
    yield from change.after
