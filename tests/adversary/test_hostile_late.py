"""Answers to a request after the handshake that no library gives, at a real door: nothing is shown to who does not
prove the key of a permitted name, and nobody unproved causes a lookup.
"""

import asyncio
import contextlib
import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from adversary.door import Door
from adversary.hostile_client import Entry, HostileClient, Session, client_name, extension
from adversary.hostile_late import POST_HANDSHAKE_AUTH, HostileLateClient, context_of, requested
from dnsbound import Reason
from dnsbound.iana import DANE_CLIENTID
from dnsbound.testing import World
from dnsbound.testing.background_loop import BackgroundLoop
from machines.native_pairs import make_identity

FATAL = 2
UNEXPECTED_MESSAGE, HANDSHAKE_FAILURE, ILLEGAL_PARAMETER, DECODE_ERROR, DECRYPT_ERROR = 10, 40, 47, 50, 51
NAME = b"car54._device.cars.example"
OTHER = b"car55._device.cars.example"
SECRET = b"for car54 alone\n"
PATIENCE = 10.0


class LateDoor(Door):
    """Lets everybody in, and asks who they are before it says the secret."""

    def __init__(self, world: World, loop: BackgroundLoop) -> None:
        self.errors: queue.SimpleQueue[BaseException] = queue.SimpleQueue()
        super().__init__(world, loop, policy="optional", post_handshake=True, handshake_seconds=2)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        transport: Any = writer.transport
        try:
            peer = await transport.authenticate_client(required=True)
            writer.write(SECRET)
            self.delivered.append(str(peer.name).encode())
            self.delivered.append(await reader.read(1000))
        except Exception as error:  # noqa: BLE001 (shown to the test)
            self.errors.put(error)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def error(self) -> BaseException:
        """What the application was told of a client that was not let in."""
        return self.errors.get(timeout=PATIENCE)


@pytest.fixture
def door(world: World) -> Iterator[LateDoor]:
    with BackgroundLoop("late door") as loop:
        made = LateDoor(world, loop)
        yield made
        loop.run(made.close())


@contextmanager
def asked(door: LateDoor) -> Iterator[tuple[HostileLateClient, Session, bytes]]:
    """A client whose handshake is over, and the request that then came."""
    client = HostileLateClient(extra_extensions=POST_HANDSHAKE_AUTH)
    with Session(door.address, client) as session:
        session.handshake()
        session.send(client.finished())
        while not client.late_requests:
            session.receive()
            assert not client.closed, client.alerts
        client.begin_answer(client.late_requests[0])
        yield client, session, client.late_requests[0]


def key(door: LateDoor) -> ec.EllipticCurvePrivateKey:
    own = door.car.credential.private_key
    assert isinstance(own, ec.EllipticCurvePrivateKey)
    return own


def entry(door: LateDoor, name: bytes | None = NAME) -> Entry:
    claim = b"" if name is None else extension(DANE_CLIENTID, client_name(name))
    return Entry(door.car.credential.chain[0], claim)


def answer(door: LateDoor, client: HostileLateClient, request: bytes, entries: list[Entry]) -> list[bytes]:
    """The honest form."""
    return [
        client.late_certificate(entries, context_of(request)),
        client.late_verify(key(door)),
        client.late_finished(),
    ]


def test_an_honest_answer(door: LateDoor) -> None:
    with asked(door) as (client, session, request):
        assert requested(request)[DANE_CLIENTID] == b"\0"
        assert len(context_of(request)) >= 8, "nobody guesses it"
        session.send(*answer(door, client, request, [entry(door)]), client.data(b"report"))
        session.until_closed()
        assert client.application_data == SECRET
    assert door.delivered == [NAME, b"report"]
    assert door.decision().name == NAME.decode()
    assert door.lookups() == [NAME.decode()]


def nothing_was_shown(door: LateDoor, client: HostileClient, *, lookups: list[bytes] | None = None) -> None:
    assert SECRET not in client.application_data
    assert door.delivered == []
    assert door.lookups() == [name.decode() for name in lookups or []]
    assert isinstance(door.error(), OSError)


