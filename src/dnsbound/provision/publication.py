"""What may be published at a name, keeping each zone's serial in step, and noting what other servers must be told.

Functions on a writing transaction, so that identities and zones publish by the same rules: RFC 1034 section 3.6.2 (a
CNAME stands alone), RFC 2181 section 5.2 (one TTL for an RRset), RFC 1034 section 4.2.1 (below a delegation there is
only glue), RFC 4035 section 2.4 (DS and the delegation's NS belong to the parent).
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Final

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
from sqlalchemy import Connection, delete, func, insert, select, update

from dnsbound.errors import LimitExceeded, Malformed, Misuse
from dnsbound.iana import Usage
from dnsbound.limits import RECORD_TTL, RECORDS_PER_NAME
from dnsbound.provision import schema
from dnsbound.provision.entries import Record
from dnsbound.provision.errors import AlreadyInInventory, NameBlocked
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.public_key import admit_tlsa
from dnsbound.records import smimea
from dnsbound.records.sshfp import SSHFP
from dnsbound.records.tlsa import BLOCK, TLSA
from dnsbound.times import Moment

PUBLISHABLE: Final = frozenset({"A", "AAAA", "CNAME", "DS", "NS", "SMIMEA", "SSHFP", "TLSA"})
BLOCK_DATA: Final = BLOCK.to_text()
"""Data of the TLSA record of a blocked name; `dnsbound.provision.ownership.blocks` alone publishes and removes it."""
_OF_THE_PARENT: Final = frozenset({"DS", "NS"})
_GLUE: Final = frozenset({"A", "AAAA"})


def parse_record(owner: OwnerName, rdtype: str, rdata: str, ttl: int) -> Record:
    """Check one record by itself; its data come back in their one presentation form."""
    kind = rdtype.upper()
    if kind not in PUBLISHABLE:
        raise Misuse(f"the inventory publishes {', '.join(sorted(PUBLISHABLE))}, not {rdtype}")
    match kind:
        case "TLSA":
            canonical = _canonical_tlsa(owner, rdata)
        case "SMIMEA":
            canonical = _canonical_smimea(owner, rdata)
        case "SSHFP":
            canonical = _canonical_sshfp(owner, rdata)
        case _:
            canonical = _canonical_rdata(kind, rdata)
    if owner.is_wildcard and kind in _OF_THE_PARENT:
        raise Misuse(f"{owner} cannot be delegated (RFC 4592 section 4.2)")
    return Record(owner=owner, rdtype=kind, rdata=canonical, ttl=RECORD_TTL.checked(ttl))


def _canonical_tlsa(owner: OwnerName, rdata: str) -> str:
    record = admit_tlsa(TLSA.from_text(rdata))
    if owner.is_wildcard and record.usage in (Usage.DANE_EE, Usage.PKIX_EE):
        raise Misuse(f"TLSA usage {record.usage} at {owner} would make one key stand for every name")
    return record.to_text()


def _canonical_smimea(owner: OwnerName, rdata: str) -> str:
    """RFC 8162 section 2: its data are a TLSA record's."""
    if not smimea.is_owner(owner.text):
        raise Misuse(
            f"SMIMEA stands at a mailbox's digest below {smimea.LABEL}: `record --name USER@DOMAIN` says where"
        )
    return admit_tlsa(TLSA.from_text(rdata)).to_text()


def _canonical_sshfp(owner: OwnerName, rdata: str) -> str:
    record = SSHFP.from_text(rdata)
    if not record.is_usable:
        raise Misuse("an SSHFP record has a fingerprint by SHA-256 (type 2) of a key that SSH uses")
    if owner.is_wildcard:
        raise Misuse(f"SSHFP at {owner} would make one key stand for every host")
    return record.to_text()


def _canonical_rdata(rdtype: str, rdata: str) -> str:
    try:
        parsed = dns.rdata.from_text(
            dns.rdataclass.IN, dns.rdatatype.from_text(rdtype), rdata, origin=dns.name.root, relativize=False
        )
        target = getattr(parsed, "target", None)
        if isinstance(target, dns.name.Name):
            return OwnerName.parse(target.to_text()).absolute
        return parsed.to_text()
    except (dns.exception.DNSException, ValueError) as error:
        raise Malformed(f"the {rdtype} record data {rdata!r} do not parse: {error}") from None


def zone_of(connection: Connection, owner: OwnerName, rdtype: str = "TLSA") -> tuple[int, OwnerName] | None:
    """Row id and name of the zone here that serves `rdtype` at `owner`, or None."""
    candidates = _candidates(owner, rdtype)
    found = connection.execute(
        select(schema.zones.c.id, schema.zones.c.name)
        .where(schema.zones.c.name.in_(candidates))
        .order_by(func.length(schema.zones.c.name).desc())
        .limit(1)
    ).one_or_none()
    return None if found is None else (found.id, OwnerName.parse(found.name))


