"""Options that say who may have signed: by name, or by a door of the access list. Without either nobody may."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from dnsbound.cli.configuration import access_place
from dnsbound.errors import Misuse

if TYPE_CHECKING:
    from dnsbound.edge.object_verifier import ObjectVerifier
    from dnsbound.edge.resolver import Resolver

FromOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--from", metavar="NAME", help="Who may have signed: a name or pattern; may be repeated.", show_default=False
    ),
]
SignerAccessOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--access",
        envvar="DNSBOUND_ACCESS",
        metavar="FILE",
        help="The access list whose door says who may have signed.",
        dir_okay=False,
        show_default="access.toml in the XDG configuration directory",
    ),
]
SignerDoorOption: TypeAlias = Annotated[
    str | None, typer.Option("--door", metavar="DOOR", help="The door of the access list.", show_default=False)
]


def is_anybody_expected(names: Sequence[str] | None, door: str | None) -> bool:
    return bool(names) or door is not None


def signer_verifier(
    names: Sequence[str] | None, access: Path | None, door: str | None, resolver: "Resolver"
) -> "ObjectVerifier":
    """Who holds a signed object against what was said. Misuse when nothing was, or both."""
    from dnsbound.edge.access_file import AccessFile
    from dnsbound.edge.object_verifier import ObjectVerifier

    if bool(names) == (door is not None):
        raise Misuse("say who may have signed: either --from NAME, or --door DOOR of an access list")
    if door is not None:
        return ObjectVerifier(AccessFile(access_place(access)), resolver, door=door)
    return ObjectVerifier.expecting(names or (), resolver)
