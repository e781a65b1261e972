"""Mosquitto behind the gate: plain broker access lists by user name, with clients that only have a DNS name."""

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import aiomqtt
import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from dnsbound.testing import Device, World
from interop.daemon import Daemon, program, started
from interop.mqtt_gates import CAR54, CAR77, GRANTS, VERSIONS, WAIT, client, heard, mqtt_gate, turned_away
from machines.doors import car, run
from machines.gates import SERVER, Gated

pytestmark = pytest.mark.peer("mosquitto")


@dataclass(frozen=True, slots=True)
class Mosquitto:
    daemon: Daemon
    target: str

    def says(self, what: str) -> bool:
        return what in self.daemon.log.read_text(errors="replace")


@contextmanager
def mosquitto(directory: Path) -> Iterator[Mosquitto]:
    socket = directory / "gate.sock"
    (directory / "acl").write_text("pattern readwrite devices/%u/#\npattern read fleet/%u\n")
    (directory / "mosquitto.conf").write_text(
        f"user root\nlistener 0 {socket}\nallow_anonymous true\nacl_file {directory}/acl\n"
        "persistence false\nlog_dest stderr\nlog_type all\n"
    )
    command = [program("mosquitto"), "-c", str(directory / "mosquitto.conf")]
    with started(command, directory / "log") as daemon:
        daemon.wait_for(socket.exists, "it listens")
        yield Mosquitto(daemon, f"unix:{socket}")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    directory = tmp_path_factory.mktemp("mosquitto")
    directory.chmod(0o755)
    with mosquitto(directory) as running:
        yield running


async def said(path: Path, at: Gated, device: Device, *arguments: str) -> subprocess.CompletedProcess[str]:
    """mosquitto_pub as anybody has it: the name is in its certificate."""
    (path / "ca.pem").write_bytes(at.world.web_root_pem)
    (path / "device.pem").write_bytes(device.credential.to_pem())
    files = ["--cafile", f"{path}/ca.pem", "--cert", f"{path}/device.pem", "--key", f"{path}/device.pem"]
    command = [program("mosquitto_pub"), "-h", SERVER, "-p", str(at.port), *files, *arguments]
    ask = partial(subprocess.run, command, capture_output=True, text=True, timeout=WAIT, check=False)
    return await asyncio.get_running_loop().run_in_executor(None, ask)


@pytest.mark.parametrize("version", VERSIONS)
def test_plain_broker_rules_follow_the_name(broker: Mosquitto, tmp_path: Path, version: MQTTProtocolVersion) -> None:
    """The broker's own `devices/%u/#`: a message to one's own topics arrives, one to another's does not."""

    async def main(world: World) -> None:
        async with (
            mqtt_gate(world, tmp_path, broker.target) as at,
            client(at, car(world), "reader", version=version, username="admin", password="x") as reader,
            client(at, car(world, "car77"), "car54", version=version) as other,
        ):
            await reader.subscribe(f"devices/{CAR54}/#", qos=1)
            await other.publish(f"devices/{CAR54}/state", b"forged", qos=0)
            await other.publish(f"devices/{CAR77}/state", b"done", qos=1)
            await reader.publish(f"devices/{CAR54}/state", b"x" * 100_000, qos=2)
            assert await heard(reader) == (f"devices/{CAR54}/state", b"x" * 100_000)
        assert broker.says(f" as {CAR54}/reader (")
        assert broker.says(f"u'{CAR54}'")
        assert broker.says(f" as {CAR77}/car54 (")
        assert not broker.says("u'admin'")

    with World() as world:
        run("asyncio", lambda: main(world))


