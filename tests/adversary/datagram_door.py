"""The door of `door` over datagrams: one car, an access list, and a server on a loop of its own."""

import contextlib
from collections.abc import Iterator
from typing import Any

import dnsbound
from adversary.door import WatchedDoor
from dnsbound.testing import World
from dnsbound.testing.background_loop import BackgroundLoop

GREETING = b"welcome"


class DatagramDoor(WatchedDoor):
    """Over datagrams."""

    def __init__(self, world: World, loop: BackgroundLoop, *, host: str = "127.0.0.1", **options: Any) -> None:
        bounds = options.pop("bounds", None)
        super().__init__(world, **{"datagram": True, **options})
        self.greeted: list[str] = []
        self._loop = loop
        self._server = loop.run(
            dnsbound.start_datagram_server(self._serve, host, 0, context=self.context, bounds=bounds)
        )
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


@contextlib.contextmanager
def open_datagram_door(world: World, **options: Any) -> Iterator[DatagramDoor]:
    with BackgroundLoop("datagram door") as loop:
        door = DatagramDoor(world, loop, **options)
        yield door
        loop.run(door.close())
