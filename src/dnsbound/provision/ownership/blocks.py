"""Blocks: names below a wildcard that it must not speak for, each with a record that matches no key.

Revoking an identity below a wildcard puts the block in the same transaction (`dnsbound.provision.registration`); a
device that only the authority behind the wildcard knows is blocked here. A blocked name takes no other record until the
block is lifted. Sections: RFC 4592 section 2.2.1; docs/decisions/0010.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, insert, select

from dnsbound.errors import Misuse
from dnsbound.names import ClientName
from dnsbound.provision import event_log, publication, schema, tree_order
from dnsbound.provision.database import Database
from dnsbound.provision.entries import IdentityState, Record
from dnsbound.provision.errors import AlreadyInInventory, NotInInventory
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.ownership.wildcards import silenced_by, wildcards_above
from dnsbound.provision.public_key import admit_text
from dnsbound.times import Moment

_BATCH: Final = 1000
_TLSA: Final = frozenset({"TLSA"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A name that nobody logs in under."""

    name: ClientName
    wildcard: OwnerName | None
    """The nearest wildcard that would speak for the name; None where none was known when it was blocked."""
    reason: str
    since: Moment


class Blocks:
    """The blocked names of one inventory."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def block(self, name: ClientName, *, now: Moment, actor: str, reason: str = "") -> Block:
        """Publish a block at a name that has no records, whether or not any wildcard is known to speak for it.

        Misuse where the name has records: an identity is revoked instead, other records are withdrawn first.
        AlreadyInInventory when it is blocked.
        """
        owner = OwnerName.parse(name.canonical)
        with self._database.writing() as connection:
            if _row(connection, owner) is not None:
                raise AlreadyInInventory(f"{name} is blocked already")
            present = publication.records_at(connection, owner)
            if present:
                raise Misuse(f"{name} has {present[0].rdtype} records: revoke the identity, or withdraw them, first")
            wildcard = next(iter(wildcards_above(connection, owner)), None)
            put(connection, owner, wildcard, now=now, reason=reason)
            detail: dict[str, object] = {"wildcard": None if wildcard is None else wildcard.text}
            event_log.append(
                connection, at=now, actor=actor, action="block", subject=owner.text, detail=detail, reason=reason
            )
            return Block(name=name, wildcard=wildcard, reason=reason, since=now)

    def lift(self, name: ClientName, *, now: Moment, actor: str, reason: str = "") -> Block:
        """Take a block away: a wildcard above speaks for the name again. What was lifted; NotInInventory."""
        owner = OwnerName.parse(name.canonical)
        with self._database.writing() as connection:
            row = withdraw(connection, owner, now=now)
            if row is None:
                raise NotInInventory(f"{name} is not blocked")
            event_log.append(
                connection, at=now, actor=actor, action="unblock", subject=owner.text, detail={}, reason=reason
            )
            return _block(row)

    def at(self, name: ClientName) -> Block | None:
        """The block of a name, or None."""
        with self._database.reading() as connection:
            row = _row(connection, OwnerName.parse(name.canonical))
        return None if row is None else _block(row)

    def all(self, *, below: OwnerName | None = None) -> Iterator[Block]:
        """Blocks in the order of names. Memory stays flat."""
        rows = schema.blocks
        key = rows.c.sort_key
        last = ""
        while True:
            page = key > last if below is None else tree_order.below(key, below, after=last)
            with self._database.reading() as connection:
                found = connection.execute(select(rows).where(page).order_by(key).limit(_BATCH)).all()
            yield from map(_block, found)
            if len(found) < _BATCH:
                return
            last = found[-1].sort_key

    def wildcards_above(self, name: ClientName) -> list[OwnerName]:
        """Wildcards of the inventory that could come to speak for the name, nearest first."""
        with self._database.reading() as connection:
            return wildcards_above(connection, OwnerName.parse(name.canonical))

    def silenced_by(self, name: ClientName) -> list[OwnerName]:
        """Names between this one and its wildcard that a record here would silence the wildcard for, with all below."""
        with self._database.reading() as connection:
            return silenced_by(connection, OwnerName.parse(name.canonical))


def put(connection: Connection, owner: OwnerName, wildcard: OwnerName | None, *, now: Moment, reason: str) -> None:
    """Publish a block at a name, in the transaction of whoever tells of it. Misuse where identities are active."""
    rows = schema.identities
    active = select(rows.c.id).where(rows.c.name == owner.text, rows.c.state == IdentityState.ACTIVE.value)
    if connection.execute(active).first() is not None:
        raise Misuse(f"{owner} is an active identity: revoke it")
    record = Record(owner=owner, rdtype="TLSA", rdata=publication.BLOCK_DATA, ttl=publication.ttl_at(connection, owner))
    publication.add(connection, record, now=now)
    row = {
        "owner": owner.text,
        "sort_key": owner.sort_key,
        "wildcard": "" if wildcard is None else wildcard.text,
        "reason": admit_text(reason, "reason"),
        "since": now,
    }
    connection.execute(insert(schema.blocks), row)


def withdraw(connection: Connection, owner: OwnerName, *, now: Moment) -> Row[Any] | None:
    """Take a block away, in the transaction of whoever tells of it; the row it had, or None where there was none."""
    row = _row(connection, owner)
    if row is not None:
        publication.remove(connection, owner, _TLSA, publication.BLOCK_DATA, now=now)
        connection.execute(delete(schema.blocks).where(schema.blocks.c.owner == owner.text))
    return row


def _row(connection: Connection, owner: OwnerName) -> Row[Any] | None:
    return connection.execute(select(schema.blocks).where(schema.blocks.c.owner == owner.text)).one_or_none()


def _block(row: Row[Any]) -> Block:
    return Block(
        name=ClientName.parse(row.owner),
        wildcard=OwnerName.parse(row.wildcard, wildcard=True) if row.wildcard else None,
        reason=row.reason,
        since=row.since,
    )
