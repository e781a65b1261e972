"""Whether an enrolled device's record is there for everybody: at once where the inventory is the authority's own data,
else as soon as every authoritative server of the zone has been seen to serve it, signed.
"""

import asyncio
import logging
from typing import Final

from dnsbound.dns.served import Wanted
from dnsbound.edge.authoritative_servers import Observer, ServedEverywhere
from dnsbound.edge.nameservers import ZoneServers, find_servers
from dnsbound.edge.resolver import Resolver
from dnsbound.errors import DnsboundError
from dnsbound.provision.entries import Identity
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.publish.targets import EmbeddedTarget, Target, Targets, target_of
from dnsbound.times import Moment, Seconds

_log: Final = logging.getLogger("dnsbound.enrolment")
SERVERS_FOR: Final[Seconds] = 300.0
"""How long the servers that were found for a zone are asked before they are looked up again."""


class ServersOfZones:
    """targets: where zones are published. Zones of the inventory itself need none: its authority answers with each
    change at its next query."""

    def __init__(self, inventory: Inventory, targets: Targets, resolver: Resolver) -> None:
        self._inventory = inventory
        self._targets = targets
        self._resolver = resolver
        self._found: dict[OwnerName, tuple[Moment, ZoneServers]] = {}

    async def is_served(self, identity: Identity, *, now: Moment) -> bool:
        owner = OwnerName.parse(identity.name.canonical)
        target = target_of(self._targets, owner)
        if target is None or isinstance(target, EmbeddedTarget):
            return await asyncio.to_thread(self._inventory.zones.serving, owner) is not None
        records = [record for record in identity.records if record.rdtype == "TLSA"]
        wanted = Wanted.from_text(owner.absolute, "TLSA", present=[record.rdata for record in records])
        try:
            observer = Observer(await self._servers(target, now), clock=lambda: now)
            async for seen in observer.observe([wanted]):
                return isinstance(seen.outcome, ServedEverywhere)
        except DnsboundError as error:
            _log.warning("the servers of %s could not be asked: %s", target.zone, error)
        return False

    async def _servers(self, target: Target, now: Moment) -> ZoneServers:
        known = self._found.get(target.zone)
        if known is not None and 0 <= now - known[0] < SERVERS_FOR:
            return known[1]
        given = [str(server) for server in target.servers]
        servers = await find_servers(target.zone.absolute, resolver=self._resolver, servers=given)
        self._found[target.zone] = (now, servers)
        return servers