def test_grants_are_kept_before_the_broker(broker: Mosquitto, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        device = car(world)
        async with mqtt_gate(world, tmp_path, broker.target, access=GRANTS) as at:
            async with client(at, device) as sender:
                codes = await sender.subscribe([("#", 1), (f"devices/{CAR54}/#", 1), ("$SYS/#", 0), ("fleet/a", 0)])
                assert [code.value for code in codes] == [0x87, 1, 0x87, 0]
                await sender.publish("fleet/a", b"not granted", qos=1)
                await sender.publish(f"devices/{CAR54}/a", b"granted", qos=1)
                assert await heard(sender) == (f"devices/{CAR54}/a", b"granted")
            for version in VERSIONS:
                will = aiomqtt.Will(f"devices/{CAR77}/state", b"gone")
                with pytest.raises(aiomqtt.MqttError) as caught:
                    async with client(at, device, version=version, will=will):
                        pass
                assert "uthori" in str(caught.value)

    with World() as world:
        run("asyncio", lambda: main(world))


def test_nobody_takes_over_another_session(broker: Mosquitto, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        device, thief = car(world), car(world, "car77")
        async with (
            mqtt_gate(world, tmp_path, broker.target) as at,
            client(at, device, "session") as first,
        ):
            await first.subscribe(f"devices/{CAR54}/#", qos=1)
            for identifier in ("session", f"{CAR54}/session", CAR54):
                async with client(at, thief, identifier) as other:
                    await other.publish(f"devices/{CAR77}/x", b"x", qos=1)
            await first.publish(f"devices/{CAR54}/x", b"still here", qos=1)
            assert (await heard(first))[1] == b"still here"
        exact = tmp_path / "exact"
        exact.mkdir()
        async with mqtt_gate(world, exact, broker.target, options='client_id = "exact"') as at:
            with pytest.raises(aiomqtt.MqttError, match="dentifier"):
                async with client(at, thief, f"{CAR54}/session"):
                    pass
            async with client(at, device, f"{CAR54}/session"):
                pass

    with World() as world:
        run("asyncio", lambda: main(world))


def test_a_client_without_an_identifier_is_told_its_own(broker: Mosquitto, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        async with mqtt_gate(world, tmp_path, broker.target) as at, client(at, car(world), "") as made:
            await made.subscribe(f"devices/{CAR54}/#", qos=1)
            assert broker.says(f" as {CAR54} (")

    with World() as world:
        run("asyncio", lambda: main(world))


def test_who_is_removed_from_the_dns_is_cut_off(broker: Mosquitto, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        device = car(world)
        async with mqtt_gate(world, tmp_path, broker.target) as at:
            async with client(at, device, "cut") as made:
                await made.publish(f"devices/{CAR54}/a", b"in", qos=1)
                device.revoke()
                with pytest.raises(aiomqtt.MqttError):
                    await heard(made)
            await at.until(lambda: at.gate.counted().ended == {"cut": 1})
            assert await turned_away(partial(at.connect, device))

    with World() as world:
        run("asyncio", lambda: main(world))


@pytest.mark.peer("mosquitto_pub")
def test_the_command_line_client_of_everybody(broker: Mosquitto, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        async with mqtt_gate(world, tmp_path, broker.target, access=GRANTS) as at:
            say = partial(said, tmp_path, at, car(world))
            for version in ("mqttv311", "mqttv5"):
                own = ("-t", f"devices/{CAR54}/a", "-m", "hi", "-q", "1", "-u", "admin", "-P", "x")
                done = await say("-V", version, *own)
                assert done.returncode == 0, done.stderr
            refused = await say("-V", "mqttv5", "-t", f"devices/{CAR77}/a", "-m", "hi", "-q", "1")
            assert "Not authorized" in refused.stderr
        assert not broker.says("u'admin'")

    with World() as world:
        run("asyncio", lambda: main(world))


def test_nobody_else_comes_as_far_as_the_broker(broker: Mosquitto, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        stranger = world.organisation("vans.example").device("van1")
        car(world)
        wrong_key = car(world, publish=False)
        revoked = car(world, "car99")
        revoked.revoke()
        before = broker.daemon.log.read_text().count("New connection")
        async with mqtt_gate(world, tmp_path, broker.target) as at:
            for device in (stranger, wrong_key, revoked, None):
                assert await turned_away(partial(at.connect, device))
            assert at.gate.counted().verdicts == {
                "not-permitted": 1,
                "tlsa-mismatch": 1,
                "no-tlsa": 1,
                "no-credential": 1,
            }
        assert broker.daemon.log.read_text().count("New connection") == before

    with World() as world:
        run("asyncio", lambda: main(world))


def test_a_broker_that_is_down_is_told(tmp_path: Path) -> None:
    async def main(world: World) -> None:
        device = car(world)
        async with mqtt_gate(world, tmp_path, f"unix:{tmp_path}/nobody.sock") as at:
            for version in VERSIONS:
                with pytest.raises(aiomqtt.MqttError, match="navailable"):
                    async with client(at, device, version=version):
                        pass

    with World() as world:
        run("asyncio", lambda: main(world))
