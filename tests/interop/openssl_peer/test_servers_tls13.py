"""Our client at OpenSSL's own server, over TLS 1.3: what it says, to whom, and which servers it believes."""

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from dnsbound import Context, Credential
from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.errors import DnsboundError
from dnsbound.testing import Device, World
from interop.openssl_peer.peer import DANE_CLIENTID, Event, Files, OpensslPeer, asks_name, names_in, sends

HOST = "api.cars.example"
PATIENCE = 20.0
FATAL = 2
BAD_CERTIFICATE, ILLEGAL_PARAMETER, DECODE_ERROR, UNSUPPORTED_EXTENSION = 42, 47, 50, 110
X509, RAW = 0, 2

Save = Callable[[Credential], Files]


@pytest.fixture
def car(world: World) -> Device:
    return world.organisation("cars.example").device("car54")


@pytest.fixture
def server_files(world: World, save: Save) -> Files:
    return save(world.web_credential(HOST))


def context(world: World, credential: Credential | None, **options: Any) -> Context:
    made = Context.client(credential, **options)
    made.load_verify_locations(cadata=world.web_root_pem.decode())
    return made


@contextmanager
def connected(peer: OpensslPeer, ours: Context, **options: Any) -> Iterator[tuple[ssl.SSLSocket, Event]]:
    """Our side and the event of the peer's handshake, which may be a failure of either."""
    peer.tell("accept")
    plain = socket.create_connection(("127.0.0.1", peer.port), timeout=PATIENCE)
    with ours.wrap_socket(plain, server_hostname=HOST, **options) as tls:
        yield tls, peer.event()


def fails(peer: OpensslPeer, ours: Context) -> tuple[ssl.SSLError, Event]:
    """Our error and the peer's event, when the handshake comes to nothing."""
    peer.tell("accept")
    plain = socket.create_connection(("127.0.0.1", peer.port), timeout=PATIENCE)
    with pytest.raises(ssl.SSLError) as error:
        ours.wrap_socket(plain, server_hostname=HOST)
    assert isinstance(error.value, DnsboundError)
    return error.value, peer.event("failed")


@pytest.mark.parametrize("algorithm", KeyAlgorithm)
@pytest.mark.parametrize("raw", [False, True], ids=["x509", "raw"])
def test_the_name_is_said_to_a_server_that_asks(
    world: World, server_files: Files, algorithm: KeyAlgorithm, raw: bool
) -> None:
    car = world.organisation("cars.example").device("car54", algorithm=algorithm)
    name = str(car.name).encode()
    options = [*server_files.options(), *asks_name(), "--peer", "0200", "--ask", "must"]
    with (
        OpensslPeer("server", *options) as peer,
        connected(peer, context(world, car.credential, raw_public_key=raw)) as (tls, event),
    ):
        assert event["event"] == "handshake"
        assert names_in(event) == [("ct", 0, bytes([len(name)]) + name)]
        assert (event["sni"], event["client_type"]) == (HOST, RAW if raw else X509)
        if raw:
            assert (event["raw_key"], event["chain"]) == (car.credential.presented.spki.hex(), [])
        else:
            assert (event["raw_key"], event["chain"]) == ("", [car.credential.chain[0].hex()])
        peer.write(b"welcome")
        assert tls.recv(100) == b"welcome"
        tls.sendall(b"report")
        assert peer.read() == b"report"


@pytest.mark.parametrize("asks", [[], ["--ask", "no"]], ids=["without the extension", "not at all"])
def test_a_server_that_does_not_ask_hears_no_name(
    world: World, server_files: Files, car: Device, asks: list[str]
) -> None:
    options = [*server_files.options(), "--extension", f"{DANE_CLIENTID}=cr,ct", *asks]
    with (
        OpensslPeer("server", *options) as peer,
        connected(peer, context(world, car.credential)) as (_tls, event),
    ):
        assert names_in(event) == []
        assert event["chain"] == ([] if asks else [car.credential.chain[0].hex()])


REQUESTS = {
    "a name": (b"\x03car", ILLEGAL_PARAMETER),
    "no length": (b"", DECODE_ERROR),
    "trailing octets": (b"\0!", DECODE_ERROR),
    "a length past the end": (b"\x01", DECODE_ERROR),
}


@pytest.mark.parametrize("case", REQUESTS)
def test_a_malformed_request_ends_the_handshake(world: World, server_files: Files, car: Device, case: str) -> None:
    data, alert = REQUESTS[case]
    with OpensslPeer("server", *server_files.options(), *asks_name(data)) as peer:
        _, event = fails(peer, context(world, car.credential))
        assert event["alerts_received"] == [[FATAL, alert]]
        assert event["extensions"] == [], "it has not heard the name"


