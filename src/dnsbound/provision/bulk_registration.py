"""Registering many identities in one transaction, with a handful of statements for all of them.

The outcome is that of `registration.register` for one after the other, and both are made of the same rules and rows; a
property test holds them together. What differs: the serial of a zone moves on once for all of them.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from dnsbound.errors import DnsboundError
from dnsbound.provision import event_log, keys, publication, schema
from dnsbound.provision.entries import IdentityState, KeyState, Record
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.registration import Registration, already_registered
from dnsbound.provision.surroundings import Surroundings, rows_in
from dnsbound.times import Moment


def register_all(
    connection: Connection, batch: Sequence[Registration], *, now: Moment, actor: str, reason: str = ""
) -> list[DnsboundError | None]:
    """Keep these identities and publish their records; of each, why it could not be, or None.

    One that cannot be leaves the others as they are. On a writing transaction; batches of some thousands at most.
    """
    owners = [OwnerName.parse(new.name.canonical) for new in batch]
    around = Surroundings.read(connection, owners)
    active = set(_active(connection, [owner.text for owner in owners]))
    outcomes: list[DnsboundError | None] = []
    admitted: list[_Admitted] = []
    for new, owner in zip(batch, owners, strict=True):
        try:
            if owner.text in active:
                raise already_registered(new.name)
            ttl = around.ttl_at(owner, new.ttl)
            key = keys.row_of(0, spki=new.spki, state=KeyState.CURRENT, certificate=new.certificate, now=now)
            published = new.published(ttl)
            around.add(owner, [record for record, _ in published])
        except DnsboundError as error:
            outcomes.append(error)
            continue
        active.add(owner.text)
        admitted.append(_Admitted(new=new, ttl=ttl, key=key, published=published))
        outcomes.append(None)
    if admitted:
        _insert(connection, admitted, around, now=now)
        told = [(one.new.name.canonical, one.new.told(one.ttl)) for one in admitted]
        event_log.append_all(connection, told, at=now, actor=actor, action="register", reason=reason)
    return outcomes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Admitted:
    new: Registration
    ttl: int
    key: dict[str, object]
    """Its row, still without the identity's number."""
    published: list[tuple[Record, bool]]


def _insert(connection: Connection, admitted: Sequence[_Admitted], around: Surroundings, *, now: Moment) -> None:
    connection.execute(insert(schema.identities), [one.new.row(ttl=one.ttl, now=now) for one in admitted])
    numbers = _active(connection, [one.new.name.canonical for one in admitted])
    identity_ids = [numbers[one.new.name.canonical] for one in admitted]
    keyed = [one.key | {"identity_id": number} for number, one in zip(identity_ids, admitted, strict=True)]
    connection.execute(insert(schema.keys), keyed)
    of = schema.keys.c
    found = rows_in(connection, select(of.id, of.identity_id), of.identity_id, identity_ids)
    key_of = {row.identity_id: row.id for row in found}  # a new identity has one key
    published = [
        publication.row_of(record, identity_id=identity_id, key_id=key_of[identity_id] if of_key else None)
        for identity_id, one in zip(identity_ids, admitted, strict=True)
        for record, of_key in one.published
    ]
    connection.execute(insert(schema.records), published)
    tags = [
        {"identity_id": number, "tag": tag}
        for number, one in zip(identity_ids, admitted, strict=True)
        for tag in sorted(one.new.tags)
    ]
    if tags:
        connection.execute(insert(schema.tags), tags)
    _make_known(connection, (record for one in admitted for record, _ in one.published), around, now=now)


def _make_known(connection: Connection, records: Iterable[Record], around: Surroundings, *, now: Moment) -> None:
    """One TTL for each RRset, a new serial for each zone here, a row of the outbox for each name that none serves."""
    waiting: Counter[OwnerName] = Counter()
    zones: set[int] = set()
    beside: dict[str, int] = {}
    for record in records:
        zone = around.zone_of(record.owner)
        if zone is None:
            waiting[record.owner] += 1
        else:
            zones.add(zone.id)
        if any(standing.ttl != record.ttl for standing in around.at(record.owner) if standing.rdtype == record.rdtype):
            beside[record.owner.text] = record.ttl
    for owner, ttl in beside.items():
        same = (schema.records.c.owner == owner) & (schema.records.c.rdtype == "TLSA")
        connection.execute(update(schema.records).where(same).values(ttl=ttl))
    for zone_id in sorted(zones):
        publication.touch(connection, zone_id)
    _queue_all(connection, waiting, now=now)


def _queue_all(connection: Connection, waiting: Counter[OwnerName], *, now: Moment) -> None:
    rows = schema.outbox
    there = {row.owner for row in rows_in(connection, select(rows.c.owner), rows.c.owner, [o.text for o in waiting])}
    new = [
        publication.waiting_row(owner, changes=changes, now=now)
        for owner, changes in waiting.items()
        if owner.text not in there
    ]
    if new:
        connection.execute(insert(rows), new)
    for owner, changes in waiting.items():
        if owner.text in there:
            more = update(rows).where(rows.c.owner == owner.text).values(changes=rows.c.changes + changes)
            connection.execute(more)


def _active(connection: Connection, names: Iterable[str]) -> dict[str, int]:
    """The rows of the active identities of these names."""
    rows = schema.identities.c
    query = select(rows.id, rows.name).where(rows.state == IdentityState.ACTIVE.value)
    return {row.name: row.id for row in rows_in(connection, query, rows.name, names)}
