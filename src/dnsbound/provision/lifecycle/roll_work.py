"""Taking rolls to work on, and writing down what came of it, so that any number of runners may do so at once.

A roll is taken by one conditional update, for a while; who dies leaves it to the others when that while is over. Taking
saves questions to servers, it decides nothing: every step is written only where the roll still stands where it stood
when it was looked at. Moments are by the wall clock; one that lies further ahead than any that is ever written was left
by a clock that was set back since, and counts as past.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, TypeVar

from sqlalchemy import ColumnElement, Connection, bindparam, func, or_, select, update
from sqlalchemy.exc import IntegrityError

from dnsbound.errors import DnsboundError
from dnsbound.provision import schema
from dnsbound.provision.database import Database
from dnsbound.provision.errors import InventoryFailed
from dnsbound.provision.lifecycle import stepping
from dnsbound.provision.lifecycle.machine import RollEvent, Step
from dnsbound.provision.lifecycle.roll import OPEN_STATES, Roll, read, rolls_query
from dnsbound.times import Moment, Seconds

CLAIM_SECONDS: Final[Seconds] = 300.0
"""Longer than one turn of a runner with all its questions."""
LONGEST_PAUSE: Final[Seconds] = 900.0
"""A roll that waits is looked at again after this time at the latest."""
_FIRST_PAUSE: Final[Seconds] = 2.0
_PAUSE_GROWTH: Final = 1.7
_STEPS_PER_TRANSACTION: Final = 100
_PROBLEM_CHARACTERS: Final = 500

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """A roll as it was taken, and what a look at the servers means for it."""

    roll: Roll
    step: Step
    is_undecided: bool = False
    """The servers could not be asked."""


class RollWork:
    """The rolls of one inventory that are due. by: names this runner, as no other is."""

    def __init__(self, database: Database, *, by: str) -> None:
        self._database = database
        self._by = by

    def take(self, limit: int, *, now: Moment) -> list[Roll]:
        """Up to `limit` rolls that are due and nobody has, longest due first; they are this runner's for a while."""
        rows = schema.rolls
        due = select(rows.c.id).where(_is_due(now), _is_free(now)).order_by(rows.c.due_at).limit(limit)
        with self._database.writing() as connection:
            numbers = list(connection.execute(due).scalars())
            taken: list[Roll] = []
            for some in _batches(numbers, _STEPS_PER_TRANSACTION):
                connection.execute(
                    update(rows)
                    .where(rows.c.id.in_(some))
                    .values(claimed_by=self._by, claimed_until=now + CLAIM_SECONDS)
                )
                taken += [read(row) for row in connection.execute(rolls_query().where(rows.c.id.in_(some)))]
        return taken

    def next_due(self, *, now: Moment) -> Moment | None:
        """When the next roll is due; now for one that is."""
        rows = schema.rolls
        free_at = select(func.min(rows.c.due_at)).where(rows.c.state.in_(OPEN_STATES), rows.c.due_at.is_not(None))
        with self._database.reading() as connection:
            found = connection.execute(free_at.where(_is_free(now))).scalar_one()
        return None if found is None else min(found, now + LONGEST_PAUSE)

    def write(self, looked: Sequence[Looked], *, now: Moment, actor: str) -> tuple[int, list[str]]:
        """Write down what was found; how many rolls moved, and why others that should have could not.

        Steps of rolls that were changed meanwhile are dropped: they are looked at again.
        """
        moved, lines = 0, []
        for some in _batches(looked, _STEPS_PER_TRANSACTION):
            with self._database.writing() as connection:
                present = self._unchanged(connection, some)
                self._release(connection, (one.roll for one in some))
                waiting = [one for one in present if one.step.event is None]
                _note(connection, waiting, now=now)
                stepped = [one for one in present if one.step.event is not None]
                for one in stepped:
                    line = _move(connection, one, now=now, actor=actor)
                    moved += line is None
                    lines += [] if line is None else [line]
        return moved, lines

    def give_back(self, rolls: Sequence[Roll]) -> None:
        """Leave rolls that were taken, and not looked at, to whoever comes next."""
        for some in _batches(rolls, _STEPS_PER_TRANSACTION):
            with self._database.writing() as connection:
                self._release(connection, some)

    def _release(self, connection: Connection, rolls: Iterable[Roll]) -> None:
        rows = schema.rolls
        numbers = [roll.number for roll in rolls]
        connection.execute(
            update(rows)
            .where(rows.c.id.in_(numbers), rows.c.claimed_by == self._by)
            .values(claimed_by=None, claimed_until=None)
        )

    def _unchanged(self, connection: Connection, looked: Sequence[Looked]) -> list[Looked]:
        rows = schema.rolls
        numbers = [one.roll.number for one in looked]
        query = select(rows.c.id, rows.c.state, rows.c.evidence, rows.c.claimed_by).where(rows.c.id.in_(numbers))
        found = {row.id: row for row in connection.execute(query)}
        return [
            one
            for one in looked
            if (row := found.get(one.roll.number)) is not None
            and row.claimed_by == self._by
            and row.state == one.roll.state.value
            and row.evidence == one.roll.evidence.to_text()
        ]


