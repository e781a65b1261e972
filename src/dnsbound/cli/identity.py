"""`dnsbound id`: issuing, listing and showing identities. Its other commands are modules of their own."""

import hashlib
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dnsbound.cli.chosen_name import (
    BelowOption,
    LabelOfOption,
    SecretOption,
    ServiceOption,
    UnguessableOption,
    chosen_name,
)
from dnsbound.cli.configuration import actor
from dnsbound.cli.hardware_key import new_key
from dnsbound.cli.key_material import KeyMaterial, MaterialKind, read_key_material
from dnsbound.cli.opened import opened_inventory
from dnsbound.cli.options import (
    InventoryOption,
    JsonOption,
    MatchingOption,
    NameArgument,
    ReasonOption,
    SelectorOption,
    TtlOption,
    UsageOption,
    example,
)
from dnsbound.cli.output import advise, emit, say
from dnsbound.cli.record import parse_parameters, tlsa_of
from dnsbound.errors import Misuse
from dnsbound.iana import Usage
from dnsbound.names import ClientName
from dnsbound.records.tlsa import TLSA
from dnsbound.times import iso

if TYPE_CHECKING:
    from dnsbound.credential.credential import Credential
    from dnsbound.credential.signer import Signer
    from dnsbound.iana import MatchingType, Selector
    from dnsbound.provision.entries import Identity
    from dnsbound.provision.inventory import Inventory

app = typer.Typer(help="Issue, list, show and revoke identities.", no_args_is_help=True)