def nearest_zone(zones: Collection[str], owner: OwnerName, rdtype: str = "TLSA") -> str | None:
    """The same among zones whose names were read already."""
    return next((name for name in _candidates(owner, rdtype) if name in zones), None)


def _candidates(owner: OwnerName, rdtype: str) -> tuple[str, ...]:
    """Names of zones that could serve it, nearest first."""
    return owner.ancestors[1:] if rdtype in _OF_THE_PARENT else owner.ancestors


def _is_zone(connection: Connection, name: OwnerName) -> bool:
    return connection.execute(select(schema.zones.c.id).where(schema.zones.c.name == name.text)).first() is not None


def add(
    connection: Connection,
    record: Record,
    *,
    now: Moment,
    identity_id: int | None = None,
    key_id: int | None = None,
) -> None:
    """Publish a record and count the change. AlreadyInInventory, or Misuse where it may not stand.

    identity_id, key_id: row ids of what the record stands for.
    """
    zone = zone_of(connection, record.owner, record.rdtype)
    if zone is not None:
        _check_place(connection, record, zone[1])
    present = connection.execute(
        select(schema.records.c.rdtype, schema.records.c.rdata).where(schema.records.c.owner == record.owner.text)
    ).all()
    check_neighbours(record, [(row.rdtype, row.rdata) for row in present])
    connection.execute(insert(schema.records), row_of(record, identity_id=identity_id, key_id=key_id))
    connection.execute(
        update(schema.records)
        .where(schema.records.c.owner == record.owner.text, schema.records.c.rdtype == record.rdtype)
        .values(ttl=record.ttl)
    )
    if zone is not None:
        touch(connection, zone[0])
    else:
        queue(connection, record.owner, now=now)


def row_of(record: Record, *, identity_id: int | None, key_id: int | None) -> dict[str, object]:
    """The record as a row of `schema.records`."""
    return {
        "owner": record.owner.text,
        "sort_key": record.owner.sort_key,
        "rdtype": record.rdtype,
        "rdata": record.rdata,
        "ttl": record.ttl,
        "identity_id": identity_id,
        "key_id": key_id,
    }


def queue(connection: Connection, owner: OwnerName, *, now: Moment) -> None:
    """Note that a name which no zone here serves has changed, for whoever publishes to other servers.

    When the next attempt may be made is left as it is: a change does not bring a server back that does not answer.
    """
    rows = schema.outbox
    waiting = update(rows).where(rows.c.owner == owner.text).values(changes=rows.c.changes + 1)
    if connection.execute(waiting).rowcount == 0:
        connection.execute(insert(rows), waiting_row(owner, now=now))


def waiting_row(owner: OwnerName, *, changes: int = 1, now: Moment) -> dict[str, object]:
    """A name with changes that are not published yet, as a row of `schema.outbox`."""
    return {
        "owner": owner.text,
        "sort_key": owner.sort_key,
        "since": now,
        "changes": changes,
        "attempts": 0,
        "not_before": now,
    }


def _check_place(connection: Connection, record: Record, apex: OwnerName) -> None:
    """Misuse when the record may not stand at its owner name in the zone `apex`."""
    owner = record.owner
    if record.rdtype in _OF_THE_PARENT and _is_zone(connection, owner):
        raise Misuse(f"{owner} is a zone of this inventory: its delegation is published by itself")
    if record.rdtype == "CNAME" and owner == apex:
        raise Misuse(f"{owner} is the top of a zone: no CNAME may stand there")
    if record.rdtype == "DS" and not records_at(connection, owner, frozenset({"NS"})):
        raise Misuse(f"{owner} is not delegated: publish its NS records before its DS")
    if record.rdtype not in _GLUE:
        refuse_below_cut(record, _cut_above(connection, record, apex))
    if record.rdtype == "NS":
        hidden = _hidden_by(connection, owner)
        if hidden is not None:
            raise Misuse(f"delegating {owner} would hide the records at {hidden}")


def refuse_below_cut(record: Record, cut: str | None) -> None:
    """Misuse when there is a delegation that the record would lie in."""
    if cut is not None:
        raise Misuse(f"{record.owner} lies in {cut}, which this zone delegates to other servers")


def names_of_cuts(record: Record, apex: OwnerName) -> list[str]:
    """Where a delegation would take the record out of the zone `apex`."""
    names = [name for name in record.owner.ancestors if len(name) > len(apex.text)]
    return names[1:] if record.rdtype in _OF_THE_PARENT else names