def _is_due(now: Moment) -> ColumnElement[bool]:
    due_at = schema.rolls.c.due_at
    return schema.rolls.c.state.in_(OPEN_STATES) & or_(due_at <= now, due_at > now + 2 * LONGEST_PAUSE)


def _is_free(now: Moment) -> ColumnElement[bool]:
    until = schema.rolls.c.claimed_until
    return or_(until.is_(None), until <= now, until > now + 2 * CLAIM_SECONDS)


def _move(connection: Connection, looked: Looked, *, now: Moment, actor: str) -> str | None:
    """Take the step; why it could not be taken, which the roll then tells too."""
    roll, step = looked.roll, looked.step
    assert step.event is not None
    try:
        with connection.begin_nested():
            if step.event is RollEvent.CONFIRMED:
                seen = step.evidence
                rows = schema.rolls
                by = {"confirmed_at": seen.new_key_seen_at, "confirmed_by": f"door {seen.new_key_seen_by}"}
                connection.execute(update(rows).where(rows.c.id == roll.number).values(**by))
            stepping.move(connection, roll, step.event, now=now, actor=actor, evidence=step.evidence)
    except InventoryFailed:
        raise
    except (DnsboundError, IntegrityError) as error:
        problem = f"the step to the next state was refused: {error}"
        stuck = Looked(roll=roll, step=Step(event=None, evidence=step.evidence, problem=problem))
        _note(connection, [stuck], now=now)
        return f"{roll.name}: {error}"
    return None


def _note(connection: Connection, looked: Sequence[Looked], *, now: Moment) -> None:
    """What is known now, and when to look again; nothing of this is an event."""
    if not looked:
        return
    rows = schema.rolls
    values = [
        {
            "number": one.roll.number,
            "known": one.step.evidence.to_text(),
            "told": one.step.problem[:_PROBLEM_CHARACTERS],
            "tried": one.roll.attempts + 1 if one.step.problem else 0,
            "next_at": None if (until := pause(one)) is None else now + until,
        }
        for one in looked
    ]
    connection.execute(
        update(rows)
        .where(rows.c.id == bindparam("number"))
        .values(
            evidence=bindparam("known"),
            problem=bindparam("told"),
            attempts=bindparam("tried"),
            due_at=bindparam("next_at"),
        ),
        values,
    )


def pause(looked: Looked) -> Seconds | None:
    """Until the next look: as long as the wait that is left, or longer each time there is a problem; None for a roll
    that time does not move."""
    if looked.step.problem:
        return min(LONGEST_PAUSE, _FIRST_PAUSE * _PAUSE_GROWTH ** min(looked.roll.attempts, 20))
    return None if looked.step.again_in is None else min(LONGEST_PAUSE, looked.step.again_in)


def _batches(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
