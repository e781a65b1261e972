"""The side that sends reports: numbers, signs and keeps them, and sends each until its receiver has given a receipt.

    sender = ReportSender(credential, outbox, "report.gov.example", ObjectVerifier.expecting([...], resolver))
    sender.make({"route": [...]})                       # on disk, numbered and signed; nothing is sent yet
    await sender.send_waiting(http_delivery(url))       # as often as there is a network

A receipt counts when it is for exactly these octets and its receiver's own DNS-bound key signed it. What carries
reports and receipts is the caller's (`Deliver`): HTTP is in `dnsbound.edge.report_http`; where receipts come by another
way than reports go, `take_receipt` takes them. One process after another, or several at once, may share an outbox.
"""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from dnsbound.credential.credential import Credential
from dnsbound.edge.object_verifier import ObjectVerifier
from dnsbound.errors import DnsboundError, LimitExceeded, Malformed, Misuse, PeerError
from dnsbound.names import ClientName
from dnsbound.object_limits import RECEIPT_OCTETS, REPORT_OCTETS, REPORT_SECONDS
from dnsbound.objects import report as reports
from dnsbound.objects.jose import jws
from dnsbound.objects.jose.jwt import read_claims
from dnsbound.objects.receipt import TYP as RECEIPT_TYP
from dnsbound.objects.receipt import Receipt, Verdict
from dnsbound.objects.report import JTI_OCTETS, Report
from dnsbound.objects.report_claims import sign_claims
from dnsbound.provision.reports.outbox import Outbox, Place, SentReport, SentState
from dnsbound.times import Moment

_log: Final = logging.getLogger("dnsbound.reports")

Deliver: TypeAlias = Callable[[bytes], Awaitable[bytes | None]]
"""Takes a report to its receiver. Returns the receipt as it came, or None where none came yet. PeerError or OSError
when it did not get there, so that nothing else would; `Misdelivered` when this one alone will not be taken."""


class Misdelivered(PeerError):
    """The receiver does not take this report; others may fare better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What became of the reports of one round."""

    accepted: int = 0
    refused: int = 0
    waiting: int = 0
    """Sent, or not, and without a receipt."""
    expired: int = 0
    trouble: str = ""
    """Why the round ended early; empty when it did not."""


