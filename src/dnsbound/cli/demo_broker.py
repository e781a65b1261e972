"""The broker of the demonstration: a Mosquitto as anybody has it, behind the gate.

The broker knows no certificate and no DNS: its access list says `devices/%u/#`, and the gate puts the verified name in
the place of the user name (MQTT 3.1.1 section 3.1.3.4). Without the program the steps are skipped.
"""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Final

from dnsbound.credential.credential import Credential
from dnsbound.edge.context import Context
from dnsbound.edge.credential_files import save_credential
from dnsbound.edge.gate_configuration import GateConfiguration
from dnsbound.edge.gate_server import GateServer
from dnsbound.edge.gate_sockets import bind_gates
from dnsbound.edge.worker_ports import endpoint_of
from dnsbound.testing.background_loop import BackgroundLoop
from dnsbound.testing.front_trials.clients import Way
from dnsbound.testing.front_trials.mqtt_client import MqttClient
from dnsbound.testing.world import World

REPORT: Final = "report.gov.example"
REPORTS: Final = f"reports/{REPORT}"
RECEIPTS: Final = "receipts"
"""Topics: where reports go, and, with a name behind it, where the receipts for that name come."""
SECONDS: Final = 15.0
_START_SECONDS: Final = 10.0

_MOSQUITTO: Final = """
user root
listener 0 {directory}/mqtt.sock
allow_anonymous true
acl_file {directory}/mqtt.acl
persistence false
log_dest none
"""
_TOPICS: Final = f"""\
user {REPORT}
topic read {REPORTS}
topic write {RECEIPTS}/#
pattern readwrite devices/%u/#
pattern write {REPORTS}
pattern read {RECEIPTS}/%u
"""
_GATE: Final = """
[server]
access = "mqtt-access.toml"

[gate.mqtt]
listen = "127.0.0.1:0"
target = "unix:{directory}/mqtt.sock"
protocol = "mqtt"
door = "report.gov.example"
credential = "report.pem"
"""


class Broker:
    """Where it is reached through the gate."""

    def __init__(self, way: Way) -> None:
        self._way = way

    def connect(self, credential: Credential) -> MqttClient:
        """OSError or PeerError when the door stays shut."""
        tls = Context.client(credential)
        tls.load_verify_locations(self._way.roots)
        return MqttClient(self._way, tls, "demo", seconds=SECONDS)


@contextmanager
def serving_broker(world: World, access: str) -> Iterator[Broker | None]:
    """Mosquitto and the gate before it; None where the program is not installed. access: the text of the list."""
    program = shutil.which("mosquitto")
    if program is None:
        yield None
        return
    with _mosquitto(world.directory, program), BackgroundLoop("demo-gate") as loop:
        running = AsyncExitStack()
        try:
            port = loop.run(_gate(world, access, running))
            yield Broker(Way(port=port, server_name=REPORT, roots=world.directory / "web-root.pem"))
        finally:
            loop.run(running.aclose())


@contextmanager
def _mosquitto(directory: Path, program: str) -> Iterator[None]:
    (directory / "mqtt.acl").write_text(_TOPICS)
    (directory / "mosquitto.conf").write_text(_MOSQUITTO.format(directory=directory))
    command = [program, "-c", str(directory / "mosquitto.conf")]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603 (our own arguments)
    try:
        ends_at = time.monotonic() + _START_SECONDS
        while not (directory / "mqtt.sock").exists() and running.poll() is None and time.monotonic() < ends_at:
            time.sleep(0.02)
        yield
    finally:
        running.terminate()
        running.wait(_START_SECONDS)


async def _gate(world: World, access: str, running: AsyncExitStack) -> int:
    files = world.directory
    save_credential(world.web_credential(REPORT), files / "report.pem")
    (files / "mqtt-access.toml").write_text(access)
    text = _GATE.format(directory=files)
    (files / "gate.toml").write_text(text)
    configuration = GateConfiguration.load(files / "gate.toml")
    (bound,) = bind_gates(configuration.gates, workers=1)
    resolver = world.resolver()
    running.push_async_callback(resolver.aclose)
    await running.enter_async_context(GateServer(configuration, resolver, bound, clock=world.now))
    return endpoint_of(bound["mqtt"][0]).port
