"""`dnsbound id transfer`: the key of one name under another, here or in another inventory."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dnsbound.cli.configuration import actor
from dnsbound.cli.key_material import MaterialKind, read_key_material, read_octets
from dnsbound.cli.opened import opened_inventory
from dnsbound.cli.options import InventoryOption, JsonOption, NameArgument, ReasonOption
from dnsbound.cli.output import advise, emit, say
from dnsbound.errors import Malformed, Misuse
from dnsbound.names import ClientName
from dnsbound.times import Moment, iso, moment_after

if TYPE_CHECKING:
    from dnsbound.provision.inventory import Inventory
    from dnsbound.provision.ownership.transfer import Transfer
    from dnsbound.provision.ownership.transfer_file import TransferFile

DEFAULT_OVERLAP = "30d"


def transfer(
    name: NameArgument,
    new: Annotated[
        str | None, typer.Argument(metavar="[NEW]", help="The name it gets; none with --export, --cancel, --finish.")
    ] = None,
    *,
    overlap: Annotated[
        str | None,
        typer.Option("--overlap", metavar="TIME", help="How long both are valid.", show_default=DEFAULT_OVERLAP),
    ] = None,
    owner: Annotated[str, typer.Option("--owner", help="Who answers for it from now on.")] = "",
    export: Annotated[
        Path | None, typer.Option("--export", help="Write NAME for another inventory.", dir_okay=False)
    ] = None,
    take: Annotated[
        str | None, typer.Option("--import", metavar="FILE", help="Register what was exported, as NAME.")
    ] = None,
    csr: Annotated[
        str | None, typer.Option("--csr", help="With --import: a CSR of the device for NAME, as proof of its key.")
    ] = None,
    danger_unproved: Annotated[
        bool, typer.Option("--danger-unproved", help="With --import: take the file's word for whose key it is.")
    ] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="Take the transfer of NAME back.")] = False,
    finish: Annotated[bool, typer.Option("--finish", help="Revoke NAME now, before the overlap is over.")] = False,
    reason: ReasonOption = "",
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a device another name: both are valid for a time, then `dnsbound run` revokes the former one."""
    client, other = _client(name), None if new is None else _client(new)
    if sum((export is not None, take is not None, cancel, finish)) > 1:
        raise Misuse("--export, --import, --cancel and --finish exclude each other")
    if (csr is not None or danger_unproved) and take is None:
        raise Misuse("--csr and --danger-unproved belong to --import")
    now = time.time()
    until = None if overlap is None else moment_after(overlap, now=now)
    with opened_inventory(inventory, create=take is not None) as store:
        if cancel or finish:
            act = store.transfers.cancel if cancel else store.transfers.finish
            _tell(act(client, now=now, actor=actor(), reason=reason), as_json=as_json)
        elif export is not None:
            file = store.transfers.export(client, to=other, overlap_until=until, now=now, actor=actor(), reason=reason)
            _write(file, export, as_json=as_json)
        elif take is not None:
            _take(store, client, take, csr, owner, danger_unproved=danger_unproved, reason=reason, as_json=as_json)
        else:
            _begin(store, client, other, until, owner=owner, reason=reason, now=now, as_json=as_json)


def _begin(
    store: "Inventory",
    client: ClientName,
    new: ClientName | None,
    until: Moment | None,
    *,
    owner: str,
    reason: str,
    now: Moment,
    as_json: bool,
) -> None:
    if new is None:
        raise Misuse(f"say the new name of {client}, or one of --export, --import, --cancel and --finish")
    ends = moment_after(DEFAULT_OVERLAP, now=now) if until is None else until
    begun = store.transfers.begin(client, new, overlap_until=ends, owner=owner, now=now, actor=actor(), reason=reason)
    _tell(begun, as_json=as_json)
    if not as_json:
        advise(f"Put {new} on the access lists that have {client}; the device says {new} from now on (dane_clientid).")
        leased = sum(1 for _ in store.leases.all(target=client))
        if leased:
            advise(f"{leased} leases name {client}: they lead nowhere once it is revoked.")


def _write(file: "TransferFile", path: Path, *, as_json: bool) -> None:
    from dnsbound.edge.secret_files import write_public_file

    write_public_file(path, file.to_text().encode())
    until = None if file.valid_until is None else iso(file.valid_until)
    if as_json:
        emit({"file": str(path), "name": file.name.canonical, "valid_until": until})
        return
    say(f"{file.name}  exported to {path}")
    advise(f"It is revoked here at {until}." if until else "It stays valid here: say --overlap to have it revoked.")


def _take(
    store: "Inventory",
    client: ClientName,
    source: str,
    csr: str | None,
    owner: str,
    *,
    danger_unproved: bool,
    reason: str,
    as_json: bool,
) -> None:
    from dnsbound.provision.ownership.transfer_file import TransferFile

    try:
        file = TransferFile.parse(read_octets(source).decode("utf-8"))
    except UnicodeDecodeError:
        raise Malformed(f"{source} is not a text") from None
    except Malformed as error:
        raise Malformed(f"{source}: {error}") from None
    if csr is not None:
        _check_proof(csr, client, file)
    elif not danger_unproved:
        raise Misuse(f"nothing shows that the device holds this key: hand over a CSR of it for {client} with --csr")
    made = store.transfers.take(file, client, owner=owner, now=time.time(), actor=actor(), reason=reason)
    if as_json:
        records = [record.to_text() for record in made.records]
        emit({"name": made.name.canonical, "from": file.name.canonical, "records": records})
        return
    for record in made.records:
        say(record.to_text())


def _check_proof(source: str, client: ClientName, file: "TransferFile") -> None:
    """The device's own signature over its key and the name it asks for (RFC 2986)."""
    material = read_key_material(source)
    if material.kind is not MaterialKind.CSR:
        raise Misuse(f"{source} holds a {material.kind.value}, not a CSR")
    if material.spki != file.spki:
        raise Misuse(f"{source} is of another key than the transfer")
    if material.name != client:
        raise Misuse(f"{source} does not ask for {client}")


def _tell(transfer: "Transfer", *, as_json: bool) -> None:
    new = None if transfer.new is None else transfer.new.canonical
    if as_json:
        emit(
            {
                "former": transfer.former.canonical,
                "new": new,
                "state": transfer.state.value,
                "overlap_until": iso(transfer.overlap_until),
            }
        )
        return
    say(f"{transfer.former} -> {new}  {transfer.state.value}  both until {iso(transfer.overlap_until)}")


def _client(text: str) -> ClientName:
    return ClientName.parse(text.removesuffix("."))
