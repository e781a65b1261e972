"""What stands on a server of ours, as far as is known, beside what the inventory holds: their difference as changes.

`published` is a superset: a record is noted before it is sent, and crossed off when the server has said that it is
gone. It is the proof of ownership: nothing that is neither in it nor in `records` is ever removed from a server.
"""

from collections.abc import Iterable, Iterator, Sequence

from sqlalchemy import Connection, and_, bindparam, delete, insert, select, update

from dnsbound.provision import schema
from dnsbound.provision.database import Database
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.publish.publisher import Change
from dnsbound.provision.publish.scope import Scope
from dnsbound.times import Moment


def changes_of(connection: Connection, owners: Sequence[str]) -> dict[str, tuple[Change, ...]]:
    """What brings the server from what may be there of ours to what the inventory holds; nothing where it is there."""
    before: dict[tuple[str, str], dict[str, int]] = {}
    after: dict[tuple[str, str], dict[str, int]] = {}
    for table, sets in ((schema.published, before), (schema.records, after)):
        columns = table.c.owner, table.c.rdtype, table.c.rdata, table.c.ttl
        for row in connection.execute(select(*columns).where(table.c.owner.in_(owners)).order_by(table.c.rdata)):
            sets.setdefault((row.owner, row.rdtype), {})[row.rdata] = row.ttl
    found: dict[str, list[Change]] = {owner: [] for owner in owners}
    for owner, rdtype in sorted(before.keys() | after.keys()):
        old, new = before.get((owner, rdtype), {}), after.get((owner, rdtype), {})
        change = Change(
            owner=OwnerName.parse(owner, wildcard=True),
            rdtype=rdtype,
            before=tuple(old),
            after=tuple(new),
            ttl=max(new.values(), default=0),
        )
        found[owner].append(change)
    return {owner: tuple(changes) for owner, changes in found.items()}


def note_sent(connection: Connection, changes: Iterable[Change], *, now: Moment) -> None:
    """From now on the server may have these records, and they are ours."""
    rows = [
        {
            "owner": change.owner.text,
            "sort_key": change.owner.sort_key,
            "rdtype": change.rdtype,
            "rdata": rdata,
            "ttl": change.ttl,
            "at": now,
        }
        for change in changes
        for rdata in change.after
        if rdata not in change.before
    ]
    if rows:
        connection.execute(insert(schema.published), rows)


def note_done(connection: Connection, groups: Iterable[Sequence[Change]], *, now: Moment) -> None:
    """The server holds what changes say, and no longer what they removed."""
    published = schema.published
    gone: list[dict[str, object]] = []
    stands: list[dict[str, object]] = []
    for changes in groups:
        for change in changes:
            place: dict[str, object] = {"in_owner": change.owner.text, "in_rdtype": change.rdtype}
            gone.extend(place | {"in_rdata": rdata} for rdata in change.removed)
            # What is new was noted as it stands when it was sent.
            kept = (rdata for rdata in change.after if rdata in change.before)
            stands.extend(place | {"in_rdata": rdata, "ttl": change.ttl, "at": now} for rdata in kept)
    same = and_(
        published.c.owner == bindparam("in_owner"),
        published.c.rdtype == bindparam("in_rdtype"),
        published.c.rdata == bindparam("in_rdata"),
    )
    if gone:
        connection.execute(delete(published).where(same), gone)
    if stands:
        connection.execute(update(published).where(same), stands)


def _names_in(connection: Connection, scope: Scope, *, after: str, limit: int) -> list[str]:
    """Names with records of ours, here or on the server, in tree order behind the sort key `after`."""
    tables = (schema.records, schema.published)
    parts = [
        select(table.c.sort_key, table.c.owner)
        .where(scope.condition(table.c.sort_key, after=after))
        .distinct()
        .order_by(table.c.sort_key)
        .limit(limit)
        .subquery()
        for table in tables
    ]
    both = select(parts[0]).union(select(parts[1])).subquery()
    query = select(both.c.owner).order_by(both.c.sort_key).limit(limit)
    return list(connection.execute(query).scalars())


def all_names(database: Database, scope: Scope, *, batch: int) -> Iterator[dict[str, tuple[Change, ...]]]:
    """For every name of ours what stands and shall stand, some at a time."""
    after = ""
    while True:
        with database.reading() as connection:
            names = _names_in(connection, scope, after=after, limit=batch)
            found = changes_of(connection, names)
        if found:
            yield found
        if len(names) < batch:
            return
        after = OwnerName.parse(names[-1], wildcard=True).sort_key
