"""Connections that a carried chain let in, over real handshakes: what ends them, and what does not."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

import dnsbound
from dnsbound.dns.answer import Provenance
from dnsbound.edge.chain_source import FixedChain
from dnsbound.edge.resolver import Resolver
from dnsbound.errors import PeerError, Reason
from dnsbound.testing import World
from dnsbound.testing.faults import Fault
from dnsbound.testing.organisation import SHORT_TTL, Device
from dnsbound.verify.carried import CarriedChains
from machines.doors import ended

if TYPE_CHECKING:
    from dnsbound.verify.decision import Decision

HOST = "localhost"
PATIENCE = 20.0


class Door:
    """A server that echoes lines, its decisions, and a clock that can be moved."""

    def __init__(self, world: World, resolver: Resolver | None, *, before_asking: bool = True) -> None:
        self.decisions: list[Decision] = []
        self.ahead = 0.0
        names = ["*._device.cars.example"]
        self.authenticator = dnsbound.Authenticator(
            dnsbound.AccessList.allowing("gate", names),
            resolver,
            door="gate",
            clock=lambda: time.time() + self.ahead,
            on_decision=self.decisions.append,
            carried_chains=CarriedChains(names, anchors=world.anchors, before_asking=before_asking),
            danger_any_clock=True,
        )

    @asynccontextmanager
    async def open(self, world: World) -> AsyncIterator[int]:
        context = dnsbound.Context.server(world.web_credential(HOST), authenticator=self.authenticator)
        server = await dnsbound.start_server(echo, "127.0.0.1", 0, context=context)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            await ended(server)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while line := await reader.readline():
            writer.write(line)
    except (OSError, dnsbound.DnsboundError):
        pass
    finally:
        writer.close()


@asynccontextmanager
async def connected(
    world: World, port: int, device: Device, chain: bytes | None
) -> AsyncIterator[Callable[[], Coroutine[Any, Any, bytes]]]:
    """Gives a function that sends a line and returns what comes back."""
    source = None if chain is None else FixedChain(chain)
    context = dnsbound.Context.client(device.credential, carry_chain=source)
    context.load_verify_locations(cadata=world.web_root_pem.decode())
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=HOST)

    async def said() -> bytes:
        writer.write(b"hello\n")
        return await asyncio.wait_for(reader.readline(), PATIENCE)

    try:
        yield said
    finally:
        writer.transport.abort()


async def until_cut(said: Callable[[], Coroutine[Any, Any, bytes]]) -> None:
    ends = time.monotonic() + PATIENCE
    while time.monotonic() < ends:
        try:
            if not await said():
                return
        except (OSError, PeerError):
            return
        await asyncio.sleep(0.1)
    pytest.fail("the connection was never cut")


def device(world: World) -> Device:
    return world.organisation("cars.example").device("car54")


def test_a_revoked_client_is_cut_where_the_dns_can_be_asked() -> None:
    async def scenario(world: World) -> None:
        car, door = device(world), Door(world, world.resolver())
        chain = world.chain(car.name.text).octets
        async with door.open(world) as port, connected(world, port, car, chain) as said:
            assert await said() == b"hello\n"
            [session] = list(door.authenticator.sessions)
            assert session.peer.provenance is Provenance.CARRIED
            car.revoke()
            started = time.monotonic()
            await until_cut(said)
            assert time.monotonic() - started < SHORT_TTL + 10
            assert [decision.reason for decision in door.decisions] == [None, Reason.NO_TLSA]
            # The denial is known here now, and counts before the chain.
            with pytest.raises(PeerError):
                async with connected(world, port, car, chain) as again:
                    await again()
            assert door.decisions[-1].reason is Reason.NO_TLSA

    with World() as world:
        asyncio.run(scenario(world))


def test_a_dead_resolver_keeps_the_session_beyond_the_ttl() -> None:
    async def scenario(world: World) -> None:
        car, door = device(world), Door(world, world.resolver(deadline=0.5))
        chain = world.chain(car.name.text).octets
        world.fault(car.name.text, Fault.SERVFAIL)
        async with door.open(world) as port, connected(world, port, car, chain) as said:
            assert await said() == b"hello\n"
            ends = time.monotonic() + PATIENCE
            while len(door.decisions) < 2:
                assert time.monotonic() < ends, "nobody asked again"
                await asyncio.sleep(0.1)
            assert door.decisions[1].reason is Reason.DNS_FAILED
            assert await said() == b"hello\n"
            [session] = list(door.authenticator.sessions)
            assert session.peer.valid_until > time.time() + 10 * SHORT_TTL

    with World() as world:
        asyncio.run(scenario(world))


def test_a_chain_steps_in_where_the_dns_is_silent_and_only_there() -> None:
    async def scenario(world: World) -> None:
        car, door = device(world), Door(world, world.resolver(deadline=0.5), before_asking=False)
        chain = world.chain(car.name.text).octets
        async with door.open(world) as port:
            world.fault(car.name.text, Fault.SERVFAIL)
            async with connected(world, port, car, chain) as said:
                assert await said() == b"hello\n"
            world.heal(car.name.text)
            async with connected(world, port, car, chain) as said:
                assert await said() == b"hello\n"
            admitted = [decision.provenance for decision in door.decisions if not decision.again]
            assert admitted == ["carried", "resolved"]

    with World() as world:
        asyncio.run(scenario(world))


def test_without_a_resolver_the_session_ends_with_the_chain() -> None:
    async def scenario(world: World) -> None:
        car, door = device(world), Door(world, None)
        chain = world.chain(car.name.text).octets
        async with door.open(world) as port, connected(world, port, car, chain) as said:
            assert await said() == b"hello\n"
            [session] = list(door.authenticator.sessions)
            door.ahead = session.peer.valid_until - time.time() + 1
            await until_cut(said)
            assert {decision.reason for decision in door.decisions[1:]} == {Reason.BOGUS}
            with pytest.raises(PeerError):
                async with connected(world, port, car, chain) as again:
                    await again()
        assert not world.queries

    with World() as world:
        asyncio.run(scenario(world))


@pytest.mark.parametrize("chain", [b"\x00", b"no chain at all", None], ids=["an octet", "text", "none"])
def test_what_is_no_chain_gets_the_alert_that_every_refusal_gets(chain: bytes | None) -> None:
    async def scenario(world: World) -> None:
        car, door = device(world), Door(world, None)
        async with door.open(world) as port:
            with pytest.raises(PeerError, match=r"(?i)handshake.failure"):
                async with connected(world, port, car, chain) as said:
                    await said()
        assert [decision.reason for decision in door.decisions] == [Reason.BAD_CHAIN if chain else Reason.DNS_FAILED]

    with World() as world:
        asyncio.run(scenario(world))
