"""`dnsbound authority`: an organisation's own authority in the DNS, and where it speaks for whom it should not."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from dnsbound.cli.configuration import actor
from dnsbound.cli.exit_codes import ExitCode
from dnsbound.cli.key_material import read_key_material, read_octets
from dnsbound.cli.opened import opened_inventory
from dnsbound.cli.options import (
    InventoryOption,
    JsonOption,
    MatchingOption,
    ReasonOption,
    SelectorOption,
    TtlOption,
    UsageOption,
    example,
)
from dnsbound.cli.output import advise, emit, say
from dnsbound.cli.record import parse_parameters
from dnsbound.errors import Malformed, Misuse
from dnsbound.times import iso

if TYPE_CHECKING:
    from dnsbound.provision.inventory import Inventory
    from dnsbound.provision.owner import OwnerName
    from dnsbound.provision.ownership.authorities import Authority
    from dnsbound.provision.ownership.gaps import Gap
    from dnsbound.provision.ownership.revocation_list import RevocationList

app = typer.Typer(help="An organisation's own authority: one record for all its clients.", no_args_is_help=True)

OwnerArgument = Annotated[
    str, typer.Argument(metavar="OWNER", help="A wildcard such as *._device.cars.example, or _user.cars.example.")
]


@app.command("publish", epilog=example("dnsbound authority publish '*._device.cars.example' --cert ca.pem"))
def publish(
    owner: OwnerArgument,
    *,
    certificate: Annotated[str, typer.Option("--cert", help="The authority's certificate, PEM or DER.")],
    usage: UsageOption = "2",
    selector: SelectorOption = "0",
    matching: MatchingOption = "1",
    ttl: TtlOption = None,
    reason: ReasonOption = "",
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let an authority speak for every client below a wildcard: whoever it certifies logs in, without a record."""
    from dnsbound.provision.owner import OwnerName
    from dnsbound.provision.ownership.authority_certificate import AuthorityCertificate

    name = OwnerName.parse(owner, wildcard=True)
    used, chosen, matched = parse_parameters(usage, selector, matching)
    der = _certificate(certificate)
    now = time.time()
    with opened_inventory(inventory) as store:
        made = store.authorities.publish(
            name,
            der,
            usage=used,
            selector=chosen,
            matching_type=matched,
            ttl=ttl,
            now=now,
            actor=actor(),
            reason=reason,
        )
        gaps = [gap for gap in store.gaps() if gap.wildcard == name]
    said = AuthorityCertificate.admit(der, owner=name, now=now).advice(name, used, chosen, now=now)
    said += [f"{gap.sentence}: {gap.remedy}." for gap in gaps]
    if as_json:
        emit(_facts(made) | {"advice": said})
        return
    _tell(made)
    for sentence in said:
        advise(sentence)


@app.command("list", epilog=example("dnsbound authority list --json"))
def list_(*, inventory: InventoryOption = None, as_json: JsonOption = False) -> None:
    """List authorities; with --json one object per line."""
    with opened_inventory(inventory) as store:
        for found in store.authorities.all():
            if as_json:
                emit(_facts(found))
            else:
                _tell(found)


