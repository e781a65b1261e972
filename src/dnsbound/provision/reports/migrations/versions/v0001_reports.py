"""Senders, outbox; streams, chains, received, quarantine, pools.

Revision 0001, the first.
"""

import sqlalchemy as sa
from alembic import op

from dnsbound.provision.migrations.column_types import MOMENT, NUMBER, OCTETS, TEXT

revision = "0001"
down_revision = None

# "dnsr": tells a store of reports from any other SQLite file.
_APPLICATION_ID = 0x646E7372

# Tells one on PostgreSQL from the database of another program.
_POSTGRESQL_MARK = "CREATE FUNCTION dnsbound_reports() RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 1'"


def upgrade() -> None:
    if op.get_context().dialect.name == "sqlite":
        op.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    else:
        op.execute(_POSTGRESQL_MARK)
    _of_a_sender()
    _of_a_receiver()
    _quarantine()


def _of_a_sender() -> None:
    op.create_table(
        "senders",
        sa.Column("stream", TEXT, nullable=False),
        sa.Column("sequence", NUMBER, nullable=False),
        sa.Column("previous", OCTETS),
        sa.Column("issued_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("stream", name=op.f("pk_senders")),
        sqlite_strict=True,
    )
    op.create_table(
        "outbox",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("stream", TEXT, nullable=False),
        sa.Column("audience", TEXT, nullable=False),
        sa.Column("sequence", NUMBER, nullable=False),
        sa.Column("digest", OCTETS, nullable=False),
        sa.Column("token", OCTETS, nullable=False),
        sa.Column("made_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("tries", NUMBER, nullable=False),
        sa.Column("tried_at", MOMENT),
        sa.Column("trouble", TEXT, nullable=False, server_default=sa.text("''")),
        sa.Column("receipt", OCTETS),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("digest", name=op.f("uq_outbox_digest")),
        sa.UniqueConstraint("stream", "sequence", name=op.f("uq_outbox_stream_sequence")),
        sa.CheckConstraint(
            "state IN ('waiting', 'accepted', 'refused', 'expired')", name=op.f("ck_outbox_state_known")
        ),
        sa.CheckConstraint(
            "(state IN ('accepted', 'refused')) = (receipt IS NOT NULL)", name=op.f("ck_outbox_receipt_when_judged")
        ),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_outbox_state_id"), "outbox", ["state", "id"])


def _of_a_receiver() -> None:
    op.create_table(
        "streams",
        sa.Column("stream", TEXT, nullable=False),
        sa.Column("highest", NUMBER, nullable=False),
        sa.Column("forgotten", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("stream", name=op.f("pk_streams")),
        sqlite_strict=True,
    )
    op.create_table(
        "chains",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("digest", OCTETS, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("octets", OCTETS, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chains")),
        sa.UniqueConstraint("digest", name=op.f("uq_chains_digest")),
        sqlite_strict=True,
    )
    op.create_table(
        "received",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("issuer", TEXT, nullable=False),
        sa.Column("stream", TEXT, nullable=False),
        sa.Column("sequence", NUMBER, nullable=False),
        sa.Column("identifier", OCTETS, nullable=False),
        sa.Column("digest", OCTETS, nullable=False),
        sa.Column("previous", OCTETS),
        sa.Column("token", OCTETS, nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.Column("judged_at", MOMENT, nullable=False),
        sa.Column("forgettable_at", MOMENT, nullable=False),
        sa.Column("follows", TEXT, nullable=False),
        sa.Column("spki_sha256", OCTETS, nullable=False),
        sa.Column("record", TEXT, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("receipt", OCTETS, nullable=False),
        sa.Column("chain_id", NUMBER),
        sa.Column("receiver_chain_id", NUMBER),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_received")),
        sa.UniqueConstraint("digest", name=op.f("uq_received_digest")),
        sa.UniqueConstraint("issuer", "identifier", name=op.f("uq_received_issuer_identifier")),
        sa.UniqueConstraint("stream", "sequence", name=op.f("uq_received_stream_sequence")),
        sa.CheckConstraint(
            "follows IN ('first', 'next', 'gap', 'late', 'restart')", name=op.f("ck_received_follows_known")
        ),
        sa.ForeignKeyConstraint(["chain_id"], ["chains.id"], name=op.f("fk_received_chain_id")),
        sa.ForeignKeyConstraint(["receiver_chain_id"], ["chains.id"], name=op.f("fk_received_receiver_chain_id")),
        sqlite_strict=True,
    )
    for columns in (["issuer", "spki_sha256"], ["judged_at"], ["chain_id"], ["receiver_chain_id"]):
        op.create_index(op.f(f"ix_received_{'_'.join(columns)}"), "received", columns)


def _quarantine() -> None:
    op.create_table(
        "quarantine",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("digest", OCTETS, nullable=False),
        sa.Column("issuer", TEXT, nullable=False),
        sa.Column("pool", TEXT, nullable=False),
        sa.Column("token", OCTETS, nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.Column("judged_at", MOMENT, nullable=False),
        sa.Column("tries", NUMBER, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("detail", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quarantine")),
        sa.UniqueConstraint("digest", name=op.f("uq_quarantine_digest")),
        sa.CheckConstraint("state IN ('undecided', 'refused')", name=op.f("ck_quarantine_state_known")),
        sqlite_strict=True,
    )
    for columns in (["state", "judged_at"], ["issuer", "id"]):
        op.create_index(op.f(f"ix_quarantine_{'_'.join(columns)}"), "quarantine", columns)
    op.create_table(
        "pools",
        sa.Column("pool", TEXT, nullable=False),
        sa.Column("reports", NUMBER, nullable=False),
        sa.Column("octets", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("pool", name=op.f("pk_pools")),
        sqlite_strict=True,
    )


def downgrade() -> None:
    for table in ("pools", "quarantine", "received", "chains", "streams", "outbox", "senders"):
        op.drop_table(table)
    if op.get_context().dialect.name == "sqlite":
        op.execute("PRAGMA application_id = 0")
    else:
        op.execute("DROP FUNCTION dnsbound_reports()")
