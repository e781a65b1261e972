"""OpenSSL's own library over DTLS 1.2 with profile cid07: as client at our datagram door, as server for our client."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from adversary.datagram_door import GREETING, DatagramDoor, open_datagram_door
from dnsbound import Context, Credential, Reason
from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.edge.context_datagram import Datagrams
from dnsbound.edge.datagram_blocking import BlockingConnection, open_datagram_connection_blocking
from dnsbound.errors import DnsboundError
from dnsbound.testing import Device, World
from interop.openssl_peer.peer import DANE_CLIENTID, Event, Files, OpensslPeer, asks_name, names_in, says_name, sends

HOST = "api.cars.example"
NAME = b"car54._device.cars.example"
OTHER = b"car55._device.cars.example"
PATIENCE = 20.0
FATAL = 2
HANDSHAKE_FAILURE, DECODE_ERROR = 40, 50
DTLS12, X509, RAW = 0xFEFD, 0, 2
KEYS = [algorithm for algorithm in KeyAlgorithm if not algorithm.name.startswith("MLDSA")]
"""ML-DSA signs TLS 1.3 only."""

Save = Callable[[Credential], Files]
raws = pytest.mark.parametrize("raw", [False, True], ids=["x509", "raw"])


def saying(name: bytes) -> list[str]:
    return says_name(name, profile="cid07", version="1.2")


@pytest.fixture
def door(world: World) -> Iterator[DatagramDoor]:
    with open_datagram_door(world) as opened:
        yield opened


def client(door: DatagramDoor, *options: str) -> OpensslPeer:
    return OpensslPeer("client", "--port", str(door.address[1]), "--sni", HOST, *options, datagram=True)


@pytest.mark.parametrize("algorithm", KEYS)
@raws
def test_a_name_with_a_certificate_or_a_raw_key(
    door: DatagramDoor, save: Save, algorithm: KeyAlgorithm, raw: bool
) -> None:
    door.car.revoke()
    car = door.cars.device("car54", algorithm=algorithm)
    with client(door, *save(car.credential).options(raw=raw), *saying(NAME)) as peer:
        event = peer.connect()
        assert (event["version"], event["client_type"]) == (DTLS12, RAW if raw else X509)
        assert names_in(event) == [("sh", 0, b"")]
        assert (event["extended_master_secret"], event["resumed"]) == (1, 0)
        assert peer.read() == GREETING
        peer.write(b"report")
        peer.close()
    decision = door.decision()
    assert (decision.reason, decision.name, decision.protocol) == (None, NAME.decode(), "DTLSv1.2 cid07")
    assert door.lookups() == [NAME.decode()]


REFUSED = {
    "not on the list": (b"car99._device.cars.example", Reason.NOT_PERMITTED),
    "another's": (OTHER, Reason.TLSA_MISMATCH),
    "wildcard": (b"*._device.cars.example", Reason.BAD_NAME),
    "longest": (b"a" * 255, Reason.BAD_NAME),
}


@raws
@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_name(door: DatagramDoor, save: Save, case: str, raw: bool) -> None:
    door.cars.device("car55")
    name, reason = REFUSED[case]
    with client(door, *save(door.car.credential).options(raw=raw), *saying(name)) as peer:
        event = peer.command("connect", expected="failed")
        assert event["alerts_received"] == [[FATAL, HANDSHAKE_FAILURE]]
    assert door.decision().reason is reason
    assert door.lookups() == ([OTHER.decode()] if reason is Reason.TLSA_MISMATCH else [])


def test_without_a_name(door: DatagramDoor, save: Save) -> None:
    with client(door, *save(door.car.credential).options()) as peer:
        peer.connect()
        assert peer.read() == GREETING
        assert door.decision().name_source == "san"
    with client(door, *save(door.car.credential).options(raw=True)) as peer:
        assert peer.command("connect", expected="failed")["alerts_received"] == [[FATAL, HANDSHAKE_FAILURE]]
        assert door.decision().reason is Reason.NO_NAME
    with client(door, *saying(NAME)) as peer:
        assert peer.command("connect", expected="failed")["alerts_received"] == [[FATAL, HANDSHAKE_FAILURE]]
        assert door.decision().reason is Reason.NO_CREDENTIAL


def test_a_malformed_name(door: DatagramDoor, save: Save) -> None:
    wrong = sends("ch,sh12", f"ch:0:1b{NAME.hex()}")
    with client(door, *save(door.car.credential).options(), *wrong) as peer:
        assert peer.command("connect", expected="failed")["alerts_received"] == [[FATAL, DECODE_ERROR]]
    assert door.lookups() == []


@pytest.mark.parametrize("mtu", ["256", "512", "1400"])
def test_links_of_other_sizes(door: DatagramDoor, save: Save, mtu: str) -> None:
    """The client's certificate comes in as many pieces as its link asks for."""
    with client(door, *save(door.car.credential).options(), *saying(NAME), "--mtu", mtu) as peer:
        peer.connect()
        assert peer.read() == GREETING


