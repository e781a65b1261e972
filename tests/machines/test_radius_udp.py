"""RADIUS over UDP: sockets of their own, strangers, floods, and the address that answers leave from."""

import asyncio
import ipaddress
import os
import socket
from collections.abc import Callable

import pytest

from dnsbound.edge.listening_endpoint import Endpoint
from dnsbound.edge.radius_asked import Answer
from dnsbound.edge.radius_clients import RadiusClient, RadiusClients, RadiusOrigin
from dnsbound.edge.radius_counters import Dropped, RadiusCounters
from dnsbound.edge.radius_udp import RadiusSocket, bind_udp, has_state
from dnsbound.iana import RadiusAttribute, RadiusCode
from dnsbound.limits import RADIUS_ATTRIBUTES
from dnsbound.protocols.radius import request_of

SECRET = b"a secret of these tests"
SECONDS = 20.0
CLIENTS = RadiusClients(
    [
        RadiusClient(
            label="nas",
            addresses=(ipaddress.ip_network("127.0.0.1/32"), ipaddress.ip_network("::1/128")),
            secrets=(SECRET,),
        )
    ]
)


def request(*, state: bool = False) -> bytes:
    attributes = ((int(RadiusAttribute.USER_NAME), b"x" * 30),)
    attributes += ((int(RadiusAttribute.STATE), b"s"),) if state else ()
    return request_of(RadiusCode.ACCESS_REQUEST, 1, attributes, SECRET, authenticator=os.urandom(16))


class Served:
    """A socket whose answers are `respond`'s, and what came to it."""

    def __init__(self, host: str, respond: Callable[[bytes, RadiusOrigin], Answer], **options) -> None:
        self.counters = RadiusCounters()
        self._bound = bind_udp(Endpoint(host=host, port=0))
        self.port = self._bound.getsockname()[1]
        self._respond, self._options = respond, options

    async def __aenter__(self):
        self.socket = RadiusSocket(self._bound, self._respond, lambda: CLIENTS, self.counters, **self._options)
        return self

    async def __aexit__(self, *_exc):
        await self.socket.aclose()


