"""What every way to publish has in common: changes, their outcomes, and what a server holds.

A publisher changes one zone in one primary server. It adds and removes single records that are handed to it and
nothing else: no RRset, name or zone is ever cleared, so that what other people put beside our records stays. Every
change may be sent again: adding what is there and removing what is not are no errors anywhere.

Not here: which records ought to stand (`dnsbound.provision.publish.reconcile`), and whether all servers of the zone
show them yet (`dnsbound.edge.authoritative_servers`).

Sections: RFC 2136 sections 2.5 and 3.4.2 (single records), RFC 2181 section 5.2 (one TTL for an RRset).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from dnsbound.errors import DnsboundError, Misuse
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.publication import parse_record

READ_TYPES: Final = ("TLSA", "CNAME")
"""What is read of a name unless more is asked for. An alias shows in the answer for any type."""

_NO_KEY: Final = "3 1 1 " + "00" * 32
_TEST_LABEL: Final = "_dnsbound-test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One RRset of ours to bring about.

    before: record data of ours that may stand there and go, unless they are in `after`. after: record data that shall
    stand, whether or not they do already. Both in the presentation form of `publication.parse_record`. ttl: of what
    stands afterwards. Neither speaks of records of other people at the same name.
    """

    owner: OwnerName
    rdtype: str
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    ttl: int = 0

    @property
    def removed(self) -> tuple[str, ...]:
        """What goes."""
        return tuple(rdata for rdata in self.before if rdata not in self.after)

    @property
    def ends_alias(self) -> bool:
        return self.rdtype == "CNAME" and bool(self.removed)

    def checked(self, zone: OwnerName) -> "Change":
        """The change itself; Misuse where it lies outside the zone, or would publish what nobody should."""
        if not self.owner.is_at_or_below(zone):
            raise Misuse(f"{self.owner} does not lie in the zone {zone}")
        if self.rdtype == "CNAME" and len(self.after) > 1:
            raise Misuse(f"{self.owner} would be an alias of two names")
        for rdata in self.after:
            parse_record(self.owner, self.rdtype, rdata, self.ttl)
        return self


class OutcomeKind(StrEnum):
    """What became of a change."""

    DONE = "done"
    """The primary said, provably, that it holds."""
    REFUSED = "refused"
    """The primary, or this package, decided no. Trying again changes nothing until somebody mends the cause."""
    UNDECIDED = "undecided"
    """Nobody knows whether it was done. Send it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one change. line: why not, one line for people; empty when done."""

    change: Change
    kind: OutcomeKind
    line: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """An RRset that a server holds. rdatas: presentation form as in `Change`, sorted. ttl: seconds, the smallest."""

    owner: OwnerName
    rdtype: str
    rdatas: tuple[str, ...]
    ttl: int


class ServerRefused(DnsboundError):
    """The server decided no: it does not know the key, has no such zone, or forbids what was asked for."""


class ServerUnclear(DnsboundError):
    """The server could not be reached, failed, or answered what proves nothing."""


class Publisher(Protocol):
    """One zone in one server. For one thread at a time."""

    @property
    def zone(self) -> OwnerName: ...

    def apply(self, changes: Iterable[Change]) -> Iterator[Outcome]:
        """Bring changes about: exactly one outcome for each, in any order, as they become known.

        Changes are taken from the iterable as there is room for them, never all at once. Changes of one name come one
        behind the other and are done together. Failures of the server or the way to it are outcomes, not exceptions;
        what the iterable itself raises passes through. When the server does nothing for us at all, it ends before it
        has taken all changes: those not taken were not touched.
        """
        ...

    def read(self, owners: Iterable[OwnerName], rdtypes: Iterable[str] = READ_TYPES) -> Iterator[Served]:
        """What the primary holds at names, of some types and aliases besides; nothing for what is not there.

        In the order of `owners`. ServerRefused, ServerUnclear.
        """
        ...

    def close(self) -> None: ...


def changes_nothing(zone: OwnerName) -> Change:
    """A change to try a server with: it withdraws a record that nobody has."""
    return Change(owner=OwnerName.parse(f"{_TEST_LABEL}.{zone}"), rdtype="TLSA", before=(_NO_KEY,))
