"""`dnsbound access`: the access list from the command line. Who may come in is decided by nothing but this file."""

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from dnsbound.cli.configuration import access_place
from dnsbound.cli.exit_codes import ExitCode, printable
from dnsbound.cli.options import (
    AnchorsOption,
    JsonOption,
    NameArgument,
    ResolverOption,
    TimeoutOption,
    example,
)
from dnsbound.cli.output import advise, emit, say
from dnsbound.errors import Malformed, Misuse, Refused
from dnsbound.names import ClientName, name_or_mailbox

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dnsbound.verify.access import AccessList

app = typer.Typer(help="See and change who may come in, and try it.", no_args_is_help=True)

AccessOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--access",
        envvar="DNSBOUND_ACCESS",
        metavar="FILE",
        help="The access list.",
        dir_okay=False,
        show_default="access.toml in the XDG configuration directory",
    ),
]
EntryArgument: TypeAlias = Annotated[
    str, typer.Argument(metavar="NAME|PATTERN", help="A whole name, or a pattern such as *._device.cars.example.")
]
DoorOption: TypeAlias = Annotated[str, typer.Option("--door", metavar="DOOR", help="The door of the list.")]


@app.command(
    "add",
    epilog=example(
        "dnsbound access add car54._device.cars.example --door api",
        "… '*._device.cars.example' --door public.isp.example --grant vlan=12",
    ),
)
def add(
    entry: EntryArgument,
    *,
    door: DoorOption,
    grant: Annotated[
        list[str] | None,
        typer.Option("--grant", metavar="KEY=VALUE", help="What it is granted; a TOML value, or text."),
    ] = None,
    deny: Annotated[bool, typer.Option("--deny", help="Keep it out, whatever lets it in.")] = False,
    create: Annotated[
        bool, typer.Option("--create", help="Make the file and the door where they are missing.")
    ] = False,
    access: AccessOption = None,
) -> None:
    """Put a name or pattern on a door's list. Doors that run take it up within a second."""
    from dnsbound.edge.access_editing import AccessEditing

    grants = _grants(grant or [])
    if deny and grants:
        raise Misuse("--deny grants nothing")
    written = entry.removesuffix(".")
    with AccessEditing.of(access_place(access), create=create) as editing:
        if deny:
            is_new = editing.deny(door, written, create_door=create)
        else:
            is_new = editing.allow(door, written, grants, create_door=create)
        text = editing.text
    say(f"{written}  {'denied' if deny else 'allowed'} at {door}{'' if is_new else ', as before'}")
    if not deny:
        _tell_denied(text, door, written)


@app.command("remove", epilog=example("dnsbound access remove car54._device.cars.example --door api"))
def remove(
    entry: EntryArgument,
    *,
    door: DoorOption,
    deny: Annotated[bool, typer.Option("--deny", help="From what is kept out.")] = False,
    access: AccessOption = None,
) -> None:
    """Take a name or pattern off a door's list. Live sessions of who may no longer be in are cut within seconds.

    It ends with 1 when the entry was not there, and when a pattern still lets the name in.
    """
    from dnsbound.edge.access_editing import ALLOW, DENY, AccessEditing
    from dnsbound.verify.access import AccessList

    written = entry.removesuffix(".")
    with AccessEditing.of(access_place(access)) as editing:
        count = editing.remove(door, written, of=DENY if deny else ALLOW)
        text = editing.text
    if not count:
        advise(f"{written} is no such entry at {door}: nothing was changed")
        raise typer.Exit(ExitCode.NO)
    say(f"{written}  removed at {door}")
    if deny or "*" in written:
        return
    try:
        permit = AccessList.from_toml(text).permit(door, name_or_mailbox(written))
    except Refused:
        return
    advise(f"{written} still comes in by {permit.pattern}: `dnsbound access add {written} --deny --door {door}`")
    raise typer.Exit(ExitCode.NO)


