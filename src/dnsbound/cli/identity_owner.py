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
    from collections.abc import Callable

    from dnsbound.provision.entries import Identity
    from dnsbound.provision.identities import Identities
    from dnsbound.times import Moment

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
    _change(
        name,
        lambda identities, client, now: identities.tag(client, tags, now=now, actor=actor(), reason=reason),
        inventory,
        as_json=as_json,
    )


def untag(
    name: NameArgument,
    tags: TagsArgument,
    *,
    reason: ReasonOption = "",
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take tags from an identity."""
    _change(
        name,
        lambda identities, client, now: identities.untag(client, tags, now=now, actor=actor(), reason=reason),
        inventory,
        as_json=as_json,
    )


def set_owner(
    name: NameArgument,
    owner: Annotated[str, typer.Argument(metavar="OWNER", help="An organisation or a person; empty for unknown.")],
    *,
    reason: ReasonOption = "",
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say who answers for an identity. Its name, key and records stay as they are."""
    _change(
        name,
        lambda identities, client, now: identities.set_owner(client, owner, now=now, actor=actor(), reason=reason),
        inventory,
        as_json=as_json,
    )


def _change(
    name: str,
    change: "Callable[[Identities, ClientName, Moment], Identity]",
    inventory: str | None,
    *,
    as_json: bool,
) -> None:
    client = ClientName.parse(name.removesuffix("."))
    with opened_inventory(inventory) as store:
        changed = change(store.identities, client, time.time())
    tags = sorted(changed.tags)
    if as_json:
        emit({"name": changed.name.text, "owner": changed.owner, "tags": tags})
        return
    say(f"{changed.name}  owner {changed.owner or 'unknown'}  tags {', '.join(tags) or 'none'}")
