"""Before an address has shown its cookie: nothing is kept of it, and it gets less than it sends."""

from collections.abc import Iterator

import pytest

from adversary.datagram_door import DatagramDoor, open_datagram_door
from adversary.datagram_talk import ELSEWHERE, admitted, saying, strangers, until
from adversary.hostile_client import (
    CLIENT_HELLO,
    HANDSHAKE,
)
from adversary.hostile_datagrams import (
    HELLO_VERIFY_REQUEST,
    DatagramSession,
    fragment,
    record,
)
from dnsbound.testing import World


@pytest.fixture
def door(world: World) -> Iterator[DatagramDoor]:
    with open_datagram_door(world) as opened:
        yield opened


def test_an_unverified_address_gets_less_than_it_sends(door: DatagramDoor) -> None:
    """RFC 6347 section 4.2.1. The most that can be made of a forged source: one shorter datagram for each."""
    client = saying()
    with DatagramSession(door.address, client, patience=0.3) as session:
        first = client.client_hello()
        for _ in range(50):
            session.send(first)
        while session.receive() is not None:
            pass
        assert session.received > 0
        assert session.received / session.sent < 0.35
        assert all(kind == HANDSHAKE for kind, _, _ in client.heard)
        body = saying().hello_body()
        least = record(HANDSHAKE, 0, 7, fragment(CLIENT_HELLO, 0, len(body), 0, body[:36]))
        session.send(least)
        answer = session.receive()
        assert answer is not None
        assert len(answer) / len(least) < 0.75, "the shortest beginning of a hello that is answered"
        assert door.associations() == 0
    assert door.no_decision_is_waiting()


def test_what_is_no_hello_is_answered_by_nothing(door: DatagramDoor) -> None:
    with DatagramSession(door.address, saying(), patience=0.3) as session:
        session.send(*strangers())
        assert session.receive() is None
    assert door.associations() == 0
    assert door.no_decision_is_waiting()


@pytest.mark.parametrize("thief", ["127.0.0.1", "127.0.0.2", ELSEWHERE])
def test_a_cookie_is_worth_nothing_elsewhere(world: World, thief: str) -> None:
    """Another port of the same host, another host of its network, another network."""
    with open_datagram_door(world, host="0.0.0.0") as door:
        address = ("127.0.0.1", door.address[1])
        client = saying()
        with DatagramSession(address, client) as session:
            session.send(client.client_hello())
            until(session, lambda: client.cookie)
        with DatagramSession(address, client, source=thief) as session:
            session.send(client.client_hello())
            answer = session.receive()
        assert answer is not None
        assert answer[13] == HELLO_VERIFY_REQUEST, "it is asked for a cookie of its own"
        assert client.cookie not in answer
        assert not client.hello_done
        assert door.associations() == 0


def test_a_cookie_of_another_hello(door: DatagramDoor) -> None:
    """Whoever may have one connection does not thereby have any number."""
    client, other = saying(), saying()
    with DatagramSession(door.address, client, patience=0.3) as session:
        session.send(client.client_hello())
        until(session, lambda: client.cookie)
        other.cookie = client.cookie
        session.send(other.client_hello())
        while session.receive() is not None:
            pass
        assert not client.hello_done
        assert door.associations() == 0


def test_a_verified_hello_again_and_again(door: DatagramDoor) -> None:
    """One association comes of it, and one flight: a recorded hello is no way to have a client flooded."""
    client = saying()
    with DatagramSession(door.address, client, patience=0.4) as session:
        session.greet()
        client.message_number -= 1
        hello = client.client_hello()
        answered = session.received
        for _ in range(100):
            session.send(hello)
        while session.receive() is not None:
            pass
        assert session.received - answered < len(hello)
        assert door.associations() == 1


def test_a_flood_of_verified_hellos_is_bounded(world: World) -> None:
    """Each needs a cookie, so an address that answers; and one network gets its share and no more."""
    with open_datagram_door(world, host="0.0.0.0", handshakes_per_source=8) as door:
        address = ("127.0.0.1", door.address[1])
        sessions = [DatagramSession(address, saying(), patience=0.3) for _ in range(14)]
        for session in sessions:
            session.send(session.client.client_hello())
            while not session.client.cookie and session.receive() is not None:
                pass
            if session.client.cookie:
                session.send(session.client.client_hello())
                session.receive()
        assert door.associations() == 8
        with DatagramSession(address, saying(), source=ELSEWHERE) as session:
            admitted(door, session)
        for session in sessions:
            session.socket.close()
