"""How a connection through the gate ends: each side in order, one side alone, or neither."""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dnsbound.testing import World
from machines.bio_client import BioClient
from machines.doors import LOOPS, car, run
from machines.gates import PATIENCE, Gated, back_end, gated

pytestmark = pytest.mark.parametrize("kind", LOOPS)

MUCH = bytes(range(256)) * 8192
"""Two megabytes: more than all buffers on the way hold."""


@contextlib.asynccontextmanager
async def a_client(at: Gated, label: str = "car54") -> AsyncIterator[BioClient]:
    client = await BioClient.connect(at.client(car(at.world, label)), at.port)
    try:
        yield client
    finally:
        await client.close()


def test_gw_03_a_client_that_has_said_all_still_hears_the_answer(kind: str, tmp_path: Path) -> None:
    """close_notify of one side ends that side alone (RFC 9846 section 6.1)."""

    async def answer_at_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said = await reader.read()
        writer.write(said[::-1])
        await writer.drain()

    async def main(world: World) -> None:
        async with back_end(serve=answer_at_the_end) as (_, target), gated(world, tmp_path, target) as at:
            async with a_client(at) as client:
                sending = asyncio.ensure_future(client.write(MUCH))
                await sending
                await client.half_close()
                assert await client.read_all() == MUCH[::-1]
            await at.until(lambda: at.gate.counters.ended == {"orderly": 1})

    with World() as world:
        run(kind, lambda: main(world))


def test_gw_04_a_back_end_that_has_said_all_still_hears_the_client(kind: str, tmp_path: Path) -> None:
    heard: list[bytes] = []

    async def greet_and_listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"welcome")
        writer.write_eof()
        heard.append(await reader.read())

    async def main(world: World) -> None:
        async with back_end(serve=greet_and_listen) as (_, target), gated(world, tmp_path, target) as at:
            async with a_client(at) as client:
                assert await client.read_all() == b"welcome"
                await client.write(b"thanks")
                await client.half_close()
                await at.until(lambda: bool(heard))
            assert heard == [b"thanks"]
            await at.until(lambda: at.gate.counters.ended == {"orderly": 1})

    with World() as world:
        run(kind, lambda: main(world))


def test_gw_05_what_a_client_has_not_finished_is_no_end_for_the_back_end(kind: str, tmp_path: Path) -> None:
    """A client that is cut off must not look like one that has said all."""

    async def main(world: World) -> None:
        async with back_end() as (behind, target), gated(world, tmp_path, target) as at:
            async with a_client(at) as client:
                await client.write(b"half a mess")
                assert await client.read() == b"half a mess"
                client.vanish()
                await at.until(lambda: bool(behind.problems))
            assert isinstance(behind.problems[0], ConnectionResetError)
            assert at.gate.counters.ended == {"client-gone": 1}

    with World() as world:
        run(kind, lambda: main(world))


def test_gw_06_a_back_end_that_breaks_off_is_no_end_for_the_client(kind: str, tmp_path: Path) -> None:
    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"half an ans")
        await reader.readexactly(1)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async def main(world: World) -> None:
        async with back_end(serve=break_off) as (_, target), gated(world, tmp_path, target) as at:
            async with a_client(at) as client:
                assert await client.read() == b"half an ans"
                await client.write(b"x")
                with pytest.raises(ssl.SSLEOFError):
                    await client.read()
            await at.until(lambda: at.gate.counters.ended == {"backend-gone": 1})
            assert at.gate.counters.backend_failures == 1

    with World() as world:
        run(kind, lambda: main(world))


