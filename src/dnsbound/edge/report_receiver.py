"""The side that receives reports: who signed, whether it holds, whether it was taken before, and a signed receipt.

    receiver = ReportReceiver(credential, intake, verifier, chains=ReportChains(resolver))
    answer = await receiver.receive(token)              # Answer.receipt goes back to whoever brought it

In this order: size and form; permit, signature and records of its signer's name (`ObjectVerifier`); audience and time;
then, in one transaction, whether it was taken before and how it follows (`dnsbound.provision.reports.intake`). Each
step is cheaper, or rests on less, than the next. What is refused is kept in quarantine with its reason, unless its
signer is not on the list, or no key is known to have signed it; what cannot be decided is kept too, and judged again by
`judge_again`, and neither counts as received: its sender has no receipt and goes on sending. The same octets brought
again get the same receipt, even when the name has no records any more.

What carries reports is the caller's: HTTP is `dnsbound.adapters.report_asgi`.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import sha256
from typing import Final

from dnsbound.credential.credential import Credential
from dnsbound.edge.object_verifier import ObjectVerifier
from dnsbound.edge.report_batches import ReportBatches
from dnsbound.edge.report_chains import ReportChains
from dnsbound.errors import LimitExceeded, Misuse, Reason, Refused, Undecided
from dnsbound.names import ClientName
from dnsbound.object_limits import REPORT_OCTETS, REPORTS_AT_ONCE
from dnsbound.objects import report as reports
from dnsbound.objects.jose import jws
from dnsbound.objects.jose.jwt import JwtClaims, read_claims
from dnsbound.objects.receipt import TYP as RECEIPT_TYP
from dnsbound.objects.receipt import Receipt
from dnsbound.objects.report import Report, ReportRules
from dnsbound.objects.report_claims import sign_claims
from dnsbound.objects.report_order import Order
from dnsbound.objects.signed import SignedObject, VerifiedObject
from dnsbound.provision.reports.intake import Intake, NotTaken, Proven, Settled, Taken
from dnsbound.provision.reports.quarantine import QuarantineState, Unjudged
from dnsbound.times import Moment, Seconds

_log: Final = logging.getLogger("dnsbound.reports")
_NOBODYS: Final = frozenset({Reason.NOT_PERMITTED, Reason.BAD_SIGNATURE, Reason.NO_KEY})
"""What is refused for these reasons is not kept: anybody may write such a thing in anybody's name and with anybody's
public key, as often as he likes."""


class Standing(StrEnum):
    """What became of a report."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a receiver says to whoever brought a report."""

    standing: Standing
    signer: ClientName
    """Who it says it is from; proved only where it was accepted."""
    digest: bytes
    receipt: bytes | None = None
    """For the signer: always for what was accepted, and for what was refused after its signer was known."""
    order: Order | None = None
    again: bool = False
    """The same octets were taken before."""
    reason: Reason | None = None
    detail: str = ""
    kept: bool = False
    """It is in quarantine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Arrival:
    """A report that parses, while it is judged."""

    signed: SignedObject
    claims: JwtClaims
    report: Report
    unjudged: Unjudged


class ReportReceiver:
    """One receiver, by its own DNS name. For one event loop at a time; several processes may share a store."""

    def __init__(
        self,
        credential: Credential,
        intake: Intake,
        verifier: ObjectVerifier,
        *,
        chains: ReportChains | None = None,
        longest: Seconds | None = None,
        at_once: int | None = None,
        clock: Callable[[], Moment] = time.time,
        danger_any_clock: bool = False,
    ) -> None:
        """credential: signs receipts; its name is the audience. verifier: whose reports are taken. chains: keep with
        each report the evidence by which it was judged, and take none where there is none. longest: seconds a report
        may hold for. at_once: reports being judged. danger_any_clock: go on where the clock shows less than it did.
        Misuse for a credential without a name."""
        if credential.name is None:
            raise Misuse("the credential has no name to receive by")
        self._credential = credential
        self.name: Final[ClientName] = credential.name
        self._intake = intake
        self._verifier = verifier
        self._chains = chains
        self._rules = ReportRules(audience=self.name)
        if longest is not None:
            self._rules = replace(self._rules, longest=longest)
        self._at_once = REPORTS_AT_ONCE.checked(at_once)
        self._clock = clock
        self._danger_any_clock = danger_any_clock
        self._judging = 0
        self._batches = ReportBatches(self._write)

    async def receive(self, token: bytes, *, source: str = "") -> Answer:
        """Judge a report. source: who brought it, for budgets and logs.

        Malformed for what is no report, LimitExceeded for one that is too long, or when too many are being judged:
        neither is kept. ReportStoreFailed when it could not be written down: nothing was decided.
        """
        if self._judging >= self._at_once:
            raise LimitExceeded(REPORTS_AT_ONCE.name, f"{self._at_once} reports are being judged")
        self._judging += 1
        try:
            return await self._judge(_arrival(token, received_at=self._clock(), source=source))
        finally:
            self._judging -= 1

    async def judge_again(self) -> list[Answer]:
        """Judge anew what could not be decided, by what the DNS says now and as of the time it came."""
        answers = []
        now = self._clock()
        due = self._intake.quarantine.undecided(judged_before=now)
        while (kept := await asyncio.to_thread(next, due, None)) is not None:
            arrival = _arrival(kept.token, received_at=kept.received_at, source=kept.source)
            answers.append(await self._judge(arrival))
        return answers

    async def close(self) -> None:
        """Wait until what was begun is written."""
        await self._batches.close()

    async def _judge(self, arrival: _Arrival) -> Answer:
        proven: Proven | None = None
        try:
            verified = await self._verifier.verify(arrival.signed, source=arrival.unjudged.source)
            proven = self._proven(arrival, verified)
            proven = await self._as_it_came(arrival, proven)
            self._rules.check(arrival.claims, at=proven.unjudged.received_at)
            proven = await self._with_evidence(proven, verified)
            settled = await self._batches.settle(proven)
        except (Refused, Undecided) as error:
            return await self._not_taken(arrival, proven, error)
        return _answer(arrival, settled)

    def _proven(self, arrival: _Arrival, verified: VerifiedObject) -> Proven:
        unjudged = replace(arrival.unjudged, spki_sha256=verified.spki_sha256)
        record = verified.peer.record.to_text()
        return Proven(report=arrival.report, unjudged=unjudged, receiver=self.name, record=record)

    async def _as_it_came(self, arrival: _Arrival, proven: Proven) -> Proven:
        """A report that has ended since, but waited in quarantine for a decision, came when it came first."""
        unjudged = proven.unjudged
        if arrival.claims.expires is None or unjudged.received_at < arrival.claims.expires:
            return proven
        first = await asyncio.to_thread(self._intake.quarantine.waiting_since, unjudged.digest)
        if first is None or first >= unjudged.received_at:
            return proven
        return replace(proven, unjudged=replace(unjudged, received_at=first))

    async def _with_evidence(self, proven: Proven, verified: VerifiedObject) -> Proven:
        if self._chains is None:
            return proven
        now = self._clock()
        chain = await self._chains.chain_of(verified.name, now=now, record=verified.peer.record)
        receiver_chain = await self._chains.chain_of(self.name, now=now)
        return replace(proven, chain=chain, receiver_chain=receiver_chain)

    def _write(self, proven: Sequence[Proven]) -> list[Settled]:
        """In a thread of its own."""
        now = self._clock()
        return self._intake.settle(
            proven,
            lambda each, outcome: self._receipt(each, outcome, now),
            now=now,
            skew=self._rules.skew,
            danger_any_clock=self._danger_any_clock,
        )

    def _receipt(self, proven: Proven, outcome: Order | Reason, now: Moment) -> bytes:
        receipt = Receipt.of(
            proven.report,
            proven.unjudged.digest,
            receiver=self.name,
            received_at=proven.unjudged.received_at,
            judged_at=now,
            outcome=outcome,
            evidence=proven.evidence,
        )
        return sign_claims(receipt.to_claims(), self._credential, typ=RECEIPT_TYP)

    async def _not_taken(self, arrival: _Arrival, proven: Proven | None, error: Refused | Undecided) -> Answer:
        """What was taken before keeps its receipt; otherwise it is kept with the reason."""
        unjudged = arrival.unjudged
        taken = await asyncio.to_thread(self._intake.receipt_of, unjudged.digest)
        if taken is not None:
            return _answer(arrival, taken)
        refused = isinstance(error, Refused)
        kept = False
        if error.reason not in _NOBODYS:
            state = QuarantineState.REFUSED if refused else QuarantineState.UNDECIDED
            keep = self._intake.quarantine.keep
            kept = await asyncio.to_thread(keep, unjudged, state, error.reason, error.detail, now=self._clock())
            if not kept:
                _log.warning("no room in quarantine for a report that says it is from %s", arrival.report.issuer)
        receipt = None
        if refused and proven is not None and error.reason is not Reason.WRONG_AUDIENCE:
            receipt = await asyncio.to_thread(self._receipt, proven, error.reason, self._clock())
        return Answer(
            standing=Standing.REFUSED if refused else Standing.UNDECIDED,
            signer=arrival.report.issuer,
            digest=unjudged.digest,
            receipt=receipt,
            reason=error.reason,
            detail=error.detail,
            kept=kept,
        )


def _arrival(token: bytes, *, received_at: Moment, source: str) -> _Arrival:
    if len(token) > REPORT_OCTETS.default:
        raise LimitExceeded(REPORT_OCTETS.name, f"a report of {len(token)} octets")
    signed = jws.parse(token, typ=reports.TYP)
    claims = read_claims(signed)
    report = Report.from_token(claims, token)
    presented = signed.presented
    unjudged = Unjudged(
        issuer=report.issuer.canonical,
        token=token,
        digest=sha256(token).digest(),
        received_at=received_at,
        source=source,
        spki_sha256=b"" if presented.is_empty else sha256(presented.spki).digest(),
    )
    return _Arrival(signed=signed, claims=claims, report=report, unjudged=unjudged)


def _answer(arrival: _Arrival, settled: Settled) -> Answer:
    signer, digest = arrival.report.issuer, arrival.unjudged.digest
    if isinstance(settled, Taken):
        return Answer(
            standing=Standing.ACCEPTED,
            signer=signer,
            digest=digest,
            receipt=settled.receipt,
            order=settled.order,
            again=settled.again,
        )
    assert isinstance(settled, NotTaken)
    return Answer(
        standing=Standing.REFUSED,
        signer=signer,
        digest=digest,
        receipt=settled.receipt,
        reason=settled.refusal.reason,
        detail=settled.refusal.detail,
        kept=True,
    )
