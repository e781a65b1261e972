"""Leases as they are kept: granted, begun, extended, ended; each change one transaction with its event.

A name has one lease at a time and nothing else beside it; leases of one name may follow each other. An alias of an
alias is refused on both sides: a leased name is no target, and a target is no leased name. The end of a lease removes
the very record its start published, and no other. Looking the device up in the DNS is the caller's: nothing here asks
anybody.

Sections: RFC 1034 section 3.6.2 (a CNAME stands alone), RFC 2181 section 10.1.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

from sqlalchemy import Connection, Row, and_, insert, or_, select, update

from dnsbound.errors import Misuse
from dnsbound.iana import Usage
from dnsbound.limits import LEASE_SECONDS
from dnsbound.names import ClientName
from dnsbound.provision import event_log, publication, registration, schema
from dnsbound.provision.database import Database
from dnsbound.provision.entries import Record
from dnsbound.provision.errors import AlreadyInInventory, LeaseRefused, NotInInventory
from dnsbound.provision.lifecycle.evidence import Reading
from dnsbound.provision.lifecycle.steady_clock import steady_reading
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.ownership.lease import LEASE_TRANSITIONS, OPEN, Lease, LeaseState, steady_end
from dnsbound.provision.public_key import admit_text
from dnsbound.records.tlsa import TLSA
from dnsbound.times import Moment, iso

_BATCH: Final = 1000
_CNAME: Final = frozenset({"CNAME"})
_TLSA: Final = frozenset({"TLSA"})
_OPEN: Final = [state.value for state in OPEN]
_LONGEST_PAUSE: Final = 3600.0
_FIRST_PAUSE: Final = 60.0


class Leases:
    """The leases of one inventory. steady: the clock that nobody sets."""

    def __init__(self, database: Database, *, steady: Callable[[], Reading] = steady_reading) -> None:
        self._database = database
        self._steady = steady

    def grant(
        self,
        name: ClientName,
        target: ClientName,
        *,
        ends_at: Moment,
        starts_at: Moment | None = None,
        ttl: int | None = None,
        now: Moment,
        actor: str,
        reason: str = "",
    ) -> Lease:
        """Lease a device: `name` is an alias of `target` from starts_at (None: now) to ends_at.

        A lease that starts now is active when this returns. ttl: seconds caches may keep the alias, None for the
        zone's. AlreadyInInventory where the name is registered or leased at that time, NameBlocked, LeaseRefused where
        the target cannot carry a lease as far as the inventory knows, Misuse for times that make none.
        """
        begins = now if starts_at is None else starts_at
        if begins < now:
            raise Misuse(f"a lease cannot start in the past, at {iso(begins)}")
        LEASE_SECONDS.checked(int(ends_at - begins))
        owner = OwnerName.parse(name.canonical)
        with self._database.writing() as connection:
            _check_free(connection, name, begins, ends_at)
            _check_target(connection, name, target)
            end = steady_end(ends_at, now=now, steady=self._steady())
            row = {
                "name": owner.text,
                "sort_key": owner.sort_key,
                "target": target.canonical,
                "ttl": publication.ttl_at(connection, owner, ttl),
                "starts_at": begins,
                "ends_at": ends_at,
                "steady_clock": end.clock,
                "steady_end": end.seconds,
                "state": LeaseState.PENDING.value,
                "due_at": begins,
                "reason": admit_text(reason, "reason"),
            }
            rows = schema.leases
            number = int(connection.execute(insert(rows).returning(rows.c.id), row).scalar_one())
            detail = {"target": target.canonical, "starts_at": iso(begins), "ends_at": iso(ends_at), "number": number}
            event_log.append(
                connection, at=now, actor=actor, action="lease", subject=name.canonical, detail=detail, reason=reason
            )
            if begins <= now:
                self._begin(connection, _named(connection, number), now=now, actor=actor, reason=reason)
            return _named(connection, number)

    def extend(
        self, name: ClientName, *, ends_at: Moment, number: int | None = None, now: Moment, actor: str, reason: str = ""
    ) -> Lease:
        """Move the end of an open lease to a later time. number: which one, where the name has several.

        LeaseRefused when it is over, though nobody removed the alias yet: what ended does not live on.
        """
        with self._database.writing() as connection:
            lease = _open(connection, name, number)
            if lease.is_over(now=now, steady=self._steady()):
                raise LeaseRefused(f"the lease of {name} ended at {iso(lease.ends_at)}; grant a new one")
            if ends_at <= lease.ends_at:
                raise Misuse(f"the lease of {name} runs until {iso(lease.ends_at)}: `lease end` ends one early")
            LEASE_SECONDS.checked(int(ends_at - lease.starts_at))
            _check_overlaps(connection, name, lease.starts_at, ends_at, apart_from=lease.number)
            end = steady_end(ends_at, now=now, steady=self._steady())
            changes: dict[str, object] = {"ends_at": ends_at, "steady_clock": end.clock, "steady_end": end.seconds}
            if lease.state is LeaseState.ACTIVE:
                changes["due_at"] = ends_at
            _change(connection, lease.number, changes)
            detail = {"before": iso(lease.ends_at), "ends_at": iso(ends_at), "number": lease.number}
            event_log.append(
                connection,
                at=now,
                actor=actor,
                action="lease-extend",
                subject=name.canonical,
                detail=detail,
                reason=reason,
            )
            return _named(connection, lease.number)

    def end(self, name: ClientName, *, number: int | None = None, now: Moment, actor: str, reason: str = "") -> Lease:
        """End an open lease now: an active one loses its alias, a pending one never begins. NotInInventory."""
        with self._database.writing() as connection:
            lease = _open(connection, name, number)
            self._close(connection, lease, now=now, actor=actor, reason=reason)
            return _named(connection, lease.number)

    def current(self, name: ClientName) -> Lease | None:
        """The active lease of a name, or else the pending one that starts first; None without any."""
        with self._database.reading() as connection:
            found = _open_leases(connection, name)
        return found[0] if found else None

    def numbered(self, number: int) -> Lease:
        """One lease; NotInInventory."""
        with self._database.reading() as connection:
            return _named(connection, number)

    def all(
        self,
        *,
        below: OwnerName | None = None,
        name: ClientName | None = None,
        target: ClientName | None = None,
        state: LeaseState | None = None,
    ) -> Iterator[Lease]:
        """Leases in the order they were granted. Memory stays flat. below: of names at or below one."""
        rows = schema.leases
        query = select(rows).order_by(rows.c.id).limit(_BATCH)
        if below is not None:
            start, end = below.below
            inside = and_(rows.c.sort_key >= start, rows.c.sort_key < end)
            query = query.where(or_(rows.c.sort_key == below.sort_key, inside))
        if name is not None:
            query = query.where(rows.c.name == name.canonical)
        if target is not None:
            query = query.where(rows.c.target == target.canonical)
        if state is not None:
            query = query.where(rows.c.state == state.value)
        last = 0
        while True:
            with self._database.reading() as connection:
                found = connection.execute(query.where(rows.c.id > last)).all()
            yield from map(_lease, found)
            if len(found) < _BATCH:
                return
            last = found[-1].id

    def next_due(self) -> Moment | None:
        """When a lease is next to begin, to end, or to be tried again; None when none is open."""
        rows = schema.leases
        query = select(rows.c.due_at).where(rows.c.due_at.is_not(None)).order_by(rows.c.due_at).limit(1)
        with self._database.reading() as connection:
            found = connection.execute(query).scalar_one_or_none()
        return None if found is None else float(found)

    def due(self, *, now: Moment, limit: int) -> list[Lease]:
        """Open leases with something to do, those that are over first, the longest overdue first."""
        rows = schema.leases
        steady = self._steady()
        by_steady = and_(rows.c.steady_clock == steady.clock, rows.c.steady_end <= steady.seconds)
        over = and_(rows.c.state.in_(_OPEN), or_(rows.c.ends_at <= now, by_steady))
        begins = and_(rows.c.state == LeaseState.PENDING.value, rows.c.due_at <= now)
        with self._database.reading() as connection:
            found = connection.execute(select(rows).where(over).order_by(rows.c.ends_at).limit(limit)).all()
            known = {row.id for row in found}
            more = connection.execute(select(rows).where(begins).order_by(rows.c.due_at).limit(limit)).all()
        return [_lease(row) for row in (*found, *(row for row in more if row.id not in known))][:limit]

    def close_due(self, number: int, *, now: Moment, actor: str) -> bool:
        """End a lease that is over. False when it is not, or when somebody else has ended it meanwhile."""
        with self._database.writing() as connection:
            lease = _named(connection, number)
            if lease.state not in OPEN or not lease.is_over(now=now, steady=self._steady()):
                return False
            reason = "" if lease.state is LeaseState.ACTIVE else lease.problem
            self._close(connection, lease, now=now, actor=actor, reason=reason)
            return True

    def begin_due(self, number: int, *, now: Moment, actor: str) -> bool:
        """Publish the alias of a pending lease whose time has come. False when somebody else was first, or when it is
        over. Misuse, and nothing is changed, where the alias cannot stand."""
        with self._database.writing() as connection:
            lease = _named(connection, number)
            is_over = lease.is_over(now=now, steady=self._steady())
            if lease.state is not LeaseState.PENDING or is_over or lease.starts_at > now:
                return False
            self._begin(connection, lease, now=now, actor=actor, reason="")
            return True

    def postpone(self, number: int, problem: str, *, now: Moment) -> None:
        """Note why a pending lease cannot begin, and when it is tried again: later each time, never after its end."""
        with self._database.writing() as connection:
            lease = _named(connection, number)
            if lease.state is not LeaseState.PENDING:
                return
            pause = min(_FIRST_PAUSE * 2 ** min(lease.attempts, 10), _LONGEST_PAUSE)
            due_at = min(now + pause, lease.ends_at)
            _change(connection, number, {"attempts": lease.attempts + 1, "due_at": due_at, "problem": problem})

    def _begin(self, connection: Connection, lease: Lease, *, now: Moment, actor: str, reason: str) -> None:
        _check_target(connection, lease.name, lease.target)
        if registration.active_id(connection, lease.name) is not None:
            raise AlreadyInInventory(f"{lease.name} is registered as an identity")
        _move(connection, lease, LeaseState.ACTIVE, due_at=lease.ends_at)
        publication.add(connection, _alias(lease), now=now)
        detail = {"number": lease.number, "record": _alias(lease).to_text()}
        event_log.append(
            connection,
            at=now,
            actor=actor,
            action="lease-begin",
            subject=lease.name.canonical,
            detail=detail,
            reason=reason,
        )

    def _close(self, connection: Connection, lease: Lease, *, now: Moment, actor: str, reason: str) -> None:
        if lease.state is LeaseState.PENDING:
            _move(connection, lease, LeaseState.CANCELLED, due_at=None)
            detail: dict[str, object] = {"number": lease.number}
            event_log.append(
                connection,
                at=now,
                actor=actor,
                action="lease-cancel",
                subject=lease.name.canonical,
                detail=detail,
                reason=reason,
            )
            return
        _move(connection, lease, LeaseState.ENDED, due_at=None)
        alias = _alias(lease)
        removed = publication.remove(connection, alias.owner, _CNAME, alias.rdata, now=now)
        detail = {
            "number": lease.number,
            "ends_at": iso(lease.ends_at),
            "records": [record.to_text() for record in removed],
        }
        event_log.append(
            connection,
            at=now,
            actor=actor,
            action="lease-end",
            subject=lease.name.canonical,
            detail=detail,
            reason=reason,
        )


def _check_free(connection: Connection, name: ClientName, starts_at: Moment, ends_at: Moment) -> None:
    """Nothing else has the name during the lease, as far as is known now."""
    if registration.active_id(connection, name) is not None:
        raise AlreadyInInventory(f"{name} is registered as an identity; a leased name is an alias and stands alone")
    _check_overlaps(connection, name, starts_at, ends_at)
    owner = OwnerName.parse(name.canonical)
    aliases = {_alias(lease).rdata for lease in _open_leases(connection, name) if lease.state is LeaseState.ACTIVE}
    present = [record for record in publication.records_at(connection, owner) if record.rdata not in aliases]
    if present:
        publication.check_block(owner, present)
        raise LeaseRefused(f"{name} has {present[0].rdtype} records; a leased name is an alias and stands alone")


def _check_overlaps(
    connection: Connection, name: ClientName, starts_at: Moment, ends_at: Moment, *, apart_from: int | None = None
) -> None:
    for other in _open_leases(connection, name):
        if other.number != apart_from and other.starts_at < ends_at and starts_at < other.ends_at:
            raise AlreadyInInventory(
                f"{name} is leased from {iso(other.starts_at)} to {iso(other.ends_at)} already (lease {other.number})"
            )


def _check_target(connection: Connection, name: ClientName, target: ClientName) -> None:
    """What the inventory knows of the device; of other organisations' names it knows nothing."""
    if name == target:
        raise LeaseRefused(f"{name} cannot be an alias of itself")
    rows = schema.leases
    is_open = rows.c.state.in_(_OPEN)
    if connection.execute(select(rows.c.id).where(is_open, rows.c.name == target.canonical)).first() is not None:
        raise LeaseRefused(f"{target} is itself leased: lease the name its maker gave the device")
    if connection.execute(select(rows.c.id).where(is_open, rows.c.target == name.canonical)).first() is not None:
        raise LeaseRefused(f"{name} is the device of another lease: an alias of an alias is refused")
    owner = OwnerName.parse(target.canonical)
    present = publication.records_at(connection, owner, _TLSA | _CNAME)
    publication.check_block(owner, present)
    if any(record.rdtype == "CNAME" for record in present):
        raise LeaseRefused(f"{target} is itself an alias")
    if not present and publication.zone_of(connection, owner) is not None:
        raise LeaseRefused(f"{target} has no TLSA record")
    others = sorted(
        {found.parameters for record in present if (found := TLSA.from_text(record.rdata)).usage != Usage.DANE_EE}
    )
    if others:
        raise LeaseRefused(f"{target} has a record {others[0]}; a lease takes 3 x x alone")


