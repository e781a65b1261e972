"""The tables of the accounting database, for SQLite and PostgreSQL. The migrations build them; a test holds the two
together.

`admissions` is what this server did: whom it let in where, by which claim, and what became of it. `reports` is what
access servers say of their sessions (RFC 2866), one row for each session of theirs. They are kept apart because neither
follows from the other: an access server that reports nothing still has people in, and one session of its may run on
over several admissions. A private key is nowhere; a claim holds certificates or a public key.
"""

from typing import Final

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, LargeBinary, MetaData, Table, text

from dnsbound.provision.schema import MOMENT, NUMBER, TEXT
from dnsbound.provision.schema import metadata as inventory

metadata: Final = MetaData(naming_convention=inventory.naming_convention)

_OPEN: Final = text("stopped_at IS NULL")

# `access_class`: the attribute that leads from an access server's report to its admission. `identification`: the
# attributes by which that server knows the session. `claim`: what is judged again, while the state is `live` or
# `cutting` (`dnsbound.provision.accounting.kept_claim`). `holds_until`: the end of the evidence that was found last.
# `expires_at`: when the session is taken for over unless its access server says otherwise. `address`: where
# its Access-Request came from.
admissions: Final = Table(
    "admissions",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("access_class", LargeBinary, nullable=False, unique=True),
    Column("worker", NUMBER, nullable=False),
    Column("network", TEXT, nullable=False),
    Column("name", TEXT, nullable=False),
    Column("client", TEXT, nullable=False),
    Column("address", TEXT, nullable=False),
    Column("nas", TEXT, nullable=False),
    Column("calling_station", TEXT, nullable=False),
    Column("identification", LargeBinary, nullable=False),
    Column("claim", LargeBinary),
    Column("admitted_at", MOMENT, nullable=False),
    Column("holds_until", MOMENT, nullable=False),
    Column("session_timeout", MOMENT, nullable=False),
    Column("expires_at", MOMENT, nullable=False),
    Column("state", TEXT, nullable=False),
    Column("ended_at", MOMENT),
    Column("why", TEXT, nullable=False, server_default=text("''")),
    CheckConstraint(
        "state IN ('live', 'cutting', 'stopped', 'replaced', 'expired', 'disconnected', 'gone', 'left')",
        name="state_known",
    ),
    CheckConstraint("(state IN ('live', 'cutting')) = (ended_at IS NULL)", name="ended_at_set"),
    CheckConstraint("(state IN ('live', 'cutting')) = (claim IS NOT NULL)", name="claim_while_in"),
    Index(None, "name", "id"),
    Index(None, "network", "id"),
    Index(None, "admitted_at"),
    Index(
        "ix_admissions_in",
        "worker",
        "id",
        sqlite_where=text("ended_at IS NULL"),
        postgresql_where=text("ended_at IS NULL"),
    ),
    Index(None, "ended_at"),
    sqlite_strict=True,
)

# An access server may use a session id again, after a restart for instance: only one row of an id is open.
reports: Final = Table(
    "reports",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("admission_id", ForeignKey("admissions.id"), index=True),
    Column("client", TEXT, nullable=False),
    Column("nas", TEXT, nullable=False),
    Column("session", TEXT, nullable=False),
    Column("user_name", TEXT, nullable=False),
    Column("calling_station", TEXT, nullable=False),
    Column("started_at", MOMENT, nullable=False),
    Column("heard_at", MOMENT, nullable=False),
    Column("stopped_at", MOMENT),
    Column("seconds", NUMBER, nullable=False),
    Column("input_octets", NUMBER, nullable=False),
    Column("output_octets", NUMBER, nullable=False),
    Column("input_packets", NUMBER, nullable=False),
    Column("output_packets", NUMBER, nullable=False),
    Column("cause", NUMBER),
    Index(None, "client", "nas", "session", "id"),
    Index(None, "heard_at"),
    Index(
        "uq_reports_open",
        "client",
        "nas",
        "session",
        unique=True,
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    ),
    sqlite_strict=True,
)

# Made once: what the MAC in Class is made with, so that a restart, and every worker, knows its own.
secrets: Final = Table(
    "secrets",
    metadata,
    Column("purpose", TEXT, primary_key=True),
    Column("octets", LargeBinary, nullable=False),
    sqlite_strict=True,
)
