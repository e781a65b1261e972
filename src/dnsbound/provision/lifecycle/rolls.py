"""The rolls of one inventory: beginning, confirming, taking back, looking up.

Every change is one transaction with one event; what no step may break is checked before anything is written
(`plan`, `invariant`). Moving rolls on by what servers show is `roll_mover`'s.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Final

from sqlalchemy import Connection, func, select, update

from dnsbound.errors import Misuse
from dnsbound.names import ClientName
from dnsbound.provision import registration, schema
from dnsbound.provision.database import Database
from dnsbound.provision.entries import IdentityState
from dnsbound.provision.errors import NotInInventory, RollRefused
from dnsbound.provision.lifecycle import beginning, stepping
from dnsbound.provision.lifecycle.beginning import Wish
from dnsbound.provision.lifecycle.machine import RollEvent, RollState
from dnsbound.provision.lifecycle.roll import OPEN_STATES, Roll, open_roll, read, rolls_query
from dnsbound.provision.owner import OwnerName
from dnsbound.records.tlsa import TLSA
from dnsbound.times import Moment, Seconds

_BATCH: Final = 500
_BEGUN_AT_ONCE: Final = 100
DOOR: Final = "door "
"""Before the name of a door, where it says who confirmed a key."""


class Rolls:
    """See the module."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, name: ClientName, wish: Wish, *, now: Moment, actor: str, reason: str = "") -> Roll:
        """Begin to roll an active identity. NotInInventory; RollRefused with the sentence why not.

        An emergency takes effect here: the old key's records are removed and the new key's published.
        """
        with self._database.writing() as connection:
            return beginning.begin(connection, name, wish, now=now, actor=actor, reason=reason)

    def begin_many(
        self, wishes: Iterable[tuple[ClientName, Wish]], *, now: Moment, actor: str, reason: str = ""
    ) -> Iterator[tuple[ClientName, Roll | Misuse]]:
        """Begin many, some in each transaction: the roll of each name, or why it was not begun. What was yielded is
        kept, whatever comes after it."""
        rest = iter(wishes)
        while some := list(islice(rest, _BEGUN_AT_ONCE)):
            outcomes: list[tuple[ClientName, Roll | Misuse]] = []
            with self._database.writing() as connection:
                for name, wish in some:
                    try:
                        with connection.begin_nested():
                            roll = beginning.begin(connection, name, wish, now=now, actor=actor, reason=reason)
                    except Misuse as error:
                        outcomes.append((name, error))
                    else:
                        outcomes.append((name, roll))
            yield from outcomes

    def confirm(
        self, name: ClientName, *, now: Moment, actor: str, reason: str = "", digest: bytes | None = None, by: str = ""
    ) -> Roll:
        """The client works with the new key: its old records are withdrawn. RollRefused before SWITCH, where caches may
        not know the new key yet. digest: SHA-256 of the new key, which must be the one. by: who says so; the actor."""
        with self._database.writing() as connection:
            roll = self._open(connection, name)
            if digest is not None and digest != roll.new_digest:
                raise RollRefused(f"the new key of {name} is {roll.new_digest.hex()}, not {digest.hex()}")
            return self._confirmed(connection, roll, by=by or actor, at=now, now=now, actor=actor, reason=reason)

    def cancel(self, name: ClientName, *, now: Moment, actor: str, reason: str = "") -> Roll:
        """Take a roll back: the records of before stand alone again. RollRefused once the new key was seen in use, and
        where its old records are withdrawn already."""
        with self._database.writing() as connection:
            roll = self._open(connection, name)
            if roll.evidence.new_key_is_used and roll.state is not RollState.RETIRE:
                seen_by = roll.evidence.new_key_seen_by
                raise RollRefused(f"{name} logs in with the new key already (seen by {DOOR}{seen_by}); confirm it")
            return stepping.move(connection, roll, RollEvent.CANCELLED, now=now, actor=actor, reason=reason)

    def sighted(self, name: ClientName, spki: bytes, *, at: Moment, door: str, now: Moment) -> Roll | None:
        """A door let the client in with this key. Where that is the new key, and in SWITCH, the roll is confirmed; None
        where it says nothing. at: when the door saw it, by the door's clock."""
        return self._sighted(name, lambda roll: _which(spki, roll), at=at, door=door, now=now)

    def sighted_by_record(self, name: ClientName, record: TLSA, *, at: Moment, door: str, now: Moment) -> Roll | None:
        """The same where only the record that matched is known, as in a door's log of decisions."""
        return self._sighted(name, lambda roll: _whose(record, roll), at=at, door=door, now=now)

    def _sighted(
        self, name: ClientName, is_new: Callable[[Roll], bool | None], *, at: Moment, door: str, now: Moment
    ) -> Roll | None:
        with self._database.reading() as connection:
            # Most sightings say nothing, and doors see many clients: those cost no write.
            roll = _open_by_name(connection, name)
            if roll is None or is_new(roll) is None or not _says_more(roll, new=bool(is_new(roll)), at=at, now=now):
                return None
        with self._database.writing() as connection:
            roll = _open_by_name(connection, name)
            new = None if roll is None else is_new(roll)
            if roll is None or new is None or not _says_more(roll, new=new, at=at, now=now):
                return None
            if new:
                known = replace(roll.evidence, new_key_seen_at=at, new_key_seen_by=door)
            else:
                known = replace(roll.evidence, old_key_seen_at=at)
            if roll.state is RollState.SWITCH and known.new_key_is_used:
                roll = replace(roll, evidence=known)
                by = f"{DOOR}{door}"
                return self._confirmed(
                    connection, roll, by=by, at=at, now=now, actor=by, reason="seen with the new key"
                )
            rows = schema.rolls
            connection.execute(update(rows).where(rows.c.id == roll.number).values(evidence=known.to_text()))
            return replace(roll, evidence=known)

    def of(self, name: ClientName) -> Roll | None:
        """The roll of a name's active identity that is not over, or the last one; None when there never was one."""
        rows = schema.rolls
        query = (
            rolls_query()
            .where(schema.identities.c.name == name.canonical, schema.identities.c.state == IdentityState.ACTIVE.value)
            .order_by(rows.c.id.desc())
            .limit(1)
        )
        with self._database.reading() as connection:
            row = connection.execute(query).one_or_none()
            return None if row is None else read(row)

    def all(
        self, *, state: RollState | None = None, below: OwnerName | None = None, is_open: bool = True
    ) -> Iterator[Roll]:
        """Rolls in the order they were begun. Memory stays flat, and no transaction is held meanwhile.

        state: in one state. is_open: where no state is said, those that are not over.
        """
        rows = schema.rolls
        query = rolls_query().order_by(rows.c.id).limit(_BATCH)
        if state is not None:
            query = query.where(rows.c.state == state.value)
        elif is_open:
            query = query.where(rows.c.state.in_(OPEN_STATES))
        if below is not None:
            key = schema.identities.c.sort_key
            start, end = below.below
            query = query.where((key == below.sort_key) | ((key >= start) & (key < end)))
        last = 0
        while True:
            with self._database.reading() as connection:
                found = connection.execute(query.where(rows.c.id > last)).all()
            for row in found:
                yield read(row)
            if len(found) < _BATCH:
                return
            last = found[-1].id

    def counts(self) -> dict[RollState, int]:
        """How many rolls are in each state, for metrics."""
        rows = schema.rolls
        with self._database.reading() as connection:
            found = connection.execute(select(rows.c.state, func.count()).group_by(rows.c.state)).all()
        counted = {RollState(state): int(number) for state, number in found}
        return {state: counted.get(state, 0) for state in RollState}

    def _confirmed(
        self, connection: Connection, roll: Roll, *, by: str, at: Moment, now: Moment, actor: str, reason: str
    ) -> Roll:
        rows = schema.rolls
        connection.execute(update(rows).where(rows.c.id == roll.number).values(confirmed_at=at, confirmed_by=by))
        roll = replace(roll, confirmed_at=at, confirmed_by=by)
        return stepping.move(connection, roll, RollEvent.CONFIRMED, now=now, actor=actor, reason=reason)

    def _open(self, connection: Connection, name: ClientName) -> Roll:
        roll = open_roll(connection, registration.id_of_active(connection, name))
        if roll is None:
            raise NotInInventory(f"{name} is not being rolled")
        return roll


