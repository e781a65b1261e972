"""Answers to a request after the handshake that no library would give, at a door that asks late."""

import asyncio
import contextlib
import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from adversary.door import GREETING, Door
from adversary.hostile_client import (
    CERTIFICATE,
    CERTIFICATE_REQUEST,
    CERTIFICATE_VERIFY,
    ECDSA_SECP256R1_SHA256,
    FINISHED,
    HANDSHAKE,
    Entry,
    HostileClient,
    Session,
    client_name,
    extension,
    message,
    vector,
)
from adversary.key_schedule import finished
from dnsbound import Reason
from dnsbound.iana import DANE_CLIENTID
from dnsbound.testing import World
from dnsbound.testing.background_loop import BackgroundLoop

POST_HANDSHAKE_AUTH = 49
UNEXPECTED_MESSAGE, HANDSHAKE_FAILURE, ILLEGAL_PARAMETER, DECODE_ERROR, DECRYPT_ERROR = 10, 40, 47, 50, 51


class LateDoor(Door):
    """Greets, then asks every client late, and says who it is."""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GREETING)
        with contextlib.suppress(OSError):
            peer = await writer.transport.authenticate_client(seconds=5.0)  # type: ignore[attr-defined]
            writer.write(f"hello {peer.name if peer else 'nobody'}\n".encode())
            self.delivered.append(await reader.read(1000))
        writer.close()


@pytest.fixture
def door(world: World) -> Iterator[Door]:
    with BackgroundLoop("door") as loop:
        opened = LateDoor(world, loop, policy="optional", post_handshake=True)
        try:
            yield opened
        finally:
            loop.run(opened.close())


@dataclass
class LateClient(HostileClient):
    """Offers to authenticate later, and does it as the test says."""

    extra_extensions: bytes = field(default_factory=lambda: extension(POST_HANDSHAKE_AUTH, b""))

    def enter(self) -> bytes:
        """The end of a handshake in which nothing was asked for."""
        record = self.finished()
        self._late = self._transcript
        return record

    @property
    def request(self) -> bytes | None:
        body = self.handshake.get(CERTIFICATE_REQUEST)
        return None if body is None else message(CERTIFICATE_REQUEST, body)

    @property
    def context(self) -> bytes:
        assert self.request is not None
        return self.request[5 : 5 + self.request[4]]

    def late_certificate(self, entries: Iterable[Entry], *, context: bytes | None = None) -> bytes:
        assert self.request is not None
        self._late += self.request
        shown = vector(self.context if context is None else context, 1)
        return self._late_record(message(CERTIFICATE, shown + vector(b"".join(e.to_wire() for e in entries), 3)))

    def late_verify(self, key: Any, *, damaged: bool = False) -> bytes:
        content = b" " * 64 + b"TLS 1.3, client CertificateVerify\0" + hashlib.sha256(self._late).digest()
        signature = key.sign(content + (b"!" if damaged else b""), ec.ECDSA(hashes.SHA256()))
        return self._late_record(
            message(CERTIFICATE_VERIFY, struct.pack("!H", ECDSA_SECP256R1_SHA256) + vector(signature, 2))
        )

    def late_finished(self, *, damaged: bool = False) -> bytes:
        code = finished(self._application_secret_client, hashlib.sha256(self._late).digest())
        return self._late_record(message(FINISHED, bytes(len(code)) if damaged else code))

    def _late_record(self, whole: bytes) -> bytes:
        assert self._send is not None
        self._late += whole
        return self._send.seal(HANDSHAKE, whole)


@contextlib.contextmanager
def asked(door: Door) -> Iterator[tuple[Session, LateClient]]:
    """A client that is in, as nobody, and has been asked."""
    client = LateClient()
    with Session(door.address, client) as session:
        session.handshake()
        assert client.request is None
        session.send(client.enter())
        while client.request is None:
            assert not client.closed, client.alerts
            session.receive()
        assert client.application_data == GREETING
        assert len(client.context) == 32
        yield session, client


def shown(door: Door, name: bytes | None = None) -> list[Entry]:
    chain = door.car.credential.chain
    said = client_name(str(door.car.name).encode() if name is None else name)
    return [Entry(chain[0], extension(DANE_CLIENTID, said))]


def until_greeted(session: Session, client: LateClient) -> None:
    while b"hello" not in client.application_data:
        assert not client.closed, client.alerts
        session.receive()


