"""OpenSSL's own library with profile cid07 over TLS 1.2: as client at our door, and as server for our client."""

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from adversary.door import GREETING, Door, open_door
from dnsbound import Context, Credential, Reason
from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.errors import DnsboundError
from dnsbound.testing import Device, World
from interop.openssl_peer.peer import DANE_CLIENTID, Event, Files, OpensslPeer, asks_name, names_in, says_name, sends

HOST = "api.cars.example"
NAME = b"car54._device.cars.example"
OTHER = b"car55._device.cars.example"
PATIENCE = 20.0
FATAL = 2
HANDSHAKE_FAILURE, DECODE_ERROR, PROTOCOL_VERSION = 40, 50, 70
TLS12, X509, RAW = 0x0303, 0, 2
CID07 = {"profile": "cid07", "version": "1.2"}
KEYS_OF_1_2 = [algorithm for algorithm in KeyAlgorithm if not algorithm.name.startswith("MLDSA")]
"""ML-DSA signs TLS 1.3 only."""

Save = Callable[[Credential], Files]
raws = pytest.mark.parametrize("raw", [False, True], ids=["x509", "raw"])


@pytest.fixture
def old_door(world: World) -> Iterator[Door]:
    with open_door(world, ticket_lifetime=600, profiles=("ca13", "cid07")) as opened:
        yield opened


def client(door: Door, *options: str) -> OpensslPeer:
    _host, port = door.address
    return OpensslPeer("client", "--port", str(port), "--sni", HOST, "--max", "1.2", *options)


def saying(name: bytes) -> list[str]:
    return says_name(name, profile="cid07", version="1.2")


def refused(peer: OpensslPeer, door: Door, reason: Reason) -> None:
    """Unlike in TLS 1.3 the client's handshake never ends: it waits for the server's last flight."""
    event = peer.command("connect", expected="failed")
    assert event["alerts_received"] == [[FATAL, HANDSHAKE_FAILURE]]
    assert door.decision().reason is reason
    assert door.delivered == []


# --- at our door


@pytest.mark.parametrize("algorithm", KEYS_OF_1_2)
@raws
def test_a_name_with_a_certificate_or_a_raw_key(old_door: Door, save: Save, algorithm: KeyAlgorithm, raw: bool) -> None:
    old_door.car.revoke()
    car = old_door.cars.device("car54", algorithm=algorithm)
    with client(old_door, *save(car.credential).options(raw=raw), *saying(NAME)) as peer:
        event = peer.connect()
        assert (event["version"], event["client_type"]) == (TLS12, RAW if raw else X509)
        assert names_in(event) == [("sh", 0, b"")], "understood"
        assert event["extended_master_secret"] == 1
        assert peer.read() == GREETING
        peer.write(b"report")
        decision = old_door.decision()
        assert (decision.reason, decision.name, decision.protocol) == (None, NAME.decode(), "TLSv1.2 cid07")
        assert peer.session() == "", "there is nothing to come back with"
        peer.close()
    assert old_door.lookups() == [NAME.decode()]


REFUSED = {
    "not on the list": (b"car99._device.cars.example", Reason.NOT_PERMITTED),
    "another's": (OTHER, Reason.TLSA_MISMATCH),
    "wildcard": (b"*._device.cars.example", Reason.BAD_NAME),
    "longest": (b"a" * 255, Reason.BAD_NAME),
}


@raws
@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_name(old_door: Door, save: Save, case: str, raw: bool) -> None:
    old_door.cars.device("car55")
    name, reason = REFUSED[case]
    with client(old_door, *save(old_door.car.credential).options(raw=raw), *saying(name)) as peer:
        refused(peer, old_door, reason)
    assert old_door.lookups() == ([OTHER.decode()] if reason is Reason.TLSA_MISMATCH else [])


