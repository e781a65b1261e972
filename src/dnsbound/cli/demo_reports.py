"""What car54 reports to report.gov.example in the demonstration, and what becomes of reports that are not car54's.

The office has no account of the car: it looks the signer's name up, keeps what proves the report, and answers with a
receipt signed by its own DNS-bound key. Report and receipt go over the broker where there is one, and from hand to hand
otherwise; nobody on the way has to be trusted.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from dnsbound.cli.demo_broker import RECEIPTS, REPORT, REPORTS, SECONDS, Broker
from dnsbound.cli.demo_clients import told
from dnsbound.cli.demo_step import StepResult, ms_since
from dnsbound.credential.credential import Credential
from dnsbound.edge.object_verifier import ObjectVerifier
from dnsbound.edge.report_archive import verify_archived
from dnsbound.edge.report_chains import ReportChains
from dnsbound.edge.report_receiver import Answer, ReportReceiver, Standing
from dnsbound.edge.report_sender import ReportSender
from dnsbound.errors import DnsboundError, Refused, Undecided
from dnsbound.provision.reports.intake import Intake
from dnsbound.provision.reports.outbox import Outbox
from dnsbound.provision.reports.reading import whole_report
from dnsbound.testing.background_loop import BackgroundLoop
from dnsbound.times import Moment, Seconds, iso
from dnsbound.verify.access import AccessList
from dnsbound.verify.decision import verdict_of

if TYPE_CHECKING:
    from dnsbound.edge.resolver import Resolver
    from dnsbound.testing.front_trials.mqtt_client import MqttClient
    from dnsbound.testing.organisation import Device
    from dnsbound.testing.world import World

DOOR: Final = "reports"
ROUTE: Final = {"route": [[52.52, 13.40], [52.39, 13.06]], "km": 35}
TAKEN: Final = "accepted, with a receipt"
ONCE: Final = "not taken again"
HOLDS: Final = "verified"
_LATER: Final[Seconds] = 366 * 86_400.0


class Reports:
    """The car's sender and the office's receiver, with the ways between them."""

    def __init__(
        self,
        *,
        world: "World",
        car: "Device",
        office: Credential,
        resolver: "Resolver",
        loop: BackgroundLoop,
        outbox: Outbox,
        intake: Intake,
        receiver: ReportReceiver,
        at_car: "MqttClient | None",
        at_office: "MqttClient | None",
    ) -> None:
        self._world, self._car, self._office, self._resolver, self._loop = world, car, office, resolver, loop
        self._outbox, self._intake, self._receiver = outbox, intake, receiver
        self._at_car, self._at_office = at_car, at_office
        self._receipts: Final = f"{RECEIPTS}/{car.name.canonical}"
        self._sender: Final = self._sender_of(car.credential, outbox)

    # --- the steps

    def begin(self) -> Iterator[StepResult]:
        """A report that is taken, and two that are not."""
        way = "over the broker" if self._at_office is not None else "from hand to hand"
        yield self._step(f"a signed route report of {self._car.name}, {way}", TAKEN, self._delivered)
        yield self._step("the same report, brought once more by somebody", ONCE, self._heard_again)
        impostor = Credential.generate(self._car.name, now=self._world.now())
        yield self._step(
            f"a report as from {self._car.name}, signed by Mallory",
            "refused tlsa-mismatch",
            lambda: self._outcome(self._receive(self._report_of(impostor))),
        )

    def by_stranger(self, credential: Credential) -> StepResult:
        """A report by somebody who is not on the list."""
        return self._step(
            f"a report of {credential.name}, its own record in good order; not on the list",
            "refused not-permitted",
            lambda: self._outcome(self._receive(self._report_of(credential))),
        )

    def once_more(self) -> StepResult:
        """A new report of the car."""
        return self._step(
            f"a new report of {self._car.name}",
            "refused no-tlsa",
            lambda: self._outcome(self._receive(self._sender.make(ROUTE).token)),
        )

    def archived(self) -> Iterator[StepResult]:
        """The first report, judged again without any DNS."""
        yield self._step("the first report, from the archive, without any DNS", HOLDS, lambda: self._judged(None))
        later = self._world.now() + _LATER
        yield self._step("the same, as if it had come a year later", "undecided bogus", lambda: self._judged(later))

    # --- what they do

    def _delivered(self) -> tuple[str, str]:
        self._sender.make(ROUTE)
        delivery = self._loop.run(self._sender.send_waiting(self._carry), seconds=SECONDS)
        if delivery.accepted != 1:
            return "not delivered", delivery.trouble
        return (
            TAKEN,
            f"the receipt is signed by {self._office.name}; the DNSSEC chains of both are kept with the report",
        )

    async def _carry(self, token: bytes) -> bytes | None:
        """A `Deliver`: by the broker where there is one."""
        if self._at_office is None or self._at_car is None:
            return (await self._receiver.receive(token)).receipt
        await asyncio.to_thread(self._at_car.publish, REPORTS, token.decode("ascii"))
        heard = await asyncio.to_thread(self._at_office.heard_at, REPORTS)
        receipt = (await self._receiver.receive(heard.encode())).receipt or b""
        await asyncio.to_thread(self._at_office.publish, self._receipts, receipt.decode("ascii"))
        return (await asyncio.to_thread(self._at_car.heard_at, self._receipts)).encode()

    def _heard_again(self) -> tuple[str, str]:
        sent = next(iter(self._outbox.reports()))
        answer = self._receive(sent.token)
        if not answer.again:
            return self._outcome(answer)
        return ONCE, "who brings a report proves nothing; it counts once, and its receipt is the first one"

    def _judged(self, at: Moment | None) -> tuple[str, str]:
        archive = whole_report(self._intake.database, 1).archive
        if archive is None:
            return "not archived", ""
        names = [self._car.name.text]
        receivers = [] if at is not None else [REPORT]
        try:
            verified = verify_archived(archive, names=names, receivers=receivers, anchors=self._world.anchors, at=at)
        except (Refused, Undecided) as error:
            return f"{verdict_of(error).value} {error.reason.value}", error.detail
        return HOLDS, f"as of {iso(verified.at)}, when {REPORT} received it, by its receipt and both chains"

    def _report_of(self, credential: Credential) -> bytes:
        """Made elsewhere, with an outbox of its own."""
        with Outbox.open(self._world.directory / f"reports-{secrets.token_hex(8)}.db", create=True) as outbox:
            return self._sender_of(credential, outbox).make(ROUTE).token

    def _sender_of(self, credential: Credential, outbox: Outbox) -> ReportSender:
        receipts = ObjectVerifier.expecting([REPORT], self._resolver, clock=self._world.now)
        return ReportSender(credential, outbox, REPORT, receipts, clock=self._world.now)

    def _receive(self, token: bytes) -> Answer:
        return self._loop.run(self._receiver.receive(token), seconds=SECONDS)

    @staticmethod
    def _outcome(answer: Answer) -> tuple[str, str]:
        reason = f" {answer.reason.value}" if answer.reason is not None else ""
        outcome = "admitted" if answer.standing is Standing.ACCEPTED else f"{answer.standing.value}{reason}"
        return outcome, answer.detail

    def _step(self, what: str, expected: str, attempt: Callable[[], tuple[str, str]]) -> StepResult:
        started = time.perf_counter()
        try:
            outcome, reason = attempt()
        except (OSError, DnsboundError) as error:
            outcome, reason = "failed", told(error)
        step = f"{REPORT}: {what}"
        return StepResult(step=step, expected=expected, outcome=outcome, reason=reason, ms=ms_since(started))


@contextmanager
def reporting(
    world: "World", car: "Device", at_car: "MqttClient | None", broker: Broker | None, access: str
) -> Iterator[Reports]:
    """at_car: the car's connection to the broker; None without one. access: the text of the list."""
    office = world.organisation("gov.example").identity("report").credential
    with ExitStack() as held:
        resolver = held.enter_context(world.resolver())
        loop = held.enter_context(BackgroundLoop("demo-reports"))
        at_office = None
        if broker is not None and at_car is not None:
            at_office = held.enter_context(broker.connect(office))
            at_office.subscribe(REPORTS)
            at_car.subscribe(f"{RECEIPTS}/{car.name.canonical}")
        outbox = held.enter_context(Outbox.open(world.directory / "reports-sent.db", create=True))
        intake = held.enter_context(Intake.open(world.directory / "reports-received.db", create=True))
        signers = ObjectVerifier(AccessList.from_toml(access), resolver, door=DOOR, clock=world.now)
        receiver = ReportReceiver(office, intake, signers, chains=ReportChains(resolver), clock=world.now)
        held.callback(lambda: loop.run(receiver.close()))
        yield Reports(
            world=world,
            car=car,
            office=office,
            resolver=resolver,
            loop=loop,
            outbox=outbox,
            intake=intake,
            receiver=receiver,
            at_car=at_car,
            at_office=at_office,
        )
