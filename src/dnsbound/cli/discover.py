"""`dnsbound discover`: which keys and authorities the DNS publishes about a name, a mailbox or a `dns:` URI."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from dnsbound.cli.exit_codes import ExitCode, exit_code_of_reason, printable
from dnsbound.cli.opened import opened_resolver
from dnsbound.cli.options import AnchorsOption, JsonOption, ResolverOption, TimeoutOption
from dnsbound.cli.output import console, emit
from dnsbound.cli.remedies import REMEDY
from dnsbound.times import iso

if TYPE_CHECKING:
    from rich.tree import Tree

    from dnsbound.verify.discovered import Found, Published

SubjectArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME|USER@DOMAIN|dns:URI", help="Whom to ask about: a name, a mailbox, or a dns: URI of TLSA records."
    ),
]
DangerPkixCdOption = Annotated[
    bool,
    typer.Option(
        "--danger-pkix-cd",
        help="Believe certificates at records of usage 4 by the web's authorities, signed zone or not (expired draft).",
    ),
]
_STYLE: Final = {True: "green", False: "yellow"}


def discover(
    subject: SubjectArgument,
    *,
    resolver: ResolverOption = None,
    anchors: AnchorsOption = None,
    timeout: TimeoutOption = 5.0,
    danger_pkix_cd: DangerPkixCdOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show which keys and authorities the DNS publishes, and what each is good for."""
    from dnsbound.edge.discovery import discover_blocking, subject_of
    from dnsbound.edge.pkix_cd import PkixCd

    meant = subject_of(subject)
    with opened_resolver(resolver, anchors) as asked:
        found = discover_blocking(
            meant, asked, deadline=timeout, danger_pkix_cd=PkixCd(deadline=timeout) if danger_pkix_cd else None
        )
    code = _exit_code(found)
    if as_json:
        outcome = {ExitCode.YES: "yes", ExitCode.NO: "no"}.get(code, "undecided")
        emit({"subject": meant.text, "outcome": outcome, "places": [_facts(place) for place in found]})
    else:
        console().print(_tree(meant.text, found))
    raise typer.Exit(code)


def _exit_code(found: "tuple[Found, ...]") -> ExitCode:
    """Yes when something counts; undecided when nothing does and a place could not be asked."""
    if any(place.reason is None for place in found):
        return ExitCode.YES
    codes = {exit_code_of_reason(place.reason) for place in found if place.reason is not None}
    return ExitCode.UNDECIDED if ExitCode.UNDECIDED in codes else ExitCode.NO


def _facts(found: "Found") -> dict[str, object]:
    answer = found.answer
    return {
        "owner": found.place.owner,
        "type": found.place.rdtype.name,
        "of": found.place.what,
        "security": answer.security.value,
        "answer": answer.outcome.value,
        "wildcard": answer.wildcard,
        "reason": None if found.reason is None else found.reason.value,
        "detail": found.detail,
        "ttl": answer.ttl,
        "signatures_expire": None if answer.earliest_expiry is None else iso(answer.earliest_expiry),
        "records": [
            {
                "record": record.record,
                "what": record.what,
                "algorithm": record.algorithm,
                "uses": [use.value for use in record.uses],
                "needs_key": record.needs_key,
                "why": record.why,
            }
            for record in found.records
        ],
    }


def _tree(subject: str, found: "tuple[Found, ...]") -> "Tree":
    from rich.text import Text
    from rich.tree import Tree

    tree = Tree(printable(subject))
    for place in found:
        counts = place.reason is None
        state = f"{place.answer.security.value}, {place.answer.outcome.value}"
        branch = tree.add(
            Text.assemble(
                f"{place.place.what}: {place.place.owner} {place.place.rdtype.name}  ", (state, _STYLE[counts])
            )
        )
        for record in place.records:
            branch.add(Text.assemble(printable(_words(record)), style=_STYLE[bool(record.uses)]))
        if place.reason is not None and place.reason.value != "no-tlsa":
            branch.add(printable(place.detail)).add(REMEDY[place.reason])
    return tree


def _words(record: "Published") -> str:
    what = f"{record.algorithm} {record.what}".strip()
    if not record.uses:
        return f"{record.record}  {what}: {record.why}"
    uses = ", ".join(use.value for use in record.uses)
    return f"{record.record}  {what}: {uses}{', with the key from elsewhere' if record.needs_key else ''}"
