"""QUIC over real UDP sockets on event loops: servers, clients, streams, live sessions."""

import asyncio
import socket
import ssl
from typing import Any

import pytest

from dnsbound import (
    AccessList,
    Authenticator,
    Context,
    Credential,
    Misuse,
    Reason,
    Refused,
    verified_peer,
)
from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.edge.chain_source import FixedChain
from dnsbound.edge.handshake_slots import HandshakeOutcome
from dnsbound.edge.quic_client import open_quic_connection
from dnsbound.edge.quic_connection import QuicClosed, QuicLimits
from dnsbound.edge.quic_served import ServedQuic
from dnsbound.edge.quic_server import start_quic_server
from dnsbound.testing import Fault, World
from dnsbound.tls.errors import TLSAlertReceived, TLSCertificateRefused, TLSRefused
from dnsbound.verify.carried import CarriedChains
from dnsbound.verify.sessions import Sessions
from machines.doors import LOOPS, SERVER, Door, car, door, run, until
from machines.quic_doors import ALPN, ask, client, dial, echo, quic_door, remember, serving

pytestmark = pytest.mark.parametrize("kind", LOOPS)


def test_streams_both_ways_and_who_it_is(kind: str, world: World) -> None:
    at, device = quic_door(world), car(world)
    names: list[str] = []

    async def handle(connection: ServedQuic) -> None:
        peer = verified_peer()
        assert peer is not None
        assert peer is connection.verified_peer()
        names.append(peer.name.text)
        await echo(connection)

    async def main() -> list[bytes]:
        async with serving(at, handle) as server:
            async with await dial(server, client(at, device)) as connection:
                assert connection.shim.version() == "TLSv1.3"
                assert connection.alpn == ALPN
                answers = []
                for message in (b"one", b"two" * 100_000):
                    reader, writer = await connection.open_stream()
                    writer.write(message)
                    writer.write_eof()
                    answers.append(await reader.read())
                    writer.close()
            await until(lambda: len(server) == 0)
        return answers

    assert run(kind, main) == [b"ONE", b"TWO" * 100_000]
    assert names == [device.name.text]
    assert set(at.reasons) == {"admitted"}  # asked again as records expire


def test_a_raw_key_comes_in(kind: str, world: World) -> None:
    at, device = quic_door(world), car(world)

    async def main() -> bytes:
        async with (
            serving(at, echo) as server,
            await dial(server, client(at, device, raw_public_key=True)) as connection,
        ):
            return await ask(connection, b"raw")

    assert run(kind, main) == b"RAW"


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.ED25519, KeyAlgorithm.MLDSA65, KeyAlgorithm.MLDSA87])
def test_other_keys_come_in(kind: str, world: World, algorithm: KeyAlgorithm) -> None:
    """Of ML-DSA too, whose handshake has many datagrams in each direction."""
    at, device = quic_door(world), car(world, algorithm=algorithm)

    async def main() -> bytes:
        async with serving(at, echo) as server, await dial(server, client(at, device)) as connection:
            return await ask(connection, b"x")

    assert run(kind, main) == b"X"


@pytest.mark.parametrize("carried", [True, False])
def test_a_client_brings_the_chain_of_its_record(kind: str, world: World, carried: bool) -> None:
    """To a door that has no DNS (docs/howto/chains.md)."""
    device, names = car(world), ["*._device.cars.example"]
    authenticator = Authenticator(
        AccessList.allowing("api", names),
        None,
        door="api",
        carried_chains=CarriedChains(names, anchors=world.anchors),
        danger_any_clock=True,
    )
    context = Context.server(world.web_credential(SERVER, "127.0.0.1"), authenticator=authenticator, quic=True)
    context.set_alpn_protocols([ALPN])
    at = Door(world, context, authenticator, world.resolver())
    chain = FixedChain(world.chain(str(device.name)).octets if carried else b"\x00")

    async def main() -> bytes | None:
        async with (
            serving(at, echo) as server,
            await dial(server, client(at, device, carry_chain=chain)) as connection,
        ):
            if carried:
                return await ask(connection, b"carried")
            with pytest.raises(TLSAlertReceived):
                await ask(connection, b"nothing")
            return None

    assert run(kind, main) == (b"CARRIED" if carried else None)


