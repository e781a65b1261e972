"""Registering and revoking identities, on a writing transaction: whoever changes many at once shares one.

Each function makes the whole change and its event, or raises and leaves undoing to the transaction. Searching and
reading are in `dnsbound.provision.identities`.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, delete, insert, select, update

from dnsbound.errors import LimitExceeded, Misuse
from dnsbound.iana import Selector, Usage
from dnsbound.limits import RECORD_TTL, TAG_LENGTH, TAGS_PER_IDENTITY
from dnsbound.names import ClientName
from dnsbound.provision import event_log, keys, publication, schema
from dnsbound.provision.entries import IdentityState, KeyState, Record
from dnsbound.provision.errors import AlreadyInInventory, NotInInventory
from dnsbound.provision.lifecycle.deployment import Deployment
from dnsbound.provision.lifecycle.revocation import end_roll
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.ownership import blocks, transfer
from dnsbound.provision.ownership.wildcards import wildcards_above
from dnsbound.provision.public_key import admit_public_key, admit_text, admit_tlsa
from dnsbound.records.tlsa import TLSA
from dnsbound.times import Moment

IDENTIFYING: Final = frozenset({"TLSA", "CNAME"})
"""Types of records that let a name log in."""

_TAG: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@=+-]*")
OF_END_ENTITIES: Final = frozenset({Usage.DANE_EE, Usage.PKIX_EE})
"""Usages of records that stand for one key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What is said of an identity when it is registered, checked as far as that needs no inventory."""

    name: ClientName
    spki: bytes
    """DER SubjectPublicKeyInfo."""
    records: tuple[TLSA, ...]
    ttl: int | None
    """Seconds; None for the zone's."""
    owner: str
    tags: frozenset[str]
    certificate: bytes | None
    """DER of the leaf."""

    @classmethod
    def checked(
        cls,
        name: ClientName,
        *,
        spki: bytes,
        records: Iterable[TLSA],
        ttl: int | None = None,
        owner: str = "",
        tags: Iterable[str] = (),
        certificate: bytes | None = None,
    ) -> "Registration":
        """spki: a private key in any form is refused. records: at least one; those of usages 1 and 3 must match the key
        or the certificate (RFC 7671 section 8: never only past or future keys), those of authorities are believed.
        Malformed, Misuse."""
        key = admit_public_key(spki)
        published = tuple(admit_tlsa(record) for record in dict.fromkeys(records))
        if not published:
            raise Misuse(f"an identity without a TLSA record could never log in: {name}")
        deployed = Deployment(spki=key, chain=() if certificate is None else (certificate,))
        for record in published:
            if record.usage in OF_END_ENTITIES and not deployed.matches(record):
                what = "certificate" if record.selector == Selector.CERT else "public key"
                raise Misuse(f"the TLSA record {record.parameters} does not match the {what} of {name}")
        return cls(
            name=name,
            spki=key,
            records=published,
            ttl=None if ttl is None else RECORD_TTL.checked(ttl),
            owner=admit_text(owner, "owner"),
            tags=admit_tags(tags),
            certificate=certificate,
        )

    def row(self, *, ttl: int, now: Moment) -> dict[str, object]:
        """As a row of `schema.identities`."""
        owner = OwnerName.parse(self.name.canonical)
        return {
            "name": owner.text,
            "sort_key": owner.sort_key,
            "owner": self.owner,
            "ttl": ttl,
            "state": IdentityState.ACTIVE.value,
            "registered_at": now,
        }

    def published(self, ttl: int) -> list[tuple[Record, bool]]:
        """Its records, and whether each stands for its key and not for an authority above it."""
        owner = OwnerName.parse(self.name.canonical)
        return [
            (publication.parse_record(owner, "TLSA", tlsa.to_text(), ttl), tlsa.usage in OF_END_ENTITIES)
            for tlsa in self.records
        ]

    def told(self, ttl: int) -> dict[str, object]:
        """What the event of its registration says."""
        detail: dict[str, object] = {
            "ttl": ttl,
            "records": [tlsa.to_text() for tlsa in self.records],
            "spki_sha256": hashlib.sha256(self.spki).hexdigest(),
        }
        detail |= {"owner": self.owner} if self.owner else {}
        return detail | ({"tags": sorted(self.tags)} if self.tags else {})


def admit_tags(tags: Iterable[str]) -> frozenset[str]:
    """Tags as they may be kept: letters, digits and . _ : / @ = + - , a letter or digit first. Misuse."""
    admitted = frozenset(tags)
    for tag in admitted:
        TAG_LENGTH.checked(len(tag))
        if not _TAG.fullmatch(admit_text(tag, "tag")):
            raise Misuse(f"{tag!r} is no tag: letters, digits and . _ : / @ = + - make one")
    TAGS_PER_IDENTITY.checked(len(admitted))
    return admitted


