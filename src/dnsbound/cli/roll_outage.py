"""What replacing a stolen key at once will mean for its client, told before it is confirmed (RFC 7671 section 11)."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dnsbound.cli.opened import opened_resolver, publish_targets
from dnsbound.errors import DnsboundError
from dnsbound.names import ClientName
from dnsbound.times import iso

if TYPE_CHECKING:
    from dnsbound.provision.entries import Identity
    from dnsbound.provision.inventory import Inventory
    from dnsbound.provision.lifecycle.machine import Observation


def outage(
    store: "Inventory",
    names: list[ClientName],
    targets: Path | None,
    resolver: list[str] | None,
    anchors: Path | None,
) -> Iterator[str]:
    """Sentences for people. The TTL and the end of the signatures are measured at the servers where they can be."""
    from dnsbound.provision.lifecycle.machine import RollState, Served

    for name in names:
        identity = store.identities.named(name)
        roll = store.rolls.of(name)
        seen = _measured(store, identity, targets, resolver, anchors)
        ttl = max([identity.ttl, *([seen.ttl] if isinstance(seen, Served) else [])])
        if roll is not None and roll.state is RollState.SWITCH:
            yield f"{name}: every server shows the new key already, so its client is not shut out."
        else:
            yield f"{name}: doors that remember the old records refuse the new key for up to {ttl} seconds."
        if isinstance(seen, Served) and seen.signed_until is not None:
            until = f"until its signatures end, {iso(seen.signed_until)}"
        else:
            until = "until its signatures end, which could not be seen at the servers now"
        yield f"{name}: doors that remember them let the old key in meanwhile; others can be shown them {until}."


def _measured(
    store: "Inventory", identity: "Identity", targets: Path | None, resolver: list[str] | None, anchors: Path | None
) -> "Observation | None":
    from dnsbound.edge.roll_observer import RollObserver
    from dnsbound.provision.lifecycle.roll_mover import Expected
    from dnsbound.provision.owner import OwnerName
    from dnsbound.records.tlsa import TLSA

    records = frozenset(TLSA.from_text(record.rdata) for record in identity.records if record.rdtype == "TLSA")
    expected = Expected(owner=OwnerName.parse(identity.name.canonical), records=records)
    try:
        with opened_resolver(resolver, anchors) as asked:
            zones = [zone.name for zone in store.zones.all()]
            observe = RollObserver(asked, targets=publish_targets(targets), zones=lambda: zones, clock=time.time)
            [(_, seen)] = observe([expected])
    except DnsboundError:
        return None
    return seen
