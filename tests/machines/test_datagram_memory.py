"""An association that has ended is forgotten at once, as a connection over a stream is: see `test_server_memory`."""

import asyncio
import gc
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from dnsbound import Reason, Refused, start_datagram_server
from dnsbound.edge.association_table import Served
from dnsbound.edge.datagram_server import ServedConnection
from dnsbound.testing import World
from dnsbound.tls.server_shim import ServerShim
from machines.association_pairs import begin, carry, datagram_client, datagram_door, table
from machines.doors import car, door, run, until
from machines.shim_pairs import refusing
from machines.test_datagram_server import client, dial, echo

KINDS = (ServerShim, Served, ServedConnection)
"""Of the server: a client that got an error has it, and the error's traceback has the client."""
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


def remembered() -> list[str]:
    known = set(map(id, earlier))
    return [type(thing).__name__ for thing in gc.get_objects() if type(thing) in KINDS and id(thing) not in known]


@pytest.mark.parametrize("end", ["admitted", "refused", "cut", "broken"])
def test_a_server_forgets(world: World, end: str) -> None:
    at, device = door(world, datagram=True), car(world)
    if end == "refused":
        device.revoke()

    async def visit(server: Any) -> None:
        with suppress(OSError):
            connection = await dial(server, client(at, device))
            if end == "cut":
                device.revoke()
            elif end == "broken":
                connection._association.shim._connection.send_alert(40)
                connection.transport.sendto(connection._association.shim._connection.take_datagrams()[0])
                connection.transport.close()
                return
            else:
                connection.send(b"x")
                await connection.receive()
                connection.close()
            await connection.receive()
            connection.close()

    async def main() -> None:
        async with await start_datagram_server(echo, "127.0.0.1", context=at.context) as server:
            await visit(server)
            if end == "refused":
                server._table.drop(server._table.all()[0], 0.0)
            await until(lambda: len(server) == 0 and not server._tasks)
            await asyncio.sleep(0)
            left = remembered()
        await at.resolver.aclose()
        assert left == [], end

    run("asyncio", main)


def test_a_client_forgets_what_a_server_refused() -> None:
    far = table(datagram_door(), judge=refused)
    near = begin(datagram_client())
    carry(near, far)
    assert near.error is not None
    del near
    far.judging.clear()
    for served in far.table.all():
        far.table.drop(served, far.now)
        del served
    assert remembered() == []


def refused(claim: Any) -> Any:
    try:
        return refusing(Reason.NO_TLSA)(claim)
    except Refused as error:
        return error
