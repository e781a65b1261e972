"""The story the demonstration tells, step by step, on a signed miniature Internet in this process.

car54 gets a name and a key; an HTTPS API knows it by that name alone; everybody else stays out, each for a reason of
their own; then one record is removed and every door closes. Each step says what was expected before it is tried.
Revocation goes through the ordinary caches: the record's TTL is two seconds, and nothing is flushed.
"""

import queue
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from dnsbound.cli.demo_clients import HOST, Caller, Reply, Service, call, call_with_curl, curl
from dnsbound.credential.credential import Credential
from dnsbound.edge.authenticator import Authenticator
from dnsbound.testing.faults import Fault
from dnsbound.testing.organisation import Device
from dnsbound.testing.world import World
from dnsbound.verify.access import AccessList

if TYPE_CHECKING:
    from dnsbound.verify.decision import Decision

CAR: Final = "car54._device.cars.example"
DOOR: Final = "api"
REVOCATION_SECONDS: Final = 15.0
"""How long the demonstration waits for a removed record to be forgotten."""
_DECISION_SECONDS: Final = 10.0
_BETWEEN_TRIES: Final = 0.25

ACCESS: Final = """
[door.api]
allow = ["*._device.cars.example", "car1._device.broken.example", "car1._device.unsigned.example"]
deny = ["car99._device.cars.example"]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """One step: what was expected, what happened, why, and how long it took."""

    step: str
    expected: str
    outcome: str
    reason: str
    ms: float

    @property
    def as_expected(self) -> bool:
        return self.outcome in {self.expected, SKIPPED}


SKIPPED: Final = "skipped"


class Scenario:
    """The steps, in order. `decisions` is where the API's authenticator puts what it decided."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._cars = world.organisation("cars.example")
        self._decisions: queue.SimpleQueue[Decision] = queue.SimpleQueue()
        self.revocation_seconds: float | None = None
        """From the removal of the record to the first login refused; None until that was seen."""
        self.server_credential: Final = world.web_credential(HOST)
        self.authenticator: Final = Authenticator(
            AccessList.from_toml(ACCESS), world.resolver(), door=DOOR, on_decision=self._decisions.put
        )

    def steps(self, service: Service) -> Iterator[StepResult]:
        """Run the story against the API."""
        car = yield from self._issue()
        yield self._attempt(
            "HTTPS login: name in dane_clientid, X.509", "admitted", lambda: call(service, car.credential)
        )
        yield self._attempt(
            "HTTPS login: name in dane_clientid, raw public key",
            "admitted",
            lambda: call(service, car.credential.as_raw_key()),
        )
        yield self._with_curl(service, car.credential)
        yield from self._strangers(service, car)
        yield from self._dns_troubles(service)
        yield from self._revocation(service, car)

    def _issue(self) -> Generator[StepResult, None, Device]:
        started = time.perf_counter()
        car = self._cars.device("car54")
        yield StepResult(
            step=f"issue {CAR}",
            expected="published",
            outcome="published",
            reason=f"TLSA {car.record.parameters} {car.record.data.hex()[:16]}..., TTL {car.ttl} s",
            ms=_ms(started),
        )
        return car

    def _strangers(self, service: Service, car: Device) -> Iterator[StepResult]:
        stranger = self._world.organisation("elsewhere.example").device("robot7")
        chain = Credential(None, stranger.credential.private_key, stranger.credential.chain)
        yield self._attempt_unasked(
            "a stranger's certificate, its own record in good order; not on the list", lambda: call(service, chain)
        )
        impostor = Credential.generate(car.name, now=self._world.now())
        yield self._attempt(
            "a permitted name with another key", "refused tlsa-mismatch", lambda: call(service, impostor)
        )
        denied = self._cars.device("car99")
        yield self._attempt_unasked("a name that the list denies", lambda: call(service, denied.credential))

    def _attempt_unasked(self, step: str, client: Callable[[], Reply]) -> StepResult:
        """To be refused by the list alone. Queries are counted where they would arrive."""
        before = len(self._world.queries)
        result = self._attempt(step, "refused not-permitted", client)
        asked = len(self._world.queries) - before
        return replace(
            result,
            expected=f"{result.expected}, 0 DNS queries",
            outcome=f"{result.outcome}, {asked} DNS {'query' if asked == 1 else 'queries'}",
        )

    def _dns_troubles(self, service: Service) -> Iterator[StepResult]:
        broken = self._world.organisation("broken.example")
        car = broken.device("car1")
        broken.fault(Fault.BOGUS)
        yield self._attempt(
            "a zone whose signatures are bogus", "undecided bogus", lambda: call(service, car.credential)
        )
        plain = self._world.organisation("unsigned.example", signed=False).device("car1")
        yield self._attempt("a zone that is not signed", "refused insecure", lambda: call(service, plain.credential))

    def _revocation(self, service: Service, car: Device) -> Iterator[StepResult]:
        live = Caller(service, car.credential)
        yield self._attempt("a connection that stays open", "admitted", live.get)
        removed = time.perf_counter()
        car.revoke()
        yield StepResult(
            step=f"remove the TLSA record of {CAR}", expected="removed", outcome="removed", reason="", ms=_ms(removed)
        )
        yield self._refused_within(service, car, removed)
        started = time.perf_counter()
        reply = live.get()
        live.close()
        yield StepResult(
            step="the connection that stayed open",
            expected="cut",
            outcome="still open" if reply.admitted else "cut",
            reason=reply.text if not reply.admitted else "",
            ms=_ms(started),
        )

    def _refused_within(self, service: Service, car: Device, removed: float) -> StepResult:
        while True:
            result = self._attempt(
                "the next login (tried until caches have forgotten)",
                "refused no-tlsa",
                lambda: call(service, car.credential),
            )
            seconds = time.perf_counter() - removed
            if result.outcome != "admitted" or seconds > REVOCATION_SECONDS:
                break
            time.sleep(_BETWEEN_TRIES)
        if result.outcome != "admitted":
            self.revocation_seconds = seconds
        return StepResult(
            step=result.step,
            expected=result.expected,
            outcome=result.outcome,
            reason=f"{result.reason}; {seconds:.1f} s after the removal, TTL {car.ttl} s, nothing flushed",
            ms=result.ms,
        )

    def _with_curl(self, service: Service, credential: Credential) -> StepResult:
        step, program = "HTTPS login: unmodified curl, name in the certificate", curl()
        if program is None:
            return StepResult(step=step, expected="admitted", outcome=SKIPPED, reason="curl is not installed", ms=0.0)
        return self._attempt(step, "admitted", lambda: call_with_curl(service, credential, program))

    def _attempt(self, step: str, expected: str, client: Callable[[], Reply]) -> StepResult:
        """Try, and put together what the client saw and what the door decided."""
        self._forget_decisions()
        started = time.perf_counter()
        reply = client()
        ms = _ms(started)
        if reply.admitted:
            return StepResult(step=step, expected=expected, outcome="admitted", reason=reply.text.strip(), ms=ms)
        try:
            decision = self._decisions.get(timeout=_DECISION_SECONDS)
        except queue.Empty:
            return StepResult(step=step, expected=expected, outcome="failed", reason=reply.text, ms=ms)
        outcome = f"{decision.verdict.value} {decision.reason.value}" if decision.reason else "failed"
        return StepResult(step=step, expected=expected, outcome=outcome, reason=decision.detail or reply.text, ms=ms)

    def _forget_decisions(self) -> None:
        while not self._decisions.empty():
            self._decisions.get()


def _ms(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 1)