@pytest.mark.parametrize("cipher", ["ECDHE-ECDSA-AES128-CCM", "ECDHE-ECDSA-AES128-CCM8"])
def test_constrained_doors(world: World, save: Save, cipher: str) -> None:
    narrow = cipher.endswith("8")
    with open_datagram_door(world, datagram=Datagrams(constrained=True, danger_ccm_8=narrow)) as door:
        weak = ["--level", "0"] if narrow else []
        with client(
            door, *save(door.car.credential).options(raw=True), *saying(NAME), *weak, "--ciphers", cipher
        ) as peer:
            event = peer.connect()
            assert event["cipher"] == cipher
            assert event["group"].lower() == "x25519"
            assert peer.read() == GREETING
        with client(door, *save(door.car.credential).options(), *saying(NAME), "--ciphers", "ECDHE+AESGCM") as peer:
            assert peer.command("connect", expected="failed")["alerts_received"] == [[FATAL, HANDSHAKE_FAILURE]]


# --- our client


def context(world: World, credential: Credential, **options: Any) -> Context:
    made = Context.client(credential, datagram=True, profiles=["cid07"], clear_name_to=[HOST], **options)
    made.load_verify_locations(cadata=world.web_root_pem.decode())
    return made


@contextmanager
def connected(peer: OpensslPeer, ours: Context) -> Iterator[tuple[BlockingConnection, Event]]:
    peer.tell("accept")
    with open_datagram_connection_blocking(
        "127.0.0.1", peer.port, context=ours, server_hostname=HOST, seconds=PATIENCE
    ) as connection:
        yield connection, peer.event("handshake")


@pytest.fixture
def car(world: World) -> Device:
    return world.organisation("cars.example").device("car54")


def server(world: World, save: Save, *options: str) -> OpensslPeer:
    own = save(world.web_credential(HOST)).options()
    understood = asks_name(b"", profile="cid07", version="1.2")
    return OpensslPeer("server", *own, *understood, *options, datagram=True)


@pytest.mark.parametrize("algorithm", KEYS)
@raws
def test_our_name_is_in_the_hello(world: World, save: Save, algorithm: KeyAlgorithm, raw: bool) -> None:
    car = world.organisation("cars.example").device("car54", algorithm=algorithm)
    ours = context(world, car.credential, raw_public_key=raw)
    with (
        server(world, save, "--peer", "0200", "--ask", "must") as peer,
        connected(peer, ours) as (connection, event),
    ):
        assert event["version"] == DTLS12
        assert names_in(event) == [("ch", 0, bytes([len(NAME)]) + NAME)]
        assert (event["client_type"], event["raw_key"]) == (
            (RAW, car.credential.presented.spki.hex()) if raw else (X509, "")
        )
        peer.write(b"welcome")
        assert connection.receive(PATIENCE) == b"welcome"
        connection.send(b"report")
        assert peer.read() == b"report"
        peer.close()
        assert connection.receive(PATIENCE) == b""


