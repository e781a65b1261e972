"""A server's connection whose verdict comes later, on asyncio and uvloop, with real DNS behind the verdict."""

import asyncio
import socket
import ssl
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from dnsbound import Misuse, Reason, verified_peer
from dnsbound.edge.handshake_slots import HandshakeOutcome
from dnsbound.edge.server_phase import TRANSITIONS, Phase
from dnsbound.errors import DnsboundError
from dnsbound.testing import Fault, World
from dnsbound.tls.errors import TLSAlertReceived, TLSUnexpectedEOF
from machines.doors import LOOPS, SERVER, Door, car, dial, door, hang_up, run, serving, until

pytestmark = pytest.mark.parametrize("kind", LOOPS)


class Recorder(asyncio.Protocol):
    """Notes every callback, with the peer that the callback sees."""

    greeting = b""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []
        self.received = b""
        self.lost = False
        self.error: Exception | None = None
        made.append(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._note("made")
        if self.greeting:
            transport.write(self.greeting)

    def data_received(self, data: bytes) -> None:
        self._note("data")
        self.received += data

    def eof_received(self) -> bool | None:
        self._note("eof")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._note("lost")
        self.lost, self.error = True, exc

    def _note(self, event: str) -> None:
        try:
            peer = verified_peer()
        except DnsboundError as error:
            self.events.append((event, type(error)))
        else:
            self.events.append((event, None if peer is None else str(peer.name)))


made: list[Recorder] = []


@pytest.fixture(autouse=True)
def _forget() -> None:
    made.clear()


def outcomes(at: Door) -> dict[HandshakeOutcome, int]:
    """Those that happened."""
    return {outcome: count for outcome, count in at.context.handshake_slots.counts().items() if count}


def say_all(port: int, context: ssl.SSLContext, data: bytes) -> socket.socket:
    """Send data and close_notify right after the handshake; the socket underneath, still open."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    plain = socket.create_connection(("127.0.0.1", port), timeout=10)
    tls = context.wrap_bio(incoming, outgoing, server_hostname=SERVER)
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            plain.sendall(outgoing.read())
            incoming.write(plain.recv(65536))
    tls.write(data)
    with pytest.raises(ssl.SSLWantReadError):
        tls.unwrap()
    plain.sendall(outgoing.read())
    return plain


def test_every_phase_has_its_transitions(kind: str) -> None:
    assert set(TRANSITIONS) == set(Phase)
    assert TRANSITIONS[Phase.CLOSED] == frozenset()


def test_early_data_waits_for_the_verdict(kind: str, world: World) -> None:
    """The client speaks first; DNS takes its time; the application is not even made before the verdict."""
    device, at = car(world), door(world)
    world.fault(str(device.name), Fault.SLOW, seconds=0.4)

    async def main() -> None:
        async with serving(Recorder, at) as port:
            _, writer = await dial(port, at.client(device))
            writer.write(b"early ")
            writer.write(b"octets")
            await until(lambda: bool(world.queries_for(str(device.name))))
            assert made == []
            assert at.context.handshake_slots.unfinished == 1
            await until(lambda: bool(made) and made[0].received == b"early octets")
            assert at.context.handshake_slots.unfinished == 0
            await hang_up(writer)
            await until(lambda: made[0].lost)

    run(kind, main)
    name = str(device.name)
    assert {peer for _, peer in made[0].events} == {name}
    assert [event for event, _ in made[0].events if event != "data"] == ["made", "eof", "lost"]
    assert made[0].error is None
    assert outcomes(at) == {HandshakeOutcome.ADMITTED: 1}


def test_server_speaks_first(kind: str, world: World) -> None:
    """The server's greeting leaves once the verdict is there, although the client sends nothing."""
    device, at = car(world), door(world)
    world.fault(str(device.name), Fault.SLOW, seconds=0.2)

    class Greeter(Recorder):
        greeting = b"220 ready\r\n"

    async def main() -> bytes:
        async with serving(Greeter, at) as port:
            reader, writer = await dial(port, at.client(device))
            line = await reader.readline()
            await hang_up(writer)
            return line

    assert run(kind, main) == b"220 ready\r\n"


def test_a_name_that_is_not_on_the_list(kind: str, world: World) -> None:
    """Refused with an alert the client can read, without a query, without the application."""
    device, at = car(world), door(world, "other._device.cars.example")

    async def main() -> None:
        async with serving(Recorder, at) as port:
            reader, writer = await dial(port, at.client(device))
            writer.write(b"x" * 100_000)
            with pytest.raises(TLSAlertReceived) as alert:
                await reader.read()
            assert alert.value.alert_received == 40
            await hang_up(writer)
            await until(lambda: at.context.handshake_slots.unfinished == 0)

    run(kind, main)
    assert made == []
    assert at.reasons == [Reason.NOT_PERMITTED]
    assert world.queries_for(str(device.name)) == ()
    assert outcomes(at) == {HandshakeOutcome.REFUSED: 1}


@pytest.mark.parametrize(
    ("fault", "reason"),
    [(Fault.BOGUS, Reason.BOGUS), (Fault.EXPIRED, Reason.BOGUS), (Fault.SERVFAIL, Reason.DNS_FAILED)],
)
def test_dns_that_fails(kind: str, fault: Fault, reason: Reason, world: World) -> None:
    device, at = car(world), door(world)
    world.fault(str(device.name), fault)

    async def main() -> None:
        async with serving(Recorder, at) as port:
            reader, writer = await dial(port, at.client(device))
            with pytest.raises(TLSAlertReceived):
                await reader.read()
            await hang_up(writer)

    run(kind, main)
    assert made == []
    assert at.reasons == [reason]


def test_no_claim_at_a_required_door(kind: str, world: World) -> None:
    """A client without a credential gets the same alert, and the decision is reported."""
    at = door(world)

    async def main() -> None:
        async with serving(Recorder, at) as port:
            reader, writer = await dial(port, at.client(None))
            with pytest.raises(TLSAlertReceived) as alert:
                await reader.read()
            assert alert.value.alert_received == 40
            await hang_up(writer)

    run(kind, main)
    assert made == []
    assert at.reasons == [Reason.NO_CREDENTIAL]
    assert at.decisions[0].source == "127.0.0.1"


def test_no_claim_at_an_optional_door(kind: str, world: World) -> None:
    """Unauthenticated, and visible as such; a failed claim is refused there too."""
    device, at = car(world, publish=False), door(world, policy="optional")

    class Greeter(Recorder):
        greeting = b"hello"

    async def main() -> None:
        async with serving(Greeter, at) as port:
            reader, writer = await dial(port, at.client(None))
            assert await reader.readexactly(5) == b"hello"
            transport = made[0].transport
            assert transport.get_extra_info("verified_peer") is None
            assert transport.get_extra_info("ssl_object").authentication == "unauthenticated"
            await hang_up(writer)
            reader, writer = await dial(port, at.client(device))
            with pytest.raises(TLSAlertReceived):
                await reader.read()
            await hang_up(writer)

    run(kind, main)
    assert len(made) == 1
    assert made[0].events[0] == ("made", None)
    assert at.reasons == [Reason.NO_TLSA]


def test_dns_that_never_answers(kind: str, world: World) -> None:
    """The deadline ends it: the lookup is cancelled, the client is told, the slot is free."""
    device, at = car(world), door(world, deadline=60, handshake_seconds=1)
    world.fault(str(device.name), Fault.DEAD)

    async def main() -> float:
        loop = asyncio.get_running_loop()
        async with serving(Recorder, at) as port:
            reader, writer = await dial(port, at.client(device))
            began = loop.time()
            with pytest.raises(TLSAlertReceived):
                await reader.read()
            took = loop.time() - began
            assert len(asyncio.all_tasks()) <= 2
            await hang_up(writer)
            await until(lambda: at.context.handshake_slots.unfinished == 0)
            return took

    assert 0.5 < run(kind, main) < 3
    assert made == []
    assert outcomes(at) == {HandshakeOutcome.TIMED_OUT: 1}


def test_handshake_timeout_of_the_caller(kind: str, world: World) -> None:
    """A client that says nothing is dropped at the caller's deadline when that is the shorter one."""
    at = door(world)

    async def main() -> bytes:
        async with serving(Recorder, at, ssl_handshake_timeout=0.3) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            octets = await reader.read()
            await hang_up(writer)
            return octets

    assert run(kind, main) == b""
    assert outcomes(at) == {HandshakeOutcome.TIMED_OUT: 1}


def test_client_that_leaves_while_the_verdict_is_pending(kind: str, world: World) -> None:
    """Its lookup is cancelled; that of another client of the same name is not."""
    device, at = car(world), door(world)
    world.fault(str(device.name), Fault.SLOW, seconds=0.6)

    class Greeter(Recorder):
        greeting = b"hello"

    async def main() -> None:
        async with serving(Greeter, at) as port:
            _, leaving = await dial(port, at.client(device))
            await until(lambda: bool(world.queries_for(str(device.name))))
            reader, staying = await dial(port, at.client(device))
            await until(lambda: at.context.handshake_slots.unfinished == 2)
            leaving.transport.abort()
            await until(lambda: at.context.handshake_slots.unfinished == 1)
            assert await reader.readexactly(5) == b"hello"
            await hang_up(staying)

    run(kind, main)
    assert len(made) == 1
    assert outcomes(at) == {HandshakeOutcome.GONE: 1, HandshakeOutcome.ADMITTED: 1}


def test_beyond_the_limit_connections_are_closed_at_once(kind: str, world: World, caplog: Any) -> None:
    device, at = car(world), door(world, handshakes_at_once=2, handshakes_per_source=2)

    class Greeter(Recorder):
        greeting = b"hello"

    async def main() -> None:
        async with serving(Greeter, at) as port:
            idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
            await until(lambda: at.context.handshake_slots.unfinished == 2)
            for _ in range(3):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                with suppress(ConnectionResetError):
                    assert await reader.read() == b""
                await hang_up(writer)
            for _, writer in idle:
                await hang_up(writer)
            await until(lambda: at.context.handshake_slots.unfinished == 0)
            reader, writer = await dial(port, at.client(device))
            assert await reader.readexactly(5) == b"hello"
            await hang_up(writer)

    run(kind, main)
    counts = outcomes(at)
    assert counts == {HandshakeOutcome.TURNED_AWAY: 3, HandshakeOutcome.GONE: 2, HandshakeOutcome.ADMITTED: 1}
    assert len([record for record in caplog.records if record.name == "dnsbound.listen"]) == 1


def test_octets_that_are_no_tls_get_an_alert(kind: str, world: World) -> None:
    at = door(world)

    async def main() -> bytes:
        async with serving(Recorder, at) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"\x16\x03\x01\x00\x10" + b"no client hello!")
            octets = await reader.read()
            await hang_up(writer)
            return octets

    octets = run(kind, main)
    assert octets[:1] == b"\x15"  # an alert record
    assert made == []
    assert outcomes(at) == {HandshakeOutcome.REFUSED: 1}


