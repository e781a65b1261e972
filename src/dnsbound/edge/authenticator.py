"""The authenticator of one door: brings claims to the engine, asks the resolver, and reports every decision once.

Glue between the engine (`dnsbound.verify.engine`), which decides and does no input or output, and a resolver, which
looks up and decides nothing. It keeps no verdicts. Decisions go to the logger `dnsbound.decisions` as one line of JSON
each, and to `on_decision`.
"""

import json
import logging
import time
from collections.abc import Callable
from typing import Final, Protocol, Self, runtime_checkable

import dns.name
import dns.rdatatype

from dnsbound.credential.matching import MatchPolicy
from dnsbound.dns.answer import Answer
from dnsbound.edge.latest_time import LatestTime
from dnsbound.edge.no_lookups import NoLookups
from dnsbound.errors import DnsboundError, LimitExceeded, Misuse, Reason, Refused, Undecided
from dnsbound.names import ClientName
from dnsbound.times import Moment, Seconds
from dnsbound.verify.access import AccessList, AccessSource, Permit
from dnsbound.verify.carried import CarriedChains
from dnsbound.verify.claim import Claim
from dnsbound.verify.decision import Decision
from dnsbound.verify.engine import NeedRecords, Verifier, is_decided, place_of
from dnsbound.verify.lookup_budget import LookupBudget
from dnsbound.verify.peer import VerifiedPeer
from dnsbound.verify.sessions import Sessions

DECISIONS: Final = "dnsbound.decisions"
"""Name of the logger."""
LOOKUP_SECONDS: Final[Seconds] = 5.0
"""How long one lookup may take."""

_log = logging.getLogger(DECISIONS)
_to_text: Final = json.JSONEncoder(separators=(",", ":")).encode


class LookupSource(Protocol):
    """What an authenticator needs of a resolver. No call raises for what the DNS says or fails to say.

    refresh: ask the DNS even if evidence is at hand, so that it can be renewed before it ends.
    """

    def cached(self, name: str, rdtype: dns.rdatatype.RdataType) -> Answer | None: ...

    async def lookup(
        self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, *, deadline: Seconds, refresh: bool = False
    ) -> Answer: ...

    def lookup_blocking(
        self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, *, deadline: Seconds, refresh: bool = False
    ) -> Answer: ...


@runtime_checkable
class Forgets(Protocol):
    """A `LookupSource` that keeps evidence, and lets go of it when it is told to."""

    def forget(self, name: str) -> int:
        """Forget all evidence about a name; how many answers that were."""


