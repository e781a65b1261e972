"""The tables of a store of reports, for SQLite and PostgreSQL. The migrations build them; a test holds both together.

`senders` and `outbox` are a sender's: how far it has counted, and what it has not, or has, a receipt for. The rest is a
receiver's: `streams` is how far each signer has counted, `received` what was taken, `chains` the evidence by which it
was, `quarantine` what was not taken and why, `pools` how full the quarantine is. A private key is nowhere.
"""

from typing import Final

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, LargeBinary, MetaData, Table, UniqueConstraint, text

from dnsbound.provision.schema import MOMENT, NUMBER, TEXT
from dnsbound.provision.schema import metadata as inventory

metadata: Final = MetaData(naming_convention=inventory.naming_convention)

# --- of a sender

# `stream`: `Report.stream`. `previous`: digest of the report that was made last.
senders: Final = Table(
    "senders",
    metadata,
    Column("stream", TEXT, primary_key=True),
    Column("sequence", NUMBER, nullable=False),
    Column("previous", LargeBinary),
    Column("issued_at", MOMENT, nullable=False),
    sqlite_strict=True,
)

outbox: Final = Table(
    "outbox",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("stream", TEXT, nullable=False),
    Column("audience", TEXT, nullable=False),
    Column("sequence", NUMBER, nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("token", LargeBinary, nullable=False),
    Column("made_at", MOMENT, nullable=False),
    Column("expires_at", MOMENT, nullable=False),
    Column("state", TEXT, nullable=False),
    Column("tries", NUMBER, nullable=False),
    Column("tried_at", MOMENT),
    Column("trouble", TEXT, nullable=False, server_default=text("''")),
    Column("receipt", LargeBinary),
    UniqueConstraint("stream", "sequence"),
    CheckConstraint("state IN ('waiting', 'accepted', 'refused', 'expired')", name="state_known"),
    CheckConstraint("(state IN ('accepted', 'refused')) = (receipt IS NOT NULL)", name="receipt_when_judged"),
    Index(None, "state", "id"),
    sqlite_strict=True,
)

# --- of a receiver

# `highest`: the largest sequence number taken. `forgotten`: up to here nothing is known any more.
streams: Final = Table(
    "streams",
    metadata,
    Column("stream", TEXT, primary_key=True),
    Column("highest", NUMBER, nullable=False),
    Column("forgotten", NUMBER, nullable=False),
    sqlite_strict=True,
)

# `octets`: an AuthenticationChain (RFC 9102 section 2.3), kept once however many reports were judged by it.
chains: Final = Table(
    "chains",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("name", TEXT, nullable=False),
    Column("octets", LargeBinary, nullable=False),
    sqlite_strict=True,
)

received: Final = Table(
    "received",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("issuer", TEXT, nullable=False),
    Column("stream", TEXT, nullable=False),
    Column("sequence", NUMBER, nullable=False),
    Column("identifier", LargeBinary, nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("previous", LargeBinary),
    Column("token", LargeBinary, nullable=False),
    Column("received_at", MOMENT, nullable=False),
    Column("judged_at", MOMENT, nullable=False),
    Column("forgettable_at", MOMENT, nullable=False),
    Column("follows", TEXT, nullable=False),
    Column("spki_sha256", LargeBinary, nullable=False),
    Column("record", TEXT, nullable=False),
    Column("source", TEXT, nullable=False),
    Column("receipt", LargeBinary, nullable=False),
    Column("chain_id", ForeignKey("chains.id"), index=True),
    Column("receiver_chain_id", ForeignKey("chains.id"), index=True),
    UniqueConstraint("issuer", "identifier"),
    UniqueConstraint("stream", "sequence"),
    CheckConstraint("follows IN ('first', 'next', 'gap', 'late', 'restart')", name="follows_known"),
    Index(None, "issuer", "spki_sha256"),
    Index(None, "judged_at"),
    sqlite_strict=True,
)

# `issuer`: who is named, which nobody may have proved. `pool`: whose share of the quarantine it takes.
quarantine: Final = Table(
    "quarantine",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("issuer", TEXT, nullable=False),
    Column("pool", TEXT, nullable=False),
    Column("token", LargeBinary, nullable=False),
    Column("received_at", MOMENT, nullable=False),
    Column("judged_at", MOMENT, nullable=False),
    Column("tries", NUMBER, nullable=False),
    Column("source", TEXT, nullable=False),
    Column("state", TEXT, nullable=False),
    Column("reason", TEXT, nullable=False),
    Column("detail", TEXT, nullable=False),
    CheckConstraint("state IN ('undecided', 'refused')", name="state_known"),
    Index(None, "state", "judged_at"),
    Index(None, "issuer", "id"),
    sqlite_strict=True,
)

pools: Final = Table(
    "pools",
    metadata,
    Column("pool", TEXT, primary_key=True),
    Column("reports", NUMBER, nullable=False),
    Column("octets", NUMBER, nullable=False),
    sqlite_strict=True,
)