def test_gw_07_a_back_end_that_is_not_there_is_told_of_and_counted(kind: str, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        async with gated(world, tmp_path, f"unix:{tmp_path}/nobody") as at, a_client(at) as client:
            assert await client.read() == b""
            await at.until(lambda: at.gate.counters.ended == {"unreachable": 1})
            assert at.gate.counters.backend_failures == 1

    with World() as world:
        run(kind, lambda: main(world))


def test_gw_07_a_back_end_that_does_not_accept_is_given_up(kind: str, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as full:
            full.bind(str(tmp_path / "full"))
            full.listen(0)
            with contextlib.ExitStack() as waiting:
                fill(tmp_path / "full", waiting)
                target = f"unix:{tmp_path}/full"
                async with gated(world, tmp_path, target, "connect_seconds = 1") as at, a_client(at) as client:
                    assert await client.read() == b""
                    assert at.gate.counters.backend_failures == 1

    with World() as world:
        run(kind, lambda: main(world))


def fill(path: Path, waiting: contextlib.ExitStack) -> None:
    """Take all places of a listening socket that nobody accepts from."""
    while True:
        one = waiting.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        one.setblocking(False)
        try:
            one.connect(str(path))
        except BlockingIOError:
            return


def test_gw_08_a_slow_reader_holds_its_sender_back_and_costs_no_more_than_its_buffer(kind: str, tmp_path: Path) -> None:
    sent: list[int] = []

    async def pour(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            for _ in range(64):
                writer.write(MUCH)
                await writer.drain()
                sent.append(len(MUCH))

    async def main(world: World) -> None:
        async with back_end(serve=pour) as (_, target), gated(world, tmp_path, target) as at:
            async with a_client(at) as client:
                await at.until(lambda: bool(at.gate.connections))
                (connection,) = at.gate.connections
                await at.until(lambda: held_back(connection))
                assert connection._client.get_write_buffer_size() < 1_000_000
                assert sum(sent) < 64 * len(MUCH)
                first = await client.read()
                assert MUCH.startswith(first[:256])
                client.vanish()
            await at.until(lambda: not at.gate.connections)

    with World() as world:
        run(kind, lambda: main(world))


def held_back(connection: object) -> bool:
    return bool(connection._holds_backend)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("options", "how"),
    [("idle_seconds = 1", "idle"), ("lifetime_seconds = 1", "lifetime")],
    ids=["idle", "lifetime"],
)
def test_gw_09_a_connection_ends_when_it_is_silent_or_old(kind: str, tmp_path: Path, options: str, how: str) -> None:
    async def main(world: World) -> None:
        async with back_end() as (_, target), gated(world, tmp_path, target, options) as at, a_client(at) as client:
            await client.write(b"once")
            assert await client.read() == b"once"
            with pytest.raises(ssl.SSLEOFError):
                await asyncio.wait_for(client.read(), PATIENCE)
            assert at.gate.counters.ended == {how: 1}

    with World() as world:
        run(kind, lambda: main(world))


def test_gw_09_a_half_closed_connection_ends_when_the_other_side_is_silent(kind: str, tmp_path: Path) -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        with contextlib.suppress(OSError):
            await asyncio.Event().wait()

    async def main(world: World) -> None:
        options = "close_seconds = 1"
        async with back_end(serve=say_nothing) as (_, target), gated(world, tmp_path, target, options) as at:
            async with a_client(at) as client:
                await client.half_close()
                with pytest.raises(ssl.SSLEOFError):
                    await asyncio.wait_for(client.read(), PATIENCE)
            assert at.gate.counters.ended == {"half-closed": 1}

    with World() as world:
        run(kind, lambda: main(world))


def test_gw_10_a_removed_record_ends_the_connection_on_both_sides(kind: str, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        device = car(world, "car54", ttl=1)
        async with back_end() as (behind, target), gated(world, tmp_path, target) as at:
            client = await BioClient.connect(at.client(device), at.port)
            await client.write(b"hello")
            assert await client.read() == b"hello"
            device.revoke()
            assert await asyncio.wait_for(client.read_all(), PATIENCE) == b""
            await at.until(lambda: bool(behind.problems))
            assert isinstance(behind.problems[0], ConnectionResetError)
            assert at.gate.counters.ended == {"cut": 1}
            assert at.gate.counters.verdicts["no-tlsa"] == 1
            await client.close()

    with World() as world:
        run(kind, lambda: main(world))


def test_gw_11_a_name_off_the_access_list_is_cut(kind: str, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        device = car(world)
        async with back_end() as (_, target), gated(world, tmp_path, target) as at:
            client = await BioClient.connect(at.client(device), at.port)
            await client.write(b"hello")
            assert await client.read() == b"hello"
            (tmp_path / "access.toml").write_text("[door.api]\nallow = []\n")
            at.server.reload()
            assert await asyncio.wait_for(client.read_all(), PATIENCE) == b""
            assert at.gate.counters.ended == {"cut": 1}
            await client.close()

    with World() as world:
        run(kind, lambda: main(world))
