"""Using a permission: the one transaction that checks it, uses it up, registers the identity and publishes its record.

A permission is used once, whichever processes try at the same moment: the inventory has one writer at a time, and the
permission is marked in the transaction that registers. Whoever was enrolled may ask again with the same key, after an
answer that was lost, and gets the same identity; no other key ever does. Who the requester is, is judged by the caller,
who says what was proved (`Requester`).
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from sqlalchemy import Connection, or_, select, update

from dnsbound.credential.association import tlsa_for_spki
from dnsbound.errors import LimitExceeded, Misuse, Reason, Undecided
from dnsbound.names import ClientName
from dnsbound.provision import event_log, keys, publication, registration, schema
from dnsbound.provision.database import Database
from dnsbound.provision.enrolment.permission import Permission, PermissionState, key_digest, token_digest
from dnsbound.provision.enrolment.permissions import permission_of
from dnsbound.provision.enrolment.refusal import Because, EnrolmentRefused
from dnsbound.provision.entries import Identity, IdentityState, KeyState
from dnsbound.provision.identities import read_one
from dnsbound.provision.owner import OwnerName
from dnsbound.times import Moment, Seconds, iso

CLOCK_TOLERANCE: Seconds = 300.0
"""How far this machine's clock may be behind that of whoever last changed the inventory. A clock further back would
bring ended permissions to life."""
_CANDIDATES = 16
_USEFUL = (PermissionState.OPEN, PermissionState.EXPIRED, PermissionState.USED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Requester:
    """Who asks for a name, and what was proved. Nothing here is believed that the caller did not verify."""

    token: str | None = field(default=None, repr=False)
    proved_keys: frozenset[bytes] = frozenset()
    """SHA-256 of each SubjectPublicKeyInfo whose private key was used, in the handshake or to sign the request."""
    maker: ClientName | None = None
    """The name under which the requester was authenticated by DANE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """What came of it."""

    identity: Identity
    again: bool
    """It was enrolled before, with this very key; nothing was changed."""


class Enrolments:
    """Enrolling devices."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def enrol(
        self,
        requester: Requester,
        name: ClientName,
        *,
        spki: bytes,
        certificate: bytes | None = None,
        ttl: int | None = None,
        elsewhere: Collection[OwnerName] | None = (),
        now: Moment,
        actor: str,
        reason: str = "",
    ) -> Enrolled:
        """Register the key under the name and publish `3 1 1`, if the requester may have that.

        spki: DER of the key that signed the request. certificate: DER of a leaf to be kept with it. elsewhere: zones
        that are published to, besides those of the inventory itself; None for names in any zone.
        EnrolmentRefused; Undecided(CLOCK) when this machine's clock cannot be believed.
        """
        record = tlsa_for_spki(spki)
        new = registration.Registration.checked(name, spki=spki, records=[record], ttl=ttl, certificate=certificate)
        digest = key_digest(spki)
        with self._database.writing() as connection:
            _check_clock(connection, now)
            candidates = _permissions(connection, requester, name, digest)
            identity_id = registration.active_id(connection, name)
            if identity_id is not None and _was_enrolled(connection, identity_id, candidates, digest):
                return Enrolled(identity=read_one(connection, identity_id), again=True)
            permission = min(candidates, key=lambda candidate: _USEFUL.index(candidate.state(now)))
            _check_open(permission, requester, digest, now=now)
            _check_name(connection, permission, elsewhere)
            rows = schema.enrolment_tokens
            used = {"used_at": now, "used_by": digest.hex()}
            connection.execute(update(rows).where(rows.c.id == permission.number).values(**used))
            try:
                identity_id = registration.register(connection, new, now=now, actor=actor, reason=reason)
            except (Misuse, LimitExceeded) as error:
                raise EnrolmentRefused(Because.NO_ROOM, str(error)) from error
            event_log.append(
                connection,
                at=now,
                actor=actor,
                action="enrol",
                subject=name.canonical,
                detail={"number": permission.number, "spki_sha256": digest.hex(), "by": _by(permission)},
                reason=reason,
            )
            return Enrolled(identity=read_one(connection, identity_id), again=False)

    def is_expected(self, name: ClientName, *, now: Moment) -> bool:
        """Whether a device of this name may log in here: it is registered, or some permission names it as its maker's
        name for the device."""
        permissions = schema.enrolment_tokens
        with self._database.reading() as connection:
            if registration.active_id(connection, name) is not None:
                return True
            query = select(permissions.c.id).where(
                permissions.c.maker == name.canonical,
                or_(permissions.c.used_at.is_not(None), permissions.c.expires_at > now),
            )
            return connection.execute(query.limit(1)).first() is not None


def _permissions(connection: Connection, requester: Requester, name: ClientName, key: bytes) -> list[Permission]:
    """Those that the requester can show, the newest first; one at least."""
    rows = schema.enrolment_tokens
    query = select(rows).where(rows.c.name == name.canonical).order_by(rows.c.id.desc()).limit(_CANDIDATES)
    if requester.token is not None:
        digest = token_digest(requester.token)
        if digest is None:
            raise EnrolmentRefused(Because.NOT_AUTHORISED, "what was given is no token")
        query = query.where(rows.c.digest == digest)
    else:
        maker = None if requester.maker is None else requester.maker.canonical
        query = query.where(
            rows.c.digest.is_(None),
            or_(rows.c.key_sha256.is_(None), rows.c.key_sha256.in_(requester.proved_keys | {key})),
            or_(rows.c.maker.is_(None), rows.c.maker == maker),
        )
    found = [permission_of(row) for row in connection.execute(query)]
    if not found:
        raise EnrolmentRefused(Because.NOT_AUTHORISED, f"nobody is expected under {name} by what was proved")
    return found


def _was_enrolled(connection: Connection, identity_id: int, candidates: Iterable[Permission], digest: bytes) -> bool:
    """The same device asks again, and its key is still the name's."""
    return any(candidate.used_by == digest.hex() for candidate in candidates) and any(
        key.state is KeyState.CURRENT and key_digest(key.spki) == digest
        for key in keys.of(connection, [identity_id])[identity_id]
    )


