"""Publishing at DNS hosts through the providers of OctoDNS: Cloudflare, NS1, PowerDNS and others (extra `octodns`).

The configuration is OctoDNS's own file, with its providers and their secrets (`env/TOKEN`); its zones and sources are
not used. OctoDNS plans whole zones: what the host holds is read, ours is merged into it, the provider plans the
difference, and of this plan only the changes to RRsets of ours are carried out. What providers show of an RRset is what
OctoDNS knows: properties of one host alone (disabled records, geography) are lost in an RRset that is written.

A provider reads the whole zone for every batch, and names no cause of its failures that could be told apart: they are
undecided. What is refused is refused here: a zone the host does not have, a name that has other records, a
provider without TLSA. Not here: DNSSEC, which is switched on at the host.

https://octodns.readthedocs.io/en/stable/
"""

import importlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

from dnsbound.errors import Misuse
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.publish.by_name import NameWork, canonical, halves, outcomes, sift, works_of
from dnsbound.provision.publish.publisher import (
    READ_TYPES,
    Change,
    Outcome,
    OutcomeKind,
    Served,
    ServerRefused,
    ServerUnclear,
)
from dnsbound.provision.publish.record_text import spelled
from dnsbound.provision.publish.targets import OctoDnsTarget

_SHOWN: Final = 200
_HOPELESS: Final = 8
"""Names that fail one after the other, each by itself, before the rest of a batch is not tried."""
_TYPES: Final = frozenset(READ_TYPES)
_ALIAS: Final = "CNAME"


def open_provider(config: Path, name: str) -> Any:  # noqa: ANN401 (OctoDNS has no types)
    """The provider of that name in an OctoDNS configuration. Misuse, in one line, when there is none, or it cannot
    publish identities, or OctoDNS is not installed."""
    try:
        manager = importlib.import_module("octodns.manager").Manager
    except ImportError:
        raise Misuse("OctoDNS is not installed; install dnsbound[octodns] and the package of the provider") from None
    try:
        providers = manager(str(config)).providers
    except Exception as error:
        raise Misuse(f"{config}: OctoDNS does not accept it: {_told(error)}") from error
    if name not in providers:
        raise Misuse(f"{config} has no provider {name!r}; it has {', '.join(sorted(providers)) or 'none'}")
    provider = providers[name]
    missing = sorted(_TYPES - set(provider.SUPPORTS))
    if missing:
        raise Misuse(f"{type(provider).__name__} of OctoDNS handles no {' and '.join(missing)} records")
    if not callable(getattr(provider, "apply", None)):
        raise Misuse(f"{name!r} is a source of OctoDNS, nothing can be published to it")
    return provider


