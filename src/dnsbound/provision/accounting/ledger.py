"""The accounting database: what this server did and what access servers report, written in batches.

Several processes may write; each batch is one transaction. How an entry is written is in
`dnsbound.provision.accounting.writing`, reading in `dnsbound.provision.accounting.reading`.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Self

from sqlalchemy import delete, exists, insert, or_, select

from dnsbound.limits import SESSION_SLACK_SECONDS
from dnsbound.provision.accounting.entries import Entry
from dnsbound.provision.accounting.kind import ACCOUNTING
from dnsbound.provision.accounting.schema import admissions, reports, secrets
from dnsbound.provision.accounting.writing import write
from dnsbound.provision.database import Database
from dnsbound.times import Moment

PRUNED_AT_ONCE: Final = 1000

CLASS: Final = "class"
"""The secret of the seal in Class (`dnsbound.protocols.radius_class`)."""
ROUTING: Final = "routing"
"""The secret by which workers find each other's sessions (`dnsbound.protocols.radius_routing`)."""

_SECRET_OCTETS: Final = 32


class Ledger:
    """An open accounting database. Threads may share it."""

    def __init__(self, database: Database, *, slack: int | None = None) -> None:
        """slack: seconds for which a session is counted after its Session-Timeout."""
        self.database = database
        self.slack = SESSION_SLACK_SECONDS.checked(slack)

    @classmethod
    def open(
        cls, place: Path | str, *, create: bool = False, busy_seconds: int | None = None, slack: int | None = None
    ) -> Self:
        """At a path or a `postgresql://` URL. create: make an empty one where there is none; otherwise
        AccountingMissing. Misuse for the database of something else."""
        database = Database.open(place, create=create, kind=ACCOUNTING, busy_seconds=busy_seconds)
        return cls(database, slack=slack)

    def close(self) -> None:
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def secret(self, purpose: str) -> bytes:
        """32 octets that nobody else knows, made when they are first asked for: the same for every process, and after a
        restart. purpose: which, such as CLASS."""
        known = select(secrets.c.octets).where(secrets.c.purpose == purpose)
        with self.database.writing() as connection:
            found = connection.execute(known).scalar_one_or_none()
            if found is None:
                found = os.urandom(_SECRET_OCTETS)
                connection.execute(insert(secrets).values(purpose=purpose, octets=found))
        return bytes(found)

    def write(self, entries: Iterable[Entry]) -> None:
        """All of them, in order, or none: AccountingFailed."""
        with self.database.writing() as connection:
            for entry in entries:
                write(connection, entry, slack=self.slack)

    def prune(self, *, before: Moment) -> int:
        """Forget what ended, or was last heard of, before this moment; how many rows. Sessions that are in stay. In
        small transactions, so that nobody waits for long."""
        old_reports = select(reports.c.id).where(
            reports.c.heard_at < before,
            or_(
                reports.c.admission_id.is_(None),
                ~exists().where(admissions.c.id == reports.c.admission_id, admissions.c.ended_at.is_(None)),
            ),
        )
        old_admissions = select(admissions.c.id).where(
            admissions.c.ended_at < before, ~exists().where(reports.c.admission_id == admissions.c.id)
        )
        gone = 0
        for table, old in ((reports, old_reports), (admissions, old_admissions)):
            found = PRUNED_AT_ONCE
            while found == PRUNED_AT_ONCE:
                with self.database.writing() as connection:
                    numbers = [row.id for row in connection.execute(old.order_by(table.c.id).limit(PRUNED_AT_ONCE))]
                    connection.execute(delete(table).where(table.c.id.in_(numbers)))
                found = len(numbers)
                gone += found
        return gone
