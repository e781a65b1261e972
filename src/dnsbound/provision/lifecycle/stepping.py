"""Moving a roll from state to state, on a writing transaction: the records at the name, the states of its keys, the row
and one event change together, or nothing does."""

from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection, select, update

from dnsbound.provision import event_log, keys, publication, schema
from dnsbound.provision.entries import KeyState
from dnsbound.provision.lifecycle import machine
from dnsbound.provision.lifecycle.evidence import Evidence
from dnsbound.provision.lifecycle.invariant import RRset
from dnsbound.provision.lifecycle.machine import FIRST_STATE, RollEvent, RollState
from dnsbound.provision.lifecycle.roll import Roll
from dnsbound.provision.registration import OF_END_ENTITIES
from dnsbound.times import Moment

_TLSA: Final = frozenset({"TLSA"})


def move(
    connection: Connection,
    roll: Roll,
    event: RollEvent,
    *,
    now: Moment,
    actor: str,
    reason: str = "",
    evidence: Evidence | None = None,
) -> Roll:
    """The roll after an event. RollRefused where the event leads nowhere. evidence: what is known by then."""
    state = machine.after(roll.state, event)
    known = roll.evidence if evidence is None else evidence
    return _enter(connection, roll, state, known, action=f"roll-{state.value}", now=now, actor=actor, reason=reason)


def enter_first(connection: Connection, roll: Roll, *, now: Moment, actor: str, reason: str = "") -> Roll:
    """The roll in the state that its kind begins in; its row was made in STABLE, where nothing has changed yet."""
    state = FIRST_STATE[roll.kind]
    return _enter(connection, roll, state, roll.evidence, action="roll-begin", now=now, actor=actor, reason=reason)


def _enter(
    connection: Connection,
    roll: Roll,
    state: RollState,
    evidence: Evidence,
    *,
    action: str,
    now: Moment,
    actor: str,
    reason: str,
) -> Roll:
    before, after = roll.plan.rrset(roll.state), roll.plan.rrset(state)
    row = connection.execute(select(schema.rolls).where(schema.rolls.c.id == roll.number)).one()
    _publish(connection, roll, row, before, after, now=now)
    _move_keys(connection, roll, row, state, now=now)
    moved = replace(
        roll,
        state=state,
        entered_at=now,
        due_at=_due(state, evidence, now),
        evidence=evidence.in_new_state(),
        attempts=0,
        problem="",
        claimed_by=None,
    )
    values: dict[str, object] = {
        "state": state.value,
        "entered_at": now,
        "due_at": moved.due_at,
        "evidence": moved.evidence.to_text(),
        "attempts": 0,
        "problem": "",
        "claimed_by": None,
        "claimed_until": None,
    }
    connection.execute(update(schema.rolls).where(schema.rolls.c.id == roll.number).values(**values))
    detail: dict[str, object] = {
        "roll": roll.number,
        "kind": roll.kind.value,
        "from": roll.state.value,
        "to": state.value,
        "added": [record.to_text() for record in sorted(after - before)],
        "removed": [record.to_text() for record in sorted(before - after)],
        "spki_sha256": roll.new_digest.hex(),
    }
    event_log.append(
        connection, at=now, actor=actor, action=action, subject=roll.name.canonical, detail=detail, reason=reason
    )
    return moved


def _publish(connection: Connection, roll: Roll, row: Any, before: RRset, after: RRset, *, now: Moment) -> None:  # noqa: ANN401 (a row)
    """Bring the records at the name from one phase to the next. What stands there otherwise is not touched."""
    owner = roll.owner
    rows = schema.records
    found = connection.execute(select(rows.c.ttl).where(rows.c.owner == owner.text, rows.c.rdtype == "TLSA"))
    identity = connection.execute(
        select(schema.identities.c.ttl).where(schema.identities.c.id == roll.identity_id)
    ).scalar_one()
    ttl = next(iter(found.scalars()), identity)
    for record in sorted(after - before):
        key_id = row.old_key_id if record in roll.plan.before else row.new_key_id
        made = publication.parse_record(owner, "TLSA", record.to_text(), ttl)
        publication.add(
            connection,
            made,
            identity_id=roll.identity_id,
            key_id=key_id if record.usage in OF_END_ENTITIES else None,
            now=now,
        )
    for record in sorted(before - after):
        publication.remove(connection, owner, _TLSA, record.to_text(), now=now)


def _move_keys(connection: Connection, roll: Roll, row: Any, state: RollState, *, now: Moment) -> None:  # noqa: ANN401 (a row)
    if state is RollState.RETIRE and row.certificate is not None:
        connection.execute(
            update(schema.keys).where(schema.keys.c.id == row.new_key_id).values(certificate=row.certificate)
        )
    if state is RollState.RETIRE:
        # The records that stay, because both keys' were the same, stand for the new key from now on.
        rows = schema.records
        connection.execute(
            update(rows)
            .where(rows.c.identity_id == roll.identity_id, rows.c.key_id == row.old_key_id)
            .values(key_id=row.new_key_id)
        )
    if row.new_key_id == row.old_key_id:
        return
    if state is RollState.RETIRE:
        keys.move(connection, row.old_key_id, KeyState.RETIRED, now=now)
        keys.move(connection, row.new_key_id, KeyState.CURRENT, now=now)
    elif state is RollState.CANCELLED and roll.state is not RollState.RETIRE:
        keys.move(connection, row.new_key_id, KeyState.RETIRED, now=now)


def _due(state: RollState, evidence: Evidence, now: Moment) -> Moment | None:
    if state in machine.ASKED_ABOUT_SERVERS or (state is RollState.SWITCH and evidence.new_key_is_used):
        return now
    return None
