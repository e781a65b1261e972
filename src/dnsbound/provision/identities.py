"""Identities: registering the public part of a client, and revoking it."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from dnsbound.errors import Misuse
from dnsbound.limits import RECORD_TTL
from dnsbound.names import ClientName
from dnsbound.provision import event_log, publication, schema
from dnsbound.provision.database import Database
from dnsbound.provision.entries import Identity, IdentityState, Record
from dnsbound.provision.errors import AlreadyInInventory, NotInInventory
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.public_key import admit_public_key, admit_tlsa, names_key, speaks_of
from dnsbound.records.tlsa import TLSA
from dnsbound.times import Moment

_BATCH = 1000
_IDENTIFYING = frozenset({"TLSA", "CNAME"})


class Identities:
    """The identities of one inventory."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def register(
        self, name: ClientName, *, spki: bytes, records: Iterable[TLSA], ttl: int | None, now: Moment, actor: str
    ) -> Identity:
        """Keep a client's public key and publish its records.

        spki: DER SubjectPublicKeyInfo; a private key in any form is refused. records: at least one; those that name the
        bare key must match it (RFC 7671 section 8: never only past or future keys). ttl: seconds, None for the zone's.
        AlreadyInInventory while an active identity has the name.
        """
        key = admit_public_key(spki)
        published = [admit_tlsa(record) for record in dict.fromkeys(records)]
        if not published:
            raise Misuse(f"an identity without a TLSA record could never log in: {name}")
        for record in published:
            if names_key(record) and not speaks_of(record, key):
                raise Misuse(f"the TLSA record {record.parameters} does not match the public key of {name}")
        owner = OwnerName.parse(name.canonical)
        with self._database.writing() as connection:
            if _active_id(connection, name) is not None:
                raise AlreadyInInventory(f"{name} is registered already; revoke it first, or choose another name")
            used_ttl = _ttl(connection, owner, ttl)
            identity_id = _insert(connection, owner, spki=key, ttl=used_ttl, now=now)
            for tlsa in published:
                record_here = publication.parse_record(owner, "TLSA", tlsa.to_text(), used_ttl)
                publication.add(connection, record_here, identity_id=identity_id)
            detail = {
                "ttl": used_ttl,
                "records": [tlsa.to_text() for tlsa in published],
                "spki_sha256": hashlib.sha256(key).hexdigest(),
            }
            event_log.append(connection, at=now, actor=actor, action="register", subject=name.canonical, detail=detail)
            return _read_one(connection, identity_id)

    def revoke(self, name: ClientName, *, reason: str = "", now: Moment, actor: str) -> Identity:
        """Remove every record that lets the name log in; final. NotInInventory when no active identity has the name.

        Records somebody else put at the same name (another TLSA, a CNAME) go too: after this the name means nobody.
        """
        owner = OwnerName.parse(name.canonical)
        with self._database.writing() as connection:
            identity_id = _active_id(connection, name)
            if identity_id is None:
                raise NotInInventory(f"{name} is not an active identity of the inventory")
            removed = publication.remove(connection, owner, _IDENTIFYING)
            connection.execute(
                update(schema.identities)
                .where(schema.identities.c.id == identity_id)
                .values(state=IdentityState.REVOKED.value, revoked_at=now)
            )
            detail = {"reason": reason, "records": [f"{record.rdtype} {record.rdata}" for record in removed]}
            event_log.append(connection, at=now, actor=actor, action="revoke", subject=name.canonical, detail=detail)
            return _read_one(connection, identity_id)

    def named(self, name: ClientName) -> Identity:
        """The active identity of a name, or else the one revoked last. NotInInventory when there never was one."""
        rows = schema.identities
        query = select(rows).where(rows.c.name == name.canonical).order_by(rows.c.state, rows.c.id.desc()).limit(1)
        with self._database.reading() as connection:
            row = connection.execute(query).one_or_none()
            if row is None:
                raise NotInInventory(f"{name} is not in the inventory")
            return _read(connection, [row])[0]

    def sharing(self, identity: Identity) -> list[ClientName]:
        """Other active names that are registered with the same key (draft-ietf-dance-client-auth section 12)."""
        rows = schema.identities
        query = (
            select(rows.c.name)
            .where(rows.c.spki == identity.spki, rows.c.state == IdentityState.ACTIVE.value)
            .where(rows.c.name != identity.name.canonical)
            .order_by(rows.c.id)
        )
        with self._database.reading() as connection:
            return [ClientName.parse(name) for name in connection.execute(query).scalars()]

    def all(self, *, below: OwnerName | None = None, state: IdentityState | None = None) -> Iterator[Identity]:
        """Identities in the order they were registered; at or below a name, in a state. Memory stays flat."""
        rows = schema.identities
        query = select(rows).order_by(rows.c.id).limit(_BATCH)
        if below is not None:
            start, end = below.below
            query = query.where(
                (rows.c.sort_key == below.sort_key) | ((rows.c.sort_key >= start) & (rows.c.sort_key < end))
            )
        if state is not None:
            query = query.where(rows.c.state == state.value)
        last = 0
        while True:
            with self._database.reading() as connection:
                rows_here = connection.execute(query.where(rows.c.id > last)).all()
                batch = _read(connection, rows_here)
            yield from batch
            if len(rows_here) < _BATCH:
                return
            last = rows_here[-1].id


def _insert(connection: Connection, owner: OwnerName, *, spki: bytes, ttl: int, now: Moment) -> int:
    row = {
        "name": owner.text,
        "sort_key": owner.sort_key,
        "spki": spki,
        "ttl": ttl,
        "state": IdentityState.ACTIVE.value,
        "registered_at": now,
    }
    return int(connection.execute(insert(schema.identities).returning(schema.identities.c.id), row).scalar_one())


def _active_id(connection: Connection, name: ClientName) -> int | None:
    rows = schema.identities
    query = select(rows.c.id).where(rows.c.name == name.canonical, rows.c.state == IdentityState.ACTIVE.value)
    return connection.execute(query).scalar_one_or_none()


def _read_one(connection: Connection, identity_id: int) -> Identity:
    rows = connection.execute(select(schema.identities).where(schema.identities.c.id == identity_id)).all()
    return _read(connection, rows)[0]


def _read(connection: Connection, rows: Sequence[Row[Any]]) -> list[Identity]:
    published: dict[int, list[Record]] = {row.id: [] for row in rows}
    query = select(schema.records).where(schema.records.c.identity_id.in_(published)).order_by(schema.records.c.id)
    for found in connection.execute(query):
        record = Record(
            owner=OwnerName.parse(found.owner, wildcard=True), rdtype=found.rdtype, rdata=found.rdata, ttl=found.ttl
        )
        published[found.identity_id].append(record)
    return [
        Identity(
            name=ClientName.parse(row.name),
            spki=row.spki,
            ttl=row.ttl,
            state=IdentityState(row.state),
            registered_at=row.registered_at,
            revoked_at=row.revoked_at,
            records=tuple(published[row.id]),
        )
        for row in rows
    ]


def _ttl(connection: Connection, owner: OwnerName, ttl: int | None) -> int:
    """What was asked for, else the default of the zone that serves the name, else of the package."""
    if ttl is not None:
        return RECORD_TTL.checked(ttl)
    zone = publication.zone_of(connection, owner)
    if zone is None:
        return RECORD_TTL.default
    return int(connection.execute(select(schema.zones.c.ttl).where(schema.zones.c.id == zone[0])).scalar_one())
