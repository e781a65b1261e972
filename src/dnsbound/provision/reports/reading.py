"""Reading a store of reports: what was taken, and the archive of one."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select

from dnsbound.errors import Misuse
from dnsbound.names import ClientName
from dnsbound.objects.archive import Archive
from dnsbound.objects.report_order import Order
from dnsbound.provision.database import Database
from dnsbound.provision.reports.schema import chains, received
from dnsbound.times import Moment

PAGE: Final = 200

_SHOWN: Final = (
    received.c.id,
    received.c.issuer,
    received.c.sequence,
    received.c.digest,
    received.c.received_at,
    received.c.judged_at,
    received.c.follows,
    received.c.record,
    received.c.source,
    received.c.chain_id,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedReport:
    """One report that was taken, without its octets."""

    number: int
    issuer: str
    sequence: int
    digest: bytes
    received_at: Moment
    judged_at: Moment
    order: Order
    record: str
    source: str
    archived: bool
    """The evidence by which it was judged is there as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeReport:
    """One report that was taken, with its octets and what was answered."""

    shown: ReceivedReport
    token: bytes
    receipt: bytes
    archive: Archive | None
    """None where no evidence was kept."""


def received_reports(database: Database, *, issuer: str | None = None) -> Iterator[ReceivedReport]:
    """In the order in which they were taken; what is taken meanwhile may be among them. issuer: canonical."""
    query = select(*_SHOWN).order_by(received.c.id).limit(PAGE)
    if issuer is not None:
        query = query.where(received.c.issuer == issuer)
    after = 0
    while True:
        with database.reading() as connection:
            rows = connection.execute(query.where(received.c.id > after)).all()
        yield from map(_shown, rows)
        if len(rows) < PAGE:
            return
        after = rows[-1].id


def whole_report(database: Database, number: int) -> WholeReport:
    """One by its number; Misuse when there is none."""
    own, receivers = chains.alias("own"), chains.alias("receivers")
    query = (
        select(
            *_SHOWN,
            received.c.token,
            received.c.receipt,
            own.c.octets.label("chain"),
            receivers.c.octets.label("receiver_chain"),
            receivers.c.name.label("receiver"),
        )
        .outerjoin(own, own.c.id == received.c.chain_id)
        .outerjoin(receivers, receivers.c.id == received.c.receiver_chain_id)
        .where(received.c.id == number)
    )
    with database.reading() as connection:
        row = connection.execute(query).first()
    if row is None:
        raise Misuse(f"no report with the number {number} was taken")
    token, receipt = bytes(row.token), bytes(row.receipt)
    return WholeReport(shown=_shown(row), token=token, receipt=receipt, archive=_archive(row, token, receipt))


def _archive(row: Any, token: bytes, receipt: bytes) -> Archive | None:  # noqa: ANN401 (a row of a statement)
    if row.chain is None or row.receiver_chain is None:
        return None
    return Archive(
        object=token,
        signer=ClientName.parse(row.issuer),
        chain=bytes(row.chain),
        receipt=receipt,
        receiver=ClientName.parse(row.receiver),
        receiver_chain=bytes(row.receiver_chain),
    )


def _shown(row: Any) -> ReceivedReport:  # noqa: ANN401 (a row of a statement)
    return ReceivedReport(
        number=row.id,
        issuer=row.issuer,
        sequence=row.sequence,
        digest=bytes(row.digest),
        received_at=row.received_at,
        judged_at=row.judged_at,
        order=Order(row.follows),
        record=row.record,
        source=row.source,
        archived=row.chain_id is not None,
    )