def test_our_name_stays_at_home_with_others(world: World, save: Save, car: Device) -> None:
    """LEG-05. Every DTLS is 1.2, so with a host that was not named there is no talking at all."""
    ours = Context.client(car.credential, datagram=True, profiles=["cid07"], clear_name_to=["another.example"])
    ours.load_verify_locations(cadata=world.web_root_pem.decode())
    with server(world, save) as peer:
        peer.tell("accept")
        with pytest.raises((OSError, DnsboundError)):
            open_datagram_connection_blocking("127.0.0.1", peer.port, context=ours, server_hostname=HOST, seconds=2)


def test_a_server_that_is_not_believed(world: World, save: Save, car: Device) -> None:
    other = save(world.web_credential("other.example")).options()
    listening = ["--extension", f"{DANE_CLIENTID}=ch,sh12"]
    with OpensslPeer("server", *other, *listening, datagram=True) as peer:
        peer.tell("accept")
        with pytest.raises(ssl.SSLCertVerificationError) as error:
            open_datagram_connection_blocking(
                "127.0.0.1", peer.port, context=context(world, car.credential), server_hostname=HOST, seconds=PATIENCE
            )
        assert isinstance(error.value, DnsboundError)
        event = peer.event("failed")
        assert len(event["alerts_received"]) == 1
        assert "chain" not in event


@pytest.mark.parametrize("mtu", ["256", "1400"])
def test_servers_on_links_of_other_sizes(world: World, save: Save, car: Device, mtu: str) -> None:
    with (
        server(world, save, "--mtu", mtu) as peer,
        connected(peer, context(world, car.credential)) as (connection, _event),
    ):
        peer.write(b"welcome")
        assert connection.receive(PATIENCE) == b"welcome"


def test_keying_material_is_the_same_on_both_sides(world: World, save: Save, car: Device) -> None:
    with server(world, save) as peer, connected(peer, context(world, car.credential)) as (connection, _event):
        ours = connection.shim.export_keying_material(b"EXPORTER-interop", 32, b"context")
        assert ours == peer.export(b"EXPORTER-interop", b"context", 32)


# --- the server's raw key, believed by its record alone


def raw_server(save: Save, shown: Credential) -> OpensslPeer:
    listening = ["--extension", f"{DANE_CLIENTID}=ch,sh12", "--peer", "0200"]
    return OpensslPeer("server", *save(shown).options(raw=True), *listening, datagram=True)


def by_record(world: World, car: Device, peer: OpensslPeer, recorded: Credential) -> Context:
    zone = world.organisation("cars.example")
    zone.address(HOST, "127.0.0.1")
    zone.publish(f"_{peer.port}._udp.{HOST}", recorded.tlsa())
    made = context(world, car.credential, resolver=world.resolver(), server_tlsa="require", raw_public_key=True)
    made.prepare_blocking(HOST, peer.port)
    return made


def test_raw_keys_both_ways(world: World, save: Save, car: Device) -> None:
    shown = Credential.generate(HOST, now=world.now(), kind="raw")
    with raw_server(save, shown) as peer, connected(peer, by_record(world, car, peer, shown)) as (connection, event):
        assert (event["client_type"], event["server_type"]) == (RAW, RAW)
        assert connection.server_tlsa() == shown.tlsa()
        peer.write(b"welcome")
        assert connection.receive(PATIENCE) == b"welcome"


@pytest.mark.parametrize("case", ["another key's record", "no record asked for"])
def test_a_raw_key_nobody_vouches_for(world: World, save: Save, car: Device, case: str) -> None:
    shown, other = (Credential.generate(HOST, now=world.now(), kind="raw") for _ in range(2))
    with raw_server(save, shown) as peer:
        if case == "another key's record":
            ours = by_record(world, car, peer, other)
        else:
            ours = context(world, car.credential, raw_public_key=True)
        peer.tell("accept")
        with pytest.raises(ssl.SSLError) as error:
            open_datagram_connection_blocking(
                "127.0.0.1", peer.port, context=ours, server_hostname=HOST, seconds=PATIENCE
            )
        assert isinstance(error.value, DnsboundError)
        peer.event("failed")
