"""`dnsbound inventory`: the database itself: what it holds, its log of changes, backup, restore, schema."""

import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from dnsbound.cli.configuration import actor
from dnsbound.cli.opened import opened_inventory
from dnsbound.cli.options import InventoryOption, JsonOption, ReasonOption, example
from dnsbound.cli.output import advise, emit, say
from dnsbound.limits import BACKUP_OCTETS
from dnsbound.times import iso

if TYPE_CHECKING:
    from dnsbound.provision.backup import BackupFacts, Restored
    from dnsbound.provision.entries import Event

app = typer.Typer(help="The inventory's database: facts, log, backup, restore, schema.", no_args_is_help=True)

_LOOK_SECONDS: Final = 0.5
_SHOWN: Final = 5
"""Names that are told to people for each kind of change."""

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command("info", epilog=example("dnsbound inventory info --json"))
def info(*, inventory: InventoryOption = None, as_json: JsonOption = False) -> None:
    """Say where the inventory is and count what it holds."""
    from dnsbound.provision.inventory_facts import InventoryFacts

    with opened_inventory(inventory) as store:
        facts = InventoryFacts.of(store.database)
    counts: dict[str, int] = {
        **{f"{state.value} identities": number for state, number in facts.identities.items()},
        **{f"{state.value} keys": number for state, number in facts.keys.items()},
        "zones": facts.zones,
        "records": facts.records,
        "unpublished names": facts.unpublished,
        "events": facts.events,
    }
    if as_json:
        told = {name.replace(" ", "_"): number for name, number in counts.items()}
        emit({"place": facts.place, "schema": facts.schema, "octets": facts.octets, **told})
        return
    say(facts.place)
    say(f"  schema {facts.schema}, {facts.octets / 1_000_000:,.1f} MB")
    for name, number in counts.items():
        say(f"  {number:,} {name}")