@pytest.mark.parametrize("reason", [Reason.NOT_PERMITTED, Reason.NO_TLSA, Reason.NO_CREDENTIAL])
def test_a_refused_client_reads_an_alert(kind: str, world: World, reason: Reason) -> None:
    """Its handshake is over before the server has decided, as in every TLS 1.3; nothing it wrote was sent."""
    device = None if reason is Reason.NO_CREDENTIAL else car(world, "car77")
    at = quic_door(world, *(["car1._device.cars.example"] if reason is Reason.NOT_PERMITTED else []))
    if reason is Reason.NO_TLSA and device is not None:
        device.revoke()
    served: list[ServedQuic] = []

    async def main() -> None:
        async with serving(at, remember(served)) as server:
            async with await dial(server, client(at, device)) as connection:
                with pytest.raises(TLSAlertReceived) as caught:
                    await ask(connection, b"let me in")
            assert caught.value.reason == "SSLV3_ALERT_HANDSHAKE_FAILURE"
            assert caught.value.alert_received == 40
            await until(lambda: len(server) == 0)

    run(kind, main)
    assert at.reasons == [reason.value]
    assert served == []
    counts = at.context.handshake_slots.counts()
    assert counts[HandshakeOutcome.REFUSED] == 1
    assert at.context.handshake_slots.unfinished == 0


def test_nobody_is_let_in_while_nobody_can_tell(kind: str, world: World) -> None:
    at, device = quic_door(world), car(world)
    world.fault("cars.example", Fault.SERVFAIL)

    async def main() -> None:
        async with serving(at, echo) as server, await dial(server, client(at, device)) as connection:
            with pytest.raises(TLSAlertReceived):
                await ask(connection, b"let me in")

    run(kind, main)
    assert at.reasons == [Reason.INDETERMINATE.value]


def test_a_verdict_that_takes_longer_than_a_handshake_may(kind: str, world: World) -> None:
    at, device = quic_door(world, deadline=20.0, handshake_seconds=1), car(world)
    world.fault("cars.example", Fault.DEAD)

    async def main() -> None:
        async with serving(at, echo) as server, await dial(server, client(at, device)) as connection:
            with pytest.raises(TLSAlertReceived):
                await ask(connection, b"let me in")

    run(kind, main)
    assert at.context.handshake_slots.counts()[HandshakeOutcome.TIMED_OUT] == 1


def test_whoever_claims_nothing_is_nobody_at_an_optional_door(kind: str, world: World) -> None:
    at = quic_door(world, policy="optional")
    peers: list[object] = []

    async def handle(connection: ServedQuic) -> None:
        peers.append(connection.verified_peer())
        await echo(connection)

    async def main() -> bytes:
        async with serving(at, handle) as server, await dial(server, client(at, None)) as connection:
            return await ask(connection, b"x")

    assert run(kind, main) == b"X"
    assert peers == [None]


def test_a_server_that_is_not_who_it_should_be(kind: str, world: World) -> None:
    at = quic_door(world)

    async def main() -> None:
        async with serving(at, echo) as server:
            with pytest.raises(TLSCertificateRefused):
                await dial(server, client(at, car(world)), server_hostname="other.example")
            await until(lambda: len(server) == 0)

    run(kind, main)
    assert at.reasons == []


def test_no_protocol_in_common(kind: str, world: World) -> None:
    """RFC 9001 section 8.1."""
    at = quic_door(world)
    other = client(at, car(world))
    other.set_alpn_protocols(["other"])

    async def main() -> None:
        async with serving(at, echo) as server:
            with pytest.raises(TLSAlertReceived) as caught:
                await dial(server, other)
            assert caught.value.alert_received == 120

    run(kind, main)
    assert at.reasons == []


def test_nobody_answers(kind: str, world: World) -> None:
    at = quic_door(world)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    async def main() -> BaseException | None:
        with pytest.raises(TimeoutError) as caught:
            await open_quic_connection(
                "127.0.0.1", port, context=client(at, car(world)), server_hostname=SERVER, seconds=0.3
            )
        await at.resolver.aclose()
        return caught.value.__cause__

    assert isinstance(run(kind, main), ConnectionRefusedError)


