"""What an adoption would do with each row, held against the inventory: steps and conflicts.

Judging is a function of one batch of rows and of a transaction, so that the plan that is shown and the plan that is
carried out are the same one: carrying out judges each batch again, under the write lock.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, TypeAlias

from sqlalchemy import Connection, Row, select

from dnsbound.errors import DnsboundError
from dnsbound.provision import publication, schema
from dnsbound.provision.adoption.accepting import Accepted, Terms
from dnsbound.provision.adoption.candidate import BadRow, Problem
from dnsbound.provision.entries import IdentityState, KeyState, Record
from dnsbound.provision.lifecycle.roll import OPEN_STATES
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.ownership.lease import OPEN
from dnsbound.provision.registration import IDENTIFYING
from dnsbound.provision.surroundings import Surroundings, rows_in

_OPEN_LEASES: Final = frozenset(state.value for state in OPEN)
TAKEN_BACK: Final = "take-back-adoption"
"""Action of the event behind a revocation that only took an adoption back: nothing is held against the key."""
_SHOWN_DIGITS: Final = 16
"""Of a key's digest, where people read it."""


class Action(StrEnum):
    """What is done with one name."""

    CREATE = "create"
    """The name is registered with the key."""
    REPLACE = "replace"
    """The name's key gives way to the source's at once; a roll would let both in for a while."""
    AMEND = "amend"
    """The owner is set, or tags are added; the key is the one that is registered."""
    UNCHANGED = "unchanged"
    """The inventory says the same already."""
    REVOKE = "revoke"
    """The name is not in the source, which was said to be complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One name and what is done with it. row: of the source; None for a name that is not in it."""

    action: Action
    name: str
    where: str
    row: Accepted | None = None
    detail: str = ""


Judged: TypeAlias = Step | BadRow


def judge(connection: Connection, batch: Sequence[Accepted], terms: Terms) -> list[Judged]:
    """What is to be done with each row of a batch in which every name stands once."""
    held = _Held.read(connection, batch)
    return [_judged(row, held, terms) for row in batch]


