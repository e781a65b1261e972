"""One roll as it is kept, and reading it back."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from dnsbound.names import ClientName
from dnsbound.provision import schema
from dnsbound.provision.lifecycle.evidence import Evidence
from dnsbound.provision.lifecycle.invariant import RRset
from dnsbound.provision.lifecycle.machine import OPEN, RollKind, RollState
from dnsbound.provision.lifecycle.plan import Plan
from dnsbound.provision.owner import OwnerName
from dnsbound.times import Moment

OPEN_STATES = frozenset(state.value for state in OPEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Roll:
    """See the module. number: of the row. identity_id: of the identity's row."""

    number: int
    identity_id: int
    name: ClientName
    kind: RollKind
    state: RollState
    old_spki: bytes
    new_spki: bytes
    """DER SubjectPublicKeyInfo; the same as the old one where only certificates or parameters change."""
    target: str
    """Parameters of the records afterwards, such as `3 1 1, 3 1 2`."""
    plan: Plan
    evidence: Evidence
    started_at: Moment
    entered_at: Moment
    """Into the present state."""
    due_at: Moment | None
    """When it is looked at next; None where only somebody's word moves it, and when it is over."""
    attempts: int
    """How often in a row it could not go on for a problem."""
    problem: str
    confirmed_at: Moment | None
    confirmed_by: str | None
    claimed_by: str | None

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    @property
    def changes_key(self) -> bool:
        return self.new_spki != self.old_spki

    @property
    def new_digest(self) -> bytes:
        """SHA-256 of the new key, as `3 1 1` has it."""
        return hashlib.sha256(self.new_spki).digest()

    @property
    def owner(self) -> OwnerName:
        return OwnerName.parse(self.name.canonical)

    @property
    def expected(self) -> RRset:
        """What every authoritative server should serve at the name now."""
        return self.plan.rrset(self.state)


_OLD = schema.keys.alias("old_keys")
_NEW = schema.keys.alias("new_keys")


def rolls_query() -> Select[Any]:
    """The rolls with what `read` needs of other tables."""
    rows = schema.rolls
    return (
        select(rows, schema.identities.c.name, _OLD.c.spki.label("old_spki"), _NEW.c.spki.label("new_spki"))
        .join(schema.identities, schema.identities.c.id == rows.c.identity_id)
        .join(_OLD, _OLD.c.id == rows.c.old_key_id)
        .join(_NEW, _NEW.c.id == rows.c.new_key_id)
    )


def read(row: Row[Any]) -> Roll:
    """A row of `rolls_query`. Malformed when its JSON was tampered with."""
    return Roll(
        number=row.id,
        identity_id=row.identity_id,
        name=ClientName.parse(row.name),
        kind=RollKind(row.kind),
        state=RollState(row.state),
        old_spki=row.old_spki,
        new_spki=row.new_spki,
        target=row.target,
        plan=Plan.from_text(row.plan),
        evidence=Evidence.from_text(row.evidence),
        started_at=row.started_at,
        entered_at=row.entered_at,
        due_at=row.due_at,
        attempts=row.attempts,
        problem=row.problem,
        confirmed_at=row.confirmed_at,
        confirmed_by=row.confirmed_by,
        claimed_by=row.claimed_by,
    )


def open_roll(connection: Connection, identity_id: int) -> Roll | None:
    """The roll of an identity that is not over; there is one at most."""
    query = rolls_query().where(schema.rolls.c.identity_id == identity_id, schema.rolls.c.state.in_(OPEN_STATES))
    row = connection.execute(query).one_or_none()
    return None if row is None else read(row)


def rolls_of(connection: Connection, numbers: Iterable[int]) -> list[Roll]:
    """The rolls of these row ids, in their order."""
    query = rolls_query().where(schema.rolls.c.id.in_(list(numbers))).order_by(schema.rolls.c.id)
    return [read(row) for row in connection.execute(query)]
