"""The tables of the inventory. The migrations build them; a test holds the two together.

No table has a column for a private key, and none for free text that one could hide in: public keys are DER
SubjectPublicKeyInfo that was parsed and written again, record data are the presentation form of parsed records. Zone
keys are files; the inventory knows their path and the DS records that follow from them.
"""

from typing import Final

from sqlalchemy import (
    REAL,
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

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

zones: Final = Table(
    "zones",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("sort_key", Text, nullable=False, unique=True),
    Column("mname", Text, nullable=False),
    Column("rname", Text, nullable=False),
    Column(
        "serial", Integer, CheckConstraint("serial BETWEEN 0 AND 4294967295", name="serial_32_bits"), nullable=False
    ),
    Column("refresh", Integer, nullable=False),
    Column("retry", Integer, nullable=False),
    Column("expire", Integer, nullable=False),
    Column("negative_ttl", Integer, nullable=False),
    Column("ttl", Integer, nullable=False),
    Column("key_path", Text, unique=True),
    Column("ds", Text, nullable=False),
    Column("created_at", REAL, nullable=False),
    sqlite_strict=True,
)

nameservers: Final = Table(
    "nameservers",
    metadata,
    Column("zone_id", ForeignKey("zones.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("host", Text, nullable=False),
    UniqueConstraint("zone_id", "host"),
    sqlite_strict=True,
)

identities: Final = Table(
    "identities",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("sort_key", Text, nullable=False, index=True),
    Column("spki", LargeBinary, nullable=False, index=True),
    Column("ttl", Integer, nullable=False),
    Column("state", Text, CheckConstraint("state IN ('active', 'revoked')", name="state_known"), nullable=False),
    Column("registered_at", REAL, nullable=False),
    Column("revoked_at", REAL),
    CheckConstraint("(state = 'revoked') = (revoked_at IS NOT NULL)", name="revoked_at_set"),
    sqlite_strict=True,
)
Index(
    "uq_identities_active_name",
    identities.c.name,
    unique=True,
    sqlite_where=text("state = 'active'"),
    postgresql_where=text("state = 'active'"),
)

records: Final = Table(
    "records",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("sort_key", Text, nullable=False, index=True),
    Column("rdtype", Text, nullable=False),
    Column("rdata", Text, nullable=False),
    Column("ttl", Integer, CheckConstraint("ttl BETWEEN 0 AND 2147483647", name="ttl_range"), nullable=False),
    Column("identity_id", ForeignKey("identities.id"), index=True),
    UniqueConstraint("owner", "rdtype", "rdata"),
    sqlite_strict=True,
)

events: Final = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", REAL, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False, index=True),
    Column("detail", Text, nullable=False),
    sqlite_autoincrement=True,
    sqlite_strict=True,
)
