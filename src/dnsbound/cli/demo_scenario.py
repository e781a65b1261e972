"""The story the demonstration tells, step by step, on a signed miniature Internet in this process.

car54 gets a name and a key; an HTTPS API and two Wi-Fi networks know it by that name alone; everybody else stays out,
each for a reason of their own; its signed report is believed by an office that never meets it; then one record is
removed and every door closes. Each step says what was expected
before it is tried. Revocation goes through the ordinary caches: the record's TTL is two seconds; nothing is flushed.
"""

import queue
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from dnsbound.cli.demo_at_broker import AtBroker
from dnsbound.cli.demo_at_broker import at_broker as _at_broker
from dnsbound.cli.demo_broker import Broker
from dnsbound.cli.demo_clients import HOST, Caller, Reply, Service, call, call_with_curl, curl
from dnsbound.cli.demo_networks import PUBLIC, WIRELESS, Networks, Place
from dnsbound.cli.demo_reports import reporting
from dnsbound.cli.demo_step import SKIPPED, StepResult, ms_since
from dnsbound.cli.demo_supplicants import Joining
from dnsbound.credential.credential import Credential
from dnsbound.edge.authenticator import Authenticator
from dnsbound.names import ClientName
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

[door."public.isp.example"]
allow = [{ names = ["*._device.cars.example"], grants = { vlan = "visitors" } }]

[door."report.gov.example"]
allow = ["*._device.cars.example", "report.gov.example"]

[door.reports]
allow = ["*._device.cars.example"]

