"""The whole way with programs as they are: mosquitto_pub in clear, the client-side gate, the gate, Mosquitto."""

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dnsbound.credential.association import tlsa_for_certificate
from dnsbound.edge.credential_files import load_credential
from dnsbound.iana import MatchingType, Selector, Usage
from dnsbound.testing import Device, World
from interop.daemon import program, started
from interop.gate_processes import WAIT, GateProcess, gate_process
from machines.gates import gate_toml, write_files
from machines.outward_gates import HOST

pytestmark = pytest.mark.peer("mosquitto")


@dataclass(frozen=True, kw_only=True)
class Way:
    """inside: the broker's own socket. outside: what programs of the device's machine reach."""

    world: World
    device: Device
    inside: Path
    outside: Path
    broker_log: Path
    gate: GateProcess

    def command(self, name: str, socket: Path, *arguments: str) -> list[str]:
        return [program(name), "--unix", str(socket), *arguments]

    def published(self, topic: str, message: str) -> int:
        """What mosquitto_pub ends with: it knows of no TLS, no name and no key."""
        command = self.command("mosquitto_pub", self.outside, "-q", "1", "-i", "pub", "-t", topic, "-m", message)
        return subprocess.run(command, capture_output=True, timeout=WAIT, check=False).returncode

    @contextlib.contextmanager
    def listening(self) -> Iterator[subprocess.Popen[bytes]]:
        """A program beside the broker that ends with the first message of the device's topics."""
        topic = f"devices/{self.device.name.text}/#"
        named = ["-u", self.device.name.text, "-i", "sub", "-q", "1", "-C", "1", "-t", topic]
        with subprocess.Popen(self.command("mosquitto_sub", self.inside, *named), stdout=subprocess.PIPE) as listener:
            try:
                self.gate.wait_for(
                    lambda: b"Sending SUBACK to sub" in self.broker_log.read_bytes(), "it has subscribed"
                )
                yield listener
            finally:
                listener.kill()


@contextlib.contextmanager
def way(directory: Path) -> Iterator[Way]:
    broker, outside = directory / "broker.sock", directory / "out.sock"
    (directory / "acl").write_text("pattern readwrite devices/%u/#\n")
    (directory / "mosquitto.conf").write_text(
        f"user root\nlistener 0 {broker}\nallow_anonymous true\nacl_file {directory}/acl\n"
        "persistence false\nlog_dest stderr\nlog_type all\n"
    )
    with contextlib.ExitStack() as held:
        world = held.enter_context(World())
        cars = world.organisation("cars.example")
        device = cars.device("car54")
        daemon = held.enter_context(
            started([program("mosquitto"), "-c", str(directory / "mosquitto.conf")], directory / "broker.log")
        )
        daemon.wait_for(broker.exists, "it listens")
        front, back = directory / "front", directory / "back"
        front.mkdir()
        back.mkdir()
        toml = gate_toml(f"unix:{broker}", 'protocol = "mqtt"')
        gate = held.enter_context(gate_process(back, world, "--config", write_files(world, back, toml=toml)))
        own = load_credential(back / "server.pem").chain[0]
        record = tlsa_for_certificate(own, Usage.DANE_EE, Selector.SPKI, MatchingType.SHA2_256)
        port = gate.port("one")
        cars.publish(f"_{port}._tcp.{HOST}", record)
        key = front / "device.pem"
        key.touch(0o600)
        key.write_bytes(device.credential.to_pem())
        options = ["--listen", f"unix:{outside}", "--target", f"127.0.0.1:{port}", "--credential", key]
        options += ["--override-server-name", HOST]
        held.enter_context(gate_process(front, world, *options, direction="client"))
        yield Way(
            world=world, device=device, inside=broker, outside=outside, broker_log=directory / "broker.log", gate=gate
        )


def test_gw_36_programs_without_tls_speak_as_a_name_until_its_record_is_gone(tmp_path: Path) -> None:
    with way(tmp_path) as here, here.listening() as listener:
        own = f"devices/{here.device.name.text}/state"
        # The broker's list goes by the name that the gate has verified, so another's topic is not this one's.
        assert here.published("devices/car77._device.cars.example/state", "forged") == 0
        assert here.published(own, "rolling") == 0
        assert listener.communicate(timeout=WAIT)[0] == b"rolling\n"
        assert f"Denied PUBLISH from {here.device.name.text}/pub" in here.broker_log.read_text()
        assert here.gate.decisions()[-1]["name"] == here.device.name.text
        here.device.revoke()
        here.gate.wait_for(lambda: here.published(own, "late") != 0, "it stays out")
        refused = [told["reason"] for told in here.gate.decisions() if told["verdict"] == "refused"]
        assert "no-tlsa" in refused
