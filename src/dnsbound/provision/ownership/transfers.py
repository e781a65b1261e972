"""Transfers: one key passes to another name, and the former name goes when the overlap is over.

During the overlap both names are valid and every door may change its list in its own time. Then the former name is
revoked, with a block where a wildcard could speak for it; not while the new name waits to be published. Where the new
name is kept by another inventory, the file of `transfer_file.py` goes there and only the end is kept here. Whoever
revokes one of the two names ends the transfer with it, and the other name stays.

Sections: ARCH, change of ownership.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from sqlalchemy import Connection, insert, or_, select

from dnsbound.errors import Misuse
from dnsbound.iana import Usage
from dnsbound.limits import TRANSFER_SECONDS
from dnsbound.names import ClientName
from dnsbound.provision import event_log, identities, registration, schema
from dnsbound.provision.database import Database
from dnsbound.provision.entries import Identity
from dnsbound.provision.errors import AlreadyInInventory, NotInInventory
from dnsbound.provision.ownership.transfer import QUERY, Transfer, TransferState, end
from dnsbound.provision.ownership.transfer_file import MAX_HISTORY, TransferFile
from dnsbound.provision.registration import Registration
from dnsbound.records.tlsa import TLSA
from dnsbound.times import Moment, iso

_BATCH: Final = 1000


class Transfers:
    """The transfers of one inventory."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(
        self,
        former: ClientName,
        new: ClientName,
        *,
        overlap_until: Moment,
        owner: str = "",
        now: Moment,
        actor: str,
        reason: str = "",
    ) -> Transfer:
        """Register the key of `former` under `new` as well, and revoke `former` when the overlap is over.

        owner: who answers for it from now on. The new name gets the records of usage 3, which hold under any name.
        Misuse where there are none, or while the key is being rolled; AlreadyInInventory, NotInInventory, NameBlocked.
        """
        with self._database.writing() as connection:
            _check_overlap(overlap_until, now)
            identity = _of(connection, former)
            registered = Registration.checked(
                new,
                spki=identity.spki,
                records=_portable(identity),
                ttl=identity.ttl,
                owner=owner,
                tags=identity.tags,
                certificate=identity.key.certificate,
            )
            to_id = registration.register(connection, registered, now=now, actor=actor, reason=reason)
            row = _row_of(connection, former, overlap_until) | {"to_identity_id": to_id, "to_name": new.canonical}
            detail = {"to": new.canonical, "overlap_until": iso(overlap_until)}
            return _insert(connection, row, former, detail, now=now, actor=actor, reason=reason)

    def export(
        self,
        former: ClientName,
        *,
        to: ClientName | None = None,
        overlap_until: Moment | None = None,
        now: Moment,
        actor: str,
        reason: str = "",
    ) -> TransferFile:
        """The identity for another inventory. overlap_until: when the name is revoked here; None leaves it as it is."""
        with self._database.writing() as connection:
            identity = _of(connection, former)
            file = TransferFile(
                name=former,
                spki=identity.spki,
                certificate=identity.key.certificate,
                records=_portable(identity),
                exported_at=now,
                valid_until=overlap_until,
                history=_history(connection, former),
            )
            if overlap_until is None:
                event_log.append(
                    connection,
                    at=now,
                    actor=actor,
                    action="transfer-export",
                    subject=former.canonical,
                    detail={},
                    reason=reason,
                )
                return file
            _check_overlap(overlap_until, now)
            row = _row_of(connection, former, overlap_until) | {"to_name": "" if to is None else to.canonical}
            detail = {"to": None if to is None else to.canonical, "overlap_until": iso(overlap_until)}
            _insert(connection, row, former, detail, now=now, actor=actor, reason=reason)
            return file

    def take(
        self,
        file: TransferFile,
        new: ClientName,
        *,
        owner: str = "",
        ttl: int | None = None,
        now: Moment,
        actor: str,
        reason: str = "",
    ) -> Identity:
        """Register what another inventory exported. That the device holds the key was proved to the caller."""
        new_registration = Registration.checked(
            new, spki=file.spki, records=file.records, ttl=ttl, owner=owner, certificate=file.certificate
        )
        history = [f"{iso(at)} {action}" for at, action in file.history]
        detail: dict[str, object] = {"from": file.name.canonical, "exported_at": iso(file.exported_at)}
        with self._database.writing() as connection:
            identity_id = registration.register(connection, new_registration, now=now, actor=actor, reason=reason)
            detail["history"] = history
            event_log.append(
                connection,
                at=now,
                actor=actor,
                action="transfer-import",
                subject=new.canonical,
                detail=detail,
                reason=reason,
            )
            return identities.read_one(connection, identity_id)

    def finish(self, former: ClientName, *, now: Moment, actor: str, reason: str = "") -> Transfer:
        """End the overlap now: the former name is revoked. NotInInventory."""
        with self._database.writing() as connection:
            transfer = _open(connection, former)
            _close(connection, transfer, now=now, actor=actor, reason=reason)
            return _numbered(connection, transfer.number)

    def cancel(self, former: ClientName, *, now: Moment, actor: str, reason: str = "") -> Transfer:
        """Take a transfer back: the former name stays, and the new one is revoked if it is kept here."""
        with self._database.writing() as connection:
            transfer = _open(connection, former)
            if transfer.is_here and transfer.new is not None:
                registration.revoke(connection, transfer.new, now=now, actor=actor, reason=reason)
            else:
                end(connection, transfer, TransferState.CANCELLED, now=now, actor=actor, reason=reason)
            return _numbered(connection, transfer.number)

    def of(self, name: ClientName) -> Transfer | None:
        """The open transfer from or to a name, or None."""
        with self._database.reading() as connection:
            return _find(connection, name)

    def all(self, *, state: TransferState | None = None) -> Iterator[Transfer]:
        """Transfers in the order they began. Memory stays flat."""
        rows = schema.transfers
        query = QUERY.order_by(rows.c.id).limit(_BATCH)
        if state is not None:
            query = query.where(rows.c.state == state.value)
        last = 0
        while True:
            with self._database.reading() as connection:
                found = connection.execute(query.where(rows.c.id > last)).all()
            yield from map(Transfer.of, found)
            if len(found) < _BATCH:
                return
            last = found[-1].id

    def next_due(self) -> Moment | None:
        """When an overlap is next to end; None when nothing overlaps."""
        rows = schema.transfers
        query = select(rows.c.overlap_until).where(rows.c.state == TransferState.OVERLAPPING.value)
        with self._database.reading() as connection:
            found = connection.execute(query.order_by(rows.c.overlap_until).limit(1)).scalar_one_or_none()
        return None if found is None else float(found)

    def due(self, *, now: Moment, limit: int) -> list[Transfer]:
        """Transfers whose overlap is over, the longest overdue first."""
        rows = schema.transfers
        query = QUERY.where(rows.c.state == TransferState.OVERLAPPING.value, rows.c.overlap_until <= now)
        with self._database.reading() as connection:
            return [Transfer.of(row) for row in connection.execute(query.order_by(rows.c.overlap_until).limit(limit))]

    def is_waiting(self, number: int) -> bool:
        """Whether a transfer whose overlap is over waits for its new name to be published."""
        with self._database.reading() as connection:
            transfer = _numbered(connection, number)
            return transfer.state is TransferState.OVERLAPPING and _must_wait(connection, transfer)

    def close_due(self, number: int, *, now: Moment, actor: str) -> bool:
        """Revoke the former name of a transfer that is over. False when somebody else was first, and while the new name
        still waits to be published: the device would be known nowhere."""
        with self._database.writing() as connection:
            transfer = _numbered(connection, number)
            if transfer.state is not TransferState.OVERLAPPING or now < transfer.overlap_until:
                return False
            if _must_wait(connection, transfer):
                return False
            _close(connection, transfer, now=now, actor=actor, reason="")
            return True


