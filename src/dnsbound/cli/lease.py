"""`dnsbound lease`: names that are aliases of other organisations' devices for a time."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from dnsbound.cli.configuration import actor
from dnsbound.cli.opened import opened_inventory, opened_resolver
from dnsbound.cli.options import (
    AnchorsOption,
    InventoryOption,
    JsonOption,
    NameArgument,
    ReasonOption,
    ResolverOption,
    TimeoutOption,
    TtlOption,
    example,
)
from dnsbound.cli.output import advise, emit, say
from dnsbound.errors import Misuse
from dnsbound.names import ClientName
from dnsbound.times import iso, moment_after

if TYPE_CHECKING:
    from dnsbound.provision.inventory import Inventory
    from dnsbound.provision.ownership.lease import Lease

app = typer.Typer(help="Lease devices of other organisations: a name of yours for a time.", no_args_is_help=True)

NumberOption = Annotated[
    int | None, typer.Option("--number", help="Which lease, where the name has several.", show_default="the first")
]
_NEEDS_EXTENSION: Final = (
    "The device must say this name itself (dane_clientid): its certificate names its maker, so a client that cannot "
    "send the extension is refused under a leased name."
)


@app.command(
    "grant",
    epilog=example("dnsbound lease grant van1._device.hire.example --of car54._device.cars.example --until 30d"),
)
def grant(
    name: NameArgument,
    *,
    of: Annotated[str, typer.Option("--of", metavar="NAME", help="The name its maker gave the device.")],
    until: Annotated[str, typer.Option("--until", metavar="TIME", help="2027-01-31T12:00:00Z, or a span such as 30d.")],
    starts: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="When it begins.", show_default="now")
    ] = None,
    ttl: TtlOption = None,
    danger_unchecked: Annotated[
        bool, typer.Option("--danger-unchecked", help="Do not look whether the device's record can carry it.")
    ] = False,
    reason: ReasonOption = "",
    resolver: ResolverOption = None,
    anchors: AnchorsOption = None,
    timeout: TimeoutOption = 5.0,
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a name an alias of a device, from a start to an end; `dnsbound run` begins and ends it."""
    client, target = _client(name), _client(of)
    now = time.time()
    starts_at = None if starts is None else moment_after(starts, now=now)
    ends_at = moment_after(until, now=now if starts_at is None else starts_at)
    with opened_inventory(inventory) as store:
        if not danger_unchecked:
            _check(target, resolver, anchors, timeout)
        lease = store.leases.grant(
            client,
            target,
            starts_at=starts_at,
            ends_at=ends_at,
            ttl=ttl,
            now=time.time() if starts_at is None else now,
            actor=actor(),
            reason=reason,
        )
        served = _is_served_here(store, client)
    _tell(lease, as_json=as_json)
    if not as_json:
        advise(_NEEDS_EXTENSION)
        if lease.state.value == "pending" or not served:
            advise("`dnsbound run` publishes it, and withdraws it when it is over.")
        advise(f"After its end caches may keep it for {lease.ttl} seconds.")


@app.command("list", epilog=example("dnsbound lease list --state active --json"))
def list_(
    *,
    below: Annotated[str | None, typer.Option("--below", help="Only names at or below this one.")] = None,
    of: Annotated[str | None, typer.Option("--of", metavar="NAME", help="Only those of this device.")] = None,
    state: Annotated[str | None, typer.Option("--state", help="pending, active, ended or cancelled.")] = None,
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """List leases in the order they were granted; with --json one object per line."""
    from dnsbound.provision.owner import OwnerName
    from dnsbound.provision.ownership.lease import LeaseState

    if state is not None and state not in list(LeaseState):
        raise Misuse(f"state {state!r} is none of {', '.join(LeaseState)}")
    with opened_inventory(inventory) as store:
        for lease in store.leases.all(
            below=None if below is None else OwnerName.parse(below),
            target=None if of is None else _client(of),
            state=None if state is None else LeaseState(state),
        ):
            _tell(lease, as_json=as_json)


@app.command("show", epilog=example("dnsbound lease show van1._device.hire.example"))
def show(name: NameArgument, *, inventory: InventoryOption = None, as_json: JsonOption = False) -> None:
    """Show the leases of a name, and what was done with it."""
    from dnsbound.provision.errors import NotInInventory

    client = _client(name)
    with opened_inventory(inventory) as store:
        leases = list(store.leases.all(name=client))
        if not leases:
            raise NotInInventory(f"{client} was never leased")
        events = list(store.events(subject=client.canonical))
    for lease in leases:
        _tell(lease, as_json=as_json)
    if not as_json:
        for event in events:
            why = f": {event.reason}" if event.reason else ""
            say(f"  {iso(event.at)}  {event.action} by {event.actor}{why}")


@app.command("extend", epilog=example("dnsbound lease extend van1._device.hire.example --until 2027-03-31T00:00:00Z"))
def extend(
    name: NameArgument,
    *,
    until: Annotated[str, typer.Option("--until", metavar="TIME", help="The new end: a time, or a span from now.")],
    number: NumberOption = None,
    reason: ReasonOption = "",
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Move the end of a lease to a later time; one that is over is not extended."""
    now = time.time()
    with opened_inventory(inventory) as store:
        lease = store.leases.extend(
            _client(name), ends_at=moment_after(until, now=now), number=number, now=now, actor=actor(), reason=reason
        )
    _tell(lease, as_json=as_json)


@app.command("end", epilog=example("dnsbound lease end van1._device.hire.example --reason 'brought back'"))
def end(
    name: NameArgument,
    *,
    number: NumberOption = None,
    reason: ReasonOption = "",
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a lease now; one that has not begun never will."""
    with opened_inventory(inventory) as store:
        lease = store.leases.end(_client(name), number=number, now=time.time(), actor=actor(), reason=reason)
        served = _is_served_here(store, lease.name)
    _tell(lease, as_json=as_json)
    if not as_json and lease.state.value == "ended":
        advise(f"Servers that looked it up before may remember it for up to {lease.ttl} seconds.")
        if not served:
            advise("No zone of this inventory holds the name: `dnsbound publish` takes it out of the zone that does.")


def _client(text: str) -> ClientName:
    return ClientName.parse(text.removesuffix("."))


def _check(target: ClientName, resolver: list[str] | None, anchors: Path | None, timeout: float) -> None:
    from dnsbound.edge.lease_targets import LeaseTargets

    with opened_resolver(resolver, anchors) as asked:
        LeaseTargets(asked, deadline=timeout)(target)


def _is_served_here(store: "Inventory", name: ClientName) -> bool:
    from dnsbound.provision.owner import OwnerName

    return store.zones.serving(OwnerName.parse(name.canonical)) is not None


def _tell(lease: "Lease", *, as_json: bool) -> None:
    if as_json:
        emit(
            {
                "number": lease.number,
                "name": lease.name.canonical,
                "target": lease.target.canonical,
                "state": lease.state.value,
                "starts_at": iso(lease.starts_at),
                "ends_at": iso(lease.ends_at),
                "ttl": lease.ttl,
                "problem": lease.problem,
                "reason": lease.reason,
            }
        )
        return
    problem = f"  ({lease.problem})" if lease.problem else ""
    say(
        f"{lease.number}  {lease.name} -> {lease.target}  {lease.state.value}  "
        f"{iso(lease.starts_at)} to {iso(lease.ends_at)}{problem}"
    )