class ReportSender:
    """What one name reports to one audience. Thread-safe as far as its outbox is."""

    def __init__(
        self,
        credential: Credential,
        outbox: Outbox,
        audience: str,
        verifier: ObjectVerifier,
        *,
        lifetime: int | None = None,
        key_in_band: bool = True,
        clock: Callable[[], Moment] = time.time,
        entropy: Callable[[int], bytes] = os.urandom,
        danger_any_clock: bool = False,
    ) -> None:
        """audience: the receiver's DNS name. verifier: of receipts; it should expect that name alone. lifetime: seconds
        a report holds, the default of `object_limits.REPORT_SECONDS`. key_in_band: send the public key with each
        report; may be False where the DNS has it in full (`3 1 0`). danger_any_clock: also count where the clock shows
        less than it did. Misuse for a credential without a name, Malformed for an audience that is no name."""
        if credential.name is None:
            raise Misuse("the credential has no name to report by")
        self._credential = credential
        self.name: Final[ClientName] = credential.name
        self._outbox = outbox
        self._audience = ClientName.parse(audience)
        self._verifier = verifier
        self._lifetime = REPORT_SECONDS.checked(lifetime)
        self._key_in_band = key_in_band
        self._clock = clock
        self._entropy = entropy
        self._danger_any_clock = danger_any_clock

    def make(
        self,
        content: Mapping[str, Any],
        *,
        event_at: Moment | None = None,
        from_sequence: int | None = None,
    ) -> SentReport:
        """Number, sign and keep a report; it is on disk when this returns, and has been sent nowhere. Blocking.

        content: claims by name, none of the profile's own. event_at: when it took place. from_sequence: go on from
        there, after the count was lost. Misuse for content that is no JSON, LimitExceeded when the report is too long
        or the outbox full, Undecided(CLOCK), ReportStoreFailed.
        """
        now = self._clock()
        issued_at = int(now)
        draft = Report(
            issuer=self.name,
            audience=(self._audience,),
            issued_at=issued_at,
            expires_at=issued_at + self._lifetime,
            identifier=self._entropy(JTI_OCTETS),
            sequence=1,
            event_at=event_at,
            content=content,
        )
        return self._outbox.make(
            draft.stream,
            self._audience.canonical,
            lambda place: self._signed(draft, place),
            now=now,
            expires_at=draft.expires_at,
            from_sequence=from_sequence,
            danger_any_clock=self._danger_any_clock,
        )

    def _signed(self, draft: Report, place: Place) -> bytes:
        claims = draft.at(place.sequence, place.previous).to_claims()
        token = sign_claims(claims, self._credential, typ=reports.TYP, key_in_band=self._key_in_band)
        if len(token) > REPORT_OCTETS.default:
            raise LimitExceeded(REPORT_OCTETS.name, f"the report has {len(token)} octets: report a digest of its data")
        return token

    async def send_waiting(self, deliver: Deliver) -> Delivery:
        """Send every report of this name to this audience that has no receipt, oldest first. Ends early when nothing
        gets there. Raises nothing of the carrier's; ReportStoreFailed of the outbox."""
        expired = await asyncio.to_thread(self._outbox.expire, now=self._clock())
        counted = dict.fromkeys(SentState, 0)
        trouble = ""
        waiting = self._outbox.waiting(Report.stream_of(self.name, [self._audience]))
        while (sent := await asyncio.to_thread(next, waiting, None)) is not None:
            if trouble:
                counted[SentState.WAITING] += 1
                continue
            try:
                counted[await self._send(sent, deliver)] += 1
            except (PeerError, OSError) as error:
                trouble = _words(error)
                counted[SentState.WAITING] += 1
                await self._remember_trouble(sent, trouble)
        return Delivery(
            accepted=counted[SentState.ACCEPTED],
            refused=counted[SentState.REFUSED],
            waiting=counted[SentState.WAITING],
            expired=expired,
            trouble=trouble,
        )

    async def take_receipt(self, octets: bytes) -> Receipt:
        """A receipt that came: verified, and written down. Malformed, Refused or Undecided for one that does not count;
        Misuse for one of a report that is not waiting here."""
        receipt = await self._verified(octets)
        sent = await asyncio.to_thread(self._outbox.find, receipt.digest)
        if sent is None:
            raise Misuse("the receipt is for a report that is not in this outbox")
        await self._settle(sent, receipt, octets)
        return receipt

    async def _send(self, sent: SentReport, deliver: Deliver) -> SentState:
        try:
            answer = await deliver(sent.token)
        except Misdelivered as error:
            await self._remember_trouble(sent, _words(error))
            return SentState.WAITING
        if answer is None:
            await self._remember_trouble(sent, "no receipt yet")
            return SentState.WAITING
        try:
            receipt = await self._verified(answer)
            if receipt.digest != sent.digest:
                raise Malformed("the receipt is for another report")
            return await self._settle(sent, receipt, answer)
        except DnsboundError as error:
            _log.warning("the receipt of report %d to %s does not count: %s", sent.sequence, sent.audience, error)
            await self._remember_trouble(sent, _words(error))
            return SentState.WAITING

    async def _verified(self, octets: bytes) -> Receipt:
        if len(octets) > RECEIPT_OCTETS.default:
            raise LimitExceeded(RECEIPT_OCTETS.name, f"a receipt of {len(octets)} octets")
        signed = jws.parse(octets, typ=RECEIPT_TYP)
        receipt = Receipt.from_jwt(read_claims(signed))
        verified = await self._verifier.verify(signed, source=self._audience.canonical)
        if verified.name != self._audience or receipt.signer != self.name:
            raise Malformed(f"the receipt is not from {self._audience}, or not for {self.name}")
        return receipt

    async def _settle(self, sent: SentReport, receipt: Receipt, octets: bytes) -> SentState:
        state = SentState.ACCEPTED if receipt.verdict is Verdict.ACCEPTED else SentState.REFUSED
        await asyncio.to_thread(self._outbox.settled, sent.digest, state, octets, at=self._clock())
        if state is SentState.REFUSED:
            _log.warning("report %d to %s was refused: %s", sent.sequence, sent.audience, receipt.reason)
        return state

    async def _remember_trouble(self, sent: SentReport, trouble: str) -> None:
        await asyncio.to_thread(self._outbox.tried, sent.digest, at=self._clock(), trouble=trouble)


def _words(error: BaseException) -> str:
    told = error.strerror if isinstance(error, OSError) else None
    return told or str(error) or type(error).__name__
