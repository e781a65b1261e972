"""Doors for QUIC on World, their clients, and a handler, for the tests of QUIC."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from dnsbound import Context
from dnsbound.edge.quic_client import open_quic_connection
from dnsbound.edge.quic_connection import QuicEnd
from dnsbound.edge.quic_served import ServedQuic
from dnsbound.edge.quic_server import QuicServer, start_quic_server
from dnsbound.testing import World
from machines.doors import SERVER, Door, door

ALPN = "meter/1"
Handler = Callable[[ServedQuic], Awaitable[None]]


def quic_door(world: World, *allow: str, **options: Any) -> Door:
    at = door(world, *allow, quic=True, **options)
    at.context.set_alpn_protocols([ALPN])
    return at


def client(at: Door, device: Any, **options: Any) -> Context:
    made = at.client(device, quic=True, **options)
    made.set_alpn_protocols([ALPN])
    return made


@asynccontextmanager
async def serving(at: Door, handler: Handler, **options: Any) -> AsyncIterator[QuicServer]:
    try:
        async with await start_quic_server(handler, "127.0.0.1", context=at.context, **options) as server:
            yield server
    finally:
        await at.resolver.aclose()


async def dial(server: QuicServer, context: Context, **options: Any) -> Any:
    options.setdefault("server_hostname", SERVER)
    return await open_quic_connection("127.0.0.1", server.address[1], context=context, **options)


async def echo(connection: ServedQuic) -> None:
    """One stream after the other: octets in capital letters, as they come."""
    async for reader, writer in connection:
        while octets := await reader.read(65_536):
            writer.write(octets.upper())
            await writer.drain()
        writer.close()


def remember(served: list[ServedQuic]) -> Handler:
    """Echo, and remember the connection."""

    async def handle(connection: ServedQuic) -> None:
        served.append(connection)
        await echo(connection)

    return handle


async def ask(connection: QuicEnd, question: bytes) -> bytes:
    """The answer to a question, each a stream's octets up to its end."""
    reader, writer = await connection.open_stream()
    writer.write(question)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer
