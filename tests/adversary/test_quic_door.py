"""What strangers can and cannot do at a QUIC door before anybody has judged them, and to others."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from aioquic.quic.events import HandshakeCompleted
from hypothesis import given, settings
from hypothesis import strategies as st

from adversary.hostile_quic import Meeting, SlowKeeper, Stranger, meeting, quic_client
from dnsbound.edge.handshake_slots import HandshakeOutcome
from dnsbound.edge.quic_connection import QuicLimits
from dnsbound.errors import Reason
from machines.doors import until
from machines.shim_pairs import Doorkeeper, refusing

CRYPTO_ERROR = 0x100
FLOW_CONTROL, STREAM_LIMIT, PROTOCOL_VIOLATION, CRYPTO_BUFFER = 0x3, 0x4, 0xA, 0xD
HERE = ("192.0.2.54", 4711)
INITIAL, HANDSHAKE, APPLICATION = 0, 2, 3
PATIENCE = 30.0


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """On a fresh loop; whatever one of its callbacks raised fails the test."""
    unhandled: list[Any] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
        await asyncio.wait_for(main(), PATIENCE)

    asyncio.run(watched())
    assert unhandled == []


def long_header(kind: int, *, version: int = 1, destination: bytes = b"12345678", rest: bytes = b"") -> bytes:
    """RFC 9000 section 17.2; kind: 0 Initial, 1 0-RTT, 2 Handshake, 3 Retry."""
    first = bytes((0xC0 | kind << 4,)) + version.to_bytes(4, "big")
    return first + bytes((len(destination),)) + destination + b"\x04mine" + rest


def initial(token: bytes = b"", *, octets: int = 1200, version: int = 1, destination: bytes = b"12345678") -> bytes:
    start = long_header(0, version=version, destination=destination, rest=bytes((len(token),)) + token)
    left = octets - len(start) - 2
    return start + (0x4000 | left).to_bytes(2, "big") + bytes(left)


# --- before an address is known


def test_initials_without_a_token_leave_nothing_behind() -> None:
    async def main() -> None:
        async with meeting() as met:
            for number in range(2000):
                met.put(initial(destination=number.to_bytes(8, "big")), (f"198.51.{number % 100}.7", number))
            assert len(met.server) == 0
            assert met.server._by_name == {}
            assert len(met.network.sent) == 2000
            assert all(len(datagram) < 1200 // 3 for datagram, _ in met.network.sent)
            assert met.server._context.handshake_slots.unfinished == 0

    run(main)


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\x00",
        bytes(1500),
        b"\xff" * 1500,
        initial(octets=1199),
        initial(octets=100),
        b"\x40" + bytes(range(256)) * 5,
        long_header(1, rest=b"\x44\xb0" + bytes(1200)),
        long_header(2, rest=b"\x44\xb0" + bytes(1200)),
        long_header(3, rest=bytes(1200)),
        long_header(0, version=0, rest=bytes(1200)),
        long_header(0, rest=b"\xff" * 1200),
        b"\xc0\x00\x00\x00\x01\xff" + bytes(1300),
    ],
    ids=lambda datagram: datagram[:6].hex() + f"-{len(datagram)}",
)
def test_what_gets_no_answer(datagram: bytes) -> None:
    async def main() -> None:
        async with meeting() as met:
            met.put(datagram, HERE)
            assert met.network.sent == []
            assert len(met.server) == 0

    run(main)


@pytest.mark.parametrize("version", [2, 0x6B3343CF, 0x0A0A0A0A, 0xFF00001D])
def test_another_version_is_told_ours(version: int) -> None:
    async def main() -> None:
        async with meeting() as met:
            met.put(initial(version=version), HERE)
            ((answer, address),) = met.network.sent
            assert address == HERE
            assert answer[1:5] == bytes(4)
            assert answer[5:] == b"\x04mine" + b"\x0812345678" + (1).to_bytes(4, "big")
            assert len(met.server) == 0

    run(main)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=1500), st.builds(initial, st.binary(max_size=60))), max_size=8))
def test_no_octets_do_more_than_ask_for_a_retry(datagrams: list[bytes]) -> None:
    async def main() -> None:
        async with meeting() as met:
            for datagram in datagrams:
                met.put(datagram, HERE)
            assert len(met.server) == 0
            assert met.network.octets <= met.received

    run(main)


async def with_token(met: Meeting, stranger: Stranger) -> list[bytes]:
    """A client's Initial that shows its token, which nobody has seen yet; nothing when it got no token."""
    stranger.engine.connect(("203.0.113.1", 443), met.loop.time())
    met.send(stranger)
    await met.answer(stranger)
    return [datagram for datagram, _ in stranger.engine.datagrams_to_send(met.loop.time())]


