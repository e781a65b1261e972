"""`dnsbound id roll`, `status`, `confirm`, `cancel`: another key, or another form of the records, for an identity.

Beginning says what is to happen; `dnsbound run` makes it happen, step by step, as the servers and the client allow.
"""

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from dnsbound.cli.configuration import actor
from dnsbound.cli.exit_codes import ExitCode, printable
from dnsbound.cli.key_material import MaterialKind, read_key_material
from dnsbound.cli.opened import opened_inventory
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
from dnsbound.cli.progress import progress_bar
from dnsbound.errors import Misuse
from dnsbound.names import ClientName
from dnsbound.provision.errors import NotInInventory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from dnsbound.provision.inventory import Inventory
    from dnsbound.provision.lifecycle.beginning import Wish
    from dnsbound.provision.lifecycle.roll import Roll

BelowOption = Annotated[str | None, typer.Option("--below", help="Only names at or below this one.")]
TagOption = Annotated[str | None, typer.Option("--tag", help="Only identities with this tag.")]


def roll(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Whole DNS names.")] = None,
    *,
    below: BelowOption = None,
    tag: TagOption = None,
    certificate: Annotated[
        str | None, typer.Option("--cert", help="New certificate, or chain, of the new key.")
    ] = None,
    csr: Annotated[str | None, typer.Option("--csr", help="CSR of the new key.")] = None,
    public_key: Annotated[str | None, typer.Option("--public-key", help="The new public key.")] = None,
    chain: Annotated[
        str | None, typer.Option("--chain", help="Chain the client will present, leaf first; its key may be the same.")
    ] = None,
    parameters: Annotated[
        str | None, typer.Option("--parameters", help="Of the records afterwards, such as '2 0 1' or '3 1 1, 3 1 2'.")
    ] = None,
    manifest: Annotated[
        list[str] | None,
        typer.Option("--manifest", help="New keys of many: files or directories as `id adopt` reads them."),
    ] = None,
    emergency: Annotated[
        bool, typer.Option("--emergency", help="The present key is stolen: replace it at once.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    reason: ReasonOption = "",
    targets: TargetsOption = None,
    resolver: ResolverOption = None,
    anchors: AnchorsOption = None,
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Begin to roll identities to a new key or to other record parameters, without refusing them at any moment.

    The new key is published beside the old one first; the client may use it once `id status` says so, and the old one
    goes when the switch is confirmed. `dnsbound run` moves the rolls on.
    """
    sources = {MaterialKind.CERTIFICATE: certificate, MaterialKind.CSR: csr, MaterialKind.PUBLIC_KEY: public_key}
    wish = _wish(sources, chain, parameters, emergency=emergency)
    with ExitStack() as held:
        store = held.enter_context(opened_inventory(inventory))
        chosen = [ClientName.parse(name.removesuffix(".")) for name in names or []]
        wishes = _wishes(store, chosen, wish, below=below, tag=tag, manifest=manifest or [])
        if emergency:
            wishes = list(wishes)
            _confirm_emergency(store, [name for name, _ in wishes], (targets, resolver, anchors), yes=yes)
        code = _begin(store, wishes, reason=reason, as_json=as_json)
    raise typer.Exit(code)


def _wish(
    sources: dict[MaterialKind, str | None], chain: str | None, parameters: str | None, *, emergency: bool
) -> "Wish":
    from dnsbound.provision.lifecycle.beginning import Wish
    from dnsbound.provision.lifecycle.deployment import parameters_from_text

    given = [(kind, source) for kind, source in sources.items() if source is not None]
    if len(given) + (chain is not None) > 1:
        raise Misuse("--cert, --csr, --public-key and --chain exclude each other")
    if chain is not None:
        given = [(MaterialKind.CERTIFICATE, chain)]
    target = () if parameters is None else parameters_from_text(parameters)
    if not given:
        return Wish(target=target, emergency=emergency)
    [(kind, source)] = given
    material = read_key_material(source)
    if material.kind is not kind:
        raise Misuse(f"{source} holds a {material.kind.value}, not a {kind.value}")
    return Wish.checked(spki=material.spki, chain=material.chain, target=target, emergency=emergency)


def _wishes(
    store: "Inventory",
    names: list[ClientName],
    wish: "Wish",
    *,
    below: str | None,
    tag: str | None,
    manifest: list[str],
) -> "Iterable[tuple[ClientName, Wish]]":
    """Who is to be rolled, and to what. Misuse where that is not said, or said twice."""
    many = not manifest and (below is not None or tag is not None)
    if sum((bool(names), many, bool(manifest))) != 1 or (manifest and tag is not None):
        raise Misuse("say whom to roll: by NAME, by --below and --tag, or by --manifest with their new keys")
    if wish.spki is not None and (many or manifest or len(names) > 1):
        raise Misuse("one key is one client's: roll many with --manifest, or to other --parameters")
    if manifest:
        from dnsbound.cli.roll_manifest import wishes_of_manifest

        return wishes_of_manifest(manifest, wish, below=below)
    if wish.spki is None and not wish.target and not wish.emergency:
        raise Misuse("say to what to roll: --cert, --csr, --public-key, --chain or --parameters")
    if wish.emergency and many:
        raise Misuse("stolen keys are replaced by NAME, or with a --manifest of new keys")
    return [(name, wish) for name in names] if names else _chosen(store, wish, below=below, tag=tag)


def _chosen(
    store: "Inventory", wish: "Wish", *, below: str | None, tag: str | None
) -> "Iterator[tuple[ClientName, Wish]]":
    from dnsbound.provision.entries import IdentityState
    from dnsbound.provision.owner import OwnerName

    top = None if below is None else OwnerName.parse(below)
    for identity in store.identities.all(below=top, tag=tag, state=IdentityState.ACTIVE):
        yield identity.name, wish


def _begin(store: "Inventory", wishes: "Iterable[tuple[ClientName, Wish]]", *, reason: str, as_json: bool) -> ExitCode:
    begun = refused = 0
    with progress_bar("rolls", None) as through:
        for name, outcome in store.rolls.begin_many(wishes, now=time.time(), actor=actor(), reason=reason):
            through(1)
            if isinstance(outcome, Misuse):
                refused += 1
                if as_json:
                    emit({"name": name.text, "refused": printable(str(outcome))})
                else:
                    told = printable(str(outcome))
                    advise(told if told.startswith(f"{name} ") else f"{name}: {told}")
                continue
            begun += 1
            _tell(store, outcome, as_json=as_json)
    if not as_json and begun + refused > 1:
        say(f"{begun} begun, {refused} refused.")
    if begun + refused == 0:
        raise NotInInventory("no identity was chosen")
    return ExitCode.NO if refused else ExitCode.YES


def _tell(store: "Inventory", begun: "Roll", *, as_json: bool) -> None:
    from dnsbound.cli.roll_output import facts, line
    from dnsbound.provision.advice import advice

    sharing = store.identities.sharing(store.identities.named(begun.name))
    advised = advice(begun.name, begun.plan.after, shared_with=sharing)
    if as_json:
        emit(facts(begun) | {"advice": advised})
        return
    say(line(begun))
    for sentence in advised:
        advise(sentence)


def _confirm_emergency(
    store: "Inventory",
    names: list[ClientName],
    asking: "tuple[Path | None, list[str] | None, Path | None]",
    *,
    yes: bool,
) -> None:
    from dnsbound.cli.roll_outage import outage

    for sentence in outage(store, names, *asking):
        advise(sentence)
    if not yes and not typer.confirm("Replace the key now?", err=True):
        advise("Nothing was changed.")
        raise typer.Exit(ExitCode.NO)


def status(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One identity; all open rolls without.")] = None,
    *,
    state: Annotated[
        str | None, typer.Option("--state", help="stable, prepublish, switch, retire, done or cancelled.")
    ] = None,
    below: BelowOption = None,
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say where rolls stand: what each waits for, until when, and which server is behind."""
    from dnsbound.cli.roll_output import facts, line
    from dnsbound.provision.lifecycle.machine import RollState
    from dnsbound.provision.owner import OwnerName

    if state is not None and state not in list(RollState):
        raise Misuse(f"state {state!r} is none of {', '.join(RollState)}")
    with opened_inventory(inventory) as store:
        if name is not None:
            identity = store.identities.named(ClientName.parse(name.removesuffix(".")))
            found = store.rolls.of(identity.name)
            rolls = iter([] if found is None else [found])
            if found is None and not as_json:
                say(f"{identity.name}  stable: it was never rolled")
        else:
            top = None if below is None else OwnerName.parse(below)
            rolls = store.rolls.all(state=None if state is None else RollState(state), below=top)
        for one in rolls:
            if as_json:
                emit(facts(one))
            else:
                say(line(one))


def confirm(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Whole DNS name.")] = None,
    *,
    key: Annotated[
        str | None, typer.Option("--key", help="SHA-256 of the new key in hexadecimal, to be sure which one is meant.")
    ] = None,
    from_log: Annotated[
        str | None, typer.Option("--from-log", help="A door's decisions, JSON lines: a file, or - for standard input.")
    ] = None,
    reason: ReasonOption = "",
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say that a client works with its new key: the old key's records are withdrawn. Or let a door's log say so."""
    from dnsbound.cli.roll_output import facts, line

    if (name is None) == (from_log is None):
        raise Misuse("say which NAME works with its new key, or hand over a door's log with --from-log")
    with opened_inventory(inventory) as store:
        if from_log is not None:
            if key is not None or reason:
                raise Misuse("--key and --reason go with a NAME; a log is its own reason")
            from dnsbound.cli.roll_sightings import confirm_from_log

            confirm_from_log(store, from_log, as_json=as_json)
            return
        assert name is not None  # one of the two was given
        client = ClientName.parse(name.removesuffix("."))
        confirmed = store.rolls.confirm(client, digest=_digest(key), now=time.time(), actor=actor(), reason=reason)
    if as_json:
        emit(facts(confirmed))
    else:
        say(line(confirmed))


def _digest(text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        digest = bytes.fromhex(text.replace(":", ""))
    except ValueError:
        digest = b""
    if len(digest) != 32:
        raise Misuse(f"{text[:80]!r} is no SHA-256 in hexadecimal")
    return digest


def cancel(
    name: NameArgument, *, reason: ReasonOption = "", inventory: InventoryOption = None, as_json: JsonOption = False
) -> None:
    """Take a roll back: the records of before stand alone again. Not once the client uses its new key."""
    from dnsbound.cli.roll_output import facts, line

    client = ClientName.parse(name.removesuffix("."))
    with opened_inventory(inventory) as store:
        cancelled = store.rolls.cancel(client, now=time.time(), actor=actor(), reason=reason)
    if as_json:
        emit(facts(cancelled))
    else:
        say(line(cancelled))
        advise(f"{client} logs in with its former key; it must not use the other one.")
