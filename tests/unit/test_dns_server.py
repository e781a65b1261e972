"""The DNS server on real sockets: both transports and TLS, pipelining, limits, and answerers that fail."""

import asyncio
import contextlib
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import dns.message
import dns.rcode
import pytest

from dnsbound.dns.authority import Arrival, Transport
from dnsbound.edge.dns_server import Answerer, DnsServer, Endpoint
from dnsbound.errors import Misuse
from dnsbound.testing.web_authority import WebAuthority

QUERY = dns.message.make_query("car54._device.cars.example", "TLSA", id=0x1234).to_wire()


def echo(query: bytes, _arrival: Arrival) -> bytes:
    return query[:2] + b"\x80\x00" + query[4:]


@contextlib.asynccontextmanager
async def serving(answerer: Answerer = echo, **options: object) -> AsyncIterator[DnsServer]:
    async with DnsServer(answerer, port=0, **options) as server:
        yield server


def run(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 30))


def framed(*messages: bytes) -> bytes:
    return b"".join(struct.pack("!H", len(message)) + message for message in messages)


async def read_message(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(5):
        return await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))


@contextlib.asynccontextmanager
async def connected(
    endpoint: Endpoint, **options: object
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port, **options)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def ask_udp(endpoint: Endpoint, query: bytes, *, seconds: float = 5) -> bytes:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        client.connect((endpoint.host, endpoint.port))
        await loop.sock_sendall(client, query)
        async with asyncio.timeout(seconds):
            return await loop.sock_recv(client, 65535)


def test_udp_and_tcp_share_a_port_and_say_where_a_query_came_from() -> None:
    arrivals: list[Arrival] = []

    def answerer(query: bytes, arrival: Arrival) -> bytes:
        arrivals.append(arrival)
        return echo(query, arrival)

    async def work() -> None:
        async with serving(answerer, clock=lambda: 42.0) as server:
            assert await ask_udp(server.endpoint, QUERY) == echo(QUERY, arrivals[0])
            async with connected(server.endpoint) as (reader, writer):
                writer.write(framed(QUERY))
                assert await read_message(reader) == echo(QUERY, arrivals[0])

    run(work)
    assert arrivals == [
        Arrival(source="127.0.0.1", transport=Transport.UDP, now=42.0),
        Arrival(source="127.0.0.1", transport=Transport.TCP, now=42.0),
    ]


def test_ipv6() -> None:
    async def work() -> None:
        async with serving(host="::1") as server:
            assert str(server.endpoint) == f"[::1]:{server.endpoint.port}"
            assert await ask_udp(server.endpoint, QUERY)

    if not socket.has_ipv6 or not _ipv6_loopback():
        pytest.skip("no IPv6 loopback here")
    run(work)


def _ipv6_loopback() -> bool:
    with contextlib.closing(socket.socket(socket.AF_INET6)) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
    return True


def test_a_connection_carries_many_queries_answered_as_they_become_ready() -> None:
    async def late(query: bytes, seconds: float) -> bytes:
        await asyncio.sleep(seconds)
        return query

    def answerer(query: bytes, _arrival: Arrival) -> bytes | Awaitable[bytes]:
        return late(query, 0.3) if query == b"slow" else query

    async def work() -> None:
        async with serving(answerer) as server, connected(server.endpoint) as (reader, writer):
            writer.write(framed(b"slow", b"quick"))
            writer.write(framed(b"split")[:4])
            await writer.drain()
            assert await read_message(reader) == b"quick"
            writer.write(framed(b"split")[4:])
            assert await read_message(reader) == b"split"
            assert await read_message(reader) == b"slow"

    run(work)


def test_silence_is_an_answer() -> None:
    async def nothing() -> None:
        return None

    def answerer(query: bytes, _arrival: Arrival) -> bytes | Awaitable[None] | None:
        if query == b"later":
            return nothing()
        return None if query == b"none" else query

    async def work() -> None:
        async with serving(answerer) as server:
            for query in (b"none", b"later"):
                with pytest.raises(TimeoutError):
                    await ask_udp(server.endpoint, query, seconds=0.2)
            async with connected(server.endpoint) as (reader, writer):
                writer.write(framed(b"none", b"later", b"x"))
                assert await read_message(reader) == b"x"

    run(work)


def test_an_answerer_that_fails_gives_servfail_and_the_service_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    def answerer(query: bytes, arrival: Arrival) -> bytes:
        if b"bad" in query:
            raise RuntimeError("defect")
        return echo(query, arrival)

    async def work() -> None:
        async with serving(answerer) as server:
            bad = dns.message.make_query("bad.example", "A")
            response = await ask_udp(server.endpoint, bad.to_wire())
            assert response[:2] == bad.to_wire()[:2]
            assert response[3] & 15 == dns.rcode.SERVFAIL
            assert await ask_udp(server.endpoint, QUERY)
            with pytest.raises(TimeoutError):
                await ask_udp(server.endpoint, b"bad", seconds=0.2)  # too short for a header: nothing to answer
            assert await ask_udp(server.endpoint, QUERY)

    run(work)
    assert [record.exc_info[0] for record in caplog.records] == [RuntimeError, RuntimeError]


def test_a_late_answer_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> bytes:
        raise RuntimeError("defect")

    async def work() -> None:
        async with serving(lambda query, _: fail() if query == b"bad" else query) as server:
            with pytest.raises(TimeoutError):
                await ask_udp(server.endpoint, b"bad", seconds=0.2)
            assert await ask_udp(server.endpoint, b"good") == b"good"

    run(work)
    assert [record.exc_info[0] for record in caplog.records] == [RuntimeError]


