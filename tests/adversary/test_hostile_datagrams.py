"""DTLS as no library speaks it, from any address, at a real door. Nothing is kept of whom nothing is known, nobody
unproved causes a lookup, and what strangers throw in between neither admits nor ends anybody.
"""

import os
import time
from collections.abc import Callable, Iterator

import pytest

from adversary.datagram_door import DatagramDoor, open_datagram_door
from adversary.datagram_talk import (
    DECRYPT_ERROR,
    FATAL,
    HANDSHAKE_FAILURE,
    HONEST,
    NAME,
    OTHER,
    UNEXPECTED_MESSAGE,
    admitted,
    eventually,
    flight,
    saying,
    strangers,
    until,
)
from adversary.hostile_client import (
    ALERT,
    APPLICATION_DATA,
    CLIENT_HELLO,
    HANDSHAKE,
)
from adversary.hostile_datagrams import (
    DatagramSession,
    HostileDatagramClient,
    fragment,
    record,
)
from dnsbound import Reason
from dnsbound.iana import DANE_CLIENTID
from dnsbound.testing import Fault, World


@pytest.fixture
def door(world: World) -> Iterator[DatagramDoor]:
    with open_datagram_door(world) as opened:
        yield opened


@pytest.mark.parametrize("raw", [False, True], ids=["x509", "raw"])
def test_an_honest_handshake_is_let_in(door: DatagramDoor, raw: bool) -> None:
    with DatagramSession(door.address, saying(raw=raw)) as session:
        client = admitted(door, session)
        assert client.hello_extensions()[DANE_CLIENTID] == b""
        session.send(client.data(b"report"))
        eventually(lambda: door.delivered)
    decision = door.decision()
    assert (decision.reason, decision.name) == (None, NAME.decode())
    assert (door.greeted, door.delivered) == ([NAME.decode()], [b"report"])
    assert door.lookups() == [NAME.decode()]


# --- possession

ORDERS = {
    "a damaged signature": ("certificate exchange damaged change finished", DECRYPT_ERROR),
    "another key's signature": ("certificate exchange foreign change finished", DECRYPT_ERROR),
    "another certificate behind the name": ("other exchange signature change finished", DECRYPT_ERROR),
    "a wrong Finished": ("certificate exchange signature change wrong", DECRYPT_ERROR),
    "two certificates": ("certificate other exchange signature change finished", UNEXPECTED_MESSAGE),
}


@pytest.mark.parametrize("raw", [False, True], ids=["x509", "raw"])
@pytest.mark.parametrize("case", ORDERS)
def test_a_name_without_possession_causes_no_lookup(door: DatagramDoor, case: str, raw: bool) -> None:
    order, alert = ORDERS[case]
    client = saying(raw=raw)
    with DatagramSession(door.address, client) as session:
        session.greet()
        session.send(*flight(door, client, order))
        until(session, lambda: client.alerts)
    assert client.alerts == [(FATAL, alert)]
    assert client.protected_alerts == []
    assert not client.server_finished
    assert door.no_decision_is_waiting()
    assert (door.greeted, door.delivered, door.lookups()) == ([], [], [])


@pytest.mark.parametrize("raw", [False, True], ids=["x509", "raw"])
@pytest.mark.parametrize(
    "order", ["certificate exchange change finished data", "certificate exchange change signature finished"]
)
def test_a_signature_that_does_not_come_is_waited_for(door: DatagramDoor, order: str, raw: bool) -> None:
    """It may have been lost; what comes in its place is of an epoch that has not begun."""
    client = saying(raw=raw)
    with DatagramSession(door.address, client, patience=0.3) as session:
        session.greet()
        session.send(*flight(door, client, order))
        assert session.receive() is None
    assert not client.server_finished
    assert door.no_decision_is_waiting()
    assert (door.greeted, door.delivered, door.lookups()) == ([], [], [])


def refused(door: DatagramDoor, client: HostileDatagramClient, order: str = HONEST) -> Reason | None:
    """The reason, after one generic alert in clear."""
    with DatagramSession(door.address, client) as session:
        session.greet()
        session.send(*flight(door, client, order))
        until(session, lambda: client.alerts)
    assert client.alerts == [(FATAL, HANDSHAKE_FAILURE)]
    assert client.protected_alerts == []
    assert not client.server_finished
    assert (door.greeted, door.delivered) == ([], [])
    return door.decision().reason