@app.command("list", epilog=example("dnsbound access list --door api --json"))
def list_(
    *,
    door: Annotated[str | None, typer.Option("--door", metavar="DOOR", help="Only this door.")] = None,
    access: AccessOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the entries of each door in the order of the file."""
    place = access_place(access)
    doors = 0
    for name, word, entry, grants in _entries(place, door):
        doors += word == ""
        if not word:
            continue
        if as_json:
            emit({"door": name, "entry": entry, "word": word, "grants": _plain(grants)})
        else:
            granted = "  " + " ".join(f"{key}={value!r}" for key, value in grants.items()) if grants else ""
            say(printable(f"{name}  {word}  {entry}{granted}"))
    if door is not None and not doors:
        raise Misuse(f"{place}: no door {door!r}")
    if not doors and not as_json:
        advise(f"{place}: the list is empty, and permits nobody")


@app.command(
    "test",
    epilog=example("dnsbound access test car54._device.cars.example --door api", "… --cert car54.pem --json"),
)
def try_out(
    name: NameArgument,
    *,
    door: DoorOption,
    cert: Annotated[
        str | None,
        typer.Option(
            "--cert", help="Certificate or key: ask the DNS as well whether it is the name's.", metavar="FILE"
        ),
    ] = None,
    access: AccessOption = None,
    resolver: ResolverOption = None,
    anchors: AnchorsOption = None,
    timeout: TimeoutOption = 5.0,
    as_json: JsonOption = False,
) -> None:
    """Say whether a door would let a name in, by which entry, and what it grants. Without --cert nobody is asked.

    With it the records of the name are held against the certificate or key; who holds the key it cannot say.
    """
    client = name_or_mailbox(name.removesuffix("."))
    listed = _read(access_place(access))
    told: dict[str, Any] = {"name": client.canonical, "door": door}
    try:
        permit = listed.permit(door, client)
    except Refused as error:
        if as_json:
            emit(told | {"permitted": False, "reason": error.reason.value, "detail": error.detail})
        else:
            say(f"no: {error.detail}")
        raise typer.Exit(ExitCode.NO) from None
    entry = client.canonical if permit.pattern is None else str(permit.pattern)
    told |= {"permitted": True, "entry": entry, "grants": _plain(permit.grants)}
    if not as_json:
        say(f"permitted by {entry}")
        for key, value in permit.grants.items():
            say(printable(f"  {key} = {_plain(value)!r}"))
    if cert is None:
        if as_json:
            emit(told)
        return
    raise typer.Exit(
        _match(client, cert, resolver=resolver, anchors=anchors, timeout=timeout, told=told if as_json else None)
    )


def _match(
    client: ClientName,
    cert: str,
    *,
    resolver: list[str] | None,
    anchors: Path | None,
    timeout: float,
    told: dict[str, Any] | None,
) -> ExitCode:
    """Hold the records against the certificate, as `dnsbound match`. told: what JSON begins with; None for people."""
    from dnsbound.cli.judging import facts, judge
    from dnsbound.cli.key_material import read_key_material
    from dnsbound.cli.match import POSSESSION, presented_by, tell
    from dnsbound.cli.opened import opened_resolver

    presented = presented_by(read_key_material(cert))
    with opened_resolver(resolver, anchors) as asked:
        found = judge(client, presented, asked, deadline=timeout, roots=())
    if told is None:
        tell(found)
    else:
        emit(told | facts(found, client) | {"possession": POSSESSION})
    return found.exit_code


# --- the file


def _read(place: Path) -> "AccessList":
    from dnsbound.edge.access_file import AccessFile

    return AccessFile(place).current()


def _entries(place: Path, door: str | None) -> "Iterator[tuple[str, str, str, Mapping[str, Any]]]":
    """Door, `allow` or `deny`, entry and grants; first each door with no word."""
    from dnsbound.edge.access_file import AccessFile
    from dnsbound.verify.access_text import NO_GRANTS, read_doors

    AccessFile(place)  # A list that no door would take is told as an error, and not listed.
    for written in read_doors(place.read_text(encoding="utf-8")):
        if door in (None, written.name):
            yield written.name, "", "", NO_GRANTS
            for entry, grants in written.allow:
                yield written.name, "allow", entry, grants
            for entry in written.deny:
                yield written.name, "deny", entry, NO_GRANTS


def _tell_denied(text: str, door: str, entry: str) -> None:
    from dnsbound.verify.access import AccessList

    if "*" in entry:
        return
    try:
        AccessList.from_toml(text).permit(door, name_or_mailbox(entry))
    except Refused as error:
        advise(f"It stays out all the same: {error.detail}")


def _grants(texts: list[str]) -> dict[str, Any]:
    """Each `key=value`: the value as TOML, or as the text that it is."""
    grants: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise Malformed(f"--grant {text!r} is not KEY=VALUE")
        if key in grants:
            raise Malformed(f"--grant names {key!r} twice")
        try:
            grants[key] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            grants[key] = value
    return grants


def _plain(value: Any) -> Any:  # noqa: ANN401 (grants are of any type)
    """As JSON and Python show it: grants are frozen, and TOML has dates."""
    from collections.abc import Mapping
    from datetime import date, datetime, time

    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple):
        return [_plain(inner) for inner in value]
    return value.isoformat() if isinstance(value, date | datetime | time) else value
