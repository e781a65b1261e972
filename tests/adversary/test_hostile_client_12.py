"""TLS 1.2 as no library speaks it, at a real door that takes profile cid07. Each fails closed with its own reason, and
nobody who has not proved possession of a key causes a lookup. Orders of messages in detail: `test_tls12_engine`.
"""

import time
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from adversary.door import GREETING, Door, open_door
from adversary.hostile_client import CLIENT_HELLO, Entry, HostileClient, Session, client_name, extension
from adversary.hostile_client_12 import DOWNGRADE_SENTINEL, HostileClient12
from dnsbound import Reason
from dnsbound.iana import DANE_CLIENTID
from dnsbound.testing import Fault, World
from machines.native_pairs import make_identity

WARNING, FATAL = 1, 2
UNEXPECTED_MESSAGE, BAD_RECORD_MAC, HANDSHAKE_FAILURE, ILLEGAL_PARAMETER = 10, 20, 40, 47
DECODE_ERROR, DECRYPT_ERROR, PROTOCOL_VERSION, NO_RENEGOTIATION = 50, 51, 70, 100
NAME = b"car54._device.cars.example"
OTHER = b"car55._device.cars.example"
SESSION_TICKET = 35
OTHERS = make_identity("other.example")


@pytest.fixture
def door(world: World) -> Iterator[Door]:
    with open_door(world, ticket_lifetime=600, profiles=("ca13", "cid07")) as opened:
        yield opened


def saying(name: bytes | None = NAME, **options: object) -> HostileClient12:
    extensions = b"" if name is None else extension(DANE_CLIENTID, client_name(name))
    return HostileClient12(extra_extensions=extensions, **options)  # type: ignore[arg-type]


def key(door: Door) -> ec.EllipticCurvePrivateKey:
    own = door.car.credential.private_key
    assert isinstance(own, ec.EllipticCurvePrivateKey)
    return own


def flight(door: Door, client: HostileClient12, order: str = "certificate exchange signature change finished") -> bytes:
    """The client's second flight, its messages made in this order."""
    credential = door.car.credential
    made = {
        "certificate": lambda: (
            client.raw_key(credential.presented.spki) if client.raw_public_key else client.certificate(credential.chain)
        ),
        "nothing": lambda: client.certificate([]),
        "other": lambda: client.raw_key(OTHERS.spki) if client.raw_public_key else client.certificate(OTHERS.chain),
        "exchange": client.client_key_exchange,
        "signature": lambda: client.certificate_verify(key(door)),
        "damaged": lambda: client.certificate_verify(key(door), damaged=True),
        "foreign": lambda: client.certificate_verify(ec.generate_private_key(ec.SECP256R1())),
        "change": client.change_cipher_spec,
        "finished": client.finished,
        "wrong": lambda: client.finished(damaged=True),
        "data": lambda: client.data(b"report"),
    }
    return b"".join(made[part]() for part in order.split())


def log_in(
    door: Door, client: HostileClient12, order: str = "certificate exchange signature change finished data"
) -> None:
    """The handshake as told, then read to the end."""
    with Session(door.address, client) as session:
        session.handshake()
        session.send(flight(door, client, order))
        session.until_closed()


def nobody_was_told(door: Door, client: HostileClient12, *, lookups: list[bytes] | None = None) -> None:
    """Neither the application, nor the client's keys: what ends it comes in clear, since the server never finished."""
    assert (client.application_data, door.delivered, client.tickets) == (b"", [], 0)
    assert not client.server_finished
    assert client.protected_alerts == []
    assert door.lookups() == [name.decode() for name in lookups or []]


@pytest.mark.parametrize("raw", [False, True], ids=["x509", "raw"])
def test_an_honest_handshake_is_let_in(door: Door, raw: bool) -> None:
    client = saying(raw_public_key=raw)
    client.extra_extensions += extension(SESSION_TICKET, b"")
    log_in(door, client)
    assert client.hello_extensions()[DANE_CLIENTID] == b""
    assert client.server_finished
    assert client.application_data == GREETING
    assert door.delivered == [b"report"]
    assert client.tickets == 0, "TLS 1.2 never resumes here"
    decision = door.decision()
    assert (decision.reason, decision.name, decision.protocol) == (None, NAME.decode(), "TLSv1.2 cid07")
    assert door.lookups() == [NAME.decode()]


