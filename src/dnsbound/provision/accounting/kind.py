"""The accounting database as a database: what it is called, how it is told from others, its schema."""

from types import MappingProxyType
from typing import Final

from dnsbound.provision.accounting import schema
from dnsbound.provision.database_kind import DatabaseKind
from dnsbound.provision.errors import AccountingFailed, AccountingMissing
from dnsbound.provision.schema_migration import rows

HEAD_REVISION: Final = "0001"
"""Schema this code reads and writes: the newest of migrations/versions."""

ACCOUNTING: Final = DatabaseKind(
    noun="accounting database",
    a="an accounting database",
    head=HEAD_REVISION,
    migrations="dnsbound.provision.accounting:migrations",
    application_id=0x646E7361,
    mark="dnsbound_accounting()",
    dropped=MappingProxyType(
        {"0001": MappingProxyType({"admissions": rows(schema.admissions), "reports": rows(schema.reports)})}
    ),
    missing=AccountingMissing,
    failed=AccountingFailed,
    # Whatever is written here may be written again.
    unconfirmed=AccountingFailed,
)
