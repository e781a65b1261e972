"""Zones, identities, records, events.

Revision 0001, the first.
"""

import sqlalchemy as sa
from alembic import op

from dnsbound.provision.migrations.column_types import MOMENT, NUMBER, OCTETS, TEXT

revision = "0001"
down_revision = None

# "dnsb": tells an inventory from any other SQLite file.
_APPLICATION_ID = 0x646E7362

_SQLITE_APPEND_ONLY = """
CREATE TRIGGER events_are_not_{word} BEFORE {verb} ON events
BEGIN SELECT RAISE(ABORT, 'the events of the inventory are append-only'); END
"""

# The function also tells an inventory from the database of another program.
_POSTGRESQL_REFUSAL = """
CREATE FUNCTION dnsbound_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the events of the inventory are append-only' USING ERRCODE = 'integrity_constraint_violation';
END $$
"""
_POSTGRESQL_NOTICE = """
CREATE FUNCTION dnsbound_events_notice() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY dnsbound_events;
    RETURN NULL;
END $$
"""
_POSTGRESQL_NOTICE_OF_INSERTS = """
CREATE TRIGGER events_are_noticed AFTER INSERT ON events
FOR EACH STATEMENT EXECUTE FUNCTION dnsbound_events_notice()
"""
_POSTGRESQL_APPEND_ONLY = """
CREATE TRIGGER events_are_not_{word} BEFORE {verb} ON events
FOR EACH STATEMENT EXECUTE FUNCTION dnsbound_append_only()
"""


def upgrade() -> None:
    on_sqlite = op.get_context().dialect.name == "sqlite"
    if on_sqlite:
        op.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    else:
        op.execute(_POSTGRESQL_REFUSAL)
    _zones()
    _identities()
    op.create_table(
        "events",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("actor", TEXT, nullable=False),
        sa.Column("action", TEXT, nullable=False),
        sa.Column("subject", TEXT, nullable=False),
        sa.Column("detail", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_index("ix_events_subject", "events", ["subject"])
    append_only = _SQLITE_APPEND_ONLY if on_sqlite else _POSTGRESQL_APPEND_ONLY
    op.execute(append_only.format(word="changed", verb="UPDATE"))
    op.execute(append_only.format(word="deleted", verb="DELETE" if on_sqlite else "DELETE OR TRUNCATE"))
    if not on_sqlite:
        op.execute(_POSTGRESQL_NOTICE)
        op.execute(_POSTGRESQL_NOTICE_OF_INSERTS)


def _zones() -> None:
    op.create_table(
        "zones",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("sort_key", TEXT, nullable=False),
        sa.Column("mname", TEXT, nullable=False),
        sa.Column("rname", TEXT, nullable=False),
        sa.Column("serial", NUMBER, nullable=False),
        sa.Column("refresh", NUMBER, nullable=False),
        sa.Column("retry", NUMBER, nullable=False),
        sa.Column("expire", NUMBER, nullable=False),
        sa.Column("negative_ttl", NUMBER, nullable=False),
        sa.Column("ttl", NUMBER, nullable=False),
        sa.Column("key_path", TEXT),
        sa.Column("ds", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_zones")),
        sa.UniqueConstraint("key_path", name=op.f("uq_zones_key_path")),
        sa.UniqueConstraint("name", name=op.f("uq_zones_name")),
        sa.UniqueConstraint("sort_key", name=op.f("uq_zones_sort_key")),
        sa.CheckConstraint("serial BETWEEN 0 AND 4294967295", name=op.f("ck_zones_serial_32_bits")),
        sqlite_strict=True,
    )
    op.create_table(
        "nameservers",
        sa.Column("zone_id", NUMBER, nullable=False, autoincrement=False),
        sa.Column("position", NUMBER, nullable=False, autoincrement=False),
        sa.Column("host", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("zone_id", "position", name=op.f("pk_nameservers")),
        sa.ForeignKeyConstraint(["zone_id"], ["zones.id"], name=op.f("fk_nameservers_zone_id"), ondelete="CASCADE"),
        sa.UniqueConstraint("zone_id", "host", name=op.f("uq_nameservers_zone_id_host")),
        sqlite_strict=True,
    )


def _identities() -> None:
    op.create_table(
        "identities",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("sort_key", TEXT, nullable=False),
        sa.Column("spki", OCTETS, nullable=False),
        sa.Column("ttl", NUMBER, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("registered_at", MOMENT, nullable=False),
        sa.Column("revoked_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identities")),
        sa.CheckConstraint("state IN ('active', 'revoked')", name=op.f("ck_identities_state_known")),
        sa.CheckConstraint("(state = 'revoked') = (revoked_at IS NOT NULL)", name=op.f("ck_identities_revoked_at_set")),
        sqlite_strict=True,
    )
    op.create_index("ix_identities_sort_key", "identities", ["sort_key"])
    op.create_index("ix_identities_spki", "identities", ["spki"])
    active = sa.text("state = 'active'")
    op.create_index(
        "uq_identities_active_name", "identities", ["name"], unique=True, sqlite_where=active, postgresql_where=active
    )
    op.create_table(
        "records",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("owner", TEXT, nullable=False),
        sa.Column("sort_key", TEXT, nullable=False),
        sa.Column("rdtype", TEXT, nullable=False),
        sa.Column("rdata", TEXT, nullable=False),
        sa.Column("ttl", NUMBER, nullable=False),
        sa.Column("identity_id", NUMBER),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_records")),
        sa.ForeignKeyConstraint(["identity_id"], ["identities.id"], name=op.f("fk_records_identity_id")),
        sa.UniqueConstraint("owner", "rdtype", "rdata", name=op.f("uq_records_owner_rdtype_rdata")),
        sa.CheckConstraint("ttl BETWEEN 0 AND 2147483647", name=op.f("ck_records_ttl_range")),
        sqlite_strict=True,
    )
    op.create_index("ix_records_sort_key", "records", ["sort_key"])
    op.create_index("ix_records_identity_id", "records", ["identity_id"])


def downgrade() -> None:
    for table in ("events", "records", "identities", "nameservers", "zones"):
        op.drop_table(table)
    if op.get_context().dialect.name == "sqlite":
        op.execute("PRAGMA application_id = 0")
    else:
        op.execute("DROP FUNCTION dnsbound_append_only()")
        op.execute("DROP FUNCTION dnsbound_events_notice()")