# --- before the verdict


def test_nothing_is_said_before_the_verdict(world: World) -> None:
    """Not even the server's Finished: a client that knows it could take itself for admitted (RFC 7918)."""
    with open_door(world, deadline=5.0, profiles=("cid07",)) as door:
        world.fault(NAME.decode(), Fault.SLOW, seconds=0.6)
        client = saying()
        with Session(door.address, client) as session:
            session.handshake()
            session.send(flight(door, client), client.data(b"report"))
            session.socket.settimeout(0.3)
            with pytest.raises(TimeoutError):
                session.receive()
            assert not client.server_finished
            assert door.delivered == []
            session.socket.settimeout(5)
            session.until_closed()
        assert (client.server_finished, client.application_data, door.delivered) == (True, GREETING, [b"report"])


def test_data_before_the_verdict_is_never_read_after_a_refusal(world: World) -> None:
    with open_door(world, deadline=0.5, profiles=("cid07",)) as door:
        world.fault(NAME.decode(), Fault.DEAD)
        client = saying()
        log_in(door, client)
        assert client.alerts == [(FATAL, HANDSHAKE_FAILURE)]
        assert door.decision().reason is Reason.DNS_FAILED
        assert (client.application_data, door.delivered) == (b"", [])
        assert not client.server_finished


# --- possession

ORDERS = {
    "no signature": ("certificate exchange change finished data", UNEXPECTED_MESSAGE),
    "a damaged signature": ("certificate exchange damaged change finished data", DECRYPT_ERROR),
    "another key's signature": ("certificate exchange foreign change finished data", DECRYPT_ERROR),
    "two signatures": ("certificate exchange signature signature change finished data", UNEXPECTED_MESSAGE),
    "a late signature": ("certificate exchange change signature finished data", UNEXPECTED_MESSAGE),
    "another certificate behind the name": ("other exchange signature change finished data", DECRYPT_ERROR),
    "two certificates": ("certificate other exchange signature change finished data", UNEXPECTED_MESSAGE),
    "a wrong Finished": ("certificate exchange signature change wrong data", DECRYPT_ERROR),
    "data in place of Finished": ("certificate exchange signature change data", UNEXPECTED_MESSAGE),
}


@pytest.mark.parametrize("raw", [False, True], ids=["x509", "raw"])
@pytest.mark.parametrize("case", ORDERS)
def test_a_name_without_possession_causes_no_lookup(door: Door, case: str, raw: bool) -> None:
    order, alert = ORDERS[case]
    client = saying(raw_public_key=raw)
    log_in(door, client, order)
    assert client.alerts == [(FATAL, alert)]
    assert door.no_decision_is_waiting()
    nobody_was_told(door, client)


def test_a_name_and_a_signature_for_nothing(door: Door) -> None:
    client = saying()
    log_in(door, client, "nothing exchange signature change finished data")
    assert client.alerts == [(FATAL, UNEXPECTED_MESSAGE)]
    assert door.no_decision_is_waiting()
    nobody_was_told(door, client)


def test_a_name_and_no_certificate(door: Door) -> None:
    client = saying()
    log_in(door, client, "nothing exchange change finished data")
    assert client.alerts == [(FATAL, HANDSHAKE_FAILURE)], "one generic alert for every refusal"
    assert door.decision().reason is Reason.NO_CREDENTIAL
    nobody_was_told(door, client)


# --- names

REFUSED_NAMES = {
    "wildcard label": (b"*._device.cars.example", Reason.BAD_NAME),
    "255 octets": (b"a" * 255, Reason.BAD_NAME),
    "trailing dot": (NAME + b".", Reason.BAD_NAME),
    "not ASCII": ("cär._device.cars.example".encode(), Reason.BAD_NAME),
    "NUL": (NAME[:-1] + b"\0", Reason.BAD_NAME),
    "not on the list": (b"car99._device.cars.example", Reason.NOT_PERMITTED),
}


