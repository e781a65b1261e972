"""`dnsbound enrol`: permissions for new devices, on the side of the inventory. The device's own is `enrol_device`."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from dnsbound.cli import enrol_device
from dnsbound.cli.configuration import actor
from dnsbound.cli.opened import opened_inventory
from dnsbound.cli.options import InventoryOption, JsonOption, NameArgument, example
from dnsbound.cli.output import advise, emit, say
from dnsbound.errors import Misuse
from dnsbound.names import ClientName
from dnsbound.times import iso, seconds_of_text

if TYPE_CHECKING:
    from dnsbound.provision.enrolment.permission import Permission
    from dnsbound.provision.inventory import Inventory

app = typer.Typer(help="Enrol new devices: permit them, and be one.", no_args_is_help=True)

app.command(
    "request",
    epilog=example(
        "dnsbound enrol request car54._device.cars.example --server https://enrol.cars.example --token-file car54.token"
    ),
)(enrol_device.request)
app.command("renew", epilog=example("dnsbound enrol renew car54.pem --server https://enrol.cars.example --wait 1h"))(
    enrol_device.renew
)

_KeyOption = Annotated[
    str | None,
    typer.Option("--for-key", metavar="DIGEST", help="SHA-256 of a public key that the device must prove."),
]
_KeyOfOption = Annotated[
    str | None, typer.Option("--for-key-of", metavar="FILE", help="The same, of a certificate or public key in a file.")
]
_ValidOption = Annotated[str, typer.Option("--valid", help="How long it may be used: 90s, 15m, 12h, 30d.")]
_ReasonOption = Annotated[str, typer.Option("--reason", help="Kept in the log of changes.")]


@app.command("token", epilog=example("dnsbound enrol token car54._device.cars.example --valid 1h > car54.token"))
def token(
    name: NameArgument,
    *,
    for_key: _KeyOption = None,
    for_key_of: _KeyOfOption = None,
    valid: _ValidOption = "1h",
    reason: _ReasonOption = "",
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a one-time token with which a device enrols under exactly this name. It is shown once and kept nowhere."""
    client = ClientName.parse(name.removesuffix("."))
    digest = _key_digest(for_key, for_key_of)
    with opened_inventory(inventory, create=True) as store:
        made, secret = store.permissions.issue_token(
            client,
            key_sha256=digest,
            seconds=int(seconds_of_text(valid)),
            now=time.time(),
            actor=actor(),
            reason=reason,
        )
        zone = _zone_words(store, client)
    if as_json:
        emit(_facts(made) | {"token": secret})
        return
    say(secret)
    advise(f"Permission {made.number}: for {made.name}, once, until {iso(made.expires_at)}.")
    if zone:
        advise(zone)