def test_a_token_is_of_one_address_and_one_name() -> None:
    async def main() -> None:
        async with meeting() as met:
            datagram, *_ = await with_token(met, met.stranger())
            met.put(datagram, ("192.0.2.55", 4711))
            met.put(datagram, ("192.0.2.54", 4712))
            met.put(datagram[:6] + b"otherone" + datagram[14:], HERE)
            assert len(met.server) == 0
            met.put(datagram, HERE)
            assert len(met.server) == 1

    run(main)


def test_a_copy_of_a_first_datagram_begins_nothing_new() -> None:
    async def main() -> None:
        async with meeting() as met:
            datagram, *_ = await with_token(met, met.stranger())
            for _ in range(20):
                met.put(datagram, HERE)
            assert len(met.server) == 1

    run(main)


def test_who_shows_a_token_and_says_nothing_is_counted_and_let_go() -> None:
    """Slots by source and in all, as at every door; and the deadline of the handshake gives them back."""

    async def main() -> None:
        async with meeting(handshakes_at_once=8, handshakes_per_source=2, handshake_seconds=5) as met:
            for network in range(6):
                for port in range(4):
                    stranger = met.stranger(f"198.51.{network}.7", port + 1)
                    for datagram in await with_token(met, stranger):
                        met.put(datagram, stranger.address)
            assert len(met.server) == 8
            assert set(met.server._of_source.values()) == {2}
            assert met.server.turned_away >= 12
            slots = met.server._context.handshake_slots
            assert slots.unfinished == 8
            await until(lambda: len(met.server) == 0)
            assert slots.unfinished == 0
            assert slots.counts()[HandshakeOutcome.TIMED_OUT] == 8

    run(main)


# --- before the verdict


def test_streams_before_the_verdict_end_the_connection() -> None:
    """A client that ignores its limits: nothing of what it sends gets anywhere."""

    async def main() -> None:
        keeper = SlowKeeper()
        async with meeting(keeper) as met:
            stranger = met.stranger()
            await met.carry(stranger)
            assert stranger.handshake.is_complete
            assert len(keeper.asked) == 1
            stranger.engine.forget_limits()
            stranger.engine.send_stream_data(0, b"let me in" * 1000)
            await met.carry(stranger)
            assert stranger.error_code == STREAM_LIMIT
            keeper.may_speak.set()
            await asyncio.sleep(0.05)
            assert met.admitted == []
            assert met.heard == []

    run(main)


def test_one_way_streams_end_the_connection_even_after_it() -> None:
    async def main() -> None:
        async with meeting() as met:
            stranger = met.stranger()
            await met.carry(stranger)
            assert len(met.admitted) == 1
            stranger.engine.forget_limits()
            stranger.engine.send_stream_data(2, b"one way")
            await met.carry(stranger)
            assert stranger.error_code == STREAM_LIMIT

    run(main)


def test_more_octets_than_were_granted_end_the_connection() -> None:
    async def main() -> None:
        async with meeting(bounds=QuicLimits(stream_octets=1024, connection_octets=1024)) as met:
            stranger = met.stranger()
            await met.carry(stranger)
            stranger.engine.forget_limits()
            stranger.engine.send_stream_data(0, bytes(100_000))
            stranger.engine._streams[0].max_stream_data_remote = 1 << 30
            await met.carry(stranger)
            assert stranger.error_code == FLOW_CONTROL

    run(main)


def test_a_client_whose_verdict_takes_long_may_not_talk_for_ever() -> None:
    """Pings, acknowledgements, path challenges: all of it counts."""

    async def main() -> None:
        keeper = SlowKeeper()
        async with meeting(keeper, bounds=QuicLimits(early_octets=65_536)) as met:
            stranger, other = met.stranger(), met.stranger("198.51.100.9")
            await met.carry(stranger)
            await met.carry(other)
            assert len(keeper.asked) == 2
            before = stranger.octets
            while stranger.end is None and stranger.octets < 1_000_000:
                stranger.engine.send_ping(1)
                await met.carry(stranger)
            assert stranger.octets - before < 2 * 65_536
            assert stranger.end is not None
            keeper.may_speak.set()
            await met.carry(other)
            assert [served.address for served in met.admitted] == [other.address]

    run(main)


