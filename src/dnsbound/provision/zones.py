"""Zones: what an authority serves besides identities, and which keys sign it."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, insert, select, update

from dnsbound.errors import Misuse
from dnsbound.limits import RECORD_TTL
from dnsbound.provision import event_log, publication, schema
from dnsbound.provision.database import Database
from dnsbound.provision.entries import Record, Zone, ZoneSettings
from dnsbound.provision.errors import AlreadyInInventory, NotInInventory
from dnsbound.provision.lifecycle.standing import check_beside, tlsa_at
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.tree_order import BEGINNING, at_or_below, page_after
from dnsbound.times import Moment

_BATCH: Final = 1000
_MAX_TIMER: Final = 2**31 - 1


class Zones:
    """The zones of one inventory."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self,
        settings: ZoneSettings,
        *,
        key_path: Path | None = None,
        ds: Sequence[str] = (),
        now: Moment,
        actor: str,
        reason: str = "",
    ) -> Zone:
        """Add a zone. Records kept at or below its name are served from it at once. AlreadyInInventory if it exists.

        key_path, ds: as for `set_keys`; without a key file the zone is served unsigned.
        """
        _check_settings(settings)
        name = settings.name
        with self._database.writing() as connection:
            if _zone_id(connection, name) is not None:
                raise AlreadyInInventory(f"the zone {name} is in the inventory already")
            for record in publication.records_at(connection, name, frozenset({"CNAME", "DS", "NS"})):
                raise Misuse(f"{name} has {record.rdtype} records: withdraw them before it becomes a zone here")
            row = {
                "name": name.text,
                "sort_key": name.sort_key,
                "mname": settings.nameservers[0].text,
                "rname": settings.rname.text,
                "serial": 1,
                "refresh": settings.refresh,
                "retry": settings.retry,
                "expire": settings.expire,
                "negative_ttl": settings.negative_ttl,
                "ttl": settings.ttl,
                "ds": "[]",
                "created_at": now,
            }
            zone_id = connection.execute(insert(schema.zones).returning(schema.zones.c.id), row).scalar_one()
            hosts = [
                {"zone_id": zone_id, "position": position, "host": host.text}
                for position, host in enumerate(settings.nameservers)
            ]
            connection.execute(insert(schema.nameservers), hosts)
            if key_path is not None:
                _write_keys(connection, zone_id, key_path, _ds_texts(name, ds))
            _serve_from_now_on(connection, name)
            detail = {"nameservers": [host.text for host in settings.nameservers], "ttl": settings.ttl}
            event_log.append(
                connection, at=now, actor=actor, action="create-zone", subject=name.text, detail=detail, reason=reason
            )
            return _read_one(connection, name)

    def named(self, name: OwnerName) -> Zone:
        """One zone by its name. NotInInventory."""
        with self._database.reading() as connection:
            return _read_one(connection, name)

    def all(self) -> list[Zone]:
        """Every zone, parents before children."""
        with self._database.reading() as connection:
            rows = connection.execute(select(schema.zones).order_by(schema.zones.c.sort_key)).all()
            return _read(connection, rows)

    def delegated_from(self, name: OwnerName) -> list[Zone]:
        """The zones here that hang directly below this one; its delegations to them need no records of its own."""
        zones = self.all()
        return [
            zone
            for zone in zones
            if zone.name != name
            and zone.name.is_at_or_below(name)
            and not any(
                zone.name != between.name != name
                and zone.name.is_at_or_below(between.name)
                and between.name.is_at_or_below(name)
                for between in zones
            )
        ]

    def serving(self, owner: OwnerName) -> Zone | None:
        """The zone here that a TLSA record at `owner` is served from, or None."""
        with self._database.reading() as connection:
            found = publication.zone_of(connection, owner)
            return None if found is None else _read_one(connection, found[1])

    def publish(self, record: Record, *, now: Moment, actor: str, reason: str = "") -> None:
        """Add a record to the zone it belongs to; an identity's TLSA comes by registering the identity instead."""
        record = publication.parse_record(record.owner, record.rdtype, record.rdata, record.ttl)
        _refuse_block([record])
        with self._database.writing() as connection:
            if publication.zone_of(connection, record.owner, record.rdtype) is None:
                raise NotInInventory(f"no zone of the inventory holds {record.rdtype} records of {record.owner}")
            before = tlsa_at(connection, record.owner)
            publication.add(connection, record, now=now)
            if record.rdtype == "TLSA":
                check_beside(connection, record.owner, before=before)
            detail: dict[str, object] = {"record": record.to_text()}
            event_log.append(
                connection,
                at=now,
                actor=actor,
                action="publish",
                subject=record.owner.text,
                detail=detail,
                reason=reason,
            )

    def withdraw(
        self, owner: OwnerName, rdtype: str, rdata: str | None = None, *, now: Moment, actor: str, reason: str = ""
    ) -> list[Record]:
        """Remove the records of a type at a name, or the one with these data. NotInInventory when there is none."""
        kind = rdtype.upper()
        data = None if rdata is None else publication.parse_record(owner, kind, rdata, 0).rdata
        with self._database.writing() as connection:
            before = tlsa_at(connection, owner)
            removed = publication.remove(connection, owner, frozenset({kind}), data, now=now)
            if not removed:
                raise NotInInventory(f"{owner} has no such {kind} record")
            if kind == "TLSA":
                check_beside(connection, owner, before=before)
            _refuse_block(removed)
            detail: dict[str, object] = {"records": [record.to_text() for record in removed]}
            event_log.append(
                connection, at=now, actor=actor, action="withdraw", subject=owner.text, detail=detail, reason=reason
            )
            return removed

    def records(self, name: OwnerName) -> Iterator[Record]:
        """Every record served from the zone except SOA, the apex NS, DNSKEY and what is made when signing.

        In tree order, parents before children, read in batches: the zone may be large and may change meanwhile.
        """
        with self._database.reading() as connection:
            _zone_row(connection, name)
        rows = schema.records
        query = select(rows).order_by(rows.c.sort_key, rows.c.id)
        cuts = select(schema.zones.c.name).where(at_or_below(schema.zones.c.sort_key, name))
        last = BEGINNING
        while True:
            page = query.where(page_after(last, rows.c.sort_key, rows.c.id, name)).limit(_BATCH)
            with self._database.reading() as connection:
                found = connection.execute(page).all()
                zones = frozenset(connection.scalars(cuts))
            for record in map(_record, found):
                if publication.nearest_zone(zones, record.owner, record.rdtype) == name.text:
                    yield record
            if len(found) < _BATCH:
                return
            last = (found[-1].sort_key, found[-1].id)

    def set_keys(
        self, name: OwnerName, path: Path, ds: Sequence[str], *, now: Moment, actor: str, reason: str = ""
    ) -> Zone:
        """Note where the zone's key file lies and which DS records follow from it, after every change of the file.

        An authority that serves this inventory reads the file again at its next query.
        """
        texts = _ds_texts(name, ds)
        with self._database.writing() as connection:
            zone_id = _zone_row(connection, name).id
            _write_keys(connection, zone_id, path, texts)
            publication.touch(connection, zone_id)
            detail: dict[str, object] = {"path": str(path), "ds": texts}
            event_log.append(
                connection, at=now, actor=actor, action="set-keys", subject=name.text, detail=detail, reason=reason
            )
            return _read_one(connection, name)


