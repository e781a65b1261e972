"""To which key something is encrypted for a name: what the name's secure records publish, or confirm.

    keys = RecipientKeys(resolver)
    recipient = await keys.of("gov.example")
    token = jwe.encrypt(b"...", [recipient])

Records that hold a whole key do (`3 1 0`, `3 0 0`). A digest can be encrypted to by nobody: where records hold digests
alone, the key or certificate is given, had in some other way, and must match. Here no access list is asked: the caller
names the recipient, so that nobody else can make it ask the DNS. Sections: RFC 7671 sections 4.1, 5.1 and 9; RFC 5280
section 4.2.1.3 (keyUsage: keyAgreement, or keyEncipherment for RSA).
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import dns.name
import dns.rdatatype

from dnsbound.credential.certificate_facts import may_agree_on_keys, may_encipher_keys, spki_of
from dnsbound.credential.encryption_keys import EncryptionKind, SignsOnly, encryption_key_from_spki, kind_of
from dnsbound.credential.matching import MatchPolicy, match
from dnsbound.credential.presented import Presented
from dnsbound.dns.answer import Answer
from dnsbound.edge.authenticator import LOOKUP_SECONDS, LookupSource
from dnsbound.errors import LimitExceeded, Malformed, Misuse, Reason, Refused, Undecided
from dnsbound.iana import MatchingType, Selector, Usage
from dnsbound.limits import TLSA_RECORDS
from dnsbound.names import ClientName
from dnsbound.objects.encryption import Recipient
from dnsbound.objects.signer_name import signer_name
from dnsbound.records.tlsa import TLSA
from dnsbound.times import Moment, Seconds
from dnsbound.verify.engine import check_answer
from dnsbound.verify.read_answers import tlsa_records

ANY_KIND: Final = tuple(EncryptionKind)
"""X25519 first, then the curves, then RSA."""
_REMEDY: Final = "its owner can publish one beside it: `dnsbound key encryption`"


class RecipientKeys:
    """Finds keys to encrypt to. One object serves any number of tasks and threads."""

    __slots__ = ("_clock", "_deadline", "_kinds", "_policy", "_resolver")

    def __init__(
        self,
        resolver: LookupSource,
        *,
        kinds: Sequence[EncryptionKind] = ANY_KIND,
        deadline: Seconds = LOOKUP_SECONDS,
        clock: Callable[[], Moment] = time.time,
        danger_wildcard_keys: bool = False,
    ) -> None:
        """kinds: what is encrypted to, best first. deadline: seconds for one lookup. danger_wildcard_keys: take keys
        that stand at a wildcard: whoever holds that key reads what is meant for every name below it."""
        if not kinds:
            raise Misuse("without a kind of key nothing is encrypted to anybody")
        self._resolver = resolver
        self._kinds = tuple(kinds)
        self._deadline = deadline
        self._clock = clock
        self._policy = MatchPolicy(usages=frozenset({Usage.DANE_EE}), danger_wildcard_keys=danger_wildcard_keys)

    async def of(self, name: ClientName | str, *, given: Presented | None = None) -> Recipient:
        """The name with the best key that its records publish. given: the certificate or key to use instead, which the
        records must match.

        Refused(NO_ENCRYPTION_KEY) where there is none, or none that may be encrypted to; Refused and Undecided as for
        every lookup: NO_TLSA, INSECURE, WILDCARD_KEY, TLSA_MISMATCH, BOGUS, DNS_FAILED.
        """
        owner = _asked(name)
        begun_at = self._clock()
        answer = await self._resolver.lookup(_dns_name(owner), dns.rdatatype.TLSA, deadline=self._deadline)
        return self._chosen(owner, answer, begun_at, given)

    def of_blocking(self, name: ClientName | str, *, given: Presented | None = None) -> Recipient:
        """As `of`, for a thread that may wait."""
        owner = _asked(name)
        begun_at = self._clock()
        answer = self._resolver.lookup_blocking(_dns_name(owner), dns.rdatatype.TLSA, deadline=self._deadline)
        return self._chosen(owner, answer, begun_at, given)

    def _chosen(self, name: ClientName, answer: Answer, begun_at: Moment, given: Presented | None) -> Recipient:
        now = self._clock()
        check_answer(answer, now=now, begun_at=begun_at)
        records = tlsa_records(answer)
        if given is not None:
            return self._confirmed(name, records, given, now=now, from_wildcard=answer.wildcard)
        if answer.wildcard and not self._policy.danger_wildcard_keys:
            raise Refused(Reason.WILDCARD_KEY, "the records come from a wildcard: one key for every name")
        found: list[tuple[EncryptionKind, bytes]] = []
        because = ""
        for certificate, spki in _published(records):
            try:
                found.append((self._kind(spki, certificate), spki))
            except (Misuse, Malformed) as error:
                because = because or str(error)
        if not found:
            raise Refused(Reason.NO_ENCRYPTION_KEY, _why_none(name, records, because))
        return Recipient(name=name, spki=min(found, key=lambda entry: self._kinds.index(entry[0]))[1])

    def _confirmed(
        self, name: ClientName, records: list[TLSA], given: Presented, *, now: Moment, from_wildcard: bool
    ) -> Recipient:
        try:
            report = match(records, given, name=name, now=now, policy=self._policy, from_wildcard=from_wildcard)
        except LimitExceeded as error:
            raise Undecided(Reason.WORK_BUDGET, str(error)) from error
        report.matched  # noqa: B018 (raises why not)
        try:
            self._kind(given.spki, given.chain[0] if given.chain else None)
        except (Misuse, Malformed) as error:
            raise Refused(Reason.NO_ENCRYPTION_KEY, f"{error}; {_REMEDY}") from error
        return Recipient(name=name, spki=given.spki)

    def _kind(self, spki: bytes, certificate: bytes | None) -> EncryptionKind:
        """Misuse or Malformed for a key that nothing is encrypted to."""
        kind = kind_of(encryption_key_from_spki(spki))
        if kind not in self._kinds:
            raise Misuse(f"a key of kind {kind.name} is not encrypted to here")
        may = may_agree_on_keys if kind.agrees else may_encipher_keys
        if certificate is not None and not may(certificate):
            raise SignsOnly("the certificate's keyUsage lets its key sign alone")
        return kind


def _asked(name: ClientName | str) -> ClientName:
    return signer_name(name if isinstance(name, str) else name.text)


def _dns_name(name: ClientName) -> dns.name.Name:
    return dns.name.from_text(name.canonical)


def _published(records: Sequence[TLSA]) -> Iterator[tuple[bytes | None, bytes]]:
    """Certificate, if any, and key of each record that holds a whole one; bare keys first, and in one order."""
    for record in sorted(records, key=lambda entry: (-entry.selector, entry))[: TLSA_RECORDS.default]:
        if (record.usage, record.matching_type) != (Usage.DANE_EE, MatchingType.FULL) or record.unusable_because:
            continue
        if record.selector == Selector.SPKI:
            yield None, record.data
            continue
        try:
            yield record.data, spki_of(record.data)
        except Malformed:
            continue


def _why_none(name: ClientName, records: Sequence[TLSA], because: str) -> str:
    if because:
        return f"{because}; {_REMEDY}"
    if any(record.usage == Usage.DANE_EE and record.matching_type != MatchingType.FULL for record in records):
        return (
            f"the records of {name} hold digests of its key alone: give the key or certificate, which is then held "
            f"against them; or {_REMEDY}"
        )
    return f"the records of {name} hold no key; {_REMEDY}"
