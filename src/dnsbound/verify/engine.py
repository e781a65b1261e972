"""The engine: claim, permit, records, match, verdict, in this order, for every door.

`Verifier.begin` judges what can be judged without the DNS and returns the question that is left; whoever does the
input and output looks it up and gives the answer to `NeedRecords.answer`, which returns a VerifiedPeer or raises
Refused or Undecided. A name that is not on the access list never becomes a question, nor does a signature that is not
of the key it brings along (`Signed`). Nothing is remembered from one
claim to the next but the lookup budget: DNS evidence is cached by the resolver, verdicts are not cached at all.
Sections: draft-ietf-dance-client-auth 8.2, RFC 6698 section 4.1, RFC 7671 sections 5 and 10.3.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Final

import dns.name
import dns.rdata
import dns.rdatatype

from dnsbound.credential.matching import MatchPolicy, MatchReport, RecordResult, match
from dnsbound.credential.presented import Presented
from dnsbound.dns.answer import Answer, Outcome, Provenance, Security
from dnsbound.errors import UNDECIDED_REASONS, LimitExceeded, Misuse, Reason, Refused, Undecided
from dnsbound.limits import POSITIVE_TTL
from dnsbound.names import ClientName, MailboxName
from dnsbound.records import smimea
from dnsbound.records.tlsa import TLSA
from dnsbound.times import Moment, iso
from dnsbound.verify.access import AccessList, AccessSource, Permit
from dnsbound.verify.carried import CarriedChains
from dnsbound.verify.claim import Absent, Claim, Possession, Signed
from dnsbound.verify.lookup_budget import LookupBudget
from dnsbound.verify.peer import VerifiedPeer, _attest
from dnsbound.verify.read_answers import ReadAnswers, tlsa_records
from dnsbound.verify.signed_claim import as_published, proved_by, proved_by_published

REASON_FOR_STATE: Final[Mapping[tuple[Security, Outcome], Reason | None]] = MappingProxyType(
    {
        (Security.SECURE, Outcome.RECORDS): None,
        (Security.SECURE, Outcome.NODATA): Reason.NO_TLSA,
        (Security.SECURE, Outcome.NXDOMAIN): Reason.NO_TLSA,
        (Security.SECURE, Outcome.FAILED): Reason.DNS_FAILED,
        (Security.INSECURE, Outcome.RECORDS): Reason.INSECURE,
        (Security.INSECURE, Outcome.NODATA): Reason.INSECURE,
        (Security.INSECURE, Outcome.NXDOMAIN): Reason.INSECURE,
        (Security.INSECURE, Outcome.FAILED): Reason.DNS_FAILED,
        (Security.BOGUS, Outcome.RECORDS): Reason.BOGUS,
        (Security.BOGUS, Outcome.NODATA): Reason.BOGUS,
        (Security.BOGUS, Outcome.NXDOMAIN): Reason.BOGUS,
        (Security.BOGUS, Outcome.FAILED): Reason.BOGUS,
        (Security.INDETERMINATE, Outcome.RECORDS): Reason.INDETERMINATE,
        (Security.INDETERMINATE, Outcome.NODATA): Reason.INDETERMINATE,
        (Security.INDETERMINATE, Outcome.NXDOMAIN): Reason.INDETERMINATE,
        (Security.INDETERMINATE, Outcome.FAILED): Reason.DNS_FAILED,
    }
)
"""What an answer's state means for the claim; None goes on to matching. A state that is absent is refused."""
_IN_WORDS: Final[Mapping[tuple[Security, Outcome], str]] = MappingProxyType(
    {
        (Security.SECURE, Outcome.NXDOMAIN): "no TLSA record: the zone proves that the name does not exist",
        (Security.SECURE, Outcome.NODATA): "no TLSA record: the zone proves that the name has none",
    }
)
"""For people, where the answer itself has nothing to say because nothing is wrong with it."""


@dataclass(frozen=True, slots=True)
class Question:
    """What must be asked of the DNS."""

    name: dns.name.Name
    rdtype: dns.rdatatype.RdataType


def place_of(name: ClientName) -> tuple[str, dns.rdatatype.RdataType]:
    """Where the records of a name stand, and their type: TLSA at the name itself, SMIMEA for a mailbox (RFC 8162)."""
    if isinstance(name, MailboxName):
        return smimea.owner_of(name), dns.rdatatype.SMIMEA
    return name.text, dns.rdatatype.TLSA


