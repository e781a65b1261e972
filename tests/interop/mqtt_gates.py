"""A gate before somebody's MQTT broker on World, clients of several kinds, and what they meet."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
from paho.mqtt.enums import MQTTProtocolVersion

from dnsbound.testing import Device, World
from machines.gates import SERVER, Gated, gated

CAR54, CAR77 = "car54._device.cars.example", "car77._device.cars.example"
NO_GRANTS = '[door.api]\nallow = ["*._device.cars.example"]\n'
GRANTS = (
    '[door.api]\nallow = [{ names = ["*._device.cars.example"], '
    'grants = { publish = ["devices/%u/#"], subscribe = ["devices/%u/#", "fleet/+"] } }]\n'
)
VERSIONS = (MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5)
WAIT = 20.0


@asynccontextmanager
async def mqtt_gate(
    world: World, directory: Path, target: str, *, access: str = NO_GRANTS, options: str = ""
) -> AsyncIterator[Gated]:
    lines = f'protocol = "mqtt"\n[gate.one.options]\n{options}'
    async with gated(world, directory, target, lines, access=access) as at:
        yield at


@asynccontextmanager
async def client(
    at: Gated, device: Device | None, identifier: str = "one", *, version: int = MQTTProtocolVersion.MQTTv5, **more: Any
) -> AsyncIterator[aiomqtt.Client]:
    """aiomqtt over our Context, by the name that the gate's certificate has."""
    made = aiomqtt.Client(
        SERVER,
        at.port,
        identifier=identifier,
        protocol=aiomqtt.ProtocolVersion(version),
        tls_context=at.client(device),
        timeout=WAIT,
        **more,
    )
    async with made:
        yield made


async def turned_away(
    connect: Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]],
) -> bool:
    """Whether TLS ends with an alert, in the handshake or, since the verdict may follow it, at the first read."""
    try:
        reader, writer = await connect()
    except ssl.SSLError:
        return True
    try:
        async with asyncio.timeout(WAIT):
            return not await reader.read(1)
    except ssl.SSLError:
        return True
    finally:
        writer.close()


async def heard(subscriber: aiomqtt.Client) -> tuple[str, bytes]:
    async with asyncio.timeout(WAIT):
        async for message in subscriber.messages:
            assert isinstance(message.payload, bytes)
            return str(message.topic), message.payload
    raise AssertionError("no message came")
