"""`dnsbound doctor`: is everything there that logging in by DNS name needs, and what to do where it is not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from dnsbound.cli import checks
from dnsbound.cli.checks import Finding, Level
from dnsbound.cli.configuration import inventory_place
from dnsbound.cli.finding_output import tell_findings
from dnsbound.cli.opened import opened_inventory, opened_resolver
from dnsbound.cli.options import AnchorsOption, InventoryOption, JsonOption, ResolverOption, TimeoutOption
from dnsbound.errors import DnsboundError
from dnsbound.names import ClientName


def doctor(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Names whose zones to look at, too.")
    ] = None,
    *,
    resolver: ResolverOption = None,
    anchors: AnchorsOption = None,
    timeout: TimeoutOption = 5.0,
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check the resolver, signatures, clock, TLS library, trust anchors, and the zones of the inventory."""
    clients = [ClientName.parse(name.removesuffix(".")) for name in names or []]
    raise typer.Exit(tell_findings(_findings(clients, resolver, anchors, inventory, timeout), as_json=as_json))


def _findings(
    clients: list[ClientName],
    resolver: list[str] | None,
    anchors: Path | None,
    inventory: str | None,
    timeout: float,
) -> Iterator[Finding]:
    with opened_resolver(resolver, anchors) as asked:
        yield from checks.openssl()
        yield from checks.tokens()
        for server in asked.upstreams:
            yield from checks.upstream(server, asked.anchors, timeout=timeout)
        yield from checks.root_keys(asked, timeout=timeout)
        for client in clients:
            yield from checks.name_signed(client.text, asked, timeout=timeout)
        place = inventory_place(inventory)
        if isinstance(place, Path) and not place.exists():
            return
        try:
            with opened_inventory(inventory) as store:
                zones = store.zones.all()
        except DnsboundError as error:
            yield Finding(check="inventory", level=Level.FAIL, found=str(error))
            return
        if isinstance(place, Path):
            yield from checks.private_file(place)
        yield from checks.inventory_zones(zones, asked, timeout=timeout)
