"""A door on an event loop whose key takes its time: the loop goes on meanwhile."""

import asyncio
import ssl
import threading
from typing import Any

import pytest

from dnsbound.credential.credential import Credential
from dnsbound.edge.context import Context
from dnsbound.edge.handshake_slots import HandshakeOutcome
from dnsbound.testing import World
from dnsbound.tls.errors import TLSAlertReceived
from machines.doors import LOOPS, PATIENCE, Door, car, dial, door, hang_up, run, serving, until
from unit.signers import Hardware

NAME = "door.cars.example"


class Slow(Hardware):
    """Signs once the loop has said so: were the loop to wait for it, neither would go on."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.released = threading.Event(), threading.Event()

    def sign(self, message: bytes, scheme: Any) -> bytes:
        self.entered.set()
        assert self.released.wait(PATIENCE)
        return super().sign(message, scheme)


class Greeting(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        transport.write(b"welcome")


def slow_door(world: World, signer: Hardware, **options: Any) -> Door:
    at = door(world)
    own = Credential.for_signer(NAME, signer, now=world.now()) if not isinstance(signer, Slow) else None
    if own is None:
        signer.released.set()
        own = Credential.for_signer(NAME, signer, now=world.now())
        signer.released.clear()
        signer.entered.clear()
    context = Context.server(own, authenticator=at.authenticator, **options)
    return Door(world, context, at.authenticator, at.resolver, at.decisions)


def trusting(world: World) -> Context:
    made = Context.client(car(world).credential, danger_unverified_server=True)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    return made


@pytest.mark.parametrize("kind", LOOPS)
def test_the_loop_goes_on_while_a_key_signs(world: World, kind: str) -> None:
    signer = Slow()
    at = slow_door(world, signer)

    async def main() -> list[bytes]:
        async with serving(Greeting, at) as port:
            clients = [asyncio.ensure_future(dial(port, trusting(world))) for _ in range(3)]
            await until(signer.entered.is_set)
            await asyncio.sleep(0.05)
            assert not any(client.done() for client in clients)
            signer.released.set()
            greetings = []
            for client in clients:
                reader, writer = await client
                greetings.append(await reader.readexactly(7))
                await hang_up(writer)
            return greetings

    assert run(kind, main) == [b"welcome"] * 3


@pytest.mark.parametrize("kind", LOOPS)
def test_a_key_that_does_not_sign_ends_that_handshake_alone(world: World, kind: str) -> None:
    signer = Hardware()
    at = slow_door(world, signer)

    async def main() -> bytes:
        async with serving(Greeting, at) as port:
            signer.failure = OSError("no token")
            with pytest.raises(TLSAlertReceived):
                await dial(port, trusting(world))
            signer.failure = None
            reader, writer = await dial(port, trusting(world))
            greeting = await reader.readexactly(7)
            await hang_up(writer)
            return greeting

    assert run(kind, main) == b"welcome"


@pytest.mark.parametrize("kind", LOOPS)
def test_a_client_that_leaves_while_the_key_signs_is_forgotten(world: World, kind: str) -> None:
    signer = Slow()
    at = slow_door(world, signer)

    async def main() -> None:
        async with serving(Greeting, at) as port:
            client = asyncio.ensure_future(dial(port, trusting(world)))
            await until(signer.entered.is_set)
            client.cancel()
            with pytest.raises(asyncio.CancelledError):
                await client
            signer.released.set()
            await until(lambda: at.context.handshake_slots.counts()[HandshakeOutcome.GONE] == 1)

    run(kind, main)


@pytest.mark.parametrize("kind", LOOPS)
def test_a_key_that_takes_too_long_meets_the_deadline(world: World, kind: str) -> None:
    signer = Slow()
    at = slow_door(world, signer, handshake_seconds=1)

    async def main() -> None:
        async with serving(Greeting, at) as port:
            with pytest.raises(OSError):  # noqa: PT011 (a reset or an end, as the loop has it)
                await dial(port, trusting(world))
            signer.released.set()

    run(kind, main)
    assert at.context.handshake_slots.counts()[HandshakeOutcome.TIMED_OUT] == 1
