"""Options that say who may have signed: by name, or by a door of the access list. Without either nobody may."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from dnsbound.cli.configuration import access_place
from dnsbound.errors import Misuse

if TYPE_CHECKING:
    from dnsbound.edge.access_file import AccessFile
    from dnsbound.edge.object_verifier import ObjectVerifier
    from dnsbound.edge.resolver import Resolver
    from dnsbound.verify.access import AccessSource

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


def expected_signers(names: Sequence[str] | None, access: Path | None, door: str | None) -> "tuple[AccessSource, str]":
    """An access list and the door of it that lets in who may have signed. Misuse when nothing was said, or both, for a
    door that is not there."""
    from dnsbound.edge.access_file import AccessFile
    from dnsbound.edge.object_verifier import EXPECTED
    from dnsbound.verify.access import AccessList

    if names and door is not None:
        raise Misuse("--from and --door both say who may have signed: give one")
    if not names and door is None:
        raise Misuse(
            "say who may have signed: --from NAME, or --access FILE --door DOOR. "
            "A signature without an expected signer proves that somebody signed, which anybody can"
        )
    if door is not None:
        return with_door(AccessFile(access_place(access)), door), door
    return AccessList.allowing(EXPECTED, [name.removesuffix(".") for name in names or ()]), EXPECTED


def with_door(access: "AccessFile", door: str) -> "AccessFile":
    """The list, where the door is on it. Misuse otherwise: nobody would come in, and a misspelt door is no refusal."""
    if door not in access.current().doors:
        raise Misuse(f"the access list has no door {door!r}")
    return access


def signer_verifier(
    names: Sequence[str] | None, access: Path | None, door: str | None, resolver: "Resolver"
) -> "ObjectVerifier":
    """Who holds a signed object against what was said. Misuse when nothing was, or both."""
    from dnsbound.edge.object_verifier import ObjectVerifier

    expected, at = expected_signers(names, access, door)
    return ObjectVerifier(expected, resolver, door=at)
