"""The changes of an adoption, and of taking one back, on a writing transaction."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from sqlalchemy import Connection, select, update

from dnsbound.errors import Malformed
from dnsbound.names import ClientName
from dnsbound.provision import event_log, identities, keys, publication, registration, schema
from dnsbound.provision.adoption.accepting import Accepted, Terms
from dnsbound.provision.adoption.plan import TAKEN_BACK, Action, Step
from dnsbound.provision.adoption.rollback import Entry, Former, Undo
from dnsbound.provision.entries import Identity, KeyState
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.ownership import blocks
from dnsbound.provision.registration import Registration
from dnsbound.records.tlsa import TLSA
from dnsbound.times import Moment


def registration_of(row: Accepted, terms: Terms) -> Registration:
    """What a row registers. DnsboundError for a key or certificate that may not be kept."""
    return Registration.checked(
        row.name,
        spki=row.spki,
        records=[row.record(terms)],
        ttl=row.ttl,
        owner=row.owner,
        tags=row.tags,
        certificate=row.certificate,
    )


def entries_for(connection: Connection, steps: Iterable[Step]) -> list[Entry]:
    """What takes these steps back, from what the inventory has before they are taken."""
    taken = [(step, undo) for step in steps if (undo := _UNDO[step.action]) is not None]
    former = _former(connection, [step.name for step, undo in taken if undo is not Undo.REVOKE])
    return [_entry(step, undo, former) for step, undo in taken]


def _former(connection: Connection, names: Sequence[str]) -> dict[str, Identity]:
    rows = schema.identities
    found = connection.execute(select(rows).where(rows.c.name.in_(names), rows.c.state == "active")).all()
    return {identity.name.canonical: identity for identity in identities.read(connection, found)}


def _entry(step: Step, undo: Undo, former: dict[str, Identity]) -> Entry:
    name, before = ClientName.parse(step.name), former.get(step.name)
    if step.row is not None and before is None:
        return Entry(undo=undo, name=name, spki_sha256=step.row.spki_sha256.hex())
    assert before is not None  # what is taken away was there, in this transaction
    digest = hashlib.sha256(before.spki).digest() if step.row is None else step.row.spki_sha256
    tags = before.tags if step.row is None or undo is not Undo.RESTORE_FACTS else step.row.tags - before.tags
    return Entry(undo=undo, name=name, spki_sha256=digest.hex(), former=_as_former(before, tuple(sorted(tags))))


_UNDO: Final[Mapping[Action, Undo | None]] = MappingProxyType(
    {
        Action.CREATE: Undo.REVOKE,
        Action.REPLACE: Undo.RESTORE_KEY,
        Action.AMEND: Undo.RESTORE_FACTS,
        Action.UNCHANGED: None,
        Action.REVOKE: Undo.REGISTER,
    }
)


def _as_former(identity: Identity, tags: tuple[str, ...]) -> Former:
    return Former(
        spki=identity.spki,
        certificate=identity.key.certificate,
        records=tuple(record.rdata for record in identity.records if record.rdtype == "TLSA"),
        ttl=identity.ttl,
        owner=identity.owner,
        tags=tags,
        registered_at=identity.registered_at,
    )


def replace_key(connection: Connection, new: Registration, *, now: Moment, actor: str, reason: str) -> None:
    """Let an active identity have this key and these records, and no other, from now on."""
    identity_id = registration.id_of_active(connection, new.name)
    owner = OwnerName.parse(new.name.canonical)
    rows, of, facts = schema.records.c, schema.keys.c, schema.identities.c
    before = connection.execute(
        select(of.id, of.spki_sha256).where(of.identity_id == identity_id, of.state == KeyState.CURRENT.value)
    ).one_or_none()
    kept = connection.execute(select(facts.ttl).where(facts.id == identity_id)).scalar_one()
    ttl = kept if new.ttl is None else new.ttl
    own = list(connection.scalars(select(rows.rdata).where(rows.identity_id == identity_id, rows.rdtype == "TLSA")))
    for rdata in own:
        publication.remove(connection, owner, frozenset({"TLSA"}), rdata, now=now)
    if before is not None:
        keys.move(connection, before.id, KeyState.RETIRED, now=now)
    key_id = keys.add(
        connection, identity_id, spki=new.spki, state=KeyState.CURRENT, certificate=new.certificate, now=now
    )
    for record, of_key in new.published(ttl):
        publication.add(connection, record, identity_id=identity_id, key_id=key_id if of_key else None, now=now)
    connection.execute(update(schema.identities).where(facts.id == identity_id).values(ttl=ttl))
    detail = new.told(ttl) | {
        "removed": own,
        "former_spki_sha256": None if before is None else before.spki_sha256.hex(),
    }
    event_log.append(
        connection, at=now, actor=actor, action="replace-key", subject=owner.text, detail=detail, reason=reason
    )


def amend(connection: Connection, row: Accepted, *, now: Moment, actor: str, reason: str) -> None:
    """Give an active identity the row's owner and tags."""
    [identity] = _former(connection, [row.name.canonical]).values()
    if row.owner and row.owner != identity.owner:
        registration.set_owner(connection, row.name, row.owner, now=now, actor=actor, reason=reason)
    registration.tag(connection, row.name, row.tags, now=now, actor=actor, reason=reason)


def take_back(connection: Connection, entry: Entry, *, now: Moment, actor: str, reason: str) -> None:
    """Undo one change that is known to stand (`undoing.judge`)."""
    owner = OwnerName.parse(entry.name.canonical)
    if entry.undo is Undo.REVOKE:
        registration.revoke(connection, entry.name, now=now, actor=actor, reason=reason)
        detail = {"spki_sha256": entry.spki_sha256}
        event_log.append(
            connection, at=now, actor=actor, action=TAKEN_BACK, subject=owner.text, detail=detail, reason=reason
        )
        # Before the adoption no block was there; a wildcard spoke for the name if there is one.
        blocks.withdraw(connection, owner, now=now)
        return
    former = entry.former
    if former is None:
        raise Malformed(f"the rollback file does not say what {entry.name} was before")
    if entry.undo is Undo.RESTORE_FACTS:
        _restore_facts(connection, entry.name, former, now=now, actor=actor, reason=reason)
        return
    before = Registration.checked(
        entry.name,
        spki=former.spki,
        records=[TLSA.from_text(record) for record in former.records],
        ttl=former.ttl,
        owner=former.owner,
        tags=former.tags,
        certificate=former.certificate,
    )
    if entry.undo is Undo.RESTORE_KEY:
        replace_key(connection, before, now=now, actor=actor, reason=reason)
        return
    blocks.withdraw(connection, owner, now=now)
    registration.register(connection, before, now=now, actor=actor, reason=reason)


def _restore_facts(
    connection: Connection, name: ClientName, former: Former, *, now: Moment, actor: str, reason: str
) -> None:
    [present] = _former(connection, [name.canonical]).values()
    if present.owner != former.owner:
        registration.set_owner(connection, name, former.owner, now=now, actor=actor, reason=reason)
    gone = present.tags & set(former.tags)
    if gone:
        registration.untag(connection, name, gone, now=now, actor=actor, reason=reason)
