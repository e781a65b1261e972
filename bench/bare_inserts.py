"""`python -m bench.bare_inserts FROM TO`: copy what an adoption made into an empty inventory by bare inserts, and print
the seconds that the inserts took."""

import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Select, Table, func, insert, select

from dnsbound.provision import schema
from dnsbound.provision.database import Database

TABLES = (schema.identities, schema.keys, schema.records, schema.events, schema.outbox)
BATCH = 1000


def main(source: str, target: str) -> None:
    there = Database.open(source, create=False)
    here = Database.open(target, create=True)
    dialect = here.engine().dialect
    statements = [str(insert(table).compile(dialect=dialect, column_keys=list(table.c.keys()))) for table in TABLES]
    raw = here.engine().raw_connection()
    cursor = raw.cursor()
    seconds = 0.0
    positional = dialect.paramstyle in ("qmark", "format", "numeric")
    for rows in _batches(there):
        start = time.perf_counter()
        if dialect.name == "sqlite":
            cursor.execute("BEGIN IMMEDIATE")
        for statement, table, some in zip(statements, TABLES, rows, strict=True):
            values = [tuple(row) if positional else dict(zip(table.c.keys(), row, strict=True)) for row in some]
            cursor.executemany(statement, values)
        raw.commit() if dialect.name != "sqlite" else cursor.execute("COMMIT")
        seconds += time.perf_counter() - start
    print(seconds)


def _batches(database: Database) -> Iterator[list[Sequence[Any]]]:
    """The rows of as many identities as one transaction of an adoption has."""
    with database.reading() as connection:
        last = connection.execute(select(func.max(schema.identities.c.id))).scalar_one()
        for start in range(0, last, BATCH):
            yield [connection.execute(_part(table, start)).all() for table in TABLES]


def _part(table: Table, start: int) -> Select[Any]:
    if table is schema.outbox:
        named = select(table).join(schema.identities, schema.identities.c.name == table.c.owner)
        return named.where(schema.identities.c.id > start, schema.identities.c.id <= start + BATCH)
    return select(table).where(table.c.id > start, table.c.id <= start + BATCH)


if __name__ == "__main__":
    main(*sys.argv[1:3])
