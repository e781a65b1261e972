"""The append-only table of who did what, when and why. The database itself refuses to change or delete its rows."""

import json
from collections.abc import Iterable, Iterator, Mapping

from sqlalchemy import Connection, insert, select

from dnsbound.errors import Misuse
from dnsbound.provision import schema
from dnsbound.provision.database import Database
from dnsbound.provision.entries import Event
from dnsbound.provision.public_key import admit_text
from dnsbound.times import Moment

_BATCH = 1000


def append(
    connection: Connection,
    *,
    at: Moment,
    actor: str,
    action: str,
    subject: str,
    detail: Mapping[str, object],
    reason: str = "",
) -> None:
    """Add an event in the transaction that makes the change it tells of.

    actor, reason: one printable line each; Misuse otherwise, and when nobody is named.
    """
    append_all(connection, [(subject, detail)], at=at, actor=actor, action=action, reason=reason)


def append_all(
    connection: Connection,
    told: Iterable[tuple[str, Mapping[str, object]]],
    *,
    at: Moment,
    actor: str,
    action: str,
    reason: str = "",
) -> None:
    """The same for many subjects, each with its detail, that one change is about."""
    if not actor:
        raise Misuse("every change of the inventory names who made it")
    common = {
        "at": at,
        "actor": admit_text(actor, "actor"),
        "action": action,
        "reason": admit_text(reason, "reason"),
    }
    rows = [common | {"subject": subject, "detail": json.dumps(detail, sort_keys=True)} for subject, detail in told]
    if rows:
        connection.execute(insert(schema.events), rows)


class EventLog:
    """Reading the events."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def __call__(self, *, subject: str | None = None, after: int = 0) -> Iterator[Event]:
        """Events in the order they happened, numbered above `after`; of one zone, identity or owner, or of all."""
        query = select(schema.events).order_by(schema.events.c.id).limit(_BATCH)
        if subject is not None:
            query = query.where(schema.events.c.subject == subject)
        while True:
            with self._database.reading() as connection:
                rows = connection.execute(query.where(schema.events.c.id > after)).all()
            for row in rows:
                yield Event(
                    number=row.id,
                    at=row.at,
                    actor=row.actor,
                    action=row.action,
                    subject=row.subject,
                    reason=row.reason,
                    detail=json.loads(row.detail),
                )
            if len(rows) < _BATCH:
                return
            after = rows[-1].id
