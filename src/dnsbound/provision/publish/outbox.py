"""Names whose records changed and are not on the server yet: taken, and crossed off once the server has said yes.

Who publishes takes names for a while (a claim). In the same transaction it is noted that what will be sent may from
then on be on the server (`published`): a process that is killed at any moment leaves a superset of what it has sent, so
that nothing of ours is ever lost sight of there. When the server has said yes, what was removed leaves `published` and
the name leaves the outbox, unless its records were changed meanwhile. A publisher that comes back after its claim ran
out, when another has taken over, takes nothing back: it notes what it sent and puts the name on the list once more.

Not here: servers. Sections: none; the tables are `dnsbound.provision.schema.outbox` and `published`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from dnsbound.provision import schema
from dnsbound.provision.database import Database
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.publication import queue
from dnsbound.provision.publish.publisher import Change, OutcomeKind
from dnsbound.provision.publish.scope import Scope
from dnsbound.provision.publish.standing import changes_of, note_done, note_sent
from dnsbound.times import Moment, Seconds

_OUT: Final = schema.outbox.c
_FIRST_PAUSE: Final = 5.0
_LONGEST_PAUSE: Final = 3600.0
_REFUSED_FOR: Final = 60.0
"""Seconds to the next attempt; twice as long each time. A refusal waits for people."""
_LONGEST_AHEAD: Final = 2 * _LONGEST_PAUSE
"""No name waits or is taken for longer: a moment further ahead was left by a clock that was set back since."""
MAX_LINE: Final = 300
"""Characters of a problem that are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A name that this process publishes now. number: of changes when it was taken. until: moment the claim ends."""

    owner: OwnerName
    number: int
    attempts: int
    until: Moment
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeClaim:
    """All names of a scope that waited: so many, taken until a moment."""

    names: int
    until: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What became of a claim: the worst of its changes' outcomes. line: why not, empty when done."""

    claim: Claim
    kind: OutcomeKind
    line: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The outbox of a scope. names: all. due: whose time has come. claimed: by some publisher, or one that was killed;
    claimed_until: of the last of them, 0 for none. emptied: names that would lose all their records. published: names
    with records on the server. problem: one of the reasons why names wait."""

    names: int
    due: int
    claimed: int
    claimed_until: Moment
    emptied: int
    published: int
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """Everything that waits, wherever it is published. since: of what waits longest, None when nothing does."""

    names: int
    since: Moment | None


class Outbox:
    """The outbox of one inventory."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def waiting(self, scope: Scope, *, now: Moment) -> Waiting:
        rows, published = schema.outbox, schema.published
        here = scope.condition(_OUT.sort_key)
        claimed = and_(here, _is_claimed(now))
        with self._database.reading() as connection:
            names = connection.execute(select(func.count()).select_from(rows).where(here)).scalar_one()
            due = connection.execute(select(func.count()).select_from(rows).where(here, _is_due(now))).scalar_one()
            count, until = connection.execute(
                select(func.count(), func.coalesce(func.max(_OUT.not_before), 0.0)).where(claimed)
            ).one()
            emptied = connection.execute(
                select(func.count()).select_from(rows).where(here, _has(published), ~_has(schema.records))
            ).scalar_one()
            total = connection.execute(
                select(func.count(published.c.owner.distinct())).where(scope.condition(published.c.sort_key))
            ).scalar_one()
            problem = connection.execute(
                select(_OUT.problem).where(here, _OUT.problem != "").order_by(_OUT.sort_key).limit(1)
            ).scalar_one_or_none()
        return Waiting(
            names=names,
            due=due,
            claimed=count,
            claimed_until=until,
            emptied=emptied,
            published=total,
            problem=problem or "",
        )

    def backlog(self) -> Backlog:
        with self._database.reading() as connection:
            names, since = connection.execute(select(func.count(), func.min(_OUT.since))).one()
        return Backlog(names=names, since=None if since is None else float(since))

    def next_due(self, scopes: Sequence[Scope]) -> Moment | None:
        """When the first name of some scopes may be tried."""
        if not scopes:
            return None
        query = select(func.min(_OUT.not_before)).where(or_(*(scope.condition(_OUT.sort_key) for scope in scopes)))
        with self._database.reading() as connection:
            first = connection.execute(query).scalar_one()
        return None if first is None else float(first)

    def elsewhere(self, scopes: Sequence[Scope]) -> tuple[int, str]:
        """How many waiting names lie in none of the scopes, and one of them."""
        query = select(func.count(), func.min(_OUT.owner))
        if scopes:
            query = query.where(~or_(*(scope.condition(_OUT.sort_key) for scope in scopes)))
        with self._database.reading() as connection:
            count, name = connection.execute(query).one()
            return count, name or ""

    def peek(self, scope: Scope, *, batch: int) -> Iterator[Change]:
        """What waits, without taking it."""
        after = ""
        query = select(_OUT.owner, _OUT.sort_key).order_by(_OUT.sort_key).limit(batch)
        while True:
            page = query.where(scope.condition(_OUT.sort_key, after=after))
            with self._database.reading() as connection:
                rows = connection.execute(page).all()
                changes = changes_of(connection, [row.owner for row in rows])
            for ours in changes.values():
                yield from ours
            if len(rows) < batch:
                return
            after = rows[-1].sort_key

    def claim(
        self,
        scope: Scope,
        *,
        after: str,
        limit: int,
        now: Moment,
        seconds: Seconds,
        impatient: bool,
        keep_names: bool,
    ) -> list[Claim]:
        """Take names in tree order, those behind the sort key `after`.

        impatient: also those that wait for another attempt. keep_names: not those that would lose all their records.
        """
        ready = _is_due(now)
        if impatient:
            ready = or_(ready, _OUT.claimed.is_(None))
        chosen = [scope.condition(_OUT.sort_key, after=after), ready]
        if keep_names:
            chosen.append(or_(~_has(schema.published), _has(schema.records)))
        query = select(_OUT.owner, _OUT.changes, _OUT.attempts).where(*chosen).order_by(_OUT.sort_key).limit(limit)
        until = now + seconds
        with self._database.writing() as connection:
            found = connection.execute(query).all()
            if not found:
                return []
            taken = update(schema.outbox).values(not_before=until, claimed=_OUT.changes, attempts=_OUT.attempts + 1)
            owners = [row.owner for row in found]
            _all_of(connection, taken, owners)
            changes = changes_of(connection, owners)
            claims = [
                Claim(
                    owner=OwnerName.parse(row.owner, wildcard=True),
                    number=row.changes,
                    attempts=row.attempts + 1,
                    until=until,
                    changes=changes[row.owner],
                )
                for row in found
            ]
            note_sent(connection, (change for claim in claims for change in claim.changes), now=now)
        return claims

    def claim_all(self, scope: Scope, *, now: Moment, seconds: Seconds) -> WholeClaim:
        """Take every name of a scope at once, for one who writes all records at once. All its records may from then on
        be published."""
        rows, published, records = schema.outbox, schema.published, schema.records
        until = now + seconds
        known = exists().where(
            published.c.owner == records.c.owner,
            published.c.rdtype == records.c.rdtype,
            published.c.rdata == records.c.rdata,
        )
        columns = [records.c[name] for name in ("owner", "sort_key", "rdtype", "rdata", "ttl")]
        new = select(*columns, literal(now)).where(scope.condition(records.c.sort_key), ~known)
        taken = update(rows).where(scope.condition(_OUT.sort_key), ~_is_claimed(now))
        with self._database.writing() as connection:
            claimed = connection.execute(
                taken.values(not_before=until, claimed=_OUT.changes, attempts=_OUT.attempts + 1)
            ).rowcount
            connection.execute(insert(published).from_select([*(column.name for column in columns), "at"], new))
        return WholeClaim(names=claimed, until=until)

    def settle_all(self, scope: Scope, claim: WholeClaim, *, kind: OutcomeKind, line: str, now: Moment) -> None:
        """Write down what became of `claim_all`."""
        rows, published, records = schema.outbox, schema.published, schema.records
        mine = and_(scope.condition(_OUT.sort_key), _OUT.not_before == claim.until, _OUT.claimed.is_not(None))
        with self._database.writing() as connection:
            if kind is OutcomeKind.DONE:
                connection.execute(delete(rows).where(mine, _OUT.claimed == _OUT.changes))
                gone = ~exists().where(
                    records.c.owner == published.c.owner,
                    records.c.rdtype == published.c.rdtype,
                    records.c.rdata == published.c.rdata,
                )
                # What was changed again meanwhile may be in the file as it was before.
                waits = exists().where(_OUT.owner == published.c.owner)
                connection.execute(delete(published).where(scope.condition(published.c.sort_key), gone, ~waits))
                connection.execute(update(rows).where(mine).values(claimed=None, not_before=now, attempts=0))
            else:
                pause = _REFUSED_FOR if kind is OutcomeKind.REFUSED else _FIRST_PAUSE
                waiting = update(rows).where(mine)
                connection.execute(waiting.values(claimed=None, not_before=now + pause, problem=line[:MAX_LINE]))

    def forget(self, scope: Scope) -> None:
        """Cross off every name: what serves them answers out of the inventory."""
        with self._database.writing() as connection:
            connection.execute(delete(schema.outbox).where(scope.condition(_OUT.sort_key)))

    def again(self, owners: Iterable[OwnerName], *, now: Moment) -> None:
        """Put names on the list, to be tried at once."""
        with self._database.writing() as connection:
            texts = []
            for owner in owners:
                queue(connection, owner, now=now)
                texts.append(owner.text)
            free = update(schema.outbox).where(_OUT.claimed.is_(None))
            _all_of(connection, free.values(not_before=now, attempts=0), texts)

    def on_the_list(self, owners: Sequence[str]) -> set[str]:
        """Those of the names that wait to be published."""
        with self._database.reading() as connection:
            return set(connection.execute(select(_OUT.owner).where(_OUT.owner.in_(owners))).scalars())

    def settle(self, settled: Sequence[Settled], *, now: Moment) -> None:
        """Write down what became of claims."""
        with self._database.writing() as connection:
            mine = _still_mine(connection, [one.claim for one in settled])
            for one in settled:
                if one.claim.owner.text not in mine:
                    _taken_over(connection, one.claim, now=now)
            ours = [one for one in settled if one.claim.owner.text in mine]
            note_done(connection, (one.claim.changes for one in ours if one.kind is OutcomeKind.DONE), now=now)
            done = [one.claim for one in ours if one.kind is OutcomeKind.DONE]
            finished = [claim.owner.text for claim in done if mine[claim.owner.text] == claim.number]
            changed = [claim.owner.text for claim in done if mine[claim.owner.text] != claim.number]
            _all_of(connection, delete(schema.outbox), finished)
            _all_of(
                connection, update(schema.outbox).values(claimed=None, not_before=now, attempts=0, problem=""), changed
            )
            _postpone(connection, [one for one in ours if one.kind is not OutcomeKind.DONE], now=now)

    def release(self, claims: Iterable[Claim], *, now: Moment) -> None:
        """Give names back that were not sent."""
        with self._database.writing() as connection:
            mine = _still_mine(connection, list(claims))
            _all_of(
                connection,
                update(schema.outbox).values(claimed=None, not_before=now, attempts=_OUT.attempts - 1),
                list(mine),
            )