def test_idle_connections_are_closed() -> None:
    async def work() -> None:
        async with serving(idle_seconds=1) as server, connected(server.endpoint) as (reader, writer):
            writer.write(framed(QUERY) + b"\x00")  # one query, and then half a length
            await read_message(reader)
            started = time.monotonic()
            assert await reader.read() == b""
            assert 0.5 < time.monotonic() - started < 5

    run(work)


async def is_served(endpoint: Endpoint) -> bool:
    """Whether a new connection is answered; if not, it is closed by the server."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        async with connected(endpoint) as (reader, writer):
            writer.write(framed(QUERY))
            return bool(await read_message(reader))
    return False


def test_connections_are_limited_and_udp_goes_on() -> None:
    async def work() -> None:
        async with serving(connections=2) as server, connected(server.endpoint) as held:
            async with connected(server.endpoint) as other:
                for reader, writer in (held, other):
                    writer.write(framed(QUERY))
                    await read_message(reader)
                assert not await is_served(server.endpoint)
                assert await ask_udp(server.endpoint, QUERY)
            async with asyncio.timeout(5):
                while not await is_served(server.endpoint):
                    pass  # the server notices the end a moment later

    run(work)


def test_one_source_cannot_take_every_connection() -> None:
    async def work() -> None:
        async with serving(connections_per_source=1) as server, connected(server.endpoint) as (reader, writer):
            writer.write(framed(QUERY))
            await read_message(reader)
            assert not await is_served(server.endpoint)
            # Another /24 of the loopback network.
            async with connected(server.endpoint, local_addr=("127.0.1.1", 0)) as (reader_there, writer_there):
                writer_there.write(framed(QUERY))
                await read_message(reader_there)
            writer.close()
            async with asyncio.timeout(5):
                while not await is_served(server.endpoint):
                    pass  # the server notices the end a moment later

    run(work)


def test_a_stream_of_queries_does_not_keep_datagrams_waiting() -> None:
    """A client that sends thousands of queries at once gets one answer in each turn of the loop."""
    order: list[Transport] = []
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def answerer(query: bytes, arrival: Arrival) -> bytes:
        order.append(arrival.transport)
        if len(order) == 10:
            client.send(QUERY)
        return echo(query, arrival)

    async def work() -> None:
        async with serving(answerer) as server, connected(server.endpoint) as (reader, writer):
            client.connect((server.endpoint.host, server.endpoint.port))
            writer.write(framed(QUERY) * 1000)
            for _ in range(1000):
                await read_message(reader)

    with client:
        run(work)
    assert order.count(Transport.TCP) == 1000
    assert order.index(Transport.UDP) < 20


async def send_until_it_fails(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(framed(QUERY) * 100)
        await writer.drain()
        await asyncio.sleep(0.01)


def test_a_peer_that_never_reads_is_dropped() -> None:
    async def work() -> None:
        answer = bytes(60_000)
        async with serving(lambda _query, _arrival: answer, idle_seconds=1) as server:
            async with connected(server.endpoint) as (_, writer):
                with pytest.raises(ConnectionError):
                    await asyncio.wait_for(send_until_it_fails(writer), 20)
            assert await ask_udp(server.endpoint, QUERY)

    run(work)


def test_dns_over_tls(tmp_path: Path) -> None:
    authority = WebAuthority("test", now=time.time())
    (tmp_path / "server.pem").write_bytes(authority.issue("dns.example").to_pem())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    client = ssl.create_default_context(cadata=authority.root_pem.decode())
    seen: list[Transport] = []

    def answerer(query: bytes, arrival: Arrival) -> bytes:
        seen.append(arrival.transport)
        return query

    async def work() -> None:
        async with serving(answerer, tls=context, tls_port=0) as server:
            endpoint = server.tls_endpoint
            assert endpoint != server.endpoint
            async with connected(endpoint, ssl=client, server_hostname="dns.example") as (reader, writer):
                writer.write(framed(QUERY, QUERY))
                assert await read_message(reader) == await read_message(reader) == QUERY

    run(work)
    assert seen == [Transport.TLS, Transport.TLS]


def test_a_port_that_is_taken_is_an_error_and_leaves_nothing_open() -> None:
    async def work() -> None:
        async with serving() as server:
            other = DnsServer(echo, port=server.endpoint.port)
            with pytest.raises(OSError, match="in use"):
                await other.start()
            with pytest.raises(Misuse):
                _ = other.endpoint
            assert await ask_udp(server.endpoint, QUERY)

    run(work)


def test_addresses_exist_while_it_runs() -> None:
    async def work() -> None:
        server = DnsServer(echo, port=0)
        with pytest.raises(Misuse):
            _ = server.endpoint
        async with server:
            with pytest.raises(Misuse):
                _ = server.tls_endpoint
            endpoint = server.endpoint
        await server.stop()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(endpoint.host, endpoint.port)

    run(work)


def test_stopping_drops_answers_in_the_making() -> None:
    started = asyncio.Event()

    async def never() -> bytes:
        started.set()
        await asyncio.sleep(3600)
        return b""

    async def work() -> None:
        async with serving(lambda _query, _arrival: never()) as server, connected(server.endpoint) as (_, writer):
            writer.write(framed(QUERY))
            await started.wait()
            await server.stop()

    run(work)


@pytest.mark.parametrize(
    "options", [{"connections": 0}, {"connections_per_source": 0}, {"idle_seconds": 0}, {"idle_seconds": 10_000}]
)
def test_limits_out_of_range_are_misuse(options: dict[str, int]) -> None:
    with pytest.raises(Misuse):
        DnsServer(echo, **options)
