"""`dnsbound report verify`: an archived report judged again, by its own evidence and the trust anchor of then."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dnsbound.cli.opened import trust_anchors
from dnsbound.cli.options import AnchorsOption, JsonOption
from dnsbound.cli.output import advise, emit, say
from dnsbound.cli.report_options import EXPECTED_DOOR, AccessOption, DoorOption, FromOption, signers
from dnsbound.errors import Malformed, Misuse
from dnsbound.times import Moment, iso, moment_of_text

if TYPE_CHECKING:
    from dnsbound.edge.report_archive import VerifiedArchive


def verify(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A file of `report export`.", dir_okay=False)],
    *,
    names: FromOption = None,
    access: AccessOption = None,
    door: DoorOption = EXPECTED_DOOR,
    receiver: Annotated[
        list[str] | None,
        typer.Option(
            "--receiver", metavar="NAME", help="Whose word is taken for when it was received; may be repeated."
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="TIME",
            help="Moment to judge by, such as 2026-11-22T16:00:00Z.",
            show_default="the receipt's",
        ),
    ] = None,
    anchors: AnchorsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge an archived report as of when it was received. The DNS is not asked; a later revocation does not count."""
    from dnsbound.edge.report_archive import verify_archived
    from dnsbound.objects.archive import Archive

    permitted = signers(names, access, door)
    moment = None if at is None else _moment(at)
    trusted = trust_anchors(anchors)
    with source.open("rb") as file:
        archive = Archive.from_wire(file.read(_most() + 1))
    verified = verify_archived(
        archive, access=permitted, door=door, receivers=receiver or (), anchors=trusted, at=moment
    )
    if as_json:
        emit(_facts(verified))
    else:
        _tell(verified)


def _most() -> int:
    from dnsbound.object_limits import ARCHIVE_OCTETS

    return ARCHIVE_OCTETS.default


def _facts(verified: "VerifiedArchive") -> dict[str, object]:
    receipt, peer = verified.receipt, verified.signed.peer
    return {
        "outcome": "yes",
        "signer": verified.signed.name.canonical,
        "record": peer.record.to_text(),
        "at": iso(verified.at),
        "signatures_end": None if peer.signatures_expire is None else iso(peer.signatures_expire),
        "receiver": None if receipt is None else receipt.receiver.canonical,
        "received": None if receipt is None else iso(receipt.received_at),
        "sequence": verified.report.sequence,
        "claims": verified.report.to_claims(),
    }


def _tell(verified: "VerifiedArchive") -> None:
    say(f"yes: {verified.signed.name} signed it, as of {iso(verified.at)}, by {verified.signed.peer.record.to_text()}")
    if verified.receipt is None:
        advise("The time is yours: no receipt was looked at.")
    else:
        advise(f"{verified.receipt.receiver} says that it was received at {iso(verified.receipt.received_at)}.")


def _moment(text: str) -> Moment:
    try:
        return moment_of_text(text)
    except Malformed as error:
        raise Misuse(f"--at: {error.what}") from None