def _cut_above(connection: Connection, record: Record, apex: OwnerName) -> str | None:
    """The delegation that the owner lies in; at one itself only NS and DS are the zone's."""
    names = names_of_cuts(record, apex)
    query = select(schema.records.c.owner).where(schema.records.c.owner.in_(names), schema.records.c.rdtype == "NS")
    return connection.execute(query.limit(1)).scalar_one_or_none()


def _hidden_by(connection: Connection, cut: OwnerName) -> str | None:
    """A name whose records would no longer be served if `cut` were delegated."""
    start, end = cut.below
    key = schema.records.c.sort_key
    query = select(schema.records.c.owner).where(
        (key == cut.sort_key) | ((key >= start) & (key < end)), schema.records.c.rdtype.not_in(_OF_THE_PARENT | _GLUE)
    )
    zone = zone_of(connection, cut, "NS")
    for name in connection.scalars(query):
        if zone_of(connection, OwnerName.parse(name, wildcard=True)) == zone:
            return str(name)
    return None


def ttl_at(connection: Connection, owner: OwnerName, ttl: int | None = None) -> int:
    """What was asked for, else the default of the zone that serves the name, else of the package."""
    if ttl is not None:
        return RECORD_TTL.checked(ttl)
    zone = zone_of(connection, owner)
    if zone is None:
        return RECORD_TTL.default
    return int(connection.execute(select(schema.zones.c.ttl).where(schema.zones.c.id == zone[0])).scalar_one())


def check_block(owner: OwnerName, present: Iterable[Record]) -> None:
    """NameBlocked when the records of a name are the block of one."""
    if any(record.rdtype == "TLSA" and record.rdata == BLOCK_DATA for record in present):
        raise _blocked(owner)


def _blocked(owner: OwnerName) -> NameBlocked:
    return NameBlocked(f"{owner} is blocked; `dnsbound id unblock` lifts that")


def check_neighbours(record: Record, present: Sequence[tuple[str, str]]) -> None:
    """May the record stand beside these (type, data) of its name? AlreadyInInventory, NameBlocked, Misuse,
    LimitExceeded."""
    if ("TLSA", BLOCK_DATA) in present:
        raise _blocked(record.owner)
    if (record.rdtype, record.rdata) in present:
        raise AlreadyInInventory(f"{record.owner} has this {record.rdtype} record already")
    if record.rdtype == "CNAME" and present:
        raise Misuse(f"{record.owner} has {present[0][0]} records: a CNAME stands alone")
    if record.rdtype != "CNAME" and any(rdtype == "CNAME" for rdtype, _ in present):
        raise Misuse(f"{record.owner} is an alias (CNAME): no other record may stand beside it")
    if sum(rdtype == record.rdtype for rdtype, _ in present) >= RECORDS_PER_NAME.default:
        raise LimitExceeded(RECORDS_PER_NAME.name, f"{record.owner} has {RECORDS_PER_NAME.default} already")


def remove(
    connection: Connection, owner: OwnerName, rdtypes: frozenset[str], rdata: str | None = None, *, now: Moment
) -> list[Record]:
    """Withdraw records of a name and count the change; what was removed. Misuse for an NS that a DS depends on."""
    chosen = [schema.records.c.owner == owner.text, schema.records.c.rdtype.in_(rdtypes)]
    if rdata is not None:
        chosen.append(schema.records.c.rdata == rdata)
    removed = records_at(connection, owner, rdtypes, rdata)
    last_ns = "NS" in rdtypes and len(removed) == len(records_at(connection, owner, frozenset({"NS"})))
    if last_ns and records_at(connection, owner, frozenset({"DS"})):
        raise Misuse(f"{owner} has DS records: withdraw them before its NS")
    zones = {zone_of(connection, owner, record.rdtype) for record in removed}
    connection.execute(delete(schema.records).where(*chosen))
    for zone in zones:
        if zone is not None:
            touch(connection, zone[0])
        else:
            queue(connection, owner, now=now)
    return removed


def records_at(
    connection: Connection, owner: OwnerName, rdtypes: frozenset[str] = PUBLISHABLE, rdata: str | None = None
) -> list[Record]:
    query = select(schema.records).where(schema.records.c.owner == owner.text, schema.records.c.rdtype.in_(rdtypes))
    if rdata is not None:
        query = query.where(schema.records.c.rdata == rdata)
    rows = connection.execute(query.order_by(schema.records.c.id)).all()
    return [Record(owner=owner, rdtype=row.rdtype, rdata=row.rdata, ttl=row.ttl) for row in rows]


def touch(connection: Connection, zone_id: int) -> None:
    """One more change to what a zone serves, or many at once: what the serial says is that it is another content."""
    serial = schema.zones.c.serial
    connection.execute(update(schema.zones).where(schema.zones.c.id == zone_id).values(serial=(serial + 1) % 2**32))
