"""OpenSSL's own client at our door, over TLS 1.3: who it says it is, in every way and wrongly."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from adversary.door import GREETING, Door, open_door
from dnsbound import Reason
from dnsbound.credential.credential import Credential
from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.testing import World
from interop.openssl_peer.peer import DANE_CLIENTID, Event, Files, OpensslPeer, names_in, says_name, sends

NAME = b"car54._device.cars.example"
OTHER = b"car55._device.cars.example"
UNEXPECTED_MESSAGE, HANDSHAKE_FAILURE, ILLEGAL_PARAMETER, DECODE_ERROR = 10, 40, 47, 50
FATAL = 2
TLS13, X509, RAW = 0x0304, 0, 2

Save = Callable[[Credential], Files]


def client(door: Door, *options: str) -> OpensslPeer:
    _host, port = door.address
    return OpensslPeer("client", "--port", str(port), "--sni", "api.cars.example", "--min", "1.3", *options)


def admitted(peer: OpensslPeer, door: Door) -> Event:
    """The handshake's event, once the application has greeted and been answered."""
    event = peer.connect()
    assert peer.read() == GREETING
    peer.write(b"report")
    assert door.decision().reason is None
    return event


def refused(peer: OpensslPeer, door: Door, reason: Reason) -> None:
    """TLS 1.3 clients learn of a refusal after their handshake, by one alert that is the same for every reason."""
    peer.connect()
    event = peer.command("read", expected="failed")
    assert event["alerts_received"] == [[FATAL, HANDSHAKE_FAILURE]]
    assert door.decision().reason is reason
    assert door.delivered == []


@pytest.mark.parametrize("algorithm", KeyAlgorithm)
@pytest.mark.parametrize("raw", [False, True], ids=["x509", "raw"])
def test_a_name_with_a_certificate_or_a_raw_key(door: Door, save: Save, algorithm: KeyAlgorithm, raw: bool) -> None:
    door.car.revoke()
    door.car = door.cars.device("car54", algorithm=algorithm)
    with client(door, *save(door.car.credential).options(raw=raw), *says_name(NAME)) as peer:
        event = admitted(peer, door)
        assert (event["version"], event["client_type"]) == (TLS13, RAW if raw else X509)
        assert event["asked_for_certificate"]
        assert names_in(event) == [("cr", 0, b"\0")], "an empty ClientName asks for the name"
        peer.close()
    assert door.lookups() == [NAME.decode()]


def test_the_name_in_the_certificate_alone(door: Door, save: Save) -> None:
    with client(door, *save(door.car.credential).options()) as peer:
        assert names_in(admitted(peer, door)) == [], "it does not know the extension"


REFUSED = {
    "not on the list": (b"car99._device.cars.example", Reason.NOT_PERMITTED),
    "another's": (OTHER, Reason.TLSA_MISMATCH),
    "empty": (b"", Reason.EMPTY_NAME),
    "wildcard": (b"*._device.cars.example", Reason.BAD_NAME),
    "trailing dot": (NAME + b".", Reason.BAD_NAME),
    "longest": (b"a" * 255, Reason.BAD_NAME),
    "octets": (bytes(range(128, 160)), Reason.BAD_NAME),
}


@pytest.mark.parametrize("raw", [False, True], ids=["x509", "raw"])
@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_name(door: Door, save: Save, case: str, raw: bool) -> None:
    door.cars.device("car55")
    name, reason = REFUSED[case]
    with client(door, *save(door.car.credential).options(raw=raw), *says_name(name)) as peer:
        refused(peer, door, reason)
    assert door.lookups() == ([OTHER.decode()] if reason is Reason.TLSA_MISMATCH else [])


def test_a_raw_key_without_a_name(door: Door, save: Save) -> None:
    with client(door, *save(door.car.credential).options(raw=True)) as peer:
        refused(peer, door, Reason.NO_NAME)
    assert door.lookups() == []


def test_no_credential(door: Door) -> None:
    with client(door, *says_name(NAME)) as peer:
        refused(peer, door, Reason.NO_CREDENTIAL)
    assert door.lookups() == []


def test_a_raw_key_where_only_certificates_are_taken(world: World, save: Save) -> None:
    """A client that has a certificate as well shows that. One that has not shows none, and OpenSSL's signs all the
    same: that is no TLS, and ends it before there is a claim.
    """
    with open_door(world, raw_public_keys=False) as door:
        files = save(door.car.credential)
        both = ["--key", str(files.key), "--chain", str(files.chain), "--own", "0200"]
        with client(door, *both, *says_name(NAME)) as peer:
            assert admitted(peer, door)["client_type"] == X509
        with client(door, *files.options(raw=True), *says_name(NAME)) as peer:
            peer.connect()
            event = peer.command("read", expected="failed")
            assert event["alerts_received"] == [[FATAL, UNEXPECTED_MESSAGE]]
        assert door.no_decision_is_waiting()
        assert door.lookups() == [NAME.decode()]