@app.command(
    "revoke", epilog=example("dnsbound authority revoke '*._device.cars.example' --cert ca.pem --reason 'key lost'")
)
def revoke(
    owner: OwnerArgument,
    *,
    certificate: Annotated[
        str | None, typer.Option("--cert", help="Its certificate.", show_default="the only one there")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    reason: ReasonOption = "",
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove an authority's records: no client it certified for those names logs in any more."""
    from dnsbound.provision.owner import OwnerName

    name = OwnerName.parse(owner, wildcard=True)
    with opened_inventory(inventory) as store:
        found = _chosen(store, name, None if certificate is None else _certificate(certificate))
        reach = store.authorities.reach(found)
        advise(
            f"Every client that only this authority vouches for at {name} is shut out. Below it {reach.registered} "
            f"identities have records of their own and stay; {reach.blocked} names are blocked already; the same "
            f"record stands at {reach.vouched_by_name} other names and stays there."
        )
        if not yes and not typer.confirm(f"Revoke the authority of {name}?", err=True):
            advise("Nothing was changed.")
            raise typer.Exit(ExitCode.NO)
        gone = store.authorities.revoke(name, found.certificate, now=time.time(), actor=actor(), reason=reason)
    removed = [record.to_text() for record in found.records]
    if as_json:
        emit(_facts(gone) | {"removed": removed})
        return
    _tell(gone)
    ttl = max((record.ttl for record in found.records), default=0)
    advise(f"Servers that looked such a name up before may remember it for up to {ttl} seconds.")


@app.command("gaps", epilog=example("dnsbound authority gaps --crl ca.crl --issued certificates.pem"))
def gaps(
    *,
    crl: Annotated[
        list[str] | None, typer.Option("--crl", help="A revocation list of an authority here; may be repeated.")
    ] = None,
    issued: Annotated[
        list[str] | None,
        typer.Option("--issued", help="Certificates the authority issued, PEM; may be repeated."),
    ] = None,
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find names that a wildcard lets in though they were revoked, and names that it is silenced for.

    Ends with 1 when somebody is let in who should not be.
    """
    from dnsbound.provision.ownership.gaps import LETS_IN

    certificates = [der for source in issued or [] for der in _certificates(source)]
    let_in = False
    with opened_inventory(inventory) as store:
        for gap in store.gaps():
            let_in = let_in or gap.kind in LETS_IN
            _tell_gap(gap, as_json=as_json)
        for source in crl or []:
            listed = _list_of(store, source, certificates)
            for gap in store.gaps.listed(listed, certificates):
                let_in = True
                _tell_gap(gap, as_json=as_json)
    raise typer.Exit(ExitCode.NO if let_in else ExitCode.YES)


def _list_of(store: "Inventory", source: str, certificates: list[bytes]) -> "RevocationList":
    """The list, which an authority of the inventory signed, or one that it certified."""
    from dnsbound.provision.ownership.revocation_list import RevocationList, issued_by

    try:
        listed = RevocationList.parse(read_octets(source))
    except Malformed as error:
        raise Malformed(f"{source}: {error}") from None
    own = [authority.certificate for authority in store.authorities.all()]
    below = [der for der in certificates if any(issued_by(der, authority) for authority in own)]
    if listed.signer_among([*own, *below]) is None:
        raise Misuse(f"{source}: no authority of this inventory signed this list of {listed.issuer}")
    if listed.next_at is not None and listed.next_at < time.time():
        advise(f"{source} is out of date: a newer list was due at {iso(listed.next_at)}.")
    return listed


def _certificate(source: str) -> bytes:
    material = read_key_material(source)
    if not material.chain:
        raise Misuse(f"{source} holds a {material.kind.value}, not a certificate")
    return material.chain[0]


def _certificates(source: str) -> tuple[bytes, ...]:
    chain = read_key_material(source).chain
    if not chain:
        raise Misuse(f"{source} holds no certificate")
    return chain


def _chosen(store: "Inventory", owner: "OwnerName", certificate: bytes | None) -> "Authority":
    from dnsbound.provision.entries import IdentityState
    from dnsbound.provision.errors import NotInInventory

    found = list(store.authorities.all(owner=owner, state=IdentityState.ACTIVE))
    if certificate is not None:
        found = [authority for authority in found if authority.certificate == certificate]
    if not found:
        raise NotInInventory(f"no such authority speaks for {owner}")
    if len(found) > 1:
        raise Misuse(f"{len(found)} authorities speak for {owner}: say which with --cert")
    return found[0]


def _tell(authority: "Authority") -> None:
    for record in authority.records:
        say(record.to_text())
    if not authority.records:
        say(f"{authority.owner}  {authority.state.value}  {authority.fingerprint}")


def _tell_gap(gap: "Gap", *, as_json: bool) -> None:
    if as_json:
        wildcard = None if gap.wildcard is None else gap.wildcard.text
        emit({"kind": gap.kind.value, "name": gap.name.text, "wildcard": wildcard, "remedy": gap.remedy})
        return
    say(f"{gap.kind.value}  {gap.sentence}")
    say(f"  {gap.remedy}")


def _facts(authority: "Authority") -> dict[str, object]:
    return {
        "owner": authority.owner.text,
        "state": authority.state.value,
        "certificate": authority.fingerprint,
        "registered_at": iso(authority.registered_at),
        "revoked_at": None if authority.revoked_at is None else iso(authority.revoked_at),
        "records": [record.to_text() for record in authority.records],
    }
