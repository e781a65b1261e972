"""Which wildcard speaks for a name, as far as the inventory knows the zone (RFC 4592).

A wildcard speaks for a name that does not exist, when the nearest name above that does exist is the wildcard's parent.
A name exists when it has a record of any type, or when a name below it has one (section 2.2.2): a record two labels
below a wildcard's parent therefore silences the wildcard for the name between, and for all below that.

Functions on a connection. What others put into the zone on another server is not known here; `dnsbound check` asks the
servers.
"""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import Connection, or_, select

from dnsbound.provision import publication, schema
from dnsbound.provision.owner import OwnerName

SPEAKING: Final = frozenset({"TLSA", "CNAME"})
"""Types by which a wildcard lets somebody log in."""


def wildcards_above(connection: Connection, owner: OwnerName) -> list[OwnerName]:
    """Every wildcard of the name's zone that could come to speak for the name, nearest first."""
    candidates = {f"*.{above}": None for above in owner.ancestors[1:]}
    rows = schema.records
    query = select(rows.c.owner).where(rows.c.owner.in_(candidates), rows.c.rdtype.in_(SPEAKING)).distinct()
    found = set(connection.execute(query).scalars())
    if not found:
        return []
    zone = publication.zone_of(connection, owner)
    wildcards = [OwnerName.parse(text, wildcard=True) for text in candidates if text in found]
    return [wildcard for wildcard in wildcards if publication.zone_of(connection, wildcard) == zone]


def speaks_for(connection: Connection, owner: OwnerName) -> OwnerName | None:
    """The wildcard whose records are the answer for this name now, or None."""
    if exists(connection, owner):
        return None
    wildcards = {wildcard.text: wildcard for wildcard in wildcards_above(connection, owner)}
    if not wildcards:
        return None
    for above in owner.ancestors[1:]:
        if exists(connection, OwnerName.parse(above)):
            return wildcards.get(f"*.{above}")
    return None


def exists(connection: Connection, owner: OwnerName) -> bool:
    """Whether the name, or one below it, has records here."""
    start, end = owner.below
    for table in (schema.records, schema.zones):
        key = table.c.sort_key
        inside = or_(key == owner.sort_key, (key >= start) & (key < end))
        if connection.execute(select(table.c.id).where(inside).limit(1)).first() is not None:
            return True
    return False


def silenced_by(connection: Connection, owner: OwnerName) -> list[OwnerName]:
    """Names between this one and its nearest wildcard that exist only once this one has a record: the wildcard then no
    longer speaks for them, nor for any name below them. Nearest to the name first, and the name itself is not one."""
    wildcards = wildcards_above(connection, owner)
    if not wildcards:
        return []
    parent = wildcards[0].ancestors[1]
    between = [OwnerName.parse(text) for text in owner.ancestors[1:] if text.endswith(f".{parent}")]
    return [name for name in between if not exists(connection, name)]


def all_wildcards(connection: Connection) -> Iterator[OwnerName]:
    """Every wildcard of the inventory that lets somebody log in, in the order of names."""
    rows = schema.records
    query = (
        select(rows.c.owner, rows.c.sort_key)
        .where(rows.c.owner.like("*.%"), rows.c.rdtype.in_(SPEAKING))
        .distinct()
        .order_by(rows.c.sort_key)
    )
    for found in connection.execute(query):
        yield OwnerName.parse(found.owner, wildcard=True)