@app.command("new", epilog=example("dnsbound id new car54._device.cars.example --out keys"))
def new(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]", help="Whole DNS name, such as car54._device.cars.example.", show_default=False
        ),
    ] = None,
    *,
    below: BelowOption = None,
    unguessable: UnguessableOption = False,
    label_of: LabelOfOption = None,
    secret: SecretOption = None,
    service: ServiceOption = None,
    out: Annotated[
        Path, typer.Option("--out", help="Directory for the credential's file, NAME.pem.", file_okay=False)
    ] = Path(),
    raw: Annotated[bool, typer.Option("--raw", help="A bare key (RFC 7250) instead of a certificate.")] = False,
    algorithm: Annotated[
        str | None,
        typer.Option(
            "--algorithm",
            help="p256, ed25519, rsa3072, rsa2048, ml-dsa-44, ml-dsa-65 or ml-dsa-87.",
            show_default="p256",
        ),
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", help="pkcs11: URI of a key on a token; made there when there is none.")
    ] = None,
    certificate: Annotated[
        str | None, typer.Option("--cert", help="Register this certificate's key; make no key.")
    ] = None,
    csr: Annotated[str | None, typer.Option("--csr", help="Register the key of this CSR; make no key.")] = None,
    public_key: Annotated[
        str | None, typer.Option("--public-key", help="Register this public key; make no key.")
    ] = None,
    usage: UsageOption = "3",
    selector: SelectorOption = "1",
    matching: MatchingOption = "1",
    ttl: TtlOption = None,
    owner: Annotated[str, typer.Option("--owner", help="Who answers for it.", show_default=False)] = "",
    tag: Annotated[list[str] | None, typer.Option("--tag", help="A word to find it by; may be repeated.")] = None,
    reason: ReasonOption = "",
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Issue an identity: make a key or take one over, register its public part, print the record."""
    client = chosen_name(name, below=below, unguessable=unguessable, label_of=label_of, secret=secret, service=service)
    parameters = parse_parameters(usage, selector, matching)
    about = {"ttl": ttl, "owner": owner, "tags": tag or [], "reason": reason}
    given = _given(certificate, csr, public_key)
    if given is not None:
        if raw or algorithm is not None or key is not None or out != Path():
            raise Misuse("--raw, --algorithm, --key and --out are for new keys; a key was handed over")
        with opened_inventory(inventory, create=True) as store:
            made = _register(store, client, given, parameters, about)
            _tell_issued(store, made, None, as_json=as_json)
        return
    if parameters[0] is not Usage.DANE_EE:
        raise Misuse(f"a fresh key is published with usage 3; for usage {parameters[0]} hand over a chain with --cert")
    with new_key(key, algorithm, label=client.canonical) as signer:
        credential = _credential(client, signer, raw=raw)
        fresh = KeyMaterial(
            kind=MaterialKind.PUBLIC_KEY if raw else MaterialKind.CERTIFICATE,
            spki=credential.spki,
            chain=credential.chain,
        )
        path = out / f"{client.canonical}.pem"
        tlsa_of(fresh, *parameters)
        with opened_inventory(inventory, create=True) as store, _kept(path, credential, store):
            made = _register(store, client, fresh, parameters, about)
    with opened_inventory(inventory) as store:
        _tell_issued(store, made, path, on_token=key is not None, as_json=as_json)


def _credential(client: ClientName, signer: "Signer", *, raw: bool) -> "Credential":
    from dnsbound.credential.credential import Credential

    return Credential.for_signer(client, signer, now=time.time(), kind="raw" if raw else "x509")


def _given(certificate: str | None, csr: str | None, public_key: str | None) -> KeyMaterial | None:
    """The key that was handed over, which must be what the option says."""
    sources = {
        MaterialKind.CERTIFICATE: certificate,
        MaterialKind.CSR: csr,
        MaterialKind.PUBLIC_KEY: public_key,
    }
    named = [(kind, source) for kind, source in sources.items() if source is not None]
    if not named:
        return None
    if len(named) > 1:
        raise Misuse("--cert, --csr and --public-key exclude each other")
    [(kind, source)] = named
    material = read_key_material(source)
    if material.kind is not kind:
        raise Misuse(f"{source} holds a {material.kind.value}, not a {kind.value}")
    return material


def _register(
    store: "Inventory",
    client: ClientName,
    material: KeyMaterial,
    parameters: "tuple[Usage, Selector, MatchingType]",
    about: Mapping[str, Any],
) -> "Identity":
    record = tlsa_of(material, *parameters)
    leaf = material.chain[0] if material.kind is MaterialKind.CERTIFICATE else None
    return store.identities.register(
        client, spki=material.spki, records=[record], certificate=leaf, now=time.time(), actor=actor(), **about
    )


@contextmanager
def _kept(path: Path, credential: "Credential", store: "Inventory") -> Iterator[None]:
    """Write the credential's file first, and take it and new directories back when nothing comes of the registration:
    no key is published that nobody holds, and no former file is touched."""
    from dnsbound.edge.credential_files import save_credential
    from dnsbound.edge.secret_files import secret_directory

    with secret_directory(path.parent):
        save_credential(credential, path)
        try:
            yield
        except BaseException:
            if not _is_registered(store, credential):  # an interrupt may come after the registration
                path.unlink(missing_ok=True)
            raise


def _is_registered(store: "Inventory", credential: "Credential") -> bool:
    from dnsbound.provision.entries import IdentityState
    from dnsbound.provision.errors import NotInInventory

    assert credential.name is not None  # it was made for one
    try:
        identity = store.identities.named(credential.name)
    except NotInInventory:
        return False
    return identity.state is IdentityState.ACTIVE and identity.spki == credential.spki


def _tell_issued(
    store: "Inventory", made: "Identity", path: Path | None, *, on_token: bool = False, as_json: bool
) -> None:
    from dnsbound.provision.advice import advice, wildcard_advice

    zone = serving_zone(store, made.name)
    published = [TLSA.from_text(record.rdata) for record in made.records if record.rdtype == "TLSA"]
    advised = advice(made.name, published, shared_with=store.identities.sharing(made))
    advised += wildcard_advice(made.name, [wildcard.text for wildcard in store.blocks.wildcards_above(made.name)])
    if as_json:
        emit(facts(made) | {"file": None if path is None else str(path), "zone": zone, "advice": advised})
        return
    for record in made.records:
        say(record.to_text())
    if path is not None:
        if on_token:
            advise(f"The private key stays on its token; {path} says where it is and holds what is shown of it.")
        else:
            advise(f"The private key is in {path}, with what is shown of it; nobody else has the key.")
    if zone is None:
        advise(
            "No zone of this inventory holds the name: `dnsbound publish` brings the line above to the one that does."
        )
    else:
        advise(f"Published in {zone}: a server of this inventory answers with it at the next query.")
    for sentence in advised:
        advise(sentence)


def serving_zone(store: "Inventory", name: ClientName) -> str | None:
    from dnsbound.provision.owner import OwnerName

    zone = store.zones.serving(OwnerName.parse(name.canonical))
    return None if zone is None else zone.name.text


@app.command("list", epilog=example("dnsbound id list --below cars.example --state active --json"))
def list_(
    *,
    below: Annotated[str | None, typer.Option("--below", help="Only names at or below this one.")] = None,
    state: Annotated[str | None, typer.Option("--state", help="Only active or revoked ones.")] = None,
    owner: Annotated[str | None, typer.Option("--owner", help="Only those this one answers for.")] = None,
    tag: Annotated[str | None, typer.Option("--tag", help="Only those with this tag.")] = None,
    key: Annotated[
        str | None, typer.Option("--key", metavar="DIGEST", help="Only those with this key: its SHA-256 in hex.")
    ] = None,
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """List identities; with --json one object per line."""
    from dnsbound.provision.entries import IdentityState
    from dnsbound.provision.owner import OwnerName

    if state is not None and state not in list(IdentityState):
        raise Misuse(f"state {state!r} is neither active nor revoked")
    top = None if below is None else OwnerName.parse(below)
    with opened_inventory(inventory) as store:
        found = store.identities.all(
            below=top,
            state=None if state is None else IdentityState(state),
            owner=owner,
            tag=tag,
            spki_sha256=None if key is None else _digest(key),
        )
        for identity in found:
            if as_json:
                emit(facts(identity))
            else:
                since = identity.registered_at if identity.revoked_at is None else identity.revoked_at
                say(f"{identity.name}  {identity.state.value} since {iso(since)}")


@app.command("show", epilog=example("dnsbound id show car54._device.cars.example"))
def show(name: NameArgument, *, inventory: InventoryOption = None, as_json: JsonOption = False) -> None:
    """Show one identity, its records, and what was done with it."""
    client = ClientName.parse(name.removesuffix("."))
    with opened_inventory(inventory) as store:
        identity = store.identities.named(client)
        events = list(store.events(subject=client.canonical))
        zone = serving_zone(store, client)
    if as_json:
        history = [
            {
                "at": iso(event.at),
                "actor": event.actor,
                "action": event.action,
                "reason": event.reason,
                "detail": event.detail,
            }
            for event in events
        ]
        emit(facts(identity) | {"zone": zone, "events": history})
        return
    say(f"{identity.name}  {identity.state.value}")
    for key in identity.keys:
        say(f"  key    {_key_words(key.spki)}, {key.state.value}, SHA-256 {hashlib.sha256(key.spki).hexdigest()}")
    if identity.owner:
        say(f"  owner  {identity.owner}")
    if identity.tags:
        say(f"  tags   {', '.join(sorted(identity.tags))}")
    say(f"  zone   {zone or 'none of this inventory'}")
    for record in identity.records:
        say(f"  record {record.to_text()}")
    for event in events:
        say(f"  {iso(event.at)}  {event.action} by {event.actor}" + (f": {event.reason}" if event.reason else ""))


def facts(identity: "Identity") -> dict[str, object]:
    import base64

    return {
        "name": identity.name.text,
        "state": identity.state.value,
        "spki": base64.b64encode(identity.spki).decode(),
        "key": _key_words(identity.spki),
        "keys": [
            {
                "algorithm": _key_words(key.spki),
                "sha256": hashlib.sha256(key.spki).hexdigest(),
                "state": key.state.value,
                "added_at": iso(key.added_at),
                "retired_at": None if key.retired_at is None else iso(key.retired_at),
                "certificate": None if key.certificate is None else base64.b64encode(key.certificate).decode(),
            }
            for key in identity.keys
        ],
        "owner": identity.owner,
        "tags": sorted(identity.tags),
        "ttl": identity.ttl,
        "registered_at": iso(identity.registered_at),
        "revoked_at": None if identity.revoked_at is None else iso(identity.revoked_at),
        "records": [record.to_text() for record in identity.records],
    }


def _digest(text: str) -> bytes:
    """A SHA-256 as people copy it, with or without colons."""
    try:
        octets = bytes.fromhex(text.replace(":", ""))
    except ValueError:
        octets = b""
    if len(octets) != hashlib.sha256().digest_size:
        raise Misuse(f"--key {text!r} is no SHA-256 in hexadecimal digits")
    return octets


def _key_words(spki: bytes) -> str:
    """The kind of key, for people; a kind this package does not use is no reason to show nothing."""
    from dnsbound.credential.keys import KeyFacts
    from dnsbound.errors import Malformed

    try:
        return KeyFacts.from_spki(spki).algorithm
    except Malformed:
        return "other"