def test_an_end_without_close_notify_is_an_error(kind: str, world: World, tmp_path: Path) -> None:
    """What was received may be cut short by anybody: the application never takes it for a whole."""
    device, at = car(world), door(world)

    def client(port: int) -> None:
        context = at.stock_client(device, tmp_path)
        with socket.create_connection(("127.0.0.1", port)) as plain:
            tls = context.wrap_socket(plain, server_hostname=SERVER)
            tls.sendall(b"half of it")
            socket.socket.shutdown(tls, socket.SHUT_WR)
            while socket.socket.recv(tls, 4096):
                pass
            tls.close()

    async def main() -> None:
        async with serving(Recorder, at) as port:
            await asyncio.to_thread(client, port)
            await until(lambda: bool(made) and made[0].lost)

    run(kind, main)
    assert made[0].received == b"half of it"
    assert isinstance(made[0].error, TLSUnexpectedEOF)
    assert "eof" not in [event for event, _ in made[0].events]


def test_a_client_that_sends_and_leaves_before_the_verdict(kind: str, world: World, tmp_path: Path) -> None:
    """Its octets are delivered once it is admitted, however late that is; then its end."""
    device, at = car(world), door(world)
    world.fault(str(device.name), Fault.SLOW, seconds=0.4)

    async def main() -> None:
        async with serving(Recorder, at) as port:
            plain = await asyncio.to_thread(say_all, port, at.stock_client(device, tmp_path), b"a measurement")
            plain.close()
            assert made == []
            await until(lambda: bool(made) and made[0].lost)

    run(kind, main)
    assert made[0].received == b"a measurement"
    assert [event for event, _ in made[0].events] == ["made", "data", "eof", "lost"]