[door."wireless.cars.example"]
allow = [{ names = ["car54._device.cars.example"], grants = { vlan = 54 } }]
"""

AT_PUBLIC: Final = Place(access_point="ap1.isp.example", station="02-00-00-00-00-54")
AT_WIRELESS: Final = Place(access_point="ap1.cars.example", station="02-00-00-00-00-54")
"""Where car54 stays. Everybody else, and car54 when it comes again, is at another station."""
ELSEWHERE: Final = Place(access_point="ap2.isp.example", station="02-00-00-00-00-99")


class Scenario:
    """The steps, in order. `decisions` is where the API's authenticator puts what it decided."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._cars = world.organisation("cars.example")
        self._decisions: queue.SimpleQueue[Decision] = queue.SimpleQueue()
        self.revocation_seconds: float | None = None
        """From the removal of the record to the first login refused; None until that was seen."""
        self.disconnect_seconds: float | None = None
        """From there to the last Disconnect-Request of a network."""
        self.broker_seconds: float | None = None
        """From there to the end of the connection to the broker."""
        self.report_seconds: float | None = None
        """From there to the first report refused."""
        self._removed = 0.0
        self.server_credential: Final = world.web_credential(HOST)
        self.authenticator: Final = Authenticator(
            AccessList.from_toml(ACCESS), world.resolver(), door=DOOR, on_decision=self._decisions.put
        )

    def steps(self, service: Service, networks: Networks, broker: Broker | None) -> Iterator[StepResult]:
        """Run the story against the API, the networks and the broker; None for one that is not installed."""
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
        yield from self._network_access(networks, car)
        with _at_broker(broker, car) as at_broker:
            yield at_broker.begun
            with reporting(self._world, car, at_broker.client, broker, ACCESS) as reports:
                yield from reports.begin()
                stranger = self._world.organisation("bikes.example").device("car2").credential
                yield self._unasked("bikes.example", lambda: reports.by_stranger(stranger))
                yield from self._revocation(service, networks, car, at_broker)
                again, self.report_seconds = _forgotten(reports.once_more, self._removed, car.ttl)
                yield again
                yield from reports.archived()

    def _issue(self) -> Generator[StepResult, None, Device]:
        started = time.perf_counter()
        car = self._cars.device("car54")
        yield StepResult(
            step=f"issue {CAR}",
            expected="published",
            outcome="published",
            reason=f"TLSA {car.record.parameters} {car.record.data.hex()[:16]}..., TTL {car.ttl} s",
            ms=ms_since(started),
        )
        return car

    def _strangers(self, service: Service, car: Device) -> Iterator[StepResult]:
        stranger = self._world.organisation("elsewhere.example").device("robot7")
        chain = Credential(None, stranger.credential.private_key, stranger.credential.chain)
        yield self._unasked(
            "elsewhere.example",
            lambda: self._attempt(
                "a stranger's certificate, its own record in good order; not on the list",
                "refused not-permitted",
                lambda: call(service, chain),
            ),
        )
        impostor = Credential.generate(car.name, now=self._world.now())
        yield self._attempt(
            "a permitted name with another key", "refused tlsa-mismatch", lambda: call(service, impostor)
        )
        denied = self._cars.device("car99")
        yield self._unasked(
            "cars.example",
            lambda: self._attempt(
                "a name that the list denies", "refused not-permitted", lambda: call(service, denied.credential)
            ),
        )

    def _unasked(self, zone: str, attempt: Callable[[], StepResult]) -> StepResult:
        """To be refused by the list alone. Queries about the zone are counted where they would arrive."""

        def arrived() -> int:
            return sum(f".{query.name}".endswith(f".{zone}") for query in self._world.queries)

        before = arrived()
        result = attempt()
        asked = arrived() - before
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

    def _network_access(self, networks: Networks, car: Device) -> Iterator[StepResult]:
        for network, place, vlan in ((PUBLIC, AT_PUBLIC, "visitors"), (WIRELESS, AT_WIRELESS, "54")):
            yield self._join(
                networks,
                f"{network}: EAP-TLS by {networks.by.text}",
                f"admitted, VLAN {vlan}",
                _joining(network, car.name, car.credential, place),
            )
        stranger = self._world.organisation("bikes.example").device("car1")
        yield self._unasked(
            "bikes.example",
            lambda: self._join(
                networks,
                f"{PUBLIC}: {stranger.name}, its own record in good order; not on the list",
                "refused not-permitted",
                _joining(PUBLIC, stranger.name, stranger.credential),
            ),
        )
        impostor = Credential.generate(car.name, now=self._world.now())
        yield self._join(
            networks,
            f"{WIRELESS}: a permitted name with another key",
            "refused tlsa-mismatch",
            _joining(WIRELESS, car.name, impostor),
        )

    def _join(self, networks: Networks, step: str, expected: str, joining: Joining) -> StepResult:
        """Try, and put together what the device saw and what the network decided."""
        started = time.perf_counter()
        joined = networks.join(joining)
        ms, event = ms_since(started), joined.event
        if event is None:
            outcome, reason = "failed", joined.told.why
        elif joined.told.admitted:
            outcome, reason = f"admitted, VLAN {joined.told.vlan or 'none'}", f"{event.name}, {event.tls_version}"
        else:
            outcome = f"{event.verdict.value} {event.reason}".rstrip()
            reason = event.detail or joined.told.why
        return StepResult(step=step, expected=expected, outcome=outcome, reason=reason, ms=ms)

    def _revocation(
        self, service: Service, networks: Networks, car: Device, at_broker: AtBroker
    ) -> Iterator[StepResult]:
        live = Caller(service, car.credential)
        yield self._attempt("a connection that stays open", "admitted", live.get)
        self._removed = removed = time.perf_counter()
        car.revoke()
        yield StepResult(
            step=f"remove the TLSA record of {CAR}",
            expected="removed",
            outcome="removed",
            reason="",
            ms=ms_since(removed),
        )
        yield self._refused_login(service, car, removed)
        started = time.perf_counter()
        reply = live.get()
        live.close()
        yield StepResult(
            step="the connection that stayed open",
            expected="cut",
            outcome="still open" if reply.admitted else "cut",
            reason=reply.text if not reply.admitted else "",
            ms=ms_since(started),
        )
        yield at_broker.end(removed)
        self.broker_seconds = at_broker.seconds
        for network in (PUBLIC, WIRELESS):
            again = _joining(network, car.name, car.credential)
            step = f"{network}: {CAR} once more"
            attempt = partial(self._join, networks, step, "refused no-tlsa", again)
            yield _forgotten(attempt, removed, car.ttl)[0]
        yield from self._disconnections(networks, removed)

    def _refused_login(self, service: Service, car: Device, removed: float) -> StepResult:
        result, seconds = _forgotten(
            lambda: self._attempt(
                "the next login (tried until caches have forgotten)",
                "refused no-tlsa",
                lambda: call(service, car.credential),
            ),
            removed,
            car.ttl,
        )
        if result.outcome != "admitted":
            self.revocation_seconds = seconds
        return result

    def _disconnections(self, networks: Networks, removed: float) -> Iterator[StepResult]:
        """What the access points of car54's sessions were told."""
        for network, place in ((PUBLIC, AT_PUBLIC), (WIRELESS, AT_WIRELESS)):
            started = time.perf_counter()
            at = networks.access_points.disconnected_at(place, seconds=REVOCATION_SECONDS)
            if at is None:
                outcome, reason = "still there" if place in networks.access_points.inside else "never there", ""
            else:
                seconds = at - removed
                self.disconnect_seconds = max(seconds, self.disconnect_seconds or 0.0)
                told = f"Disconnect-Request to {place.access_point}, acknowledged"
                outcome, reason = "disconnected", f"{told}; {seconds:.1f} s after the removal"
            yield StepResult(
                step=f"{network}: the session of {CAR}",
                expected="disconnected",
                outcome=outcome,
                reason=reason,
                ms=ms_since(started),
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
        ms = ms_since(started)
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


def _joining(network: str, name: ClientName, credential: Credential, place: Place = ELSEWHERE) -> Joining:
    return Joining(
        name=name,
        credential=credential,
        ssid=network.partition(".")[0],
        access_point=place.access_point,
        station=place.station,
    )


def _forgotten(attempt: Callable[[], StepResult], removed: float, ttl: int) -> tuple[StepResult, float]:
    """Try until it is refused: the last result, and the seconds since the removal. A connection that was let in by the
    last of the evidence, and cut before its answer came, was neither: it failed."""
    while True:
        result = attempt()
        seconds = time.perf_counter() - removed
        if not result.outcome.startswith(("admitted", "failed")) or seconds > REVOCATION_SECONDS:
            break
        time.sleep(_BETWEEN_TRIES)
    told = f"{result.reason}; {seconds:.1f} s after the removal, TTL {ttl} s, nothing flushed"
    return replace(result, reason=told), seconds
