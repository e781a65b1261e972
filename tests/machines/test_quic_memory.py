"""A QUIC connection that has ended is forgotten at once, as one over a stream is: see `test_server_memory`."""

import gc
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from adversary.hostile_quic import SlowKeeper, meeting, quic_client
from dnsbound.edge.quic_engine import QuicEngine
from dnsbound.edge.quic_served import ServedQuic
from dnsbound.edge.quic_streams import QuicStreamTransport
from dnsbound.testing import World
from dnsbound.tls.server_shim import ServerShim
from machines.doors import car, run, until
from machines.quic_doors import client, dial, echo, quic_door, serving
from machines.shim_pairs import Doorkeeper

KINDS = (ServerShim, ServedQuic, QuicEngine, QuicStreamTransport)
"""A client that got an error has it, and the error's traceback has the client: the server's are looked at."""
STATM = Path("/proc/self/statm")
REPETITIONS, MOST = 200, 3 * 1024 * 1024
STRANGERS, LITTLE = 60, 320 * 1024
"""An unfinished connection, and the hole in its handshake that it may have."""
earlier: list[object] = []


def resident() -> int:
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


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


@pytest.mark.skipif(not STATM.exists(), reason="no /proc/self/statm on this system")
def test_hundreds_of_connections_leave_nothing_resident() -> None:
    """OpenSSL's memory included: a connection that was kept would have 80 KiB at least."""

    async def main() -> None:
        keeper = Doorkeeper()
        async with meeting(keeper) as met:
            context = quic_client()
            for number in range(REPETITIONS + REPETITIONS // 4):
                if number == REPETITIONS // 4:
                    before = resident()
                stranger = met.stranger(port=number + 1, context=context)
                await met.carry(stranger)
                (served,) = met.admitted
                served.abandon()
                stranger.engine.let_go()
                for kept in (met.admitted, met.heard, keeper.asked, met.network.sent):
                    kept.clear()
            assert resident() - before < MOST

    run("asyncio", main)


@pytest.mark.skipif(not STATM.exists(), reason="no /proc/self/statm on this system")
@pytest.mark.parametrize("how", ["waits for its verdict", "says hello and no more", "leaves a hole"])
def test_a_stranger_is_little_memory(how: str) -> None:
    async def main() -> None:
        slots = {"handshakes_at_once": 1000, "handshakes_per_source": 1000, "handshake_seconds": 100}
        keeper = SlowKeeper()
        async with meeting(keeper, **slots) as met:
            context, count = quic_client(), 0
            for number in range(STRANGERS + STRANGERS // 4):
                if number == STRANGERS // 4:
                    before, count = resident(), len(met.server)
                stranger = met.stranger(port=number + 1, context=context)
                if how == "waits for its verdict":
                    await met.carry(stranger)
                else:
                    stranger.engine.connect(("203.0.113.1", 443), met.loop.time())
                    met.send(stranger)
                    await met.answer(stranger)
                    met.send(stranger)
                if how == "leaves a hole":
                    stranger.engine.say(0, 65_000, b"far away")
                    met.send(stranger)
                stranger.engine.let_go()
                met.network.sent.clear()
            assert len(met.server) == count + STRANGERS
            assert (resident() - before) / STRANGERS < LITTLE
            keeper.may_speak.set()

    run("asyncio", main)
