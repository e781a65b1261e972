"""Reading the accounting database: who is in, who was, and with what an access server can be asked to end it."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, Select, func, select

from dnsbound.errors import Malformed
from dnsbound.iana import RadiusAttribute
from dnsbound.provision.accounting.entries import (
    AdmissionRow,
    AdmissionState,
    Identification,
    ReportRow,
    identification_from_wire,
)
from dnsbound.provision.accounting.kept_claim import claim_from_wire
from dnsbound.provision.accounting.ledger import Ledger
from dnsbound.provision.accounting.schema import admissions, reports
from dnsbound.times import Moment, Seconds
from dnsbound.verify.claim import Claim

PAGE: Final = 500
"""Rows of one transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which admissions: of a name (canonical), of a network, those that were in at or after a moment, those that are in
    now. Everything that is None is not asked about."""

    name: str | None = None
    network: str | None = None
    since: Moment | None = None
    live: bool = False

    def of(self, query: Select[Any]) -> Select[Any]:
        if self.name is not None:
            query = query.where(admissions.c.name == self.name)
        if self.network is not None:
            query = query.where(admissions.c.network == self.network)
        if self.since is not None:
            query = query.where(func.coalesce(admissions.c.ended_at, self.since) >= self.since)
        if self.live:
            query = query.where(admissions.c.ended_at.is_(None))
        return query


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAdmission:
    """An admission that was in when its process ended, as in `Admitted`. state: LIVE or CUTTING. claim: None when it is
    damaged, so that nobody can say whether the client may stay."""

    access_class: bytes
    network: str
    name: str
    client: str
    address: str
    nas: str
    calling_station: str
    identification: Identification
    claim: Claim | None
    holds_until: Moment
    session_timeout: Seconds
    expires_at: Moment
    state: AdmissionState
    why: str


def find(ledger: Ledger, wanted: Wanted) -> Iterator[AdmissionRow]:
    """In the order in which they were admitted; what is written meanwhile may be among them."""
    after = 0
    while True:
        query = wanted.of(select(admissions)).where(admissions.c.id > after).order_by(admissions.c.id).limit(PAGE)
        with ledger.database.reading() as connection:
            rows = connection.execute(query).all()
            newest = select(func.max(reports.c.id)).where(reports.c.admission_id.in_([row.id for row in rows]))
            said = {
                row.admission_id: _report(row)
                for row in connection.execute(
                    select(reports).where(reports.c.id.in_(newest.group_by(reports.c.admission_id)))
                )
            }
        for row in rows:
            yield _admission(row, said.get(row.id))
        if len(rows) < PAGE:
            return
        after = rows[-1].id


def kept(ledger: Ledger, *, worker: int, workers: int) -> Iterator[KeptAdmission]:
    """Those of whom a process has to keep account after a restart, when there are so many: each falls to one worker."""
    after = 0
    while True:
        query = (
            select(admissions, _SESSION.label("session"))
            .where(admissions.c.ended_at.is_(None), admissions.c.worker % workers == worker, admissions.c.id > after)
            .order_by(admissions.c.id)
            .limit(PAGE)
        )
        with ledger.database.reading() as connection:
            rows = connection.execute(query).all()
        yield from map(_kept, rows)
        if len(rows) < PAGE:
            return
        after = rows[-1].id


_SESSION: Final = (
    select(reports.c.session)
    .where(reports.c.admission_id == admissions.c.id)
    .order_by(reports.c.id.desc())
    .limit(1)
    .scalar_subquery()
)


def _kept(row: Row[Any]) -> KeptAdmission:
    claim: Claim | None = None
    identification: dict[int, bytes] = {}
    with suppress(Malformed):
        identification = dict(identification_from_wire(bytes(row.identification)))
        claim = claim_from_wire(bytes(row.claim))
    if row.session:
        identification.setdefault(int(RadiusAttribute.ACCT_SESSION_ID), row.session.encode())
    return KeptAdmission(
        access_class=bytes(row.access_class),
        network=row.network,
        name=row.name,
        client=row.client,
        address=row.address,
        nas=row.nas,
        calling_station=row.calling_station,
        identification=tuple(sorted(identification.items())),
        claim=claim,
        holds_until=row.holds_until,
        session_timeout=row.session_timeout,
        expires_at=row.expires_at,
        state=AdmissionState(row.state),
        why=row.why,
    )


def _admission(row: Row[Any], report: ReportRow | None) -> AdmissionRow:
    return AdmissionRow(
        number=row.id,
        access_class=bytes(row.access_class),
        network=row.network,
        name=row.name,
        client=row.client,
        address=row.address,
        nas=row.nas,
        calling_station=row.calling_station,
        identification=identification_from_wire(bytes(row.identification)),
        admitted_at=row.admitted_at,
        holds_until=row.holds_until,
        expires_at=row.expires_at,
        state=AdmissionState(row.state),
        ended_at=row.ended_at,
        why=row.why,
        report=report,
    )


def _report(row: Row[Any]) -> ReportRow:
    return ReportRow(
        number=row.id,
        client=row.client,
        nas=row.nas,
        session=row.session,
        user_name=row.user_name,
        calling_station=row.calling_station,
        started_at=row.started_at,
        heard_at=row.heard_at,
        stopped_at=row.stopped_at,
        seconds=row.seconds,
        input_octets=row.input_octets,
        output_octets=row.output_octets,
        input_packets=row.input_packets,
        output_packets=row.output_packets,
        cause=row.cause,
    )
