"""DTLS over real UDP sockets on event loops: servers, clients, live sessions, and what the network does to them."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from dnsbound import (
    AccessFile,
    AccessList,
    Authenticator,
    Context,
    Credential,
    Misuse,
    Reason,
    Refused,
    open_datagram_connection,
    start_datagram_server,
    verified_peer,
)
from dnsbound.edge.association_table import DatagramLimits
from dnsbound.edge.datagram_server import DatagramServer, ServedConnection
from dnsbound.testing import World
from dnsbound.tls.errors import TLSAlertReceived, TLSCertificateRefused, TLSRefused
from dnsbound.verify.sessions import Sessions
from machines.doors import LOOPS, SERVER, Door, car, door, run, until

pytestmark = pytest.mark.parametrize("kind", LOOPS)

Handler = Callable[[ServedConnection], Awaitable[None]]


def client(at: Door, device: Any, **options: Any) -> Context:
    return at.client(device, datagram=True, clear_name_to=[SERVER], **options)


@asynccontextmanager
async def serving(at: Door, handler: Handler, **options: Any) -> AsyncIterator[DatagramServer]:
    try:
        async with await start_datagram_server(handler, "127.0.0.1", context=at.context, **options) as server:
            yield server
    finally:
        await at.resolver.aclose()


async def dial(server: DatagramServer, context: Context, **options: Any) -> Any:
    return await open_datagram_connection(
        "127.0.0.1", server.address[1], context=context, server_hostname=SERVER, **options
    )


async def echo(connection: ServedConnection) -> None:
    async for message in connection:
        connection.send(message.upper())


def test_messages_both_ways_and_who_it_is(kind: str, world: World) -> None:
    at, device = door(world, datagram=True), car(world)
    names: list[str] = []

    async def handle(connection: ServedConnection) -> None:
        peer = verified_peer()
        assert peer is not None
        assert peer is connection.verified_peer()
        names.append(peer.name.text)
        await echo(connection)

    async def main() -> list[bytes]:
        async with serving(at, handle) as server:
            async with await dial(server, client(at, device)) as connection:
                assert connection.shim.version() == "DTLSv1.2"
                answers = []
                for message in (b"one", b"two"):
                    connection.send(message)
                    answers.append(await connection.receive())
            await until(lambda: len(server) == 0)
            return answers

    assert run(kind, main) == [b"ONE", b"TWO"]
    assert names == [device.name.text]
    assert at.reasons == ["admitted"]
    assert at.decisions[0].to_json()["protocol"] == "DTLSv1.2 cid07"


def test_a_raw_key_comes_in(kind: str, world: World) -> None:
    at, device = door(world, datagram=True), car(world)

    async def main() -> bytes:
        async with (
            serving(at, echo) as server,
            await dial(server, client(at, device, raw_public_key=True)) as connection,
        ):
            connection.send(b"raw")
            return bytes(await connection.receive())

    assert run(kind, main) == b"RAW"


@pytest.mark.parametrize("reason", [Reason.NOT_PERMITTED, Reason.NO_TLSA])
def test_a_refused_client_reads_an_alert(kind: str, world: World, reason: Reason) -> None:
    device = car(world, "car77")
    at = door(world, *(["car1._device.cars.example"] if reason is Reason.NOT_PERMITTED else []), datagram=True)
    if reason is Reason.NO_TLSA:
        device.revoke()

    async def main() -> None:
        async with serving(at, echo) as server:
            with pytest.raises(TLSAlertReceived) as caught:
                await dial(server, client(at, device))
            assert caught.value.reason == "SSLV3_ALERT_HANDSHAKE_FAILURE"

    run(kind, main)
    assert at.reasons == [reason.value]


def test_a_server_that_is_not_who_it_should_be(kind: str, world: World) -> None:
    at = door(world, datagram=True)

    async def main() -> None:
        async with serving(at, echo) as server:
            with pytest.raises(TLSCertificateRefused):
                await open_datagram_connection(
                    "127.0.0.1",
                    server.address[1],
                    context=at.client(None, datagram=True),
                    server_hostname="other.example",
                )

    run(kind, main)


def test_nobody_answers(kind: str, world: World) -> None:
    """A port that nobody has: the system reports it, anybody could have, and the deadline decides."""
    at = door(world, datagram=True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    async def main() -> BaseException | None:
        with pytest.raises(TimeoutError) as caught:
            await open_datagram_connection(
                "127.0.0.1", port, context=client(at, car(world)), server_hostname=SERVER, seconds=0.3
            )
        await at.resolver.aclose()
        return caught.value.__cause__

    cause = run(kind, main)
    assert isinstance(cause, ConnectionRefusedError)


def test_a_revoked_name_is_cut(kind: str, world: World) -> None:
    """LIVE sessions are those of datagrams as well: the record goes, and within its TTL so does the association."""
    at, device, other = door(world, datagram=True), car(world), car(world, "car55")
    served: dict[str, ServedConnection] = {}

    async def handle(connection: ServedConnection) -> None:
        peer = connection.verified_peer()
        assert peer is not None
        served[peer.name.text] = connection
        await echo(connection)

    async def main() -> None:
        async with serving(at, handle) as server:
            leaving, staying = [await dial(server, client(at, one)) for one in (device, other)]
            await until(lambda: len(served) == 2)
            assert len(at.authenticator.sessions) == 2
            assert device.revoke()
            assert await leaving.receive() == b""
            cut = served[device.name.text]
            with pytest.raises(TLSRefused) as caught:
                await cut.receive()
            assert caught.value.reason is Reason.NO_TLSA
            with pytest.raises(Refused):
                cut.verified_peer()
            staying.send(b"still in")
            assert await staying.receive() == b"STILL IN"
            assert len(at.authenticator.sessions) == 1
            staying.close()
            leaving.close()

    run(kind, main)


def test_a_change_of_the_list_cuts(kind: str, world: World, tmp_path: Path) -> None:
    file = tmp_path / "access.toml"
    file.write_text('[door.api]\nallow = ["*._device.cars.example"]\n')
    resolver = world.resolver()
    authenticator = Authenticator(AccessFile(file), resolver, door="api")
    context = Context.server(world.web_credential(SERVER), authenticator=authenticator, datagram=True)
    at = Door(world, context, authenticator, resolver)

    async def main() -> None:
        async with serving(at, echo) as server, await dial(server, client(at, car(world))) as connection:
            await until(lambda: len(authenticator.sessions) == 1)
            file.write_text('[door.api]\nallow = ["car1._device.cars.example"]\n')
            assert await connection.receive() == b""

    run(kind, main)


@pytest.mark.parametrize("shows_raw", [False, True], ids=["x509", "raw"])
def test_a_server_known_by_its_records(kind: str, world: World, shows_raw: bool) -> None:
    """Of `_port._udp.host`; a raw key has nobody else to vouch for it."""
    host, zone = "api.cars.example", world.organisation("cars.example")
    own, device = Credential.generate(host, now=world.now(), kind="raw" if shows_raw else "x509"), car(world)
    resolver = world.resolver()
    access = AccessList.allowing("api", ["*._device.cars.example"])
    authenticator = Authenticator(access, resolver, door="api")
    at = Door(world, Context.server(own, authenticator=authenticator, datagram=True), authenticator, resolver)

    async def main() -> bytes:
        async with serving(at, echo) as server:
            port = server.address[1]
            zone.address(host, "127.0.0.1")
            zone.publish(f"_{port}._udp.{host}", own.tlsa())
            ours = Context.client(
                device.credential,
                datagram=True,
                clear_name_to=[host],
                server_tlsa="require",
                resolver=resolver,
            )
            evidence = await ours.prepare(host, port)
            assert evidence.records == (own.tlsa(),)
            connection = await open_datagram_connection("127.0.0.1", port, context=ours, server_hostname=host)
            async with connection:
                assert connection.server_tlsa() == own.tlsa()
                connection.send(b"x")
                return await connection.receive()

    assert run(kind, main) == b"X"


def test_a_client_that_nobody_could_ask_about_again_is_let_go(kind: str, world: World) -> None:
    at, device = door(world, datagram=True), car(world)
    at.authenticator.sessions = Sessions(limit=1)

    async def main() -> None:
        async with serving(at, echo) as server:
            first = await dial(server, client(at, device))
            with suppress(ConnectionResetError):  # the goodbye may come together with the last flight
                second = await dial(server, client(at, device))
                assert await second.receive() == b""
            assert len(server) == 1
            first.send(b"x")
            assert await first.receive() == b"X"
            first.close()

    run(kind, main)


def test_an_idle_client_is_let_go(kind: str, world: World) -> None:
    at = door(world, datagram=True)

    async def main() -> None:
        bounds = DatagramLimits(idle_seconds=1)
        async with serving(at, echo, bounds=bounds) as server, await dial(server, client(at, car(world))) as connection:
            assert await connection.receive() == b""
            assert len(server) == 0

    run(kind, main)


def test_a_handler_that_fails_ends_its_own_association(kind: str, world: World) -> None:
    at, device = door(world, datagram=True), car(world)
    failures: list[dict[str, Any]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: failures.append(context))

        async def handle(connection: ServedConnection) -> None:
            if await connection.receive() == b"fail":
                raise RuntimeError("the handler's own")
            await echo(connection)

        async with serving(at, handle) as server:
            fails, stays = [await dial(server, client(at, device)) for _ in range(2)]
            stays.send(b"x")
            fails.send(b"fail")
            assert await fails.receive() == b""
            stays.send(b"y")
            assert await stays.receive() == b"Y"
            stays.close()

    run(kind, main)
    assert [str(failure["exception"]) for failure in failures] == ["the handler's own"]


def test_a_plain_handler_that_fails_ends_its_own_association_too(kind: str, world: World) -> None:
    at, device = door(world, datagram=True), car(world)
    failures: list[dict[str, Any]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))

        def handle(_connection: ServedConnection) -> None:
            raise RuntimeError("the handler's own")

        async with serving(at, handle) as server:
            with pytest.raises(ConnectionResetError):  # the goodbye comes with the end of the handshake
                await dial(server, client(at, device))
            await until(lambda: len(server) == 0)

    run(kind, main)
    assert [str(failure["exception"]) for failure in failures] == ["the handler's own"]


def test_a_server_says_goodbye(kind: str, world: World) -> None:
    at = door(world, datagram=True)

    async def main() -> None:
        async with serving(at, echo) as server:
            connection = await dial(server, client(at, car(world)))
            await until(lambda: len(server) == 1)
        assert await connection.receive() == b""
        connection.close()

    run(kind, main)


def test_only_contexts_for_datagrams_serve_datagrams(kind: str, world: World) -> None:
    at = door(world)

    async def main() -> None:
        with pytest.raises(Misuse):
            await start_datagram_server(echo, "127.0.0.1", context=at.context)
        with pytest.raises(Misuse):
            await open_datagram_connection("127.0.0.1", 9, context=at.client(None))
        await at.resolver.aclose()

    run(kind, main)
