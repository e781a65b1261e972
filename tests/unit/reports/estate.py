"""A car that reports and an office that receives, with a miniature Internet behind them and a clock that is told.

No network: the resolver below looks up by the chains that World builds, so what it says was validated.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import dns.name
import dns.rdatatype

from dnsbound.credential.credential import Credential
from dnsbound.dns.answer import Answer as DnsAnswer
from dnsbound.dns.answer import Outcome, Provenance, Security
from dnsbound.dns.chain_building import BuiltChain
from dnsbound.edge.object_verifier import ObjectVerifier
from dnsbound.edge.report_chains import ReportChains
from dnsbound.edge.report_receiver import Answer, ReportReceiver
from dnsbound.edge.report_sender import Delivery, ReportSender
from dnsbound.errors import Reason, Undecided
from dnsbound.provision.reports.intake import Intake
from dnsbound.provision.reports.outbox import Outbox, SentReport
from dnsbound.testing import World
from dnsbound.times import Moment, Seconds
from dnsbound.verify.access import AccessList

CAR = "car54._device.cars.example"
OFFICE = "report.gov.example"
DOOR = "reports"
NOW = 1_790_000_000.0

_T = TypeVar("_T")


def run(work: Coroutine[Any, Any, _T]) -> _T:
    return asyncio.run(asyncio.wait_for(work, 60))


class Clock:
    def __init__(self, now: Moment = NOW) -> None:
        self.now = now

    def __call__(self) -> Moment:
        return self.now


class Lookups:
    """A resolver without a network. down: the DNS cannot be asked."""

    def __init__(self, world: World, clock: Clock) -> None:
        self._world = world
        self._clock = clock
        self.down = False
        self.asked: list[str] = []

    def cached(self, name: str, rdtype: dns.rdatatype.RdataType) -> DnsAnswer | None:
        return None

    def lookup_blocking(
        self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, *, deadline: Seconds, refresh: bool = False
    ) -> DnsAnswer:
        self.asked.append(name.to_text(omit_final_dot=True))
        if self.down:
            return DnsAnswer(
                name=name,
                rdtype=rdtype,
                security=Security.INDETERMINATE,
                outcome=Outcome.FAILED,
                validated_at=self._clock(),
                detail="nobody answers",
            )
        return replace(self._world.chain(name.to_text(), at=self._clock()).answer, provenance=Provenance.RESOLVED)

    async def lookup(
        self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, *, deadline: Seconds, refresh: bool = False
    ) -> DnsAnswer:
        return self.lookup_blocking(name, rdtype, deadline=deadline)

    async def chain(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> BuiltChain:
        if self.down:
            raise Undecided(Reason.DNS_FAILED, "nobody answers")
        return self._world.chain(name.to_text(), at=self._clock())


class Estate:
    """Everything around one car and one office. place: a directory for their stores."""

    def __init__(self, place: Path, *, store: str | None = None) -> None:
        self.place = place
        self.clock = Clock()
        self.world = World(clock=self.clock, validity=86_400)
        self.cars = self.world.organisation("cars.example")
        self.car = self.cars.device("car54")
        self.office = self.world.organisation("gov.example").identity("report")
        self.lookups = Lookups(self.world, self.clock)
        self.outbox = Outbox.open(place / "car.db", create=True)
        self.intake = Intake.open(store or str(place / "office.db"), create=True)
        self.entropy: Callable[[int], bytes] | None = None

    def close(self) -> None:
        self.outbox.close()
        self.intake.close()

    def verifier(self, *names: str) -> ObjectVerifier:
        access = AccessList.allowing(DOOR, names or [CAR])
        return ObjectVerifier(access, self.lookups, door=DOOR, clock=self.clock)

    def sender(
        self, credential: Credential | None = None, outbox: Outbox | None = None, **options: Any
    ) -> ReportSender:
        options.setdefault("clock", self.clock)
        receipts = ObjectVerifier.expecting([OFFICE], self.lookups, clock=self.clock)
        audience = options.pop("audience", OFFICE)
        return ReportSender(credential or self.car.credential, outbox or self.outbox, audience, receipts, **options)

    def receiver(self, *names: str, archive: bool = False, **options: Any) -> ReportReceiver:
        options.setdefault("clock", self.clock)
        if archive:
            options["chains"] = ReportChains(self.lookups)
        return ReportReceiver(self.office.credential, self.intake, self.verifier(*names), **options)

    def made(self, content: dict[str, Any] | None = None, **options: Any) -> SentReport:
        return self.sender().make(content or {"route": [1, 2]}, **options)

    def received(self, token: bytes, **options: Any) -> Answer:
        return run(self.receiver(**options).receive(token, source="192.0.2.7"))

    def sent(self, deliver: Callable[[bytes], Awaitable[bytes | None]]) -> Delivery:
        return run(self.sender().send_waiting(deliver))

    async def by_hand(self, token: bytes) -> bytes | None:
        """Takes a report over to the office."""
        return (await self.receiver().receive(token)).receipt