def _check_overlap(overlap_until: Moment, now: Moment) -> None:
    TRANSFER_SECONDS.checked(int(overlap_until - now))


def _of(connection: Connection, name: ClientName) -> Identity:
    """The active identity of a name that may be transferred."""
    identity = identities.read_one(connection, registration.id_of_active(connection, name))
    if identity.next_key is not None:
        raise Misuse(f"the key of {name} is being rolled: finish or cancel that first")
    if _find(connection, name) is not None:
        raise AlreadyInInventory(f"{name} is part of a transfer already")
    return identity


def _portable(identity: Identity) -> tuple[TLSA, ...]:
    """RFC 7671 section 5.1: a record of usage 3 asks for no name in the certificate."""
    records = [TLSA.from_text(record.rdata) for record in identity.records if record.rdtype == "TLSA"]
    portable = tuple(record for record in records if record.usage == Usage.DANE_EE)
    if not portable:
        raise Misuse(
            f"{identity.name} has no record of usage 3: under another name it needs a certificate that shows that name"
        )
    return portable


def _history(connection: Connection, name: ClientName) -> tuple[tuple[Moment, str], ...]:
    rows = schema.events
    query = select(rows.c.at, rows.c.action).where(rows.c.subject == name.canonical)
    found = connection.execute(query.order_by(rows.c.id.desc()).limit(MAX_HISTORY)).all()
    return tuple((row.at, row.action) for row in reversed(found))