class OctoDnsPublisher:
    """A `Publisher` of one zone. provider: as `open_provider` gives it."""

    def __init__(self, target: OctoDnsTarget, provider: Any) -> None:  # noqa: ANN401 (OctoDNS has no types)
        self._zone = target.zone
        self._batch = target.batch
        self._provider = provider
        self._label = f"{type(provider).__name__} {target.provider}"
        self._failures = 0
        self._record = importlib.import_module("octodns.record").Record
        self._rrset = importlib.import_module("octodns.record.rr").Rrset
        self._new_zone = importlib.import_module("octodns.zone").Zone

    @property
    def zone(self) -> OwnerName:
        return self._zone

    def apply(self, changes: Iterable[Change]) -> Iterator[Outcome]:
        """See `Publisher.apply`. The host's zone is read anew for every batch."""
        source = works_of(changes)
        while batch := list(islice(source, self._batch)):
            good, refused = sift(batch, self._zone)
            yield from refused
            if good:
                self._failures = 0
                yield from self._bring_about(good)

    def read(self, owners: Iterable[OwnerName], rdtypes: Iterable[str] = READ_TYPES) -> Iterator[Served]:
        """See `Publisher.read`. The whole zone is read once."""
        wanted = frozenset(rdtypes) | {_ALIAS}
        standing = _by_name(self._existing())
        for owner in owners:
            for rdtype, record in sorted(standing.get(owner.text, {}).items()):
                if rdtype in wanted:
                    rrset = record.to_rrset()
                    rdatas = tuple(sorted(spelled(rdtype, text) for text in rrset.rdatas))
                    yield Served(owner=owner, rdtype=rdtype, rdatas=rdatas, ttl=rrset.ttl)

    def close(self) -> None:
        """Providers keep nothing that would have to be closed."""

    def _bring_about(self, batch: Sequence[NameWork]) -> Iterator[Outcome]:
        """As a whole; where the provider fails, in halves, so that one name it does not take holds up no other."""
        possible: list[NameWork] = []
        try:
            existing = self._existing()
            standing = _by_name(existing)
            for work in batch:
                hindrance = _hindrance(work, standing.get(work.owner.text, {}))
                if hindrance is None:
                    possible.append(work)
                else:
                    yield from outcomes([work], OutcomeKind.REFUSED, hindrance)
            if possible:
                self._carry_out(possible, existing, standing)
        except ServerRefused as refused:
            yield from outcomes(batch, OutcomeKind.REFUSED, str(refused))
        except ServerUnclear as unclear:
            if not possible or len(possible) == 1 or self._failures >= _HOPELESS:
                self._failures += 1
                yield from outcomes(possible or batch, OutcomeKind.UNDECIDED, str(unclear))
                return
            for half in halves(possible):
                yield from self._bring_about(half)
        else:
            self._failures = 0
            yield from outcomes(possible, OutcomeKind.DONE)

    def _existing(self) -> Any:  # noqa: ANN401 (OctoDNS has no types)
        """What the host holds."""
        zone = self._new_zone(self._zone.absolute, [])
        try:
            exists = self._provider.populate(zone, target=True, lenient=True)
        except Exception as error:
            raise ServerUnclear(f"{self._label} cannot read {self._zone}: {_told(error)}") from error
        if not exists:
            # A provider would make the zone: nobody asked for that.
            raise ServerRefused(f"{self._label} has no zone {self._zone}")
        return zone

    def _carry_out(self, batch: Sequence[NameWork], existing: Any, standing: "Standing") -> None:  # noqa: ANN401 (as above)
        desired = existing.copy()
        ours: set[tuple[str, str]] = set()
        for work in batch:
            for change in work.changes:
                present = standing.get(work.owner.text, {}).get(change.rdtype)
                self._want(desired, change, present)
                ours.add((work.owner.text, change.rdtype))
        try:
            plan = self._provider.plan(desired)
            if plan is None:
                return
            plan.changes = [change for change in plan.changes if _place(change.record) in ours]
            if plan.changes:
                self._provider.apply(plan)
        except Exception as error:
            raise ServerUnclear(f"{self._label} failed: {_told(error)}") from error

    def _want(self, desired: Any, change: Change, present: Any) -> None:  # noqa: ANN401 (as above)
        """Put the RRset that should stand into the desired zone, records of others included."""
        texts = [] if present is None else list(present.to_rrset().rdatas)
        ours = {canonical(change.rdtype, text) for text in (*change.removed, *change.after)}
        kept = [text for text in texts if canonical(change.rdtype, text) not in ours]
        if present is not None:
            desired.remove_record(present)
        if rdatas := [*kept, *change.after]:
            ttl = change.ttl if change.after or present is None else present.ttl
            rrset = self._rrset(change.owner.absolute, change.rdtype, ttl, rdatas)
            desired.add_record(self._record.from_rrset(desired, rrset, lenient=True), lenient=True)


Standing = dict[str, dict[str, Any]]
"""Records of OctoDNS by name, without the final dot, and type."""


def _by_name(zone: Any) -> Standing:  # noqa: ANN401 (OctoDNS has no types)
    found: Standing = defaultdict(dict)
    for record in zone.records:
        name, rdtype = _place(record)
        found[name][rdtype] = record
    return found


def _place(record: Any) -> tuple[str, str]:  # noqa: ANN401 (OctoDNS has no types)
    return record.fqdn.lower().removesuffix("."), record._type  # noqa: SLF001 (so OctoDNS names the type)


def _hindrance(work: NameWork, standing: dict[str, Any]) -> str | None:
    """Why what shall stand cannot, beside what would stand with it: a CNAME stands alone (RFC 1034 section 3.6.2)."""
    after: dict[str, int] = {rdtype: len(record.to_rrset().rdatas) for rdtype, record in standing.items()}
    for change in work.changes:
        present = standing.get(change.rdtype)
        texts = [] if present is None else present.to_rrset().rdatas
        kept = {canonical(change.rdtype, text) for text in texts} - {
            canonical(change.rdtype, text) for text in change.removed
        }
        after[change.rdtype] = len(kept | {canonical(change.rdtype, text) for text in change.after})
    stands = sorted(rdtype for rdtype, count in after.items() if count)
    if not any(change.after for change in work.changes) or _ALIAS not in stands:
        return None
    if len(stands) > 1:
        return f"{work.owner} has {', '.join(stands)} records: an alias (CNAME) stands alone"
    return f"{work.owner} is an alias of another name already" if after[_ALIAS] > 1 else None


def _told(error: Exception) -> str:
    """The first line of what a library said, printable."""
    lines = str(error).splitlines() or [""]
    shown = "".join(char if char.isprintable() else " " for char in lines[0]).strip()[:_SHOWN]
    return f"{type(error).__name__}: {shown}" if shown else type(error).__name__
