"""`dnsbound verify` of an archive: a report judged again, by its own evidence and the trust anchor of then."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dnsbound.cli.opened import trust_anchors
from dnsbound.cli.output import advise, emit, say
from dnsbound.errors import Malformed, Misuse
from dnsbound.times import Moment, iso, moment_of_text

if TYPE_CHECKING:
    from dnsbound.edge.report_archive import VerifiedArchive
    from dnsbound.verify.access import AccessSource

_HEAD_OCTETS: Final = 64


def holds_archive(source: str) -> bool:
    """Whether a file looks like an archive; standard input never does, as it can be read once."""
    from dnsbound.objects.archive import is_archive

    if source == "-" or not Path(source).is_file():
        return False
    with Path(source).open("rb") as file:
        return is_archive(file.read(_HEAD_OCTETS))


def verify_archive(
    source: str,
    permitted: "AccessSource",
    *,
    door: str,
    receivers: Sequence[str],
    at: str | None,
    anchors: Path | None,
    as_json: bool,
) -> None:
    """Judge an archived report as of when it was received. permitted, door: who may have signed it. receivers: whose
    word is taken for that. The DNS is not asked. Raises as `verify_archived`."""
    from dnsbound.edge.report_archive import verify_archived
    from dnsbound.object_limits import ARCHIVE_OCTETS
    from dnsbound.objects.archive import Archive

    moment = None if at is None else _moment(at)
    if moment is None and not receivers:
        raise Misuse("say whose word you take for when it was received (--receiver NAME), or say when (--at TIME)")
    trusted = trust_anchors(anchors)
    with Path(source).open("rb") as file:
        archive = Archive.from_wire(file.read(ARCHIVE_OCTETS.default + 1))
    verified = verify_archived(archive, access=permitted, door=door, receivers=receivers, anchors=trusted, at=moment)
    if as_json:
        emit(_facts(verified))
    else:
        _tell(verified)


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
