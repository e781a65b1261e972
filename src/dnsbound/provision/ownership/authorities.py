"""Authorities of organisations in the DNS: one record that vouches for every client they certify.

At a wildcard (`*._device.cars.example TLSA 2 0 1`) for all devices below it, at a `_user` name for an organisation's
users. The wildcard refuses usages 1 and 3 (`publication.parse_record`). Which devices exist only the authority knows:
one is shut out by a block at its name, all of them by revoking the authority.

Sections: draft-ietf-dance-client-auth section 3.2, ARCH examples 3 and 7, RFC 7671 sections 5.2 and 9.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, func, insert, select, update

from dnsbound.credential.association import tlsa_for_certificate
from dnsbound.errors import Misuse
from dnsbound.iana import MatchingType, Selector, Usage
from dnsbound.names import USERS_LABEL
from dnsbound.provision import event_log, publication, schema
from dnsbound.provision.database import Database
from dnsbound.provision.entries import IdentityState, Record
from dnsbound.provision.errors import NotInInventory
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.ownership.authority_certificate import AuthorityCertificate
from dnsbound.records.tlsa import TLSA
from dnsbound.times import Moment

_BATCH: Final = 1000
_TLSA: Final = frozenset({"TLSA"})
_OF_AUTHORITIES: Final = frozenset({Usage.DANE_TA, Usage.PKIX_TA})


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A certificate that speaks, or spoke, for the clients of one owner name."""

    owner: OwnerName
    certificate: bytes
    """DER."""
    state: IdentityState
    registered_at: Moment
    revoked_at: Moment | None
    records: tuple[Record, ...]
    """Published now; those of a bare key may stand for another certificate of it too."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, as hexadecimal digits."""
        return hashlib.sha256(self.certificate).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Whom a record of an authority concerns, as far as the inventory knows. What it certified only it knows."""

    registered: int
    """Active identities below, which have records of their own and are not spoken for."""
    blocked: int
    """Blocked names below."""
    vouched_by_name: int
    """Other names where the same record stands: they keep it when the authority is revoked."""


class Authorities:
    """The authorities of one inventory."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def publish(
        self,
        owner: OwnerName,
        certificate: bytes,
        *,
        usage: Usage = Usage.DANE_TA,
        selector: Selector = Selector.CERT,
        matching_type: MatchingType = MatchingType.SHA2_256,
        ttl: int | None = None,
        now: Moment,
        actor: str,
        reason: str = "",
    ) -> Authority:
        """Let an authority speak for the clients of `owner`: a wildcard, or a name that begins with `_user`.

        certificate: DER; Malformed or Misuse where no verifier would take it (`AuthorityCertificate.admit`). ttl:
        seconds, None for the zone's. AlreadyInInventory when this very record stands there.
        """
        if usage not in _OF_AUTHORITIES:
            raise Misuse(f"usage {int(usage)} names one client's own key or certificate; an authority has 2 or 0")
        if not owner.is_wildcard and owner.text.partition(".")[0] != USERS_LABEL:
            raise Misuse(
                f"{owner} is neither a wildcard nor a {USERS_LABEL} name; one device's own record comes from `id new`"
            )
        AuthorityCertificate.admit(certificate, owner=owner, now=now)
        record = tlsa_for_certificate(certificate, usage, selector, matching_type)
        with self._database.writing() as connection:
            _check_digests(connection, owner, record)
            kept = publication.parse_record(owner, "TLSA", record.to_text(), publication.ttl_at(connection, owner, ttl))
            publication.add(connection, kept, now=now)
            row = _active(connection, owner, certificate)
            if row is None:
                values = {
                    "owner": owner.text,
                    "sort_key": owner.sort_key,
                    "certificate": certificate,
                    "state": IdentityState.ACTIVE.value,
                    "registered_at": now,
                }
                connection.execute(insert(schema.authorities), values)
            detail = {"record": kept.to_text(), "certificate": hashlib.sha256(certificate).hexdigest()}
            event_log.append(
                connection,
                at=now,
                actor=actor,
                action="publish-authority",
                subject=owner.text,
                detail=detail,
                reason=reason,
            )
            found = _active(connection, owner, certificate)
            assert found is not None  # it was put there, or found, above
            return _authority(connection, found)

    def revoke(self, owner: OwnerName, certificate: bytes, *, now: Moment, actor: str, reason: str = "") -> Authority:
        """Remove an authority's records at `owner`: no client it certified for those names logs in. NotInInventory.

        Blocks below stay: another authority may come to speak for the same names.
        """
        with self._database.writing() as connection:
            row = _active(connection, owner, certificate)
            if row is None:
                raise NotInInventory(f"this authority does not speak for {owner}")
            authority = _authority(connection, row)
            others = [other for other in _certificates(connection, owner) if other != certificate]
            removed = []
            for record in authority.records:
                if not any(_names(TLSA.from_text(record.rdata), other) for other in others):
                    removed += publication.remove(connection, owner, _TLSA, record.rdata, now=now)
            changed = update(schema.authorities).where(schema.authorities.c.id == row.id)
            connection.execute(changed.values(state=IdentityState.REVOKED.value, revoked_at=now))
            detail: dict[str, object] = {
                "records": [record.to_text() for record in removed],
                "certificate": authority.fingerprint,
            }
            event_log.append(
                connection,
                at=now,
                actor=actor,
                action="revoke-authority",
                subject=owner.text,
                detail=detail,
                reason=reason,
            )
            again = connection.execute(select(schema.authorities).where(schema.authorities.c.id == row.id)).one()
            return _authority(connection, again)

    def all(self, *, owner: OwnerName | None = None, state: IdentityState | None = None) -> Iterator[Authority]:
        """Authorities in the order they were published. owner: of exactly this name."""
        rows = schema.authorities
        query = select(rows).order_by(rows.c.id).limit(_BATCH)
        if owner is not None:
            query = query.where(rows.c.owner == owner.text)
        if state is not None:
            query = query.where(rows.c.state == state.value)
        last = 0
        while True:
            with self._database.reading() as connection:
                found = connection.execute(query.where(rows.c.id > last)).all()
                batch = [_authority(connection, row) for row in found]
            yield from batch
            if len(found) < _BATCH:
                return
            last = found[-1].id

    def reach(self, authority: Authority) -> Reach:
        """Counted for whoever is about to revoke it."""
        owner = authority.owner
        top = OwnerName.parse(owner.ancestors[1]) if owner.is_wildcard else owner
        start, end = top.below
        with self._database.reading() as connection:
            rows, blocked = schema.identities, schema.blocks
            registered = select(func.count()).where(
                rows.c.sort_key >= start, rows.c.sort_key < end, rows.c.state == IdentityState.ACTIVE.value
            )
            blocks = select(func.count()).where(blocked.c.sort_key >= start, blocked.c.sort_key < end)
            elsewhere = schema.records
            same = select(func.count(elsewhere.c.owner.distinct())).where(
                elsewhere.c.rdtype == "TLSA",
                elsewhere.c.rdata.in_([record.rdata for record in authority.records]),
                elsewhere.c.owner != owner.text,
            )
            return Reach(
                registered=connection.execute(registered).scalar_one(),
                blocked=connection.execute(blocks).scalar_one(),
                vouched_by_name=connection.execute(same).scalar_one(),
            )


