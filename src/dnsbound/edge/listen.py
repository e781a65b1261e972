"""A server of streams on any running event loop: `asyncio.start_server`, whose clients are verified.

It needs no `loop_factory`. Servers that threads serve are in `blocking_server`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from dnsbound.edge.context import Context
from dnsbound.edge.loop import gated, serves
from dnsbound.errors import Misuse

STREAM_LIMIT: Final = 65_536
"""Octets a stream reader holds before it pauses the connection, as in asyncio."""

ClientConnected = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None] | None]


async def start_server(
    client_connected: ClientConnected,
    host: str | list[str] | None = None,
    port: int | None = None,
    *,
    context: Context,
    limit: int = STREAM_LIMIT,
    handshake_timeout: float | None = None,
    shutdown_timeout: float | None = None,
    **options: Any,  # noqa: ANN401 (those of loop.create_server)
) -> asyncio.Server:
    """Serve streams to clients that `context` admits, on whatever event loop is running.

    client_connected(reader, writer) is called, or run as a task, for each admitted client; in it `verified_peer()` and
    `writer.get_extra_info("verified_peer")` say who that is. options: sock, backlog, family, ... of
    `loop.create_server`. Misuse when context is not a server Context.
    """
    if not serves(context):
        raise Misuse("start_server needs a server Context of dnsbound")
    loop = asyncio.get_running_loop()

    def streams() -> asyncio.StreamReaderProtocol:
        reader = asyncio.StreamReader(limit=limit, loop=loop)
        return asyncio.StreamReaderProtocol(reader, client_connected, loop=loop)

    factory = gated(loop, context, streams, handshake_timeout=handshake_timeout, shutdown_timeout=shutdown_timeout)
    server: asyncio.Server = await loop.create_server(factory, host, port, **options)
    return server
