"""The request signal (tls_flags) with OpenSSL's own library, both ways. It knows nothing of the extension: the octets
are the test's.
"""

import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from adversary.door import GREETING, Door, open_door
from dnsbound import Context, Credential
from dnsbound.testing import World
from interop.openssl_peer.peer import Files, OpensslPeer, asks_name, names_in, says_name, sends

HOST = "api.cars.example"
NAME = b"car54._device.cars.example"
PATIENCE = 20.0
FATAL, ILLEGAL_PARAMETER = 2, 47
FLAGS, PROTOTYPE = 62, 0xFE01
SIGNAL = bytes.fromhex("0b" + "00" * 10 + "01")
"""Flag 80, as in a published capture."""

Save = Callable[[Credential], Files]


@pytest.fixture
def optional_door(world: World) -> Iterator[Door]:
    with open_door(world, policy="optional") as opened:
        yield opened


def signalling(door: Door, *options: str, data: bytes = SIGNAL, kind: int = FLAGS) -> OpensslPeer:
    said = sends("ch,cr", f"ch:0:{data.hex()}", kind=kind)
    return OpensslPeer("client", "--port", str(door.address[1]), "--sni", HOST, "--min", "1.3", *said, *options)


@pytest.mark.parametrize("kind", [FLAGS, PROTOTYPE])
@pytest.mark.parametrize("raw", [False, True], ids=["x509", "raw"])
def test_a_client_that_signals_is_asked(optional_door: Door, save: Save, kind: int, raw: bool) -> None:
    own = save(optional_door.car.credential).options(raw=raw)
    with signalling(optional_door, *own, *says_name(NAME), kind=kind) as peer:
        event = peer.connect()
        assert event["asked_for_certificate"] == 1
        assert names_in(event, kind=kind) == [("cr", 0, SIGNAL)], "it is told why"
        assert names_in(event) == [("cr", 0, b"\0")]
        assert peer.read() == GREETING
        assert optional_door.decision().name == NAME.decode()


def test_a_client_that_does_not_is_not_asked(optional_door: Door, save: Save) -> None:
    options = [*save(optional_door.car.credential).options(), *says_name(NAME)]
    with OpensslPeer("client", "--port", str(optional_door.address[1]), "--min", "1.3", *options) as peer:
        event = peer.connect()
        assert (event["asked_for_certificate"], names_in(event)) == (0, [])
        assert peer.read() == GREETING
    assert optional_door.no_decision_is_waiting()
    assert optional_door.lookups() == []


@pytest.mark.parametrize("data", ["00", "0100", "020100", "", "0201", "01ff00"])
def test_malformed_flags(optional_door: Door, data: str) -> None:
    with signalling(optional_door, data=bytes.fromhex(data)) as peer:
        assert peer.command("connect", expected="failed")["alerts_received"] == [[FATAL, ILLEGAL_PARAMETER]]


def test_other_flags_are_not_the_signal(optional_door: Door) -> None:
    with signalling(optional_door, data=bytes.fromhex("03280080")) as peer:
        event = peer.connect()
        assert (event["asked_for_certificate"], names_in(event, kind=FLAGS)) == (0, [])


# --- our client


def context(world: World, **options: Any) -> Context:
    car = world.organisation("cars.example").device("car54")
    made = Context.client(car.credential, **options)
    made.load_verify_locations(cadata=world.web_root_pem.decode())
    return made


def dial(peer: OpensslPeer, ours: Context) -> ssl.SSLSocket:
    peer.tell("accept")
    plain = socket.create_connection(("127.0.0.1", peer.port), timeout=PATIENCE)
    return ours.wrap_socket(plain, server_hostname=HOST)


def server(world: World, save: Save, *options: str) -> OpensslPeer:
    return OpensslPeer("server", *save(world.web_credential(HOST)).options(), *asks_name(), *options)


def test_our_client_signals(world: World, save: Save) -> None:
    acknowledged = sends("ch,cr", f"cr:0:{SIGNAL.hex()}", kind=FLAGS)
    with server(world, save, *acknowledged) as peer, dial(peer, context(world)):
        event = peer.event("handshake")
        assert names_in(event, kind=FLAGS) == [("ch", 0, SIGNAL)]
        assert len(names_in(event)) == 1, "and answers"


@pytest.mark.parametrize("place", ["ee", "sh", "ct"])
def test_the_signal_in_a_message_it_has_no_place_in(world: World, save: Save, place: str) -> None:
    """FL-02, FL-08: only a CertificateRequest may repeat it."""
    with server(world, save, *sends(f"ch,cr,{place}", f"{place}:0:{SIGNAL.hex()}", kind=FLAGS)) as peer:
        with pytest.raises(ssl.SSLError):
            dial(peer, context(world))
        event = peer.event("failed")
        assert event["alerts_received"] == [[FATAL, ILLEGAL_PARAMETER]]
        assert names_in(event) == []


def test_an_acknowledgement_of_what_was_not_said(world: World, save: Save) -> None:
    """FL-03, FL-08: this client has no credential, so it did not signal."""
    ours = Context.client()
    ours.load_verify_locations(cadata=world.web_root_pem.decode())
    with server(world, save, *sends("ch,cr", f"cr:0:{SIGNAL.hex()}", kind=FLAGS)) as peer:
        with pytest.raises(ssl.SSLError):
            dial(peer, ours)
        event = peer.event("failed")
        assert event["alerts_received"] == [[FATAL, ILLEGAL_PARAMETER]]


def test_a_client_that_was_told_to_know_no_flags(world: World, save: Save) -> None:
    """To it they are an unknown extension of a CertificateRequest, which every client ignores (RFC 9846 4.4.2)."""
    with (
        server(world, save, *sends("ch,cr", f"cr:0:{SIGNAL.hex()}", kind=FLAGS)) as peer,
        dial(peer, context(world, request_signal=None)),
    ):
        event = peer.event("handshake")
        assert names_in(event, kind=FLAGS) == []
        assert len(names_in(event)) == 1
