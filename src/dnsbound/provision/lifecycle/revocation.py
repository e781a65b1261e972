"""What becomes of a roll when its identity is revoked. On a writing transaction."""

from sqlalchemy import Connection, update

from dnsbound.provision import schema
from dnsbound.provision.lifecycle.machine import OPEN, RollEvent, after


def end_roll(connection: Connection, identity_id: int) -> None:
    """The records are gone and the change has its own event: an open roll of the identity is over with it."""
    rows = schema.rolls
    for state in OPEN:
        connection.execute(
            update(rows)
            .where(rows.c.identity_id == identity_id, rows.c.state == state.value)
            .values(
                state=after(state, RollEvent.REVOKED).value,
                due_at=None,
                problem="",
                claimed_by=None,
                claimed_until=None,
            )
        )