def test_the_name_left_to_the_certificate(old_door: Door, save: Save) -> None:
    no_octets = sends("ch,sh12", "ch:0:")
    with client(old_door, *save(old_door.car.credential).options(), *no_octets) as peer:
        peer.connect()
        assert peer.read() == GREETING
        assert old_door.decision().name_source == "san"
    with client(old_door, *save(old_door.car.credential).options(raw=True), *no_octets) as peer:
        refused(peer, old_door, Reason.EMPTY_NAME)


def test_no_extension_at_all(old_door: Door, save: Save) -> None:
    files = save(old_door.car.credential)
    with client(old_door, *files.options()) as peer:
        assert names_in(peer.connect()) == []
        assert peer.read() == GREETING
        assert old_door.decision().protocol == "TLSv1.2"
    with client(old_door, *files.options(raw=True)) as peer:
        refused(peer, old_door, Reason.NO_NAME)


def test_no_credential(old_door: Door) -> None:
    with client(old_door, *saying(NAME)) as peer:
        refused(peer, old_door, Reason.NO_CREDENTIAL)


def test_a_malformed_name(old_door: Door, save: Save) -> None:
    wrong = sends("ch,sh12", f"ch:0:1b{NAME.hex()}")
    with client(old_door, *save(old_door.car.credential).options(), *wrong) as peer:
        assert peer.command("connect", expected="failed")["alerts_received"] == [[FATAL, DECODE_ERROR]]
    assert old_door.lookups() == []


def test_without_the_extended_master_secret(old_door: Door, save: Save) -> None:
    with client(old_door, *save(old_door.car.credential).options(), *saying(NAME), "--ems", "no") as peer:
        assert peer.command("connect", expected="failed")["alerts_received"] == [[FATAL, HANDSHAKE_FAILURE]]
    assert old_door.lookups() == []


def test_renegotiation(old_door: Door, save: Save) -> None:
    with client(old_door, *save(old_door.car.credential).options(), *saying(NAME)) as peer:
        peer.connect()
        assert peer.read() == GREETING
        event = peer.command("renegotiate", expected="failed")
        assert [description for _level, description in event["alerts_received"]] == [100]
    assert old_door.decision().name == NAME.decode()
    assert old_door.no_decision_is_waiting()


def test_a_door_of_tls_1_3(door: Door, save: Save) -> None:
    with client(door, *save(door.car.credential).options()) as peer:
        assert peer.command("connect", expected="failed")["alerts_received"] == [[FATAL, PROTOCOL_VERSION]]
    assert door.no_decision_is_waiting()


def test_a_client_of_both_versions_takes_the_newer(old_door: Door, save: Save) -> None:
    """And says its name twice, since it cannot know: the two must be one (profile cid07 in TLS 1.3)."""
    both = [
        *("--extension", f"{DANE_CLIENTID}=ch,sh12,cr,ct"),
        *("--send", f"{DANE_CLIENTID}:ch:0:{bytes([len(NAME)]).hex()}{NAME.hex()}"),
        *("--send", f"{DANE_CLIENTID}:ct:0:{bytes([len(NAME)]).hex()}{NAME.hex()}"),
    ]
    port = str(old_door.address[1])
    with OpensslPeer("client", "--port", port, *save(old_door.car.credential).options(), *both) as peer:
        assert peer.connect()["version"] == 0x0304
        assert peer.read() == GREETING
        assert old_door.decision().name == NAME.decode()


# --- our client


@pytest.fixture
def car(world: World) -> Device:
    return world.organisation("cars.example").device("car54")


@pytest.fixture
def server_files(world: World, save: Save) -> Files:
    return save(world.web_credential(HOST))


def context(world: World, credential: Credential, **options: Any) -> Context:
    made = Context.client(credential, profiles=["ca13", "cid07"], clear_name_to=[HOST], **options)
    made.load_verify_locations(cadata=world.web_root_pem.decode())
    return made


@contextmanager
def connected(peer: OpensslPeer, ours: Context) -> Iterator[tuple[ssl.SSLSocket, Event]]:
    peer.tell("accept")
    plain = socket.create_connection(("127.0.0.1", peer.port), timeout=PATIENCE)
    with ours.wrap_socket(plain, server_hostname=HOST) as tls:
        yield tls, peer.event("handshake")


