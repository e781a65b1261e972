"""The tables of the inventory, for SQLite and PostgreSQL. The migrations build them; a test holds the two together.

No table has a column for a private key: public keys are DER SubjectPublicKeyInfo that was parsed and written again,
certificates and record data likewise; texts that people write (reasons, tags, owners) are refused when a private key is
in them. Zone keys are files; the inventory knows their path and the DS records that follow from them.

One type for each kind of value, meaning the same in both databases: moments are doubles, numbers have 64 bits, texts
compare octet by octet, as SQLite's do.
"""

from typing import Final

from sqlalchemy import (
    DOUBLE_PRECISION,
    REAL,
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.types import TypeEngine

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

MOMENT: Final[TypeEngine[float]] = REAL().with_variant(DOUBLE_PRECISION(), "postgresql")
NUMBER: Final[TypeEngine[int]] = Integer().with_variant(BigInteger(), "postgresql")
TEXT: Final[TypeEngine[str]] = Text().with_variant(Text(collation="C"), "postgresql")
_NOTHING: Final = text("''")


def _only_while(name: str, column: Column[str] | Column[int], condition: str) -> None:
    """A column that is unique among the rows of a condition."""
    Index(name, column, unique=True, sqlite_where=text(condition), postgresql_where=text(condition))


zones: Final = Table(
    "zones",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("name", TEXT, nullable=False, unique=True),
    Column("sort_key", TEXT, nullable=False, unique=True),
    Column("mname", TEXT, nullable=False),
    Column("rname", TEXT, nullable=False),
    Column("serial", NUMBER, CheckConstraint("serial BETWEEN 0 AND 4294967295", name="serial_32_bits"), nullable=False),
    Column("refresh", NUMBER, nullable=False),
    Column("retry", NUMBER, nullable=False),
    Column("expire", NUMBER, nullable=False),
    Column("negative_ttl", NUMBER, nullable=False),
    Column("ttl", NUMBER, nullable=False),
    Column("key_path", TEXT, unique=True),
    Column("ds", TEXT, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    sqlite_strict=True,
)

nameservers: Final = Table(
    "nameservers",
    metadata,
    Column("zone_id", ForeignKey("zones.id", ondelete="CASCADE"), primary_key=True),
    Column("position", NUMBER, primary_key=True, autoincrement=False),
    Column("host", TEXT, nullable=False),
    UniqueConstraint("zone_id", "host"),
    sqlite_strict=True,
)

identities: Final = Table(
    "identities",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("name", TEXT, nullable=False),
    Column("sort_key", TEXT, nullable=False, index=True),
    Column("ttl", NUMBER, nullable=False),
    Column("state", TEXT, CheckConstraint("state IN ('active', 'revoked')", name="state_known"), nullable=False),
    Column("registered_at", MOMENT, nullable=False),
    Column("revoked_at", MOMENT),
    Column("owner", TEXT, nullable=False, server_default=_NOTHING, index=True),
    CheckConstraint("(state = 'revoked') = (revoked_at IS NOT NULL)", name="revoked_at_set"),
    sqlite_strict=True,
)
_only_while("uq_identities_active_name", identities.c.name, "state = 'active'")

keys: Final = Table(
    "keys",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("identity_id", ForeignKey("identities.id"), nullable=False, index=True),
    Column("spki", LargeBinary, nullable=False),
    Column("spki_sha256", LargeBinary, nullable=False, index=True),
    Column("certificate", LargeBinary),
    Column(
        "state", TEXT, CheckConstraint("state IN ('current', 'next', 'retired')", name="state_known"), nullable=False
    ),
    Column("added_at", MOMENT, nullable=False),
    Column("retired_at", MOMENT),
    CheckConstraint("length(spki_sha256) = 32", name="digest_length"),
    CheckConstraint("(state = 'retired') = (retired_at IS NOT NULL)", name="retired_at_set"),
    sqlite_strict=True,
)
_only_while("uq_keys_current", keys.c.identity_id, "state = 'current'")
_only_while("uq_keys_next", keys.c.identity_id, "state = 'next'")

tags: Final = Table(
    "tags",
    metadata,
    Column("identity_id", ForeignKey("identities.id"), primary_key=True),
    Column("tag", TEXT, primary_key=True),
    Index(None, "tag", "identity_id"),
    sqlite_strict=True,
)

records: Final = Table(
    "records",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("owner", TEXT, nullable=False),
    Column("sort_key", TEXT, nullable=False, index=True),
    Column("rdtype", TEXT, nullable=False),
    Column("rdata", TEXT, nullable=False),
    Column("ttl", NUMBER, CheckConstraint("ttl BETWEEN 0 AND 2147483647", name="ttl_range"), nullable=False),
    Column("identity_id", ForeignKey("identities.id"), index=True),
    Column("key_id", ForeignKey("keys.id"), index=True),
    UniqueConstraint("owner", "rdtype", "rdata"),
    sqlite_strict=True,
)

events: Final = Table(
    "events",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("at", MOMENT, nullable=False),
    Column("actor", TEXT, nullable=False),
    Column("action", TEXT, nullable=False),
    Column("subject", TEXT, nullable=False, index=True),
    Column("detail", TEXT, nullable=False),
    Column("reason", TEXT, nullable=False, server_default=_NOTHING),
    sqlite_autoincrement=True,
    sqlite_strict=True,
)

# What publishers have put into servers other than the embedded authority. It is the proof of ownership: nothing that
# is neither here nor in `records` is ever changed or removed there.
published: Final = Table(
    "published",
    metadata,
    Column("owner", TEXT, primary_key=True),
    Column("rdtype", TEXT, primary_key=True),
    Column("rdata", TEXT, primary_key=True),
    Column("sort_key", TEXT, nullable=False, index=True),
    Column("ttl", NUMBER, nullable=False),
    Column("at", MOMENT, nullable=False),
    sqlite_strict=True,
)

# Names whose records changed and are not published yet. `changes` counts them, so that who has published what he read
# removes the row only if nothing was changed meanwhile. `claimed`: that count when the name was taken to be published;
# null while nobody has it. `not_before`: of the next attempt, or of the end of a claim.
outbox: Final = Table(
    "outbox",
    metadata,
    Column("owner", TEXT, primary_key=True),
    Column("sort_key", TEXT, nullable=False, index=True),
    Column("since", MOMENT, nullable=False),
    Column("changes", NUMBER, nullable=False),
    Column("claimed", NUMBER),
    Column("attempts", NUMBER, nullable=False),
    Column("not_before", MOMENT, nullable=False, index=True),
    Column("problem", TEXT, nullable=False, server_default=_NOTHING),
    sqlite_strict=True,
)

# Names that are aliases of other organisations' devices for a time. `due_at`: of the next step, or of another try at
# it. `steady_end`: the end by a clock that nobody sets, named `steady_clock`, so that setting the machine's clock back
# prolongs nothing.
leases: Final = Table(
    "leases",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("name", TEXT, nullable=False, index=True),
    Column("sort_key", TEXT, nullable=False, index=True),
    Column("target", TEXT, nullable=False, index=True),
    Column("ttl", NUMBER, nullable=False),
    Column("starts_at", MOMENT, nullable=False),
    Column("ends_at", MOMENT, nullable=False),
    Column("steady_clock", TEXT, nullable=False),
    Column("steady_end", MOMENT, nullable=False),
    Column("state", TEXT, nullable=False, index=True),
    Column("due_at", MOMENT, index=True),
    Column("attempts", NUMBER, nullable=False, server_default=text("0")),
    Column("problem", TEXT, nullable=False, server_default=_NOTHING),
    Column("reason", TEXT, nullable=False, server_default=_NOTHING),
    CheckConstraint("state IN ('pending', 'active', 'ended', 'cancelled')", name="state_known"),
    CheckConstraint("starts_at < ends_at", name="ends_after_start"),
    CheckConstraint("(state IN ('pending', 'active')) = (due_at IS NOT NULL)", name="due_while_open"),
    sqlite_strict=True,
)

# Identities that pass to another name. `to_identity_id` is null where the other name is kept by another inventory.
transfers: Final = Table(
    "transfers",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("from_identity_id", ForeignKey("identities.id"), nullable=False, index=True),
    Column("to_identity_id", ForeignKey("identities.id"), index=True),
    Column("to_name", TEXT, nullable=False, server_default=_NOTHING),
    Column("overlap_until", MOMENT, nullable=False),
    Column("state", TEXT, nullable=False, index=True),
    CheckConstraint("state IN ('overlapping', 'done', 'cancelled')", name="state_known"),
    sqlite_strict=True,
)

# Certificate authorities whose records stand at a wildcard or at a `_user` name.
authorities: Final = Table(
    "authorities",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("owner", TEXT, nullable=False, index=True),
    Column("sort_key", TEXT, nullable=False, index=True),
    Column("certificate", LargeBinary, nullable=False),
    Column("state", TEXT, nullable=False),
    Column("registered_at", MOMENT, nullable=False),
    Column("revoked_at", MOMENT),
    CheckConstraint("state IN ('active', 'revoked')", name="state_known"),
    CheckConstraint("(state = 'revoked') = (revoked_at IS NOT NULL)", name="revoked_at_set"),
    sqlite_strict=True,
)

# Names below a wildcard that must have a record of their own, so that the wildcard does not speak for them (RFC 4592).
blocks: Final = Table(
    "blocks",
    metadata,
    Column("owner", TEXT, primary_key=True),
    Column("sort_key", TEXT, nullable=False, index=True),
    Column("wildcard", TEXT, nullable=False, index=True),
    Column("reason", TEXT, nullable=False, server_default=_NOTHING),
    Column("since", MOMENT, nullable=False),
    sqlite_strict=True,
)

# One change of an identity's key or of the form of its records (`dnsbound.provision.lifecycle`). `plan` and `evidence`
# are JSON: TLSA records, TTLs and moments. `certificate`: the leaf that is deployed with a key that stays.
rolls: Final = Table(
    "rolls",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("identity_id", ForeignKey("identities.id"), nullable=False, index=True),
    Column(
        "kind", TEXT, CheckConstraint("kind IN ('key', 'parameters', 'emergency')", name="kind_known"), nullable=False
    ),
    Column("state", TEXT, nullable=False, index=True),
    Column("old_key_id", ForeignKey("keys.id")),
    Column("new_key_id", ForeignKey("keys.id")),
    Column("target", TEXT, nullable=False, server_default=_NOTHING),
    Column("started_at", MOMENT, nullable=False),
    Column("entered_at", MOMENT, nullable=False),
    Column("due_at", MOMENT, index=True),
    Column("plan", TEXT, nullable=False),
    Column("certificate", LargeBinary),
    Column("evidence", TEXT, nullable=False),
    Column("attempts", NUMBER, nullable=False, server_default=text("0")),
    Column("confirmed_at", MOMENT),
    Column("confirmed_by", TEXT),
    Column("problem", TEXT, nullable=False, server_default=_NOTHING),
    Column("claimed_by", TEXT),
    Column("claimed_until", MOMENT),
    CheckConstraint("state IN ('stable', 'prepublish', 'switch', 'retire', 'done', 'cancelled')", name="state_known"),
    sqlite_strict=True,
)
_only_while("uq_rolls_open_identity_id", rolls.c.identity_id, "state IN ('stable', 'prepublish', 'switch', 'retire')")

enrolment_tokens: Final = Table(
    "enrolment_tokens",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("digest", LargeBinary, unique=True),
    Column("name", TEXT, nullable=False, index=True),
    Column("key_sha256", LargeBinary),
    Column("maker", TEXT, index=True),
    Column("created_at", MOMENT, nullable=False),
    Column("expires_at", MOMENT, nullable=False),
    Column("used_at", MOMENT),
    Column("used_by", TEXT),
    CheckConstraint("length(digest) = 32", name="digest_length"),
    CheckConstraint("length(key_sha256) = 32", name="key_digest_length"),
    CheckConstraint("digest IS NOT NULL OR key_sha256 IS NOT NULL OR maker IS NOT NULL", name="for_somebody"),
    sqlite_strict=True,
)
