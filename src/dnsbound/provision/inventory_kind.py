"""The inventory as a database: what it is called, how it is told from others, its schema and what steps down drop."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from sqlalchemy import Connection

from dnsbound.provision import schema
from dnsbound.provision.database_kind import DatabaseKind
from dnsbound.provision.errors import ChangeUnconfirmed, InventoryFailed, InventoryMissing
from dnsbound.provision.schema_migration import rows

HEAD_REVISION: Final = "0002"
"""Schema this code reads and writes: the newest of migrations/versions."""

_DROPPED: Final[Mapping[str, Mapping[str, Callable[[Connection], int]]]] = MappingProxyType(
    {
        # What each step added.
        "0001": MappingProxyType({"events": rows(schema.events)}),
        "0002": MappingProxyType(
            {
                "next or retired keys": rows(schema.keys, "state <> 'current'"),
                "certificates": rows(schema.keys, "certificate IS NOT NULL"),
                "owners": rows(schema.identities, "owner <> ''"),
                "reasons": rows(schema.events, "reason <> ''"),
                **{
                    f"rows of {table.name}": rows(table)
                    for table in (
                        schema.tags,
                        schema.published,
                        schema.outbox,
                        schema.leases,
                        schema.transfers,
                        schema.authorities,
                        schema.blocks,
                        schema.rolls,
                        schema.enrolment_tokens,
                    )
                },
            }
        ),
    }
)

INVENTORY: Final = DatabaseKind(
    noun="inventory",
    a="an inventory",
    head=HEAD_REVISION,
    migrations="dnsbound.provision:migrations",
    application_id=0x646E7362,
    mark="dnsbound_append_only()",
    dropped=_DROPPED,
    missing=InventoryMissing,
    failed=InventoryFailed,
    unconfirmed=ChangeUnconfirmed,
)
