"""`dnsbound chain`: a name's DNSSEC chain as a file, and judging such a file without any DNS."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dnsbound.cli.exit_codes import ExitCode, exit_code_of_reason, printable
from dnsbound.cli.judging import proof_steps
from dnsbound.cli.opened import opened_resolver, trust_anchors
from dnsbound.cli.options import AnchorsOption, JsonOption, ResolverOption, TimeoutOption, example
from dnsbound.cli.output import advise, emit, say
from dnsbound.errors import Malformed, Misuse, Reason, Refused, Undecided
from dnsbound.times import Moment, iso, moment_of_text

if TYPE_CHECKING:
    import dns.name
    import dns.rdatatype

    from dnsbound.dns.anchors import TrustAnchors
    from dnsbound.dns.answer import Answer
    from dnsbound.dns.chain_building import BuiltChain
    from dnsbound.dns.chain_file import ChainFile

app = typer.Typer(help="DNSSEC chains as files: export one, verify one without any DNS.", no_args_is_help=True)

NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="Whole owner name, such as car54._device.cars.example.")
]
TypeOption = Annotated[str, typer.Option("--type", help="Record type.")]


@app.command("export", epilog=example("dnsbound chain export car54._device.cars.example --out car54.chain"))
def export(
    name: NameArgument,
    *,
    rdtype: TypeOption = "TLSA",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="File to write, replaced if it is there.", dir_okay=False, show_default="standard output"
        ),
    ] = None,
    resolver: ResolverOption = None,
    anchors: AnchorsOption = None,
    timeout: TimeoutOption = 5.0,
    as_json: JsonOption = False,
) -> None:
    """Write down what proves a name's records, from the trust anchor down: for a verifier that has no DNS."""
    from dnsbound.dns.chain_file import ChainFile
    from dnsbound.edge.secret_files import write_public_file

    owner, kind = _owner(name), _type(rdtype)
    with opened_resolver(resolver, anchors) as asked:
        built = asked.chain_blocking(owner, kind, deadline=timeout)
    file = ChainFile.of(built.octets, owner, kind, made=time.time())
    if out is not None:
        write_public_file(out, file.to_text().encode("ascii"))
    if as_json:
        emit(_exported(file, built) | ({"chain": file.to_text()} if out is None else {"file": str(out)}))
    elif out is None:
        say(file.to_text().removesuffix("\n"))
    _advise_exported(file, built)


def _exported(file: "ChainFile", built: "BuiltChain") -> dict[str, object]:
    answer = built.answer
    return {
        **_labels(file),
        "security": answer.security.value,
        "answer": answer.outcome.value,
        "holds_until": None if answer.earliest_expiry is None else iso(answer.earliest_expiry),
    }


def _advise_exported(file: "ChainFile", built: "BuiltChain") -> None:
    from dnsbound.dns.answer import Outcome, Security

    answer = built.answer
    what = _subject(file)
    if answer.security is not Security.SECURE:
        advise(f"the chain proves that {what} is in an unsigned zone: it admits nobody")
    elif answer.outcome is not Outcome.RECORDS:
        advise(f"the chain proves that there is no {what} ({answer.outcome.value}): it admits nobody")
    elif answer.earliest_expiry is not None:
        advise(f"the chain has {len(file.octets)} octets and holds until {iso(answer.earliest_expiry)}")


