"""The door the hostile client stands at: World, one car, an access list, and an echo server on a loop of its own."""

import asyncio
import contextlib
import queue
from collections.abc import Iterator
from typing import Any

import dnsbound
from dnsbound.dns.cache import EvidenceCache
from dnsbound.testing import World
from dnsbound.testing.background_loop import BackgroundLoop
from dnsbound.verify.decision import Decision
from machines.doors import ended

GREETING = b"welcome\n"
PATIENCE = 10


class WatchedDoor:
    """What a test reads of any door: what the application saw, the decisions made, the questions asked."""

    def __init__(self, world: World, **options: Any) -> None:
        self.world = world
        self.cars = world.organisation("cars.example")
        self.car = self.cars.device("car54")
        self.delivered: list[bytes] = []
        self._decisions: queue.SimpleQueue[Decision] = queue.SimpleQueue()
        self.evidence = EvidenceCache()
        """What the resolver remembers; cleared, it asks again before the records' TTL is over."""
        resolver = world.resolver(cache=self.evidence)
        access = dnsbound.AccessList.allowing("api", ["car54._device.cars.example", "car55._device.cars.example"])
        self.authenticator = dnsbound.Authenticator(
            access, resolver, door="api", on_decision=self._decisions.put, deadline=options.pop("deadline", 2.0)
        )
        self.context = dnsbound.Context.server(
            world.web_credential("api.cars.example"), authenticator=self.authenticator, **options
        )

    def decision(self) -> Decision:
        """The next decision; fails when none comes."""
        return self._decisions.get(timeout=PATIENCE)

    def no_decision_is_waiting(self) -> bool:
        return self._decisions.empty()

    def lookups(self) -> list[str]:
        """TLSA questions that left this machine's resolver."""
        return [query.name for query in self.world.queries if query.rdtype == "TLSA"]


class Door(WatchedDoor):
    """Over streams."""

    def __init__(self, world: World, loop: BackgroundLoop, **options: Any) -> None:
        super().__init__(world, **options)
        self._server = loop.run(dnsbound.start_server(self._serve, "127.0.0.1", 0, context=self.context))
        self.address: tuple[str, int] = self._server.sockets[0].getsockname()

    async def close(self) -> None:
        await ended(self._server)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Greets first, then keeps what arrives: a greeting that reached a stranger would show."""
        writer.write(GREETING)
        try:
            with contextlib.suppress(ConnectionError, OSError):
                self.delivered.append(await reader.read(1000))
        finally:
            writer.close()


@contextlib.contextmanager
def open_door(world: World, **options: Any) -> Iterator[Door]:
    with BackgroundLoop("door") as loop:
        door = Door(world, loop, **options)
        yield door
        loop.run(door.close())
