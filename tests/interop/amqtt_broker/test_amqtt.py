"""amqtt with our Context: an MQTT broker all in Python that knows its clients by DNS name."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import aiomqtt
import pytest
from amqtt.broker import Broker

from dnsbound import AccessList, Authenticator, Context
from dnsbound.adapters.amqtt import serve_mqtt
from dnsbound.protocols.gate_mqtt import ClientIds, MqttRules
from dnsbound.testing import Device, World
from interop.mqtt_gates import CAR54, CAR77, GRANTS, WAIT, heard, turned_away
from machines.doors import PATIENCE, SERVER, car, ended, run, until

V311 = aiomqtt.ProtocolVersion.V311
BROKER = {
    "listeners": {"default": {"type": "external"}},
    "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": False}},
}


@dataclass
class Running:
    world: World
    broker: Broker
    port: int

    def context(self, device: Device | None) -> Context:
        made = Context.client(None if device is None else device.credential)
        made.load_verify_locations(cadata=self.world.web_root_pem.decode())
        return made

    def client(self, device: Device, identifier: str = "one", **more: Any) -> aiomqtt.Client:
        context = self.context(device)
        return aiomqtt.Client(
            SERVER, self.port, identifier=identifier, protocol=V311, tls_context=context, timeout=WAIT, **more
        )

    @property
    def sessions(self) -> dict[str, str | None]:
        return {identifier: session.username for identifier, (session, _) in self.broker._sessions.items()}


@asynccontextmanager
async def broker(world: World, rules: MqttRules | None = None) -> AsyncIterator[Running]:
    with world.resolver() as resolver:
        authenticator = Authenticator(AccessList.from_toml(GRANTS), resolver, door="api", grace=PATIENCE)
        context = Context.server(world.web_credential(SERVER), authenticator=authenticator)
        made = Broker(BROKER)
        await made.start()
        server = await serve_mqtt(made, "127.0.0.1", 0, context=context, rules=rules)
        try:
            yield Running(world, made, server.sockets[0].getsockname()[1])
        finally:
            await ended(server)
            await made.shutdown()


pytestmark = pytest.mark.parametrize("kind", ["asyncio", "uvloop"])


def test_the_name_is_the_user_name_and_grants_are_kept(kind: str) -> None:
    async def main(world: World) -> None:
        device, other = car(world), car(world, "car77")
        async with (
            broker(world) as at,
            at.client(device, "a", username="admin", password="x") as reader,
            at.client(other, CAR54) as writer,
        ):
            assert at.sessions == {f"{CAR54}/a": CAR54, f"{CAR77}/{CAR54}": CAR77}
            codes = await reader.subscribe([(f"devices/{CAR54}/#", 1), ("#", 0)])
            assert [code.value for code in codes] == [1, 0x80]
            await writer.publish(f"devices/{CAR54}/x", b"forged", qos=1)
            await reader.publish(f"devices/{CAR54}/x", b"y" * 100_000, qos=1)
            assert await heard(reader) == (f"devices/{CAR54}/x", b"y" * 100_000)

    with World() as world:
        run(kind, partial(main, world))


def test_a_client_that_is_removed_is_cut_off(kind: str) -> None:
    async def main(world: World) -> None:
        device = car(world)
        async with broker(world) as at, at.client(device) as made:
            await made.publish(f"devices/{CAR54}/x", b"in", qos=1)
            device.revoke()
            with pytest.raises(aiomqtt.MqttError):
                await heard(made)
            await until(lambda: not at.sessions)

    with World() as world:
        run(kind, partial(main, world))


def test_who_is_refused_never_reaches_the_broker(kind: str) -> None:
    async def main(world: World) -> None:
        device, stranger = car(world), world.organisation("vans.example").device("van1")
        async with broker(world, MqttRules(client_ids=ClientIds.EXACT)) as at:
            for refused in (stranger, None):
                assert await turned_away(partial(asyncio.open_connection, SERVER, at.port, ssl=at.context(refused)))
            with pytest.raises(aiomqtt.MqttError, match="dentifier"):
                async with at.client(device, CAR77):
                    pass
            assert at.sessions == {}

    with World() as world:
        run(kind, partial(main, world))