BROKEN = {
    "trailing octets": (f"1a{NAME.hex()}21", DECODE_ERROR),
    "length past the end": (f"1b{NAME.hex()}", DECODE_ERROR),
    "no octets": ("", DECODE_ERROR),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_malformed_name(door: Door, save: Save, case: str) -> None:
    data, alert = BROKEN[case]
    with client(door, *save(door.car.credential).options(), *sends("cr,ct", f"ct:0:{data}")) as peer:
        peer.connect()
        assert peer.command("read", expected="failed")["alerts_received"] == [[FATAL, alert]]
    assert door.lookups() == []


def test_a_name_in_two_entries(door: Door, save: Save) -> None:
    credential = door.car.credential
    files = save(replace(credential, chain=(*credential.chain, *door.world.web_credential("other.example").chain)))
    second = ["--send", f"{DANE_CLIENTID}:ct:1:1a{NAME.hex()}"]
    with client(door, *files.options(), *says_name(NAME), *second) as peer:
        peer.connect()
        event = peer.command("read", expected="failed")
        assert event["alerts_received"] == [[FATAL, ILLEGAL_PARAMETER]]
    assert door.lookups() == []


@pytest.mark.parametrize("raw", [False, True], ids=["x509", "raw"])
def test_every_resumption_is_judged(door: Door, save: Save, raw: bool) -> None:
    """The ticket carries no right: the name's record at this moment does."""
    door.cars.replace(door.car.name.text, door.car.record, ttl=300)  # a ticket lives no longer than its evidence
    with client(door, *save(door.car.credential).options(raw=raw), *says_name(NAME)) as peer:
        assert admitted(peer, door)["resumed"] == 0
        event = peer.connect(peer.session())
        assert (event["resumed"], event["asked_for_certificate"]) == (1, 0)
        assert peer.read() == GREETING
        decision = door.decision()
        assert (decision.reason, decision.name) == (None, NAME.decode())
        session = peer.session()
        door.car.revoke()
        door.evidence.clear()
        assert peer.connect(session)["resumed"] == 1
        assert peer.command("read", expected="failed")["alerts_received"] == [[FATAL, HANDSHAKE_FAILURE]]
        assert door.decision().reason is Reason.NO_TLSA


@pytest.mark.parametrize("raw", [False, True], ids=["x509", "raw"])
def test_a_session_of_an_old_key_is_not_the_new_ones(door: Door, save: Save, raw: bool) -> None:
    with client(door, *save(door.car.credential).options(raw=raw), *says_name(NAME)) as peer:
        admitted(peer, door)
        session = peer.session()
    assert session
    door.car.revoke()
    door.evidence.clear()
    new = door.cars.device("car54")
    with client(door, *save(new.credential).options(raw=raw), *says_name(NAME)) as peer:
        assert peer.connect(session)["resumed"] == 1
        assert peer.command("read", expected="failed")["alerts_received"] == [[FATAL, HANDSHAKE_FAILURE]]
        assert door.decision().reason is Reason.TLSA_MISMATCH
        admitted(peer, door)


def test_a_key_update_in_between(door: Door, save: Save) -> None:
    with client(door, *save(door.car.credential).options(), *says_name(NAME)) as peer:
        peer.connect()
        peer.command("update", expected="written")
        assert peer.read() == GREETING
        assert door.decision().reason is None


def test_a_session_is_one_doors(world: World, door: Door, save: Save) -> None:
    """At another one its ticket is nothing: the client proves its key there, and is judged."""
    with client(door, *save(door.car.credential).options(), *says_name(NAME)) as peer:
        admitted(peer, door)
        session = peer.session()
    with (
        open_door(world, ticket_lifetime=600) as other,
        client(other, *save(other.car.credential).options(), *says_name(NAME)) as peer,
    ):
        event = peer.connect(session)
        assert (event["resumed"], event["asked_for_certificate"]) == (0, 1)
        assert peer.read() == GREETING
        assert other.decision().reason is None


@pytest.mark.parametrize("group", ["X25519MLKEM768", "X25519", "P-256"])
def test_key_exchanges(door: Door, save: Save, group: str) -> None:
    with client(door, *save(door.car.credential).options(), *says_name(NAME), "--groups", group) as peer:
        event = admitted(peer, door)
        assert event["group"].lower() == {"p-256": "secp256r1"}.get(group.lower(), group.lower())
