"""`dnsbound explain`: why a name's records are believed or not, as a tree: the DNSSEC chain, then each record."""

from itertools import groupby
from typing import TYPE_CHECKING, Final

import typer

from dnsbound.cli.exit_codes import printable
from dnsbound.cli.judging import Judgement, facts, judge
from dnsbound.cli.key_material import read_key_material
from dnsbound.cli.match import POSSESSION, CertOption, RootsOption, presented_by, root_certificates
from dnsbound.cli.opened import opened_resolver
from dnsbound.cli.options import AnchorsOption, JsonOption, NameArgument, ResolverOption, TimeoutOption
from dnsbound.cli.output import console, emit
from dnsbound.cli.remedies import REMEDY
from dnsbound.names import ClientName
from dnsbound.times import iso

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

_STYLE: Final = {
    "secure": "green",
    "yes": "green",
    "matched": "green",
    "usable": "green",
    "no": "red",
    "bogus": "red",
    "mismatch": "red",
}
_OTHER_STYLE: Final = "yellow"


def explain(
    name: NameArgument,
    *,
    cert: CertOption = None,
    roots: RootsOption = None,
    resolver: ResolverOption = None,
    anchors: AnchorsOption = None,
    timeout: TimeoutOption = 5.0,
    as_json: JsonOption = False,
) -> None:
    """Show the DNSSEC chain of a name and what each of its records is good for."""
    client = ClientName.parse(name.removesuffix("."))
    presented = None if cert is None else presented_by(read_key_material(cert))
    authorities = root_certificates(roots)
    with opened_resolver(resolver, anchors) as asked:
        found = judge(client, presented, asked, deadline=timeout, roots=authorities)
    if as_json:
        emit(facts(found, client) | ({} if presented is None else {"possession": POSSESSION}))
    else:
        console().print(_tree(found, client))
    raise typer.Exit(found.exit_code)


def _tree(found: Judgement, name: ClientName) -> "Tree":
    from rich.tree import Tree

    answer = found.answer
    tree = Tree(_line(f"{name} TLSA", f"{answer.security.value}, {answer.outcome.value}", answer.security.value))
    chain = tree.add("DNSSEC chain")
    for owner, steps in groupby(answer.steps, key=lambda step: step.owner):
        branch = chain.add(printable(owner))
        for step in steps:
            branch.add(_line(step.subject, step.conclusion, step.security.value))
    for alias in answer.aliases:
        chain.add(f"alias to {alias}")
    if answer.outcome.value == "records":
        expiry = "" if answer.earliest_expiry is None else f", signatures until {iso(answer.earliest_expiry)}"
        records = tree.add(f"records, for {int(answer.ttl)} s{expiry}{', from a wildcard' if answer.wildcard else ''}")
        for record in facts(found, name)["records"]:  # type: ignore[attr-defined] # a list, by its maker
            why = f": {record['why']}" if record["why"] else ""
            records.add(_line(record["record"], f"{record['state']}{why}", record["state"]))
    verdict = found.outcome if found.reason is None else f"{found.outcome}: {found.reason.value}"
    end = tree.add(_line("verdict", f"{verdict}{f' ({found.detail})' if found.detail else ''}", found.outcome))
    if found.reason is not None:
        end.add(REMEDY[found.reason])
    return tree


def _line(what: str, said: str, state: str) -> "Text":
    from rich.text import Text

    return Text.assemble(printable(what), "  ", (printable(said), _STYLE.get(state, _OTHER_STYLE)))