@pytest.mark.parametrize("algorithm", KEYS_OF_1_2)
@raws
def test_our_name_is_in_the_hello(world: World, server_files: Files, algorithm: KeyAlgorithm, raw: bool) -> None:
    car = world.organisation("cars.example").device("car54", algorithm=algorithm)
    understood = asks_name(b"", **CID07)  # type: ignore[arg-type]
    options = [*server_files.options(), *understood, "--max", "1.2", "--peer", "0200", "--ask", "must"]
    with (
        OpensslPeer("server", *options) as peer,
        connected(peer, context(world, car.credential, raw_public_key=raw)) as (tls, event),
    ):
        assert event["version"] == TLS12
        assert names_in(event) == [("ch", 0, bytes([len(NAME)]) + NAME)]
        assert event["client_type"] == (RAW if raw else X509)
        assert event["raw_key"] == (car.credential.presented.spki.hex() if raw else "")
        peer.write(b"welcome")
        assert tls.recv(100) == b"welcome"
        tls.sendall(b"report")
        assert peer.read() == b"report"


def test_our_name_stays_at_home_with_others(world: World, server_files: Files, car: Device) -> None:
    """LEG-05: in TLS 1.2 it would be read by everybody on the way, so only hosts that were named hear it."""
    ours = Context.client(car.credential, profiles=["cid07"], clear_name_to=["another.example"])
    ours.load_verify_locations(cadata=world.web_root_pem.decode())
    listening = ["--extension", f"{DANE_CLIENTID}=ch,sh12"]
    with OpensslPeer("server", *server_files.options(), *listening, "--max", "1.2") as peer:
        peer.tell("accept")
        plain = socket.create_connection(("127.0.0.1", peer.port), timeout=PATIENCE)
        with pytest.raises(ssl.SSLError) as error:
            ours.wrap_socket(plain, server_hostname=HOST)
        assert isinstance(error.value, DnsboundError)
        assert peer.event("failed")["extensions"] == []


def test_with_a_server_of_both_versions(world: World, server_files: Files, car: Device) -> None:
    """The hello cannot know what will be chosen: the name is in it, and again where TLS 1.3 has it."""
    both = ["--extension", f"{DANE_CLIENTID}=ch,sh12,cr,ct", "--send", f"{DANE_CLIENTID}:cr:0:00"]
    with (
        OpensslPeer("server", *server_files.options(), *both) as peer,
        connected(peer, context(world, car.credential)) as (_tls, event),
    ):
        assert event["version"] == 0x0304
        said = bytes([len(NAME)]) + NAME
        assert names_in(event) == [("ch", 0, said), ("ct", 0, said)]


@pytest.mark.parametrize("answer", [b"\0", b"\x03car", b"\0!"])
def test_a_server_that_answers_with_octets(world: World, server_files: Files, car: Device, answer: bytes) -> None:
    """cid07 section 3: the ServerHello's is empty."""
    options = [*server_files.options(), *asks_name(answer, **CID07), "--max", "1.2"]  # type: ignore[arg-type]
    with OpensslPeer("server", *options) as peer:
        peer.tell("accept")
        plain = socket.create_connection(("127.0.0.1", peer.port), timeout=PATIENCE)
        with pytest.raises(ssl.SSLError):
            context(world, car.credential).wrap_socket(plain, server_hostname=HOST)
        assert len(peer.event("failed")["alerts_received"]) == 1


def test_a_server_without_the_extended_master_secret(world: World, server_files: Files, car: Device) -> None:
    options = [*server_files.options(), *asks_name(b"", **CID07), "--max", "1.2", "--ems", "no"]  # type: ignore[arg-type]
    with OpensslPeer("server", *options) as peer:
        peer.tell("accept")
        plain = socket.create_connection(("127.0.0.1", peer.port), timeout=PATIENCE)
        with pytest.raises(ssl.SSLError):
            context(world, car.credential).wrap_socket(plain, server_hostname=HOST)
