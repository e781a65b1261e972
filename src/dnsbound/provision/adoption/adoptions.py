"""Adopting into one inventory: the plan, carrying it out, and taking it back.

Each batch is one transaction: judged again under the write lock, its rollback lines on the disk first, then changed and
committed. Whatever ends the process in between, the same command finishes the rest: what is done is unchanged then.
Two adoptions at once take turns, batch by batch, and each sees what the other did.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from sqlalchemy import Connection, select

from dnsbound.errors import DnsboundError, Malformed
from dnsbound.limits import ADOPTION_BATCH
from dnsbound.names import ClientName
from dnsbound.provision import registration, schema
from dnsbound.provision.adoption import changes
from dnsbound.provision.adoption.accepting import Terms
from dnsbound.provision.adoption.candidate import BadRow, Problem
from dnsbound.provision.adoption.completeness import Completeness, RemovalLimit
from dnsbound.provision.adoption.plan import Action, Judged, Step, judge
from dnsbound.provision.adoption.rollback import Entry, RollbackFile, Undo, read_backwards
from dnsbound.provision.adoption.staging import Staging
from dnsbound.provision.bulk_registration import register_all
from dnsbound.provision.database import Database
from dnsbound.provision.entries import KeyState
from dnsbound.provision.errors import PrivateKeyRefused
from dnsbound.provision.lifecycle.roll import open_roll
from dnsbound.times import Moment

if TYPE_CHECKING:
    from dnsbound.provision.registration import Registration

_Item = TypeVar("_Item")
_UNDONE_AT_ONCE: Final = 100
"""Entries of one transaction: they are taken back one by one, while others who write wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doing:
    """Who changes the inventory, when and why. clock: asked for each batch."""

    actor: str
    reason: str
    clock: Callable[[], Moment]
    rollback: RollbackFile
    batch: int | None = None
    """Limit `adoption-batch`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """One entry of a rollback file."""

    entry: Entry
    left: "Left | None"
    """Why it was left as it is, or will be; None when it was, or can be, taken back."""


class Left(StrEnum):
    """Why an entry of a rollback file is not taken back."""

    NOT_THERE = "not-there"
    """Nobody is registered under the name: it was taken back already, or never came to be."""
    OTHER_KEY = "other-key"
    """The name has another key by now."""
    ROLLING = "rolling"
    """The name's key is being changed."""
    REGISTERED = "registered"
    """The name that was revoked is registered again."""
    SHUT_OUT = "shut-out"
    """The name was revoked once more since, or blocked: not by the adoption."""


