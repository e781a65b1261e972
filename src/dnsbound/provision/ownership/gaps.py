"""Where a wildcard speaks for somebody it should not, or not for somebody it should: what `authority gaps` shows.

Three kinds. A name whose identity was revoked, or whose certificate its authority lists as revoked, and for which a
wildcard speaks all the same: whoever holds a certificate for it logs in. A certificate listed as revoked whose own
record stands. And names that a record further down silences a wildcard for (RFC 4592 section 2.2.2): nobody logs in
under those, which may not be meant.

This is the inventory's view. What another server serves, and what others put into its zone, `dnsbound check` asks for.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, select

from dnsbound.credential.certificate_facts import san_dns_names
from dnsbound.errors import Malformed
from dnsbound.names import ClientName
from dnsbound.provision import registration, schema
from dnsbound.provision.database import Database
from dnsbound.provision.entries import IdentityState
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.ownership.revocation_list import RevocationList
from dnsbound.provision.ownership.wildcards import all_wildcards, speaks_for, wildcards_above
from dnsbound.provision.tree_order import BEGINNING, below, page_after

_BATCH: Final = 1000


class GapKind(StrEnum):
    """What is wrong."""

    REVOKED = "revoked-not-blocked"
    """The identity was revoked; a wildcard speaks for its name."""
    LISTED = "listed-not-blocked"
    """The authority lists the certificate as revoked; a wildcard speaks for its name."""
    LISTED_ACTIVE = "listed-still-published"
    """The authority lists the certificate as revoked; the name's own record stands."""
    SILENCED = "silenced"
    """A name exists only because of one below it: the wildcard speaks neither for it nor for what is below it."""


LETS_IN: Final = frozenset({GapKind.REVOKED, GapKind.LISTED, GapKind.LISTED_ACTIVE})
"""Kinds that let somebody in who should be shut out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """One finding."""

    kind: GapKind
    name: OwnerName
    wildcard: OwnerName | None
    """The wildcard concerned; None where the name's own record is."""

    @property
    def sentence(self) -> str:
        """For people."""
        return _SENTENCES[self.kind].format(name=self.name, wildcard=self.wildcard)

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return _REMEDIES[self.kind].format(name=self.name, wildcard=self.wildcard)


_SENTENCES: Final = {
    GapKind.REVOKED: "{name} was revoked, and {wildcard} speaks for it: a certificate for the name still logs in",
    GapKind.LISTED: "the certificate of {name} is listed as revoked, and {wildcard} speaks for the name",
    GapKind.LISTED_ACTIVE: "the certificate of {name} is listed as revoked, and the name's own record stands",
    GapKind.SILENCED: "a record below {name} makes it exist: {wildcard} speaks neither for it nor for names below it",
}
_REMEDIES: Final = {
    GapKind.REVOKED: "dnsbound id block {name}",
    GapKind.LISTED: "dnsbound id block {name}",
    GapKind.LISTED_ACTIVE: "dnsbound revoke {name}",
    GapKind.SILENCED: "publish the authority at *.{name} too, or give devices names of one label below the wildcard",
}