class Asker(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.answers: asyncio.Queue[tuple[bytes, tuple]] = asyncio.Queue()

    def connection_made(self, transport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple) -> None:
        self.answers.put_nowait((data, addr))

    async def answer(self) -> tuple[bytes, tuple]:
        return await asyncio.wait_for(self.answers.get(), SECONDS)


async def asker(host: str = "127.0.0.1") -> Asker:
    loop = asyncio.get_running_loop()
    _, protocol = await loop.create_datagram_endpoint(Asker, local_addr=(host, 0))
    return protocol


async def until(found: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not found():  # noqa: ASYNC110 (counters of another's, which sets no event)
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_answers_come_at_once_or_when_they_are_ready(host):
    async def later() -> bytes | None:
        await asyncio.sleep(0)
        return b"later"

    async def run() -> None:
        answers = {b"1": b"at once", b"2": None}
        async with Served(host, lambda octets, _: answers[octets] if octets in answers else later()) as served:
            one = await asker(host)
            for octets in (b"2", b"1", b"3"):
                one.transport.sendto(octets, (host, served.port))
            assert [(await one.answer())[0] for _ in range(2)] == [b"at once", b"later"]
            await until(lambda: served.socket.in_flight == 0)
            one.transport.close()

    asyncio.run(run())


@pytest.mark.parametrize(("wildcard", "asked"), [("0.0.0.0", "127.0.0.77"), ("0.0.0.0", "127.0.0.1"), ("::", "::1")])
def test_an_answer_leaves_from_the_address_that_was_asked(wildcard, asked):
    async def run() -> None:
        async with Served(wildcard, lambda octets, _: octets) as served:
            one = await asker("::1" if ":" in wildcard else "127.0.0.1")
            one.transport.sendto(b"hello", (asked, served.port))
            assert (await one.answer())[1][0] == asked
            one.transport.close()

    asyncio.run(run())


def test_strangers_are_not_read_and_told_of_once(caplog):
    async def run() -> None:
        asked: list[bytes] = []
        async with Served("0.0.0.0", lambda octets, _: asked.append(octets)) as served:
            stranger, one = await asker("127.0.0.2"), await asker()
            for _ in range(3):
                stranger.transport.sendto(b"x", ("127.0.0.1", served.port))
            one.transport.sendto(b"mine", ("127.0.0.1", served.port))
            await until(lambda: bool(asked) and served.counters.dropped[Dropped.UNKNOWN_CLIENT.value] == 3)
            assert asked == [b"mine"]
            stranger.transport.close()
            one.transport.close()

    asyncio.run(run())
    assert caplog.text.count("127.0.0.2 is the address of no client") == 1


def test_strangers_do_not_take_the_place_of_clients():
    """More than are read at a time wait, nearly all of them of strangers."""

    async def run() -> None:
        asked: list[bytes] = []
        async with Served("0.0.0.0", lambda octets, _: asked.append(octets)) as served:
            stranger, one = await asker("127.0.0.2"), await asker()
            for _ in range(200):
                stranger.transport.sendto(b"x", ("127.0.0.1", served.port))
            for number in range(5):
                one.transport.sendto(b"mine %d" % number, ("127.0.0.1", served.port))
            for _ in range(100):
                stranger.transport.sendto(b"x", ("127.0.0.1", served.port))
            await until(lambda: served.counters.dropped[Dropped.UNKNOWN_CLIENT.value] == 300)
            assert asked == [b"mine %d" % number for number in range(5)]
            assert served.counters.dropped[Dropped.OVERLOADED.value] == 0
            stranger.transport.close()
            one.transport.close()

    asyncio.run(run())


def test_one_request_that_fails_here_ends_no_others(caplog):
    def respond(octets: bytes, _origin: RadiusOrigin) -> Answer:
        if octets == b"now":
            raise ZeroDivisionError
        return failing() if octets == b"later" else octets

    async def failing() -> bytes | None:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    async def run() -> None:
        async with Served("127.0.0.1", respond) as served:
            one = await asker()
            for octets in (b"now", b"later", b"fine"):
                one.transport.sendto(octets, ("127.0.0.1", served.port))
            assert (await one.answer())[0] == b"fine"
            await until(lambda: served.counters.dropped[Dropped.FAILED.value] == 2)
            one.transport.close()

    asyncio.run(run())
    assert "defect" in caplog.text


def test_conversations_that_run_go_before_new_ones_and_what_is_too_much_is_shed():
    async def run() -> None:
        waits = asyncio.Event()
        begun: list[bool] = []

        def respond(octets: bytes, _origin: RadiusOrigin) -> Answer:
            begun.append(has_state(octets))
            return waiting()

        async def waiting() -> bytes | None:
            await waits.wait()
            return None

        async with Served("127.0.0.1", respond, in_flight=8) as served:
            one = await asker()
            for state in (False,) * 10 + (True,) * 10:
                one.transport.sendto(request(state=state), ("127.0.0.1", served.port))
            await until(lambda: len(begun) + served.counters.dropped[Dropped.OVERLOADED.value] == 20)
            assert served.socket.in_flight == 8
            assert begun.count(True) >= 2, "the last quarter is for conversations that run"
            waits.set()
            await until(lambda: served.socket.in_flight == 0)
            one.transport.close()

    asyncio.run(run())


def test_a_closed_socket_lets_go_of_what_waits():
    async def run() -> None:
        gone = asyncio.Event()

        async def waiting() -> bytes | None:
            try:
                await asyncio.Event().wait()
            finally:
                gone.set()
            return None

        async with Served("127.0.0.1", lambda *_: waiting()) as served:
            one = await asker()
            one.transport.sendto(b"x", ("127.0.0.1", served.port))
            await until(lambda: served.socket.in_flight == 1)
            # The task has to have begun.
            await asyncio.sleep(0)
            one.transport.close()
        assert gone.is_set()

    asyncio.run(run())


def test_whether_a_packet_has_state_is_seen_without_believing_it():
    assert has_state(request(state=True))
    assert not has_state(request())
    for octets in (b"", bytes(20), bytes(21), bytes(20) + b"\x01\x00\x18\x03s", bytes(20) + b"\x01\xff"):
        has_state(octets)
    assert not has_state(bytes(20) + b"\x01")
    many = bytes(20) + b"\x01\x02" * RADIUS_ATTRIBUTES.default
    assert not has_state(many + b"\x18\x03s"), "no request that is read has so many attributes"


def test_several_processes_may_share_a_port_only_when_it_is_said():
    one = bind_udp(Endpoint(host="127.0.0.1", port=0), reuse_port=True)
    at = Endpoint(host="127.0.0.1", port=one.getsockname()[1])
    two = bind_udp(at, reuse_port=True)
    with pytest.raises(OSError, match="in use"):
        bind_udp(at)
    assert one.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) > 0
    one.close()
    two.close()
