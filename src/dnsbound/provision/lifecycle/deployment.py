"""What a client has deployed, its key and certificates, and the records that match it or can be made of it.

RFC 6698 section 2.1 (what each parameter selects), RFC 7671 section 5.2 (usages 0 and 2 name an authority of the chain
the client sends), draft-ietf-dance-client-auth section 9 (raw keys).
"""

from dataclasses import dataclass
from typing import NamedTuple, Self

from dnsbound.credential.association import DIGESTS, tlsa_for_presented, tlsa_for_spki
from dnsbound.credential.certificate_facts import spki_of
from dnsbound.credential.matching import MatchPolicy, RecordState, match
from dnsbound.credential.presented import Presented
from dnsbound.errors import Malformed, Misuse
from dnsbound.iana import MatchingType, Selector, Usage
from dnsbound.names import ClientName
from dnsbound.provision.errors import RollRefused
from dnsbound.records.tlsa import TLSA
from dnsbound.times import Moment

_NAMES_AUTHORITY = (Usage.PKIX_TA, Usage.DANE_TA)


class Parameters(NamedTuple):
    """The three numbers of a TLSA record. Records with the same ones are judged together (RFC 7671 section 8)."""

    usage: int
    selector: int
    matching_type: int

    @classmethod
    def of(cls, record: TLSA) -> Self:
        return cls(record.usage, record.selector, record.matching_type)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Such as `3 1 1`, or the acronyms of RFC 7218. Malformed; Misuse for what no record can be made of."""
        if len(text.split()) != 3:
            raise Malformed(f"{text!r} are not the three parameters of a TLSA record, such as `3 1 1`")
        found = cls.of(TLSA.from_text(text))
        try:
            Usage(found.usage), Selector(found.selector), MatchingType(found.matching_type)
        except ValueError:
            raise Misuse(f"no record can be made with the parameters {found}") from None
        return found

    def __str__(self) -> str:
        return " ".join(map(str, self))


def parameters_from_text(text: str) -> tuple[Parameters, ...]:
    """A list with commas: `3 1 1, 3 1 2`."""
    return tuple(dict.fromkeys(Parameters.from_text(one) for one in text.split(",")))


def parameters_to_text(parameters: tuple[Parameters, ...]) -> str:
    return ", ".join(map(str, parameters))


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """The key a client uses, and as far as they are known the certificates it presents.

    chain: DER, leaf first; empty for a raw key, and where nobody said. vouched: records known to match it although that
    cannot be seen here, because the certificate they name is not at hand.
    """

    spki: bytes
    chain: tuple[bytes, ...] = ()
    vouched: frozenset[TLSA] = frozenset()

    def __post_init__(self) -> None:
        if self.chain and spki_of(self.chain[0]) != self.spki:
            raise Misuse("the chain does not begin with a certificate of the key")

    def matches(self, record: TLSA) -> bool:
        """Whether a verifier that looks at this record alone would find it to name this deployment."""
        digest = DIGESTS.get(MatchingType(record.matching_type)) if record.unusable_because is None else None
        if digest is None:
            return False
        return record in self.vouched or any(digest(octets) == record.data for octets in self._selected(record))

    def record(self, parameters: Parameters) -> TLSA:
        """The record of these parameters. RollRefused where it cannot be made."""
        usage, selector, matching = (
            Usage(parameters.usage),
            Selector(parameters.selector),
            MatchingType(parameters.matching_type),
        )
        if (usage, selector) == (Usage.DANE_EE, Selector.SPKI):
            return tlsa_for_spki(self.spki, usage, matching)
        kept = [record for record in self.vouched if Parameters.of(record) == parameters]
        if kept and not self.chain:
            return min(kept)
        if not self.chain:
            raise RollRefused(
                f"a {parameters} record needs the certificate that the client presents, not its key alone"
            )
        try:
            return tlsa_for_presented(Presented(chain=self.chain), usage, selector, matching)
        except Misuse as error:
            raise RollRefused(f"a {parameters} record cannot be made: {error}") from None

    def check_authorities(self, name: ClientName, records: frozenset[TLSA], *, now: Moment) -> None:
        """RollRefused when the certificates would not be accepted under one of these records of usage 2: wrong name,
        out of date, not signed by the authority. Usages 0 and 1 depend on the roots of each verifier."""
        judged = [record for record in records if record.usage == Usage.DANE_TA]
        if not judged or not self.chain:
            return
        policy = MatchPolicy(usages=frozenset({Usage.DANE_TA}))
        for record in judged:
            [result] = match([record], Presented(chain=self.chain), name=name, now=now, policy=policy).results
            if result.state is not RecordState.MATCHED:
                raise RollRefused(f"{record.parameters} would not admit {name}: {result.why}")

    def _selected(self, record: TLSA) -> list[bytes]:
        if record.usage in _NAMES_AUTHORITY:
            authorities = self.chain[1:]
            return [spki_of(one) if record.selector == Selector.SPKI else one for one in authorities]
        if record.selector == Selector.SPKI:
            return [self.spki]
        return list(self.chain[:1])
