"""`dnsbound zone`: zones of the inventory, their records, keys and DS."""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dnsbound.cli.configuration import actor, inventory_place, zone_keys_directory
from dnsbound.cli.opened import opened_inventory
from dnsbound.cli.options import InventoryOption, JsonOption, ReasonOption, TtlOption, example
from dnsbound.cli.output import advise, emit, say
from dnsbound.cli.zone_key_file import keys_of_new_zone, locked_directory
from dnsbound.errors import Misuse
from dnsbound.limits import RECORD_TTL
from dnsbound.times import iso

if TYPE_CHECKING:
    from dns.dnssectypes import Algorithm

    from dnsbound.dns.signer import ZoneKeys
    from dnsbound.provision.entries import Zone
    from dnsbound.provision.inventory import Inventory

app = typer.Typer(help="Zones of the inventory: create, fill, delegate, roll keys.", no_args_is_help=True)

ZoneArgument = Annotated[str, typer.Argument(metavar="ZONE", help="The zone's name, such as cars.example.")]
ZoneKeysOption = Annotated[
    Path | None,
    typer.Option(
        "--zone-keys", envvar="DNSBOUND_ZONE_KEYS", help="Directory of key files.", show_default="beside the inventory"
    ),
]


@app.command("create", epilog=example("dnsbound zone create cars.example --ns ns1.cars.example"))
def create(
    name: ZoneArgument,
    *,
    ns: Annotated[
        list[str] | None, typer.Option("--ns", help="A name server; may be repeated.", show_default="ns1.ZONE")
    ] = None,
    rname: Annotated[
        str | None, typer.Option("--rname", help="Who answers for it.", show_default="hostmaster.ZONE")
    ] = None,
    ttl: Annotated[int | None, typer.Option("--ttl", help="Seconds; the default of its records.")] = None,
    algorithm: Annotated[str, typer.Option("--algorithm", help="p256 or ed25519.")] = "p256",
    zone_keys: ZoneKeysOption = None,
    reason: ReasonOption = "",
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create a zone with a key of its own; print the DS records its parent must publish."""
    import dns.name

    from dnsbound.provision.entries import ZoneSettings
    from dnsbound.provision.errors import AlreadyInInventory
    from dnsbound.provision.owner import OwnerName

    zone = OwnerName.parse(name)
    servers = tuple(OwnerName.parse(host) for host in ns or [f"ns1.{zone}"])
    settings = ZoneSettings(
        name=zone,
        nameservers=servers,
        rname=OwnerName.parse((rname or f"hostmaster.{zone}").replace("@", ".", 1)),
        ttl=RECORD_TTL.checked(ttl),
    )
    chosen = _algorithm(algorithm)
    path = (zone_keys_directory(zone_keys, inventory_place(inventory)) / f"{zone}.pem").absolute()
    with opened_inventory(inventory, create=True) as store, ExitStack() as held:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        held.enter_context(locked_directory(path.parent))
        if any(known.name == zone for known in store.zones.all()):
            raise AlreadyInInventory(f"the zone {zone} is in the inventory already")
        keys, were_there = held.enter_context(
            keys_of_new_zone(
                path,
                dns.name.from_text(zone.absolute),
                chosen,
                is_used=lambda: any(known.key_path == path for known in store.zones.all()),
            )
        )
        ds = [record.to_text() for record in keys.ds()]
        made = store.zones.create(settings, key_path=path, ds=ds, now=time.time(), actor=actor(), reason=reason)
    _tell_ds(made, as_json=as_json)
    if not as_json:
        if were_there:
            advise(f"The keys lay there already, from a `zone create` that did not come to its end: {path}.")
        advise(f"The keys are in {path}. Give the DS record to the parent zone, and run `dnsbound serve dns`.")
        for server in settings.nameservers:
            if server.is_at_or_below(zone):
                advise(f"Publish the name server's address: `dnsbound zone publish {server} A ADDRESS`.")


@app.command("list", epilog=example("dnsbound zone list --json"))
def list_(*, inventory: InventoryOption = None, as_json: JsonOption = False) -> None:
    """List zones; with --json one object per line."""
    with opened_inventory(inventory) as store:
        for zone in store.zones.all():
            if as_json:
                emit(_facts(zone))
            else:
                say(f"{zone.name}  serial {zone.serial}  {'signed' if zone.key_path else 'not signed'}")


@app.command("ds", epilog=example("dnsbound zone ds cars.example"))
def ds(name: ZoneArgument, *, inventory: InventoryOption = None, as_json: JsonOption = False) -> None:
    """Print the DS records that the parent zone must publish."""
    from dnsbound.provision.owner import OwnerName

    with opened_inventory(inventory) as store:
        zone = store.zones.named(OwnerName.parse(name))
    _tell_ds(zone, as_json=as_json)


@app.command("publish", epilog=example("dnsbound zone publish api.cars.example A 192.0.2.1"))
def publish(
    owner: Annotated[str, typer.Argument(metavar="OWNER", help="Whole name.")],
    rdtype: Annotated[str, typer.Argument(metavar="TYPE", help="A, AAAA, CNAME, DS, NS, SMIMEA, SSHFP or TLSA.")],
    data: Annotated[
        list[str], typer.Argument(metavar="DATA...", help="Record data as in a zone file; names are absolute.")
    ],
    *,
    ttl: TtlOption = None,
    reason: ReasonOption = "",
    inventory: InventoryOption = None,
) -> None:
    """Add a record; identities are added by `dnsbound id new` instead."""
    from dnsbound.provision.owner import OwnerName
    from dnsbound.provision.publication import parse_record

    with opened_inventory(inventory) as store:
        name = OwnerName.parse(owner, wildcard=True)
        zone = store.zones.serving(name)
        seconds = ttl if ttl is not None else RECORD_TTL.default if zone is None else zone.settings.ttl
        record = parse_record(name, rdtype, " ".join(data), seconds)
        store.zones.publish(record, now=time.time(), actor=actor(), reason=reason)
    say(record.to_text())


@app.command("withdraw", epilog=example("dnsbound zone withdraw api.cars.example A"))
def withdraw(
    owner: Annotated[str, typer.Argument(metavar="OWNER", help="Whole name.")],
    rdtype: Annotated[str, typer.Argument(metavar="TYPE", help="A, AAAA, CNAME, DS, NS, SMIMEA, SSHFP or TLSA.")],
    data: Annotated[
        list[str] | None,
        typer.Argument(metavar="[DATA]...", help="Only the record with these data.", show_default="all of the type"),
    ] = None,
    *,
    reason: ReasonOption = "",
    inventory: InventoryOption = None,
) -> None:
    """Remove records; prints what was removed."""
    from dnsbound.provision.owner import OwnerName

    with opened_inventory(inventory) as store:
        removed = store.zones.withdraw(
            OwnerName.parse(owner, wildcard=True),
            rdtype,
            " ".join(data) if data else None,
            now=time.time(),
            actor=actor(),
            reason=reason,
        )
    for record in removed:
        say(record.to_text())


@app.command("export", epilog=example("dnsbound zone export cars.example > cars.example.zone"))
def export(name: ZoneArgument, *, inventory: InventoryOption = None) -> None:
    """Print the zone as a zone file (RFC 1035 section 5), unsigned, for another server to sign and serve."""
    from dnsbound.provision.owner import OwnerName
    from dnsbound.provision.publish.zone_text import zone_lines

    with opened_inventory(inventory) as store:
        for line in zone_lines(store, store.zones.named(OwnerName.parse(name))):
            say(line)


@app.command("roll-key", epilog=example("dnsbound zone roll-key cars.example", "… --activate", "… --finish"))
def roll_key(
    name: ZoneArgument,
    *,
    activate: Annotated[bool, typer.Option("--activate", help="Second step: sign with the new key.")] = False,
    finish: Annotated[bool, typer.Option("--finish", help="Last step: forget the old key.")] = False,
    algorithm: Annotated[str, typer.Option("--algorithm", help="Of the new key: p256 or ed25519.")] = "p256",
    danger_now: Annotated[
        bool, typer.Option("--danger-now", help="Do not wait until caches have forgotten; logins may fail.")
    ] = False,
    reason: ReasonOption = "",
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Roll the zone's key in three steps: publish a new one; sign with it; forget the old one.

    Between the steps caches must forget (RFC 6781 section 4.1): the command says how long, and refuses to be early.
    Before the last step the parent must publish the new key's DS alone.
    """
    from dnsbound.dns.signer import KeyState
    from dnsbound.provision.owner import OwnerName

    if activate and finish:
        raise Misuse("--activate and --finish are two steps")
    zone_name = OwnerName.parse(name)
    with opened_inventory(inventory) as store, ExitStack() as held:
        zone, keys = _loaded(store, zone_name.text, held)
        if activate:
            [new] = _in_state(keys, KeyState.PUBLISHED, "no new key was published; begin with `roll-key` alone")
            _wait_over(store, zone, danger_now=danger_now)
            changed, told = keys.with_activated(new), "The new key signs now. Next: the parent drops the old DS"
        elif finish:
            [old] = _in_state(keys, KeyState.RETIRED, "no key is retired; `roll-key --activate` comes first")
            _wait_over(store, zone, danger_now=danger_now)
            changed, told = keys.without(old), "The old key is forgotten. The roll is over"
        else:
            changed, told = _with_new_key(keys, algorithm), "A new key is published. Give the parent both DS records"
        zone = _keep(store, zone, changed, reason)
    _tell_ds(zone, as_json=as_json)
    if not as_json:
        advise(f"{told}." if finish else f"{told}. Earliest next step: {iso(time.time() + _wait_seconds(zone))}.")


def _with_new_key(keys: "ZoneKeys", algorithm: str) -> "ZoneKeys":
    from dnsbound.dns.signer import KeyState, ZoneKey
    from dnsbound.provision.errors import RollRefused

    if any(key.state is not KeyState.ACTIVE for key in keys.keys):
        raise RollRefused("a roll has begun already; go on with --activate or --finish")
    while True:
        key = ZoneKey.generate(_algorithm(algorithm))
        if all(key.tag != other.tag for other in keys.keys):
            return keys.with_prepublished(key)


def _loaded(store: "Inventory", name: str, held: ExitStack) -> "tuple[Zone, ZoneKeys]":
    """The zone and its keys. held: keeps the directory of the keys locked, so that two rolls cannot overwrite each
    other's file."""
    import dns.name

    from dnsbound.edge.zone_key_files import load_zone_keys
    from dnsbound.provision.owner import OwnerName

    zone = store.zones.named(OwnerName.parse(name))
    if zone.key_path is None:
        raise Misuse(f"{zone.name} is not signed")
    held.enter_context(locked_directory(zone.key_path.parent))
    return zone, load_zone_keys(dns.name.from_text(zone.name.absolute), zone.key_path)


def _in_state(keys: "ZoneKeys", state: object, otherwise: str) -> list[int]:
    from dnsbound.provision.errors import RollRefused

    tags = [key.tag for key in keys.keys if key.state is state]
    if len(tags) != 1:
        raise RollRefused(otherwise if not tags else f"{len(tags)} keys are in that state: {tags}")
    return tags


def _wait_seconds(zone: "Zone") -> int:
    """How long the DNSKEY RRset and signatures of before may live on in caches."""
    return max(zone.settings.ttl, RECORD_TTL.default)


def _wait_over(store: "Inventory", zone: "Zone", *, danger_now: bool) -> None:
    from dnsbound.provision.errors import RollRefused

    changes = [event.at for event in store.events(subject=zone.name.text) if event.action == "set-keys"]
    earliest = max(changes, default=0.0) + _wait_seconds(zone)
    if time.time() < earliest and not danger_now:
        raise RollRefused(f"caches may remember the former keys until {iso(earliest)}; wait until then")


def _keep(store: "Inventory", zone: "Zone", keys: "ZoneKeys", reason: str) -> "Zone":
    """The file first: a server reads it once the inventory says that it changed."""
    from dnsbound.edge.zone_key_files import save_zone_keys

    assert zone.key_path is not None
    save_zone_keys(zone.key_path, keys, replace=True)
    ds_texts = [record.to_text() for record in keys.ds()]
    return store.zones.set_keys(zone.name, zone.key_path, ds_texts, now=time.time(), actor=actor(), reason=reason)


def _algorithm(text: str) -> "Algorithm":
    from dns.dnssectypes import Algorithm

    known = {"p256": Algorithm.ECDSAP256SHA256, "ed25519": Algorithm.ED25519}
    found = known.get(text.lower().replace("-", ""))
    if found is None:
        raise Misuse(f"algorithm {text!r} is neither p256 nor ed25519")
    return found


def _tell_ds(zone: "Zone", *, as_json: bool) -> None:
    if as_json:
        emit(_facts(zone))
        return
    for text in zone.ds:
        say(f"{zone.name.absolute} {zone.settings.ttl} IN DS {text}")
    if not zone.ds:
        raise Misuse(f"{zone.name} is not signed: there is no DS record")


def _facts(zone: "Zone") -> dict[str, object]:
    return {
        "name": zone.name.text,
        "serial": zone.serial,
        "nameservers": [host.text for host in zone.settings.nameservers],
        "ttl": zone.settings.ttl,
        "negative_ttl": zone.settings.negative_ttl,
        "ds": list(zone.ds),
        "key_path": None if zone.key_path is None else str(zone.key_path),
        "created_at": iso(zone.created_at),
    }
