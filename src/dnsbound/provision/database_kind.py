"""What a database of this package is for: its name, its marks, its schema. The inventory is one kind."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from dnsbound.errors import Misuse
from dnsbound.provision.errors import DatabaseFailed


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseKind:
    """One kind.

    noun, a: "inventory", "an inventory". head: the newest revision of `migrations`, a package of Alembic scripts as
    "package:directory". application_id: marks a SQLite file ("dnsb" as a number), and is the key of the write lock of
    PostgreSQL. mark: a function without which a PostgreSQL database with tables is another program's. dropped: what a
    step down from a revision drops, in words, with what counts it. missing, failed, unconfirmed: the errors that say
    so.
    """

    noun: str
    a: str
    head: str
    migrations: str
    application_id: int
    mark: str
    dropped: Mapping[str, Mapping[str, Callable[[Connection], int]]]
    missing: type[Misuse]
    failed: type[DatabaseFailed]
    unconfirmed: type[DatabaseFailed]

    @property
    def the(self) -> str:
        return f"the {self.noun}"