def test_a_revoked_name_is_cut(kind: str, world: World) -> None:
    at, device, other = quic_door(world), car(world), car(world, "car55")
    served: list[ServedQuic] = []

    async def main() -> None:
        async with serving(at, remember(served)) as server:
            leaving, staying = [await dial(server, client(at, one)) for one in (device, other)]
            reader, writer = await leaving.open_stream()
            writer.write(b"x")
            assert await reader.read(1) == b"X"
            await until(lambda: len(served) == 2)
            assert len(at.authenticator.sessions) == 2
            assert device.revoke()
            with pytest.raises(TLSAlertReceived):
                await reader.read()
            cut = next(one for one in served if one.error is not None)
            assert isinstance(cut.error, TLSRefused)
            assert cut.error.reason is Reason.NO_TLSA
            with pytest.raises(Refused):
                cut.verified_peer()
            with pytest.raises(TLSRefused):
                await cut.accept_stream()
            assert await ask(staying, b"still in") == b"STILL IN"
            await until(lambda: len(at.authenticator.sessions) == 1)
            for connection in (leaving, staying):
                await connection.__aexit__()

    run(kind, main)


@pytest.mark.parametrize("shows_raw", [False, True], ids=["x509", "raw"])
def test_a_server_known_by_its_records(kind: str, world: World, shows_raw: bool) -> None:
    """Of `_port._udp.host`; a raw key has nobody else to vouch for it."""
    host, zone = "api.cars.example", world.organisation("cars.example")
    own, device = Credential.generate(host, now=world.now(), kind="raw" if shows_raw else "x509"), car(world)
    resolver = world.resolver()
    authenticator = Authenticator(AccessList.allowing("api", ["*._device.cars.example"]), resolver, door="api")
    at = Door(world, Context.server(own, authenticator=authenticator, quic=True), authenticator, resolver)
    at.context.set_alpn_protocols([ALPN])

    async def main() -> bytes:
        async with serving(at, echo) as server:
            port = server.address[1]
            zone.address(host, "127.0.0.1")
            zone.publish(f"_{port}._udp.{host}", own.tlsa())
            ours = Context.client(device.credential, quic=True, server_tlsa="require", resolver=resolver)
            ours.set_alpn_protocols([ALPN])
            await ours.prepare(host, port)
            async with await open_quic_connection("127.0.0.1", port, context=ours, server_hostname=host) as connection:
                assert connection.server_tlsa() == own.tlsa()
                return await ask(connection, b"x")

    assert run(kind, main) == b"X"


def test_streams_wait_for_a_client_that_is_not_in_yet(kind: str, world: World) -> None:
    """The client may write at once: its engine keeps it until the server allows streams."""
    at, device = quic_door(world), car(world)
    world.fault("cars.example", Fault.SLOW, seconds=0.4)

    async def main() -> bytes:
        async with serving(at, echo) as server, await dial(server, client(at, device)) as connection:
            assert connection._engine._remote_max_streams_bidi == 0
            assert connection._engine._remote_max_data == 0
            return await ask(connection, b"early" * 1000)

    assert run(kind, main) == b"EARLY" * 1000


def test_many_streams_are_a_few_at_a_time(kind: str, world: World) -> None:
    at, device = quic_door(world), car(world)
    most = 0

    async def handle(connection: ServedQuic) -> None:
        nonlocal most

        async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal most
            most = max(most, len(connection._streams))
            writer.write(await reader.read())
            writer.close()

        async with asyncio.TaskGroup() as group:
            async for reader, writer in connection:
                group.create_task(one(reader, writer))

    async def main() -> list[bytes]:
        bounds = QuicLimits(streams=3)
        async with (
            serving(at, handle, bounds=bounds) as server,
            await dial(server, client(at, device)) as connection,
        ):
            return list(await asyncio.gather(*(ask(connection, b"%d" % number) for number in range(40))))

    assert run(kind, main) == [b"%d" % number for number in range(40)]
    assert 1 <= most <= 4


def test_a_server_opens_streams_too(kind: str, world: World) -> None:
    at, device = quic_door(world), car(world)

    async def handle(connection: ServedQuic) -> None:
        assert await ask(connection, b"who") == b"me"

    async def main() -> None:
        async with serving(at, handle) as server, await dial(server, client(at, device)) as connection:
            reader, writer = await connection.accept_stream()
            assert await reader.read() == b"who"
            writer.write(b"me")
            writer.close()
            assert await connection.accept_stream() is None

    run(kind, main)


