"""Clients that ask an application something and are gone before it begins: nothing of them is kept."""

import asyncio
from typing import Any

import pytest

from dnsbound.adapters.asgi_late import LateAuthenticationMiddleware
from dnsbound.errors import Reason, Refused
from dnsbound.testing import World
from machines.doors import LOOPS, car, dial, door, hang_up, run, serving, until

CLIENTS = 5


@pytest.mark.parametrize("kind", LOOPS)
def test_a_request_whose_connection_is_gone_is_not_remembered(kind: str, world: World) -> None:
    at = door(world, policy="optional")
    answered: list[int] = []

    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 401, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answered.append(message["status"])

    middleware = LateAuthenticationMiddleware(application)

    class Server(asyncio.Protocol):
        """As uvicorn does: a task for each request, in the connection's own context."""

        def connection_made(self, transport: Any) -> None:
            self.transport = transport
            self.gone = asyncio.Event()

        def data_received(self, _data: bytes) -> None:
            self.task = asyncio.get_running_loop().create_task(self.ask())

        async def ask(self) -> None:
            await self.gone.wait()
            await middleware({"type": "http", "headers": []}, None, send)

        def connection_lost(self, _error: Exception | None) -> None:
            self.gone.set()

    async def main() -> None:
        async with serving(Server, at) as port:
            for _ in range(CLIENTS):
                _reader, writer = await dial(port, at.client(None))
                writer.write(b"GET / HTTP/1.1\r\n\r\n")
                await hang_up(writer)
            await until(lambda: len(answered) == CLIENTS)

    run(kind, main)
    assert middleware._connections == {}


@pytest.mark.parametrize("kind", LOOPS)
def test_a_request_whose_client_was_cut_is_nobodys(kind: str, world: World) -> None:
    """Its name went between the request and the application: there is nobody to answer, and nothing has failed."""
    device, at = car(world), door(world)
    ended: list[asyncio.Task[None]] = []

    async def application(_scope: Any, _receive: Any, _send: Any) -> None:
        raise AssertionError("asked")

    async def send(_message: Any) -> None:
        raise AssertionError("answered")

    middleware = LateAuthenticationMiddleware(application)

    class Server(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport
            self.gone = asyncio.Event()

        def data_received(self, _data: bytes) -> None:
            ended.append(asyncio.get_running_loop().create_task(self.ask()))
            self.transport.cut(Refused(Reason.NO_TLSA))

        async def ask(self) -> None:
            await self.gone.wait()
            await middleware({"type": "http", "headers": []}, None, send)

        def connection_lost(self, _error: Exception | None) -> None:
            self.gone.set()

    async def main() -> None:
        async with serving(Server, at) as port:
            reader, writer = await dial(port, at.client(device))
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            assert await reader.read() == b""
            await hang_up(writer)
            await until(lambda: bool(ended) and ended[0].done())

    run(kind, main)
    assert ended[0].exception() is None
    assert middleware._connections == {}