REFUSED_NAMES = {
    "wildcard label": (b"*._device.cars.example", Reason.BAD_NAME),
    "255 octets": (b"a" * 255, Reason.BAD_NAME),
    "trailing dot": (NAME + b".", Reason.BAD_NAME),
    "not on the list": (b"car99._device.cars.example", Reason.NOT_PERMITTED),
}


@pytest.mark.parametrize("raw", [False, True], ids=["x509", "raw"])
@pytest.mark.parametrize("case", REFUSED_NAMES)
def test_a_name_that_cannot_be_claimed_is_refused_without_a_lookup(door: DatagramDoor, case: str, raw: bool) -> None:
    name, reason = REFUSED_NAMES[case]
    assert refused(door, saying(name, raw=raw)) is reason
    assert door.lookups() == []


@pytest.mark.parametrize("raw", [False, True], ids=["x509", "raw"])
def test_anothers_key_under_a_permitted_name(door: DatagramDoor, raw: bool) -> None:
    door.cars.device("car55")
    assert refused(door, saying(OTHER, raw=raw)) is Reason.TLSA_MISMATCH
    assert door.lookups() == [OTHER.decode()]


def test_a_raw_key_without_a_name(door: DatagramDoor) -> None:
    assert refused(door, saying(None, raw=True)) is Reason.NO_NAME
    assert door.lookups() == []


def test_a_name_and_no_certificate(door: DatagramDoor) -> None:
    assert refused(door, saying(), "nothing exchange change finished") is Reason.NO_CREDENTIAL
    assert door.lookups() == []


def test_the_master_secret_must_be_extended(door: DatagramDoor) -> None:
    client = saying(ems=False)
    with DatagramSession(door.address, client) as session:
        session.greet()
        session.send(*flight(door, client))
        until(session, lambda: client.alerts)
    assert client.alerts == [(FATAL, HANDSHAKE_FAILURE)]
    assert door.no_decision_is_waiting()
    assert door.lookups() == []


# --- before the verdict


def test_repeating_oneself_does_not_hurry_the_verdict(world: World) -> None:
    with open_datagram_door(world, deadline=5.0) as door:
        world.fault(NAME.decode(), Fault.SLOW, seconds=0.8)
        client = saying()
        with DatagramSession(door.address, client) as session:
            session.greet()
            sent = [*flight(door, client), client.data(b"early")]
            before = session.received
            for _ in range(3):
                session.send(*sent)
                assert session.receive(seconds=0.1) is None
            assert session.received == before
            assert (door.greeted, door.delivered) == ([], [])
            until(session, lambda: client.application_data)
            assert client.server_finished
        assert door.decision().reason is None
        assert door.no_decision_is_waiting(), "one claim, however often it was sent"
        assert door.lookups() == [NAME.decode()]


def test_data_before_a_refusal_is_never_read(world: World) -> None:
    with open_datagram_door(world, deadline=0.5) as door:
        world.fault(NAME.decode(), Fault.DEAD)
        client = saying()
        with DatagramSession(door.address, client) as session:
            session.greet()
            session.send(*flight(door, client), client.data(b"report"))
            until(session, lambda: client.alerts)
            session.send(client.data(b"report"))
            session.receive(seconds=0.3)
        assert set(client.alerts) == {(FATAL, HANDSHAKE_FAILURE)}
        assert door.decision().reason is Reason.DNS_FAILED
        assert (door.greeted, door.delivered, client.server_finished) == ([], [], False)


def test_a_refused_client_is_told_again_and_not_for_ever(door: DatagramDoor) -> None:
    """Alerts get lost like anything else; and the refused client's repetitions bring back less than they cost."""
    client = saying(b"car99._device.cars.example")
    with DatagramSession(door.address, client, patience=0.3) as session:
        session.greet()
        sent = flight(door, client)
        session.send(*sent)
        until(session, lambda: client.alerts)
        out, back = session.sent, session.received
        for _ in range(40):
            session.send(*sent)
            session.receive(seconds=0.02)
        while session.receive() is not None:
            pass
        assert 1 < len(client.alerts) <= 13
        assert set(client.alerts) == {(FATAL, HANDSHAKE_FAILURE)}
        assert session.received - back < (session.sent - out) / 10
    assert door.decision().reason is Reason.NOT_PERMITTED
    assert door.no_decision_is_waiting()


# --- strangers beside an honest client


