"""`dnsbound report`: sending signed reports, and the commands about those that were received."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dnsbound.cli import report_kept, report_receive
from dnsbound.cli.exit_codes import ExitCode, printable
from dnsbound.cli.opened import opened_resolver
from dnsbound.cli.options import AnchorsOption, JsonOption, ResolverOption, example
from dnsbound.cli.output import advise, emit, say
from dnsbound.cli.report_options import CredentialOption, StoreOption, opened_outbox
from dnsbound.errors import Malformed, Misuse
from dnsbound.times import iso, moment_of_text

if TYPE_CHECKING:
    from dnsbound.edge.report_sender import Delivery
    from dnsbound.provision.reports.outbox import SentReport

app = typer.Typer(help="Signed reports: send, receive, keep, judge again.", no_args_is_help=True)

app.command(
    "receive",
    epilog=example(
        "dnsbound report receive --credential report.pem --store in.db --door reports --http 127.0.0.1:8086"
    ),
)(report_receive.receive)
app.command("judge", epilog=example("dnsbound report judge --credential report.pem --store in.db --door reports"))(
    report_receive.judge
)
app.command("list", epilog=example("dnsbound report list --store in.db --quarantine --json"))(report_kept.list_reports)
app.command("show", epilog=example("dnsbound report show 7 --store in.db"))(report_kept.show)
app.command("export", epilog=example("dnsbound report export 7 --store in.db --out 7.archive"))(report_kept.export)
app.command("prune", epilog=example("dnsbound report prune --store in.db --before 400d"))(report_kept.prune)


@app.command(
    "send",
    epilog=example(
        "dnsbound report send route.json --credential car54.pem --to report.gov.example --store out.db "
        "--url https://report.gov.example/"
    ),
)
def send(
    content: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE]",
            help="JSON object to report; - for standard input. Without it what waits is sent.",
            show_default=False,
        ),
    ] = None,
    *,
    credential: CredentialOption,
    audience: Annotated[str, typer.Option("--to", metavar="NAME", help="The receiver's DNS name.")],
    store: StoreOption,
    url: Annotated[
        str | None, typer.Option("--url", help="Where its receiver takes reports.", show_default="kept, and not sent")
    ] = None,
    only_print: Annotated[
        bool, typer.Option("--print", help="Print the signed report too, for another way there.")
    ] = False,
    lifetime: Annotated[
        int | None, typer.Option("--lifetime", help="Seconds it holds.", show_default="86400, a day")
    ] = None,
    event_at: Annotated[
        str | None, typer.Option("--event-at", help="When it took place, such as 2026-11-22T16:00:00Z.")
    ] = None,
    from_sequence: Annotated[
        int | None, typer.Option("--from-sequence", help="Go on from this number, after the count was lost.")
    ] = None,
    danger_clear: Annotated[
        bool, typer.Option("--danger-clear", help="Let http:// go to another machine, readable on the way.")
    ] = False,
    danger_any_clock: Annotated[
        bool, typer.Option("--danger-any-clock", help="Report although the clock was set back.")
    ] = False,
    resolver: ResolverOption = None,
    anchors: AnchorsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign a report and keep it, then send all that wait until each has a receipt."""
    import asyncio

    from dnsbound.edge.credential_files import load_credential
    from dnsbound.edge.object_verifier import ObjectVerifier
    from dnsbound.edge.report_http import http_delivery
    from dnsbound.edge.report_sender import ReportSender

    claims = None if content is None else _read_claims(content)
    deliver = None if url is None else http_delivery(url, danger_clear=danger_clear)
    happened = None if event_at is None else _moment(event_at)
    own = load_credential(credential)
    with opened_outbox(store, create=True) as outbox, opened_resolver(resolver, anchors) as asked:
        sender = ReportSender(
            own,
            outbox,
            audience,
            ObjectVerifier.expecting([audience], asked),
            lifetime=lifetime,
            danger_any_clock=danger_any_clock,
        )
        made = None if claims is None else sender.make(claims, event_at=happened, from_sequence=from_sequence)
        delivery = None if deliver is None else asyncio.run(sender.send_waiting(deliver))
        standing = None if made is None else outbox.find(made.digest)
    code = ExitCode.YES if delivery is None else _code(delivery)
    if as_json:
        emit(_facts(standing, delivery, with_token=only_print))
    else:
        _tell(standing, delivery, with_token=only_print)
    raise typer.Exit(code)


def _code(delivery: "Delivery") -> ExitCode:
    if delivery.refused or delivery.expired:
        return ExitCode.NO
    return ExitCode.UNDECIDED if delivery.waiting else ExitCode.YES


def _facts(made: "SentReport | None", delivery: "Delivery | None", *, with_token: bool) -> dict[str, object]:
    facts: dict[str, object] = {"report": None if made is None else sent_facts(made)}
    if made is not None and with_token:
        facts["token"] = made.token.decode("ascii")
    if delivery is not None:
        facts["sent"] = {
            "accepted": delivery.accepted,
            "refused": delivery.refused,
            "waiting": delivery.waiting,
            "expired": delivery.expired,
            "trouble": delivery.trouble,
        }
    return facts


def sent_facts(sent: "SentReport") -> dict[str, object]:
    """One report of an outbox, for `--json`."""
    return {
        "to": sent.audience,
        "sequence": sent.sequence,
        "sha256": sent.digest.hex(),
        "made": iso(sent.made_at),
        "ends": iso(sent.expires_at),
        "state": sent.state.value,
        "tries": sent.tries,
        "trouble": sent.trouble,
        "receipt": None if sent.receipt is None else sent.receipt.decode("ascii"),
    }


def _tell(made: "SentReport | None", delivery: "Delivery | None", *, with_token: bool) -> None:
    if made is not None and with_token:
        say(made.token.decode("ascii"))
    if made is not None:
        advise(
            f"report {made.sequence} to {made.audience} is {made.state.value}; it holds until {iso(made.expires_at)}"
        )
    if delivery is None:
        return
    counted = f"{delivery.accepted} accepted, {delivery.refused} refused, {delivery.waiting} waiting"
    advise(f"{counted}, {delivery.expired} ended")
    if delivery.trouble:
        advise(f"nothing got there: {printable(delivery.trouble)}")


@app.command("outbox", epilog=example("dnsbound report outbox --store out.db --json"))
def outbox(*, store: StoreOption, as_json: JsonOption = False) -> None:
    """List the reports that were sent, or wait to be, and what became of them."""
    with opened_outbox(store) as opened:
        for sent in opened.reports():
            if as_json:
                emit(sent_facts(sent))
                continue
            trouble = f"  {printable(sent.trouble)}" if sent.trouble else ""
            say(f"{sent.sequence}  {sent.audience}  {iso(sent.made_at)}  {sent.state.value}{trouble}")


def _read_claims(source: str) -> dict[str, Any]:
    from dnsbound.cli.key_material import read_octets
    from dnsbound.objects.jose.strict_json import read_object

    return read_object(read_octets(source), "standard input" if source == "-" else source)


def _moment(text: str) -> float:
    try:
        return moment_of_text(text)
    except Malformed as error:
        raise Misuse(f"--event-at: {error.what}") from None
