"""Reports that were not taken, kept with the reason: what could not be decided, to be judged again; and what was
refused, for people to look at.

It is bounded, together and for each name that is claimed, and what comes when it is full is not kept: its sender has no
receipt and keeps it. Anybody may claim a name and bring a key along, so what comes with a key by which reports of that
name were taken before has a share of its own, which strangers cannot fill; under all names together they have half of
the room. That whoever brings a key has signed with it is for the caller to know.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, insert, select, tuple_, update

from dnsbound.errors import Reason
from dnsbound.object_limits import QUARANTINE_OCTETS, QUARANTINE_PER_SIGNER, QUARANTINE_REPORTS
from dnsbound.provision.database import Database
from dnsbound.provision.reports.schema import pools, quarantine, received
from dnsbound.times import Moment

PAGE: Final = 100
_ALL: Final = ""
"""The pool that everything counts in."""
_STRANGERS: Final = " strange"
"""The pool that everything counts in whose key nobody knows; and how the pools of such things end."""
_DETAIL: Final = 500
"""Characters."""


class QuarantineState(StrEnum):
    """Why a report is there."""

    UNDECIDED = "undecided"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unjudged:
    """A report as it came, before or without a verdict. issuer: who it says it is from, canonical. spki_sha256: of the
    key it brings along; empty without one."""

    issuer: str
    token: bytes
    digest: bytes
    received_at: Moment
    source: str
    spki_sha256: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """One report in quarantine. received_at: when it came first. judged_at: when it was judged last."""

    number: int
    issuer: str
    digest: bytes
    token: bytes
    received_at: Moment
    judged_at: Moment
    tries: int
    source: str
    state: QuarantineState
    reason: Reason
    detail: str


class Quarantine:
    """The quarantine of one store."""

    def __init__(
        self,
        database: Database,
        *,
        per_signer: int | None = None,
        reports: int | None = None,
        octets: int | None = None,
    ) -> None:
        self._database = database
        self._per_signer = QUARANTINE_PER_SIGNER.checked(per_signer)
        self._reports = QUARANTINE_REPORTS.checked(reports)
        self._octets = QUARANTINE_OCTETS.checked(octets)

    def keep(self, unjudged: Unjudged, state: QuarantineState, reason: Reason, detail: str, *, now: Moment) -> bool:
        """Keep it, or what is new about it; False when there is no room."""
        with self._database.writing() as connection:
            return self.keep_within(connection, unjudged, state, reason, detail, now=now)

    def keep_within(
        self,
        connection: Connection,
        unjudged: Unjudged,
        state: QuarantineState,
        reason: Reason,
        detail: str,
        *,
        now: Moment,
    ) -> bool:
        """As `keep`, inside of a transaction that writes."""
        said = {"state": state.value, "reason": reason.value, "detail": detail[:_DETAIL], "judged_at": now}
        again = connection.execute(
            update(quarantine)
            .where(quarantine.c.digest == unjudged.digest)
            .values(tries=quarantine.c.tries + 1, **said)
        )
        if again.rowcount:
            return True
        pool = _pool_of(connection, unjudged)
        if not self._has_room(connection, pool, len(unjudged.token)):
            return False
        connection.execute(
            insert(quarantine).values(
                digest=unjudged.digest,
                issuer=unjudged.issuer,
                pool=pool,
                token=unjudged.token,
                received_at=unjudged.received_at,
                source=unjudged.source,
                tries=1,
                **said,
            )
        )
        for each in _pools_around(pool):
            _count(connection, each, 1, len(unjudged.token))
        return True

    def waiting_since(self, digest: bytes) -> Moment | None:
        """When a report came that waits for a decision; None for any other."""
        query = select(quarantine.c.received_at).where(
            quarantine.c.digest == digest, quarantine.c.state == QuarantineState.UNDECIDED
        )
        with self._database.reading() as connection:
            return connection.execute(query).scalar_one_or_none()

    def undecided(self, *, judged_before: Moment) -> Iterator[Quarantined]:
        """Those to be judged again, the one judged longest ago first; each once."""
        query = (
            select(quarantine)
            .where(quarantine.c.state == QuarantineState.UNDECIDED, quarantine.c.judged_at < judged_before)
            .order_by(quarantine.c.judged_at, quarantine.c.id)
            .limit(PAGE)
        )
        page = query
        while True:
            with self._database.reading() as connection:
                rows = connection.execute(page).all()
            yield from map(_quarantined, rows)
            if len(rows) < PAGE:
                return
            last = rows[-1]
            page = query.where(tuple_(quarantine.c.judged_at, quarantine.c.id) > (last.judged_at, last.id))

    def reports(self, *, issuer: str | None = None) -> Iterator[Quarantined]:
        """All of them, or those that name an issuer, in the order in which they came."""
        after = 0
        while True:
            query = select(quarantine).where(quarantine.c.id > after).order_by(quarantine.c.id).limit(PAGE)
            with self._database.reading() as connection:
                rows = connection.execute(query if issuer is None else query.where(quarantine.c.issuer == issuer)).all()
            yield from map(_quarantined, rows)
            if len(rows) < PAGE:
                return
            after = rows[-1].id

    def release(self, connection: Connection, digest: bytes) -> None:
        """Take one out, inside of a transaction that writes."""
        row = connection.execute(
            select(quarantine.c.id, quarantine.c.pool, quarantine.c.token).where(quarantine.c.digest == digest)
        ).first()
        if row is not None:
            _remove(connection, row)

    def prune(self, *, before: Moment) -> int:
        """Forget what came before this moment; how many. In small transactions, so that nobody waits for long."""
        old = select(quarantine.c.id, quarantine.c.pool, quarantine.c.token).where(quarantine.c.received_at < before)
        gone, found = 0, PAGE
        while found == PAGE:
            with self._database.writing() as connection:
                rows = connection.execute(old.order_by(quarantine.c.id).limit(PAGE)).all()
                for row in rows:
                    _remove(connection, row)
            found = len(rows)
            gone += found
        return gone

    def _has_room(self, connection: Connection, pool: str, octets: int) -> bool:
        room = {
            pool: (self._per_signer, self._octets),
            _STRANGERS: (self._reports // 2, self._octets // 2),
            _ALL: (self._reports, self._octets),
        }
        counted = {row.pool: row for row in connection.execute(select(pools).where(pools.c.pool.in_(list(room))))}
        for each in _pools_around(pool):
            reports, most = room[each]
            row = counted.get(each)
            if (0 if row is None else row.reports) >= reports or (0 if row is None else row.octets) + octets > most:
                return False
        return True


def _pool_of(connection: Connection, unjudged: Unjudged) -> str:
    known = (
        select(received.c.id)
        .where(received.c.issuer == unjudged.issuer, received.c.spki_sha256 == unjudged.spki_sha256)
        .limit(1)
    )
    taken = bool(unjudged.spki_sha256) and connection.execute(known).first() is not None
    return f"{unjudged.issuer} known" if taken else unjudged.issuer + _STRANGERS


def _pools_around(pool: str) -> tuple[str, ...]:
    return (pool, _STRANGERS, _ALL) if pool.endswith(_STRANGERS) else (pool, _ALL)


def _remove(connection: Connection, row: Row[int, str, bytes]) -> None:
    connection.execute(delete(quarantine).where(quarantine.c.id == row.id))
    for pool in _pools_around(row.pool):
        _count(connection, pool, -1, -len(row.token))
    connection.execute(delete(pools).where(pools.c.pool == row.pool, pools.c.reports <= 0))


def _count(connection: Connection, pool: str, reports: int, octets: int) -> None:
    counted = connection.execute(
        update(pools)
        .where(pools.c.pool == pool)
        .values(reports=pools.c.reports + reports, octets=pools.c.octets + octets)
    )
    if not counted.rowcount:
        connection.execute(insert(pools).values(pool=pool, reports=reports, octets=octets))


def _quarantined(row: Row[Any]) -> Quarantined:
    return Quarantined(
        number=row.id,
        issuer=row.issuer,
        digest=bytes(row.digest),
        token=bytes(row.token),
        received_at=row.received_at,
        judged_at=row.judged_at,
        tries=row.tries,
        source=row.source,
        state=QuarantineState(row.state),
        reason=Reason(row.reason),
        detail=row.detail,
    )