def test_who_is_not_read_is_held_back(kind: str, world: World) -> None:
    """What a server keeps for a handler that does not read is bounded, and so is what a client's writer keeps."""
    at, device = quic_door(world), car(world)
    goes_on = asyncio.Event()
    total = 0

    async def handle(connection: ServedQuic) -> None:
        nonlocal total
        reader, writer = await connection.accept_stream() or pytest.fail("no stream")
        await goes_on.wait()
        while octets := await reader.read(65_536):
            total += len(octets)
        writer.close()

    async def main() -> None:
        bounds = QuicLimits(stream_octets=16_384)
        async with (
            serving(at, handle, bounds=bounds) as server,
            await dial(server, client(at, device)) as connection,
        ):
            _, writer = await connection.open_stream()
            writer.write(bytes(1_000_000))
            held = asyncio.create_task(writer.drain())
            await until(lambda: any(not one.is_reading() for served in server._all for one in served._streams.values()))
            (served,) = server._all
            (stream,) = served._streams.values()
            before = served._engine.received(stream.stream_id)
            assert 16_384 <= before <= 4 * 16_384
            assert not held.done()
            goes_on.set()
            await held
            writer.write_eof()
            await until(lambda: total == 1_000_000)

    run(kind, main)


def test_a_stream_taken_back(kind: str, world: World) -> None:
    at, device = quic_door(world), car(world)
    errors: list[BaseException] = []

    async def handle(connection: ServedQuic) -> None:
        async for reader, writer in connection:
            try:
                await reader.read()
            except ConnectionResetError as error:
                errors.append(error)
            writer.close()

    async def main() -> None:
        async with serving(at, handle) as server, await dial(server, client(at, device)) as connection:
            for _ in range(20):  # more than may be open: what is over makes room
                _, writer = await connection.open_stream()
                writer.write(b"half of")
                await asyncio.sleep(0.01)
                writer.transport.abort()
            await until(lambda: len(errors) == 20)
            (served,) = server._all
            await until(lambda: not served._streams)

    run(kind, main)


def test_a_writer_whose_reader_has_gone(kind: str, world: World) -> None:
    at, device = quic_door(world), car(world)
    done = asyncio.Event()

    async def handle(connection: ServedQuic) -> None:
        _, writer = await connection.accept_stream() or pytest.fail("no stream")
        for _ in range(100):
            writer.write(bytes(10_000))
            await writer.drain()
        done.set()
        await connection.wait_closed()

    async def main() -> None:
        async with serving(at, handle) as server, await dial(server, client(at, device)) as connection:
            _, writer = await connection.open_stream()
            writer.write(b"x")
            writer.close()
            await done.wait()

    run(kind, main)


def test_a_stream_cut_short_does_not_look_like_one_that_ended(kind: str, world: World) -> None:
    at, device = quic_door(world), car(world)

    async def handle(connection: ServedQuic) -> None:
        _, writer = await connection.accept_stream() or pytest.fail("no stream")
        writer.write(b"half of")
        kept.append(writer)  # asyncio closes what nobody has any more

    kept: list[asyncio.StreamWriter] = []

    async def main() -> None:
        async with serving(at, handle) as server:
            connection = await dial(server, client(at, device))
            reader, writer = await connection.open_stream()
            writer.write(b"x")
            with pytest.raises(ConnectionResetError):
                await reader.read()
            assert connection.error is None
            await connection.wait_closed()

    run(kind, main)


def test_what_was_written_arrives_before_the_end(kind: str, world: World) -> None:
    at, device = quic_door(world), car(world)

    async def handle(connection: ServedQuic) -> None:
        _, writer = await connection.accept_stream() or pytest.fail("no stream")
        writer.write(bytes(500_000))
        writer.close()

    async def main() -> int:
        async with serving(at, handle) as server, await dial(server, client(at, device)) as connection:
            reader, writer = await connection.open_stream()
            writer.write(b"x")
            writer.write_eof()
            return len(await reader.read())

    assert run(kind, main) == 500_000


def test_an_error_of_the_application(kind: str, world: World) -> None:
    at, device = quic_door(world), car(world)

    async def handle(connection: ServedQuic) -> None:
        connection.close(0x2A)

    async def main() -> None:
        async with serving(at, handle) as server:
            connection = await dial(server, client(at, device))
            with pytest.raises(QuicClosed) as caught:
                await connection.accept_stream()
            assert (caught.value.code, caught.value.is_application) == (0x2A, True)
            with pytest.raises(QuicClosed):
                await connection.open_stream()
            await connection.wait_closed()

    run(kind, main)


def test_an_idle_client_is_let_go(kind: str, world: World) -> None:
    at, device = quic_door(world), car(world)
    served: list[ServedQuic] = []

    async def main() -> None:
        bounds = QuicLimits(idle_seconds=1)
        async with serving(at, remember(served), bounds=bounds) as server:
            connection = await dial(server, client(at, device))
            with pytest.raises(TimeoutError):
                await connection.accept_stream()
            await connection.wait_closed()
            await until(lambda: len(server) == 0)
            assert isinstance(served[0].error, TimeoutError)

    run(kind, main)