def test_a_reset_is_an_error_too(kind: str, world: World) -> None:
    device, at = car(world), door(world)

    async def main() -> None:
        async with serving(Recorder, at) as port:
            _, writer = await dial(port, at.client(device))
            await until(lambda: bool(made))
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            await until(lambda: made[0].lost)

    run(kind, main)
    assert isinstance(made[0].error, OSError)


def test_a_protocol_that_keeps_its_side_open_answers_after_the_clients_end(
    kind: str, world: World, tmp_path: Path
) -> None:
    """TLS 1.3 closes each direction by itself (RFC 9846 section 6.1)."""
    device, at = car(world), door(world)

    class Answering(Recorder):
        def eof_received(self) -> bool:
            asyncio.get_running_loop().call_later(0.1, self._answer)
            return True

        def _answer(self) -> None:
            self.transport.write(b"you sent %d octets" % len(self.received))
            self.transport.close()

    def client(port: int) -> bytes:
        with say_all(port, at.stock_client(device, tmp_path), b"all") as plain:
            answer = b""
            while octets := plain.recv(65536):
                answer += octets
            return answer

    async def main() -> bytes:
        async with serving(Answering, at) as port:
            return await asyncio.to_thread(client, port)

    # One application record with 17 octets of text, then the server's close_notify record.
    assert len(run(kind, main)) == (5 + 17 + 1 + 16) + (5 + 2 + 1 + 16)
    assert made[0].received == b"all"
    assert made[0].error is None


