"""The keys of identities: rows of public keys with a state. Functions on a transaction; who asks writes the event.

Not here: when a key may change its state (`dnsbound.provision.lifecycle`).
"""

import hashlib
from collections.abc import Iterable

from sqlalchemy import Connection, insert, select, update

from dnsbound.errors import Misuse
from dnsbound.provision import schema
from dnsbound.provision.entries import KEY_TRANSITIONS, Key, KeyState
from dnsbound.provision.errors import AlreadyInInventory, NotInInventory
from dnsbound.provision.public_key import admit_certificate, admit_public_key
from dnsbound.times import Moment


def add(
    connection: Connection,
    identity_id: int,
    *,
    spki: bytes,
    state: KeyState,
    now: Moment,
    certificate: bytes | None = None,
) -> int:
    """Keep a public key of an identity; the id of its row. AlreadyInInventory while it has that key or that state.

    spki: DER; what is not a public key is refused. certificate: DER of the leaf, which must be of that key.
    """
    row = row_of(identity_id, spki=spki, state=state, certificate=certificate, now=now)
    rows = schema.keys
    query = select(rows.c.state, rows.c.spki_sha256).where(
        rows.c.identity_id == identity_id, rows.c.state != KeyState.RETIRED.value
    )
    for present in connection.execute(query):
        if present.spki_sha256 == row["spki_sha256"]:
            raise AlreadyInInventory(f"the identity has this key already, as its {present.state} key")
        if present.state == state.value:
            raise AlreadyInInventory(f"the identity has a {state.value} key already")
    return int(connection.execute(insert(rows).returning(rows.c.id), row).scalar_one())


def row_of(
    identity_id: int, *, spki: bytes, state: KeyState, certificate: bytes | None, now: Moment
) -> dict[str, object]:
    """A key as a row of `schema.keys`; Malformed, Misuse, PrivateKeyRefused for what may not be kept."""
    key = admit_public_key(spki)
    return {
        "identity_id": identity_id,
        "spki": key,
        "spki_sha256": hashlib.sha256(key).digest(),
        "certificate": None if certificate is None else admit_certificate(certificate, key),
        "state": state.value,
        "added_at": now,
        "retired_at": now if state is KeyState.RETIRED else None,
    }


def move(connection: Connection, key_id: int, state: KeyState, *, now: Moment) -> None:
    """Change a key's state. NotInInventory; Misuse for a step that is not in KEY_TRANSITIONS."""
    rows = schema.keys
    found = connection.execute(select(rows.c.state).where(rows.c.id == key_id)).scalar_one_or_none()
    if found is None:
        raise NotInInventory(f"there is no key {key_id}")
    if state not in KEY_TRANSITIONS[KeyState(found)]:
        raise Misuse(f"a {found} key does not become {state.value}")
    retired_at = now if state is KeyState.RETIRED else None
    connection.execute(update(rows).where(rows.c.id == key_id).values(state=state.value, retired_at=retired_at))


def of(connection: Connection, identity_ids: Iterable[int]) -> dict[int, list[Key]]:
    """The keys of each identity, in the order they were added."""
    found: dict[int, list[Key]] = {identity_id: [] for identity_id in identity_ids}
    rows = schema.keys
    for row in connection.execute(select(rows).where(rows.c.identity_id.in_(found)).order_by(rows.c.id)):
        key = Key(
            spki=row.spki,
            state=KeyState(row.state),
            certificate=row.certificate,
            added_at=row.added_at,
            retired_at=row.retired_at,
        )
        found[row.identity_id].append(key)
    return found