def test_junk_under_the_name_of_a_connection_ends_only_its_allowance() -> None:
    """Whoever sees connection ids can spend a client's allowance before the verdict, and nothing after it."""

    async def main() -> None:
        async with meeting() as met:
            stranger = met.stranger()
            await met.carry(stranger)
            (served,) = met.admitted
            chance = random.Random(7)
            for _ in range(500):
                name = chance.choice(sorted(served.names))
                met.put(b"\x40" + name + chance.randbytes(chance.randrange(1, 1400)), ("198.51.100.66", 666))
                met.put(initial(destination=name), ("198.51.100.66", 666))
            stranger.engine.send_stream_data(0, b"still here", end_stream=True)
            await met.carry(stranger)
            await until(lambda: bool(met.heard))
            assert met.heard == [b"still here"]
            assert met.network.taken(("198.51.100.66", 666)) == []

    run(main)


@pytest.mark.parametrize(("level", "offset"), [(INITIAL, 70_000), (INITIAL, 1 << 40), (HANDSHAKE, 70_000)])
def test_a_hole_in_the_handshake_is_no_memory(level: int, offset: int) -> None:
    async def main() -> None:
        async with meeting() as met:
            stranger = met.stranger()
            if level == HANDSHAKE:
                stranger.engine.connect(("203.0.113.1", 443), met.loop.time())
                for _ in range(2):
                    met.send(stranger)
                    await met.answer(stranger)
                stranger.engine.say(level, offset, b"far away")
            else:
                datagram, *_ = await with_token(met, stranger)
                met.put(datagram, HERE)
                stranger.engine.say(level, offset, b"far away")
            await met.carry(stranger)
            assert stranger.error_code == CRYPTO_BUFFER
            assert met.admitted == []

    run(main)


def test_a_handshake_message_after_the_handshake() -> None:
    """RFC 9001 section 6: no KeyUpdate; and a client has nothing else to say."""

    async def main() -> None:
        async with meeting() as met:
            stranger = met.stranger()
            await met.carry(stranger)
            assert len(met.admitted) == 1
            stranger.engine.say(APPLICATION, 0, b"\x18\x00\x00\x01\x00")
            await met.carry(stranger)
            assert stranger.error_code == CRYPTO_ERROR + 10

    run(main)


def with_session_id(level: int, octets: bytes) -> bytes:
    if level != INITIAL:
        return octets
    body = octets[4:38] + b"\x20" + bytes(32) + octets[39:]
    return octets[:1] + len(body).to_bytes(3, "big") + body


@pytest.mark.parametrize(
    ("tamper", "code"),
    [
        (with_session_id, PROTOCOL_VIOLATION),
        (lambda level, octets: octets + b"\x14\x00\x00\x00" if level == INITIAL else octets, CRYPTO_ERROR + 10),
        (lambda level, octets: bytes(len(octets)) if level == INITIAL else octets, CRYPTO_ERROR + 10),
        (lambda level, octets: octets[:-1] + b"x" if level == HANDSHAKE else octets, CRYPTO_ERROR + 51),
        (lambda level, octets: b"\x18\x00\x00\x01\x00" if level == HANDSHAKE else octets, CRYPTO_ERROR + 10),
    ],
    ids=["session id", "octets left over", "no hello", "a Finished that is wrong", "a KeyUpdate"],
)
def test_handshakes_that_are_none(tamper: Callable[[int, bytes], bytes], code: int) -> None:
    async def main() -> None:
        keeper = Doorkeeper()
        async with meeting(keeper) as met:
            stranger = met.stranger(tamper=tamper)
            await met.carry(stranger)
            assert stranger.error_code == code
            assert keeper.asked == []
            assert met.admitted == []

    run(main)


def test_a_hello_without_transport_parameters() -> None:
    """RFC 9001 section 8.2."""

    async def main() -> None:
        async with meeting() as met:
            stranger = met.stranger(tamper=without_parameters)
            await met.carry(stranger)
            assert stranger.error_code == CRYPTO_ERROR + 109
            assert met.admitted == []

    run(main)


