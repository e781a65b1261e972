"""`dnsbound id block` and `id unblock`: shutting out a name without records, and letting it in again."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import typer

from dnsbound.cli.configuration import actor
from dnsbound.cli.exit_codes import ExitCode
from dnsbound.cli.opened import opened_inventory
from dnsbound.cli.options import InventoryOption, JsonOption, NameArgument, ReasonOption
from dnsbound.cli.output import advise, emit, say
from dnsbound.limits import RECORD_TTL
from dnsbound.names import ClientName
from dnsbound.times import iso

if TYPE_CHECKING:
    from dnsbound.provision.entries import Identity
    from dnsbound.provision.inventory import Inventory
    from dnsbound.provision.ownership.blocks import Block

_SHOWN: Final = 5
"""Names that are told to people one by one."""


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
        made = _blocked(store, client, reason=reason)
    if as_json:
        emit(made.told)
        return
    say(made.line)
    for sentence in made.advice:
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


def active(store: "Inventory", client: ClientName) -> "Identity | None":
    from dnsbound.provision.entries import IdentityState
    from dnsbound.provision.errors import NotInInventory

    try:
        identity = store.identities.named(client)
    except NotInInventory:
        return None
    return identity if identity.state is IdentityState.ACTIVE else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """A block, as it is told. ttl: seconds that caches may remember what was there before."""

    line: str
    told: dict[str, object]
    advice: list[str]
    ttl: int


def block_unregistered(store: "Inventory", client: ClientName, *, yes: bool, reason: str) -> Blocked | None:
    """Revoking a name that is no active identity: block it where a wildcard could speak for it. None where none could:
    then there is nothing to revoke."""
    wildcards = store.blocks.wildcards_above(client)
    if not wildcards:
        return None
    if store.blocks.at(client) is None:
        advise(f"{client} is not an active identity here; {wildcards[0]} lets in whoever its authority certified.")
        if not yes and not typer.confirm(f"Block {client}?", err=True):
            advise("Nothing was changed.")
            raise typer.Exit(ExitCode.NO)
    return _blocked(store, client, reason=reason)


def _blocked(store: "Inventory", client: ClientName, *, reason: str) -> Blocked:
    silenced = store.blocks.silenced_by(client)
    made = store.blocks.block(client, now=time.time(), actor=actor(), reason=reason)
    below = "" if made.wildcard is None else f" below {made.wildcard}"
    return Blocked(
        line=f"{made.name}  blocked{below}",
        told=_facts(made) | {"state": "blocked"},
        advice=_silencing_advice(client, [found.text for found in silenced]),
        ttl=RECORD_TTL.default,
    )


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
