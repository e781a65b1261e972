"""Identities: changing one, finding and listing them.

Changes that share a transaction with others are in `dnsbound.provision.registration`.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, select

from dnsbound.names import ClientName
from dnsbound.provision import keys, registration, schema
from dnsbound.provision.database import Database
from dnsbound.provision.entries import Identity, IdentityState, KeyState, Record
from dnsbound.provision.errors import NotInInventory
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.registration import Registration
from dnsbound.provision.tree_order import BEGINNING, page_after
from dnsbound.records.tlsa import TLSA
from dnsbound.times import Moment

_BATCH = 1000


class Identities:
    """The identities of one inventory."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def register(
        self,
        name: ClientName,
        *,
        spki: bytes,
        records: Iterable[TLSA],
        ttl: int | None,
        now: Moment,
        actor: str,
        reason: str = "",
        owner: str = "",
        tags: Iterable[str] = (),
        certificate: bytes | None = None,
    ) -> Identity:
        """Keep a client's public key and publish its records.

        spki, certificate: DER; a private key in any form is refused. records: at least one; those that name the bare
        key must match it (RFC 7671 section 8: never only past or future keys). ttl: seconds, None for the zone's.
        AlreadyInInventory while an active identity has the name.
        """
        new = Registration.checked(
            name, spki=spki, records=records, ttl=ttl, owner=owner, tags=tags, certificate=certificate
        )
        return self._changed(
            lambda connection: registration.register(connection, new, now=now, actor=actor, reason=reason)
        )

    def revoke(self, name: ClientName, *, reason: str = "", now: Moment, actor: str) -> Identity:
        """Remove every record that lets the name log in; final. NotInInventory when no active identity has the name.

        Records somebody else put at the same name (another TLSA, a CNAME) go too: after this the name means nobody.
        """
        return self._changed(
            lambda connection: registration.revoke(connection, name, now=now, actor=actor, reason=reason)
        )

    def tag(self, name: ClientName, tags: Iterable[str], *, now: Moment, actor: str, reason: str = "") -> Identity:
        """Add tags to an active identity; those it has already stay. NotInInventory, LimitExceeded."""
        return self._changed(
            lambda connection: registration.tag(connection, name, tags, now=now, actor=actor, reason=reason)
        )

    def untag(self, name: ClientName, tags: Iterable[str], *, now: Moment, actor: str, reason: str = "") -> Identity:
        """Take tags from an active identity. NotInInventory when it lacks one of them."""
        return self._changed(
            lambda connection: registration.untag(connection, name, tags, now=now, actor=actor, reason=reason)
        )

    def set_owner(self, name: ClientName, owner: str, *, now: Moment, actor: str, reason: str = "") -> Identity:
        """Say which organisation or person answers for an active identity; empty for nobody known. NotInInventory."""
        return self._changed(
            lambda connection: registration.set_owner(connection, name, owner, now=now, actor=actor, reason=reason)
        )

    def _changed(self, change: Callable[[Connection], int]) -> Identity:
        with self._database.writing() as connection:
            return read_one(connection, change(connection))

    def named(self, name: ClientName) -> Identity:
        """The active identity of a name, or else the one revoked last. NotInInventory when there never was one."""
        rows = schema.identities
        # Sort keys have an index of all identities, names only one of the active ones.
        key = OwnerName.parse(name.canonical).sort_key
        query = select(rows).where(rows.c.sort_key == key).order_by(rows.c.state, rows.c.id.desc()).limit(1)
        with self._database.reading() as connection:
            row = connection.execute(query).one_or_none()
            if row is None:
                raise NotInInventory(f"{name} is not in the inventory")
            return read(connection, [row])[0]

    def sharing(self, identity: Identity) -> list[ClientName]:
        """Other active names that may log in with a key of its, the next one too (draft-ietf-dance-client-auth section
        12). Of a revoked identity: the names that its key still stands under."""
        rows, of = schema.identities, schema.keys
        digests = {hashlib.sha256(key.spki).digest() for key in (identity.key, identity.next_key) if key is not None}
        query = (
            select(rows.c.name, func.min(rows.c.id))
            .join(of, of.c.identity_id == rows.c.id)
            .where(of.c.spki_sha256.in_(digests), of.c.state != KeyState.RETIRED.value)
            .where(rows.c.state == IdentityState.ACTIVE.value, rows.c.name != identity.name.canonical)
            .group_by(rows.c.name)
            .order_by(func.min(rows.c.id))
        )
        with self._database.reading() as connection:
            return [ClientName.parse(name) for name in connection.execute(query).scalars()]

    def all(
        self,
        *,
        below: OwnerName | None = None,
        state: IdentityState | None = None,
        owner: str | None = None,
        tag: str | None = None,
        spki_sha256: bytes | None = None,
    ) -> Iterator[Identity]:
        """Identities in the order they were registered, or in tree order when those below a name are asked for.
        Memory stays flat, and no transaction is held meanwhile.

        below: at or below a name. owner, tag: with exactly this one. spki_sha256: that have or had the key.
        """
        rows, tags = schema.identities, schema.tags
        query = select(rows).limit(_BATCH)
        if state is not None:
            query = query.where(rows.c.state == state.value)
        if owner is not None:
            query = query.where(rows.c.owner == owner)
        if spki_sha256 is not None:
            holders = select(schema.keys.c.identity_id).where(schema.keys.c.spki_sha256 == spki_sha256)
            query = query.where(rows.c.id.in_(holders))
        numbers = [rows.c.id]
        if tag is not None:
            query = query.join(tags, tags.c.identity_id == rows.c.id).where(tags.c.tag == tag)
            # The index of tags has the identities of one in this order. Both tables get the lower bound: PostgreSQL
            # merges them, and would begin at the first identity for every page.
            numbers = [tags.c.identity_id, rows.c.id]
        query = query.order_by(numbers[0]) if below is None else query.order_by(rows.c.sort_key, rows.c.id)
        last = BEGINNING
        while True:
            if below is None:
                page = query.where(*(number > last[1] for number in numbers))
            else:
                page = query.where(page_after(last, rows.c.sort_key, rows.c.id, below))
            with self._database.reading() as connection:
                found = connection.execute(page).all()
                batch = read(connection, found)
            yield from batch
            if len(found) < _BATCH:
                return
            last = (found[-1].sort_key, found[-1].id)