class Authenticator:
    """Who may come in at one door. One object serves any number of tasks and threads."""

    def __init__(
        self,
        access: AccessSource,
        resolver: LookupSource | None,
        *,
        door: str,
        policy: MatchPolicy | None = None,
        deadline: Seconds = LOOKUP_SECONDS,
        grace: Seconds = 0.0,
        lookups: LookupBudget | None = None,
        clock: Callable[[], Moment] = time.time,
        on_decision: Callable[[Decision], None] | None = None,
        carried_chains: CarriedChains | None = None,
        latest_time: LatestTime | None = None,
        danger_any_clock: bool = False,
    ) -> None:
        """access: an AccessList or AccessFile. resolver: None for a door that asks nobody and believes carried chains
        alone. door: its name there. deadline: seconds for one lookup. grace: seconds a live session outlives its
        evidence while the DNS cannot be asked. carried_chains: whose chains count; nobody's without it. latest_time: no
        carried chain is judged by a clock that shows less. danger_any_clock: a door without a resolver does without
        that, so that whoever sets its clock back brings ended chains to life."""
        if deadline <= 0:
            raise Misuse("a lookup needs some time: deadline is above 0 seconds")
        if resolver is None and carried_chains is None:
            raise Misuse("without a resolver and without carried_chains nobody could ever come in")
        if resolver is None and latest_time is None and not danger_any_clock:
            raise Misuse("a door without a resolver has its clock alone: give it a LatestTime, or danger_any_clock")
        self._access = access
        self._resolver: LookupSource = NoLookups() if resolver is None else resolver
        self._latest_time = latest_time
        self._verifier = Verifier(
            access, door=door, policy=policy, lookups=lookups, carried=carried_chains, offline=resolver is None
        )
        self._deadline = deadline
        self._clock = clock
        self._on_decision = on_decision
        self.sessions = Sessions(grace=grace, patience=deadline, keeps_chains=resolver is None)
        """Connections that were let in; whoever admits one registers it here."""

    @property
    def door(self) -> str:
        return self._verifier.door

    @property
    def policy(self) -> MatchPolicy:
        """By which records are matched."""
        return self._verifier.policy

    @property
    def takes_carried_chains(self) -> bool:
        """Whether any client's chain is looked at, so that servers ask for them."""
        return self._verifier.carried is not None

    def now(self) -> Moment:
        """The moment by this authenticator's clock: that of its evidence and its sessions."""
        return self._clock()

    @property
    def access_generation(self) -> int:
        """Generation of the access list in force; sessions let in by an older one are due."""
        return self._access.current().generation

    @property
    def access_list(self) -> AccessList:
        """The access list in force."""
        return self._access.current()

    def permit(self, name: ClientName) -> Permit:
        """What the access list in force grants the name at this door; Refused where it is not there. It says nothing of
        who may be behind it."""
        return self._access.current().permit(self.door, name)

    def permits(self, name: ClientName) -> bool:
        """Whether the access list in force has the name at this door, as `permit`."""
        try:
            self.permit(name)
        except Refused:
            return False
        return True

    def forget(self, name: ClientName) -> int:
        """Let go of the evidence at hand about a name, so that the DNS is asked the next time; how many answers."""
        return self._resolver.forget(place_of(name)[0]) if isinstance(self._resolver, Forgets) else 0

    def look_up_blocking(self, name: ClientName) -> Answer | None:
        """What the DNS says of a name now, for operators: nobody is admitted by it. None where it is not asked: the
        name is not permitted here, or this door has no resolver."""
        if self._verifier.is_offline or not self.permits(name):
            return None
        owner, rdtype = place_of(name)
        return self._resolver.lookup_blocking(dns.name.from_text(owner), rdtype, deadline=self._deadline, refresh=True)

    async def look_up(self, name: ClientName, rdtype: dns.rdatatype.RdataType) -> Answer:
        """Evidence about a name in records of another type than TLSA, for faces that judge those themselves. Refused
        where the name is not permitted here: then nobody is asked."""
        self.permit(name)
        known = self._resolver.cached(name.text, rdtype)
        if known is not None:
            return known
        return await self._resolver.lookup(dns.name.from_text(name.text), rdtype, deadline=self._deadline)

    async def authenticate(self, claim: Claim, *, again: bool = False) -> VerifiedPeer:
        """The evidence that the claim holds. Refused or Undecided otherwise. again: a live session is asked about, so
        evidence at hand is not enough where the DNS can be asked."""
        if (peer := self._before_asking(claim, again=again)) is not None:
            return peer
        with _Judging(self, claim, again=again) as judging:
            need = self._verifier.begin(claim, now=judging.started, charged=not again)
            answer = await self._resolver.lookup(
                need.question.name, need.question.rdtype, deadline=self._deadline, refresh=again
            )
            return judging.concluded(need, self._or_carried(need, answer, again=again))

    def authenticate_blocking(self, claim: Claim, *, again: bool = False) -> VerifiedPeer:
        """As `authenticate`, for a thread that may wait."""
        if (peer := self._before_asking(claim, again=again)) is not None:
            return peer
        with _Judging(self, claim, again=again) as judging:
            need = self._verifier.begin(claim, now=judging.started, charged=not again)
            answer = self._resolver.lookup_blocking(
                need.question.name, need.question.rdtype, deadline=self._deadline, refresh=again
            )
            return judging.concluded(need, self._or_carried(need, answer, again=again))

    def authenticate_at_hand(self, claim: Claim) -> VerifiedPeer | None:
        """As `authenticate`, by evidence that is at hand, without waiting; None when the DNS would have to be asked."""
        return self._at_hand(claim, again=False)

    def _before_asking(self, claim: Claim, *, again: bool) -> VerifiedPeer | None:
        """A live session is asked about anew, unless there is nobody to ask."""
        if again and not self._verifier.is_offline:
            return None
        return self._at_hand(claim, again=again)

    def _at_hand(self, claim: Claim, *, again: bool) -> VerifiedPeer | None:
        """By what our own lookups have found, which counts before what the client brings along; then by that."""
        answer = self._resolver.cached(*place_of(claim.name))
        if answer is None and not (self._verifier.chains_come_first and self._verifier.takes_chain_of(claim)):
            return None
        with _Judging(self, claim, again=again) as judging:
            need = self._verifier.begin(claim, now=judging.started, charged=False)
            answer = answer or self._carried(need, judging.started)
            return None if answer is None else judging.concluded(need, answer)

    def _or_carried(self, need: NeedRecords, answer: Answer, *, again: bool) -> Answer:
        """What the client's chain shows, where the DNS could not say and the chain has not been judged yet. A live
        session keeps what it has until that ends."""
        verifier = self._verifier
        if again or verifier.chains_come_first or is_decided(answer) or not verifier.takes_chain_of(need.claim):
            return answer
        return self._carried(need, self.now()) or answer

    def _carried(self, need: NeedRecords, now: Moment) -> Answer | None:
        """What the client's chain shows; None where it shows nothing and the DNS can still be asked."""
        try:
            if self._latest_time is not None:
                self._latest_time.check(now)
            return need.judge_carried(now=now)
        except Undecided:
            if self._verifier.is_offline:
                raise
            return None

    def gave_up(self, claim: Claim) -> Undecided:
        """Report, and return, that no answer about a live session came while its evidence held."""
        undecided = Undecided(Reason.DNS_FAILED, "no answer came before the evidence ended")
        self._emit(Decision.not_admitted(claim, undecided, at=self._clock(), seconds=0.0, again=True))
        return undecided

    def turned_away(self, error: Refused | Undecided, *, source: str = "") -> None:
        """Report a client that was refused before it had made a claim, so that the log misses no decision."""
        self._emit(Decision.without_claim(error, door=self.door, source=source, at=self._clock()))

    def report(self, decision: Decision) -> None:
        """Report a verdict that was reached beside the engine, by records it does not know."""
        self._emit(decision)

    def _emit(self, decision: Decision) -> None:
        if _log.isEnabledFor(logging.INFO):
            shown = decision.to_json()
            _log.info(_to_text(shown), extra={"decision": shown})
        if self._on_decision is None:
            return
        try:
            self._on_decision(decision)
        except Exception:  # noqa: BLE001 (an observer's mistake must not change who comes in)
            _log.exception("on_decision failed")

    @property
    def _is_watched(self) -> bool:
        """Somebody would see a decision."""
        return self._on_decision is not None or _log.isEnabledFor(logging.INFO)