def test_a_handler_that_fails_ends_its_own_connection(kind: str, world: World) -> None:
    at, device = quic_door(world), car(world)
    failures: list[dict[str, Any]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))

        async def handle(connection: ServedQuic) -> None:
            if len(handled) == 1:
                raise RuntimeError("the handler's own")
            handled.append(connection)
            await echo(connection)

        handled: list[ServedQuic] = []
        async with serving(at, handle) as server:
            stays = await dial(server, client(at, device))
            assert await ask(stays, b"x") == b"X"
            async with await dial(server, client(at, device)) as fails:
                assert await fails.accept_stream() is None
            assert await ask(stays, b"y") == b"Y"
            await stays.__aexit__()

    run(kind, main)
    assert [str(failure["exception"]) for failure in failures] == ["the handler's own"]


def test_a_client_that_nobody_could_ask_about_again_is_let_go(kind: str, world: World) -> None:
    at, device = quic_door(world), car(world)
    at.authenticator.sessions = Sessions(limit=1)

    async def main() -> None:
        async with serving(at, echo) as server:
            first = await dial(server, client(at, device))
            assert await ask(first, b"x") == b"X"
            async with await dial(server, client(at, device)) as second:
                assert await second.accept_stream() is None
            assert await ask(first, b"y") == b"Y"
            await first.__aexit__()

    run(kind, main)


def test_connections_are_counted_by_source(kind: str, world: World) -> None:
    at, device = quic_door(world), car(world)

    async def main() -> None:
        bounds = QuicLimits(connections_per_source=2)
        async with serving(at, echo, bounds=bounds) as server:
            inside = [await dial(server, client(at, device)) for _ in range(2)]
            with pytest.raises(TimeoutError):
                await dial(server, client(at, device), seconds=0.5)
            assert server.turned_away >= 1
            await inside[0].__aexit__()
            await until(lambda: len(server) == 1)
            async with await dial(server, client(at, device)) as third:
                assert await ask(third, b"x") == b"X"
            await inside[1].__aexit__()

    run(kind, main)


def test_a_server_says_goodbye(kind: str, world: World) -> None:
    at, device = quic_door(world), car(world)

    async def main() -> None:
        async with serving(at, echo) as server:
            connection = await dial(server, client(at, device))
            assert await ask(connection, b"x") == b"X"
        assert await connection.accept_stream() is None
        assert connection.error is None
        with pytest.raises(ConnectionResetError):
            await connection.open_stream()
        await connection.wait_closed()

    run(kind, main)


def test_only_contexts_for_quic_speak_quic(kind: str, world: World) -> None:
    at, plain = quic_door(world), door(world)

    async def main() -> None:
        with pytest.raises(Misuse):
            await start_quic_server(echo, "127.0.0.1", context=plain.context)
        with pytest.raises(Misuse):
            await open_quic_connection("127.0.0.1", 9, context=plain.client(None))
        with pytest.raises(Misuse):
            at.context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)
        for context in (at.context, without_protocols := at.client(None, quic=True)):
            context.set_alpn_protocols([])
        with pytest.raises(Misuse):
            await start_quic_server(echo, "127.0.0.1", context=at.context)
        with pytest.raises(Misuse):
            await open_quic_connection("127.0.0.1", 9, context=without_protocols)
        await at.resolver.aclose()
        await plain.resolver.aclose()

    run(kind, main)


@pytest.mark.parametrize(
    "options",
    [
        {"datagram": True},
        {"ticket_lifetime": 60},
        {"post_handshake": True},
        {"profiles": ["ca13", "cid07"]},
    ],
    ids=lambda options: next(iter(options)),
)
def test_what_has_no_place_in_quic(kind: str, world: World, options: dict[str, Any]) -> None:
    with pytest.raises(Misuse):
        quic_door(world, **options)


def test_what_a_client_may_not_be_told_either(kind: str, world: World) -> None:
    at, device = quic_door(world), car(world)
    with pytest.raises(Misuse):
        client(at, device, profiles=["cid07"], clear_name_to=[SERVER])
    limited = client(at, device)
    limited.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(Misuse):
        limited.engine_config()
    late = client(at, device)
    late.post_handshake_auth = True
    with pytest.raises(Misuse):
        late.engine_config()