class Verifier:
    """Judges claims at one door. Thread-safe."""

    __slots__ = ("_access", "_carried", "_door", "_lookups", "_offline", "_policy", "_read")

    def __init__(
        self,
        access: AccessSource,
        *,
        door: str,
        policy: MatchPolicy | None = None,
        lookups: LookupBudget | None = None,
        carried: CarriedChains | None = None,
        offline: bool = False,
    ) -> None:
        """carried: from whom, if from anybody, evidence is taken that the client brings along. offline: nobody can be
        asked, so that evidence is as good at its end as it was at first."""
        self._access = access
        self._carried = carried
        self._offline = offline
        self._door = door
        self._policy = policy or MatchPolicy()
        self._lookups = lookups or LookupBudget()
        self._read = ReadAnswers()

    @property
    def door(self) -> str:
        return self._door

    @property
    def policy(self) -> MatchPolicy:
        return self._policy

    @property
    def is_offline(self) -> bool:
        return self._offline

    @property
    def carried(self) -> CarriedChains | None:
        return self._carried

    def takes_chain_of(self, claim: Claim) -> bool:
        """Whether the claim brings evidence that this door looks at."""
        return claim.carried_chain is not None and self._carried is not None and self._carried.accepts(claim.name)

    @property
    def chains_come_first(self) -> bool:
        """Carried chains are judged before anybody is asked, or there is nobody to ask."""
        return self._offline or (self._carried is not None and self._carried.before_asking)

    def begin(self, claim: Claim, *, now: Moment, charged: bool = True) -> "NeedRecords":
        """The question whose answer decides. Refused without any, when the claim cannot hold; Undecided when too many
        lookups were caused already.

        charged: the client is about to cause a lookup, which spends from the budget. False where the evidence is at
        hand, and for a live session, whose name is no longer anybody's guess: neither must depend on what strangers
        have left of the budget.
        """
        if claim.door != self._door:
            raise Misuse(f"a claim at door {claim.door!r} was brought to the verifier of door {self._door!r}")
        if isinstance(claim.possession, Absent):
            raise Refused(Reason.NO_POSSESSION, "nobody proved or vouched that the client holds the private key")
        possession = claim.possession
        shows_nothing = claim.presented.is_empty
        if shows_nothing and not isinstance(possession, Signed):
            raise Refused(Reason.NO_CREDENTIAL, "the client presented neither certificate nor raw public key")
        access = self._access.current()
        permit = access.permit(claim.door, claim.name)
        if isinstance(possession, Signed) and not shows_nothing:
            possession = proved_by(possession, claim.presented)
        if charged and permit.pattern is None:
            self._lookups.check_debt(claim.source, now=now)
        elif charged:
            self._lookups.spend(claim.source, _budget_zone(permit), now=now)
        question = _question(*place_of(claim.name))
        return NeedRecords(
            self, claim, question, possession=possession, access=access, permit=permit, begun_at=now, charged=charged
        )