def _row_of(connection: Connection, former: ClientName, overlap_until: Moment) -> dict[str, object]:
    return {
        "from_identity_id": registration.id_of_active(connection, former),
        "overlap_until": overlap_until,
        "state": TransferState.OVERLAPPING.value,
    }


def _insert(
    connection: Connection,
    row: dict[str, object],
    former: ClientName,
    detail: Mapping[str, object],
    *,
    now: Moment,
    actor: str,
    reason: str,
) -> Transfer:
    rows = schema.transfers
    number = int(connection.execute(insert(rows).returning(rows.c.id), row).scalar_one())
    event_log.append(
        connection, at=now, actor=actor, action="transfer", subject=former.canonical, detail=detail, reason=reason
    )
    return _numbered(connection, number)


def _close(connection: Connection, transfer: Transfer, *, now: Moment, actor: str, reason: str) -> None:
    """Revoking the former name ends the transfer (`transfer.end_with`)."""
    registration.revoke(connection, transfer.former, now=now, actor=actor, reason=reason or "transferred")


def _must_wait(connection: Connection, transfer: Transfer) -> bool:
    if transfer.new is None or not transfer.is_here:
        return False
    rows = schema.outbox
    query = select(rows.c.owner).where(rows.c.owner == transfer.new.canonical)
    return connection.execute(query).first() is not None


def _numbered(connection: Connection, number: int) -> Transfer:
    row = connection.execute(QUERY.where(schema.transfers.c.id == number)).one_or_none()
    if row is None:
        raise NotInInventory(f"there is no transfer {number}")
    return Transfer.of(row)


def _find(connection: Connection, name: ClientName) -> Transfer | None:
    rows = schema.transfers
    either = or_(schema.identities.c.name == name.canonical, rows.c.to_name == name.canonical)
    query = QUERY.where(rows.c.state == TransferState.OVERLAPPING.value, either).order_by(rows.c.id)
    row = connection.execute(query.limit(1)).one_or_none()
    return None if row is None else Transfer.of(row)


def _open(connection: Connection, former: ClientName) -> Transfer:
    found = _find(connection, former)
    if found is None:
        raise NotInInventory(f"{former} is not being transferred")
    if found.former != former:
        raise Misuse(f"{former} is the new name; the transfer is that of {found.former}")
    return found