@pytest.mark.parametrize("raw", [False, True], ids=["x509", "raw"])
@pytest.mark.parametrize("case", REFUSED_NAMES)
def test_a_name_that_cannot_be_claimed_is_refused_without_a_lookup(door: Door, case: str, raw: bool) -> None:
    name, reason = REFUSED_NAMES[case]
    client = saying(name, raw_public_key=raw)
    log_in(door, client)
    assert client.alerts == [(FATAL, HANDSHAKE_FAILURE)]
    assert door.decision().reason is reason
    nobody_was_told(door, client)


@pytest.mark.parametrize("raw", [False, True], ids=["x509", "raw"])
def test_anothers_key_under_a_permitted_name(door: Door, raw: bool) -> None:
    door.cars.device("car55")
    client = saying(OTHER, raw_public_key=raw)
    log_in(door, client)
    assert client.alerts == [(FATAL, HANDSHAKE_FAILURE)]
    assert door.decision().reason is Reason.TLSA_MISMATCH
    nobody_was_told(door, client, lookups=[OTHER])


def test_an_extension_with_no_octets_leaves_the_name_to_the_certificate(door: Door) -> None:
    """LEG-02: and a raw key has none to show."""
    client = HostileClient12(extra_extensions=extension(DANE_CLIENTID, b""))
    log_in(door, client)
    assert client.application_data == GREETING
    assert door.decision().name_source == "san"
    client = HostileClient12(extra_extensions=extension(DANE_CLIENTID, b""), raw_public_key=True)
    log_in(door, client)
    assert client.alerts == [(FATAL, HANDSHAKE_FAILURE)]
    assert door.decision().reason is Reason.EMPTY_NAME
    assert not client.server_finished


HELLO_NAMES = {
    "twice": (extension(DANE_CLIENTID, client_name(NAME)) * 2, ILLEGAL_PARAMETER),
    "two names": (
        extension(DANE_CLIENTID, client_name(NAME)) + extension(DANE_CLIENTID, client_name(OTHER)),
        ILLEGAL_PARAMETER,
    ),
    "trailing octets": (extension(DANE_CLIENTID, client_name(NAME) + b"!"), DECODE_ERROR),
    "a length past the end": (extension(DANE_CLIENTID, b"\xff" + NAME), DECODE_ERROR),
    "of zero length": (extension(DANE_CLIENTID, b"\0"), DECODE_ERROR),
}


@pytest.mark.parametrize("case", HELLO_NAMES)
def test_a_malformed_name_ends_the_handshake(door: Door, case: str) -> None:
    wire, alert = HELLO_NAMES[case]
    client = HostileClient12(extra_extensions=wire)
    with Session(door.address, client) as session:
        session.send(client.client_hello())
        assert session.until_closed() == [(FATAL, alert)]
    assert door.no_decision_is_waiting()
    assert (door.lookups(), door.delivered) == ([], [])


@pytest.mark.parametrize("second", [OTHER, NAME.upper(), NAME[:-1], b""])
def test_one_name_in_the_hello_and_another_in_the_certificate(door: Door, second: bytes) -> None:
    """TLS 1.3 with a client that speaks cid07 too: the two are one claim, or none."""
    client = HostileClient(extra_extensions=extension(DANE_CLIENTID, client_name(NAME)))
    with Session(door.address, client) as session:
        session.handshake()
        entry = Entry(door.car.credential.chain[0], extension(DANE_CLIENTID, client_name(second)))
        session.send(client.certificate([entry]), client.certificate_verify(key(door)), client.finished())
        session.send(client.data(b"report"))
        session.until_closed()
    assert client.alerts[0][1] in {ILLEGAL_PARAMETER, HANDSHAKE_FAILURE}
    assert (client.application_data, door.delivered, door.lookups()) == (b"", [], [])


def test_a_name_in_the_hello_is_no_claim_in_tls_1_3(door: Door) -> None:
    """It is not signed for as the Certificate message's is: the certificate's own name counts, or nothing does."""
    door.cars.device("car55")
    client = HostileClient(extra_extensions=extension(DANE_CLIENTID, client_name(OTHER)))
    with Session(door.address, client) as session:
        session.handshake()
        entry = Entry(door.car.credential.chain[0])
        session.send(client.certificate([entry]), client.certificate_verify(key(door)), client.finished())
        session.send(client.data(b"report"))
        session.until_closed()
    decision = door.decision()
    assert (decision.reason, decision.name, decision.name_source) == (None, NAME.decode(), "san")
    assert door.lookups() == [NAME.decode()]


