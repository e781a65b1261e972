"""`dnsbound revoke`: a name's end, everywhere: its records go, the zone's servers are told, and the doors here close.

What revoking does to the inventory is its own affair (`provision.registration`); shutting out a name that only an
authority certified is `id block`. Doors on other machines hear of it by the DNS alone, within the record's TTL.
"""

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from dnsbound.cli.configuration import actor
from dnsbound.cli.exit_codes import ExitCode, exit_code_of_error, line_of_error, printable
from dnsbound.cli.identity import facts, serving_zone
from dnsbound.cli.identity_block import active, block_unregistered
from dnsbound.cli.opened import opened_inventory, opened_resolver, publish_targets
from dnsbound.cli.options import (
    AnchorsOption,
    InventoryOption,
    JsonOption,
    NameArgument,
    ReasonOption,
    ResolverOption,
    TargetsOption,
)
from dnsbound.cli.output import advise, emit, say
from dnsbound.errors import DnsboundError
from dnsbound.names import ClientName

if TYPE_CHECKING:
    from dnsbound.cli.closing_doors import Closing
    from dnsbound.provision.inventory import Inventory
    from dnsbound.provision.ownership.transfer import Transfer
    from dnsbound.provision.publish.targets import Target

_SHOWN: Final = 5
"""Names that are told to people one by one."""
_LEASES: Final = 100
"""Leased names that doors are asked to forget as well."""
_WORST: Final = (ExitCode.YES, ExitCode.UNDECIDED, ExitCode.NO, ExitCode.USAGE)


@dataclass(slots=True, kw_only=True)
class _Revoked:
    """What was changed in the inventory, and what that means. told: for programs. advice: for people."""

    name: ClientName
    ttl: int
    line: str
    told: dict[str, Any]
    advice: list[str] = field(default_factory=list)
    leased: list[ClientName] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Published:
    """Whether the servers of the zone serve it. lines: for people."""

    code: ExitCode
    to: str
    lines: tuple[str, ...] = ()


