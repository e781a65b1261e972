"""Taking the schema up and down: Alembic on a connection that holds the write lock.

A step down that would drop what the older schema has no place for is refused unless it is asked for by name.
"""

from collections.abc import Callable

from sqlalchemy import Connection, Table, func, inspect, select, text

from dnsbound.errors import Misuse
from dnsbound.provision.database_kind import DatabaseKind


def tables(connection: Connection) -> list[str]:
    """Names of all tables."""
    return inspect(connection).get_table_names()


def current(connection: Connection) -> str | None:
    """The revision of the schema, None when there is none."""
    if "alembic_version" not in tables(connection):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def migrate(connection: Connection, kind: DatabaseKind, revision: str, *, danger_lose_data: bool = False) -> None:
    """Go to a revision, or to `base`. Misuse for one that is not known, and when data would be lost unasked."""
    # Imported here: most commands find the schema current and never need Alembic.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", kind.migrations)
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    known = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    if revision not in ("base", *known):
        raise Misuse(f"there is no schema {revision}; known are {', '.join(sorted(known))}")
    here = current(connection)
    if here is not None and (revision == "base" or here > revision):
        dropped = [] if danger_lose_data else lost(connection, kind, here, revision)
        if dropped:
            raise Misuse(
                f"schema {revision} has no place for {', '.join(dropped)}; back it up, then --danger-lose-data drops "
                "them"
            )
        command.downgrade(config, revision)
    else:
        command.upgrade(config, revision)


def lost(connection: Connection, kind: DatabaseKind, here: str, revision: str) -> list[str]:
    """What a step down would drop, in words with counts."""
    return [
        f"{number} {what}"
        for step, counts in kind.dropped.items()
        if step <= here and (revision == "base" or step > revision)
        for what, count in counts.items()
        if (number := count(connection))
    ]


def rows(table: Table, *conditions: str) -> Callable[[Connection], int]:
    """How many rows a table has that meet the conditions, for `DatabaseKind.dropped`."""
    query = select(func.count()).select_from(table)
    for condition in conditions:
        query = query.where(text(condition))
    return lambda connection: int(connection.execute(query).scalar_one())
