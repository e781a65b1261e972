"""`dnsbound report receive` and `report judge`: taking reports by HTTP, from a directory or from standard input."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dnsbound.cli.exit_codes import ExitCode, printable
from dnsbound.cli.expected_signer import FromOption, SignerAccessOption, SignerDoorOption, expected_signers
from dnsbound.cli.opened import opened_resolver
from dnsbound.cli.options import AnchorsOption, JsonOption, ResolverOption
from dnsbound.cli.output import advise, emit, say
from dnsbound.cli.report_options import CredentialOption, StoreOption, opened_intake
from dnsbound.errors import Misuse

if TYPE_CHECKING:
    from dnsbound.edge.report_receiver import Answer

EvidenceOption = Annotated[
    bool,
    typer.Option(
        "--no-evidence", help="Do not keep the DNSSEC chains by which reports can be judged again in years to come."
    ),
]


def receive(
    source: Annotated[
        str | None, typer.Argument(metavar="[-]", help="- takes one report a line from standard input.")
    ] = None,
    *,
    credential: CredentialOption,
    store: StoreOption,
    names: FromOption = None,
    access: SignerAccessOption = None,
    door: SignerDoorOption = None,
    http: Annotated[
        str | None,
        typer.Option("--http", metavar="HOST:PORT", help="Serve HTTP in clear, for a front that does TLS; 0 any port."),
    ] = None,
    path: Annotated[str, typer.Option("--path", help="The path where reports are posted.")] = "/",
    spool: Annotated[
        Path | None,
        typer.Option(
            "--spool", help="Take the *.report files of a directory; receipts go beside them.", file_okay=False
        ),
    ] = None,
    no_evidence: EvidenceOption = False,
    danger_clear: Annotated[
        bool, typer.Option("--danger-clear", help="Let --http be reached from other machines without a front.")
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Open everything, receive nothing.")] = False,
    resolver: ResolverOption = None,
    anchors: AnchorsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Receive signed reports: judge, keep and answer each with a signed receipt."""
    from dnsbound.cli.report_receiving import Receiving, serve_http, take_lines, take_spool

    if sum((http is not None, spool is not None, source is not None)) != 1 or source not in (None, "-"):
        raise Misuse("say where reports come from: --http HOST:PORT, --spool DIRECTORY, or - for standard input")
    permitted, gate = expected_signers(names, access, door)
    with opened_intake(store, create=True) as intake, opened_resolver(resolver, anchors) as asked:
        receiving = Receiving.begin(
            credential, intake, permitted, asked, door=gate, evidence=not no_evidence, as_json=as_json
        )
        if check:
            advise(f"reports for {receiving.receiver.name} can be received")
            return
        if http is not None:
            serve_http(receiving, http, path=path, danger_clear=danger_clear)
            return
        answers = take_lines(receiving) if spool is None else take_spool(receiving, spool)
    raise typer.Exit(answers)


def judge(
    *,
    credential: CredentialOption,
    store: StoreOption,
    names: FromOption = None,
    access: SignerAccessOption = None,
    door: SignerDoorOption = None,
    no_evidence: EvidenceOption = False,
    resolver: ResolverOption = None,
    anchors: AnchorsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge the reports in quarantine again that could not be decided."""
    import asyncio

    from dnsbound.cli.report_receiving import Receiving

    permitted, gate = expected_signers(names, access, door)
    with opened_intake(store) as intake, opened_resolver(resolver, anchors) as asked:
        receiving = Receiving.begin(
            credential, intake, permitted, asked, door=gate, evidence=not no_evidence, as_json=as_json
        )
        answers = asyncio.run(receiving.receiver.judge_again())
    for answer in answers:
        tell(answer, as_json=as_json)
    if not answers and not as_json:
        advise("nothing waits to be judged")
    raise typer.Exit(max((code_of(answer) for answer in answers), default=ExitCode.YES))


def code_of(answer: "Answer") -> ExitCode:
    """Of one report; the largest of several says the most."""
    return {"accepted": ExitCode.YES, "refused": ExitCode.NO}.get(answer.standing.value, ExitCode.UNDECIDED)


def tell(answer: "Answer", *, as_json: bool, label: str = "") -> None:
    """One line for one report."""
    if as_json:
        emit(({"from": label} if label else {}) | answer_facts(answer))
        return
    words = [answer.standing.value, answer.signer.canonical, answer.digest.hex()[:16]]
    if answer.order is not None:
        words.append("taken before" if answer.again else answer.order.value)
    if answer.reason is not None:
        words.append(f"{answer.reason.value}: {printable(answer.detail)}" if answer.detail else answer.reason.value)
    say("  ".join(words))


def answer_facts(answer: "Answer") -> dict[str, object]:
    """The answer, for `--json`."""
    return {
        "outcome": answer.standing.value,
        "signer": answer.signer.canonical,
        "sha256": answer.digest.hex(),
        "order": None if answer.order is None else answer.order.value,
        "again": answer.again,
        "reason": None if answer.reason is None else answer.reason.value,
        "detail": answer.detail,
        "kept": answer.kept,
        "receipt": None if answer.receipt is None else answer.receipt.decode("ascii"),
    }