# --- versions


def test_a_door_without_the_profile_speaks_no_tls_1_2(world: World) -> None:
    """CA-02: whoever can take away a client's TLS 1.3 gets nothing to attack."""
    for profiles in (("ca13",), ("ca13", "ca10")):
        with open_door(world, profiles=profiles) as door:
            # The extension has no place in a ClientHello there.
            for name, alert in ((None, PROTOCOL_VERSION), (NAME, ILLEGAL_PARAMETER)):
                client = saying(name)
                with Session(door.address, client) as session:
                    session.send(client.client_hello())
                    assert session.until_closed() == [(FATAL, alert)]
            assert door.no_decision_is_waiting()


def test_less_than_the_door_could_is_marked(door: Door, world: World) -> None:
    """RFC 9846 section 4.2.3: a client of TLS 1.3 that was talked down sees it, and ends it itself."""
    client = saying()
    with Session(door.address, client) as session:
        session.handshake()
    assert client.server_random.endswith(DOWNGRADE_SENTINEL)


@pytest.mark.parametrize("version", [0x0301, 0x0302])
def test_older_versions_are_not_spoken(door: Door, version: int) -> None:
    client = saying()
    client.version = version
    with Session(door.address, client) as session:
        session.send(client.client_hello())
        assert session.until_closed() == [(FATAL, PROTOCOL_VERSION)]


def test_the_master_secret_must_be_extended(door: Door) -> None:
    """RFC 7627: without it, whoever the client talks to could be this client here."""
    client = saying(extended_master_secret=False)
    log_in(door, client)
    assert client.alerts == [(FATAL, HANDSHAKE_FAILURE)]
    nobody_was_told(door, client)


# --- afterwards


def test_nobody_becomes_another_by_renegotiation(door: Door) -> None:
    """CVE-2009-3555's shape: what was said before belongs to one, what comes after to somebody else."""
    client = saying()
    with Session(door.address, client) as session:
        session.handshake()
        session.send(flight(door, client))
        while not client.application_data:
            session.receive()
        client.renegotiation_info = client.verify_data
        client.extra_extensions = extension(DANE_CLIENTID, client_name(OTHER))
        session.send(client.aside(CLIENT_HELLO, client.hello_body()))
        while not client.alerts:
            session.receive()
        assert client.alerts == [(WARNING, NO_RENEGOTIATION)]
        session.send(client.data(b"report"))
        session.until_closed()
    assert door.delivered == [b"report"]
    assert door.decision().name == NAME.decode()
    assert door.no_decision_is_waiting()
    assert door.lookups() == [NAME.decode()]


def test_renegotiation_before_the_verdict(world: World) -> None:
    with open_door(world, deadline=5.0, profiles=("cid07",)) as door:
        world.fault(NAME.decode(), Fault.SLOW, seconds=0.3)
        client = saying()
        with Session(door.address, client) as session:
            session.handshake()
            sent = flight(door, client)
            client.renegotiation_info = client.verify_data
            client.extra_extensions = extension(DANE_CLIENTID, client_name(OTHER))
            session.send(sent, client.aside(CLIENT_HELLO, client.hello_body()), client.data(b"report"))
            session.until_closed()
        assert door.delivered == [b"report"]
        assert door.decision().name == NAME.decode()
        assert door.lookups() == [NAME.decode()]


@pytest.mark.parametrize(
    "order", ["", "certificate", "certificate exchange signature", "certificate exchange signature change"]
)
def test_stopping_half_way_ends_at_the_deadline_without_a_lookup(world: World, order: str) -> None:
    with open_door(world, handshake_seconds=1, profiles=("cid07",)) as door:
        client = saying()
        began = time.monotonic()
        log_in(door, client, order)
        assert time.monotonic() - began < 4
        assert (door.lookups(), door.delivered) == ([], [])
        again = saying()
        log_in(door, again)
        assert again.application_data == GREETING, "the door still works"
