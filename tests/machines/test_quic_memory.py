"""A QUIC connection that has ended is forgotten at once, as one over a stream is: see `test_server_memory`."""

import gc
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from dnsbound.edge.quic_engine import QuicEngine
from dnsbound.edge.quic_served import ServedQuic
from dnsbound.edge.quic_streams import QuicStreamTransport
from dnsbound.testing import World
from dnsbound.tls.server_shim import ServerShim
from machines.doors import car, run, until
from machines.quic_doors import client, dial, echo, quic_door, serving

KINDS = (ServerShim, ServedQuic, QuicEngine, QuicStreamTransport)
"""A client that got an error has it, and the error's traceback has the client: the server's are looked at."""
earlier: list[object] = []


@pytest.fixture(autouse=True)
def _no_collector() -> Iterator[None]:
    gc.collect()
    earlier[:] = [thing for thing in gc.get_objects() if type(thing) in KINDS]
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        earlier.clear()


def is_a_clients(thing: Any) -> bool:
    engine = thing._engine if isinstance(thing, QuicStreamTransport) else thing
    return isinstance(engine, QuicEngine) and engine.is_client


def remembered() -> list[str]:
    known = set(map(id, earlier))
    kept = [thing for thing in gc.get_objects() if type(thing) in KINDS and id(thing) not in known]
    return [type(thing).__name__ for thing in kept if not is_a_clients(thing)]


@pytest.mark.parametrize("end", ["admitted", "refused", "cut", "abandoned"])
def test_a_server_forgets(world: World, end: str) -> None:
    at, device = quic_door(world), car(world)
    if end == "refused":
        device.revoke()

    async def visit(server: Any) -> None:
        connection = await dial(server, client(at, device))
        reader, writer = await connection.open_stream()
        writer.write(b"x")
        if end == "cut":
            assert await reader.read(1) == b"X"
            device.revoke()
        with suppress(OSError):
            writer.write_eof()
            await reader.read()
        if end == "abandoned":
            connection.abandon()
        else:
            writer.close()
            connection.close()
            await connection.wait_closed()

    async def main() -> None:
        async with serving(at, echo, bounds=None) as server:
            await visit(server)
            if end == "abandoned":
                for served in list(server._all):
                    served.abandon()
                del served
            await until(lambda: len(server) == 0)
            await until(lambda: remembered() == [])

    run("asyncio", main)
    assert at.reasons[0] == ("no-tlsa" if end == "refused" else "admitted")