def test_two_peers_never_mix(kind: str, world: World) -> None:
    """Callbacks, and tasks and timers started by them, see the peer of their own connection."""
    devices = [car(world, f"car{number}") for number in range(6)]
    at = door(world)

    class Teller(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport: Any = transport

        def data_received(self, data: bytes) -> None:
            asyncio.get_running_loop().create_task(self._tell())

        async def _tell(self) -> None:
            await asyncio.sleep(0)
            asyncio.get_running_loop().call_soon(self._say)

        def _say(self) -> None:
            peer = verified_peer()
            assert peer is not None
            assert peer is self.transport.get_extra_info("verified_peer")
            assert peer == self.transport.get_extra_info("ssl_object").verified_peer()
            self.transport.write(f"{peer.name}\n".encode())

    async def talk(port: int, device: Any) -> None:
        reader, writer = await dial(port, at.client(device))
        for _ in range(20):
            writer.write(b"who am I?")
            assert await reader.readline() == f"{device.name}\n".encode()
        await hang_up(writer)

    async def main() -> None:
        async with serving(Teller, at) as port:
            await asyncio.gather(*(talk(port, device) for device in devices for _ in range(2)))
            with pytest.raises(Misuse):
                verified_peer()

    run(kind, main)
    assert at.reasons == ["admitted"] * 12
