"""What no library lets a client say, said to a real door. Each fails closed with its own reason, and nobody who has not
proved possession of a key causes a lookup.
"""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from adversary.door import GREETING, Door, open_door
from adversary.hostile_client import CERTIFICATE_REQUEST, Entry, HostileClient, Session, client_name, extension
from dnsbound import Reason
from dnsbound.iana import DANE_CLIENTID
from dnsbound.testing import World

FATAL = 2
HANDSHAKE_FAILURE, ILLEGAL_PARAMETER, DECODE_ERROR, DECRYPT_ERROR, UNSUPPORTED_EXTENSION = 40, 47, 50, 51, 110
UNEXPECTED_MESSAGE = 10
NAME = b"car54._device.cars.example"


def clientid(data: bytes) -> bytes:
    return extension(DANE_CLIENTID, data)


def entry(door: Door, name: bytes | None = NAME) -> Entry:
    """The car's own certificate with this name in dane_clientid."""
    return Entry(door.car.credential.chain[0], b"" if name is None else clientid(client_name(name)))


def log_in(door: Door, entries: list[Entry]) -> HostileClient:
    """Handshake as told, with application data in the same flight, then read to the end."""
    key = door.car.credential.private_key
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    client = HostileClient()
    with Session(door.address, client) as session:
        session.handshake()
        session.send(client.certificate(entries), client.certificate_verify(key), client.finished())
        session.send(client.data(b"report"))
        session.until_closed()
    return client


def test_an_honest_handshake_is_let_in(door: Door) -> None:
    client = log_in(door, [entry(door)])
    assert client.application_data == GREETING
    assert door.delivered == [b"report"]
    decision = door.decision()
    assert (decision.reason, decision.name) == (None, NAME.decode())
    assert door.lookups() == [NAME.decode()]
    assert client.tickets == 1


def test_the_server_asks_with_an_empty_name(door: Door) -> None:
    client = HostileClient()
    with Session(door.address, client) as session:
        session.handshake()
    requested = client.requested_extensions()
    assert requested[DANE_CLIENTID] == b"\0"
    assert 13 in requested, "signature_algorithms must be there"
    assert client.handshake[CERTIFICATE_REQUEST][0] == 0, "the request's context is empty in the handshake"


# --- names no client may claim

REFUSED_NAMES = {
    "empty": (b"", Reason.EMPTY_NAME),
    "wildcard label": (b"*._device.cars.example", Reason.BAD_NAME),
    "254 octets": (b".".join([b"a" * 49] * 5) + b"abcde", Reason.BAD_NAME),
    "255 octets": (b"a" * 255, Reason.BAD_NAME),
    "trailing dot": (NAME + b".", Reason.BAD_NAME),
    "empty label": (b"car54..cars.example", Reason.BAD_NAME),
    "escape": (b"car54\\046cars.example", Reason.BAD_NAME),
    "not ASCII": ("cär._device.cars.example".encode(), Reason.BAD_NAME),
    "NUL": (NAME[:-1] + b"\0", Reason.BAD_NAME),
    "one label": (b"car54", Reason.BAD_NAME),
    "not on the list": (b"car99._device.cars.example", Reason.NOT_PERMITTED),
}


@pytest.mark.parametrize("case", REFUSED_NAMES)
def test_a_name_that_cannot_be_claimed_is_refused_without_a_lookup(door: Door, case: str) -> None:
    name, reason = REFUSED_NAMES[case]
    client = log_in(door, [entry(door, name)])
    assert client.alerts == [(FATAL, HANDSHAKE_FAILURE)]
    assert door.decision().reason is reason
    assert (client.application_data, door.delivered, door.lookups(), client.tickets) == (b"", [], [], 0)


# --- where and how the extension may stand

BROKEN_EXTENSIONS = {
    "256 octets behind a length of 255": (clientid(b"\xff" + b"a" * 256), DECODE_ERROR),
    "trailing octets": (clientid(client_name(NAME) + b"!"), DECODE_ERROR),
    "length past the end": (clientid(b"\x1b" + NAME), DECODE_ERROR),
    "no length at all": (clientid(b""), DECODE_ERROR),
    "twice in one entry": (clientid(client_name(NAME)) * 2, ILLEGAL_PARAMETER),
}


@pytest.mark.parametrize("case", BROKEN_EXTENSIONS)
def test_a_broken_extension_ends_the_handshake(door: Door, case: str) -> None:
    wire, alert = BROKEN_EXTENSIONS[case]
    client = log_in(door, [Entry(door.car.credential.chain[0], wire)])
    assert client.alerts == [(FATAL, alert)]
    assert (client.application_data, door.delivered, door.lookups()) == (b"", [], [])


def test_a_name_in_another_entry_is_not_a_claim(door: Door) -> None:
    ca = door.world.web_credential("other.example").chain[0]
    leaf = entry(door, None)
    client = log_in(door, [leaf, Entry(ca, clientid(client_name(b"car55._device.cars.example")))])
    assert client.application_data == GREETING, "the certificate's own name is the claim, the stray one is ignored"
    assert door.lookups() == [NAME.decode()]


