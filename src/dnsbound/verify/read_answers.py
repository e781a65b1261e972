"""What was read out of an answer, so that it is not read again for every object one name signs.

Facts of the answer alone, and which of its records names the key of a credential, where that record is one of usage 3:
such a match depends on nothing but octets (RFC 7671 section 5.1). No verdict: whether the answer may be used now, and
whether the name is permitted, is asked each time. Kept by the answer itself, as long as that is the resolver's.
"""

from typing import Final

import dns.exception
import dns.rdatatype
import dns.rdtypes.tlsabase

from dnsbound.credential.matching import RecordResult
from dnsbound.credential.presented import Presented
from dnsbound.dns.answer import Answer
from dnsbound.errors import Malformed, Reason, Undecided
from dnsbound.iana import MatchingType, Selector, Usage
from dnsbound.records.tlsa import TLSA

_ANSWERS: Final = 4096
_CREDENTIALS: Final = 16
"""Of one answer. Where there are more, all are forgotten, which costs no more than reading again."""


class ReadAnswer:
    """One answer, read."""

    __slots__ = ("_matched", "answer", "published", "records")

    def __init__(self, answer: Answer) -> None:
        self.answer: Final = answer
        self.records: Final = tlsa_records(answer)
        self.published: Final = tuple(map(_credential, filter(_is_published, _in_order(self.records))))
        """The credentials that records of usage 3 hold in full: keys and certificates."""
        self._matched: dict[int, tuple[Presented, RecordResult]] = {}

    def matched(self, presented: Presented) -> RecordResult | None:
        """What `keep` was told of this very credential."""
        known = self._matched.get(id(presented))
        return None if known is None else known[1]

    def keep(self, presented: Presented, result: RecordResult) -> None:
        """Remember that a record matched, if that holds as long as the record."""
        if result.record.usage == Usage.DANE_EE:
            if len(self._matched) >= _CREDENTIALS:
                self._matched = {}
            # The credential is kept as well, so that its identity is nobody else's.
            self._matched[id(presented)] = (presented, result)


class ReadAnswers:
    """The answers that one verifier has read. Thread-safe."""

    __slots__ = ("_read",)

    def __init__(self) -> None:
        self._read: dict[int, ReadAnswer] = {}

    def of(self, answer: Answer) -> ReadAnswer:
        """Undecided(BOGUS) when the answer holds something else than TLSA records."""
        known = self._read.get(id(answer))
        if known is None:
            known = ReadAnswer(answer)
            if len(self._read) >= _ANSWERS:
                self._read = {}
            self._read[id(answer)] = known
        return known


def tlsa_records(answer: Answer) -> list[TLSA]:
    """The answer's records, TLSA or SMIMEA, as values; Undecided(BOGUS) when one is neither."""
    records = []
    for rdata in answer.records:
        if isinstance(rdata, dns.rdtypes.tlsabase.TLSABase):
            records.append(TLSA(rdata.usage, rdata.selector, rdata.mtype, rdata.cert))
            continue
        if rdata.rdtype not in (dns.rdatatype.TLSA, dns.rdatatype.SMIMEA):
            raise Undecided(Reason.BOGUS, f"the answer holds a record of type {rdata.rdtype!r}, not TLSA")
        try:
            records.append(TLSA.from_wire(rdata.to_wire() or b""))
        except (Malformed, dns.exception.DNSException) as error:
            raise Undecided(Reason.BOGUS, f"the answer holds a TLSA record that is none: {error}") from error
    return records


def _in_order(records: list[TLSA]) -> list[TLSA]:
    return sorted(records) if len(records) > 1 else records


def _is_published(record: TLSA) -> bool:
    full = (record.usage, record.matching_type) == (Usage.DANE_EE, MatchingType.FULL)
    return full and record.unusable_because is None


def _credential(record: TLSA) -> Presented:
    if record.selector == Selector.SPKI:
        return Presented(raw_public_key=record.data)
    return Presented((record.data,))