def test_a_name_in_the_servers_certificate_message_is_refused(world: World, server_files: Files, car: Device) -> None:
    """Its own place is the CertificateRequest; OpenSSL's server puts no extension the client did not ask for there."""
    options = [*server_files.options(), *sends("cr,ct", "ct:0:00")]
    with (
        OpensslPeer("server", *options) as peer,
        connected(peer, context(world, car.credential)) as (_tls, event),
    ):
        assert names_in(event) == []


def test_a_client_without_a_credential(world: World, server_files: Files) -> None:
    """It answers the request, with nothing in it (TS-05)."""
    with (
        OpensslPeer("server", *server_files.options(), *asks_name()) as peer,
        connected(peer, context(world, None)) as (_tls, event),
    ):
        assert (event["event"], event["chain"], event["raw_key"], event["extensions"]) == ("handshake", [], "", [])


WRONG_SERVERS = {
    "another authority's": lambda world: Credential.generate(HOST, now=world.now()),
    "another name's": lambda world: world.web_credential("other.example"),
}


@pytest.mark.parametrize("case", WRONG_SERVERS)
def test_a_server_that_is_not_believed_hears_no_name(world: World, save: Save, car: Device, case: str) -> None:
    files = save(WRONG_SERVERS[case](world))
    with OpensslPeer("server", *files.options(), *asks_name()) as peer:
        error, event = fails(peer, context(world, car.credential))
        assert isinstance(error, ssl.SSLCertVerificationError)
        assert event["extensions"] == []


# --- the server's raw key, believed by its record alone


def by_record(world: World, credential: Credential, peer: OpensslPeer, server: Credential) -> Context:
    """A client that authenticates servers by TLSA; the record is this credential's key."""
    organisation = world.organisation("cars.example")
    organisation.address(HOST, "127.0.0.1")
    organisation.publish(f"_{peer.port}._tcp.{HOST}", server.tlsa())
    made = Context.client(credential, resolver=world.resolver(), server_tlsa="require")
    made.prepare_blocking(HOST, peer.port)
    return made


def test_raw_keys_both_ways(world: World, save: Save, car: Device) -> None:
    server = Credential.generate(HOST, now=world.now(), kind="raw")
    name = str(car.name).encode()
    bare = car.credential.as_raw_key()
    options = [*save(server).options(raw=True), *asks_name(), "--peer", "02", "--ask", "must"]
    with (
        OpensslPeer("server", *options) as peer,
        connected(peer, by_record(world, bare, peer, server)) as (tls, event),
    ):
        assert (event["client_type"], event["server_type"]) == (RAW, RAW)
        assert event["raw_key"] == bare.presented.spki.hex()
        assert names_in(event) == [("ct", 0, bytes([len(name)]) + name)]
        peer.write(b"welcome")
        assert tls.recv(100) == b"welcome"


def test_another_raw_key_than_the_records_is_refused(world: World, save: Save, car: Device) -> None:
    shown, recorded = (Credential.generate(HOST, now=world.now(), kind="raw") for _ in range(2))
    with OpensslPeer("server", *save(shown).options(raw=True), *asks_name(), "--peer", "0200") as peer:
        error, event = fails(peer, by_record(world, car.credential, peer, recorded))
        assert isinstance(error, ssl.SSLCertVerificationError)
        assert event["extensions"] == []


# --- sessions


def test_a_session_is_resumed(world: World, server_files: Files, car: Device) -> None:
    ours = context(world, car.credential)
    with OpensslPeer("server", *server_files.options(), *asks_name(), "--tickets", "1") as peer:
        with connected(peer, ours) as (tls, event):
            assert event["resumed"] == 0
            peer.write(b"welcome")
            assert tls.recv(100) == b"welcome"
            session = tls.session
        assert session is not None
        with connected(peer, ours, session=session) as (tls, event):
            assert (event["event"], event["resumed"]) == ("handshake", 1)
            assert tls.session_reused
            assert names_in(event) == [], "a resumed handshake has no Certificate to carry it"


# --- key exchange


@pytest.mark.parametrize("group", ["X25519MLKEM768", "X25519", "P-256"])
def test_key_exchanges(world: World, server_files: Files, car: Device, group: str) -> None:
    with (
        OpensslPeer("server", *server_files.options(), *asks_name(), "--groups", group) as peer,
        connected(peer, context(world, car.credential)) as (_tls, event),
    ):
        assert event["group"].lower().replace("secp256r1", "p-256") == group.lower()
        assert len(names_in(event)) == 1