class NeedRecords:
    """A claim that may hold: the door's list permits the name, and the records at `question` decide."""

    __slots__ = ("_access", "_begun_at", "_charged", "_permit", "_possession", "_verifier", "claim", "question")

    def __init__(
        self,
        verifier: Verifier,
        claim: Claim,
        question: Question,
        *,
        possession: Possession,
        access: AccessList,
        permit: Permit,
        begun_at: Moment,
        charged: bool,
    ) -> None:
        self._verifier = verifier
        self._possession = possession
        self._access = access
        self._permit = permit
        self._begun_at = begun_at
        self._charged = charged
        self.claim = claim
        self.question = question

    def judge_carried(self, *, now: Moment) -> Answer:
        """What the chain that the client carried says, judged here; for `answer`, where nothing better is known.

        Refused when it decides: BAD_CHAIN, NO_TLSA, INSECURE. Undecided when it shows nothing: BOGUS, INDETERMINATE,
        WORK_BUDGET, EVIDENCE_TOO_OLD; then the DNS may still be asked. Misuse where chains are not taken.
        """
        carried, octets = self._verifier.carried, self.claim.carried_chain
        if carried is None or octets is None or not carried.accepts(self.claim.name):
            raise Misuse(f"no chain is taken from {self.claim.name.text} at door {self.claim.door!r}")
        answer = carried.judge(octets, self.question.name, self.question.rdtype, now=now)
        check_answer(answer, now=now, begun_at=self._begun_at)
        return answer

    def answer(self, answer: Answer, *, now: Moment) -> VerifiedPeer:
        """The verdict. Misuse when the answer belongs to another question."""
        question = self.question
        # Labels are the same octets nearly always, and quickly compared; names are compared without regard to case.
        if answer.rdtype != question.rdtype or (
            answer.name.labels != question.name.labels and answer.name != question.name
        ):
            raise Misuse(
                f"the answer is for {answer.name} {answer.rdtype!r}, not for {question.name} {question.rdtype!r}"
            )
        self._settle_budget(answer, now)
        check_answer(answer, now=now, begun_at=self._begun_at)
        permit, generation = self._still_permitted()
        renew_at = valid_until = min(answer.valid_until, now + POSITIVE_TTL.default)
        if answer.provenance is Provenance.CARRIED:
            valid_until = self._end_of_carried(answer, now)
        result, possession = self._matched(answer, now)
        valid_until = min(valid_until, math.inf if result.chain_expires is None else result.chain_expires)
        return _attest(
            name=self.claim.name,
            name_source=self.claim.name_source,
            door=self.claim.door,
            record=result.record,
            provenance=answer.provenance,
            possession=possession,
            grants=permit.grants,
            verified_at=now,
            valid_until=valid_until,
            renew_at=valid_until if self._verifier.is_offline else min(renew_at, valid_until),
            signatures_expire=answer.earliest_expiry,
            chain_expires=result.chain_expires,
            access_generation=generation,
        )

    def _end_of_carried(self, answer: Answer, now: Moment) -> Moment:
        """The door's rules hold for carried evidence whoever judged it."""
        carried = self._verifier.carried
        if carried is None or not carried.accepts(self.claim.name):
            raise Misuse(f"door {self.claim.door!r} takes no carried evidence about {self.claim.name.text}")
        carried.check_age(answer, now=now)
        return carried.ends_at(answer)

    def _matched(self, answer: Answer, now: Moment) -> tuple[RecordResult, Possession]:
        """The record that matches, and how possession is known at the end."""
        claim, possession = self.claim, self._possession
        if not isinstance(claim.possession, Signed):
            return self._report(tlsa_records(answer), claim.presented, answer, now).matched, possession
        read = self._verifier._read.of(answer)  # noqa: SLF001 (the two classes are one machine)
        if isinstance(possession, Signed):
            presented, possession = proved_by_published(possession, read.published)
        else:
            presented = as_published(claim.presented, read.published)
        result = read.matched(presented)
        if result is None:
            result = self._report(read.records, presented, answer, now).matched
            read.keep(presented, result)
        return result, possession

    def _report(self, records: Sequence[TLSA], presented: Presented, answer: Answer, now: Moment) -> MatchReport:
        claim = self.claim
        try:
            return match(
                records,
                presented,
                name=claim.name,
                now=now,
                policy=self._verifier.policy,
                from_wildcard=answer.wildcard,
            )
        except LimitExceeded as error:
            raise Undecided(Reason.WORK_BUDGET, str(error)) from error

    def _still_permitted(self) -> tuple[Permit, int]:
        """The list may have changed while the DNS was asked: the one in force now counts."""
        access = self._verifier._access.current()  # noqa: SLF001 (the two classes are one machine)
        if access is not self._access:
            return access.permit(self.claim.door, self.claim.name), access.generation
        return self._permit, access.generation

    def _settle_budget(self, answer: Answer, now: Moment) -> None:
        """Evidence that was at hand costs nothing; aliases cost one lookup each, whoever asks."""
        lookups = self._verifier._lookups  # noqa: SLF001 (the two classes are one machine)
        if answer.provenance is Provenance.CARRIED:
            return  # Nothing was asked, or what was asked said nothing and stays paid for.
        looked_up = answer.validated_at >= self._begun_at
        if not looked_up:
            if self._charged and self._permit.pattern is not None:
                lookups.refund(self.claim.source, _budget_zone(self._permit), now=now)
        elif answer.aliases:
            zone = (answer.zone or answer.aliases[-1]).to_text(omit_final_dot=True).lower()
            lookups.charge_aliases(self.claim.source, zone, len(answer.aliases), now=now)


def check_answer(answer: Answer, *, now: Moment, begun_at: Moment) -> None:
    """Refused or Undecided unless the answer is secure, holds records, and may be used now.

    begun_at: when the question came up; evidence fetched since then may be used once even if its TTL is 0.
    """
    if answer.limit:
        raise Undecided(Reason.WORK_BUDGET, answer.detail or answer.limit)
    state = (answer.security, answer.outcome)
    reason = REASON_FOR_STATE.get(state, Reason.INDETERMINATE)
    if reason is not None:
        detail = answer.detail or _IN_WORDS.get(state) or f"{answer.security.value}, {answer.outcome.value}"
        raise Undecided(reason, detail) if reason in UNDECIDED_REASONS else Refused(reason, detail)
    if answer.earliest_expiry is not None and now > answer.earliest_expiry:
        raise Undecided(Reason.BOGUS, f"a signature under the evidence expired at {iso(answer.earliest_expiry)}")
    if now > answer.valid_until and answer.validated_at < begun_at:
        raise Undecided(Reason.INDETERMINATE, f"the evidence may be used until {iso(answer.valid_until)} only")


def is_decided(answer: Answer) -> bool:
    """Whether the answer says yes or no about the records, rather than nothing (`Undecided`)."""
    state = (answer.security, answer.outcome)
    return not answer.limit and REASON_FOR_STATE.get(state, Reason.INDETERMINATE) not in UNDECIDED_REASONS


def _budget_zone(permit: Permit) -> str:
    return ".".join(permit.pattern.suffix) if permit.pattern is not None else ""


@lru_cache(maxsize=16_384)
def _question(text: str, rdtype: dns.rdatatype.RdataType) -> Question:
    """For the absolute name. A client name is no escape and no IDN, so the labels are its octets."""
    return Question(dns.name.Name((*text.encode("ascii").split(b"."), b"")), rdtype)