def without_parameters(level: int, octets: bytes) -> bytes:
    """quic_transport_parameters under a number nobody knows."""
    if level != INITIAL:
        return octets
    # Behind header, version, random, session id, cipher suites and compression stands the length of the extensions.
    place = 4 + 2 + 32
    place += 1 + octets[place]
    place += 2 + int.from_bytes(octets[place : place + 2], "big")
    place += 1 + octets[place] + 2
    while octets[place : place + 2] != b"\x00\x39":
        place += 4 + int.from_bytes(octets[place + 2 : place + 4], "big")
    return octets[:place] + b"\xfe\xfe" + octets[place + 2 :]


def test_a_refused_client_that_goes_on_is_told_again_and_not_for_ever() -> None:
    async def main() -> None:
        keeper = Doorkeeper(judge=refusing(Reason.NOT_PERMITTED))
        async with meeting(keeper) as met:
            stranger = met.stranger()
            await met.carry(stranger, rounds=2)
            lost = 0
            for _ in range(60):
                stranger.engine.send_ping(1)
                met.send(stranger)
                await asyncio.sleep(0)
                lost += len(met.network.taken(stranger.address))
            assert 1 <= lost <= 30
            await until(lambda: len(met.server) == 0)
            assert met.admitted == []

    run(main)


def test_a_refusal_is_the_alert_of_all_refusals() -> None:
    async def main() -> None:
        keeper = Doorkeeper(judge=refusing(Reason.NO_TLSA))
        async with meeting(keeper) as met:
            stranger = met.stranger()
            await met.carry(stranger)
            await met.until_ended(stranger)
            assert stranger.error_code == CRYPTO_ERROR + 40
            assert stranger.end is not None
            assert stranger.end.reason_phrase == ""
            # Its own handshake was complete before: TLS 1.3 knows no other order.
            assert any(isinstance(event, HandshakeCompleted) for event in stranger.events)

    run(main)


def test_a_client_killed_in_the_middle_gives_its_slot_back() -> None:
    async def main() -> None:
        async with meeting(handshake_seconds=1) as met:
            stranger = met.stranger()
            stranger.engine.connect(("203.0.113.1", 443), met.loop.time())
            for _ in range(2):
                met.send(stranger)
                await met.answer(stranger)
            slots = met.server._context.handshake_slots
            assert slots.unfinished == 1
            await until(lambda: slots.unfinished == 0)
            assert slots.counts()[HandshakeOutcome.TIMED_OUT] == 1
            await until(lambda: len(met.server) == 0)

    run(main)


def test_answers_are_no_more_than_three_times_the_question() -> None:
    """RFC 9000 section 8.1, though a Retry has shown the address by then."""

    async def main() -> None:
        async with meeting(handshake_seconds=1) as met:
            stranger = met.stranger(context=quic_client())
            datagram, *_ = await with_token(met, stranger)
            met.put(datagram, HERE)
            await until(lambda: len(met.server) == 0)
            assert met.network.octets <= 3 * met.received

    run(main)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    frames=st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=4),
    in_time=st.booleans(),
)
def test_any_frames_end_one_connection_at_most(seed: int, frames: list[bytes], in_time: bool) -> None:
    """Octets that are sealed rightly and mean anything: they reach the engine's frame handlers."""

    async def main() -> None:
        keeper = SlowKeeper()
        if in_time:
            keeper.may_speak.set()
        async with meeting(keeper) as met:
            stranger, other = met.stranger(), met.stranger("198.51.100.9")
            await met.carry(stranger)
            await met.carry(other)
            crypto = stranger.engine._cryptos[next(at for at in stranger.engine._cryptos if at.value == APPLICATION)]
            name = stranger.engine._peer_cid.cid
            for number, payload in enumerate(frames, 1000):
                header = b"\x43" + name + number.to_bytes(4, "big")
                met.put(crypto.encrypt_packet(header, payload + bytes(16), number), stranger.address)
            await asyncio.sleep(0)
            keeper.may_speak.set()
            other.engine.send_stream_data(0, b"here", end_stream=True)
            for _ in range(200):
                await met.carry(other)
                if b"here" in met.heard:
                    break
                await asyncio.sleep(0.005)
            assert b"here" in met.heard

    run(main)
