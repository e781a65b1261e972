"""Bringing every zone's server to what the inventory holds, and seeing where it differs, whatever its target.

    publishing = Publishing(inventory, targets, open_publisher)
    for target in publishing.targets:
        moved = publishing.publish(target, Manner())
        for found in publishing.drifts(target): ...

Zones of the inventory without a target are answered for by its own authority. Opening a publisher reads secrets, so it
is an argument (`dnsbound.edge.publishers.open_publisher`).
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from types import MappingProxyType
from typing import TypeAlias

from dnsbound.errors import Misuse
from dnsbound.provision import event_log
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.publish.drift import Drift, DriftKind, drifts
from dnsbound.provision.publish.moving import CHUNK, Manner, Move, Moved, held_back, held_back_line
from dnsbound.provision.publish.outbox import Claim, Outbox, Waiting
from dnsbound.provision.publish.publisher import Change, Outcome, OutcomeKind, Publisher, changes_nothing
from dnsbound.provision.publish.scope import Scope
from dnsbound.provision.publish.standing import all_names
from dnsbound.provision.publish.targets import EmbeddedTarget, Target, Targets, ZoneFileTarget
from dnsbound.provision.publish.zone_file import ZoneFileReader, load_zone_file, serial_of
from dnsbound.provision.publish.zone_text import record_lines, zone_lines
from dnsbound.times import Moment

OpenPublisher: TypeAlias = Callable[[Target], Publisher]
Progress: TypeAlias = Callable[[int], None]
"""Called with how many more names are through."""


Done: TypeAlias = Callable[[Claim], None]
"""Called with each name that the server holds as it should."""


def silent(_names: int) -> None:
    """Tell nobody."""


def forgotten(_claim: Claim) -> None:
    """Keep nothing."""


class Publishing:
    """All zones of one inventory and where they are published. clock: POSIX time."""

    def __init__(
        self,
        inventory: Inventory,
        targets: Targets,
        open_publisher: OpenPublisher,
        *,
        clock: Callable[[], Moment] = time.time,
    ) -> None:
        self._inventory = inventory
        self._open_publisher = open_publisher
        self._clock = clock
        self._own_zones = {zone.name: zone for zone in inventory.zones.all()}
        every = dict(targets)
        for name in self._own_zones:
            every.setdefault(name.text, EmbeddedTarget(zone=name))
        self.targets: Mapping[str, Target] = MappingProxyType(dict(sorted(every.items())))
        self.outbox = Outbox(inventory.database)

    def scope(self, target: Target) -> Scope:
        """The names a target publishes."""
        return Scope.of(target.zone, (other.zone for other in self.targets.values()))

    def waiting(self, target: Target) -> Waiting:
        return self.outbox.waiting(self.scope(target), now=self._clock())

    def next_due(self, target: Target) -> Moment | None:
        """When there is something to publish, as far as is known."""
        if isinstance(target, EmbeddedTarget):
            return None
        if isinstance(target, ZoneFileTarget) and target.whole:
            return None if serial_of(target.file) == self._inventory.zones.named(target.zone).serial else 0.0
        return self.outbox.next_due([self.scope(target)])

    def homeless(self) -> tuple[int, str]:
        """How many names wait that lie in no zone anybody publishes, and one of them."""
        return self.outbox.elsewhere([self.scope(target) for target in self.targets.values()])

    def publish(self, target: Target, manner: Manner, progress: Progress = silent, done: Done = forgotten) -> Moved:
        """Move what waits. Outcomes of names are counted and kept in their rows; `done` gets the names the server holds
        now, for targets that take changes one by one. Misuse for a target that cannot work
        as it is configured."""
        if isinstance(target, EmbeddedTarget):
            self.outbox.forget(self.scope(target))
            return Moved()
        if isinstance(target, ZoneFileTarget):
            return self._publish_file(target, manner, progress)
        if target.zone in self._own_zones:
            raise Misuse(
                f"{target.zone} is a zone of this inventory, answered for by its own authority: its changes do not "
                f"wait for another server. Its target is embedded, or a zonefile with the whole zone, not {target.kind}"
            )
        with closing(self._open_publisher(target)) as publisher:
            move = Move(
                self.outbox,
                self.scope(target),
                publisher,
                clock=self._clock,
                manner=manner,
                progress=progress,
                done=done,
            )
            return move.run(removals=target.removals)

    def tell(self, target: Target, moved: Moved, *, actor: str, reason: str = "") -> None:
        """Leave the event of a run that somebody started; none of one after which the server holds what it held. A run
        that is killed leaves none: what it brought there was told of when it was changed."""
        if not moved.done:
            return
        detail: dict[str, object] = {"to": target.kind, "names": moved.done}
        with self._inventory.database.writing() as connection:
            event_log.append(
                connection,
                at=self._clock(),
                actor=actor,
                action="publish-zone",
                subject=target.zone.text,
                detail=detail,
                reason=reason,
            )

    def pending(self, target: Target) -> Iterator[Change]:
        """What waits, as it would be sent."""
        if not isinstance(target, EmbeddedTarget):
            yield from self.outbox.peek(self.scope(target), batch=CHUNK)

    def standing(self, target: Target) -> Iterator[Change]:
        """What stands and shall stand at every name of a target."""
        for changes in all_names(self._inventory.database, self.scope(target), batch=CHUNK):
            for ours in changes.values():
                yield from ours

    def try_out(self, target: Target) -> Outcome | None:
        """Whether the server would take changes: the key, its rights, the zone. Changes nothing. None where there is no
        server to ask."""
        if isinstance(target, EmbeddedTarget | ZoneFileTarget):
            return None
        with closing(self._open_publisher(target)) as publisher:
            outcomes = list(publisher.apply([changes_nothing(target.zone)]))
        return outcomes[0]

    def drifts(self, target: Target, progress: Progress = silent) -> Iterator[list[Drift]]:
        """Where the server differs, some names at a time. ServerRefused, ServerUnclear where it cannot be read."""
        if isinstance(target, EmbeddedTarget):
            return
        if isinstance(target, ZoneFileTarget):
            yield from self._file_drifts(target, progress)
            return
        with closing(self._open_publisher(target)) as publisher:
            yield from drifts(self._inventory.database, self.outbox, self.scope(target), publisher, progress=progress)

    def again(self, found: Iterable[Drift]) -> int:
        """Put the names of differences on the list, but for what is somebody else's; how many."""
        owners = list(dict.fromkeys(drift.owner for drift in found if drift.kind is not DriftKind.FOREIGN))
        if owners:
            self.outbox.again(owners, now=self._clock())
        return len(owners)

    # Files

    def _publish_file(self, target: ZoneFileTarget, manner: Manner, progress: Progress) -> Moved:
        if target.whole:
            return self._publish_zone(target)
        scope, now = self.scope(target), self._clock()
        waiting = self.outbox.waiting(scope, now=now)
        moved = Moved(held_back=held_back(waiting, target.removals, manner))
        if moved.held_back:
            moved.note(held_back_line(target.zone, moved.held_back, waiting.published))
            moved.more = True
            return moved
        if not self._has_work(waiting, manner) and target.file.exists():
            return moved
        claim = self.outbox.claim_all(scope, now=now, seconds=manner.claim_seconds)
        kind, line = load_zone_file(target, self._lines(scope))
        self.outbox.settle_all(scope, claim, kind=kind, line=line, now=self._clock())
        progress(claim.names)
        return _counted(moved, kind, claim.names, f"{target.zone}: {kind}: {line}" if line else "")

    def _lines(self, scope: Scope) -> Iterator[str]:
        with self._inventory.database.reading() as connection:
            yield from record_lines(connection, scope)

    @staticmethod
    def _has_work(waiting: Waiting, manner: Manner) -> bool:
        return waiting.names > waiting.claimed if manner.impatient else bool(waiting.due)

    def _publish_zone(self, target: ZoneFileTarget) -> Moved:
        zone = self._inventory.zones.named(target.zone)
        if serial_of(target.file) == zone.serial:
            return Moved()
        kind, line = load_zone_file(target, zone_lines(self._inventory, zone))
        return _counted(Moved(), kind, 1, f"{target.zone}: {kind}: {line}" if line else "")

    def _file_drifts(self, target: ZoneFileTarget, progress: Progress) -> Iterator[list[Drift]]:
        if target.whole:
            serial, found = self._inventory.zones.named(target.zone).serial, serial_of(target.file)
            if found != serial:
                told = f"{target.file} has {'no serial' if found is None else f'serial {found}'}, not {serial}"
                yield [Drift(kind=DriftKind.STALE, owner=target.zone, rdtype="SOA", rdatas=(), detail=told)]
            return
        reader = ZoneFileReader(target)
        yield from drifts(self._inventory.database, self.outbox, self.scope(target), reader, progress=progress)


def _counted(moved: Moved, kind: OutcomeKind, names: int, line: str) -> Moved:
    if kind is OutcomeKind.DONE:
        moved.done += names
    elif kind is OutcomeKind.REFUSED:
        moved.refused += names
    else:
        moved.undecided += names
    if line:
        moved.note(line)
    return moved


def chosen(targets: Mapping[str, Target], zones: Iterable[str]) -> list[Target]:
    """The targets of the zones that were named, or all. Misuse for a zone without one."""
    names = [OwnerName.parse(zone).text for zone in zones]
    missing = [name for name in names if name not in targets]
    if missing:
        raise Misuse(f'{missing[0]} is published nowhere: [publish."{missing[0]}"] says where (docs/howto/publish.md)')
    return [targets[name] for name in names] if names else list(targets.values())
