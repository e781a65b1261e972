"""A hostile client of DTLS at a `datagram_door`: its flights, honest and not, and what strangers send."""

import random
import time
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric import ec

from adversary.datagram_door import GREETING, DatagramDoor
from adversary.hostile_client import (
    ALERT,
    APPLICATION_DATA,
    CERTIFICATE,
    CLIENT_HELLO,
    FINISHED,
    HANDSHAKE,
    client_name,
    extension,
)
from adversary.hostile_datagrams import (
    DatagramSession,
    HostileDatagramClient,
    fragment,
    record,
)
from dnsbound.iana import DANE_CLIENTID
from machines.native_pairs import make_identity

FATAL = 2
UNEXPECTED_MESSAGE, HANDSHAKE_FAILURE, DECRYPT_ERROR = 10, 40, 51
NAME = b"car54._device.cars.example"
OTHER = b"car55._device.cars.example"
OTHERS = make_identity("other.example")
ELSEWHERE = "127.0.7.1"
"""A loopback address of another network than 127.0.0.1's."""


def saying(name: bytes | None = NAME, *, raw: bool = False, ems: bool = True) -> HostileDatagramClient:
    extensions = b"" if name is None else extension(DANE_CLIENTID, client_name(name))
    return HostileDatagramClient(extra_extensions=extensions, raw_public_key=raw, extended_master_secret=ems)


def key(door: DatagramDoor) -> ec.EllipticCurvePrivateKey:
    own = door.car.credential.private_key
    assert isinstance(own, ec.EllipticCurvePrivateKey)
    return own


HONEST = "certificate exchange signature change finished"


def flight(door: DatagramDoor, client: HostileDatagramClient, order: str = HONEST) -> list[bytes]:
    """The client's last flight, a datagram for each message, made in this order."""
    credential = door.car.credential
    raw = client.raw_public_key
    made: dict[str, Callable[[], bytes]] = {
        "certificate": lambda: (
            client.raw_key(credential.presented.spki) if raw else client.certificate(credential.chain)
        ),
        "nothing": lambda: client.certificate([]),
        "other": lambda: client.raw_key(OTHERS.spki) if raw else client.certificate(OTHERS.chain),
        "exchange": client.client_key_exchange,
        "signature": lambda: client.certificate_verify(key(door)),
        "damaged": lambda: client.certificate_verify(key(door), damaged=True),
        "foreign": lambda: client.certificate_verify(ec.generate_private_key(ec.SECP256R1())),
        "change": client.change_cipher_spec,
        "finished": client.finished,
        "wrong": lambda: client.finished(damaged=True),
        "data": lambda: client.data(b"report"),
    }
    return [made[part]() for part in order.split()]


def until(session: DatagramSession, condition: Callable[[], object]) -> None:
    """Receive until it holds; fails when nothing comes any more."""
    while not condition():
        assert session.receive() is not None, "nothing more comes"


def admitted(door: DatagramDoor, session: DatagramSession) -> HostileDatagramClient:
    client = session.client
    session.greet()
    session.send(*flight(door, client))
    until(session, lambda: client.application_data)
    assert client.server_finished
    assert client.application_data == GREETING
    return client


def eventually(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def strangers() -> list[bytes]:
    """What is no hello of an address that nothing is known of."""
    rng = random.Random(7)
    body = HostileDatagramClient().hello_body()
    hello = fragment(CLIENT_HELLO, 0, len(body), 0, body)
    return [
        b"",
        b"\x16",
        rng.randbytes(1400),
        record(HANDSHAKE, 1, 0, hello),
        record(HANDSHAKE, 0, 0, hello)[:-1],
        record(HANDSHAKE, 0, 0, fragment(CLIENT_HELLO, 0, len(body), 0, body[:35])),
        record(HANDSHAKE, 0, 0, fragment(CLIENT_HELLO, 0, len(body), 1, body[1:])),
        record(HANDSHAKE, 0, 0, fragment(CERTIFICATE, 2, 100, 0, bytes(100))),
        record(HANDSHAKE, 0, 0, fragment(FINISHED, 5, 12, 0, bytes(12))),
        record(ALERT, 0, 0, bytes((FATAL, HANDSHAKE_FAILURE))),
        record(ALERT, 0, 0, b"\x01\0"),
        record(APPLICATION_DATA, 1, 5, rng.randbytes(100)),
        record(APPLICATION_DATA, 0, 5, b"report"),
    ]
