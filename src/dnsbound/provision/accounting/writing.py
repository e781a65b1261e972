"""How each entry is written into the accounting database: one function for each kind, inside a transaction.

Everything may be written twice and in any order: an access server repeats a report until it is acknowledged, and one
that was on its way for long may come after those that follow it (RFC 2866 section 2). Counters only grow, a session
that was stopped stays stopped, and an identifier that is used again is another session.
"""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from dnsbound.iana import AcctStatusType, AcctTerminateCause
from dnsbound.protocols.radius_accounting import cause_text
from dnsbound.provision.accounting.entries import (
    AdmissionState,
    Admitted,
    Ended,
    Entry,
    Marked,
    Renewed,
    Reported,
    identification_to_wire,
)
from dnsbound.provision.accounting.kept_claim import claim_to_wire
from dnsbound.provision.accounting.schema import admissions, reports
from dnsbound.provision.schema import MOMENT
from dnsbound.times import Moment, Seconds

SAME_SESSION_SECONDS: Final[Seconds] = 300.0
"""A report that seems to be so much younger than the end of its session is of another one with the same identifier."""

_CLOCK_SECONDS: Final[Seconds] = 5.0
"""Seconds are counted whole, and delays are guessed."""
_LOOKED_AT: Final = 4
"""Sessions of one identifier among which a report finds its own."""
_WHOLE_SERVER: Final = (AcctStatusType.ACCOUNTING_ON, AcctStatusType.ACCOUNTING_OFF)


def write(connection: Connection, entry: Entry, *, slack: Seconds) -> None:
    """slack: how long after its Session-Timeout a session is counted."""
    _WRITERS[type(entry)](connection, entry, slack)


# --- what this server did


def _admit(connection: Connection, entry: Admitted, _slack: Seconds) -> None:
    if connection.execute(_KNOWN, {"of_class": entry.access_class}).first() is not None:
        return
    connection.execute(
        _ADMIT,
        {
            "access_class": entry.access_class,
            "worker": entry.worker,
            "network": entry.network,
            "name": entry.name,
            "client": entry.client,
            "address": entry.address,
            "nas": printable(entry.nas),
            "calling_station": printable(entry.calling_station),
            "identification": identification_to_wire(entry.identification),
            "claim": claim_to_wire(entry.claim),
            "admitted_at": entry.admitted_at,
            "holds_until": entry.holds_until,
            "session_timeout": entry.session_timeout,
            "expires_at": entry.expires_at,
            "state": AdmissionState.LIVE,
        },
    )


def _mark(connection: Connection, entry: Marked, _slack: Seconds) -> None:
    still_in = _still_in(entry.access_class)
    connection.execute(update(admissions).where(*still_in).values(state=AdmissionState.CUTTING, why=entry.why))


def _end(connection: Connection, entry: Ended, _slack: Seconds) -> None:
    _end_where(connection, _still_in(entry.access_class), entry.state, entry.at, entry.why)


def _renew(connection: Connection, entry: Renewed, _slack: Seconds) -> None:
    connection.execute(update(admissions).where(*_still_in(entry.access_class)).values(holds_until=entry.holds_until))


# --- what access servers say


def _report(connection: Connection, entry: Reported, slack: Seconds) -> None:
    entry = entry.bounded()
    if entry.status in _WHOLE_SERVER:
        _restart(connection, entry)
        return
    admission = _admission_of(connection, entry)
    row = _row_of(connection, entry)
    if row is not None and _is_another(row, entry):
        if row.stopped_at is None:
            # Its end was never reported, or the report is lost.
            connection.execute(update(reports).where(reports.c.id == row.id).values(stopped_at=row.heard_at))
        row = None
    if row is None:
        connection.execute(_INSERT, _first(entry, admission))
    else:
        connection.execute(_MERGE, {"of_id": row.id, **_merged(row, entry, admission)})
    if entry.access_class is not None:
        _follow(connection, entry, entry.access_class, slack)


def _follow(connection: Connection, entry: Reported, access_class: bytes, slack: Seconds) -> None:
    """What a report means for its admission."""
    if entry.status is AcctStatusType.STOP:
        belongs = (*_still_in(access_class), admissions.c.client == entry.client)
        _end_where(connection, belongs, AdmissionState.STOPPED, entry.at, cause_text(entry.cause))
        return
    heard = {"of_class": access_class, "of_client": entry.client, "until": entry.at + slack}
    connection.execute(_LASTS, heard)


_WRITERS: Final[Mapping[type[Entry], Callable[[Connection, Any, Seconds], None]]] = MappingProxyType(
    {Admitted: _admit, Marked: _mark, Ended: _end, Renewed: _renew, Reported: _report}
)

