"""Zones, identities, records, events.

Revision 0001, the first.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# "dnsb": tells an inventory from any other SQLite file.
_APPLICATION_ID = 0x646E7362

_APPEND_ONLY = """
CREATE TRIGGER events_are_not_{word} BEFORE {verb} ON events
BEGIN SELECT RAISE(ABORT, 'the events of the inventory are append-only'); END
"""


def upgrade() -> None:
    op.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    _zones()
    _identities()
    op.create_table(
        "events",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("at", sa.REAL, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_index("ix_events_subject", "events", ["subject"])
    op.execute(_APPEND_ONLY.format(word="changed", verb="UPDATE"))
    op.execute(_APPEND_ONLY.format(word="deleted", verb="DELETE"))


def _zones() -> None:
    op.create_table(
        "zones",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("sort_key", sa.Text, nullable=False),
        sa.Column("mname", sa.Text, nullable=False),
        sa.Column("rname", sa.Text, nullable=False),
        sa.Column("serial", sa.Integer, nullable=False),
        sa.Column("refresh", sa.Integer, nullable=False),
        sa.Column("retry", sa.Integer, nullable=False),
        sa.Column("expire", sa.Integer, nullable=False),
        sa.Column("negative_ttl", sa.Integer, nullable=False),
        sa.Column("ttl", sa.Integer, nullable=False),
        sa.Column("key_path", sa.Text),
        sa.Column("ds", sa.Text, nullable=False),
        sa.Column("created_at", sa.REAL, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_zones")),
        sa.UniqueConstraint("key_path", name=op.f("uq_zones_key_path")),
        sa.UniqueConstraint("name", name=op.f("uq_zones_name")),
        sa.UniqueConstraint("sort_key", name=op.f("uq_zones_sort_key")),
        sa.CheckConstraint("serial BETWEEN 0 AND 4294967295", name=op.f("ck_zones_serial_32_bits")),
        sqlite_strict=True,
    )
    op.create_table(
        "nameservers",
        sa.Column("zone_id", sa.Integer, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("zone_id", "position", name=op.f("pk_nameservers")),
        sa.ForeignKeyConstraint(["zone_id"], ["zones.id"], name=op.f("fk_nameservers_zone_id"), ondelete="CASCADE"),
        sa.UniqueConstraint("zone_id", "host", name=op.f("uq_nameservers_zone_id_host")),
        sqlite_strict=True,
    )


def _identities() -> None:
    op.create_table(
        "identities",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("sort_key", sa.Text, nullable=False),
        sa.Column("spki", sa.LargeBinary, nullable=False),
        sa.Column("ttl", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("registered_at", sa.REAL, nullable=False),
        sa.Column("revoked_at", sa.REAL),
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
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("sort_key", sa.Text, nullable=False),
        sa.Column("rdtype", sa.Text, nullable=False),
        sa.Column("rdata", sa.Text, nullable=False),
        sa.Column("ttl", sa.Integer, nullable=False),
        sa.Column("identity_id", sa.Integer),
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
    op.execute("PRAGMA application_id = 0")