def _check_digests(connection: Connection, owner: OwnerName, record: TLSA) -> None:
    """RFC 7671 section 9: of the digests of one usage and selector only the strongest counts, so that an authority with
    a weaker one would speak for nobody."""
    for present in publication.records_at(connection, owner, _TLSA):
        other = TLSA.from_text(present.rdata)
        kind = (other.usage, other.selector)
        digests = {other.matching_type, record.matching_type}
        if kind == (record.usage, record.selector) and len(digests - {MatchingType.FULL}) > 1:
            raise Misuse(
                f"{owner} has a record {other.parameters}: verifiers would look at the stronger digest alone "
                "(RFC 7671 section 9); publish both authorities with the same matching type"
            )


def _active(connection: Connection, owner: OwnerName, certificate: bytes) -> Row[Any] | None:
    rows = schema.authorities
    query = select(rows).where(
        rows.c.owner == owner.text, rows.c.certificate == certificate, rows.c.state == IdentityState.ACTIVE.value
    )
    return connection.execute(query).one_or_none()


def _certificates(connection: Connection, owner: OwnerName) -> list[bytes]:
    rows = schema.authorities
    query = select(rows.c.certificate).where(rows.c.owner == owner.text, rows.c.state == IdentityState.ACTIVE.value)
    return list(connection.execute(query).scalars())


def _names(record: TLSA, certificate: bytes) -> bool:
    if record.usage not in _OF_AUTHORITIES or record.unusable_because is not None:
        return False
    return record == tlsa_for_certificate(
        certificate, Usage(record.usage), Selector(record.selector), MatchingType(record.matching_type)
    )


def _authority(connection: Connection, row: Row[Any]) -> Authority:
    owner = OwnerName.parse(row.owner, wildcard=True)
    active = row.state == IdentityState.ACTIVE.value
    present = publication.records_at(connection, owner, _TLSA) if active else []
    return Authority(
        owner=owner,
        certificate=row.certificate,
        state=IdentityState(row.state),
        registered_at=row.registered_at,
        revoked_at=row.revoked_at,
        records=tuple(record for record in present if _names(TLSA.from_text(record.rdata), row.certificate)),
    )
