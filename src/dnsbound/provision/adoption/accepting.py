"""A candidate judged by itself: its key's strength, its name, and the record it would get."""

import hashlib
from dataclasses import dataclass

from dnsbound.credential.association import tlsa_for_certificate, tlsa_for_spki
from dnsbound.credential.keys import KeyFacts
from dnsbound.errors import Malformed, Misuse
from dnsbound.iana import MatchingType, Selector, Usage
from dnsbound.names import ClientName
from dnsbound.provision.adoption.candidate import BadRow, Candidate, Problem, RowFault
from dnsbound.provision.adoption.naming import NameRules
from dnsbound.records.tlsa import TLSA


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On what terms clients are adopted: what was said once for all rows."""

    names: NameRules
    usage: Usage = Usage.DANE_EE
    selector: Selector = Selector.SPKI
    matching_type: MatchingType = MatchingType.SHA2_256
    owner: str = ""
    """Of rows that name none."""
    tags: frozenset[str] = frozenset()
    """Of all rows, besides their own."""
    ttl: int | None = None
    """Of rows that say none; None: the zone's."""
    replace: bool = False
    """Whether a name that is registered with another key gets the source's."""
    danger_shared_keys: bool = False
    """Whether one key may stand for several names (against draft-ietf-dance-client-auth section 12)."""
    danger_weak_keys: bool = False
    danger_revoked_keys: bool = False
    """Whether a key comes back to a name that was revoked with it, or that gave it up for another one."""

    def __post_init__(self) -> None:
        if self.usage not in (Usage.DANE_EE, Usage.PKIX_EE):
            raise Misuse(
                f"clients are adopted with usage 3 or 1, not {int(self.usage)}: the record of an authority is "
                "published once, for all names below it"
            )
        if self.selector is Selector.CERT and self.matching_type is MatchingType.FULL:
            raise Misuse("whole certificates (selector 0, matching type 0) are not adopted by the list")


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A client with a name and a key, as it is staged."""

    where: str
    name: ClientName
    spki: bytes
    certificate: bytes | None
    serial: str | None
    owner: str
    tags: frozenset[str]
    ttl: int | None

    @property
    def spki_sha256(self) -> bytes:
        return hashlib.sha256(self.spki).digest()

    def record(self, terms: Terms) -> TLSA:
        """The record that stands for the client."""
        if self.certificate is None:
            return tlsa_for_spki(self.spki, terms.usage, terms.matching_type)
        return tlsa_for_certificate(self.certificate, terms.usage, terms.selector, terms.matching_type)


def accepted(candidate: Candidate, terms: Terms) -> Accepted | BadRow:
    """The candidate with its name, or why it cannot have one."""
    name = ""
    try:
        client = terms.names.name_of(candidate.shown)
        name = client.canonical
        _check_key(candidate, terms)
    except RowFault as fault:
        return BadRow(where=candidate.where, problem=fault.problem, detail=fault.detail, name=name)
    return Accepted(
        where=candidate.where,
        name=client,
        spki=candidate.spki,
        certificate=candidate.certificate,
        serial=candidate.shown.serial,
        owner=candidate.owner or terms.owner,
        tags=candidate.tags | terms.tags,
        ttl=terms.ttl if candidate.ttl is None else candidate.ttl,
    )


def _check_key(candidate: Candidate, terms: Terms) -> None:
    try:
        weak = KeyFacts.from_spki(candidate.spki).weak_because
    except Malformed as error:
        raise RowFault(Problem.WEAK_KEY, str(error)) from None
    if weak is not None and not terms.danger_weak_keys:
        raise RowFault(Problem.WEAK_KEY, weak)
    if candidate.certificate is None and terms.selector is Selector.CERT:
        raise RowFault(Problem.NO_KEY, "selector 0 needs a certificate, and the row has a bare key")
    if candidate.certificate is None and terms.usage is not Usage.DANE_EE:
        raise RowFault(Problem.NO_KEY, "usage 1 needs a certificate, and the row has a bare key")
