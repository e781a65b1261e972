"""The broker of the demonstration: a Mosquitto as anybody has it, behind the gate, and one MQTT client.

The broker knows no certificate and no DNS: its access list says `devices/%u/#`, and the gate puts the verified name in
the place of the user name (MQTT 3.1.1 section 3.1.3.4). Without the program the steps are skipped.
"""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Final, Self

from dnsbound.credential.credential import Credential
from dnsbound.edge.context import Context
from dnsbound.edge.credential_files import save_credential
from dnsbound.edge.gate_configuration import GateConfiguration
from dnsbound.edge.gate_server import GateServer
from dnsbound.edge.gate_sockets import bind_gates
from dnsbound.edge.worker_ports import endpoint_of
from dnsbound.protocols.mqtt_stream import PacketType, packet, variable_integer
from dnsbound.testing.background_loop import BackgroundLoop
from dnsbound.testing.world import World

REPORT: Final = "report.gov.example"
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


class MqttClient:
    """One connection, of MQTT 3.1.1 and of quality of service 0."""

    def __init__(self, port: int, web_root: Path, credential: Credential) -> None:
        """OSError when the door stays shut."""
        context = Context.client(credential)
        context.load_verify_locations(web_root)
        plain = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        try:
            self._socket = context.wrap_socket(plain, server_hostname=REPORT)
            self._greet()
        except BaseException:
            plain.close()
            raise

    def _greet(self) -> None:
        """Without a user name: the gate writes it."""
        self._socket.sendall(packet(PacketType.CONNECT, _text("MQTT") + b"\x04\x02\x00\x00" + _text("demo")))
        kind, body = self._read()
        if kind is not PacketType.CONNACK or body[1]:
            raise ConnectionRefusedError("the broker refused")

    def subscribe(self, topic: str) -> None:
        self._socket.sendall(packet(PacketType.SUBSCRIBE, b"\x00\x01" + _text(topic) + b"\x00"))
        self._read()

    def publish(self, topic: str, message: bytes) -> None:
        body = _text(topic) + message
        self._socket.sendall(bytes((PacketType.PUBLISH << 4,)) + variable_integer(len(body)) + body)

    def heard(self) -> tuple[str, bytes]:
        """The next message."""
        _, body = self._read()
        length = int.from_bytes(body[:2], "big")
        return body[2 : 2 + length].decode(), body[2 + length :]

    def ended(self) -> bool:
        """Wait for the end of the connection; False when it does not come."""
        try:
            while self._socket.recv(4096):
                pass
        except TimeoutError:
            return False
        except OSError:
            return True
        return True

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _read(self) -> tuple[PacketType, bytes]:
        """One packet; all of this demonstration are shorter than 128 octets."""
        kind, length = self._exactly(2)
        return PacketType(kind >> 4), self._exactly(length)

    def _exactly(self, count: int) -> bytes:
        octets = b""
        while len(octets) < count:
            part = self._socket.recv(count - len(octets))
            if not part:
                raise ConnectionResetError("the connection was closed")
            octets += part
        return octets


class Broker:
    """Where it is reached through the gate."""

    def __init__(self, port: int, web_root: Path) -> None:
        self._port = port
        self._web_root = web_root

    def connect(self, credential: Credential) -> MqttClient:
        """OSError when the door stays shut."""
        return MqttClient(self._port, self._web_root, credential)


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
            yield Broker(loop.run(_gate(world, access, running)), world.directory / "web-root.pem")
        finally:
            loop.run(running.aclose())


@contextmanager
def _mosquitto(directory: Path, program: str) -> Iterator[None]:
    (directory / "mqtt.acl").write_text("pattern readwrite devices/%u/#\n")
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


def _text(value: str) -> bytes:
    octets = value.encode()
    return len(octets).to_bytes(2, "big") + octets
