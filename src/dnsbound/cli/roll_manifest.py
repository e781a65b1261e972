"""New keys of many clients at once, from the files, directories and lists that `dnsbound id adopt` reads."""

from dataclasses import replace
from typing import TYPE_CHECKING

from dnsbound.cli.exit_codes import printable
from dnsbound.cli.output import advise

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnsbound.names import ClientName
    from dnsbound.provision.lifecycle.beginning import Wish


def wishes_of_manifest(places: list[str], wish: "Wish", *, below: str | None) -> "Iterator[tuple[ClientName, Wish]]":
    """Each client with its new key, in the order of the files; rows that are none are told and passed over.

    wish: what is said of all of them. below: every name lies there; serial numbers become labels below its `_device`.
    """
    from dnsbound.provision.adoption.accepting import Terms, accepted
    from dnsbound.provision.adoption.candidate import BadRow, PassedOver
    from dnsbound.provision.adoption.naming import NameRules
    from dnsbound.provision.adoption.source import ReadingRules
    from dnsbound.provision.adoption.sources import rows

    terms = Terms(names=NameRules.parse(below=below))
    for row in rows(places, ReadingRules()):
        if isinstance(row, PassedOver):
            continue
        found = row if isinstance(row, BadRow) else accepted(row, terms)
        if isinstance(found, BadRow):
            advise(f"{found.where}: {found.problem.value}: {printable(found.detail)}")
            continue
        chain = () if found.certificate is None else (found.certificate,)
        yield found.name, replace(wish, spki=found.spki, chain=chain)
