"""A transfer as a value, and its end. On a writing transaction.

A transfer lives as long as both of its names: with the revocation of one it is over, and the other name stays. So no
former name goes on its own for a device whose new name was revoked, and nothing that was stolen is handed on.

Not here: beginning, finding and moving transfers (`transfers.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, Self

from sqlalchemy import Connection, Row, or_, select, update

from dnsbound.errors import Misuse
from dnsbound.names import ClientName
from dnsbound.provision import event_log, schema
from dnsbound.times import Moment


class TransferState(StrEnum):
    """Where a transfer stands."""

    OVERLAPPING = "overlapping"
    """Both names are valid."""
    DONE = "done"
    """The former name is revoked, and the new one stays. Final."""
    CANCELLED = "cancelled"
    """The former name stays, and the new one is revoked where it was kept here. Final."""


TRANSFER_TRANSITIONS: Final[Mapping[TransferState, frozenset[TransferState]]] = MappingProxyType(
    {
        TransferState.OVERLAPPING: frozenset({TransferState.DONE, TransferState.CANCELLED}),
        TransferState.DONE: frozenset(),
        TransferState.CANCELLED: frozenset(),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """One transfer."""

    number: int
    former: ClientName
    new: ClientName | None
    """None where another inventory keeps it and it was not said."""
    is_here: bool
    """Whether the new name is an identity of this inventory."""
    overlap_until: Moment
    state: TransferState

    @classmethod
    def of(cls, row: Row[Any]) -> Self:
        """A row of `QUERY`."""
        return cls(
            number=row.id,
            former=ClientName.parse(row.former),
            new=ClientName.parse(row.to_name) if row.to_name else None,
            is_here=row.to_identity_id is not None,
            overlap_until=row.overlap_until,
            state=TransferState(row.state),
        )


QUERY: Final = select(schema.transfers, schema.identities.c.name.label("former")).join(
    schema.identities, schema.identities.c.id == schema.transfers.c.from_identity_id
)
"""Transfers with their former name; `Transfer.of` reads its rows."""


def end_with(connection: Connection, identity_id: int, *, now: Moment, actor: str, reason: str) -> None:
    """An identity is revoked: an open transfer from it is done, one to it is cancelled."""
    rows = schema.transfers
    either = or_(rows.c.from_identity_id == identity_id, rows.c.to_identity_id == identity_id)
    query = QUERY.where(rows.c.state == TransferState.OVERLAPPING.value, either)
    for row in connection.execute(query).all():
        state = TransferState.DONE if row.from_identity_id == identity_id else TransferState.CANCELLED
        end(connection, Transfer.of(row), state, now=now, actor=actor, reason=reason)


def end(
    connection: Connection, transfer: Transfer, state: TransferState, *, now: Moment, actor: str, reason: str
) -> None:
    """Write down that an open transfer is over, and how. The names are the caller's matter."""
    if state not in TRANSFER_TRANSITIONS[transfer.state]:
        raise Misuse(f"a transfer that is {transfer.state.value} does not become {state.value}")
    rows = schema.transfers
    connection.execute(update(rows).where(rows.c.id == transfer.number).values(state=state.value))
    detail: dict[str, object] = {"to": None if transfer.new is None else transfer.new.canonical}
    event_log.append(
        connection,
        at=now,
        actor=actor,
        action=f"transfer-{state.value}",
        subject=transfer.former.canonical,
        detail=detail,
        reason=reason,
    )