def test_an_honest_answer(door: Door) -> None:
    with asked(door) as (session, client):
        key = door.car.credential.private_key
        session.send(client.late_certificate(shown(door)), client.late_verify(key), client.late_finished())
        until_greeted(session, client)
        assert client.application_data == GREETING + f"hello {door.car.name}\n".encode()
    assert door.decision().reason is None


@pytest.mark.parametrize(
    ("records", "alert"),
    [
        (lambda c, d, k: [c.late_certificate(shown(d)), c.late_verify(k, damaged=True), c.late_finished()], 51),
        (lambda c, d, k: [c.late_certificate(shown(d)), c.late_verify(k), c.late_finished(damaged=True)], 51),
        (
            lambda c, d, _: [
                c.late_certificate(shown(d)),
                c.late_verify(ec.generate_private_key(ec.SECP256R1())),
                c.late_finished(),
            ],
            51,
        ),
        (lambda c, d, k: [c.late_certificate(shown(d), context=b"x" * 32), c.late_verify(k), c.late_finished()], None),
        (lambda c, d, k: [c.late_certificate(shown(d)), c.late_finished()], 10),
        (lambda c, d, k: [c.late_certificate(shown(d)), c.data(b"between"), c.late_verify(k)], 10),
        (lambda c, d, k: [c.late_verify(k)], 10),
        (lambda c, d, k: [c.late_certificate(shown(d) * 2)], 47),
    ],
    ids=["signature", "finished", "another key", "context", "no signature", "data between", "no certificate", "twice"],
)
def test_a_broken_answer_ends_the_connection_and_causes_no_lookup(
    door: Door, records: Callable[[LateClient, Door, Any], list[bytes]], alert: int | None
) -> None:
    with asked(door) as (session, client):
        session.send(*records(client, door, door.car.credential.private_key))
        alerts = session.until_closed()
    assert [level for level, _ in alerts][:1] == [2]
    if alert is not None:
        assert alerts[0][1] == alert
    assert door.lookups() == []
    assert door.no_decision_is_waiting()
    assert b"hello" not in client.application_data


@pytest.mark.parametrize(
    ("name", "reason"), [(b"", Reason.EMPTY_NAME), (b"a..b", Reason.BAD_NAME), (b"*.cars.example", Reason.BAD_NAME)]
)
def test_a_name_that_cannot_be_claimed(door: Door, name: bytes, reason: Reason) -> None:
    with asked(door) as (session, client):
        key = door.car.credential.private_key
        session.send(client.late_certificate(shown(door, name)), client.late_verify(key), client.late_finished())
        assert session.until_closed()[0] == (2, HANDSHAKE_FAILURE)
    assert door.decision().reason is reason
    assert door.lookups() == []


def test_a_name_with_another_key(door: Door) -> None:
    thief = door.cars.device("thief")
    with asked(door) as (session, client):
        entry = Entry(thief.credential.chain[0], extension(DANE_CLIENTID, client_name(str(door.car.name).encode())))
        key = thief.credential.private_key
        session.send(client.late_certificate([entry]), client.late_verify(key), client.late_finished())
        assert session.until_closed()[0] == (2, HANDSHAKE_FAILURE)
    assert door.decision().reason is Reason.TLSA_MISMATCH


def test_a_certificate_that_nobody_asked_for(door: Door) -> None:
    """A second answer to the one request."""
    with asked(door) as (session, client):
        key = door.car.credential.private_key
        session.send(client.late_certificate(shown(door)), client.late_verify(key), client.late_finished())
        until_greeted(session, client)
        session.send(client.late_certificate(shown(door)), client.late_verify(key), client.late_finished())
        assert session.until_closed()[0] == (2, UNEXPECTED_MESSAGE)
    assert door.decision().reason is None
    assert door.no_decision_is_waiting()


def test_answers_that_are_replayed_into_another_connection(door: Door) -> None:
    """What one connection's request was answered with is none on another: the transcript is another."""
    with asked(door) as (_, first), asked(door) as (session, second):
        key = door.car.credential.private_key
        first._send = second._send
        session.send(first.late_certificate(shown(door)), first.late_verify(key), first.late_finished())
        assert session.until_closed()[0][0] == 2
    assert door.no_decision_is_waiting()
