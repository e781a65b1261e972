"""Permissions to enrol, as the inventory keeps them: given, listed, taken back. Using one is in `enrolments`."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from dnsbound.errors import Misuse
from dnsbound.limits import ENROLMENT_SECONDS
from dnsbound.names import ClientName
from dnsbound.provision import event_log, registration, schema
from dnsbound.provision.database import Database
from dnsbound.provision.enrolment.permission import Permission, new_token, token_digest
from dnsbound.provision.entries import IdentityState, KeyState
from dnsbound.provision.errors import AlreadyInInventory, NotInInventory
from dnsbound.provision.owner import OwnerName
from dnsbound.times import Moment

_BATCH = 500
_DIGEST_OCTETS = 32


class Permissions:
    """Who may be enrolled."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def issue_token(
        self,
        name: ClientName,
        *,
        key_sha256: bytes | None = None,
        seconds: int | None = None,
        now: Moment,
        actor: str,
        reason: str = "",
    ) -> tuple[Permission, str]:
        """A one-time token for one exact name, and its text, which is kept nowhere. key_sha256: of the
        SubjectPublicKeyInfo that the device must prove beside it. seconds: how long it may be used. AlreadyInInventory
        while an active identity has the name."""
        token = new_token()
        made = self._add(
            name, token_digest(token), key_sha256, None, seconds=seconds, now=now, actor=actor, reason=reason
        )
        return made, token

    def expect(
        self,
        name: ClientName,
        *,
        key_sha256: bytes | None = None,
        maker: ClientName | None = None,
        seconds: int | None = None,
        now: Moment,
        actor: str,
        reason: str = "",
    ) -> Permission:
        """Let a device enrol without a token: by a key that it proves, or by the name its maker gave it, which it
        authenticates by DANE; by both where both are given."""
        if key_sha256 is None and maker is None:
            raise Misuse("say by what the device is known: its key, or its maker's name for it")
        return self._add(name, None, key_sha256, maker, seconds=seconds, now=now, actor=actor, reason=reason)

    def expect_tagged(
        self, tag: str, *, below: OwnerName, seconds: int | None = None, now: Moment, actor: str, reason: str = ""
    ) -> Iterator[Permission]:
        """Expect every active identity with a tag by its present key, under its own first label below another name;
        what was given comes back as it is committed. Names that somebody is registered or expected under are passed
        over, so that a list may be worked through again. Memory stays flat."""
        until = now + ENROLMENT_SECONDS.checked(seconds)
        last = 0
        while True:
            with self._database.writing() as connection:
                batch = _tagged(connection, tag, after=last)
                made = []
                for _, name, key_sha256 in batch:
                    client = ClientName.parse(f"{name.partition('.')[0]}.{below.text}")
                    if _is_free(connection, client, now=now):
                        permission = _insert(connection, client, None, key_sha256, None, now=now, until=until)
                        _tell(connection, "permit-enrolment", permission, now=now, actor=actor, reason=reason)
                        made.append(permission)
            yield from made
            if len(batch) < _BATCH:
                return
            last = batch[-1][0]

    def all(self, *, name: ClientName | None = None) -> Iterator[Permission]:
        """Permissions in the order they were given, used ones too; of one name, or of all. Memory stays flat."""
        rows = schema.enrolment_tokens
        query = select(rows).order_by(rows.c.id).limit(_BATCH)
        if name is not None:
            query = query.where(rows.c.name == name.canonical)
        last = 0
        while True:
            with self._database.reading() as connection:
                batch = connection.execute(query.where(rows.c.id > last)).all()
            yield from map(permission_of, batch)
            if len(batch) < _BATCH:
                return
            last = batch[-1].id

    def cancel(self, number: int, *, now: Moment, actor: str, reason: str = "") -> Permission:
        """Take a permission back. NotInInventory when there is none of this number; Misuse once it was used: what it
        led to is an identity, which can be revoked."""
        rows = schema.enrolment_tokens
        with self._database.writing() as connection:
            row = connection.execute(select(rows).where(rows.c.id == number)).one_or_none()
            if row is None:
                raise NotInInventory(f"there is no permission number {number}")
            permission = permission_of(row)
            if permission.used_at is not None:
                raise Misuse(f"permission {number} was used: revoke {permission.name} instead")
            connection.execute(delete(rows).where(rows.c.id == number))
            _tell(connection, "cancel-enrolment", permission, now=now, actor=actor, reason=reason)
            return permission

    def _add(
        self,
        name: ClientName,
        digest: bytes | None,
        key_sha256: bytes | None,
        maker: ClientName | None,
        *,
        seconds: int | None,
        now: Moment,
        actor: str,
        reason: str,
    ) -> Permission:
        if key_sha256 is not None and len(key_sha256) != _DIGEST_OCTETS:
            raise Misuse("a key is named by its SHA-256, which is 32 octets")
        until = now + ENROLMENT_SECONDS.checked(seconds)
        with self._database.writing() as connection:
            if registration.active_id(connection, name) is not None:
                raise AlreadyInInventory(f"{name} is registered already: its device renews its key, or revoke it first")
            made = _insert(connection, name, digest, key_sha256, maker, now=now, until=until)
            _tell(connection, "permit-enrolment", made, now=now, actor=actor, reason=reason)
            return made


