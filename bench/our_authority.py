"""The embedded authority, as `dnsbound serve dns` runs it, but for the budget of signatures that one address may cause.

python -m bench.our_authority INVENTORY PORT
"""

import asyncio
import contextlib
import sys

from dnsbound.dns.authority import Authority
from dnsbound.dns.authority_budget import SigningBudget
from dnsbound.edge.dns_server import DnsServer
from dnsbound.edge.zone_key_files import load_zone_keys
from dnsbound.limits import SIGNATURES_OVER_UDP, SIGNATURES_PER_PREFIX
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.zone_data import InventoryZones


async def serve(zones: InventoryZones, port: int) -> None:
    budget = SigningBudget(per_prefix=SIGNATURES_PER_PREFIX.maximum, together=SIGNATURES_OVER_UDP.maximum)
    async with DnsServer(Authority(zones, budget=budget).respond, port=port):
        await asyncio.Event().wait()


if __name__ == "__main__":
    with (
        Inventory.open(sys.argv[1]) as inventory,
        contextlib.closing(InventoryZones(inventory, load_zone_keys)) as zones,
    ):
        asyncio.run(serve(zones, int(sys.argv[2])))
