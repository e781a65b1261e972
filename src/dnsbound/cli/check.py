"""`dnsbound check`: is the fleet what it should be, as the world sees it. For cron, CI and people."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dnsbound.cli.checks import Finding
from dnsbound.cli.finding_output import tell_findings
from dnsbound.cli.opened import opened_inventory, opened_resolver, publish_targets
from dnsbound.cli.options import AnchorsOption, InventoryOption, JsonOption, ResolverOption, TargetsOption
from dnsbound.cli.progress import progress_bar
from dnsbound.times import seconds_of_text

if TYPE_CHECKING:
    from dnsbound.cli.fleet_checks import ZoneFacts
    from dnsbound.edge.resolver import Resolver
    from dnsbound.provision.inventory import Inventory
    from dnsbound.provision.publish.reconcile import Publishing
    from dnsbound.provision.publish.targets import Target


def check(
    zones: Annotated[
        list[str] | None, typer.Argument(metavar="[ZONE]...", help="Zones to check.", show_default="all")
    ] = None,
    *,
    warn: Annotated[str, typer.Option("--warn", help="Signature life that must be left, such as 3d or 12h.")] = "3d",
    patience: Annotated[
        str, typer.Option("--patience", help="How long a device may take to switch to its new key.")
    ] = "30d",
    sample: Annotated[
        float, typer.Option("--sample", min=0.001, max=100, help="Percent of the names to ask the servers about.")
    ] = 100.0,
    metrics: Annotated[
        Path | None,
        typer.Option("--metrics", help="Write Prometheus metrics there (textfile collector).", dir_okay=False),
    ] = None,
    targets: TargetsOption = None,
    resolver: ResolverOption = None,
    anchors: AnchorsOption = None,
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check that every zone is signed and validates, and that every server serves every record as the inventory has it.

    Also: signatures that end soon, records that match no known key, TTLs, rolls and leases that are overdue, names that
    wait to be published, wildcards that speak for the revoked, what strangers can list. Changes nothing.
    """
    from dnsbound.edge.publishers import open_publisher
    from dnsbound.provision.publish.reconcile import Publishing, chosen

    left, switching = seconds_of_text(warn), seconds_of_text(patience)
    with opened_inventory(inventory) as store, opened_resolver(resolver, anchors) as asked:
        publishing = Publishing(store, publish_targets(targets), open_publisher)
        wanted = chosen(publishing.targets, zones or ())
        facts: dict[str, ZoneFacts] = {}
        found: list[Finding] = []

        def findings() -> Iterator[Finding]:
            for target in wanted:
                yield from _zone(publishing, target, asked, warn=left, share=sample / 100, facts=facts)
            yield from _inventory(store, publishing, wanted, switching)

        def kept() -> Iterator[Finding]:
            for finding in findings():
                found.append(finding)
                yield finding

        code = tell_findings(kept(), as_json=as_json)
        if metrics is not None:
            from dnsbound.cli.metrics import write_check

            write_check(metrics, findings=found, zones=facts, rolls=store.rolls.counts())
    raise typer.Exit(code)


def _zone(
    publishing: "Publishing",
    target: "Target",
    resolver: "Resolver",
    *,
    warn: float,
    share: float,
    facts: "dict[str, ZoneFacts]",
) -> Iterator[Finding]:
    from dnsbound.cli.fleet_checks import ZoneCheck

    with progress_bar(f"names of {target.zone}", None) as progress:
        one = ZoneCheck(
            target=target,
            resolver=resolver,
            changes=lambda: publishing.standing(target),
            progress=progress,
            warn=warn,
            share=share,
        )
        facts[target.zone.text] = one.facts
        yield from one.findings()


def _inventory(
    store: "Inventory", publishing: "Publishing", wanted: "list[Target]", patience: float
) -> Iterator[Finding]:
    from dnsbound.cli import inventory_checks

    with progress_bar("keys", None) as progress:
        yield from inventory_checks.keys_and_records(store, progress)
    yield from inventory_checks.outboxes(publishing, wanted)
    yield from inventory_checks.rolls(store, patience=patience)
    yield from inventory_checks.leases_and_transfers(store)
    yield from inventory_checks.gaps(store)