REFUSED: dict[str, tuple[Callable[[LateDoor], list[Entry]], Reason]] = {
    "not on the list": (lambda door: [entry(door, b"car99._device.cars.example")], Reason.NOT_PERMITTED),
    "another's": (lambda door: [entry(door, OTHER)], Reason.TLSA_MISMATCH),
    "wildcard": (lambda door: [entry(door, b"*._device.cars.example")], Reason.BAD_NAME),
    "empty": (lambda door: [entry(door, b"")], Reason.EMPTY_NAME),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_name(door: LateDoor, case: str) -> None:
    door.cars.device("car55")
    entries, reason = REFUSED[case]
    with asked(door) as (client, session, request):
        session.send(*answer(door, client, request, entries(door)), client.data(b"report"))
        assert session.until_closed() == [(FATAL, HANDSHAKE_FAILURE)]
    assert door.decision().reason is reason
    nothing_was_shown(door, client, lookups=[OTHER] if reason is Reason.TLSA_MISMATCH else [])


def test_nothing_to_show(door: LateDoor) -> None:
    with asked(door) as (client, session, request):
        session.send(client.late_certificate([], context_of(request)), client.late_finished())
        assert session.until_closed() == [(FATAL, HANDSHAKE_FAILURE)]
    assert door.decision().reason is Reason.NO_CREDENTIAL
    nothing_was_shown(door, client)


Wire = Callable[[LateDoor, HostileLateClient, bytes], list[bytes]]


def signed_by_another(door: LateDoor, client: HostileLateClient, request: bytes) -> list[bytes]:
    shown = client.late_certificate([entry(door)], context_of(request))
    return [shown, client.late_verify(ec.generate_private_key(ec.SECP256R1())), client.late_finished()]


def damaged(door: LateDoor, client: HostileLateClient, request: bytes) -> list[bytes]:
    shown = client.late_certificate([entry(door)], context_of(request))
    return [shown, client.late_verify(key(door), damaged=True), client.late_finished()]


def unsigned(door: LateDoor, client: HostileLateClient, request: bytes) -> list[bytes]:
    return [client.late_certificate([entry(door)], context_of(request)), client.late_finished()]


def unfinished(door: LateDoor, client: HostileLateClient, request: bytes) -> list[bytes]:
    shown = client.late_certificate([entry(door)], context_of(request))
    return [shown, client.late_verify(key(door)), client.late_finished(damaged=True)]


def in_another_context(door: LateDoor, client: HostileLateClient, request: bytes) -> list[bytes]:
    context = bytes(len(context_of(request)))
    shown = client.late_certificate([entry(door)], context)
    return [shown, client.late_verify(key(door)), client.late_finished()]


def without_a_context(door: LateDoor, client: HostileLateClient, _request: bytes) -> list[bytes]:
    """As in the handshake itself."""
    return [client.late_certificate([entry(door)], b""), client.late_verify(key(door)), client.late_finished()]


def to_another_request(door: LateDoor, client: HostileLateClient, request: bytes) -> list[bytes]:
    """A proof that was made for other octets: what an attacker could have a victim sign elsewhere."""
    client.begin_answer(request + b"!")
    return answer(door, client, request, [entry(door)])


def another_certificate_behind_it(door: LateDoor, client: HostileLateClient, request: bytes) -> list[bytes]:
    shown = client.late_certificate([entry(door)], context_of(request))
    other = client.late_certificate([Entry(make_identity("other.example").chain[0])], context_of(request))
    return [shown, other, client.late_verify(key(door)), client.late_finished()]


def data_in_the_middle(door: LateDoor, client: HostileLateClient, request: bytes) -> list[bytes]:
    shown = client.late_certificate([entry(door)], context_of(request))
    return [shown, client.data(b"report"), client.late_verify(key(door)), client.late_finished()]


def the_name_twice(door: LateDoor, client: HostileLateClient, request: bytes) -> list[bytes]:
    claim = extension(DANE_CLIENTID, client_name(NAME))
    return answer(door, client, request, [Entry(door.car.credential.chain[0], claim * 2)])


def a_malformed_name(door: LateDoor, client: HostileLateClient, request: bytes) -> list[bytes]:
    claim = extension(DANE_CLIENTID, client_name(NAME) + b"!")
    return answer(door, client, request, [Entry(door.car.credential.chain[0], claim)])


def the_name_in_two_entries(door: LateDoor, client: HostileLateClient, request: bytes) -> list[bytes]:
    other = Entry(make_identity("other.example").chain[0], extension(DANE_CLIENTID, client_name(OTHER)))
    return answer(door, client, request, [entry(door), other])


def no_certificate(door: LateDoor, client: HostileLateClient, _request: bytes) -> list[bytes]:
    return [client.late_verify(key(door)), client.late_finished()]


BROKEN: dict[Wire, int] = {
    no_certificate: UNEXPECTED_MESSAGE,
    signed_by_another: DECRYPT_ERROR,
    damaged: DECRYPT_ERROR,
    unsigned: UNEXPECTED_MESSAGE,
    unfinished: DECRYPT_ERROR,
    in_another_context: DECODE_ERROR,
    without_a_context: DECODE_ERROR,
    to_another_request: DECRYPT_ERROR,
    another_certificate_behind_it: UNEXPECTED_MESSAGE,
    data_in_the_middle: UNEXPECTED_MESSAGE,
    the_name_twice: ILLEGAL_PARAMETER,
    a_malformed_name: DECODE_ERROR,
    the_name_in_two_entries: ILLEGAL_PARAMETER,
}


@pytest.mark.parametrize("wire", BROKEN, ids=lambda wire: wire.__name__)
def test_what_is_no_answer_causes_no_lookup(door: LateDoor, wire: Wire) -> None:
    with asked(door) as (client, session, request):
        session.send(*wire(door, client, request))
        assert session.until_closed() == [(FATAL, BROKEN[wire])]
    assert door.no_decision_is_waiting()
    nothing_was_shown(door, client)


def test_an_answer_is_one_connections(door: LateDoor) -> None:
    """What proves possession on one connection proves nothing on another, whose transcript is another."""
    with asked(door) as (near, _session, request), asked(door) as (other, session, _):
        near._send = other._send
        session.send(*answer(door, near, request, [entry(door)]))
        assert [level for level, _description in session.until_closed()] == [FATAL]
    assert door.no_decision_is_waiting()
    assert door.lookups() == []
    assert door.delivered == []


def test_an_answer_nobody_asked_for(door: LateDoor) -> None:
    """A second one, when the first was taken."""
    with asked(door) as (client, session, request):
        session.send(*answer(door, client, request, [entry(door)]))
        while SECRET not in client.application_data:
            session.receive()
        client.begin_answer(request)
        session.send(*answer(door, client, request, [entry(door, OTHER)]))
        assert session.until_closed() == [(FATAL, UNEXPECTED_MESSAGE)]
    assert door.decision().name == NAME.decode()
    assert door.no_decision_is_waiting()
    assert door.lookups() == [NAME.decode()]


def test_a_client_that_offered_nothing_is_not_asked(door: LateDoor) -> None:
    """TS-04: and an answer from it is no TLS."""
    client = HostileLateClient()
    with Session(door.address, client) as session:
        session.handshake()
        session.send(client.finished())
        session.until_closed()
    assert client.late_requests == []
    nothing_was_shown(door, client)


def test_data_without_end_in_place_of_an_answer(door: LateDoor) -> None:
    """It is kept for the application up to a limit, and then no more is taken; in the end the time is over."""
    with asked(door) as (client, session, _request):
        sent = 0
        session.socket.settimeout(0.3)
        with contextlib.suppress(OSError):
            while sent < 50_000_000:
                session.send(client.data(bytes(16_000)))
                sent += 16_000
        assert sent < 50_000_000, "somebody keeps all of it"
    assert isinstance(door.error(), (OSError, TimeoutError))
    assert door.delivered == []
