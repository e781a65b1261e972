"""`dnsbound record`: the TLSA record of any certificate or key, and the SMIMEA record of a mailbox's."""

from typing import Annotated

import typer

from dnsbound.cli.key_material import KeyMaterial, read_key_material
from dnsbound.cli.options import JsonOption, MatchingOption, SelectorOption, TtlOption, UsageOption
from dnsbound.cli.output import advise, emit, say
from dnsbound.errors import Misuse
from dnsbound.iana import MatchingType, Selector, Usage
from dnsbound.limits import RECORD_TTL
from dnsbound.names import ClientName, MailboxName, name_or_mailbox
from dnsbound.provision.advice import advice_about_forms
from dnsbound.records import smimea
from dnsbound.records.tlsa import TLSA


def record(
    source: Annotated[
        str, typer.Argument(metavar="FILE", help="Certificate, chain, CSR or key; PEM or DER; - for standard input.")
    ],
    *,
    usage: UsageOption = "3",
    selector: SelectorOption = "1",
    matching: MatchingOption = "1",
    name: Annotated[
        str | None, typer.Option("--name", help="Print the whole zone-file line for this name; for a mailbox, SMIMEA.")
    ] = None,
    ttl: TtlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the TLSA record of a certificate or key, or the SMIMEA record of a mailbox."""
    material = read_key_material(source)
    made = tlsa_of(material, *parse_parameters(usage, selector, matching))
    client = None if name is None else name_or_mailbox(name.removesuffix("."))
    seconds = RECORD_TTL.checked(ttl)
    line = made.to_text() if client is None else f"{_owner_and_type(client, seconds)} {made.to_text()}"
    advised = list(advice_about_forms([made]))
    if not as_json:
        say(line)
        for sentence in advised:
            advise(sentence)
        return
    emit(
        {
            "from": material.kind.value,
            "usage": made.usage,
            "selector": made.selector,
            "matching_type": made.matching_type,
            "data": made.data.hex(),
            "name": None if client is None else client.text,
            "ttl": seconds,
            "text": line,
            "advice": advised,
        }
    )


def _owner_and_type(name: ClientName, seconds: int) -> str:
    """The beginning of a zone-file line."""
    if isinstance(name, MailboxName):
        return f"{smimea.owner_of(name)}. {seconds} IN SMIMEA"
    return f"{name}. {seconds} IN TLSA"


def parse_parameters(usage: str, selector: str, matching: str) -> tuple[Usage, Selector, MatchingType]:
    """Numbers or RFC 7218 acronyms. Misuse for what no record can be made of."""
    if any(len(word.split()) != 1 for word in (usage, selector, matching)):
        raise Misuse("usage, selector and matching type are one word or number each")
    parsed = TLSA.from_text(f"{usage} {selector} {matching}")
    try:
        return Usage(parsed.usage), Selector(parsed.selector), MatchingType(parsed.matching_type)
    except ValueError:
        raise Misuse(f"no record can be made with the parameters {parsed.parameters}") from None


def tlsa_of(material: KeyMaterial, usage: Usage, selector: Selector, matching: MatchingType) -> TLSA:
    """The record of key material. Usages 0 and 2 name the last certificate of a chain (RFC 7671 section 5.2)."""
    from dnsbound.credential.association import tlsa_for_certificate, tlsa_for_spki

    if material.chain:
        names_authority = usage in (Usage.PKIX_TA, Usage.DANE_TA)
        return tlsa_for_certificate(material.chain[-1 if names_authority else 0], usage, selector, matching)
    if selector is Selector.CERT:
        raise Misuse(f"selector 0 needs a certificate; this is a {material.kind.value}")
    return tlsa_for_spki(material.spki, usage, matching)
