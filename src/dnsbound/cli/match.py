"""`dnsbound match`: does the record published at a name fit a certificate or key?"""

from typing import TYPE_CHECKING, Annotated

import typer

from dnsbound.cli.exit_codes import printable
from dnsbound.cli.judging import Judgement, facts, judge
from dnsbound.cli.key_material import KeyMaterial, read_key_material
from dnsbound.cli.opened import opened_resolver
from dnsbound.cli.options import AnchorsOption, JsonOption, NameArgument, ResolverOption, TimeoutOption
from dnsbound.cli.output import emit, say
from dnsbound.errors import Misuse
from dnsbound.names import ClientName

if TYPE_CHECKING:
    from dnsbound.credential.presented import Presented

POSSESSION: str = "possession not proved"

CertOption = Annotated[
    str | None, typer.Option("--cert", help="Certificate or chain, leaf first, or a bare key; - for standard input.")
]
RootsOption = Annotated[
    str | None, typer.Option("--roots", help="Certificates of authorities: lets usages 0 and 1 count.")
]


def match(
    name: NameArgument,
    *,
    cert: Annotated[str, typer.Option("--cert", help="Certificate or chain, leaf first, or a bare key; - for stdin.")],
    roots: RootsOption = None,
    resolver: ResolverOption = None,
    anchors: AnchorsOption = None,
    timeout: TimeoutOption = 5.0,
    as_json: JsonOption = False,
) -> None:
    """Say whether a name's records match a certificate or key. It cannot say who holds the private key."""
    client = ClientName.parse(name.removesuffix("."))
    presented = presented_by(read_key_material(cert))
    authorities = root_certificates(roots)
    with opened_resolver(resolver, anchors) as asked:
        found = judge(client, presented, asked, deadline=timeout, roots=authorities)
    if as_json:
        emit(facts(found, client) | {"possession": POSSESSION})
    else:
        tell(found)
    raise typer.Exit(found.exit_code)


def presented_by(material: KeyMaterial) -> "Presented":
    """What a client with this material would show."""
    from dnsbound.credential.presented import Presented

    if material.chain:
        return Presented(material.chain)
    return Presented(raw_public_key=material.spki)


def root_certificates(source: str | None) -> tuple[bytes, ...]:
    """DER of the authorities in a file; empty without one."""
    if source is None:
        return ()
    chain = read_key_material(source).chain
    if not chain:
        raise Misuse(f"{source} holds no certificate")
    return chain


def tell(found: Judgement) -> None:
    """For people: each record, and the verdict."""
    for result in found.results:
        why = f": {result.why}" if result.why else ""
        say(f"{result.record.to_text()}  {result.state.value}{why}")
    if found.reason is None:
        say(f"the record matches; {POSSESSION}")
    else:
        say(printable(f"{found.outcome}: {found.reason.value}{': ' if found.detail else ''}{found.detail}"))