def read_one(connection: Connection, identity_id: int) -> Identity:
    """The identity of a row that is known to exist."""
    rows = connection.execute(select(schema.identities).where(schema.identities.c.id == identity_id)).all()
    return read(connection, rows)[0]


def read(connection: Connection, rows: Sequence[Row[Any]]) -> list[Identity]:
    """The identities of these rows of `schema.identities`, with their keys, tags and records."""
    published: dict[int, list[Record]] = {row.id: [] for row in rows}
    query = select(schema.records).where(schema.records.c.identity_id.in_(published)).order_by(schema.records.c.id)
    for found in connection.execute(query):
        record = Record(
            owner=OwnerName.parse(found.owner, wildcard=True), rdtype=found.rdtype, rdata=found.rdata, ttl=found.ttl
        )
        published[found.identity_id].append(record)
    tagged: dict[int, set[str]] = {row.id: set() for row in rows}
    for found in connection.execute(select(schema.tags).where(schema.tags.c.identity_id.in_(tagged))):
        tagged[found.identity_id].add(found.tag)
    keys_of = keys.of(connection, published)
    return [
        Identity(
            name=ClientName.parse(row.name),
            owner=row.owner,
            keys=tuple(keys_of[row.id]),
            ttl=row.ttl,
            state=IdentityState(row.state),
            tags=frozenset(tagged[row.id]),
            registered_at=row.registered_at,
            revoked_at=row.revoked_at,
            records=tuple(published[row.id]),
        )
        for row in rows
    ]
