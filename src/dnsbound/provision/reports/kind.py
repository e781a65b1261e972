"""The store of reports as a database: what it is called, how it is told from others, its schema."""

from types import MappingProxyType
from typing import Final

from dnsbound.provision.database_kind import DatabaseKind
from dnsbound.provision.errors import ReportStoreFailed, ReportStoreMissing
from dnsbound.provision.reports import schema
from dnsbound.provision.schema_migration import rows

HEAD_REVISION: Final = "0001"
"""Schema this code reads and writes: the newest of migrations/versions."""

REPORT_STORE: Final = DatabaseKind(
    noun="store of reports",
    a="a store of reports",
    head=HEAD_REVISION,
    migrations="dnsbound.provision.reports:migrations",
    application_id=0x646E7372,
    mark="dnsbound_reports()",
    dropped=MappingProxyType(
        {
            "0001": MappingProxyType(
                {
                    "counts of sent reports": rows(schema.senders),
                    "sent reports": rows(schema.outbox),
                    "counts of received reports": rows(schema.streams),
                    "received reports": rows(schema.received),
                    "reports in quarantine": rows(schema.quarantine),
                }
            )
        }
    ),
    missing=ReportStoreMissing,
    failed=ReportStoreFailed,
    # A report whose writing is in doubt is sent, or received, once more: it is the same report.
    unconfirmed=ReportStoreFailed,
)