def _open_by_name(connection: Connection, name: ClientName) -> Roll | None:
    identity_id = registration.active_id(connection, name)
    return None if identity_id is None else open_roll(connection, identity_id)


def _says_more(roll: Roll, *, new: bool, at: Moment, now: Moment) -> bool:
    """Whether a sighting is of this roll and changes what is known of it. Doors' clocks and logs may be wrong or old:
    what was seen before the roll began, or in the future, says nothing."""
    if not roll.started_at <= at <= now + _CLOCKS_APART or not roll.changes_key:
        return False
    known = roll.evidence
    if roll.state not in _BEFORE_RETIRING:
        return False
    if new:
        return roll.state is RollState.SWITCH or known.new_key_seen_at is None or at > known.new_key_seen_at
    pause = _BETWEEN_SIGHTINGS if known.new_key_seen_at is None else 0.0
    return known.old_key_seen_at is None or at > known.old_key_seen_at + pause


_BEFORE_RETIRING: Final = frozenset({RollState.STABLE, RollState.PREPUBLISH, RollState.SWITCH})
_CLOCKS_APART: Final[Seconds] = 300.0
_BETWEEN_SIGHTINGS: Final[Seconds] = 60.0
"""The old key is seen all the time: that it still is needs no writing down more often."""


def _which(spki: bytes, roll: Roll) -> bool | None:
    """Whether a key is the new one; None when it is neither."""
    return True if spki == roll.new_spki else False if spki == roll.old_spki else None


def _whose(record: TLSA, roll: Roll) -> bool | None:
    """Whether a record names the new key; None when it names neither, or both."""
    if record in roll.plan.of_new_key:
        return True
    return False if record in roll.plan.before - roll.plan.after else None
