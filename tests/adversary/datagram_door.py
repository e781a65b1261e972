"""The door of `door` over datagrams: one car, an access list, and a server on a loop of its own."""

import contextlib
import queue
from collections.abc import Iterator
from typing import Any

import dnsbound
from dnsbound.dns.cache import EvidenceCache
from dnsbound.testing import World
from dnsbound.testing.background_loop import BackgroundLoop
from dnsbound.verify.decision import Decision

GREETING = b"welcome"
PATIENCE = 10


class DatagramDoor:
    """What a test reads: the address, what the application saw, the decisions made."""

    def __init__(self, world: World, loop: BackgroundLoop, *, host: str = "127.0.0.1", **options: Any) -> None:
        self.world = world
        self.cars = world.organisation("cars.example")
        self.car = self.cars.device("car54")
        self.delivered: list[bytes] = []
        self.greeted: list[str] = []
        self.evidence = EvidenceCache()
        self._decisions: queue.SimpleQueue[Decision] = queue.SimpleQueue()
        names = ["car54._device.cars.example", "car55._device.cars.example"]
        self.authenticator = dnsbound.Authenticator(
            dnsbound.AccessList.allowing("api", names),
            world.resolver(cache=self.evidence),
            door="api",
            on_decision=self._decisions.put,
            deadline=options.pop("deadline", 2.0),
        )
        bounds = options.pop("bounds", None)
        options.setdefault("datagram", True)
        context = dnsbound.Context.server(
            world.web_credential("api.cars.example"), authenticator=self.authenticator, **options
        )
        self._loop = loop
        self._server = loop.run(dnsbound.start_datagram_server(self._serve, host, 0, context=context, bounds=bounds))
        self.address: tuple[str, int] = self._server.address

    async def close(self) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, connection: Any) -> None:
        """Greets, then keeps what arrives."""
        peer = connection.verified_peer()
        self.greeted.append("" if peer is None else str(peer.name))
        connection.send(GREETING)
        with contextlib.suppress(OSError):
            while message := await connection.receive():
                self.delivered.append(message)

    def associations(self) -> int:
        """How many the server knows, unfinished ones included."""

        async def count() -> int:
            return len(self._server)

        return self._loop.run(count())

    def decision(self) -> Decision:
        """The next decision; fails when none comes."""
        return self._decisions.get(timeout=PATIENCE)

    def no_decision_is_waiting(self) -> bool:
        return self._decisions.empty()

    def lookups(self) -> list[str]:
        """TLSA questions that left this machine's resolver."""
        return [query.name for query in self.world.queries if query.rdtype == "TLSA"]


@contextlib.contextmanager
def open_datagram_door(world: World, **options: Any) -> Iterator[DatagramDoor]:
    with BackgroundLoop("datagram door") as loop:
        door = DatagramDoor(world, loop, **options)
        yield door
        loop.run(door.close())