def _alias(lease: Lease) -> Record:
    owner = OwnerName.parse(lease.name.canonical)
    return publication.parse_record(owner, "CNAME", f"{lease.target.canonical}.", lease.ttl)


def _move(connection: Connection, lease: Lease, state: LeaseState, *, due_at: Moment | None) -> None:
    if state not in LEASE_TRANSITIONS[lease.state]:
        raise Misuse(f"a lease that is {lease.state.value} does not become {state.value}")
    _change(connection, lease.number, {"state": state.value, "due_at": due_at, "problem": ""})


def _change(connection: Connection, number: int, changes: dict[str, object]) -> None:
    connection.execute(update(schema.leases).where(schema.leases.c.id == number).values(**changes))


def _named(connection: Connection, number: int) -> Lease:
    row = connection.execute(select(schema.leases).where(schema.leases.c.id == number)).one_or_none()
    if row is None:
        raise NotInInventory(f"there is no lease {number}")
    return _lease(row)


def _open(connection: Connection, name: ClientName, number: int | None) -> Lease:
    found = _open_leases(connection, name)
    if number is not None:
        found = [lease for lease in found if lease.number == number]
    if not found:
        raise NotInInventory(f"{name} is not leased" if number is None else f"{name} has no open lease {number}")
    return found[0]


def _open_leases(connection: Connection, name: ClientName) -> list[Lease]:
    """The active one first, then the pending ones as they start."""
    rows = schema.leases
    query = select(rows).where(rows.c.name == name.canonical, rows.c.state.in_(_OPEN))
    return [_lease(row) for row in connection.execute(query.order_by(rows.c.state, rows.c.starts_at))]


def _lease(row: Row[Any]) -> Lease:
    return Lease(
        number=row.id,
        name=ClientName.parse(row.name),
        target=ClientName.parse(row.target),
        ttl=row.ttl,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        state=LeaseState(row.state),
        due_at=row.due_at,
        attempts=row.attempts,
        problem=row.problem,
        reason=row.reason,
        steady_end=Reading(clock=row.steady_clock, seconds=row.steady_end),
    )
