"""Admissions, reports, secrets.

Revision 0001, the first.
"""

import sqlalchemy as sa
from alembic import op

from dnsbound.provision.migrations.column_types import MOMENT, NUMBER, OCTETS, TEXT

revision = "0001"
down_revision = None

# "dnsa": tells an accounting database from any other SQLite file.
_APPLICATION_ID = 0x646E7361

# Tells one on PostgreSQL from the database of another program.
_POSTGRESQL_MARK = "CREATE FUNCTION dnsbound_accounting() RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 1'"

_STATES = "'live', 'cutting', 'stopped', 'replaced', 'expired', 'disconnected', 'gone', 'left'"
_IN = "state IN ('live', 'cutting')"


def upgrade() -> None:
    if op.get_context().dialect.name == "sqlite":
        op.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    else:
        op.execute(_POSTGRESQL_MARK)
    _admissions()
    _reports()
    op.create_table(
        "secrets",
        sa.Column("purpose", TEXT, nullable=False),
        sa.Column("octets", OCTETS, nullable=False),
        sa.PrimaryKeyConstraint("purpose", name=op.f("pk_secrets")),
        sqlite_strict=True,
    )


def _admissions() -> None:
    op.create_table(
        "admissions",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("access_class", OCTETS, nullable=False),
        sa.Column("worker", NUMBER, nullable=False),
        sa.Column("network", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("client", TEXT, nullable=False),
        sa.Column("address", TEXT, nullable=False),
        sa.Column("nas", TEXT, nullable=False),
        sa.Column("calling_station", TEXT, nullable=False),
        sa.Column("identification", OCTETS, nullable=False),
        sa.Column("claim", OCTETS),
        sa.Column("admitted_at", MOMENT, nullable=False),
        sa.Column("holds_until", MOMENT, nullable=False),
        sa.Column("session_timeout", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("ended_at", MOMENT),
        sa.Column("why", TEXT, nullable=False, server_default=sa.text("''")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_admissions")),
        sa.UniqueConstraint("access_class", name=op.f("uq_admissions_access_class")),
        sa.CheckConstraint(f"state IN ({_STATES})", name=op.f("ck_admissions_state_known")),
        sa.CheckConstraint(f"({_IN}) = (ended_at IS NULL)", name=op.f("ck_admissions_ended_at_set")),
        sa.CheckConstraint(f"({_IN}) = (claim IS NOT NULL)", name=op.f("ck_admissions_claim_while_in")),
        sqlite_strict=True,
    )
    for columns in (["name", "id"], ["network", "id"], ["admitted_at"], ["ended_at"]):
        op.create_index(op.f(f"ix_admissions_{'_'.join(columns)}"), "admissions", columns)
    still_in = sa.text("ended_at IS NULL")
    op.create_index(
        "ix_admissions_in", "admissions", ["worker", "id"], sqlite_where=still_in, postgresql_where=still_in
    )


def _reports() -> None:
    op.create_table(
        "reports",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("admission_id", NUMBER),
        sa.Column("client", TEXT, nullable=False),
        sa.Column("nas", TEXT, nullable=False),
        sa.Column("session", TEXT, nullable=False),
        sa.Column("user_name", TEXT, nullable=False),
        sa.Column("calling_station", TEXT, nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("heard_at", MOMENT, nullable=False),
        sa.Column("stopped_at", MOMENT),
        sa.Column("seconds", NUMBER, nullable=False),
        sa.Column("input_octets", NUMBER, nullable=False),
        sa.Column("output_octets", NUMBER, nullable=False),
        sa.Column("input_packets", NUMBER, nullable=False),
        sa.Column("output_packets", NUMBER, nullable=False),
        sa.Column("cause", NUMBER),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reports")),
        sa.ForeignKeyConstraint(["admission_id"], ["admissions.id"], name=op.f("fk_reports_admission_id")),
        sqlite_strict=True,
    )
    for columns in (["admission_id"], ["client", "nas", "session", "id"], ["heard_at"]):
        op.create_index(op.f(f"ix_reports_{'_'.join(columns)}"), "reports", columns)
    still_open = sa.text("stopped_at IS NULL")
    op.create_index(
        "uq_reports_open",
        "reports",
        ["client", "nas", "session"],
        unique=True,
        sqlite_where=still_open,
        postgresql_where=still_open,
    )


def downgrade() -> None:
    for table in ("secrets", "reports", "admissions"):
        op.drop_table(table)
    if op.get_context().dialect.name == "sqlite":
        op.execute("PRAGMA application_id = 0")
    else:
        op.execute("DROP FUNCTION dnsbound_accounting()")
