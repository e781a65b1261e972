"""Sources that are complete: what the inventory has below a name and the source has not, is to go.

A list with a fault must not empty an inventory. So nothing is removed unless a limit was given that suffices, and
nothing at all when a row of the source could not be used: it may be the very one that is missed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

from sqlalchemy import Connection, Select, func, select

from dnsbound.errors import Misuse
from dnsbound.provision import schema
from dnsbound.provision.adoption.staging import Staging
from dnsbound.provision.database import Database
from dnsbound.provision.entries import IdentityState
from dnsbound.provision.errors import RemovalsRefused
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.tree_order import below

_BATCH: Final = 1000
_LIMIT: Final = re.compile(r"([0-9]{1,9})(%?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalLimit:
    """How many identities one command may take away: a number, or a share of those it looks at."""

    number: int
    percent: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """`25` or `2%`; Misuse."""
        found = _LIMIT.fullmatch(text)
        if found is None or (found[2] and int(found[1]) > 100):
            raise Misuse(f"{text!r} is neither a number nor a percentage")
        return cls(number=int(found[1]), percent=bool(found[2]))

    def check(self, removals: int, total: int) -> None:
        """RemovalsRefused when there are more removals than may be. total: of how many."""
        allowed = total * self.number // 100 if self.percent else self.number
        if removals > allowed:
            raise RemovalsRefused(
                f"this would take away {removals} of {total} identities and at most {allowed} may go: nothing was "
                f"changed (--max-removals {removals} lets them go)"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Completeness:
    """What a source is complete for: all active identities below a name, or those of them with a tag."""

    below: OwnerName
    tag: str | None = None

    def missing(self, database: Database, staging: Staging) -> Iterator[str]:
        """Names that the inventory has and the source has not, in the order of names. Memory stays flat."""
        rows = schema.identities.c
        last = ""
        while True:
            query = self._names(after=last).order_by(rows.sort_key).limit(_BATCH)
            with database.reading() as connection:
                found = connection.execute(query).all()
            lacking = staging.lacking([row.name for row in found])
            yield from (row.name for row in found if row.name in lacking)
            if len(found) < _BATCH:
                return
            last = found[-1].sort_key

    def total(self, connection: Connection) -> int:
        """How many active identities the inventory has there."""
        return int(connection.execute(select(func.count()).select_from(self._names().subquery())).scalar_one())

    def _names(self, *, after: str = "") -> Select[tuple[str, str]]:
        rows = schema.identities.c
        inside = below(rows.sort_key, self.below, after=after)
        query = select(rows.name, rows.sort_key).where(rows.state == IdentityState.ACTIVE.value, inside)
        if self.tag is not None:
            query = query.where(rows.id.in_(select(schema.tags.c.identity_id).where(schema.tags.c.tag == self.tag)))
        return query