def _refuse_block(records: Iterable[Record]) -> None:
    for record in records:
        if record.rdtype == "TLSA" and record.rdata == publication.BLOCK_DATA:
            raise Misuse(f"this record blocks {record.owner}: `dnsbound id block` and `id unblock` are for it")


def _serve_from_now_on(connection: Connection, zone: OwnerName) -> None:
    """No other server needs to be told any more what this one answers."""
    key = schema.outbox.c.sort_key
    start, end = zone.below
    connection.execute(delete(schema.outbox).where((key == zone.sort_key) | ((key >= start) & (key < end))))


def _ds_texts(name: OwnerName, ds: Sequence[str]) -> list[str]:
    return [publication.parse_record(name, "DS", text, 0).rdata for text in ds]


def _write_keys(connection: Connection, zone_id: int, path: Path, ds: list[str]) -> None:
    used = select(schema.zones.c.name).where(schema.zones.c.key_path == str(path), schema.zones.c.id != zone_id)
    other = connection.execute(used).scalar_one_or_none()
    if other is not None:
        raise AlreadyInInventory(f"{path} holds the keys of {other}; every zone has its own")
    changed = update(schema.zones).where(schema.zones.c.id == zone_id)
    connection.execute(changed.values(key_path=str(path), ds=json.dumps(ds)))


def _check_settings(settings: ZoneSettings) -> None:
    if not settings.nameservers:
        raise Misuse(f"the zone {settings.name} needs at least one name server")
    if len(set(settings.nameservers)) != len(settings.nameservers):
        raise Misuse(f"the zone {settings.name} names a name server twice")
    RECORD_TTL.checked(settings.ttl)
    RECORD_TTL.checked(settings.negative_ttl)
    for timer, value in (("refresh", settings.refresh), ("retry", settings.retry), ("expire", settings.expire)):
        if not 1 <= value <= _MAX_TIMER:
            raise Misuse(f"the SOA {timer} of {settings.name} must be from 1 to {_MAX_TIMER} seconds, not {value}")


def _zone_id(connection: Connection, name: OwnerName) -> int | None:
    return connection.execute(select(schema.zones.c.id).where(schema.zones.c.name == name.text)).scalar_one_or_none()


def _zone_row(connection: Connection, name: OwnerName) -> Row[Any]:
    row = connection.execute(select(schema.zones).where(schema.zones.c.name == name.text)).one_or_none()
    if row is None:
        raise NotInInventory(f"the zone {name} is not in the inventory")
    return row


def _read_one(connection: Connection, name: OwnerName) -> Zone:
    return _read(connection, [_zone_row(connection, name)])[0]


def _read(connection: Connection, rows: Sequence[Row[Any]]) -> list[Zone]:
    hosts: dict[int, list[OwnerName]] = {row.id: [] for row in rows}
    query = select(schema.nameservers).order_by(schema.nameservers.c.zone_id, schema.nameservers.c.position)
    if len(rows) == 1:
        query = query.where(schema.nameservers.c.zone_id == rows[0].id)
    for found in connection.execute(query):
        hosts[found.zone_id].append(OwnerName.parse(found.host))
    return [_zone(row, hosts[row.id]) for row in rows]


def _zone(row: Row[Any], hosts: Sequence[OwnerName]) -> Zone:
    settings = ZoneSettings(
        name=OwnerName.parse(row.name),
        nameservers=tuple(hosts),
        rname=OwnerName.parse(row.rname),
        ttl=row.ttl,
        refresh=row.refresh,
        retry=row.retry,
        expire=row.expire,
        negative_ttl=row.negative_ttl,
    )
    return Zone(
        settings=settings,
        serial=row.serial,
        created_at=row.created_at,
        key_path=None if row.key_path is None else Path(row.key_path),
        ds=tuple(json.loads(row.ds)),
    )


def _record(row: Row[Any]) -> Record:
    return Record(owner=OwnerName.parse(row.owner, wildcard=True), rdtype=row.rdtype, rdata=row.rdata, ttl=row.ttl)
