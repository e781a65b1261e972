"""What our DTLS client makes of a server that does not mean well: an error of ours, by its deadline, and no more
datagrams than it was sent.
"""

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

import dnsbound
from adversary.hostile_client import ALERT, APPLICATION_DATA, HANDSHAKE, SERVER_HELLO, extension, vector
from adversary.hostile_client_12 import EXTENDED_MASTER_SECRET, RENEGOTIATION_INFO, SERVER_HELLO_DONE
from adversary.hostile_datagrams import HELLO_VERIFY_REQUEST, fragment, record
from dnsbound import Context
from dnsbound.edge.datagram_blocking import open_datagram_connection_blocking
from dnsbound.errors import DnsboundError
from machines.shim_pairs import credential

HOST = "server.example"
SECONDS = 0.6
FATAL, HANDSHAKE_FAILURE = 2, 40
Answer = Callable[[bytes, int], list[bytes]]
"""From a datagram of the client, and how many came before it, to the datagrams that answer it."""


def verify_request(cookie: bytes, number: int) -> bytes:
    body = b"\xfe\xff" + vector(cookie, 1)
    return record(HANDSHAKE, 0, number, fragment(HELLO_VERIFY_REQUEST, 0, len(body), 0, body), version=0xFEFF)


def hello(number: int, *, version: bytes = b"\xfe\xfd", suite: bytes = b"\xc0\x2b", more: bytes = b"") -> bytes:
    extensions = extension(EXTENDED_MASTER_SECRET, b"") + extension(RENEGOTIATION_INFO, b"\0") + more
    body = version + os.urandom(32) + b"\0" + suite + b"\0" + vector(extensions, 2)
    return record(HANDSHAKE, 0, number, fragment(SERVER_HELLO, number, len(body), 0, body))


ANSWERS: dict[str, Answer] = {
    "nothing": lambda _datagram, _number: [],
    "a cookie for each cookie": lambda _datagram, number: [verify_request(os.urandom(16), number)],
    "the longest cookies": lambda _datagram, number: [verify_request(os.urandom(255), number)],
    "empty cookies": lambda _datagram, number: [verify_request(b"", number)],
    "its own datagrams": lambda datagram, _number: [datagram],
    "noise": lambda _datagram, _number: [os.urandom(size) for size in (1, 13, 25, 300, 1400)],
    "empty datagrams": lambda _datagram, _number: [b"", b"", b""],
    "data": lambda _datagram, number: [record(APPLICATION_DATA, 0, number, b"welcome"), record(23, 1, 0, bytes(60))],
    "an alert": lambda _datagram, number: [record(ALERT, 0, number, bytes((FATAL, HANDSHAKE_FAILURE)))],
    "warnings": lambda _datagram, number: [record(ALERT, 0, 100 * number + at, b"\x01\x5a") for at in range(20)],
    "DTLS 1.0": lambda _datagram, number: [hello(number, version=b"\xfe\xff")],
    "a suite nobody offered": lambda _datagram, number: [hello(number, suite=b"\0\0")],
    "an extension nobody offered": lambda _datagram, number: [hello(number, more=extension(0xFFAA, b""))],
    "a certificate type nobody offered": lambda _datagram, number: [hello(number, more=extension(20, b"\x02"))],
    "nothing behind its hello": lambda _datagram, number: [hello(number)],
    "a hello and its end": lambda _datagram, number: [
        hello(0) + record(HANDSHAKE, 0, number + 1, fragment(SERVER_HELLO_DONE, 1, 0, 0, b""))
    ],
    "a message that never ends": lambda _datagram, number: [
        record(HANDSHAKE, 0, number, fragment(SERVER_HELLO, 0, 0xFFFFFF, 0, bytes(1000)))
    ],
}


class Exchange:
    """What went to and fro."""

    def __init__(self) -> None:
        self.heard = self.said = 0


@contextmanager
def hostile(answer: Answer) -> Iterator[tuple[int, Exchange]]:
    exchange, stop = Exchange(), threading.Event()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(0.05)

        def serve() -> None:
            while not stop.is_set():
                try:
                    datagram, address = sock.recvfrom(65_536)
                except TimeoutError:
                    continue
                for reply in answer(datagram, exchange.heard):
                    sock.sendto(reply, address)
                    exchange.said += 1
                exchange.heard += 1

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield sock.getsockname()[1], exchange
        finally:
            stop.set()
            thread.join(5)
            assert not thread.is_alive()


def context() -> Context:
    return Context.client(credential(), datagram=True, clear_name_to=[HOST])


def blocking(port: int) -> None:
    open_datagram_connection_blocking("127.0.0.1", port, context=context(), server_hostname=HOST, seconds=SECONDS)


def on_a_loop(port: int) -> None:
    async def opened() -> None:
        await dnsbound.open_datagram_connection(
            "127.0.0.1", port, context=context(), server_hostname=HOST, seconds=SECONDS
        )

    asyncio.run(opened())


@pytest.mark.parametrize("case", ANSWERS)
@pytest.mark.parametrize("way", [blocking, on_a_loop])
def test_it_comes_to_nothing_by_the_deadline(case: str, way: Callable[[int], None]) -> None:
    with hostile(ANSWERS[case]) as (port, exchange):
        began = time.monotonic()
        with pytest.raises((OSError, DnsboundError)):
            way(port)
        assert time.monotonic() - began < SECONDS + 3
    repeated = 3  # by its own timer, on a slow machine
    assert exchange.heard <= exchange.said + 1 + repeated