def revoke(
    name: NameArgument,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    no_publish: Annotated[
        bool, typer.Option("--no-publish", help="Change the inventory alone; tell no server and no door.")
    ] = False,
    wait: Annotated[
        float, typer.Option("--wait", metavar="SECONDS", min=0, max=86_400, help="For servers, and then for doors.")
    ] = 30.0,
    targets: TargetsOption = None,
    resolver: ResolverOption = None,
    anchors: AnchorsOption = None,
    reason: ReasonOption = "",
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Revoke a name: remove its records, publish that, close every door of this machine to it, and say so.

    There is no way back for its key. A transfer of it ends; other names that its key is registered under stay, and are
    told. Below a wildcard of an authority the name is blocked, whether or not it is registered. It ends with 0 when all
    was told and every door here is closed, and with 3 when something could not be told or is open still.
    """
    client = ClientName.parse(name.removesuffix("."))
    with opened_inventory(inventory) as store, ExitStack() as held:
        revoked = _removed(store, client, yes=yes, reason=reason)
        changed_at = time.monotonic()
        if not as_json:
            _tell_removed(revoked)
        published = None
        if not no_publish:
            published = _publish(store, revoked, _Way(held, targets, resolver, anchors, wait), reason=reason)
    if published is None:
        if as_json:
            emit(revoked.told)
        return
    if not as_json:
        for line in published.lines:
            advise(line)
    from dnsbound.cli.closing_doors import close_doors

    # Before the servers serve it, no door can know: one look then, and no waiting.
    seconds = wait if published.code is ExitCode.YES else 0.0
    closing = close_doors([client, *revoked.leased], changed_at=changed_at, wait=seconds)
    code = max(published.code, ExitCode.YES if closing.is_complete else ExitCode.UNDECIDED, key=_WORST.index)
    if as_json:
        emit(revoked.told | _told(revoked, published, closing))
    else:
        _tell_doors(revoked, closing)
    raise typer.Exit(code)


# --- the inventory


def _removed(store: "Inventory", client: ClientName, *, yes: bool, reason: str) -> _Revoked:
    before = active(store, client)
    if before is None:
        return _blocked(store, client, yes=yes, reason=reason)
    if not yes and not typer.confirm(f"Revoke {client}?", err=True):
        advise("Nothing was changed.")
        raise typer.Exit(ExitCode.NO)
    moving = store.transfers.of(client)
    revoked = store.identities.revoke(client, reason=reason, now=time.time(), actor=actor())
    standing = [name.canonical for name in store.identities.sharing(revoked)]
    blocked = store.blocks.at(client)
    leased = _leased(store, client)
    zone = serving_zone(store, client)
    told = facts(revoked) | {
        "zone": zone,
        "removed": [record.to_text() for record in before.records],
        "blocked": blocked is not None,
        "standing": standing,
        "transfer": None if moving is None else _other_name(moving, client),
    }
    advice = []
    if blocked is not None:
        advice.append(f"{blocked.wildcard} could speak for it: a record that matches no key stands at the name now.")
    if leased:
        advice.append(f"{len(leased)} leases lead to it: whoever leased the device is shut out as well.")
    return _Revoked(
        name=client,
        ttl=before.ttl,
        line=f"{revoked.name}  revoked",
        told=told,
        advice=advice + _standing_advice(client, standing, moving),
        leased=leased[:_LEASES],
    )


def _blocked(store: "Inventory", client: ClientName, *, yes: bool, reason: str) -> _Revoked:
    """Of a name that is no active identity here; NotInInventory where no wildcard speaks for it."""
    from dnsbound.provision.errors import NotInInventory

    block = block_unregistered(store, client, yes=yes, reason=reason)
    if block is None:
        raise NotInInventory(
            f"{client} is not an active identity of the inventory; a name of somebody else's is shut out by the "
            f"access list: `dnsbound access add {client} --deny --door DOOR`"
        )
    return _Revoked(name=client, ttl=block.ttl, line=block.line, told=block.told, advice=block.advice)


def _leased(store: "Inventory", client: ClientName) -> list[ClientName]:
    from dnsbound.provision.ownership.lease import LeaseState

    return [lease.name for lease in store.leases.all(target=client, state=LeaseState.ACTIVE)]


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
        said.append(f"Its key still logs in as {names}: `dnsbound revoke {shown[0]}` ends that.")
    return said


def _other_name(transfer: "Transfer", client: ClientName) -> str | None:
    """Of the two names of a transfer; None for one that another inventory keeps and nobody said."""
    other = transfer.new if transfer.former == client else transfer.former
    return None if other is None else other.canonical


# --- the DNS


@dataclass(frozen=True, slots=True)
class _Way:
    """How the servers are reached."""

    held: ExitStack
    targets: Path | None
    resolver: list[str] | None
    anchors: Path | None
    wait: float


def _publish(store: "Inventory", revoked: _Revoked, way: _Way, *, reason: str) -> _Published:
    """Publish what waits in the zone of the name, and wait until its servers serve that."""
    from dnsbound.edge.publishers import open_publisher
    from dnsbound.provision.owner import OwnerName
    from dnsbound.provision.publish.reconcile import Publishing
    from dnsbound.provision.publish.targets import EmbeddedTarget

    publishing = Publishing(store, publish_targets(way.targets), open_publisher)
    owner = OwnerName.parse(revoked.name.canonical)
    target = next((each for each in publishing.targets.values() if publishing.scope(each).holds(owner)), None)
    if target is None:
        told = (
            "No zone of this inventory holds the name, and none is published: remove the records in the zone that does."
        )
        return _Published(code=ExitCode.UNDECIDED, to="", lines=(told,))
    if isinstance(target, EmbeddedTarget):
        return _Published(code=ExitCode.YES, to=target.kind)
    try:
        return _sent(publishing, target, way, reason=reason)
    except DnsboundError as error:
        line = line_of_error(error)
        again = "The records are gone from the inventory: `dnsbound publish` sends that again."
        return _Published(code=exit_code_of_error(error), to=target.kind, lines=(line, again))


def _sent(publishing: Any, target: "Target", way: _Way, *, reason: str) -> _Published:  # noqa: ANN401
    from dnsbound.cli.publish import code_of
    from dnsbound.cli.publish_wait import Waits
    from dnsbound.provision.publish.moving import Manner

    waits = Waits(max(way.wait, 1.0), way.held.enter_context(opened_resolver(way.resolver, way.anchors)))
    way.held.callback(waits.close)
    moved = publishing.publish(target, Manner(), done=waits.keeper())
    publishing.tell(target, moved, actor=actor(), reason=reason)
    code = code_of(moved)
    if code is not ExitCode.YES:
        return _Published(code=code, to=target.kind, lines=tuple(moved.lines))
    waited = waits.waited(target, publishing.standing(target))
    lines = [f"{target.zone}: published"]
    if waited.missing:
        lines = [f"{target.zone}: published, and not served by every server yet"]
    return _Published(
        code=ExitCode.YES if waited.is_complete else ExitCode.UNDECIDED, to=target.kind, lines=tuple(lines)
    )


# --- what is told


def _tell_removed(revoked: _Revoked) -> None:
    say(revoked.line)
    for sentence in revoked.advice:
        advise(sentence)


def _tell_doors(revoked: _Revoked, closing: "Closing") -> None:
    for door in closing.doors:
        where = f"door {door.door}" if door.door else "what was written for other programs"
        of = f"{door.kind} {door.label}".rstrip()
        cut = f", {door.cut} cut" if door.cut else ""
        who = "" if door.name == revoked.name else f" to {door.name}"
        if door.is_closed:
            say(printable(f"{where} ({of})  closed{who} after {door.seconds:.1f} s{cut}"))
        else:
            say(printable(f"{where} ({of})  not closed{who}: {door.why}{cut}"))
    for one in closing.unasked:
        advise(printable(f"{one.path.name} did not answer: {one.why}; the name may still be in there"))
    advise(f"Doors elsewhere may remember it for up to {revoked.ttl} seconds.")


def _told(revoked: _Revoked, published: _Published, closing: "Closing") -> dict[str, Any]:
    return {
        "published": {
            "to": published.to,
            "done": published.code is ExitCode.YES,
            "lines": list(published.lines),
        },
        "doors": [door.to_json() for door in closing.doors],
        "unasked": [{"board": str(one.path), "error": one.why} for one in closing.unasked],
        "elsewhere_seconds": revoked.ttl,
    }