class Adoptions:
    """The adoptions of one inventory."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def plan(self, staging: Staging, terms: Terms) -> Iterator[Judged]:
        """What would be done with each usable row, in the order of names. Nothing is written."""
        for batch in staging.batches(ADOPTION_BATCH.default):
            with self._database.reading() as connection:
                judged = judge(connection, batch, terms)
            yield from judged

    def removals(self, staging: Staging, complete: Completeness) -> Iterator[Step]:
        """The names that a complete source lacks."""
        for name in complete.missing(self._database, staging):
            yield Step(action=Action.REVOKE, name=name, where="", detail="not in the source")

    def check_removals(self, staging: Staging, complete: Completeness, limit: RemovalLimit) -> int:
        """How many names a complete source lacks; RemovalsRefused when they are more than may go."""
        number = sum(1 for _ in self.removals(staging, complete))
        with self._database.reading() as connection:
            total = complete.total(connection)
        limit.check(number, total)
        return number

    def carry_out(self, staging: Staging, terms: Terms, doing: Doing) -> Iterator[Judged]:
        """Do it; each step and conflict after its batch is committed. InventoryFailed ends it between two batches."""
        for batch in staging.batches(ADOPTION_BATCH.checked(doing.batch)):
            with self._database.writing() as connection:
                done = _carry_out(connection, judge(connection, batch, terms), terms, doing)
            yield from done

    def carry_out_removals(self, staging: Staging, complete: Completeness, doing: Doing) -> Iterator[Step]:
        """Revoke the names that a complete source lacks; each after its batch is committed."""
        for batch in _batches(self.removals(staging, complete), ADOPTION_BATCH.checked(doing.batch)):
            with self._database.writing() as connection:
                done = [step for step in batch if registration.active_id(connection, ClientName.parse(step.name))]
                doing.rollback.add(changes.entries_for(connection, done))
                now = doing.clock()
                for step in done:
                    name = ClientName.parse(step.name)
                    registration.revoke(connection, name, now=now, actor=doing.actor, reason=doing.reason)
            yield from done

    def plan_to_undo(self, rollback: Path) -> Iterator[Undone]:
        """What taking an adoption back would do, the last change first. Nothing is written. Malformed, OSError."""
        for batch in _batches(read_backwards(rollback), ADOPTION_BATCH.default):
            with self._database.reading() as connection:
                judged = [Undone(entry=entry, left=_why_not(connection, entry)) for entry in batch]
            yield from judged

    def check_undo(self, rollback: Path, limit: RemovalLimit) -> int:
        """How many identities taking an adoption back would revoke; RemovalsRefused when they are more than may go."""
        total = removals = 0
        for undone in self.plan_to_undo(rollback):
            total += 1
            removals += undone.entry.undo is Undo.REVOKE and undone.left is None
        limit.check(removals, total)
        return removals

    def undo(self, rollback: Path, *, actor: str, reason: str, clock: Callable[[], Moment]) -> Iterator[Undone]:
        """Take an adoption back, the last change first; each entry after its batch is committed. What was changed
        since, or was never done, is left as it is."""
        for batch in _batches(read_backwards(rollback), _UNDONE_AT_ONCE):
            done: list[Undone] = []
            with self._database.writing() as connection:
                now = clock()
                for entry in batch:
                    left = _why_not(connection, entry)
                    if left is None:
                        changes.take_back(connection, entry, now=now, actor=actor, reason=reason)
                    done.append(Undone(entry=entry, left=left))
            yield from done


def _batches(items: Iterator[_Item], size: int) -> Iterator[list[_Item]]:
    while batch := list(islice(items, size)):
        yield batch


def _carry_out(connection: Connection, judged: Sequence[Judged], terms: Terms, doing: Doing) -> list[Judged]:
    """Each row's step, once it is done, or why it could not be."""
    new: dict[str, Registration] = {}
    outcomes: dict[str, Judged] = {one.name: one for one in judged}
    for step in judged:
        if isinstance(step, Step) and step.row is not None and step.action in (Action.CREATE, Action.REPLACE):
            try:
                new[step.name] = changes.registration_of(step.row, terms)
            except DnsboundError as error:
                outcomes[step.name] = _failed(step, error, Problem.NO_KEY)
    steps = [one for one in outcomes.values() if isinstance(one, Step)]
    doing.rollback.add(changes.entries_for(connection, steps))
    now = doing.clock()
    created = [step for step in steps if step.action is Action.CREATE]
    told = register_all(
        connection, [new[step.name] for step in created], now=now, actor=doing.actor, reason=doing.reason
    )
    for step, refusal in zip(created, told, strict=True):
        if refusal is not None:
            outcomes[step.name] = _failed(step, refusal, Problem.NOT_SERVED)
    for step in steps:
        if step.action is Action.REPLACE:
            changes.replace_key(connection, new[step.name], now=now, actor=doing.actor, reason=doing.reason)
        elif step.action is Action.AMEND and step.row is not None:
            changes.amend(connection, step.row, now=now, actor=doing.actor, reason=doing.reason)
    return list(outcomes.values())


def _failed(step: Step, error: DnsboundError, otherwise: Problem) -> BadRow:
    problem = next((problem for kind, problem in _PROBLEMS if isinstance(error, kind)), otherwise)
    return BadRow(where=step.where, problem=problem, detail=str(error), name=step.name)


_PROBLEMS: Final = ((PrivateKeyRefused, Problem.PRIVATE_KEY), (Malformed, Problem.UNREADABLE))


def _why_not(connection: Connection, entry: Entry) -> Left | None:
    identity_id = registration.active_id(connection, entry.name)
    if entry.undo is Undo.REGISTER:
        if identity_id is not None:
            return Left.REGISTERED
        return Left.SHUT_OUT if _is_shut_out(connection, entry) else None
    if identity_id is None:
        return Left.NOT_THERE
    if entry.undo is Undo.RESTORE_KEY and open_roll(connection, identity_id) is not None:
        return Left.ROLLING
    of = schema.keys.c
    current = select(of.spki_sha256).where(of.identity_id == identity_id, of.state == KeyState.CURRENT.value)
    digest = connection.execute(current).scalar_one_or_none()
    return None if digest is not None and digest.hex() == entry.spki_sha256 else Left.OTHER_KEY


def _is_shut_out(connection: Connection, entry: Entry) -> bool:
    """Whether it is not the revocation by the adoption that keeps the name out now."""
    rows, blocks = schema.identities.c, schema.blocks.c
    query = select(rows.registered_at, rows.revoked_at).where(rows.name == entry.name.canonical)
    last = connection.execute(query.order_by(rows.id.desc()).limit(1)).one_or_none()
    if last is None or entry.former is None or last.registered_at != entry.former.registered_at:
        return True
    blocked_at = connection.execute(select(blocks.since).where(blocks.owner == entry.name.canonical)).scalar()
    return blocked_at is not None and blocked_at != last.revoked_at
