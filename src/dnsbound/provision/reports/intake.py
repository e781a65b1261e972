"""What a receiver has to remember: every report it took, how far each signer has counted, and what it answered.

A report whose signer is known and whose claims hold is settled here: whether it was taken before, and how it follows
those that were. That, its receipt and its evidence are written in one transaction, and only afterwards is the receipt
given out: whatever is killed in between, a report is taken once, and one that has no receipt may be sent again. The
same octets sent again get the same receipt.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Self, TypeAlias

from sqlalchemy import Connection, bindparam, case, delete, func, insert, or_, select, update

from dnsbound.errors import Reason, Refused, Undecided
from dnsbound.names import ClientName
from dnsbound.object_limits import OBJECT_SKEW_SECONDS
from dnsbound.objects.report import Report
from dnsbound.objects.report_order import Neighbours, Order, order_of
from dnsbound.provision.database import Database
from dnsbound.provision.reports.kind import REPORT_STORE
from dnsbound.provision.reports.quarantine import Quarantine, QuarantineState, Unjudged
from dnsbound.provision.reports.schema import chains, received, streams
from dnsbound.times import Moment, iso

PAGE: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """A report whose signer was verified and whose claims hold. It may still have been taken before.

    record: the TLSA record that matched, in presentation form. chain: the DNSSEC chain by which it was judged, where it
    is kept. receiver_chain: that of the receiver's own name, by which its receipt can be judged later.
    """

    report: Report
    unjudged: Unjudged
    receiver: ClientName
    record: str
    chain: bytes | None = None
    receiver_chain: bytes | None = None

    @property
    def evidence(self) -> bytes | None:
        return None if self.chain is None else sha256(self.chain).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """It was taken: now, or before (`again`). receipt: as it was given out first."""

    order: Order
    receipt: bytes
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NotTaken:
    """It was refused because of those that were taken. receipt: says so to its signer."""

    refusal: Refused
    receipt: bytes


Settled: TypeAlias = Taken | NotTaken
WriteReceipt: TypeAlias = Callable[[Proven, Order | Reason], bytes]


class Intake:
    """An open store of reports, as its receiver sees it. Threads may share it, and processes."""

    def __init__(self, database: Database, *, quarantine: Quarantine | None = None) -> None:
        self.database = database
        self.quarantine = quarantine or Quarantine(database)

    @classmethod
    def open(cls, place: Path | str, *, create: bool = False) -> Self:
        """At a path or a `postgresql://` URL. create: make an empty one where there is none; otherwise
        ReportStoreMissing. Misuse for the database of something else."""
        return cls(Database.open(place, create=create, kind=REPORT_STORE))

    def close(self) -> None:
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def settle(
        self,
        proven: Sequence[Proven],
        write_receipt: WriteReceipt,
        *,
        now: Moment,
        skew: float = OBJECT_SKEW_SECONDS.default,
        danger_any_clock: bool = False,
    ) -> list[Settled]:
        """Settle them in order, all of them or none. write_receipt: the signed receipt of one; called inside of the
        transaction. skew: how long after its end a report is still remembered.

        Undecided(CLOCK) when the clock shows less than when the last report was taken, unless danger_any_clock.
        ReportStoreFailed when they cannot be written.
        """
        with self.database.writing() as connection:
            if not danger_any_clock:
                _check_clock(connection, now, skew)
            return [self._settle(connection, each, write_receipt, now, skew) for each in proven]

    def receipt_of(self, digest: bytes) -> Taken | None:
        """What was answered to exactly these octets; None when they were not taken."""
        with self.database.reading() as connection:
            row = connection.execute(_OF_DIGEST, {"of_digest": digest}).first()
        return None if row is None else _taken_again(row)

    def prune(self, *, before: Moment, now: Moment) -> int:
        """Forget reports taken before this moment, once nobody could send them again as new, and evidence that none is
        left for; how many reports. The signers' counts stay."""
        old = (
            select(received.c.id, received.c.stream, received.c.sequence)
            .where(received.c.judged_at < before, received.c.forgettable_at < now)
            .order_by(received.c.id)
            .limit(PAGE)
        )
        gone, found = 0, PAGE
        while found == PAGE:
            with self.database.writing() as connection:
                rows = connection.execute(old).all()
                for row in rows:
                    connection.execute(_FORGET, {"of_stream": row.stream, "up_to": row.sequence})
                connection.execute(delete(received).where(received.c.id.in_([row.id for row in rows])))
            found = len(rows)
            gone += found
        if gone:
            self._drop_loose_chains()
        return gone

    def _drop_loose_chains(self) -> None:
        used = select(received.c.id).where(
            or_(received.c.chain_id == chains.c.id, received.c.receiver_chain_id == chains.c.id)
        )
        with self.database.writing() as connection:
            connection.execute(delete(chains).where(~used.exists()))

    def _settle(
        self, connection: Connection, proven: Proven, write_receipt: WriteReceipt, now: Moment, skew: float
    ) -> Settled:
        report, digest = proven.report, proven.unjudged.digest
        known = _known(connection, report)
        for row in known:
            if bytes(row.digest) == digest:
                return _taken_again(row)
        try:
            order = _order(connection, report, digest, known)
        except Refused as refusal:
            kept, detail = QuarantineState.REFUSED, refusal.detail
            self.quarantine.keep_within(connection, proven.unjudged, kept, refusal.reason, detail, now=now)
            return NotTaken(refusal=refusal, receipt=write_receipt(proven, refusal.reason))
        taken = Taken(order=order, receipt=write_receipt(proven, order))
        connection.execute(_TAKE, _row(connection, proven, taken, now=now, skew=skew))
        _count(connection, report)
        self.quarantine.release(connection, digest)
        return taken