class _Judging:
    """One judgement in progress, as a `with` block: however it ends, that is reported once, and of the package's errors
    only Refused, Undecided and Misuse come out of it."""

    __slots__ = ("_again", "_authenticator", "_claim", "started")

    def __init__(self, authenticator: Authenticator, claim: Claim, *, again: bool) -> None:
        self._authenticator = authenticator
        self._claim = claim
        self._again = again
        self.started: Final[Moment] = authenticator.now()

    def concluded(self, need: NeedRecords, answer: Answer) -> VerifiedPeer:
        """The peer, when the answer admits it."""
        peer = need.answer(answer, now=self._authenticator.now())
        if self._authenticator._is_watched:  # noqa: SLF001 (the two classes are one machine)
            now = self._authenticator.now()
            self._report(Decision.admitted(self._claim, peer, at=now, seconds=now - self.started, again=self._again))
        return peer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, Refused | Undecided):
            self._not_admitted(error)
        elif isinstance(error, DnsboundError) and not isinstance(error, Misuse):
            # What a resolver should not have raised is still no yes.
            reason = Reason.WORK_BUDGET if isinstance(error, LimitExceeded) else Reason.DNS_FAILED
            undecided = Undecided(reason, str(error))
            self._not_admitted(undecided)
            raise undecided from error

    def _not_admitted(self, error: Refused | Undecided) -> None:
        now = self._authenticator.now()
        self._report(Decision.not_admitted(self._claim, error, at=now, seconds=now - self.started, again=self._again))

    def _report(self, decision: Decision) -> None:
        self._authenticator._emit(decision)  # noqa: SLF001 (the two classes are one machine)


def verdict_at_hand(authenticator: object, claim: Claim) -> VerifiedPeer | Refused | Undecided | None:
    """The verdict by evidence that is at hand; None when somebody has to be waited for. authenticator: anything that
    judges claims."""
    if not isinstance(authenticator, Authenticator):
        return None
    try:
        return authenticator.authenticate_at_hand(claim)
    except (Refused, Undecided) as error:
        return error
