"""`dnsbound id tag`, `untag`, `set-owner`: whose an identity is, and the words it is found by."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from dnsbound.cli.configuration import actor
from dnsbound.cli.opened import opened_inventory
from dnsbound.cli.options import InventoryOption, JsonOption, NameArgument, ReasonOption
from dnsbound.cli.output import emit, say
from dnsbound.names import ClientName

if TYPE_CHECKING:
    from dnsbound.provision.entries import Identity

TagsArgument = Annotated[
    list[str], typer.Argument(metavar="TAG...", help="Letters, digits and . _ : / @ = + -, such as model=x5.")
]


def tag(
    name: NameArgument,
    tags: TagsArgument,
    *,
    reason: ReasonOption = "",
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add tags to an identity; `dnsbound id list --tag` finds it by them."""
    client = ClientName.parse(name.removesuffix("."))
    with opened_inventory(inventory) as store:
        changed = store.identities.tag(client, tags, now=time.time(), actor=actor(), reason=reason)
    _tell(changed, as_json=as_json)


def untag(
    name: NameArgument,
    tags: TagsArgument,
    *,
    reason: ReasonOption = "",
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take tags from an identity."""
    client = ClientName.parse(name.removesuffix("."))
    with opened_inventory(inventory) as store:
        changed = store.identities.untag(client, tags, now=time.time(), actor=actor(), reason=reason)
    _tell(changed, as_json=as_json)


def set_owner(
    name: NameArgument,
    owner: Annotated[str, typer.Argument(metavar="OWNER", help="An organisation or a person; empty for unknown.")],
    *,
    reason: ReasonOption = "",
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say who answers for an identity. Its name, key and records stay as they are."""
    client = ClientName.parse(name.removesuffix("."))
    with opened_inventory(inventory) as store:
        changed = store.identities.set_owner(client, owner, now=time.time(), actor=actor(), reason=reason)
    _tell(changed, as_json=as_json)


def _tell(identity: "Identity", *, as_json: bool) -> None:
    tags = sorted(identity.tags)
    if as_json:
        emit({"name": identity.name.text, "owner": identity.owner, "tags": tags})
        return
    say(f"{identity.name}  owner {identity.owner or 'unknown'}  tags {', '.join(tags) or 'none'}")