def test_strangers_do_not_keep_an_honest_client_out(door: DatagramDoor) -> None:
    """Nonsense from its own network before each of its datagrams, which it repeats as any client does."""
    noise = [octets for octets in strangers() if octets]
    client = saying()
    with (
        DatagramSession(door.address, HostileDatagramClient()) as other,
        DatagramSession(door.address, client) as session,
    ):

        def through(datagrams: list[bytes], arrived: Callable[[], object]) -> None:
            for _ in range(20):
                other.send(*noise)
                session.send(*datagrams)
                while not arrived() and session.receive(seconds=0.2) is not None:
                    pass
                if arrived():
                    return
            raise AssertionError("kept out")

        through([client.client_hello()], lambda: client.cookie)
        through([client.client_hello()], lambda: client.hello_done)
        through(flight(door, client), lambda: client.application_data)
        assert other.receive(seconds=0.1) is None
    assert door.greeted == [NAME.decode()]


def test_nothing_in_clear_reaches_an_open_association(door: DatagramDoor) -> None:
    """Whoever can send from the client's address, and has not its keys, changes nothing."""
    with DatagramSession(door.address, saying()) as session:
        client = admitted(door, session)
        body = client.hello_body()
        forged = [
            *strangers(),
            record(ALERT, 0, 2**40, bytes((FATAL, HANDSHAKE_FAILURE))),
            record(ALERT, 1, 2**40, os.urandom(26)),
            record(HANDSHAKE, 0, 2**40 + 1, fragment(CLIENT_HELLO, 0, len(body), 0, body)),
            record(APPLICATION_DATA, 1, 2**47, os.urandom(60)),
            record(APPLICATION_DATA, 2, 0, os.urandom(60)),
            record(APPLICATION_DATA, 0xFFFF, 2**48 - 1, os.urandom(60)),
        ]
        session.send(*forged, client.data(b"report"))
        eventually(lambda: door.delivered)
        assert door.associations() == 1
    assert door.delivered == [b"report"]


def test_a_strangers_hello_without_a_cookie_leaves_the_association(door: DatagramDoor) -> None:
    """RFC 6347 section 4.2.8: only a client that has shown its cookie has lost its old keys."""
    with DatagramSession(door.address, saying()) as session:
        client = admitted(door, session)
        new = saying()
        session.client = new
        session.send(new.client_hello())
        until(session, lambda: new.cookie)
        session.client = client
        session.send(client.data(b"still here"))
        eventually(lambda: door.delivered)
        assert door.delivered == [b"still here"]
        # Now with it: the same client, which begins again.
        session.client = new
        session.send(new.client_hello())
        until(session, lambda: new.hello_done)
        session.send(*flight(door, new))
        until(session, lambda: new.application_data)
        assert door.associations() == 1
        session.send(client.data(b"under the old keys"), new.data(b"under the new"))
        eventually(lambda: len(door.delivered) == 2)
    assert door.delivered == [b"still here", b"under the new"]


def test_replayed_records_are_delivered_once(door: DatagramDoor) -> None:
    with DatagramSession(door.address, saying()) as session:
        client = admitted(door, session)
        once, last = client.data(b"once"), client.data(b"last")
        session.send(once, once, once, last, once)
        eventually(lambda: len(door.delivered) >= 2)
        time.sleep(0.1)
    assert door.delivered == [b"once", b"last"]


def test_small_pieces(door: DatagramDoor) -> None:
    client = saying()
    with DatagramSession(door.address, client) as session:
        session.greet()
        client.fragment_octets = 16
        for pieces in flight(door, client):
            left = pieces
            while left:
                size = 13 + int.from_bytes(left[11:13], "big")
                session.send(left[:size])
                left = left[size:]
        until(session, lambda: client.application_data)
    assert door.greeted == [NAME.decode()]


def test_datagrams_are_not_longer_than_the_path_takes(door: DatagramDoor) -> None:
    """1200 octets cross every path, whatever the client says; and the cookie exchange and the flight fit."""
    client = saying()
    sizes = []
    with DatagramSession(door.address, client) as session:
        session.send(client.client_hello())
        while not client.hello_done:
            if client.cookie and len(sizes) == 1:
                session.send(client.client_hello())
            datagram = session.receive()
            assert datagram is not None
            sizes.append(len(datagram))
    assert max(sizes) <= 1200


@pytest.mark.parametrize(
    "order", ["", "certificate", "certificate exchange signature", "certificate exchange signature change"]
)
def test_stopping_half_way_is_forgotten_at_the_deadline(world: World, order: str) -> None:
    with open_datagram_door(world, handshake_seconds=1) as door:
        client = saying()
        with DatagramSession(door.address, client) as session:
            session.greet()
            session.send(*flight(door, client, order))
            assert door.associations() == 1
            eventually(lambda: door.associations() == 0)
        assert (door.lookups(), door.greeted) == ([], [])