def test_names_in_two_entries_are_illegal(door: Door) -> None:
    ca = door.world.web_credential("other.example").chain[0]
    client = log_in(door, [entry(door), Entry(ca, clientid(client_name(NAME)))])
    assert client.alerts == [(FATAL, ILLEGAL_PARAMETER)]
    assert door.lookups() == []


def test_an_extension_nobody_asked_for(world: World) -> None:
    with open_door(world, claim_from=("san",)) as door:
        client = HostileClient()
        with Session(door.address, client) as session:
            session.handshake()
        assert DANE_CLIENTID not in client.requested_extensions()
        client = log_in(door, [entry(door)])
        assert client.alerts == [(FATAL, UNSUPPORTED_EXTENSION)]
        assert door.lookups() == []


# --- possession


def test_a_name_and_then_a_wrong_signature_causes_no_lookup(door: Door) -> None:
    key = door.car.credential.private_key
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    client = HostileClient()
    with Session(door.address, client) as session:
        session.handshake()
        session.send(client.certificate([entry(door)]), client.certificate_verify(key, damaged=True), client.finished())
        assert session.until_closed() == [(FATAL, DECRYPT_ERROR)]
    assert (door.lookups(), door.delivered) == ([], [])


def test_a_signature_by_another_key_causes_no_lookup(door: Door) -> None:
    client = HostileClient()
    with Session(door.address, client) as session:
        session.handshake()
        other = ec.generate_private_key(ec.SECP256R1())
        session.send(client.certificate([entry(door)]), client.certificate_verify(other), client.finished())
        assert session.until_closed() == [(FATAL, DECRYPT_ERROR)]
    assert (door.lookups(), door.delivered) == ([], [])


def test_a_wrong_finished_causes_no_lookup(door: Door) -> None:
    key = door.car.credential.private_key
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    client = HostileClient()
    with Session(door.address, client) as session:
        session.handshake()
        session.send(client.certificate([entry(door)]), client.certificate_verify(key), client.finished(damaged=True))
        assert session.until_closed() == [(FATAL, DECRYPT_ERROR)]
    assert (door.lookups(), door.delivered) == ([], [])


def test_a_missing_signature_causes_no_lookup(door: Door) -> None:
    client = HostileClient()
    with Session(door.address, client) as session:
        session.handshake()
        session.send(client.certificate([entry(door)]), client.finished())
        assert session.until_closed() == [(FATAL, UNEXPECTED_MESSAGE)]
    assert (door.lookups(), door.delivered) == ([], [])


def test_an_empty_certificate_is_refused_where_one_is_required(door: Door) -> None:
    client = HostileClient()
    with Session(door.address, client) as session:
        session.handshake()
        session.send(client.certificate([]), client.finished())
        assert session.until_closed() == [(FATAL, HANDSHAKE_FAILURE)], "one generic alert for every refusal"
    assert door.decision().reason is Reason.NO_CREDENTIAL
    assert (door.lookups(), door.delivered) == ([], [])


def test_anothers_certificate_under_a_permitted_name(door: Door) -> None:
    """The key is proved, the name is permitted, and the record says another key."""
    door.cars.device("car55")
    client = log_in(door, [entry(door, b"car55._device.cars.example")])
    assert client.alerts == [(FATAL, HANDSHAKE_FAILURE)]
    assert door.decision().reason is Reason.TLSA_MISMATCH
    assert door.delivered == []


# --- stopping after each message


@pytest.mark.parametrize("sent", ["nothing", "hello", "certificate", "signature"])
def test_stopping_half_way_ends_at_the_deadline_without_a_lookup(world: World, sent: str) -> None:
    with open_door(world, handshake_seconds=1) as door:
        key = door.car.credential.private_key
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        client = HostileClient()
        with Session(door.address, client) as session:
            if sent != "nothing":
                session.handshake()
            if sent in {"certificate", "signature"}:
                session.send(client.certificate([entry(door)]))
            if sent == "signature":
                session.send(client.certificate_verify(key))
            session.until_closed()
        assert (door.lookups(), door.delivered) == ([], [])
        assert log_in(door, [entry(door)]).application_data == GREETING, "the door still works"


def test_data_before_the_verdict_waits_for_it(world: World) -> None:
    """The flight carries a report; the application must not see it before World has answered."""
    from dnsbound.testing import Fault

    with open_door(world, deadline=1.0, ticket_lifetime=600) as door:
        world.fault(NAME.decode(), Fault.DEAD)
        client = log_in(door, [entry(door)])
        assert client.alerts == [(FATAL, HANDSHAKE_FAILURE)]
        assert door.decision().reason is Reason.DNS_FAILED
        assert (door.delivered, client.application_data, client.tickets) == ([], b"", 0)