# Made once: to make a statement takes longer than to run it.
_TAKE: Final = insert(received)
_OF_DIGEST: Final = select(received.c.follows, received.c.receipt).where(received.c.digest == bindparam("of_digest"))
_AROUND: Final = select(
    received.c.sequence,
    received.c.identifier,
    received.c.digest,
    received.c.previous,
    received.c.follows,
    received.c.receipt,
).where(
    or_(
        (received.c.stream == bindparam("of_stream"))
        & received.c.sequence.between(bindparam("from_sequence"), bindparam("to_sequence")),
        (received.c.issuer == bindparam("of_issuer")) & (received.c.identifier == bindparam("of_identifier")),
    )
)
_COUNTED: Final = select(streams.c.highest, streams.c.forgotten).where(streams.c.stream == bindparam("of_stream"))
_COUNT: Final = (
    update(streams)
    .where(streams.c.stream == bindparam("of_stream"))
    .values(highest=case((streams.c.highest < bindparam("taken"), bindparam("taken")), else_=streams.c.highest))
)
_FORGET: Final = (
    update(streams)
    .where(streams.c.stream == bindparam("of_stream"), streams.c.forgotten < bindparam("up_to"))
    .values(forgotten=bindparam("up_to"))
)
_NEWEST: Final = select(func.max(received.c.judged_at))
_CHAIN: Final = select(chains.c.id).where(chains.c.digest == bindparam("of_digest"))


def _check_clock(connection: Connection, now: Moment, skew: float) -> None:
    latest = connection.execute(_NEWEST).scalar_one_or_none()
    if latest is not None and now < latest - skew:
        raise Undecided(Reason.CLOCK, f"a report was taken at {iso(latest)}, and now is {iso(now)}")


def _known(connection: Connection, report: Report) -> Sequence[Any]:
    """What was taken in its place, directly before and after it, and under its identifier."""
    which = {
        "of_stream": report.stream,
        "from_sequence": report.sequence - 1,
        "to_sequence": report.sequence + 1,
        "of_issuer": report.issuer.canonical,
        "of_identifier": report.identifier,
    }
    return connection.execute(_AROUND, which).all()


def _order(connection: Connection, report: Report, digest: bytes, known: Sequence[Any]) -> Order:
    counted = connection.execute(_COUNTED, {"of_stream": report.stream}).first()
    for row in known:
        if row.sequence == report.sequence or bytes(row.identifier) == report.identifier:
            raise Refused(Reason.REPLAYED, f"another report with number {report.sequence} or this identifier was taken")
    at = {row.sequence: row for row in known}
    before, after = at.get(report.sequence - 1), at.get(report.sequence + 1)
    neighbours = Neighbours(
        highest=0 if counted is None else counted.highest,
        floor=0 if counted is None else counted.forgotten,
        before=None if before is None else bytes(before.digest),
        named_by_next=None if after is None or after.previous is None else bytes(after.previous),
    )
    return order_of(report, digest, neighbours)


def _count(connection: Connection, report: Report) -> None:
    counted = connection.execute(_COUNT, {"of_stream": report.stream, "taken": report.sequence})
    if not counted.rowcount:
        connection.execute(insert(streams).values(stream=report.stream, highest=report.sequence, forgotten=0))


def _row(connection: Connection, proven: Proven, taken: Taken, *, now: Moment, skew: float) -> dict[str, Any]:
    report, unjudged = proven.report, proven.unjudged
    return {
        "issuer": report.issuer.canonical,
        "stream": report.stream,
        "sequence": report.sequence,
        "identifier": report.identifier,
        "digest": unjudged.digest,
        "previous": report.previous,
        "token": unjudged.token,
        "received_at": unjudged.received_at,
        "judged_at": now,
        "forgettable_at": report.expires_at + skew,
        "follows": taken.order.value,
        "spki_sha256": unjudged.spki_sha256,
        "record": proven.record,
        "source": unjudged.source,
        "receipt": taken.receipt,
        "chain_id": _chain(connection, report.issuer, proven.chain),
        "receiver_chain_id": _chain(connection, proven.receiver, proven.receiver_chain),
    }


def _chain(connection: Connection, name: ClientName, octets: bytes | None) -> int | None:
    if octets is None:
        return None
    digest = sha256(octets).digest()
    found: int | None = connection.execute(_CHAIN, {"of_digest": digest}).scalar_one_or_none()
    if found is None:
        made = connection.execute(insert(chains).values(digest=digest, name=name.canonical, octets=octets))
        [found] = made.inserted_primary_key or (None,)
    return found


def _taken_again(row: Any) -> Taken:  # noqa: ANN401 (a row of a prepared statement)
    return Taken(order=Order(row.follows), receipt=bytes(row.receipt), again=True)
