"""What an inventory holds, counted."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Column, Connection, func, select

from dnsbound.provision import schema
from dnsbound.provision.database import Database
from dnsbound.provision.entries import IdentityState, KeyState


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryFacts:
    """Counts of one moment."""

    place: str
    """Path, or URL without password and parameters."""
    schema: str
    octets: int
    """On disk."""
    identities: Mapping[IdentityState, int]
    keys: Mapping[KeyState, int]
    """Of all identities, also of revoked ones."""
    zones: int
    records: int
    unpublished: int
    """Names whose change waits for a server that is not the embedded authority."""
    events: int

    @classmethod
    def of(cls, database: Database) -> "InventoryFacts":
        """Count; this reads every row. InventoryFailed."""
        octets = database.size()
        with database.reading() as connection:
            states = _counts(connection, schema.identities.c.state)
            keys = _counts(connection, schema.keys.c.state)
            totals = {
                table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in (schema.zones, schema.records, schema.outbox, schema.events)
            }
        return cls(
            place=database.place,
            schema=database.revision() or "",
            octets=octets,
            identities={state: states.get(state.value, 0) for state in IdentityState},
            keys={state: keys.get(state.value, 0) for state in KeyState},
            zones=totals["zones"],
            records=totals["records"],
            unpublished=totals["outbox"],
            events=totals["events"],
        )


def _counts(connection: Connection, column: Column[str]) -> dict[str, int]:
    found = connection.execute(select(column, func.count()).group_by(column))
    return {str(state): int(number) for state, number in found}