@app.command("verify", epilog=example("dnsbound chain verify car54.chain car54._device.cars.example"))
def verify(
    source: Annotated[str, typer.Argument(metavar="FILE", help="A file of `chain export`; - for standard input.")],
    name: NameArgument,
    *,
    rdtype: TypeOption = "TLSA",
    at: Annotated[
        str | None, typer.Option("--at", help="Moment to judge by, such as 2026-11-22T16:00:00Z.", show_default="now")
    ] = None,
    anchors: AnchorsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge a chain by the trust anchor and a moment alone. It cannot say whether the record was removed since."""
    owner, kind = _owner(name), _type(rdtype)
    moment = time.time() if at is None else _moment(at)
    trusted = trust_anchors(anchors)
    file = _read(source)
    if (file.name, file.rdtype) != (owner, kind):
        raise Undecided(
            Reason.INDETERMINATE, f"{source} holds the chain of {_subject(file)}, which says nothing of {name}"
        )
    answer, reason, detail = _judged(file, trusted, moment)
    code = ExitCode.YES if reason is None else exit_code_of_reason(reason)
    if as_json:
        emit(
            _facts(file, answer, moment) | {"outcome": _WORD[code], "reason": reason and reason.value, "detail": detail}
        )
    else:
        _tell(file, answer, moment, f"{_WORD[code]}: {reason.value}: {detail}" if reason else "")
    raise typer.Exit(code)


_WORD = {ExitCode.YES: "yes", ExitCode.NO: "no", ExitCode.UNDECIDED: "undecided"}


def _judged(file: "ChainFile", trusted: "TrustAnchors", at: Moment) -> "tuple[Answer, Reason | None, str]":
    from dnsbound.verify.engine import check_answer

    answer = _judge(file, trusted, at)
    try:
        check_answer(answer, now=at, begun_at=at)
    except (Refused, Undecided) as error:
        absent = f"the chain proves that there is no {_subject(file)} ({answer.outcome.value})"
        said = absent if error.reason is Reason.NO_TLSA else error.detail
        return answer, error.reason, _timing(file, trusted, at) or said
    return answer, None, ""


def _judge(file: "ChainFile", trusted: "TrustAnchors", at: Moment) -> "Answer":
    from dnsbound.dns.chain_judging import ChainLimits, judge_chain
    from dnsbound.limits import CARRIED_OCTETS, CARRIED_RECORDS, CARRIED_SIGNATURES

    # A file on the command line is the user's own cost.
    spend = ChainLimits(
        octets=CARRIED_OCTETS.maximum, records=CARRIED_RECORDS.maximum, signature_checks=CARRIED_SIGNATURES.maximum
    )
    return judge_chain(file.octets, file.name, file.rdtype, anchors=trusted, now=at, spend=spend)


def _timing(file: "ChainFile", trusted: "TrustAnchors", at: Moment) -> str:
    """Since when a chain does not hold that has held, or will; empty when time is not what is wrong with it."""
    from dnsbound.dns.answer import Security

    begin, end = _window(file, at)
    if begin > end or begin <= at <= end:
        return ""
    nearest = end if at > end else begin
    if _judge(file, trusted, nearest).security is not Security.SECURE:
        return ""
    return f"the chain is expired since {iso(end)}" if at > end else f"the chain is not valid before {iso(begin)}"


def _window(file: "ChainFile", at: Moment) -> tuple[Moment, Moment]:
    from dnsbound.dns.chain import AuthenticationChain

    return AuthenticationChain.from_wire(file.octets).window(at)


def _tell(file: "ChainFile", answer: "Answer", at: Moment, problem: str) -> None:
    say(printable(f"{_subject(file)}: {answer.security.value}, {answer.outcome.value}"))
    for record in answer.records:
        say(f"  {printable(record.to_text())}")
    for alias in answer.aliases:
        say(f"  by way of the alias {printable(alias.to_text())}")
    begin, end = _window(file, at)
    say(f"signatures from {iso(begin)} to {iso(end)}, judged at {iso(at)}; made {iso(file.made)}")
    if problem:
        say(printable(problem))


def _facts(file: "ChainFile", answer: "Answer", at: Moment) -> dict[str, object]:
    begin, end = _window(file, at)
    return {
        **_labels(file),
        "at": iso(at),
        "security": answer.security.value,
        "answer": answer.outcome.value,
        "aliases": [alias.to_text(omit_final_dot=True) for alias in answer.aliases],
        "wildcard": answer.wildcard,
        "records": [record.to_text() for record in answer.records],
        "signed_at": None if answer.signed_at is None else iso(answer.signed_at),
        "signatures_begin": iso(begin),
        "signatures_end": iso(end),
        "steps": proof_steps(answer),
    }


def _labels(file: "ChainFile") -> dict[str, object]:
    return {
        "name": file.name.to_text(omit_final_dot=True),
        "type": _type_text(file),
        "made": iso(file.made),
        "octets": len(file.octets),
    }


def _subject(file: "ChainFile") -> str:
    return f"{file.name.to_text(omit_final_dot=True)} {_type_text(file)}"


def _type_text(file: "ChainFile") -> str:
    import dns.rdatatype

    return dns.rdatatype.to_text(file.rdtype)


def _read(source: str) -> "ChainFile":
    from dnsbound.cli.key_material import read_octets
    from dnsbound.dns.chain_file import ChainFile

    octets = read_octets(source)
    shown = "standard input" if source == "-" else source
    try:
        return ChainFile.from_text(octets.decode("ascii"))
    except UnicodeDecodeError:
        raise Malformed(f"{shown}: not a text file with a DNSSEC chain") from None
    except Malformed as error:
        raise Malformed(f"{shown}: {error}") from None


def _owner(name: str) -> "dns.name.Name":
    import dns.exception
    import dns.name

    try:
        return dns.name.from_text(name).canonicalize()
    except (dns.exception.DNSException, UnicodeError) as error:
        raise Misuse(f"{name!r} is no domain name: {error}") from None


def _type(text: str) -> "dns.rdatatype.RdataType":
    import dns.exception
    import dns.rdatatype

    try:
        return dns.rdatatype.from_text(text)
    except (dns.exception.DNSException, ValueError):
        raise Misuse(f"{text!r} is not a record type") from None


def _moment(text: str) -> Moment:
    try:
        return moment_of_text(text)
    except Malformed as error:
        raise Misuse(f"--at: {error.what}") from None
