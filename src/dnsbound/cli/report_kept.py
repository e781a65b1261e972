"""`dnsbound report list`, `show`, `export` and `prune`: what a receiver's store holds."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dnsbound.cli.exit_codes import printable
from dnsbound.cli.options import JsonOption
from dnsbound.cli.output import advise, emit, say
from dnsbound.cli.report_options import StoreOption, moment_before, opened_intake
from dnsbound.errors import Misuse
from dnsbound.names import ClientName
from dnsbound.times import iso

if TYPE_CHECKING:
    from dnsbound.provision.reports.quarantine import Quarantined
    from dnsbound.provision.reports.reading import ReceivedReport

IssuerOption = Annotated[str | None, typer.Option("--from", metavar="NAME", help="Of this signer alone.")]
NumberArgument = Annotated[int, typer.Argument(metavar="NUMBER", help="As `report list` shows it.", min=1)]


def list_reports(
    *,
    store: StoreOption,
    issuer: IssuerOption = None,
    quarantine: Annotated[bool, typer.Option("--quarantine", help="Those that were not taken, and why.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the reports that were taken, or that wait in quarantine."""
    from dnsbound.provision.reports.reading import received_reports

    name = None if issuer is None else ClientName.parse(issuer).canonical
    with opened_intake(store) as intake:
        if quarantine:
            for kept in intake.quarantine.reports(issuer=name):
                _tell_kept(kept, as_json=as_json)
            return
        for taken in received_reports(intake.database, issuer=name):
            _tell_taken(taken, as_json=as_json)


def _tell_taken(taken: "ReceivedReport", *, as_json: bool) -> None:
    if as_json:
        emit(_taken_facts(taken))
        return
    archived = "" if taken.archived else "  without evidence"
    say(
        f"{taken.number}  {taken.issuer}  {taken.sequence}  {iso(taken.received_at)}  {taken.order.value}"
        f"  {taken.record}{archived}"
    )


def _taken_facts(taken: "ReceivedReport") -> dict[str, object]:
    return {
        "number": taken.number,
        "signer": taken.issuer,
        "sequence": taken.sequence,
        "sha256": taken.digest.hex(),
        "received": iso(taken.received_at),
        "judged": iso(taken.judged_at),
        "order": taken.order.value,
        "record": taken.record,
        "source": taken.source,
        "evidence": taken.archived,
    }


def _tell_kept(kept: "Quarantined", *, as_json: bool) -> None:
    if as_json:
        emit(
            {
                "number": kept.number,
                "claims to be from": kept.issuer,
                "sha256": kept.digest.hex(),
                "received": iso(kept.received_at),
                "judged": iso(kept.judged_at),
                "tries": kept.tries,
                "state": kept.state.value,
                "reason": kept.reason.value,
                "detail": kept.detail,
                "source": kept.source,
                "token": kept.token.decode("ascii", "replace"),
            }
        )
        return
    say(
        f"{kept.number}  {kept.issuer}  {iso(kept.received_at)}  {kept.state.value}"
        f"  {kept.reason.value}: {printable(kept.detail)}"
    )


def show(*, number: NumberArgument, store: StoreOption, as_json: JsonOption = False) -> None:
    """Show one report that was taken: what it says, and what was answered."""
    from dnsbound.objects.jose import jws
    from dnsbound.objects.jose.jwt import read_claims
    from dnsbound.objects.report import TYP
    from dnsbound.provision.reports.reading import whole_report

    with opened_intake(store) as intake:
        whole = whole_report(intake.database, number)
    claims = dict(read_claims(jws.parse(whole.token, typ=TYP)).members)
    if as_json:
        receipt = whole.receipt.decode("ascii")
        emit(_taken_facts(whole.shown) | {"claims": claims, "receipt": receipt, "token": whole.token.decode("ascii")})
        return
    import json

    _tell_taken(whole.shown, as_json=False)
    say(json.dumps(claims, indent=2, ensure_ascii=True))


def export(
    *,
    number: NumberArgument,
    store: StoreOption,
    out: Annotated[Path, typer.Option("--out", help="File to write, replaced if it is there.", dir_okay=False)],
    as_json: JsonOption = False,
) -> None:
    """Write one report with its receipt and evidence as a file that can be judged again: `dnsbound verify`."""
    from dnsbound.edge.secret_files import write_public_file
    from dnsbound.provision.reports.reading import whole_report

    with opened_intake(store) as intake:
        whole = whole_report(intake.database, number)
    if whole.archive is None:
        raise Misuse(f"no evidence was kept with report {number}")
    octets = whole.archive.to_wire()
    write_public_file(out, octets)
    if as_json:
        emit(_taken_facts(whole.shown) | {"file": str(out), "octets": len(octets)})
    else:
        advise(f"{out}: {len(octets)} octets; it holds as of {iso(whole.shown.judged_at)}")


def prune(
    *,
    store: StoreOption,
    before: Annotated[
        str, typer.Option("--before", metavar="TIME", help="Such as 2026-11-22T16:00:00Z, or 90d: so long ago.")
    ],
    quarantine: Annotated[bool, typer.Option("--quarantine", help="Empty the quarantine instead.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Forget what was received before a time: reports nobody could send again as new, or the quarantine's."""
    now = time.time()
    moment = moment_before(before, now=now)
    with opened_intake(store) as intake:
        gone = intake.quarantine.prune(before=moment) if quarantine else intake.prune(before=moment, now=now)
    if as_json:
        emit({"forgotten": gone, "before": iso(moment)})
    else:
        say(f"{gone} forgotten")
