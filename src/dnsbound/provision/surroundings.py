"""What stands at and above many names, read with a handful of statements, and what may then be published there.

The rules are `dnsbound.provision.publication`'s own; this is only the reading of what they are held against. For
records of clients (TLSA) alone: delegations and addresses are published one by one.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple, Self

from sqlalchemy import ColumnElement, Connection, Row, Select, select

from dnsbound.errors import Misuse
from dnsbound.limits import RECORD_TTL
from dnsbound.provision import publication, schema
from dnsbound.provision.entries import Record
from dnsbound.provision.owner import OwnerName

_AT_ONCE: Final = 5000
"""Values of one IN list; SQLite and PostgreSQL both take some 32,000 parameters."""


class ServingZone(NamedTuple):
    """A zone of the inventory: its row, its name, and the TTL it gives by default."""

    id: int
    name: OwnerName
    ttl: int


class Standing(NamedTuple):
    """One record at a name. identity_id: whose it is, if an identity's."""

    rdtype: str
    rdata: str
    ttl: int
    identity_id: int | None


class Surroundings:
    """Of the names it was read for, in the transaction it was read in."""

    def __init__(
        self, zones: dict[str, ServingZone], cuts: frozenset[str], standing: dict[str, list[Standing]]
    ) -> None:
        self._zones = zones
        self._cuts = cuts
        self._standing = standing

    @classmethod
    def read(cls, connection: Connection, owners: Iterable[OwnerName]) -> Self:
        names = {owner.text for owner in owners}
        above = {ancestor for name in names for ancestor in OwnerName.parse(name).ancestors}
        zone, record = schema.zones.c, schema.records.c
        zones = {
            row.name: ServingZone(row.id, OwnerName.parse(row.name), row.ttl)
            for row in rows_in(connection, select(zone.id, zone.name, zone.ttl), zone.name, above)
        }
        cuts = select(record.owner).where(record.rdtype == "NS")
        standing: dict[str, list[Standing]] = {}
        there = select(record.owner, record.rdtype, record.rdata, record.ttl, record.identity_id).order_by(record.id)
        for row in rows_in(connection, there, record.owner, names):
            standing.setdefault(row.owner, []).append(Standing(row.rdtype, row.rdata, row.ttl, row.identity_id))
        return cls(zones, frozenset(row.owner for row in rows_in(connection, cuts, record.owner, above)), standing)

    def zone_of(self, owner: OwnerName) -> ServingZone | None:
        """The zone here that serves a client's record at the name."""
        return next((self._zones[name] for name in owner.ancestors if name in self._zones), None)

    def ttl_at(self, owner: OwnerName, ttl: int | None) -> int:
        """What was asked for, else the default of the zone that serves the name, else of the package."""
        if ttl is not None:
            return RECORD_TTL.checked(ttl)
        zone = self.zone_of(owner)
        return RECORD_TTL.default if zone is None else zone.ttl

    def at(self, owner: OwnerName) -> Sequence[Standing]:
        """The records of the name."""
        return self._standing.get(owner.text, ())

    def add(self, owner: OwnerName, records: Sequence[Record]) -> None:
        """Let these records stand at the name from now on, all or none. AlreadyInInventory, NameBlocked, Misuse,
        LimitExceeded where one of them may not."""
        zone = self.zone_of(owner)
        present = list(self._standing.get(owner.text, ()))
        for record in records:
            if record.rdtype != "TLSA":
                raise Misuse(f"{record.rdtype} records are published one by one")
            if zone is not None:
                cut = next((name for name in publication.names_of_cuts(record, zone.name) if name in self._cuts), None)
                publication.refuse_below_cut(record, cut)
            publication.check_neighbours(record, [(standing.rdtype, standing.rdata) for standing in present])
            present.append(Standing(record.rdtype, record.rdata, record.ttl, None))
        self._standing[owner.text] = present


def rows_in(
    connection: Connection, query: Select[Any], column: ColumnElement[Any], values: Iterable[object]
) -> Iterator[Row[Any]]:
    """The rows of a query whose column has one of the values, however many they are."""
    listed = list(values)
    for start in range(0, len(listed), _AT_ONCE):
        yield from connection.execute(query.where(column.in_(listed[start : start + _AT_ONCE])))
