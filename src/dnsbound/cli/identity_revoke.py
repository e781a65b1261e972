"""`dnsbound id revoke`, `id block` and `id unblock`: shutting a name out, and letting it in again."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from dnsbound.cli.configuration import actor
from dnsbound.cli.exit_codes import ExitCode
from dnsbound.cli.identity import facts, serving_zone
from dnsbound.cli.opened import opened_inventory
from dnsbound.cli.options import InventoryOption, JsonOption, NameArgument, ReasonOption
from dnsbound.cli.output import advise, emit, say
from dnsbound.names import ClientName
from dnsbound.times import iso

if TYPE_CHECKING:
    from dnsbound.provision.entries import Identity
    from dnsbound.provision.inventory import Inventory
    from dnsbound.provision.ownership.blocks import Block


def revoke(
    name: NameArgument,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    reason: ReasonOption = "",
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove every record of a name: it logs in nowhere from then on. There is no way back for its key.

    Below a wildcard of an authority the name is blocked instead, whether or not it is registered.
    """
    from dnsbound.provision.errors import NotInInventory
    from dnsbound.provision.ownership.lease import LeaseState

    client = ClientName.parse(name.removesuffix("."))
    with opened_inventory(inventory) as store:
        before = _active(store, client)
        if before is None:
            if _revoke_unregistered(store, client, yes=yes, reason=reason, as_json=as_json):
                return
            raise NotInInventory(f"{client} is not an active identity of the inventory")
        if not yes and not typer.confirm(f"Revoke {client}?", err=True):
            advise("Nothing was changed.")
            raise typer.Exit(1)
        revoked = store.identities.revoke(client, reason=reason, now=time.time(), actor=actor())
        blocked = store.blocks.at(client)
        leased = sum(1 for _ in store.leases.all(target=client, state=LeaseState.ACTIVE))
        zone = serving_zone(store, client)
    if as_json:
        removed = [record.to_text() for record in before.records]
        emit(facts(revoked) | {"zone": zone, "removed": removed, "blocked": blocked is not None})
        return
    say(f"{revoked.name}  revoked")
    if blocked is not None:
        advise(f"{blocked.wildcard} could speak for it: a record that matches no key stands at the name now.")
    if leased:
        advise(f"{leased} leases lead to it: whoever leased the device is shut out as well.")
    if zone is None:
        advise("No zone of this inventory holds the name: publish this in the zone that does (`dnsbound publish`).")
    else:
        advise(f"Servers that looked it up before may remember it for up to {before.ttl} seconds.")


def block(
    name: NameArgument,
    *,
    reason: ReasonOption = "",
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Shut out a name that has no records of its own: publish a record that matches no key, which stops wildcards."""
    client = ClientName.parse(name.removesuffix("."))
    with opened_inventory(inventory) as store:
        _block(store, client, reason=reason, as_json=as_json)


def unblock(
    name: NameArgument,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    reason: ReasonOption = "",
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Lift a block: a wildcard above the name lets in again whoever has a certificate for it."""
    client = ClientName.parse(name.removesuffix("."))
    with opened_inventory(inventory) as store:
        wildcards = store.blocks.wildcards_above(client)
        if wildcards:
            advise(f"Every certificate for {client} that the authority of {wildcards[0]} ever issued counts again.")
        if not yes and not typer.confirm(f"Unblock {client}?", err=True):
            advise("Nothing was changed.")
            raise typer.Exit(ExitCode.NO)
        lifted = store.blocks.lift(client, now=time.time(), actor=actor(), reason=reason)
    if as_json:
        emit(_facts(lifted) | {"state": "unblocked"})
    else:
        say(f"{client}  unblocked")


def _active(store: "Inventory", client: ClientName) -> "Identity | None":
    from dnsbound.provision.entries import IdentityState
    from dnsbound.provision.errors import NotInInventory

    try:
        identity = store.identities.named(client)
    except NotInInventory:
        return None
    return identity if identity.state is IdentityState.ACTIVE else None


def _revoke_unregistered(store: "Inventory", client: ClientName, *, yes: bool, reason: str, as_json: bool) -> bool:
    """`id revoke` of a name that is no active identity: block it where a wildcard could speak for it.

    False where none could: then there is nothing to revoke.
    """
    wildcards = store.blocks.wildcards_above(client)
    if not wildcards:
        return False
    if store.blocks.at(client) is None:
        advise(f"{client} is not an active identity here; {wildcards[0]} lets in whoever its authority certified.")
        if not yes and not typer.confirm(f"Block {client}?", err=True):
            advise("Nothing was changed.")
            raise typer.Exit(ExitCode.NO)
    _block(store, client, reason=reason, as_json=as_json)
    return True


def _block(store: "Inventory", client: ClientName, *, reason: str, as_json: bool) -> None:
    silenced = store.blocks.silenced_by(client)
    made = store.blocks.block(client, now=time.time(), actor=actor(), reason=reason)
    if as_json:
        emit(_facts(made) | {"state": "blocked"})
        return
    below = "" if made.wildcard is None else f" below {made.wildcard}"
    say(f"{made.name}  blocked{below}")
    for sentence in _silencing_advice(client, [found.text for found in silenced]):
        advise(sentence)


def _silencing_advice(client: ClientName, silenced: list[str]) -> list[str]:
    """What else a record at a name below a wildcard does (RFC 4592 section 2.2.2)."""
    said = [f"The wildcard no longer speaks for names below {client} either (RFC 4592)."]
    if silenced:
        said.append(
            f"Nor for {', '.join(silenced)} and what is below, since a name below them exists now: devices there that "
            "counted on the wildcard are shut out (`dnsbound authority gaps`)."
        )
    return said


def _facts(block: "Block") -> dict[str, object]:
    return {
        "name": block.name.canonical,
        "wildcard": None if block.wildcard is None else block.wildcard.text,
        "reason": block.reason,
        "since": iso(block.since),
    }
