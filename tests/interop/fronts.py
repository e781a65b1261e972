"""Servers under the very trial of `dnsbound config SERVER --check`, and beside it clients with certificates of every
shape, resumed sessions and HTTP/2.

    with front("nginx") as nginx:
        assert nginx.of_shape("expired", "1.3").passed
"""

import secrets
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import httpx

from dnsbound.adapters.fronts.installed import Installed, installed
from dnsbound.names import ClientName
from dnsbound.testing.front_trials.clients import context, request
from dnsbound.testing.front_trials.outcome import Outcome
from dnsbound.testing.front_trials.programs import eventually
from dnsbound.testing.front_trials.running import Running, running
from dnsbound.testing.front_trials.stage import REVOKED_SECONDS, Stage
from dnsbound.testing.front_trials.trials import KINDS, outcomes, server_trial
from interop.radius_devices import SHAPES, device_of_shape

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def here(server: str) -> Installed:
    found = installed(server_trial(server).snippet.facts)
    assert found is not None
    return found


def whole_trial(server: str, *, over_tcp: bool = False) -> list[Outcome]:
    """What `--check` tries, with its outcomes; those that failed are in the test's message."""
    program = here(server)
    with closing(outcomes(server_trial(server), program.path, program.version, over_tcp=over_tcp)) as tried:
        return list(tried)


def failures(outcomes_: list[Outcome]) -> list[Outcome]:
    return [outcome for outcome in outcomes_ if not outcome.passed]


@dataclass(frozen=True, kw_only=True)
class Front:
    """A running server beside clients of every shape, all of them published and on the list."""

    running: Running
    shapes: dict[str, object]

    @property
    def stage(self) -> Stage:
        return self.running.stage

    @property
    def trial(self):
        return KINDS[self.running.trial.kind](self.running)

    def of_shape(self, shape: str, version: str) -> Outcome:
        """A client with a certificate of this shape, which is to come in under its own name."""
        file, name = self.shapes[shape]
        return self.trial.comes_in(shape, file, name=name, version=VERSIONS[version])

    def over_http_2(self, credential) -> tuple[httpx.Response | None, bool]:
        """The answer, and whether the back end saw the request."""
        path = f"/trial/{secrets.token_hex(8)}"
        tls = context(self.running.way, self.stage.client_file(credential))
        url = f"https://127.0.0.1:{self.running.way.port}{path}"
        name = self.running.way.server_name
        with httpx.Client(http1=False, http2=True, verify=tls, timeout=20, trust_env=False) as client:
            answer = client.get(url, headers={"Host": name}, extensions={"sni_hostname": name})
        return answer, self.stage.back_end.arrived(path) is not None

    def resumed_after_revocation(self, version: str) -> tuple[bool, Outcome]:
        """A client that comes in, is revoked, and comes back with its session: whether that was resumed."""
        device = self.stage.world.organisation("cars.example").device(f"back{version.replace('.', '')}")
        file, way = self.stage.client_file(device.credential), self.running.way
        tls = context(way, file, VERSIONS[version])
        path = f"/trial/{secrets.token_hex(8)}"
        first = request(way, tls, path)
        assert self.stage.back_end.arrived(path) is not None, first.words
        device.revoke()

        def out() -> bool:
            again = f"/trial/{secrets.token_hex(8)}"
            request(way, tls, again)
            return self.stage.back_end.arrived(again) is None

        assert eventually(out, REVOKED_SECONDS)
        last = f"/trial/{secrets.token_hex(8)}"
        came = request(way, tls, last, session=first.session)
        arrived = self.stage.back_end.arrived(last)
        return came.resumed, Outcome(what=version, expected="out", came=came.words, passed=arrived is None)


BACK = ("back12._device.cars.example", "back13._device.cars.example")


@contextmanager
def front(server: str) -> Iterator[Front]:
    """The server, with the verify service and clients of every shape."""
    trial, program = server_trial(server), here(server)
    with trial.stage() as stage:
        cars = stage.world.organisation("cars.example")
        shapes = {}
        for number, shape in enumerate(SHAPES):
            credential = device_of_shape(cars, f"shape{number}", shape, now=stage.world.now())
            name = ClientName.parse(f"shape{number}._device.cars.example").text
            shapes[shape] = (stage.client_file(credential), name)
            stage.admitted.append(name)
        stage.admitted.extend(BACK)
        settings = stage.settings(trial.snippet, version=program.version)
        with running(stage, trial, program.path, settings) as server_:
            yield Front(running=server_, shapes=shapes)
