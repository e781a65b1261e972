"""What RFC 7671 and the DANCE drafts advise against, said to the publisher. Advice refuses nothing.

Sections: RFC 7671 sections 2 and 10.1.2 (forms of records), draft-ietf-dance-client-auth section 10 (names that public
authorities certify) and section 12 (no credential shared by applications).
"""

from collections.abc import Iterable, Iterator, Sequence

from dnsbound.iana import MatchingType, Selector, Usage
from dnsbound.names import ClientName
from dnsbound.records.tlsa import TLSA

_PUBLIC_AUTHORITIES = frozenset({Usage.PKIX_TA, Usage.PKIX_EE})


def advice(name: ClientName, records: Iterable[TLSA], *, shared_with: Sequence[ClientName] = ()) -> list[str]:
    """One sentence for each thing to reconsider. name: of a client. records: all its TLSA records. shared_with: other
    active names with the same key."""
    published = list(records)
    return [*advice_about_forms(published), *_about_names(name, published), *_about_sharing(shared_with)]


def advice_about_forms(records: Iterable[TLSA]) -> Iterator[str]:
    """The same of the records alone, whoever's they are."""
    kinds: dict[tuple[int, int], set[int]] = {}
    for record in records:
        kinds.setdefault((record.usage, record.selector), set()).add(record.matching_type)
    for (usage, selector), matching_types in sorted(kinds.items()):
        if matching_types == {MatchingType.SHA2_512}:
            yield (
                f"{usage} {selector} 2 stands alone: verifiers need not know SHA2-512; "
                f"publish {usage} {selector} 1 (RFC 7671 section 2)."
            )
        if selector == Selector.CERT and MatchingType.FULL in matching_types:
            yield (
                f"{usage} 0 0 puts a whole certificate into the DNS: answers grow past what UDP carries; "
                f"publish {usage} 0 1 (RFC 7671 section 10.1.2)."
            )


def wildcard_advice(name: ClientName, wildcards: Sequence[str]) -> list[str]:
    """wildcards: those of the zone that could speak for the name, nearest first (RFC 4592 section 2.2.1)."""
    return [
        f"{name} has a record of its own now: {wildcard} no longer speaks for it nor for names below it. A certificate "
        "of that authority is not enough any more."
        for wildcard in wildcards[:1]
    ]


def _about_names(name: ClientName, records: list[TLSA]) -> Iterator[str]:
    if name.labels[0].startswith("_") and len(name.labels) > 2 and name.labels[0] != "_user":
        yield (
            f"{name} is for one service: let the client use this key for {name.labels[0]} alone, and another key for "
            "every other service (draft-ietf-dance-client-auth section 12)."
        )
    if any(label.startswith("_") for label in name.labels) and any(
        record.usage in _PUBLIC_AUTHORITIES for record in records
    ):
        yield (
            "Usages 0 and 1 want a certificate of a public authority, and those certify no name with an underscore "
            "(draft-ietf-dance-client-auth section 10)."
        )


def _about_sharing(shared_with: Sequence[ClientName]) -> Iterator[str]:
    if shared_with:
        others = ", ".join(str(other) for other in shared_with[:3])
        more = f" and {len(shared_with) - 3} more" if len(shared_with) > 3 else ""
        yield (
            f"The same key is registered for {others}{more}: whoever is attacked under one name is lost under all "
            "(draft-ietf-dance-client-auth section 12)."
        )