def _check_open(permission: Permission, requester: Requester, digest: bytes, *, now: Moment) -> None:
    if permission.used_at is not None:
        raise EnrolmentRefused(Because.USED, f"permission {permission.number} was used")
    if now >= permission.expires_at:
        ended = iso(permission.expires_at)
        raise EnrolmentRefused(Because.EXPIRED, f"permission {permission.number} ended at {ended}")
    if permission.key_sha256 is not None and permission.key_sha256 not in {*requester.proved_keys, digest}:
        raise EnrolmentRefused(Because.ANOTHER_KEY, f"permission {permission.number} is bound to another key")


def _check_name(connection: Connection, permission: Permission, elsewhere: Collection[OwnerName] | None) -> None:
    """Whether the name can be given out, which may have changed since it was promised."""
    name = permission.name
    identities, blocks = schema.identities, schema.blocks
    if registration.active_id(connection, name) is not None:
        raise EnrolmentRefused(Because.REGISTERED, f"{name} is registered already")
    revoked = select(identities.c.id).where(
        identities.c.name == name.canonical,
        identities.c.state == IdentityState.REVOKED.value,
        identities.c.revoked_at >= permission.created_at,
    )
    if connection.execute(revoked.limit(1)).first() is not None:
        raise EnrolmentRefused(Because.REVOKED, f"{name} was revoked after the permission had been given")
    if connection.execute(select(blocks.c.owner).where(blocks.c.owner == name.canonical)).first() is not None:
        raise EnrolmentRefused(Because.BLOCKED, f"a blocking record stands at {name}")
    owner = OwnerName.parse(name.canonical)
    if elsewhere is None or any(owner.is_at_or_below(zone) for zone in elsewhere):
        return
    if publication.zone_of(connection, owner) is None:
        raise EnrolmentRefused(Because.NO_ZONE, f"no zone that is published from here holds {name}")


def _check_clock(connection: Connection, now: Moment) -> None:
    rows = schema.events
    last = connection.execute(select(rows.c.at).order_by(rows.c.id.desc()).limit(1)).scalar_one_or_none()
    if last is not None and now < last - CLOCK_TOLERANCE:
        raise Undecided(Reason.CLOCK, f"the inventory was changed at {iso(last)}, and this clock shows {iso(now)}")


def _by(permission: Permission) -> str:
    if permission.by_token:
        return "token"
    return "key" if permission.maker is None else f"maker {permission.maker.canonical}"
