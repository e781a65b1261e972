"""Keys with states, owners, tags, reasons; publishing, rolls, leases, transfers, authorities, enrolment.

Revision 0002. The key of an identity moves from its row into `keys`, as the current one; on the way down the current
key moves back, and the rest is lost, which `dnsbound.provision.migration` asks about before it begins.
"""

import hashlib

import sqlalchemy as sa
from alembic import op

from dnsbound.provision.migrations.column_types import MOMENT, NUMBER, OCTETS, TEXT

revision = "0002"
down_revision = "0001"

_BATCH = 1000
_NOTHING = sa.text("''")


def upgrade() -> None:
    _keys()
    _carry_keys_over()
    op.drop_index("ix_identities_spki", "identities")
    op.drop_column("identities", "spki")
    op.add_column("identities", sa.Column("owner", TEXT, nullable=False, server_default=_NOTHING))
    op.create_index("ix_identities_owner", "identities", ["owner"])
    op.add_column("events", sa.Column("reason", TEXT, nullable=False, server_default=_NOTHING))
    _add_key_of_record()
    _publishing()
    _ownership()
    _rolls()
    _enrolment()


def _only_while(name: str, table: str, column: str, condition: str) -> None:
    rows = sa.text(condition)
    op.create_index(name, table, [column], unique=True, sqlite_where=rows, postgresql_where=rows)


