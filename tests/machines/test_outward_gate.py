"""The client-side gate on World: programs in clear on one side, a server-side gate on the other."""

import asyncio
import contextlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dnsbound.credential.association import tlsa_for_certificate
from dnsbound.edge.credential_files import save_credential
from dnsbound.iana import MatchingType, Selector, Usage
from dnsbound.testing import World
from machines.doors import LOOPS, car, run
from machines.gates import BackEnd, Gated, Serve, back_end, echo, gated
from machines.outward_gates import GoingOut, going_out, own_record, publish

MUCH = bytes(range(256)) * 8192
"""Two megabytes: more than all buffers on the way hold."""

both_loops = pytest.mark.parametrize("kind", LOOPS)


@contextlib.asynccontextmanager
async def both(
    world: World, directory: Path, options: str = "", *, serve: Serve = echo, listen: str = "", published: bool = True
) -> AsyncIterator[tuple[BackEnd, Gated, GoingOut]]:
    """A back end, the gate before it, and the client-side gate of car54 that leads there."""
    device = car(world)
    allow = (device.name.text,)
    async with back_end(serve=serve) as (behind, target), gated(world, directory, target, allow=allow) as at:
        if published:
            publish(at, own_record(at))
        async with going_out(world, directory, device, at.port, options, listen=listen) as out:
            yield behind, at, out


@both_loops
@pytest.mark.parametrize("listen", ["", "127.0.0.1:0"])
def test_gw_36_a_program_in_clear_goes_out_by_name(kind: str, listen: str, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        async with both(world, tmp_path, listen=listen) as (behind, at, out):
            reader, writer = await out.connect()
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            (connection,) = at.gate.connections
            assert str(connection.identity.name) == "car54._device.cars.example"  # type: ignore[union-attr]
            assert connection.identity.tls_version == "TLSv1.3"
            writer.close()
            await at.until(lambda: out.gate.counters.ended == {"orderly": 1} and not at.gate.connections)
            assert behind.problems == []
            assert (out.gate.counters.from_clients, out.gate.counters.to_clients) == (5, 5)

    with World() as world:
        run(kind, lambda: main(world))


@both_loops
def test_gw_37_each_side_ends_alone(kind: str, tmp_path: Path) -> None:
    async def answer_at_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said = await reader.read()
        writer.write(said[::-1])
        await writer.drain()

    async def main(world: World) -> None:
        async with both(world, tmp_path, serve=answer_at_the_end) as (_, at, out):
            assert await out.ask(MUCH) == MUCH[::-1]
            await at.until(lambda: out.gate.counters.ended == {"orderly": 1})

    with World() as world:
        run(kind, lambda: main(world))


@both_loops
def test_gw_37_a_server_that_has_said_all_still_hears_the_program(kind: str, tmp_path: Path) -> None:
    heard: list[bytes] = []

    async def greet_and_listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"welcome")
        writer.write_eof()
        heard.append(await reader.read())

    async def main(world: World) -> None:
        async with both(world, tmp_path, serve=greet_and_listen) as (_, at, out):
            reader, writer = await out.connect()
            assert await reader.read() == b"welcome"
            writer.write(MUCH)
            writer.write_eof()
            await at.until(lambda: bool(heard))
            assert heard == [MUCH]
            writer.close()

    with World() as world:
        run(kind, lambda: main(world))