def _is_due(now: Moment) -> "ColumnElement[bool]":
    return or_(_OUT.not_before <= now, _OUT.not_before > now + _LONGEST_AHEAD)


def _is_claimed(now: Moment) -> "ColumnElement[bool]":
    return and_(~_is_due(now), _OUT.claimed.is_not(None))


def _has(table: Any) -> "ColumnElement[bool]":  # noqa: ANN401 (a table)
    return exists().where(table.c.owner == _OUT.owner)


def _still_mine(connection: Connection, claims: Sequence[Claim]) -> dict[str, int]:
    """The number of changes of each name whose claim was not taken over."""
    until = {claim.owner.text: claim.until for claim in claims}
    rows = connection.execute(
        select(_OUT.owner, _OUT.changes, _OUT.not_before).where(_OUT.owner.in_(list(until)), _OUT.claimed.is_not(None))
    )
    return {row.owner: row.changes for row in rows if row.not_before == until[row.owner]}


def _taken_over(connection: Connection, claim: Claim, *, now: Moment) -> None:
    """Somebody else has published the name meanwhile: what was sent here may be on the server, and is looked after."""
    published = schema.published
    query = select(published.c.rdtype, published.c.rdata).where(published.c.owner == claim.owner.text)
    known = {(row.rdtype, row.rdata) for row in connection.execute(query)}
    missing = [
        Change(
            owner=change.owner,
            rdtype=change.rdtype,
            after=tuple(rdata for rdata in change.after if (change.rdtype, rdata) not in known),
            ttl=change.ttl,
        )
        for change in claim.changes
    ]
    note_sent(connection, missing, now=now)
    queue(connection, claim.owner, now=now)


def _postpone(connection: Connection, settled: Sequence[Settled], *, now: Moment) -> None:
    rows = []
    for one in settled:
        first = _REFUSED_FOR if one.kind is OutcomeKind.REFUSED else _FIRST_PAUSE
        pause = min(_LONGEST_PAUSE, first * 2 ** min(one.claim.attempts - 1, 16))
        rows.append({"in_owner": one.claim.owner.text, "not_before": now + pause, "problem": one.line[:MAX_LINE]})
    if rows:
        waits = update(schema.outbox).where(_OUT.owner == bindparam("in_owner")).values(claimed=None)
        connection.execute(waits, rows)


def _all_of(connection: Connection, statement: Any, owners: Sequence[str]) -> None:  # noqa: ANN401 (update or delete)
    if owners:
        connection.execute(statement.where(_OUT.owner.in_(owners)))