@dataclass(slots=True, kw_only=True)
class _Holding:
    """An active identity, as far as the plan asks."""

    id: int
    owner: str
    ttl: int
    keys: dict[bytes, str] = field(default_factory=dict)
    """States by digest; a key that was retired and came back counts by its later state."""
    tags: set[str] = field(default_factory=set)
    rolling: bool = False

    @property
    def current(self) -> bytes | None:
        return next((digest for digest, state in self.keys.items() if state == KeyState.CURRENT.value), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """What the inventory has of the names and keys of a batch."""

    identities: dict[str, _Holding]
    around: Surroundings
    leased: frozenset[str]
    users: dict[bytes, list[str]]
    """Active names by the digest of a key they may log in with."""
    revoked: frozenset[tuple[str, bytes]]
    """Names that were revoked, with the digests of the keys they had."""

    @classmethod
    def read(cls, connection: Connection, batch: Sequence[Accepted]) -> "_Held":
        names = [row.name.canonical for row in batch]
        rows, of = schema.identities.c, schema.keys.c
        active = select(rows.id, rows.name, rows.owner, rows.ttl).where(rows.state == IdentityState.ACTIVE.value)
        identities = {
            row.name: _Holding(id=row.id, owner=row.owner, ttl=row.ttl)
            for row in rows_in(connection, active, rows.name, names)
        }
        _complete(connection, {holding.id: holding for holding in identities.values()})
        leases = schema.leases.c
        leased = select(leases.name).where(leases.state.in_(_OPEN_LEASES))
        sharing = (
            select(of.spki_sha256, rows.name)
            .join(schema.identities, of.identity_id == rows.id)
            .where(of.state != KeyState.RETIRED.value, rows.state == IdentityState.ACTIVE.value)
            .order_by(rows.name)
        )
        users: dict[bytes, list[str]] = {}
        for row in rows_in(connection, sharing, of.spki_sha256, [row.spki_sha256 for row in batch]):
            users.setdefault(row.spki_sha256, []).append(row.name)
        return cls(
            identities=identities,
            around=Surroundings.read(connection, [OwnerName.parse(name) for name in names]),
            leased=frozenset(row.name for row in rows_in(connection, leased, leases.name, names)),
            users=users,
            revoked=_revoked(connection, [name for name in names if name not in identities]),
        )


def _complete(connection: Connection, holdings: dict[int, _Holding]) -> None:
    of, tags, rolls = schema.keys.c, schema.tags.c, schema.rolls.c
    keys = select(of.identity_id, of.spki_sha256, of.state).order_by(of.id)
    row: Row[Any]
    for row in rows_in(connection, keys, of.identity_id, holdings):
        holdings[row.identity_id].keys[row.spki_sha256] = row.state
    for row in rows_in(connection, select(schema.tags), tags.identity_id, holdings):
        holdings[row.identity_id].tags.add(row.tag)
    rolling = select(rolls.identity_id).where(rolls.state.in_(OPEN_STATES))
    for row in rows_in(connection, rolling, rolls.identity_id, holdings):
        holdings[row.identity_id].rolling = True


def _revoked(connection: Connection, names: Sequence[str]) -> frozenset[tuple[str, bytes]]:
    """Those that were revoked, each with its keys; not what only was an adoption that was taken back."""
    rows, of, events = schema.identities.c, schema.keys.c, schema.events.c
    query = (
        select(rows.name, of.spki_sha256)
        .join(schema.keys, of.identity_id == rows.id)
        .where(rows.state == IdentityState.REVOKED.value)
    )
    found = Counter((row.name, row.spki_sha256) for row in rows_in(connection, query, rows.name, names))
    taken_back = select(events.subject, events.detail).where(events.action == TAKEN_BACK)
    for row in rows_in(connection, taken_back, events.subject, {name for name, _ in found}):
        found[row.subject, bytes.fromhex(json.loads(row.detail)["spki_sha256"])] -= 1
    return frozenset(one for one, times in found.items() if times > 0)


def _judged(row: Accepted, held: _Held, terms: Terms) -> Judged:
    holding = held.identities.get(row.name.canonical)
    if holding is None:
        return _newcomer(row, held, terms)
    state = holding.keys.get(row.spki_sha256)
    if state == KeyState.CURRENT.value:
        return _known(row, holding, held, terms)
    if holding.rolling or state == KeyState.NEXT.value:
        return _conflict(row, Problem.ROLLING, "its key is being changed: finish or cancel that first")
    here, there = _shown(holding.current), _shown(row.spki_sha256)
    retired = ", which it had before" if state is not None else ""
    if not terms.replace:
        detail = f"registered with key {here}, the source has {there}{retired}; `dnsbound id roll` changes it without "
        return _conflict(row, Problem.OTHER_KEY, f"{detail}a gap, --replace at once")
    if state is not None and not terms.danger_revoked_keys:
        return _conflict(row, Problem.REVOKED, f"it gave up key {there} for {here}")
    return _shared(row, held, terms) or Step(
        action=Action.REPLACE,
        name=row.name.canonical,
        where=row.where,
        row=row,
        detail=f"key {here} becomes {there}{retired}; whoever still has the old one is out at once",
    )


def _newcomer(row: Accepted, held: _Held, terms: Terms) -> Judged:
    name = row.name.canonical
    owner = OwnerName.parse(name)
    if name in held.leased:
        return _conflict(row, Problem.TAKEN, "the name is leased: end the lease first")
    standing = next((one for one in held.around.at(owner) if one.rdtype in IDENTIFYING), None)
    if standing is not None:
        blocked = (standing.rdtype, standing.rdata) == ("TLSA", publication.BLOCK_DATA)
        what = "the name is blocked (`dnsbound id unblock`)" if blocked else f"{standing.rdtype} {standing.rdata[:80]}"
        return _conflict(row, Problem.TAKEN, what if blocked else f"a record of nobody here stands at the name: {what}")
    if (name, row.spki_sha256) in held.revoked and not terms.danger_revoked_keys:
        return _conflict(row, Problem.REVOKED, f"it was revoked with key {_shown(row.spki_sha256)}")
    shared = _shared(row, held, terms)
    if shared is not None:
        return shared
    rdata = row.record(terms).to_text()
    try:
        held.around.add(
            owner, [Record(owner=owner, rdtype="TLSA", rdata=rdata, ttl=held.around.ttl_at(owner, row.ttl))]
        )
    except DnsboundError as error:
        return _conflict(row, Problem.NOT_SERVED, str(error))
    return Step(action=Action.CREATE, name=name, where=row.where, row=row)


def _known(row: Accepted, holding: _Holding, held: _Held, terms: Terms) -> Judged:
    name = row.name.canonical
    own = [one for one in held.around.at(OwnerName.parse(name)) if one.identity_id == holding.id]
    if row.record(terms).to_text() not in {one.rdata for one in own}:
        forms = ", ".join(sorted({" ".join(one.rdata.split()[:3]) for one in own})) or "nothing"
        detail = f"published as {forms}; `dnsbound id roll` changes the form of a record without a gap"
        return _conflict(row, Problem.OTHER_RECORDS, detail)
    if row.ttl is not None and row.ttl != holding.ttl:
        return _conflict(row, Problem.OTHER_RECORDS, f"published with a TTL of {holding.ttl}, not {row.ttl}")
    changes = []
    if row.owner and row.owner != holding.owner:
        changes.append(f"owner {holding.owner!r} becomes {row.owner!r}")
    if row.tags - holding.tags:
        changes.append(f"tags {', '.join(sorted(row.tags - holding.tags))} are added")
    action = Action.AMEND if changes else Action.UNCHANGED
    return Step(action=action, name=name, where=row.where, row=row, detail="; ".join(changes))


def _shared(row: Accepted, held: _Held, terms: Terms) -> BadRow | None:
    others = [name for name in held.users.get(row.spki_sha256, ()) if name != row.name.canonical]
    if not others or terms.danger_shared_keys:
        return None
    return _conflict(row, Problem.DUPLICATE_KEY, f"the key is registered for {_listed(others)}")


def _listed(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")


def _shown(digest: bytes | None) -> str:
    return "none" if digest is None else digest.hex()[:_SHOWN_DIGITS]


def _conflict(row: Accepted, problem: Problem, detail: str) -> BadRow:
    return BadRow(where=row.where, problem=problem, detail=detail, name=row.name.canonical)