def _keys() -> None:
    op.create_table(
        "keys",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("identity_id", NUMBER, nullable=False),
        sa.Column("spki", OCTETS, nullable=False),
        sa.Column("spki_sha256", OCTETS, nullable=False),
        sa.Column("certificate", OCTETS),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("added_at", MOMENT, nullable=False),
        sa.Column("retired_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_keys")),
        sa.ForeignKeyConstraint(["identity_id"], ["identities.id"], name=op.f("fk_keys_identity_id")),
        sa.CheckConstraint("state IN ('current', 'next', 'retired')", name=op.f("ck_keys_state_known")),
        sa.CheckConstraint("length(spki_sha256) = 32", name=op.f("ck_keys_digest_length")),
        sa.CheckConstraint("(state = 'retired') = (retired_at IS NOT NULL)", name=op.f("ck_keys_retired_at_set")),
        sqlite_strict=True,
    )
    op.create_index("ix_keys_identity_id", "keys", ["identity_id"])
    op.create_index("ix_keys_spki_sha256", "keys", ["spki_sha256"])
    _only_while("uq_keys_current", "keys", "identity_id", "state = 'current'")
    _only_while("uq_keys_next", "keys", "identity_id", "state = 'next'")
    op.create_table(
        "tags",
        sa.Column("identity_id", NUMBER, nullable=False, autoincrement=False),
        sa.Column("tag", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("identity_id", "tag", name=op.f("pk_tags")),
        sa.ForeignKeyConstraint(["identity_id"], ["identities.id"], name=op.f("fk_tags_identity_id")),
        sqlite_strict=True,
    )
    op.create_index("ix_tags_tag_identity_id", "tags", ["tag", "identity_id"])


def _carry_keys_over() -> None:
    """In batches: neither database can hash octets in the same words."""
    connection = op.get_bind()
    read = sa.text("SELECT id, spki, registered_at FROM identities WHERE id > :last ORDER BY id LIMIT :batch")
    write = sa.text(
        "INSERT INTO keys (identity_id, spki, spki_sha256, state, added_at)"
        " VALUES (:identity_id, :spki, :spki_sha256, 'current', :added_at)"
    )
    last = 0
    while rows := connection.execute(read, {"last": last, "batch": _BATCH}).all():
        connection.execute(
            write,
            [
                {
                    "identity_id": row.id,
                    "spki": bytes(row.spki),
                    "spki_sha256": hashlib.sha256(row.spki).digest(),
                    "added_at": row.registered_at,
                }
                for row in rows
            ],
        )
        last = rows[-1].id


def _add_key_of_record() -> None:
    if op.get_context().dialect.name == "sqlite":
        _rebuild_records()
    else:
        op.add_column("records", sa.Column("key_id", NUMBER))
        op.create_foreign_key("fk_records_key_id", "records", "keys", ["key_id"], ["id"])
    op.create_index("ix_records_key_id", "records", ["key_id"])
    # Records of the end entity stand for its key, of which there was one; those of authorities for none.
    op.execute(
        "UPDATE records SET key_id = (SELECT keys.id FROM keys WHERE keys.identity_id = records.identity_id)"
        " WHERE rdtype = 'TLSA' AND (rdata LIKE '3 %' OR rdata LIKE '1 %')"
    )


_RECORD_COLUMNS = "id, owner, sort_key, rdtype, rdata, ttl, identity_id"


def _rebuild_records() -> None:
    """SQLite adds no foreign key with a name to a table (lang_altertable.html)."""
    _create_records("records_rebuilt", key_of_record=True)
    op.execute(f"INSERT INTO records_rebuilt ({_RECORD_COLUMNS}) SELECT {_RECORD_COLUMNS} FROM records")  # noqa: S608 (constants of this module)
    op.drop_table("records")
    op.rename_table("records_rebuilt", "records")
    _index_records()


def _create_records(name: str, *, key_of_record: bool) -> None:
    of_key = sa.ForeignKeyConstraint(["key_id"], ["keys.id"], name=op.f("fk_records_key_id"))
    op.create_table(
        name,
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("owner", TEXT, nullable=False),
        sa.Column("sort_key", TEXT, nullable=False),
        sa.Column("rdtype", TEXT, nullable=False),
        sa.Column("rdata", TEXT, nullable=False),
        sa.Column("ttl", NUMBER, nullable=False),
        sa.Column("identity_id", NUMBER),
        *((sa.Column("key_id", NUMBER), of_key) if key_of_record else ()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_records")),
        sa.ForeignKeyConstraint(["identity_id"], ["identities.id"], name=op.f("fk_records_identity_id")),
        sa.UniqueConstraint("owner", "rdtype", "rdata", name=op.f("uq_records_owner_rdtype_rdata")),
        sa.CheckConstraint("ttl BETWEEN 0 AND 2147483647", name=op.f("ck_records_ttl_range")),
        sqlite_strict=True,
    )


def _index_records() -> None:
    op.create_index("ix_records_sort_key", "records", ["sort_key"])
    op.create_index("ix_records_identity_id", "records", ["identity_id"])


def _publishing() -> None:
    op.create_table(
        "published",
        sa.Column("owner", TEXT, nullable=False),
        sa.Column("rdtype", TEXT, nullable=False),
        sa.Column("rdata", TEXT, nullable=False),
        sa.Column("sort_key", TEXT, nullable=False),
        sa.Column("ttl", NUMBER, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("owner", "rdtype", "rdata", name=op.f("pk_published")),
        sqlite_strict=True,
    )
    op.create_index("ix_published_sort_key", "published", ["sort_key"])
    op.create_table(
        "outbox",
        sa.Column("owner", TEXT, nullable=False),
        sa.Column("sort_key", TEXT, nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("changes", NUMBER, nullable=False),
        sa.Column("claimed", NUMBER),
        sa.Column("attempts", NUMBER, nullable=False),
        sa.Column("not_before", MOMENT, nullable=False),
        sa.Column("problem", TEXT, nullable=False, server_default=_NOTHING),
        sa.PrimaryKeyConstraint("owner", name=op.f("pk_outbox")),
        sqlite_strict=True,
    )
    op.create_index("ix_outbox_sort_key", "outbox", ["sort_key"])
    op.create_index("ix_outbox_not_before", "outbox", ["not_before"])


def _ownership() -> None:
    op.create_table(
        "leases",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("sort_key", TEXT, nullable=False),
        sa.Column("target", TEXT, nullable=False),
        sa.Column("ttl", NUMBER, nullable=False),
        sa.Column("starts_at", MOMENT, nullable=False),
        sa.Column("ends_at", MOMENT, nullable=False),
        sa.Column("steady_clock", TEXT, nullable=False),
        sa.Column("steady_end", MOMENT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("due_at", MOMENT),
        sa.Column("attempts", NUMBER, nullable=False, server_default=sa.text("0")),
        sa.Column("problem", TEXT, nullable=False, server_default=_NOTHING),
        sa.Column("reason", TEXT, nullable=False, server_default=_NOTHING),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_leases")),
        sa.CheckConstraint("state IN ('pending', 'active', 'ended', 'cancelled')", name=op.f("ck_leases_state_known")),
        sa.CheckConstraint("starts_at < ends_at", name=op.f("ck_leases_ends_after_start")),
        sa.CheckConstraint(
            "(state IN ('pending', 'active')) = (due_at IS NOT NULL)", name=op.f("ck_leases_due_while_open")
        ),
        sqlite_strict=True,
    )
    op.create_table(
        "transfers",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("from_identity_id", NUMBER, nullable=False),
        sa.Column("to_identity_id", NUMBER),
        sa.Column("to_name", TEXT, nullable=False, server_default=_NOTHING),
        sa.Column("overlap_until", MOMENT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transfers")),
        sa.ForeignKeyConstraint(["from_identity_id"], ["identities.id"], name=op.f("fk_transfers_from_identity_id")),
        sa.ForeignKeyConstraint(["to_identity_id"], ["identities.id"], name=op.f("fk_transfers_to_identity_id")),
        sa.CheckConstraint("state IN ('overlapping', 'done', 'cancelled')", name=op.f("ck_transfers_state_known")),
        sqlite_strict=True,
    )
    op.create_table(
        "authorities",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("owner", TEXT, nullable=False),
        sa.Column("sort_key", TEXT, nullable=False),
        sa.Column("certificate", OCTETS, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("registered_at", MOMENT, nullable=False),
        sa.Column("revoked_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_authorities")),
        sa.CheckConstraint("state IN ('active', 'revoked')", name=op.f("ck_authorities_state_known")),
        sa.CheckConstraint(
            "(state = 'revoked') = (revoked_at IS NOT NULL)", name=op.f("ck_authorities_revoked_at_set")
        ),
        sqlite_strict=True,
    )
    op.create_table(
        "blocks",
        sa.Column("owner", TEXT, nullable=False),
        sa.Column("sort_key", TEXT, nullable=False),
        sa.Column("wildcard", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False, server_default=_NOTHING),
        sa.Column("since", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("owner", name=op.f("pk_blocks")),
        sqlite_strict=True,
    )
    for table, columns in {
        "leases": ("name", "sort_key", "target", "state", "due_at"),
        "transfers": ("from_identity_id", "to_identity_id", "state"),
        "authorities": ("owner", "sort_key"),
        "blocks": ("sort_key", "wildcard"),
    }.items():
        for column in columns:
            op.create_index(f"ix_{table}_{column}", table, [column])


def _rolls() -> None:
    op.create_table(
        "rolls",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("identity_id", NUMBER, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("old_key_id", NUMBER),
        sa.Column("new_key_id", NUMBER),
        sa.Column("target", TEXT, nullable=False, server_default=_NOTHING),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("entered_at", MOMENT, nullable=False),
        sa.Column("due_at", MOMENT),
        sa.Column("plan", TEXT, nullable=False),
        sa.Column("certificate", OCTETS),
        sa.Column("evidence", TEXT, nullable=False),
        sa.Column("attempts", NUMBER, nullable=False, server_default=sa.text("0")),
        sa.Column("confirmed_at", MOMENT),
        sa.Column("confirmed_by", TEXT),
        sa.Column("problem", TEXT, nullable=False, server_default=_NOTHING),
        sa.Column("claimed_by", TEXT),
        sa.Column("claimed_until", MOMENT),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rolls")),
        sa.ForeignKeyConstraint(["identity_id"], ["identities.id"], name=op.f("fk_rolls_identity_id")),
        sa.ForeignKeyConstraint(["old_key_id"], ["keys.id"], name=op.f("fk_rolls_old_key_id")),
        sa.ForeignKeyConstraint(["new_key_id"], ["keys.id"], name=op.f("fk_rolls_new_key_id")),
        sa.CheckConstraint("kind IN ('key', 'parameters', 'emergency')", name=op.f("ck_rolls_kind_known")),
        sa.CheckConstraint(
            "state IN ('stable', 'prepublish', 'switch', 'retire', 'done', 'cancelled')",
            name=op.f("ck_rolls_state_known"),
        ),
        sqlite_strict=True,
    )
    for column in ("identity_id", "state", "due_at"):
        op.create_index(f"ix_rolls_{column}", "rolls", [column])
    _only_while(
        "uq_rolls_open_identity_id", "rolls", "identity_id", "state IN ('stable', 'prepublish', 'switch', 'retire')"
    )


def _enrolment() -> None:
    op.create_table(
        "enrolment_tokens",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("digest", OCTETS),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("key_sha256", OCTETS),
        sa.Column("maker", TEXT),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("used_at", MOMENT),
        sa.Column("used_by", TEXT),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_enrolment_tokens")),
        sa.UniqueConstraint("digest", name=op.f("uq_enrolment_tokens_digest")),
        sa.CheckConstraint("length(digest) = 32", name=op.f("ck_enrolment_tokens_digest_length")),
        sa.CheckConstraint("length(key_sha256) = 32", name=op.f("ck_enrolment_tokens_key_digest_length")),
        sa.CheckConstraint(
            "digest IS NOT NULL OR key_sha256 IS NOT NULL OR maker IS NOT NULL",
            name=op.f("ck_enrolment_tokens_for_somebody"),
        ),
        sqlite_strict=True,
    )
    op.create_index("ix_enrolment_tokens_name", "enrolment_tokens", ["name"])
    op.create_index("ix_enrolment_tokens_maker", "enrolment_tokens", ["maker"])


def downgrade() -> None:
    for table in ("enrolment_tokens", "rolls", "blocks", "authorities", "transfers", "leases", "outbox", "published"):
        op.drop_table(table)
    op.drop_table("tags")
    op.drop_column("events", "reason")
    if op.get_context().dialect.name == "sqlite":
        _rebuild_identities()
    else:
        op.drop_column("records", "key_id")
        op.add_column("identities", sa.Column("spki", OCTETS))
        op.execute(f"UPDATE identities SET spki = {_LAST_KEY}")  # noqa: S608 (constants of this module)
        op.alter_column("identities", "spki", nullable=False)
        op.drop_column("identities", "owner")
        op.create_index("ix_identities_spki", "identities", ["spki"])
        op.drop_table("keys")


_LAST_KEY = (
    "(SELECT keys.spki FROM keys WHERE keys.identity_id = identities.id"
    " ORDER BY CASE keys.state WHEN 'current' THEN 0 ELSE 1 END, keys.id DESC LIMIT 1)"
)


def _rebuild_identities() -> None:
    """SQLite adds no column that must not be empty; and a table can be replaced only while none refers to it."""
    columns = "id, name, sort_key, ttl, state, registered_at, revoked_at"
    op.create_table(
        "identities_rebuilt",
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
    op.execute(f"INSERT INTO identities_rebuilt ({columns}, spki) SELECT {columns}, {_LAST_KEY} FROM identities")  # noqa: S608 (constants)
    op.execute("CREATE TABLE records_kept AS SELECT * FROM records")
    for table in ("records", "keys", "identities"):
        op.drop_table(table)
    op.rename_table("identities_rebuilt", "identities")
    op.create_index("ix_identities_sort_key", "identities", ["sort_key"])
    op.create_index("ix_identities_spki", "identities", ["spki"])
    _only_while("uq_identities_active_name", "identities", "name", "state = 'active'")
    _create_records("records", key_of_record=False)
    op.execute(f"INSERT INTO records ({_RECORD_COLUMNS}) SELECT {_RECORD_COLUMNS} FROM records_kept")  # noqa: S608 (constants of this module)
    op.drop_table("records_kept")
    _index_records()