def register(connection: Connection, new: Registration, *, now: Moment, actor: str, reason: str = "") -> int:
    """Keep an identity and publish its records; the id of its row. AlreadyInInventory while the name is active."""
    owner = OwnerName.parse(new.name.canonical)
    if active_id(connection, new.name) is not None:
        raise already_registered(new.name)
    ttl = publication.ttl_at(connection, owner, new.ttl)
    rows = schema.identities
    row = new.row(ttl=ttl, now=now)
    identity_id = int(connection.execute(insert(rows).returning(rows.c.id), row).scalar_one())
    key_id = keys.add(
        connection, identity_id, spki=new.spki, state=KeyState.CURRENT, certificate=new.certificate, now=now
    )
    for record, of_key in new.published(ttl):
        publication.add(connection, record, identity_id=identity_id, key_id=key_id if of_key else None, now=now)
    if new.tags:
        connection.execute(insert(schema.tags), [{"identity_id": identity_id, "tag": tag} for tag in sorted(new.tags)])
    event_log.append(
        connection, at=now, actor=actor, action="register", subject=owner.text, detail=new.told(ttl), reason=reason
    )
    return identity_id


def already_registered(name: ClientName) -> AlreadyInInventory:
    """The error for a name that is in use."""
    return AlreadyInInventory(f"{name} is registered already; revoke it first, or choose another name")


def revoke(connection: Connection, name: ClientName, *, now: Moment, actor: str, reason: str = "") -> int:
    """Remove every record that lets the name log in; final. NotInInventory when no active identity has the name.

    Records somebody else put at the same name (another TLSA, a CNAME) go too: after this the name means nobody. Where a
    wildcard could speak for it then, a block takes their place. An open roll of its key and an open transfer from or to
    it are over.
    """
    identity_id = id_of_active(connection, name)
    owner = OwnerName.parse(name.canonical)
    removed = publication.remove(connection, owner, IDENTIFYING, now=now)
    end_roll(connection, identity_id)
    connection.execute(
        update(schema.identities)
        .where(schema.identities.c.id == identity_id)
        .values(state=IdentityState.REVOKED.value, revoked_at=now)
    )
    detail: dict[str, object] = {"records": [f"{record.rdtype} {record.rdata}" for record in removed]}
    wildcards = wildcards_above(connection, owner)
    if wildcards:
        blocks.put(connection, owner, wildcards[0], now=now, reason=reason)
        detail["blocked_below"] = wildcards[0].text
    event_log.append(connection, at=now, actor=actor, action="revoke", subject=owner.text, detail=detail, reason=reason)
    transfer.end_with(connection, identity_id, now=now, actor=actor, reason=reason)
    return identity_id


def tag(
    connection: Connection, name: ClientName, tags: Iterable[str], *, now: Moment, actor: str, reason: str = ""
) -> int:
    """Add tags to an active identity; those it has already stay. LimitExceeded above limits.TAGS_PER_IDENTITY."""
    identity_id = id_of_active(connection, name)
    present = _tags(connection, identity_id)
    new = sorted(admit_tags(tags) - present)
    if len(present) + len(new) > TAGS_PER_IDENTITY.default:
        raise LimitExceeded(TAGS_PER_IDENTITY.name, f"{name} has {len(present)} already")
    if new:
        connection.execute(insert(schema.tags), [{"identity_id": identity_id, "tag": text} for text in new])
        _note(connection, name, "tag", {"tags": new}, now=now, actor=actor, reason=reason)
    return identity_id


def untag(
    connection: Connection, name: ClientName, tags: Iterable[str], *, now: Moment, actor: str, reason: str = ""
) -> int:
    """Take tags from an active identity. NotInInventory when it lacks one of them."""
    identity_id = id_of_active(connection, name)
    gone = sorted(admit_tags(tags))
    missing = set(gone) - _tags(connection, identity_id)
    if missing:
        raise NotInInventory(f"{name} does not have the tag {min(missing)}")
    rows = schema.tags
    connection.execute(delete(rows).where(rows.c.identity_id == identity_id, rows.c.tag.in_(gone)))
    _note(connection, name, "untag", {"tags": gone}, now=now, actor=actor, reason=reason)
    return identity_id


def set_owner(
    connection: Connection, name: ClientName, owner: str, *, now: Moment, actor: str, reason: str = ""
) -> int:
    """Say who answers for an active identity; empty for nobody known."""
    identity_id = id_of_active(connection, name)
    rows = schema.identities
    before = connection.execute(select(rows.c.owner).where(rows.c.id == identity_id)).scalar_one()
    connection.execute(update(rows).where(rows.c.id == identity_id).values(owner=admit_text(owner, "owner")))
    detail: dict[str, object] = {"before": before, "after": owner}
    _note(connection, name, "set-owner", detail, now=now, actor=actor, reason=reason)
    return identity_id


def active_id(connection: Connection, name: ClientName) -> int | None:
    """The row of the active identity of a name, or None."""
    rows = schema.identities
    query = select(rows.c.id).where(rows.c.name == name.canonical, rows.c.state == IdentityState.ACTIVE.value)
    return connection.execute(query).scalar_one_or_none()


def id_of_active(connection: Connection, name: ClientName) -> int:
    """The same, or NotInInventory."""
    found = active_id(connection, name)
    if found is None:
        raise NotInInventory(f"{name} is not an active identity of the inventory")
    return found


def _tags(connection: Connection, identity_id: int) -> set[str]:
    query = select(schema.tags.c.tag).where(schema.tags.c.identity_id == identity_id)
    return set(connection.execute(query).scalars())


def _note(
    connection: Connection,
    name: ClientName,
    action: str,
    detail: dict[str, object],
    *,
    now: Moment,
    actor: str,
    reason: str,
) -> None:
    event_log.append(
        connection, at=now, actor=actor, action=action, subject=name.canonical, detail=detail, reason=reason
    )
