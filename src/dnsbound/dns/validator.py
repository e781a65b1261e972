"""The DNSSEC validator: one question, the replies to what it asks back, and at the end an Answer with its evidence.

A `Validation` is a machine without input and output. It says which Questions it needs (several at once where it can),
is fed the Replies in any order, and has an `answer` when it is done. Time, anchors, policy and the store of zone states
are arguments; the AD bit is never looked at. Online, carried and archived answers are judged by this code alone.

It is not a resolver: it follows aliases by asking, never delegations. Sections: RFC 4035 section 5, RFC 6840, RFC 6672
section 5.3.1 (DNAME), RFC 9824.
"""

from collections.abc import Callable
from typing import Final

import dns.name
import dns.rdatatype

from dnsbound.dns.anchors import TrustAnchors
from dnsbound.dns.answer import Answer, Outcome, Provenance, Security
from dnsbound.dns.canonical import key_of
from dnsbound.dns.judgement import Judgement
from dnsbound.dns.messages import Failure, Question, Reply, Response
from dnsbound.dns.policy import Policy, Work
from dnsbound.dns.signatures import Verified
from dnsbound.dns.tally import Tally
from dnsbound.dns.zone_trust import Judging
from dnsbound.dns.zone_walk import Steps, TrustStore, ZoneWalk
from dnsbound.errors import LimitExceeded, Malformed, Misuse
from dnsbound.times import Moment

_DEFAULT_POLICY: Final = Policy()
_UNASKABLE: Final = frozenset(
    {dns.rdatatype.ANY, dns.rdatatype.RRSIG, dns.rdatatype.OPT, dns.rdatatype.AXFR, dns.rdatatype.IXFR}
)
_KEPT_FROM_HINTS: Final = 16
"""Queries of the budget that are left to questions which are needed."""


class Validation:
    """One lookup in progress.

    name, rdtype: what is asked. now: the moment to judge by. store: zone states kept between lookups. witness: is shown
    every RRset whose signature was found good on the way. every_cut: see `Judging`.
    """

    def __init__(
        self,
        name: dns.name.Name,
        rdtype: dns.rdatatype.RdataType,
        *,
        anchors: TrustAnchors,
        now: Moment,
        policy: Policy = _DEFAULT_POLICY,
        store: TrustStore | None = None,
        provenance: Provenance = Provenance.RESOLVED,
        witness: Callable[[Verified], None] | None = None,
        every_cut: bool = False,
    ) -> None:
        if rdtype in _UNASKABLE or not name.is_absolute():
            raise Misuse(f"no validated answer exists for {name} {dns.rdatatype.to_text(rdtype)}")
        if store is not None:
            store.bind(anchors, policy)
        self.name = name
        self.rdtype = rdtype
        self.answer: Answer | None = None
        self._provenance = provenance
        self._now = now
        self._work = Work(policy)
        self._replies: dict[Question, Reply] = {}
        self._asked: set[Question] = set()
        self._new: list[Question] = []
        judging = Judging(now, policy, self._work, witness, every_cut)
        self._walk = ZoneWalk(anchors, judging, store, self._hint)
        self._judgement = Judgement(self._walk, judging, key_of(name), rdtype)
        self._steps: Steps[Tally] = self._judgement.run()
        self._waiting: Question | None = None
        self._advance(None)
        if self.answer is None:
            self._walk.anticipate(key_of(name))

    def questions(self) -> tuple[Question, ...]:
        """What to ask now: the questions that came up since the last call. Each is asked once."""
        new, self._new = tuple(self._new), []
        return new

    def feed(self, question: Question, reply: Reply) -> None:
        """The reply to a question of `questions`. After the answer is there, further replies change nothing."""
        if self.answer is not None or question in self._replies:
            return
        if isinstance(reply, Response):
            self._walk.saw(reply)
            unusable = reply.unusable_because
            if unusable is not None:
                reply = Failure(f"{reply.source} {unusable}")
        self._replies[question] = reply
        if question == self._waiting:
            self._advance(reply)

    def give_up(self, detail: str) -> Answer:
        """End without the replies that are missing (a deadline): INDETERMINATE and FAILED, never a denial."""
        if self.answer is None:
            self._steps.close()
            self.answer = self._failed(detail)
        return self.answer

    def _advance(self, reply: Reply | None) -> None:
        """Run until a reply is missing or the answer is there."""
        try:
            needed = next(self._steps) if reply is None else self._steps.send(reply)
            while (known := self._replies.get(needed)) is not None:
                needed = self._steps.send(known)
            self._ask(needed)
            self._waiting = needed
        except StopIteration as done:
            self.answer = self._answered(done.value)
        except LimitExceeded as exceeded:
            self.answer = self._failed(f"validating costs more than allowed: {exceeded}", exceeded.limit)
        except Malformed as malformed:
            self.answer = self._failed(str(malformed))

    def _ask(self, question: Question) -> None:
        if question not in self._asked:
            self._work.queries.spend()
            self._asked.add(question)
            self._new.append(question)

    def _hint(self, question: Question) -> None:
        if question not in self._asked and self._work.queries.left > _KEPT_FROM_HINTS:
            self._ask(question)

    def _answered(self, tally: Tally) -> Answer:
        return tally.answer(self.name, self.rdtype, now=self._now, provenance=self._provenance)

    def _failed(self, detail: str, limit: str = "") -> Answer:
        return Answer(
            name=self.name,
            rdtype=self.rdtype,
            security=Security.INDETERMINATE,
            outcome=Outcome.FAILED,
            detail=detail,
            limit=limit,
            validated_at=self._now,
            provenance=self._provenance,
            steps=self._judgement.tally.shown_steps(),
        )


def validate(validation: Validation, look_up: Callable[[Question], Reply]) -> Answer:
    """Run a validation to its end on replies that are at hand: a carried chain, an archive, a test."""
    while validation.answer is None:
        for question in validation.questions():
            validation.feed(question, look_up(question))
    return validation.answer