def _insert(
    connection: Connection,
    name: ClientName,
    digest: bytes | None,
    key_sha256: bytes | None,
    maker: ClientName | None,
    *,
    now: Moment,
    until: Moment,
) -> Permission:
    row = {
        "digest": digest,
        "name": name.canonical,
        "key_sha256": key_sha256,
        "maker": None if maker is None else maker.canonical,
        "created_at": now,
        "expires_at": until,
    }
    rows = schema.enrolment_tokens
    return permission_of(connection.execute(insert(rows).returning(rows), row).one())


def _tagged(connection: Connection, tag: str, *, after: int) -> list[tuple[int, str, bytes]]:
    """Row, name and SHA-256 of the present key of the next identities with a tag."""
    identities, keys, tags = schema.identities, schema.keys, schema.tags
    query = (
        select(identities.c.id, identities.c.name, keys.c.spki_sha256)
        .join(tags, tags.c.identity_id == identities.c.id)
        .join(keys, keys.c.identity_id == identities.c.id)
        .where(tags.c.tag == tag, identities.c.state == IdentityState.ACTIVE.value, identities.c.id > after)
        .where(keys.c.state == KeyState.CURRENT.value)
        .order_by(identities.c.id)
        .limit(_BATCH)
    )
    return [(row.id, row.name, row.spki_sha256) for row in connection.execute(query)]


def _is_free(connection: Connection, name: ClientName, *, now: Moment) -> bool:
    """Nobody is registered under the name, and nobody expected."""
    rows = schema.enrolment_tokens
    expected = select(rows.c.id).where(rows.c.name == name.canonical, rows.c.used_at.is_(None), rows.c.expires_at > now)
    if connection.execute(expected.limit(1)).first() is not None:
        return False
    return registration.active_id(connection, name) is None


def permission_of(row: Row[Any]) -> Permission:
    return Permission(
        number=row.id,
        name=ClientName.parse(row.name),
        by_token=row.digest is not None,
        key_sha256=row.key_sha256,
        maker=None if row.maker is None else ClientName.parse(row.maker),
        created_at=row.created_at,
        expires_at=row.expires_at,
        used_at=row.used_at,
        used_by=row.used_by,
    )


def _tell(connection: Connection, action: str, permission: Permission, *, now: Moment, actor: str, reason: str) -> None:
    detail = {
        "number": permission.number,
        "token": permission.by_token,
        "key_sha256": None if permission.key_sha256 is None else permission.key_sha256.hex(),
        "maker": None if permission.maker is None else permission.maker.canonical,
        "expires_at": permission.expires_at,
    }
    event_log.append(
        connection,
        at=now,
        actor=actor,
        action=action,
        subject=permission.name.canonical,
        detail=detail,
        reason=reason,
    )