@app.command("events", epilog=example("dnsbound inventory events --json --follow"))
def events(
    *,
    subject: Annotated[
        str | None, typer.Option("--subject", help="Only of this name: an identity, a zone, an owner of records.")
    ] = None,
    after: Annotated[int, typer.Option("--after", min=0, help="Only those numbered above this.")] = 0,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what happens from now on.")] = False,
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the log of changes, oldest first; with --json one object per line."""
    name = None if subject is None else subject.removesuffix(".").lower()
    tell = _tell_json if as_json else _tell
    with opened_inventory(inventory) as store:
        while True:
            for event in store.events(subject=name, after=after):
                tell(event)
                after = event.number
            if not follow:
                return
            time.sleep(_LOOK_SECONDS)


@app.command("backup", epilog=example("dnsbound inventory backup fleet.backup"))
def backup(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; an older backup there is replaced.")],
    *,
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the whole inventory into one file, as of one moment, while others may go on writing.

    Zone keys are files of their own: keep them as well.
    """
    from dnsbound.provision.backup import back_up

    with opened_inventory(inventory) as store:
        made = back_up(store.database, path, now=time.time())
        keys = sorted({str(zone.key_path) for zone in store.zones.all() if zone.key_path is not None})
    _tell_backup(made, path, as_json=as_json)
    if keys and not as_json:
        advise(f"Not in it: the keys of {len(keys)} zone{'' if len(keys) == 1 else 's'}, {keys[0]} among them.")


@app.command("restore", epilog=example("dnsbound inventory restore fleet.backup --inventory postgresql://db/fleet"))
def restore(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="What `dnsbound inventory backup` wrote.")],
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="Drop what the inventory holds, its log of changes included.")
    ] = False,
    danger_revoked: Annotated[
        bool, typer.Option("--danger-revoked", help="With --replace: let in again who was revoked after the backup.")
    ] = False,
    max_octets: Annotated[
        int, typer.Option("--max-octets", help="What the backup may unpack to.")
    ] = BACKUP_OCTETS.default,
    yes: YesOption = False,
    reason: ReasonOption = "",
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a backup into an empty inventory, of either kind of database. All of it, or nothing.

    Names that were revoked after the backup stay revoked where --replace shows them; elsewhere revoke them again.
    """
    from dnsbound.provision.backup import check
    from dnsbound.provision.backup import restore as put_back

    found = check(path, octets=max_octets)  # before an inventory is made for it, or anybody is kept waiting
    with opened_inventory(inventory, create=True) as store:
        question = f"Replace all that {store.place} holds by what was backed up on {iso(found.made_at)}?"
        if replace and not yes and not typer.confirm(question, err=True):
            advise("Nothing was changed.")
            raise typer.Exit(1)
        made = put_back(
            store.database,
            path,
            replace=replace,
            danger_revoked=danger_revoked,
            octets=max_octets,
            now=time.time(),
            actor=actor(),
            reason=reason,
        )
    _tell_restored(made, path, replace=replace, danger_revoked=danger_revoked, as_json=as_json)


@app.command("migrate", epilog=example("dnsbound inventory migrate", "dnsbound inventory migrate --to 0001"))
def migrate(
    *,
    to: Annotated[
        str | None, typer.Option("--to", help="A revision, for an older dnsbound.", show_default="the newest")
    ] = None,
    danger_lose_data: Annotated[
        bool, typer.Option("--danger-lose-data", help="Drop what the older schema has no place for.")
    ] = False,
    reason: ReasonOption = "",
    inventory: InventoryOption = None,
) -> None:
    """Take the schema to a revision. Every command takes an older one to its own; this one can go back."""
    from dnsbound.provision.step_down import step_down

    with opened_inventory(inventory) as store:
        if to is not None:
            step_down(
                store.database,
                to,
                danger_lose_data=danger_lose_data,
                now=time.time(),
                actor=actor(),
                reason=reason,
            )
        say(f"{store.place}  schema {store.database.revision() or 'none'}")


def _tell(event: "Event") -> None:
    why = f"  ({event.reason})" if event.reason else ""
    say(f"{event.number}  {iso(event.at)}  {event.actor}  {event.action}  {event.subject}{why}")


def _tell_json(event: "Event") -> None:
    emit(
        {
            "number": event.number,
            "at": iso(event.at),
            "actor": event.actor,
            "action": event.action,
            "subject": event.subject,
            "reason": event.reason,
            "detail": event.detail,
        }
    )


def _tell_restored(made: "Restored", path: Path, *, replace: bool, danger_revoked: bool, as_json: bool) -> None:
    if as_json:
        emit(
            _facts(made.backup, path)
            | {"revoked_since": list(made.kept_revoked), "kept_revoked": not danger_revoked}
            | {"to_repeat": [{"action": action, "subject": subject} for action, subject in made.to_repeat]}
        )
        return
    _tell_backup(made.backup, path, as_json=False)
    verb = "was let in again" if danger_revoked else "stays revoked"
    for name in made.kept_revoked:
        say(f"{name}  revoked after the backup; {verb}")
    for action, count in Counter(action for action, _ in made.to_repeat).items():
        subjects = [subject for told, subject in made.to_repeat if told == action][:_SHOWN]
        say(f"{count} times {action} after the backup, undone; repeat what shall hold: {', '.join(subjects)}")
    if not replace:
        advise(f"What was revoked or blocked after {iso(made.backup.made_at)} is let in again: revoke it once more.")
    advise("Servers hold what was published since the backup: `dnsbound publish --check` compares them.")


def _facts(made: "BackupFacts", path: Path) -> dict[str, object]:
    return {"file": str(path), "schema": made.schema, "made_at": iso(made.made_at), "rows": dict(made.rows)}


def _tell_backup(made: "BackupFacts", path: Path, *, as_json: bool) -> None:
    if as_json:
        emit(_facts(made, path))
        return
    told = ", ".join(f"{made.rows.get(name, 0):,} {name}" for name in ("identities", "keys", "records", "events"))
    say(f"{path}  {told}  as of {iso(made.made_at)}")