class Gaps:
    """The gaps of one inventory. Memory stays flat; every batch is a look of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def __call__(self) -> Iterator[Gap]:
        """Revoked names that a wildcard speaks for, and names that a wildcard is silenced for."""
        with self._database.reading() as connection:
            wildcards = list(all_wildcards(connection))
        for wildcard in wildcards:
            yield from self._revoked_below(wildcard)
            yield from self._silenced_below(wildcard)

    def listed(self, revoked: RevocationList, issued: Iterable[bytes] = ()) -> Iterator[Gap]:
        """What the list of an authority revokes and the DNS does not.

        issued: DER certificates besides those of the inventory; those without a client name are passed over. Malformed
        for what is no certificate.
        """
        rows, of = schema.keys, schema.identities
        query = (
            select(rows.c.id, rows.c.certificate, of.c.name)
            .join(of, of.c.id == rows.c.identity_id)
            .where(rows.c.certificate.is_not(None))
        )
        told: set[OwnerName] = set()
        for batch in self._batches(lambda last: query.where(rows.c.id > (last.id if last else 0)).order_by(rows.c.id)):
            certificates = [(row.certificate, [row.name, *_names_of(row.certificate)]) for row in batch]
            yield from self._listed(revoked, certificates, told)
        for certificate in issued:
            yield from self._listed(revoked, [(certificate, _names_of(certificate))], told)

    def _listed(
        self, revoked: RevocationList, certificates: list[tuple[bytes, list[str]]], told: set[OwnerName]
    ) -> Iterator[Gap]:
        """told: grows with what is found, not with what is looked at."""
        names = [name for der, shown in certificates if revoked.lists(der) for name in shown]
        for owner in _parsed(names):
            if owner in told:
                continue
            with self._database.reading() as connection:
                active = registration.active_id(connection, ClientName.parse(owner.text)) is not None
                wildcard = None if active else speaks_for(connection, owner)
            if active or wildcard is not None:
                told.add(owner)
                kind = GapKind.LISTED_ACTIVE if active else GapKind.LISTED
                yield Gap(kind=kind, name=owner, wildcard=wildcard)

    def _revoked_below(self, wildcard: OwnerName) -> Iterator[Gap]:
        parent = OwnerName.parse(wildcard.ancestors[1])
        rows, records = schema.identities, schema.records
        published = select(records.c.id).where(records.c.owner == rows.c.name).exists()
        query = (
            select(rows.c.id, rows.c.name, rows.c.sort_key)
            .where(rows.c.state == IdentityState.REVOKED.value, ~published)
            .order_by(rows.c.sort_key, rows.c.id)
        )

        def behind(last: Row[Any] | None) -> Select[Any]:
            place = BEGINNING if last is None else (last.sort_key, last.id)
            return query.where(page_after(place, rows.c.sort_key, rows.c.id, parent))

        for batch in self._batches(behind):
            for row in batch:
                owner = OwnerName.parse(row.name)
                with self._database.reading() as connection:
                    speaks = speaks_for(connection, owner)
                    newest = _is_newest(connection, row)
                if speaks == wildcard and newest:
                    yield Gap(kind=GapKind.REVOKED, name=owner, wildcard=wildcard)

    def _silenced_below(self, wildcard: OwnerName) -> Iterator[Gap]:
        """Names between the wildcard's parent and a record two labels or more below it."""
        parent = OwnerName.parse(wildcard.ancestors[1])
        key, owner = schema.records.c.sort_key, schema.records.c.owner
        deep = key.like(f"{_literal(parent.sort_key)}.%.%", escape="\\")
        query = select(key, owner).where(deep).distinct().order_by(key)

        def behind(last: Row[Any] | None) -> Select[Any]:
            return query.where(below(key, parent, after=last.sort_key if last else ""))

        told: tuple[str, ...] = ()
        for batch in self._batches(behind):
            for row in batch:
                between = [
                    OwnerName.parse(text, wildcard=True)
                    for text in reversed(OwnerName.parse(row.owner, wildcard=True).ancestors[1:])
                    if text.endswith(f".{parent}")
                ]
                for name in between:
                    if name.text not in told and not self._has_own_say(name) and self._nearest(name) == wildcard:
                        yield Gap(kind=GapKind.SILENCED, name=name, wildcard=wildcard)
                # Rows come in the order of names: whatever is above the next one is above this one, or new.
                told = tuple(name.text for name in between)

    def _nearest(self, name: OwnerName) -> OwnerName | None:
        with self._database.reading() as connection:
            return next(iter(wildcards_above(connection, name)), None)

    def _has_own_say(self, name: OwnerName) -> bool:
        """Records or a wildcard of its own, or a zone: that it exists is meant."""
        rows, zones = schema.records, schema.zones
        owners = [name.text, f"*.{name}"]
        with self._database.reading() as connection:
            if connection.execute(select(rows.c.id).where(rows.c.owner.in_(owners)).limit(1)).first() is not None:
                return True
            return connection.execute(select(zones.c.id).where(zones.c.name == name.text)).first() is not None

    def _batches(self, behind: Callable[[Row[Any] | None], Select[Any]]) -> Iterator[Sequence[Row[Any]]]:
        """Rows some at a time. behind: what follows a row, in order; all of it for None."""
        last: Row[Any] | None = None
        while True:
            with self._database.reading() as connection:
                found = connection.execute(behind(last).limit(_BATCH)).all()
            yield found
            if len(found) < _BATCH:
                return
            last = found[-1]


def _is_newest(connection: Connection, row: Row[Any]) -> bool:
    """Of several revoked identities of a name the last one tells."""
    rows = schema.identities
    # Sort keys have an index of all identities, names only one of the active ones.
    query = select(rows.c.id).where(rows.c.sort_key == row.sort_key).order_by(rows.c.id.desc()).limit(1)
    return bool(connection.execute(query).scalar_one() == row.id)


def _literal(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _names_of(certificate: bytes) -> list[str]:
    return list(san_dns_names(certificate))


def _parsed(names: Iterable[str]) -> list[OwnerName]:
    found = []
    for name in dict.fromkeys(name.lower() for name in names):
        try:
            found.append(OwnerName.parse(ClientName.parse(name).canonical))
        except Malformed:
            continue  # A certificate may name what is no client.
    return found
