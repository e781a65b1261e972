"""`dnsbound id block` and `id unblock`, and what `id revoke` says about wildcards."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from dnsbound.cli.configuration import actor
from dnsbound.cli.exit_codes import ExitCode
from dnsbound.cli.opened import opened_inventory
from dnsbound.cli.options import InventoryOption, JsonOption, NameArgument, ReasonOption
from dnsbound.cli.output import advise, emit, say
from dnsbound.names import ClientName
from dnsbound.times import iso

if TYPE_CHECKING:
    from dnsbound.provision.inventory import Inventory
    from dnsbound.provision.ownership.blocks import Block


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
        silenced = store.blocks.silenced_by(client)
        made = store.blocks.block(client, now=time.time(), actor=actor(), reason=reason)
    tell_block(made, as_json=as_json)
    if not as_json:
        for sentence in silencing_advice(client, [found.text for found in silenced]):
            advise(sentence)


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


def revoke_unregistered(store: "Inventory", client: ClientName, *, yes: bool, reason: str, as_json: bool) -> bool:
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
    silenced = store.blocks.silenced_by(client)
    made = store.blocks.block(client, now=time.time(), actor=actor(), reason=reason)
    tell_block(made, as_json=as_json)
    if not as_json:
        for sentence in silencing_advice(client, [found.text for found in silenced]):
            advise(sentence)
    return True


def silencing_advice(client: ClientName, silenced: list[str]) -> list[str]:
    """What else a record at a name below a wildcard does (RFC 4592 section 2.2.2)."""
    said = [f"The wildcard no longer speaks for names below {client} either (RFC 4592)."]
    if silenced:
        said.append(
            f"Nor for {', '.join(silenced)} and what is below, since a name below them exists now: devices there that "
            "counted on the wildcard are shut out (`dnsbound authority gaps`)."
        )
    return said


def tell_block(block: "Block", *, as_json: bool) -> None:
    if as_json:
        emit(_facts(block) | {"state": "blocked"})
        return
    below = "" if block.wildcard is None else f" below {block.wildcard}"
    say(f"{block.name}  blocked{below}")


def _facts(block: "Block") -> dict[str, object]:
    return {
        "name": block.name.canonical,
        "wildcard": None if block.wildcard is None else block.wildcard.text,
        "reason": block.reason,
        "since": iso(block.since),
    }
