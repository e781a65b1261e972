"""What a sender has to remember: how far it has counted, and which reports nobody has given it a receipt for.

A report gets its number, is signed and is written in one transaction, and leaves the process only afterwards: whatever
is killed or loses its power in between, a number that was ever seen by anybody is never given to another report, and a
report that was made is sent until it has a receipt or has ended. Several processes may share one outbox.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Self

from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, select, update

from dnsbound.errors import LimitExceeded, Misuse, Reason, Undecided
from dnsbound.object_limits import OBJECT_SKEW_SECONDS, OUTBOX_REPORTS
from dnsbound.objects.report import LARGEST_SEQUENCE
from dnsbound.provision.database import Database
from dnsbound.provision.reports.kind import REPORT_STORE
from dnsbound.provision.reports.schema import outbox, senders
from dnsbound.times import Moment, iso

PAGE: Final = 200
"""Rows of one transaction."""


class SentState(StrEnum):
    """What became of a report that was made."""

    WAITING = "waiting"
    """Nobody has given a receipt for it yet."""
    ACCEPTED = "accepted"
    REFUSED = "refused"
    """Its receiver decided: no. It is not sent again."""
    EXPIRED = "expired"
    """It ended before it had a receipt; nobody knows whether it was received."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentReport:
    """One report of the outbox. receipt: as it came, where there is one."""

    number: int
    stream: str
    audience: str
    sequence: int
    digest: bytes
    token: bytes
    made_at: Moment
    expires_at: Moment
    state: SentState
    tries: int
    tried_at: Moment | None
    trouble: str
    receipt: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the next report of a stream stands: its number, and the digest of the one before it."""

    sequence: int
    previous: bytes | None


class Outbox:
    """An open store of reports, as its sender sees it. Threads may share it."""

    def __init__(self, database: Database, *, most: int | None = None) -> None:
        """most: reports that may wait for a receipt at once."""
        self.database = database
        self._most = OUTBOX_REPORTS.checked(most)

    @classmethod
    def open(cls, place: Path | str, *, create: bool = False, most: int | None = None) -> Self:
        """At a path or a `postgresql://` URL. create: make an empty one where there is none; otherwise
        ReportStoreMissing. Misuse for the database of something else."""
        return cls(Database.open(place, create=create, kind=REPORT_STORE), most=most)

    def close(self) -> None:
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def make(
        self,
        stream: str,
        audience: str,
        write: Callable[[Place], bytes],
        *,
        now: Moment,
        expires_at: Moment,
        from_sequence: int | None = None,
        danger_any_clock: bool = False,
    ) -> SentReport:
        """Give the next number to a report and keep it. write: makes the signed report for a place; it is called once,
        while nobody else can count. from_sequence: go on from there, without naming a report before.

        Undecided(CLOCK) when the clock shows less than at the last report, unless danger_any_clock. LimitExceeded when
        too many wait already. Misuse when from_sequence was counted before.
        """
        with self.database.writing() as connection:
            self._check_room(connection)
            known = connection.execute(select(senders).where(senders.c.stream == stream)).first()
            if known is not None and now < known.issued_at - OBJECT_SKEW_SECONDS.default and not danger_any_clock:
                raise Undecided(Reason.CLOCK, f"a report was made at {iso(known.issued_at)}, and now is {iso(now)}")
            place = _next(known, from_sequence)
            token = write(place)
            digest = sha256(token).digest()
            counted = {"sequence": place.sequence, "previous": digest, "issued_at": now}
            if known is None:
                connection.execute(insert(senders).values(stream=stream, **counted))
            else:
                connection.execute(update(senders).where(senders.c.stream == stream).values(**counted))
            row = {
                "stream": stream,
                "audience": audience,
                "sequence": place.sequence,
                "digest": digest,
                "token": token,
                "made_at": now,
                "expires_at": expires_at,
                "state": SentState.WAITING.value,
                "tries": 0,
            }
            connection.execute(insert(outbox).values(row))
            [made] = connection.execute(select(outbox).where(outbox.c.digest == digest))
            return _sent(made)

    def waiting(self, stream: str) -> Iterator[SentReport]:
        """Those of a stream without a receipt, oldest first; what is written meanwhile may be among them."""
        return self._pages(outbox.c.state == SentState.WAITING, outbox.c.stream == stream)

    def reports(self) -> Iterator[SentReport]:
        """All of them, oldest first."""
        return self._pages()

    def find(self, digest: bytes) -> SentReport | None:
        """One by the SHA-256 of its octets."""
        with self.database.reading() as connection:
            row = connection.execute(select(outbox).where(outbox.c.digest == digest)).first()
        return None if row is None else _sent(row)

    def tried(self, digest: bytes, *, at: Moment, trouble: str) -> None:
        """It was sent, and no receipt came. trouble: why, in a few words."""
        with self.database.writing() as connection:
            connection.execute(
                update(outbox)
                .where(outbox.c.digest == digest, outbox.c.state == SentState.WAITING)
                .values(tries=outbox.c.tries + 1, tried_at=at, trouble=trouble)
            )

    def settled(self, digest: bytes, state: SentState, receipt: bytes, *, at: Moment) -> None:
        """It has a receipt, which was verified. One that has a receipt already keeps that."""
        with self.database.writing() as connection:
            connection.execute(
                update(outbox)
                .where(outbox.c.digest == digest, outbox.c.receipt.is_(None))
                .values(state=state.value, receipt=receipt, tries=outbox.c.tries + 1, tried_at=at, trouble="")
            )

    def expire(self, *, now: Moment) -> int:
        """Give up what has ended; how many."""
        with self.database.writing() as connection:
            gone = connection.execute(
                update(outbox)
                .where(outbox.c.state == SentState.WAITING, outbox.c.expires_at <= now)
                .values(state=SentState.EXPIRED.value)
            )
        return gone.rowcount

    def prune(self, *, before: Moment) -> int:
        """Forget reports made before this moment that wait for nothing any more, receipts included; how many. The count
        of the stream stays."""
        old = select(outbox.c.id).where(outbox.c.made_at < before, outbox.c.state != SentState.WAITING)
        gone, found = 0, PAGE
        while found == PAGE:
            with self.database.writing() as connection:
                numbers = list(connection.execute(old.order_by(outbox.c.id).limit(PAGE)).scalars())
                connection.execute(delete(outbox).where(outbox.c.id.in_(numbers)))
            found = len(numbers)
            gone += found
        return gone

    def _check_room(self, connection: Connection) -> None:
        waiting = select(func.count()).select_from(outbox).where(outbox.c.state == SentState.WAITING)
        if connection.execute(waiting).scalar_one() >= self._most:
            raise LimitExceeded(OUTBOX_REPORTS.name, f"{self._most} reports wait for a receipt")

    def _pages(self, *conditions: ColumnElement[bool]) -> Iterator[SentReport]:
        query = select(outbox).where(*conditions).order_by(outbox.c.id).limit(PAGE)
        after = 0
        while True:
            with self.database.reading() as connection:
                rows = connection.execute(query.where(outbox.c.id > after)).all()
            yield from map(_sent, rows)
            if len(rows) < PAGE:
                return
            after = rows[-1].id


def _next(known: Row[Any] | None, from_sequence: int | None) -> Place:
    last = 0 if known is None else known.sequence
    if from_sequence is None:
        if last >= LARGEST_SEQUENCE:
            raise Misuse("this stream of reports has used up all its numbers")
        return Place(sequence=last + 1, previous=None if known is None else bytes(known.previous))
    if not last < from_sequence <= LARGEST_SEQUENCE:
        raise Misuse(f"reports were counted up to {last} here; a number after that is needed, not {from_sequence}")
    return Place(sequence=from_sequence, previous=None)


def _sent(row: Row[Any]) -> SentReport:
    return SentReport(
        number=row.id,
        stream=row.stream,
        audience=row.audience,
        sequence=row.sequence,
        digest=bytes(row.digest),
        token=bytes(row.token),
        made_at=row.made_at,
        expires_at=row.expires_at,
        state=SentState(row.state),
        tries=row.tries,
        tried_at=row.tried_at,
        trouble=row.trouble,
        receipt=None if row.receipt is None else bytes(row.receipt),
    )