@both_loops
def test_gw_37_a_program_that_does_not_read_holds_its_server_back(kind: str, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        async with both(world, tmp_path) as (_, at, out):
            reader, writer = await out.connect()
            sending = asyncio.ensure_future(_send(writer, MUCH * 8))
            # Nothing is read until nothing moves: what was sent waits in buffers that end.
            await at.until(lambda: out.gate.counters.to_clients > 0)
            assert out.gate.counters.to_clients < len(MUCH) * 8
            assert await reader.readexactly(len(MUCH) * 8) == MUCH * 8
            await sending
            writer.close()

    with World() as world:
        run(kind, lambda: main(world))


async def _send(writer: asyncio.StreamWriter, octets: bytes) -> None:
    writer.write(octets)
    await writer.drain()


@both_loops
def test_gw_38_a_server_that_the_record_does_not_name_is_told_nothing(kind: str, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        async with both(world, tmp_path, published=False) as (behind, at, out):
            other = world.web_credential("localhost").chain[0]
            publish(at, tlsa_for_certificate(other, Usage.DANE_EE, Selector.SPKI, MatchingType.SHA2_256))
            assert await out.ask(b"secret") == b""
            await at.until(lambda: out.gate.counters.ended == {"unreachable": 1})
            assert behind.connections == 0

    with World() as world:
        run(kind, lambda: main(world))


@both_loops
def test_gw_38_a_server_without_records_is_not_connected(kind: str, tmp_path: Path) -> None:
    """Its certificate is one that the system would believe: there is no fallback."""

    async def main(world: World) -> None:
        async with both(world, tmp_path, published=False) as (behind, at, out):
            assert await out.ask(b"secret") == b""
            await at.until(lambda: out.gate.counters.ended == {"unreachable": 1})
            assert behind.connections == 0
            assert at.gate.counted().accepted == 0

    with World() as world:
        run(kind, lambda: main(world))


@both_loops
def test_gw_39_certificate_authorities_count_where_they_are_asked_for(kind: str, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        (tmp_path / "ca.pem").write_bytes(world.web_root_pem)
        by_ca = 'server_auth = "ca"\ncacert = "ca.pem"'
        async with both(world, tmp_path, by_ca, published=False) as (_, at, out):
            # Its certificate says another name than the one that is asked for.
            assert await out.ask(b"hello") == b""
            path = tmp_path / "client.toml"
            path.write_text(path.read_text().replace("gate.cars.example", "localhost"))
            out.server.reload()
            assert await out.ask(b"hello") == b"hello"
            assert at.gate.counted().verdicts == {"admitted": 1}

    with World() as world:
        run(kind, lambda: main(world))


@both_loops
def test_gw_40_http_is_told_why(kind: str, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        request = b"GET / HTTP/1.1\r\nHost: gate\r\n\r\n"
        async with both(world, tmp_path, 'protocol = "http"', published=False) as (behind, _, out):
            answer = await out.ask(request)
            assert answer.startswith(b"HTTP/1.1 502 ")
            assert b"TLSA" in answer
            assert out.gate.counters.backend_failures == 1
            assert behind.connections == 0

    with World() as world:
        run(kind, lambda: main(world))


@both_loops
def test_gw_40_a_server_that_refuses_the_name_is_told_of(kind: str, tmp_path: Path) -> None:
    """It says so after the handshake: a program has sent its request by then."""

    async def main(world: World) -> None:
        request = b"GET / HTTP/1.1\r\nHost: gate\r\n\r\n"
        device = world.organisation("vans.example").device("van1")
        async with back_end() as (behind, target), gated(world, tmp_path, target) as at:
            publish(at, own_record(at))
            async with going_out(world, tmp_path, device, at.port, 'protocol = "http"') as out:
                assert (await out.ask(request)).startswith(b"HTTP/1.1 502 ")
                await at.until(lambda: out.gate.counters.ended == {"unreachable": 1})
                assert behind.connections == 0

    with World() as world:
        run(kind, lambda: main(world))


@both_loops
def test_gw_41_a_revoked_name_is_cut_and_stays_out(kind: str, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        device = car(world)
        async with back_end() as (behind, target), gated(world, tmp_path, target) as at:
            publish(at, own_record(at))
            async with going_out(world, tmp_path, device, at.port) as out:
                assert await out.ask(b"hello") == b"hello"
                reader, writer = await out.connect()
                writer.write(b"x")
                assert await reader.read(1) == b"x"
                device.revoke()
                assert await reader.read() == b""
                writer.close()
                assert await out.ask(b"hello") == b""
                assert behind.connections == 2

    with World() as world:
        run(kind, lambda: main(world))


@both_loops
def test_gw_42_a_key_that_rolled_is_shown_by_the_next_connection(kind: str, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        device = car(world)
        async with back_end() as (_, target), gated(world, tmp_path, target) as at:
            publish(at, own_record(at))
            async with going_out(world, tmp_path, device, at.port) as out:
                first = device.credential
                device.renew()
                world.organisation("cars.example").publish(device.name.text, first.tlsa())
                for credential in (first, device.credential):
                    save_credential(credential, out.credential, force=True)
                    reader, writer = await out.connect()
                    writer.write(b"x")
                    assert await reader.read(1) == b"x"
                    (connection,) = at.gate.connections
                    assert connection.identity.spki == credential.presented.spki  # type: ignore[union-attr]
                    writer.close()
                    await at.until(lambda: not at.gate.connections)

    with World() as world:
        run(kind, lambda: main(world))


@both_loops
def test_gw_43_two_hundred_programs_at_once(kind: str, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        async with both(world, tmp_path) as (_, at, out):
            said = [str(number).encode() * 1000 for number in range(200)]
            assert await asyncio.gather(*map(out.ask, said)) == said
            await at.until(lambda: out.gate.counters.ended == {"orderly": 200})

    with World() as world:
        run(kind, lambda: main(world))


PYTHON = shutil.which("python3", path="/usr/bin:/bin")
"""One that every user may start."""
ASK = (
    "import socket,sys; made=socket.create_connection(('127.0.0.1', int(sys.argv[1]))); made.sendall(b'x'); "
    "made.shutdown(1); sys.stdout.write(made.recv(9).decode())"
)


@pytest.mark.skipif(shutil.which("setpriv") is None or PYTHON is None, reason="setpriv and a Python for every user")
@pytest.mark.parametrize("at_once", [False, True])
def test_gw_44_another_user_of_the_machine_is_refused_on_loopback(tmp_path: Path, *, at_once: bool) -> None:
    """at_once: one that sends and is gone, whose socket the system then calls root's."""
    if os.geteuid():
        pytest.skip("only root may run as somebody else")
    script = (
        ASK if not at_once else ASK.replace("made.shutdown(1); sys.stdout.write(made.recv(9).decode())", "made.close()")
    )

    async def main(world: World) -> None:
        async with both(world, tmp_path, 'users = ["0"]', listen="127.0.0.1:0") as (behind, at, out):
            assert await out.ask(b"mine") == b"mine"
            command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", PYTHON, "-c", script]
            done = await asyncio.to_thread(
                subprocess.run, [*command, str(out.where)], capture_output=True, text=True, timeout=60, check=False
            )
            assert done.stdout == ""
            await at.until(lambda: out.gate.counters.turned_away == {"user": 1})
            assert behind.connections == 1

    with World() as world:
        run("asyncio", lambda: main(world))


def test_gw_44_a_unix_socket_is_its_owners_alone(tmp_path: Path) -> None:
    async def main(world: World) -> None:
        async with both(world, tmp_path) as (_, _at, out):
            assert isinstance(out.where, Path)
            assert out.where.stat().st_mode & 0o777 == 0o600

    with World() as world:
        run("asyncio", lambda: main(world))
