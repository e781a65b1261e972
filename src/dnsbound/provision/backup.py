"""Backing up a whole inventory into one file, and restoring it, also into another kind of database.

A backup is one consistent view, whoever writes meanwhile, and takes the place of its name only when it is complete. A
restore is one transaction: everything, checked to the last line, or nothing. Keys of zones are not in it: they are
files of their own.

A restore brings nobody back who was revoked since, as far as that can be known: from the inventory that is replaced.
"""

import os
import tempfile
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import sqlalchemy as sa
from sqlalchemy import Connection, Table, exists, func, insert, select, text

from dnsbound.errors import Malformed, Misuse
from dnsbound.names import ClientName
from dnsbound.provision import event_log, publication, registration, schema, schema_migration
from dnsbound.provision.backup_format import Header, Reader, Row, write
from dnsbound.provision.database import Database
from dnsbound.provision.entries import IdentityState
from dnsbound.provision.errors import AlreadyInInventory
from dnsbound.provision.inventory_kind import HEAD_REVISION, INVENTORY
from dnsbound.provision.owner import OwnerName
from dnsbound.times import Moment, iso

_BATCH: Final = 1000
_BATCH_OCTETS: Final = 8_388_608
_PUBLISHED: Final = frozenset({"records", "published"})
"""Tables of records that are, or were, sent to servers."""
_SHUTTING_OUT: Final = ("block", "lease-end", "replace-key", "revoke-authority", "roll-begin", "withdraw")
"""Actions of events, beside `revoke`, after which somebody, or a key, no longer logs in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupFacts:
    """What a backup holds."""

    schema: str
    made_at: Moment
    rows: Mapping[str, int]
    """Of each table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What a restore did, beyond what the backup holds."""

    backup: BackupFacts
    kept_revoked: tuple[str, ...]
    """Names that the backup has and that were revoked after it, in the inventory that was replaced. They are revoked
    again, or would have been but for `danger_revoked`."""
    to_repeat: tuple[tuple[str, str], ...]
    """Other changes after the backup that shut somebody out, as (action, subject): they are undone."""


def back_up(database: Database, path: Path, *, now: Moment) -> BackupFacts:
    """Write the whole inventory into a file that its owner alone can read.

    It is complete and on the disk before it gets its name; a former backup of that name is replaced, another file is
    not (Misuse). OSError: nothing is left behind.
    """
    _refuse_to_replace(path)
    with _written_whole(path) as file, database.reading() as connection:
        tables = schema.metadata.sorted_tables
        header = Header(
            schema=HEAD_REVISION,
            made_at=now,
            tables={table.name: tuple(column.name for column in table.columns) for table in tables},
        )
        counts = write(file, header, (row for table in tables for row in _rows(connection, table)))
    return BackupFacts(schema=header.schema, made_at=now, rows=counts)


def check(path: Path, *, octets: int | None = None) -> BackupFacts:
    """Read a backup to its end. Malformed when it is not whole. octets: limit `backup-octets`."""
    with path.open("rb") as file:
        reader = Reader(file, octets=octets)
        _refuse_newer(reader.header)
        for _ in reader:
            pass
    return BackupFacts(schema=reader.header.schema, made_at=reader.header.made_at, rows=dict(reader.counts))


def restore(
    database: Database,
    path: Path,
    *,
    replace: bool = False,
    danger_revoked: bool = False,
    octets: int | None = None,
    now: Moment,
    actor: str,
    reason: str = "",
) -> Restored:
    """Put a backup into an inventory that is empty, or in the place of what it holds. All or nothing.

    One event more tells of the restore itself. Names that the replaced inventory revoked after the backup was made are
    revoked again, unless danger_revoked. octets: limit `backup-octets`.

    AlreadyInInventory when it is not empty and not to be replaced. Malformed for a file that is no whole backup.
    """
    with path.open("rb") as file:
        reader = Reader(file, octets=octets)
        header = reader.header
        _refuse_newer(header)
        with database.writing(unhurried=True) as connection:
            if not replace and not _is_empty(connection):
                raise AlreadyInInventory(f"the inventory at {database.place} is not empty")
            revoked, to_repeat = _shut_out_since(connection, header.made_at)
            # From nothing, so that the triggers which protect events need no way around them.
            schema_migration.migrate(connection, INVENTORY, "base", danger_lose_data=True)
            schema_migration.migrate(connection, INVENTORY, header.schema)
            _insert(connection, reader)
            schema_migration.migrate(connection, INVENTORY, HEAD_REVISION)
            detail: dict[str, object] = {"made_at": header.made_at, "rows": reader.counts, "replaced": replace}
            event_log.append(
                connection, at=now, actor=actor, action="restore", subject="inventory", detail=detail, reason=reason
            )
            back = [name for name in revoked if registration.active_id(connection, name) is not None]
            for name in () if danger_revoked else back:
                why = reason or f"revoked after the backup of {iso(header.made_at)}"
                registration.revoke(connection, name, now=now, actor=actor, reason=why)
    facts = BackupFacts(schema=header.schema, made_at=header.made_at, rows=dict(reader.counts))
    return Restored(backup=facts, kept_revoked=tuple(name.canonical for name in back), to_repeat=to_repeat)


def _shut_out_since(connection: Connection, made_at: Moment) -> tuple[list[ClientName], tuple[tuple[str, str], ...]]:
    """Names whose last identity was revoked since a moment, and events of whatever else shut somebody out."""
    rows, events = schema.identities, schema.events
    other = rows.alias()
    stands = exists().where(other.c.name == rows.c.name, other.c.state == IdentityState.ACTIVE.value)
    revoked = select(rows.c.name).where(rows.c.revoked_at >= made_at, ~stands).distinct().order_by(rows.c.name)
    changes = (
        select(events.c.action, events.c.subject)
        .where(events.c.at >= made_at, events.c.action.in_(_SHUTTING_OUT))
        .distinct()
        .order_by(events.c.action, events.c.subject)
    )
    return (
        [ClientName.parse(name) for name in connection.execute(revoked).scalars()],
        tuple((row.action, row.subject) for row in connection.execute(changes)),
    )


def _refuse_newer(header: Header) -> None:
    if header.schema > HEAD_REVISION:
        raise Misuse(f"the backup is of a newer dnsbound (schema {header.schema}; this one knows {HEAD_REVISION})")


def _rows(connection: Connection, table: Table) -> Iterator[Row]:
    query = select(table).order_by(*table.primary_key.columns).execution_options(yield_per=_BATCH)
    for row in connection.execute(query):
        yield table.name, [bytes(value) if isinstance(value, memoryview) else value for value in row]


def _insert(connection: Connection, reader: Reader) -> None:
    known = _reflected(connection, reader.header.tables)
    for name, columns in reader.header.tables.items():
        if name not in known or not set(columns) <= set(known[name].columns.keys()):
            raise Malformed(f"the backup's schema {reader.header.schema} has no table {name!r} of these columns")
    for batch in _batches(reader):
        for name in dict.fromkeys(table for table, _ in batch):
            columns = reader.header.tables[name]
            values = [dict(zip(columns, row, strict=True)) for table, row in batch if table == name]
            if name in _PUBLISHED:
                _check_records(values)
            connection.execute(insert(known[name]), values)
    _continue_numbering(connection, list(known.values()))


def _check_records(rows: Iterable[Mapping[str, object]]) -> None:
    """Malformed for what the inventory would never have written: its text goes into zone files as it is."""
    for row in rows:
        owner, rdtype, rdata, ttl = (row.get(column) for column in ("owner", "rdtype", "rdata", "ttl"))
        if not (isinstance(owner, str) and isinstance(rdtype, str) and isinstance(rdata, str) and isinstance(ttl, int)):
            raise Malformed("the backup has a record that is none")
        name = OwnerName.parse(owner, wildcard=True)
        known = publication.BLOCK_DATA if (rdtype, rdata) == ("TLSA", publication.BLOCK_DATA) else None
        record = known or publication.parse_record(name, rdtype, rdata, ttl).rdata
        if (name.text, name.sort_key, rdtype.upper(), record) != (owner, row.get("sort_key"), rdtype, rdata):
            raise Malformed(f"the backup has a {rdtype[:20]!r} record at {name} that is not as the inventory writes it")


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    octets = 0
    for row in rows:
        batch.append(row)
        octets += sum(len(value) for value in row[1] if isinstance(value, str | bytes))
        if len(batch) >= _BATCH or octets >= _BATCH_OCTETS:
            yield batch
            batch, octets = [], 0
    if batch:
        yield batch


def _reflected(connection: Connection, names: Container[str]) -> dict[str, Table]:
    """The tables as they are at the revision of the backup, which may be older than `schema`."""
    found = sa.MetaData()
    found.reflect(connection, only=lambda name, _: name in names and name != "alembic_version")
    return dict(found.tables)


def _continue_numbering(connection: Connection, tables: list[Table]) -> None:
    """New rows are numbered after those that came with a number. SQLite sees to that itself."""
    if connection.dialect.name != "postgresql":
        return
    for table in tables:
        if "id" in table.columns:
            sequence = connection.execute(
                text("SELECT pg_get_serial_sequence(:table, 'id')"), {"table": table.name}
            ).scalar_one()
            highest = connection.execute(select(func.max(table.c.id))).scalar_one()
            if sequence is not None and highest is not None:
                connection.execute(select(func.setval(sequence, highest)))


def _is_empty(connection: Connection) -> bool:
    return all(connection.execute(select(table).limit(1)).first() is None for table in schema.metadata.sorted_tables)


def _refuse_to_replace(path: Path) -> None:
    try:
        with path.open("rb") as file:
            Reader(file)
    except FileNotFoundError:
        return
    except Malformed:
        raise Misuse(f"{path} exists and is no backup of an inventory; it is left alone") from None


@contextmanager
def _written_whole(path: Path) -> Iterator[IO[bytes]]:
    """A new file of mode 0600 beside the place, which takes its name once it is on the disk."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    beside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            beside.unlink()
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
