"""The accounting database as a database: made, told from others, up and down, and both kinds as the code expects."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from dnsbound.errors import Misuse
from dnsbound.provision import schema_migration
from dnsbound.provision.accounting import schema
from dnsbound.provision.accounting.kind import ACCOUNTING, HEAD_REVISION
from dnsbound.provision.database import Database
from dnsbound.provision.errors import AccountingFailed, AccountingMissing
from dnsbound.provision.inventory import Inventory

TABLES = {"admissions", "reports", "secrets"}


@pytest.fixture
def database(accounting_place):
    opened = Database.open(accounting_place, create=True, kind=ACCOUNTING)
    yield opened
    opened.close()


def tables_of(database):
    with database.reading() as connection:
        return set(schema_migration.tables(connection))


def test_up_and_down(database):
    assert database.revision() == HEAD_REVISION
    assert tables_of(database) == TABLES | {"alembic_version"}
    database.migrate("base")
    assert tables_of(database) == {"alembic_version"}
    database.migrate(HEAD_REVISION)
    assert tables_of(database) == TABLES | {"alembic_version"}


def test_a_step_down_does_not_drop_what_is_kept_unasked(database):
    with database.writing() as connection:
        connection.execute(
            text(
                "INSERT INTO reports (client, nas, session, user_name, calling_station, started_at, heard_at, seconds,"
                " input_octets, output_octets, input_packets, output_packets)"
                " VALUES ('office', 'ap1', '1', '', '', 1.5, 1.5, 0, 0, 0, 0, 0)"
            )
        )
    with pytest.raises(Misuse, match="1 reports"):
        database.migrate("base")
    database.migrate("base", danger_lose_data=True)


def test_none_is_made_unasked(accounting_place):
    with pytest.raises(AccountingMissing):
        Database.open(accounting_place, create=False, kind=ACCOUNTING)


def test_an_inventory_is_no_accounting_database(database_url):
    Inventory.open(database_url, create=True).close()
    with pytest.raises(Misuse, match="not an accounting database"):
        Database.open(database_url, create=True, kind=ACCOUNTING)


def test_an_accounting_database_is_no_inventory(database, accounting_place):
    with pytest.raises(Misuse, match="not an inventory"):
        Inventory.open(accounting_place, create=True)


def test_a_state_that_is_over_has_an_end_and_no_claim(database):
    row = (
        "INSERT INTO admissions (access_class, worker, network, name, client, address, nas, calling_station,"
        " identification, claim, admitted_at, holds_until, session_timeout, expires_at, state, ended_at)"
        " VALUES (:made, 0, 'v', 'n', 'c', '', 'nas', 'mac', :made, {claim}, 1, 1, 1, 1, '{state}', {ended})"
    )
    for claim, state, ended in (("NULL", "live", "NULL"), (":made", "stopped", "NULL"), (":made", "nonsense", "1")):
        with pytest.raises(AccountingFailed), database.writing() as connection:
            connection.execute(text(row.format(claim=claim, state=state, ended=ended)), {"made": b"x"})
    with database.writing() as connection:
        connection.execute(text(row.format(claim=":made", state="cutting", ended="NULL")), {"made": b"x"})


def test_the_tables_are_those_the_code_expects(database):
    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, schema.metadata) == []
