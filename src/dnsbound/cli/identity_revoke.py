"""`dnsbound id revoke`, `id block` and `id unblock`: shutting a name out, and letting it in again."""

import time
from typing import TYPE_CHECKING, Annotated, Final

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
    from dnsbound.provision.ownership.transfer import Transfer

_SHOWN: Final = 5
"""Names that are told to people one by one."""


def revoke(
    name: NameArgument,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    reason: ReasonOption = "",
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove every record of a name: it logs in nowhere from then on. There is no way back for its key.

    A transfer of it ends. Other names that its key is registered under stay, and are told.
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
        moving = store.transfers.of(client)
        revoked = store.identities.revoke(client, reason=reason, now=time.time(), actor=actor())
        standing = [name.canonical for name in store.identities.sharing(revoked)]
        blocked = store.blocks.at(client)
        leased = sum(1 for _ in store.leases.all(target=client, state=LeaseState.ACTIVE))
        zone = serving_zone(store, client)
    if as_json:
        removed = [record.to_text() for record in before.records]
        told = {"zone": zone, "removed": removed, "blocked": blocked is not None, "standing": standing}
        emit(facts(revoked) | told | {"transfer": None if moving is None else _other_name(moving, client)})
        return
    say(f"{revoked.name}  revoked")
    if blocked is not None:
        advise(f"{blocked.wildcard} could speak for it: a record that matches no key stands at the name now.")
    if leased:
        advise(f"{leased} leases lead to it: whoever leased the device is shut out as well.")
    for sentence in _standing_advice(client, standing, moving):
        advise(sentence)
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


def _standing_advice(client: ClientName, standing: list[str], moving: "Transfer | None") -> list[str]:
    """What the key that was revoked still logs in as, and how that is ended."""
    said = []
    if moving is not None:
        other = _other_name(moving, client)
        said.append(f"The transfer {moving.former} -> {moving.new or 'another inventory'} is over with it.")
        if not moving.is_here:
            said.append(f"Another inventory may have registered the key as {other or 'it pleased'}: revoke it there.")
    if standing:
        shown, more = standing[:_SHOWN], len(standing) - _SHOWN
        names = ", ".join(shown) + (f" and {more} more" if more > 0 else "")
        said.append(f"Its key still logs in as {names}: `dnsbound id revoke {shown[0]}` ends that.")
    return said


def _other_name(transfer: "Transfer", client: ClientName) -> str | None:
    """Of the two names of a transfer; None for one that another inventory keeps and nobody said."""
    other = transfer.new if transfer.former == client else transfer.former
    return None if other is None else other.canonical


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
