"""The loop of World's servers: leaving it leaves nothing open behind."""

import asyncio
import gc
import socket
import warnings

import pytest

from dnsbound.errors import Misuse
from dnsbound.testing.background_loop import BackgroundLoop


def test_what_still_runs_is_cancelled_and_its_connections_closed() -> None:
    began, ended = [], []

    async def wait_for_more(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        began.append(writer)
        try:
            await reader.read()
        finally:
            ended.append(writer)
            writer.close()

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with BackgroundLoop() as loop:
            server = loop.run(asyncio.start_server(wait_for_more, "127.0.0.1", 0))
            client = socket.create_connection(server.sockets[0].getsockname(), timeout=10)
            while not began:
                loop.run(asyncio.sleep(0))
            loop.run(close(server))
        assert ended == began
        assert client.recv(1) == b""
        client.close()
        began.clear()
        ended.clear()
        del server
        gc.collect()
    assert [str(warning.message) for warning in said] == []


async def close(server: asyncio.Server) -> None:
    server.close()


def test_its_own_thread_cannot_wait_for_it() -> None:
    async def wait_for_itself() -> None:
        with pytest.raises(Misuse):
            loop.run(asyncio.sleep(0))

    with BackgroundLoop() as loop:
        loop.run(wait_for_itself())
