"""Records of the inventory as lines of a zone file (RFC 1035 section 5), one at a time from one view of the inventory.

In the order of the tree, names above those below them; within a name as they were added. Unsigned: who loads the file
signs it.
"""

from collections.abc import Iterator

from sqlalchemy import Connection, select

from dnsbound.provision import schema
from dnsbound.provision.entries import Zone
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.publish.scope import Scope

_FETCHED = 1000


def zone_lines(inventory: Inventory, zone: Zone) -> Iterator[str]:
    """The whole zone: SOA, NS, its records, and the delegations to other zones of the inventory."""
    settings, apex = zone.settings, zone.name.absolute
    yield f"$ORIGIN {apex}"
    yield soa_line(zone)
    for host in settings.nameservers:
        yield f"{apex} {settings.ttl} IN NS {host.absolute}"
    for record in inventory.zones.records(zone.name):
        yield record.to_text()
    for child in inventory.zones.delegated_from(zone.name):
        for host in child.settings.nameservers:
            yield f"{child.name.absolute} {child.settings.ttl} IN NS {host.absolute}"
        for text in child.ds:
            yield f"{child.name.absolute} {child.settings.ttl} IN DS {text}"


def soa_line(zone: Zone) -> str:
    settings = zone.settings
    return (
        f"{zone.name.absolute} {settings.ttl} IN SOA {settings.nameservers[0].absolute} {settings.rname.absolute} "
        f"{zone.serial} {settings.refresh} {settings.retry} {settings.expire} {settings.negative_ttl}"
    )


def record_lines(connection: Connection, scope: Scope) -> Iterator[str]:
    """Our records alone, for a file that a zone file includes. Memory stays flat."""
    rows = schema.records.c
    query = (
        select(rows.owner, rows.ttl, rows.rdtype, rows.rdata)
        .where(scope.condition(rows.sort_key))
        .order_by(rows.sort_key, rows.rdtype, rows.rdata)
    )
    yield f"; Records of {scope.zone} kept by dnsbound. Changed here, they are overwritten."
    for row in connection.execution_options(yield_per=_FETCHED).execute(query):
        yield f"{row.owner}. {row.ttl} IN {row.rdtype} {row.rdata}"
