"""Taking the schema up and down: Alembic on a connection that holds the write lock.

A step down that would drop what the older schema has no place for is refused unless it is asked for by name.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from sqlalchemy import Connection, Table, func, inspect, select, text

from dnsbound.errors import Misuse
from dnsbound.provision import schema

HEAD_REVISION: Final = "0002"
"""Schema this code reads and writes: the newest of migrations/versions."""


def tables(connection: Connection) -> list[str]:
    """Names of all tables."""
    return inspect(connection).get_table_names()


def current(connection: Connection) -> str | None:
    """The revision of the schema, None when there is none."""
    if "alembic_version" not in tables(connection):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def migrate(connection: Connection, revision: str, *, danger_lose_data: bool = False) -> None:
    """Go to a revision, or to `base`. Misuse for one that is not known, and when data would be lost unasked."""
    # Imported here: most commands find the schema current and never need Alembic.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", "dnsbound.provision:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    known = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    if revision not in ("base", *known):
        raise Misuse(f"there is no schema {revision}; known are {', '.join(sorted(known))}")
    here = current(connection)
    if here is not None and (revision == "base" or here > revision):
        lost = [] if danger_lose_data else _lost(connection, here, revision)
        if lost:
            raise Misuse(
                f"schema {revision} has no place for {', '.join(lost)}; back it up, then --danger-lose-data drops them"
            )
        command.downgrade(config, revision)
    else:
        command.upgrade(config, revision)


def _lost(connection: Connection, here: str, revision: str) -> list[str]:
    """What a step down would drop, in words with counts."""
    return [
        f"{number} {what}"
        for step, counts in _DROPPED.items()
        if step <= here and (revision == "base" or step > revision)
        for what, count in counts.items()
        if (number := count(connection))
    ]


def _rows(table: Table, *conditions: str) -> Callable[[Connection], int]:
    query = select(func.count()).select_from(table)
    for condition in conditions:
        query = query.where(text(condition))
    return lambda connection: int(connection.execute(query).scalar_one())


_DROPPED: Final[Mapping[str, Mapping[str, Callable[[Connection], int]]]] = MappingProxyType(
    {
        # What each step added.
        "0001": MappingProxyType({"events": _rows(schema.events)}),
        "0002": MappingProxyType(
            {
                "next or retired keys": _rows(schema.keys, "state <> 'current'"),
                "certificates": _rows(schema.keys, "certificate IS NOT NULL"),
                "owners": _rows(schema.identities, "owner <> ''"),
                "reasons": _rows(schema.events, "reason <> ''"),
                **{
                    f"rows of {table.name}": _rows(table)
                    for table in (
                        schema.tags,
                        schema.published,
                        schema.outbox,
                        schema.leases,
                        schema.transfers,
                        schema.authorities,
                        schema.blocks,
                        schema.rolls,
                        schema.enrolment_tokens,
                    )
                },
            }
        ),
    }
)
