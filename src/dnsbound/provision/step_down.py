"""Taking the schema of an inventory back to an older revision, with the event that tells of it.

Not here: taking a schema up, which opening an inventory does and which loses nothing (`Database.open`).
"""

from dnsbound.provision import event_log, schema_migration
from dnsbound.provision.database import Database
from dnsbound.times import Moment


def step_down(
    database: Database, revision: str, *, danger_lose_data: bool = False, now: Moment, actor: str, reason: str = ""
) -> None:
    """Go to a revision, or to `base`, after which there are no events either. Nothing is done or told where the schema
    is there already.

    Misuse when the older schema has no place for what is kept, unless danger_lose_data: then the event says what was
    dropped. The reason is in its detail, since the oldest schema has no other place for it.
    """
    with database.writing(unhurried=True) as connection:
        here = schema_migration.current(connection)
        if here == revision:
            return
        if here is not None and revision != "base":
            detail: dict[str, object] = {
                "from": here,
                "to": revision,
                "dropped": schema_migration.lost(connection, database.kind, here, revision),
                "reason": reason,
            }
            event_log.append(connection, at=now, actor=actor, action="migrate", subject="inventory", detail=detail)
        schema_migration.migrate(connection, database.kind, revision, danger_lose_data=danger_lose_data)
