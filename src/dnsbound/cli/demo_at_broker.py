"""What car54 does at the broker of the demonstration: a connection that stays open until its record is gone."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dnsbound.cli.demo_broker import REPORT, SECONDS, Broker
from dnsbound.cli.demo_clients import told
from dnsbound.cli.demo_step import SKIPPED, StepResult, ms_since
from dnsbound.errors import PeerError

if TYPE_CHECKING:
    from dnsbound.testing.front_trials.mqtt_client import MqttClient
    from dnsbound.testing.organisation import Device

_STEP: Final = f"{REPORT}: MQTT to Mosquitto behind the gate, which knows user names alone"
_ADMITTED: Final = "admitted, own topics alone"
_MISSING: Final = "mosquitto is not installed"


@dataclass(slots=True)
class AtBroker:
    """The connection, and how it began; None for one that was not to be had. seconds: from the removal to its end."""

    begun: StepResult
    client: "MqttClient | None" = None
    seconds: float | None = None

    def end(self, removed: float) -> StepResult:
        """Wait for the end of the connection. removed: when the record was, by `time.perf_counter`."""
        started = time.perf_counter()
        outcome, reason = SKIPPED, _MISSING
        if self.client is not None:
            outcome, reason = "still open", f"after {SECONDS:.0f} s"
            if self.client.ended(SECONDS):
                self.seconds = time.perf_counter() - removed
                outcome, reason = "cut", f"{self.seconds:.1f} s after the removal at the latest"
        elif self.begun.outcome != SKIPPED:
            outcome, reason = "never there", ""
        return StepResult(
            step=f"{REPORT}: the MQTT connection that stayed open",
            expected="cut",
            outcome=outcome,
            reason=reason,
            ms=ms_since(started),
        )


@contextmanager
def at_broker(broker: Broker | None, car: "Device") -> Iterator[AtBroker]:
    """Connect; the connection is closed at the end."""
    started = time.perf_counter()
    if broker is None:
        yield AtBroker(_result(SKIPPED, _MISSING, started))
        return
    try:
        client = broker.connect(car.credential)
    except (OSError, PeerError) as error:
        yield AtBroker(_result("refused", told(error), started))
        return
    with client:
        try:
            begun = _tried(client, car.name.canonical, started)
        except (OSError, PeerError) as error:
            begun = _result("failed", told(error), started)
        yield AtBroker(begun, client)


def _tried(client: "MqttClient", name: str, started: float) -> StepResult:
    """Another's topics are not the car's: what it says there, nobody hears."""
    client.subscribe("devices/#")
    client.publish("devices/car99._device.cars.example/report", "forged")
    client.publish(f"devices/{name}/report", "21.5 degrees")
    topic, message = client.heard()
    outcome = _ADMITTED if topic == f"devices/{name}/report" else f"admitted, heard {topic}"
    return _result(outcome, f"{topic}: {message}", started)


def _result(outcome: str, reason: str, started: float) -> StepResult:
    return StepResult(step=_STEP, expected=_ADMITTED, outcome=outcome, reason=reason, ms=ms_since(started))