@app.command(
    "expect",
    epilog=example("dnsbound enrol expect car54._device.cars.example --maker sn54._device.maker.example --valid 365d"),
)
def expect(
    name: NameArgument,
    *,
    for_key: _KeyOption = None,
    for_key_of: _KeyOfOption = None,
    maker: Annotated[
        str | None, typer.Option("--maker", metavar="NAME", help="Its maker's name for it, which it proves by DANE.")
    ] = None,
    valid: _ValidOption = "365d",
    reason: _ReasonOption = "",
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a device enrol under this name without a token: by a key it was made with, or by its maker's name."""
    client = ClientName.parse(name.removesuffix("."))
    with opened_inventory(inventory, create=True) as store:
        made = store.permissions.expect(
            client,
            key_sha256=_key_digest(for_key, for_key_of),
            maker=None if maker is None else ClientName.parse(maker.removesuffix(".")),
            seconds=int(seconds_of_text(valid)),
            now=time.time(),
            actor=actor(),
            reason=reason,
        )
        zone = _zone_words(store, client)
    if as_json:
        emit(_facts(made))
        return
    say(_line(made))
    if zone:
        advise(zone)


@app.command("expect-tagged", epilog=example("dnsbound enrol expect-tagged stock --below _device.cars.example"))
def expect_tagged(
    tag: Annotated[str, typer.Argument(metavar="TAG", help="Tag of identities that were adopted from a maker's list.")],
    *,
    below: Annotated[
        str, typer.Option("--below", metavar="NAME", help="Each device may become its own first label below this name.")
    ],
    valid: _ValidOption = "365d",
    reason: _ReasonOption = "",
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Expect every device of a list, each by the key that the inventory has of it. Names under which a device is
    expected or registered already are passed over. With --json one object per line."""
    from dnsbound.provision.owner import OwnerName

    top, count = OwnerName.parse(below), 0
    seconds = int(seconds_of_text(valid))
    with opened_inventory(inventory) as store:
        for made in store.permissions.expect_tagged(
            tag, below=top, seconds=seconds, now=time.time(), actor=actor(), reason=reason
        ):
            count += 1
            if as_json:
                emit(_facts(made))
    if not as_json:
        say(f"{count} expected below {top}")


@app.command("list", epilog=example("dnsbound enrol list --json"))
def list_(
    *,
    name: Annotated[str | None, typer.Option("--name", help="Only those for this name.")] = None,
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """List permissions, used and ended ones too; with --json one object per line."""
    client = None if name is None else ClientName.parse(name.removesuffix("."))
    with opened_inventory(inventory) as store:
        for permission in store.permissions.all(name=client):
            if as_json:
                emit(_facts(permission))
            else:
                say(_line(permission))


@app.command("cancel", epilog=example("dnsbound enrol cancel 7 --reason 'token was mislaid'"))
def cancel(
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="As `enrol list` shows it.")],
    *,
    reason: _ReasonOption = "",
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take back a permission that was not used."""
    with opened_inventory(inventory) as store:
        gone = store.permissions.cancel(number, now=time.time(), actor=actor(), reason=reason)
    if as_json:
        emit(_facts(gone) | {"state": "cancelled"})
        return
    say(f"{gone.number}  {gone.name}  cancelled")


def _key_digest(text: str | None, source: str | None) -> bytes | None:
    from dnsbound.provision.enrolment.permission import key_digest, key_digest_of_text

    if text is not None and source is not None:
        raise Misuse("--for-key and --for-key-of exclude each other")
    if source is not None:
        from dnsbound.cli.key_material import MaterialKind, read_key_material

        material = read_key_material(source)
        if material.kind is MaterialKind.PRIVATE_KEY and not source.startswith("pkcs11:"):
            raise Misuse(f"{source} holds a private key: hand over the public key, or a certificate")
        return key_digest(material.spki)
    return None if text is None else key_digest_of_text(text)


def _zone_words(store: "Inventory", name: ClientName) -> str:
    from dnsbound.cli.opened import publish_targets
    from dnsbound.provision.owner import OwnerName
    from dnsbound.provision.publish.targets import target_of

    owner = OwnerName.parse(name.canonical)
    if store.zones.serving(owner) is not None or target_of(publish_targets(None), owner) is not None:
        return ""
    return "No zone of this inventory holds the name: tell the enrolment server where it is published (--targets)."


def _line(permission: "Permission") -> str:
    how = ["token"] if permission.by_token else []
    if permission.key_sha256 is not None:
        how.append(f"key {permission.key_sha256.hex()}")
    if permission.maker is not None:
        how.append(f"maker {permission.maker}")
    state = permission.state(time.time())
    when = permission.expires_at if permission.used_at is None else permission.used_at
    word = "until" if state == "open" else "since"
    return f"{permission.number}  {permission.name}  {state.value} {word} {iso(when)}  by {', '.join(how)}"


def _facts(permission: "Permission") -> dict[str, object]:
    return {
        "number": permission.number,
        "name": permission.name.text,
        "state": permission.state(time.time()).value,
        "by_token": permission.by_token,
        "key_sha256": None if permission.key_sha256 is None else permission.key_sha256.hex(),
        "maker": None if permission.maker is None else permission.maker.text,
        "created_at": iso(permission.created_at),
        "expires_at": iso(permission.expires_at),
        "used_at": None if permission.used_at is None else iso(permission.used_at),
        "used_by": permission.used_by,
    }
