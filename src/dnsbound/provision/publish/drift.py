"""Where a server differs from the inventory, at every name that is or was ours. Compared are types, data and TTL in
their one written form; order, case and spelling never are a difference.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol, TypeAlias

from dnsbound.provision.database import Database
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.publish.outbox import Outbox
from dnsbound.provision.publish.publisher import READ_TYPES, Change, Served
from dnsbound.provision.publish.scope import Scope
from dnsbound.provision.publish.standing import all_names

BATCH: Final = 1000


class DriftKind(StrEnum):
    """How a server differs at a name."""

    MISSING = "missing"
    """The inventory has it, the server has not."""
    STALE = "stale"
    """The server has what was ours once."""
    TTL = "ttl"
    """The same records with another TTL."""
    FOREIGN = "foreign"
    """The server has what was never ours: it is shown, and never touched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One difference. rdatas: the records it is about. waiting: the name is on its way to the server."""

    kind: DriftKind
    owner: OwnerName
    rdtype: str
    rdatas: tuple[str, ...]
    waiting: bool = False
    detail: str = ""

    def facts(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "drift": self.kind.value,
            "owner": self.owner.text,
            "type": self.rdtype,
            "data": list(self.rdatas),
            "detail": self.detail,
            "waiting": self.waiting,
        }

    def to_text(self) -> str:
        what = "; ".join(self.rdatas) or self.detail
        return f"{self.owner.absolute} {self.rdtype} {self.kind}: {what}{' (waits to be published)' * self.waiting}"


_Places: TypeAlias = Mapping[tuple[OwnerName, str], Served]


class Reads(Protocol):
    """As `Publisher.read`."""

    def read(self, owners: Iterable[OwnerName], rdtypes: Iterable[str] = ...) -> Iterator[Served]: ...


def drifts(
    database: Database,
    outbox: Outbox,
    scope: Scope,
    reader: Reads,
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> Iterator[list[Drift]]:
    """The differences, some names at a time. ServerRefused, ServerUnclear where the server cannot be read."""
    for changes in all_names(database, scope, batch=BATCH):
        rdtypes = dict.fromkeys([*READ_TYPES, *(change.rdtype for ours in changes.values() for change in ours)])
        owners = [ours[0].owner for ours in changes.values()]
        served = {(one.owner, one.rdtype): one for one in reader.read(owners, rdtypes)}
        waiting = outbox.on_the_list(list(changes))
        found = [drift for name, ours in changes.items() for drift in _at_name(ours, served, waiting=name in waiting)]
        progress(len(changes))
        yield found


def _at_name(changes: Sequence[Change], served: _Places, *, waiting: bool) -> Iterator[Drift]:
    owner = changes[0].owner
    known = {change.rdtype: change for change in changes}
    for rdtype in sorted(known.keys() | {kind for kind in READ_TYPES if (owner, kind) in served}):
        change = known.get(rdtype, Change(owner=owner, rdtype=rdtype))
        yield from _at_set(change, served.get((owner, rdtype)), waiting=waiting)


def _at_set(change: Change, served: Served | None, *, waiting: bool) -> Iterator[Drift]:
    stands = () if served is None else served.rdatas
    kinds = {
        DriftKind.MISSING: tuple(rdata for rdata in change.after if rdata not in stands),
        DriftKind.STALE: tuple(rdata for rdata in change.removed if rdata in stands),
        DriftKind.FOREIGN: tuple(rdata for rdata in stands if rdata not in change.before + change.after),
    }
    for kind, rdatas in kinds.items():
        if rdatas:
            yield Drift(kind=kind, owner=change.owner, rdtype=change.rdtype, rdatas=rdatas, waiting=waiting)
    if served is not None and change.after and not kinds[DriftKind.MISSING] and served.ttl != change.ttl:
        detail = f"{served.ttl} s instead of {change.ttl} s"
        yield Drift(
            kind=DriftKind.TTL, owner=change.owner, rdtype=change.rdtype, rdatas=(), waiting=waiting, detail=detail
        )
