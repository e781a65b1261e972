"""The store of reports as a database: made, told from others, up and down, and both kinds as the code expects."""

from collections.abc import Iterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import insert

from dnsbound.errors import Misuse
from dnsbound.provision import schema_migration
from dnsbound.provision.database import Database
from dnsbound.provision.errors import ReportStoreMissing
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.reports import schema
from dnsbound.provision.reports.kind import HEAD_REVISION, REPORT_STORE

TABLES = {"senders", "outbox", "streams", "chains", "received", "quarantine", "pools"}


@pytest.fixture
def database(report_place: str) -> Iterator[Database]:
    opened = Database.open(report_place, create=True, kind=REPORT_STORE)
    yield opened
    opened.close()


def tables_of(database: Database) -> set[str]:
    with database.reading() as connection:
        return set(schema_migration.tables(connection))


def test_up_and_down(database: Database) -> None:
    assert database.revision() == HEAD_REVISION
    assert tables_of(database) == TABLES | {"alembic_version"}
    database.migrate("base")
    assert tables_of(database) == {"alembic_version"}
    database.migrate(HEAD_REVISION)
    assert tables_of(database) == TABLES | {"alembic_version"}


def test_the_migrations_build_what_the_code_expects(database: Database) -> None:
    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, schema.metadata) == []


def test_a_count_is_not_dropped_unasked(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(insert(schema.senders).values(stream="a b", sequence=7, previous=b"x" * 32, issued_at=1.5))
    with pytest.raises(Misuse, match="1 counts of sent reports"):
        database.migrate("base")
    database.migrate("base", danger_lose_data=True)


def test_none_is_made_unasked(report_place: str) -> None:
    with pytest.raises(ReportStoreMissing):
        Database.open(report_place, create=False, kind=REPORT_STORE)


def test_an_inventory_is_no_store_of_reports(report_place: str) -> None:
    Inventory.open(report_place, create=True).close()
    with pytest.raises(Misuse, match="not a store of reports"):
        Database.open(report_place, create=False, kind=REPORT_STORE)
