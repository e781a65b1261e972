"""What a client could have a QUIC door work for, keep or write down beyond what it sends itself."""

import asyncio
import logging
from collections.abc import Callable, Iterator

import pytest
from aioquic.buffer import encode_uint_var
from aioquic.tls import Epoch

from adversary.hostile_quic import Meeting, Stranger, meeting
from adversary.test_quic_door import initial, run
from dnsbound import limits
from dnsbound.edge.quic_connection import QuicLimits
from dnsbound.edge.quic_served import ServedQuic

INTERNAL_ERROR, CRYPTO_BUFFER = 0x1, 0xD
PAYLOAD = 1100


def packets(frame: Callable[[int], bytes]) -> Iterator[bytes]:
    """Payloads full of frames of one octet each, every other octet missing."""
    payload = b""
    for offset in range(3, 60_000, 2):
        payload += frame(offset)
        if len(payload) > PAYLOAD:
            yield payload
            payload = b""


def sealed_initial(stranger: Stranger, payload: bytes, number: int) -> bytes:
    engine = stranger.engine
    to, own, token = engine._peer_cid.cid, engine.host_cid, engine._peer_token
    header = b"\xc3\x00\x00\x00\x01" + bytes((len(to),)) + to + bytes((len(own),)) + own
    header += encode_uint_var(len(token)) + token
    payload = payload.ljust(PAYLOAD + 20, b"\x00")
    header += (0x4000 | len(payload) + 16 + 4).to_bytes(2, "big") + number.to_bytes(4, "big")
    return bytes(engine._cryptos[Epoch.INITIAL].encrypt_packet(header, payload, number))


def sealed(stranger: Stranger, payload: bytes, number: int) -> bytes:
    header = b"\x43" + stranger.engine._peer_cid.cid + number.to_bytes(4, "big")
    return bytes(stranger.engine._cryptos[Epoch.ONE_RTT].encrypt_packet(header, payload, number))


async def greeted(met: Meeting, stranger: Stranger) -> None:
    """It has its token, and has not said anything under it."""
    stranger.engine.connect(("203.0.113.1", 443), met.loop.time())
    met.send(stranger)
    await met.answer(stranger)
    stranger.engine.datagrams_to_send(met.loop.time())


def test_holes_in_a_hello_are_not_worth_seconds() -> None:
    """RFC 9000 section 21.7: each piece behind a hole costs work for each frame that follows."""

    async def main() -> None:
        async with meeting() as met:
            stranger = met.stranger()
            await greeted(met, stranger)
            sent = 0
            for number, payload in enumerate(packets(lambda at: b"\x06" + encode_uint_var(at) + b"\x01x"), 1000):
                if stranger.end is None:
                    sent += 1
                    met.put(sealed_initial(stranger, payload, number), stranger.address)
                    await met.answer(stranger)
            assert sent == 1
            assert stranger.error_code == CRYPTO_BUFFER

    run(main)


def test_holes_in_a_stream_are_not_worth_seconds() -> None:
    async def main() -> None:
        async with meeting() as met:
            stranger = met.stranger()
            await met.carry(stranger)
            sent = 0
            for number, payload in enumerate(packets(lambda at: b"\x0e\x00" + encode_uint_var(at) + b"\x01x"), 5000):
                if stranger.end is None:
                    sent += 1
                    met.put(sealed(stranger, payload, number), stranger.address)
                    await met.answer(stranger)
            assert sent <= 1 + limits.QUIC_STREAM_HOLES.default // (PAYLOAD // 8)
            assert stranger.error_code == INTERNAL_ERROR

    run(main)


@pytest.mark.parametrize("octets", [b"", b"forget it"])
def test_streams_that_are_taken_back_wait_for_the_program(octets: bytes) -> None:
    """As over HTTP/2 (CVE-2023-44487): a stream that is over makes no room while nobody has looked at it."""

    async def main() -> None:
        async with meeting(bounds=QuicLimits(streams=4)) as met:
            looks, taken = asyncio.Event(), 0

            async def handle(connection: ServedQuic) -> None:
                nonlocal taken
                met.admitted.append(connection)
                await looks.wait()
                async for _, writer in connection:
                    taken += 1
                    writer.close()

            met.server._handler = handle
            stranger = met.stranger()
            await met.carry(stranger)
            for _ in range(100):
                stream_id = stranger.engine.get_next_available_stream_id()
                stranger.engine.send_stream_data(stream_id, octets, end_stream=True)
                stranger.engine.stop_stream(stream_id, 0)
                await met.carry(stranger)
            (served,) = met.admitted
            assert len(served._arrived) == 4
            assert len(served._streams) <= 4
            looks.set()
            while taken < 100 and stranger.end is None:  # acknowledgements take their time
                await met.carry(stranger)
                await asyncio.sleep(0.01)
            assert (taken, stranger.end) == (100, None)

    run(main)


def test_strangers_write_nothing_into_a_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def main() -> None:
        async with meeting() as met:
            stranger = met.stranger()
            await greeted(met, stranger)
            met.put(sealed_initial(stranger, b"\x1c\x00\x00\x05\x1b[2J\n", 1000), stranger.address)
            other = met.stranger(port=4712)
            await greeted(met, other)
            met.put(sealed_initial(other, b"\x21", 1000), other.address)
            assert len(met.server) == 2
            assert all(served._is_down for served in met.server._all)

    run(main)
    assert caplog.records == []


def test_the_words_of_a_peer_are_quoted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "quic")

    async def main() -> None:
        async with meeting() as met:
            stranger = met.stranger()
            await met.carry(stranger)
            stranger.engine.close(error_code=1, reason_phrase="a\nb")
            met.send(stranger)

    run(main)
    said = [record.getMessage() for record in caplog.records if "close received" in record.getMessage()]
    assert len(said) == 1
    assert "'a\\nb'" in said[0]
    assert all(record.levelno == logging.DEBUG for record in caplog.records if record.name == "quic")


def test_a_token_of_another_server_is_none() -> None:
    """RFC 9000 section 8.1.3: the client is asked for its address again, and is not left without a word."""

    async def main() -> None:
        async with meeting() as met:
            met.put(initial(b"somebody else's"), ("192.0.2.54", 4711))
            ((answer, address),) = met.network.sent
            assert address == ("192.0.2.54", 4711)
            assert answer[0] & 0xF0 == 0xF0
            assert len(met.server) == 0

    run(main)


def test_a_handler_that_fails_at_once_ends_its_connection() -> None:
    failures: list[object] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context["exception"]))
        async with meeting() as met:

            def handle(_: ServedQuic) -> None:
                raise RuntimeError("no database")

            met.server._handler = handle
            stranger = met.stranger()
            while stranger.end is None:
                await met.carry(stranger)
                await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(main(), 30))
    assert [str(failure) for failure in failures] == ["no database"]


def test_a_client_that_answers_late_does_not_keep_its_connection() -> None:
    """The time a connection is closing for grows with the round trips that a client shows."""

    async def main() -> None:
        async with meeting() as met:
            stranger = met.stranger()
            await met.carry(stranger)
            (served,) = met.admitted
            served._engine._loss._rtt_initialized, served._engine._loss._rtt_smoothed = True, 60.0
            assert served._engine._loss.get_probe_timeout() > 60
            before = met.loop.time()
            served.close()
            await served.wait_closed()
            assert met.loop.time() - before < 3 * limits.LINGER_SECONDS.default
            assert len(met.server) == 0

    run(main)
