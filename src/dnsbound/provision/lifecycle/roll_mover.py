"""Moving rolls on by what the authoritative servers serve: the runner's part of the lifecycle.

One turn takes the rolls that are due, asks about all of them at once through a function that is handed in, and writes
what follows from the answers. Not here: asking (`dnsbound.edge.roll_observer`), publishing (the outbox does that).
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, TypeAlias

from dnsbound.provision.database import Database
from dnsbound.provision.errors import InventoryFailed
from dnsbound.provision.lifecycle import machine
from dnsbound.provision.lifecycle.evidence import Reading
from dnsbound.provision.lifecycle.invariant import RRset
from dnsbound.provision.lifecycle.machine import Observation, RollEvent, RollKind, RollState, Step, Unknown
from dnsbound.provision.lifecycle.roll import Roll
from dnsbound.provision.lifecycle.roll_work import Looked, RollWork
from dnsbound.provision.lifecycle.steady_clock import steady_reading
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.runner.mover import Report
from dnsbound.times import Moment

LINES: Final = 5
"""Told of one turn; every roll has its own problem in the inventory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What every authoritative server should serve at a name: these TLSA records and no others."""

    owner: OwnerName
    records: RRset


Observe: TypeAlias = Callable[[Iterable[Expected]], Iterator[tuple[Expected, Observation]]]
"""Asks every authoritative server about each; an observation for each, in any order. Trouble with the DNS is `Unknown`,
never an exception."""


class RollMover:
    """A `Mover` for the rolls of an inventory. by: names this runner. clock, steady: see `evidence`."""

    name: Final = "rolls"

    def __init__(
        self,
        database: Database,
        observe: Observe,
        *,
        by: str,
        actor: str,
        clock: Callable[[], Moment] = time.time,
        steady: Callable[[], Reading] = steady_reading,
    ) -> None:
        self._work = RollWork(database, by=by)
        self._observe = observe
        self._actor = actor
        self._clock = clock
        self._steady = steady

    def next_due(self) -> Moment | None:
        return self._work.next_due(now=self._clock())

    def advance(self, now: Moment, limit: int) -> Report:
        """See `Mover`."""
        rolls = self._work.take(limit, now=now)
        try:
            looked = list(self._look(rolls))
        except BaseException:
            with suppress(InventoryFailed):
                self._work.give_back(rolls)
            raise
        moved, lines = self._work.write(looked, now=self._clock(), actor=self._actor)
        problems = [one for one in looked if one.step.problem]
        undecided = [one for one in problems if one.is_undecided]
        told = [f"{one.roll.name}: {one.step.problem}" for one in problems]
        return Report(
            moved=moved,
            waiting=sum(one.step.event is None for one in looked) - len(undecided),
            refused=len(lines),
            undecided=len(undecided),
            more=len(rolls) >= limit,
            lines=tuple([*lines, *told][:LINES]),
        )

    def _look(self, rolls: list[Roll]) -> Iterator[Looked]:
        asked: dict[OwnerName, Roll] = {}
        for roll in rolls:
            if roll.state in machine.ASKED_ABOUT_SERVERS:
                asked[roll.owner] = roll
            else:
                yield Looked(roll=roll, step=_without_asking(roll))
        wanted = (Expected(owner=owner, records=roll.expected) for owner, roll in tuple(asked.items()))
        for expected, seen in self._observe(wanted):
            roll = asked.pop(expected.owner)
            yield Looked(roll=roll, step=self._step(roll, seen), is_undecided=isinstance(seen, Unknown))
        for roll in asked.values():
            step = Step(event=None, evidence=roll.evidence, problem="it was not asked about")
            yield Looked(roll=roll, step=step, is_undecided=True)

    def _step(self, roll: Roll, seen: Observation) -> Step:
        # Read for each answer: a round over many names takes its time, and a wait must not be counted too long.
        return machine.look(
            roll.state,
            roll.evidence,
            seen,
            same_key=roll.kind is RollKind.PARAMETERS,
            now=self._clock(),
            steady=self._steady(),
        )


def _without_asking(roll: Roll) -> Step:
    """In SWITCH a sighting that came too early for it may be at hand; nothing else moves it here."""
    confirmed = roll.state is RollState.SWITCH and roll.evidence.new_key_is_used
    return Step(event=RollEvent.CONFIRMED if confirmed else None, evidence=roll.evidence)