# Made once: to make a statement takes longer than to run it.
_ADMIT: Final = insert(admissions)
_INSERT: Final = insert(reports)
_KNOWN: Final = select(admissions.c.id).where(admissions.c.access_class == bindparam("of_class"))
_OF_CLASS: Final = _KNOWN.where(admissions.c.client == bindparam("of_client"))
_UNTIL: Final = admissions.c.session_timeout + bindparam("until", type_=MOMENT)
_LASTS: Final = (
    update(admissions)
    .where(
        admissions.c.access_class == bindparam("of_class"),
        admissions.c.client == bindparam("of_client"),
        admissions.c.ended_at.is_(None),
        admissions.c.expires_at < _UNTIL,
    )
    .values(expires_at=_UNTIL)
)
_MERGE: Final = update(reports).where(reports.c.id == bindparam("of_id"))
"""Sets the columns that it is given."""

_NEWEST: Final = (
    select(reports)
    .where(
        reports.c.client == bindparam("of_client"),
        reports.c.nas == bindparam("of_nas"),
        reports.c.session == bindparam("of_session"),
    )
    .order_by(reports.c.id.desc())
    .limit(_LOOKED_AT)
)


def printable(text: str) -> str:
    """Text of an access server as it is kept and shown: neither database nor terminal is to be confused by it."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


def _still_in(access_class: bytes) -> tuple[Any, ...]:
    return admissions.c.access_class == access_class, admissions.c.ended_at.is_(None)


def _end_where(connection: Connection, which: Iterable[Any], state: AdmissionState, at: Moment, why: str) -> None:
    """Who has gone leaves no certificates behind."""
    connection.execute(
        update(admissions).where(*which).values(state=state, ended_at=at, claim=None, **({"why": why} if why else {}))
    )


def _restart(connection: Connection, entry: Reported) -> None:
    """The access server begins anew, or ends: it has no session that began before (RFC 2866 section 5.1)."""
    here = printable(entry.nas)
    connection.execute(
        update(reports)
        .where(
            reports.c.client == entry.client,
            reports.c.nas == here,
            reports.c.stopped_at.is_(None),
            reports.c.started_at <= entry.at,
        )
        .values(stopped_at=entry.at, cause=int(AcctTerminateCause.NAS_REBOOT))
    )
    before = (
        admissions.c.client == entry.client,
        admissions.c.nas == here,
        admissions.c.ended_at.is_(None),
        admissions.c.admitted_at <= entry.at,
    )
    _end_where(connection, before, AdmissionState.GONE, entry.at, cause_text(AcctTerminateCause.NAS_REBOOT))


def _row_of(connection: Connection, entry: Reported) -> Row[Any] | None:
    """The session of this identifier that was under way when it happened, else the newest."""
    which = {"of_client": entry.client, "of_nas": printable(entry.nas), "of_session": printable(entry.session)}
    rows = connection.execute(_NEWEST, which).all()
    begun = (row for row in rows if row.started_at <= entry.at + _CLOCK_SECONDS)
    return next(begun, rows[0] if rows else None)


def _admission_of(connection: Connection, entry: Reported) -> int | None:
    if entry.access_class is None:
        return None
    which = {"of_class": entry.access_class, "of_client": entry.client}
    found: int | None = connection.execute(_OF_CLASS, which).scalar_one_or_none()
    return found


def _is_another(row: Row[Any], entry: Reported) -> bool:
    """The identifier is used again, for a session that began after this one."""
    begins = entry.status is AcctStatusType.START
    if row.stopped_at is None:
        return begins and entry.at > row.heard_at + SAME_SESSION_SECONDS
    return bool(entry.at > row.stopped_at + (0.0 if begins else SAME_SESSION_SECONDS))


def _first(entry: Reported, admission: int | None) -> dict[str, Any]:
    return {
        "admission_id": admission,
        "client": entry.client,
        "nas": printable(entry.nas),
        "session": printable(entry.session),
        "user_name": printable(entry.user_name),
        "calling_station": printable(entry.calling_station),
        "started_at": entry.at - entry.seconds,
        "heard_at": entry.at,
        "stopped_at": entry.at if entry.status is AcctStatusType.STOP else None,
        "seconds": entry.seconds,
        "input_octets": entry.input_octets,
        "output_octets": entry.output_octets,
        "input_packets": entry.input_packets,
        "output_packets": entry.output_packets,
        "cause": entry.cause,
    }


def _merged(row: Row[Any], entry: Reported, admission: int | None) -> dict[str, Any]:
    """Of two reports about one session, in whichever order they came."""
    first = _first(entry, admission)
    counted = ("heard_at", "seconds", "input_octets", "output_octets", "input_packets", "output_packets")
    return {
        "admission_id": max((number for number in (row.admission_id, admission) if number is not None), default=None),
        "started_at": min(row.started_at, first["started_at"]),
        **{name: max(getattr(row, name), first[name]) for name in counted},
        **{name: getattr(row, name) or first[name] for name in ("user_name", "calling_station")},
        "stopped_at": first["stopped_at"] if row.stopped_at is None else row.stopped_at,
        "cause": first["cause"] if row.cause is None else row.cause,
    }
