"""RabbitMQ's MQTT plugin behind the gate: a user of the broker for each name, with a password only the gate knows."""

import base64
import hashlib
import json
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import aiomqtt
import pytest

from dnsbound.testing import World
from interop.daemon import free_port
from interop.mqtt_gates import CAR54, CAR77, client, heard, mqtt_gate, turned_away
from interop.rabbitmq_node import SERVER, rabbitmq
from machines.doors import car, run

pytestmark = [pytest.mark.peer("rabbitmq-server"), pytest.mark.peer("epmd")]

PASSWORD = "a password of the gate's own"
V311 = aiomqtt.ProtocolVersion.V311.value
CONFIGURATION = """
listeners.tcp = none
mqtt.listeners.tcp.default = 127.0.0.1:{port}
mqtt.allow_anonymous = false
mqtt.vhost = /
mqtt.exchange = amq.topic
load_definitions = {definitions}
log.console = true
log.file = false
"""


def definitions(*names: str) -> str:
    """Users who may use topics below `devices/NAME` alone: RabbitMQ's own form of a pattern by user name."""
    salt = b"salt"
    hashed = base64.b64encode(salt + hashlib.sha256(salt + PASSWORD.encode()).digest()).decode()
    algorithm = "rabbit_password_hashing_sha256"
    own = "^devices\\.{username}\\..*"
    return json.dumps(
        {
            "vhosts": [{"name": "/"}],
            "users": [
                {"name": name, "password_hash": hashed, "hashing_algorithm": algorithm, "tags": ""} for name in names
            ],
            "permissions": [
                {"user": name, "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"} for name in names
            ],
            "topic_permissions": [
                {"user": name, "vhost": "/", "exchange": "amq.topic", "write": own, "read": own} for name in names
            ],
        }
    )


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    """The gate's target: a node that knows two cars."""
    if not SERVER.exists():
        pytest.skip("RabbitMQ is not where Debian puts it")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="dnsbound-rabbitmq-") as made:
        place = Path(made)
        place.chmod(0o755)
        (place / "definitions.json").write_text(definitions(CAR54, CAR77))
        conf = CONFIGURATION.format(port=port, definitions=place / "definitions.json")
        with rabbitmq(place, conf, plugins=("rabbitmq_mqtt",)):
            yield f"127.0.0.1:{port}"


def test_the_brokers_own_permissions_follow_the_name(broker: str, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        device, other = car(world), car(world, "car77")
        (tmp_path / "broker.secret").touch(0o600)
        (tmp_path / "broker.secret").write_text(f"{PASSWORD}\n")
        options = 'password_file = "broker.secret"'
        async with mqtt_gate(world, tmp_path, broker, options=options) as at:
            async with client(at, device, "reader", version=V311, username=CAR77, password="x") as reader:
                await reader.subscribe(f"devices/{CAR54}/#", qos=1)
                with pytest.raises(aiomqtt.MqttError):
                    async with client(at, other, "writer", version=V311) as writer:
                        await writer.publish(f"devices/{CAR54}/state", b"forged", qos=1)
                await reader.publish(f"devices/{CAR54}/state", b"own", qos=1)
                # RabbitMQ keeps topics as routing keys, in which a dot and a slash are the same.
                assert await heard(reader) == (f"devices/{CAR54}/state".replace(".", "/"), b"own")
            assert await turned_away(partial(at.connect, world.organisation("vans.example").device("van1")))

    with World() as world:
        run("asyncio", lambda: main(world))


def test_a_name_the_broker_does_not_know_is_refused_by_it(broker: str, tmp_path: Path) -> None:
    """And one that it knows is, without the gate's password."""

    async def main(world: World) -> None:
        async with mqtt_gate(world, tmp_path, broker) as at:
            for label in ("car54", "car99"):
                with pytest.raises(aiomqtt.MqttError):
                    async with client(at, car(world, label), version=V311):
                        pass

    with World() as world:
        run("asyncio", lambda: main(world))


def test_who_is_removed_from_the_dns_is_cut_off(broker: str, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        device = car(world)
        (tmp_path / "broker.secret").touch(0o600)
        (tmp_path / "broker.secret").write_text(PASSWORD)
        async with mqtt_gate(world, tmp_path, broker, options='password_file = "broker.secret"') as at:
            async with client(at, device, version=V311) as made:
                device.revoke()
                with pytest.raises(aiomqtt.MqttError):
                    await heard(made)
            await at.until(lambda: at.gate.counted().ended == {"cut": 1})

    with World() as world:
        run("asyncio", lambda: main(world))
