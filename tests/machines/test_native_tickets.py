"""Session tickets: sent only when asked for, with sealed data, for as long as allowed."""

import time

import pytest

from dnsbound import _native
from machines.native_pairs import (
    CLIENT_NAME,
    RAW,
    SERVER,
    TLS12,
    TLS13,
    client_config,
    client_identity,
    connect,
    flow,
    make_identity,
    read_all,
    server_config,
    server_identity,
)

SEALED = b"\x00name=car54\xff" * 3


def ticket_server(*, lifetime: int = 600, peer: tuple[int, ...] = (0,), version: int = TLS13) -> _native.Config:
    config = server_config(peer=peer, versions=(version, version))
    config.set_tickets(lifetime=lifetime)
    return config


def issue(server: _native.Config, client: _native.Config, lifetime: int = 600, data: bytes = SEALED) -> bytes:
    """A first connection and the session its ticket gives."""
    near, far = connect(server, client)
    assert near.session() is None
    far.send_ticket(lifetime, data)
    near.feed(far.drain())
    assert near.read(1) is None
    session = near.session()
    assert session is not None
    return session


@pytest.mark.parametrize("lifetime", [0, 600])
@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_no_ticket_is_sent_by_itself(lifetime: int, version: int) -> None:
    near, far = connect(ticket_server(lifetime=lifetime, version=version), client_config())
    far.write(b"hello")
    near.feed(far.drain())
    assert near.read(100) == b"hello"
    assert near.session() is None


@pytest.mark.parametrize("kind", [0, RAW])
def test_ts_03_a_ticket_resumes_with_what_was_sealed(kind: int) -> None:
    server, client = ticket_server(peer=(kind,)), client_config(own=[kind])
    near, far = connect(server, client, session=issue(server, client))
    assert near.session_reused()
    assert far.session_reused()
    assert far.ticket_application_data() == SEALED
    assert near.ticket_application_data() is None
    assert not near.certificate_requested()
    assert not far.clientid_requested()
    assert far.client_names() == []
    if kind == RAW:
        assert far.peer_raw_public_key() == client_identity().spki
        assert far.peer_chain() == []
    else:
        assert far.peer_chain() == list(client_identity().chain)
        assert far.peer_raw_public_key() is None
    assert near.peer_chain()[0] == server_identity().chain[0]
    assert far.server_name() == SERVER
    near.write(b"resumed")
    flow(near, far)
    assert far.read(100) == b"resumed"


def test_a_resumed_server_has_the_leaf_alone() -> None:
    authority = make_identity("Client Authority", authority=True, san=())
    identity = make_identity("car54.cars.example", issuer=authority)
    server, client = ticket_server(), client_config(identity=identity)
    _, far = connect(server, client, session=issue(server, client))
    assert far.session_reused()
    assert far.peer_chain() == [identity.chain[0]]


def test_a_second_ticket_and_one_of_a_resumed_connection() -> None:
    server, client = ticket_server(), client_config()
    near, far = connect(server, client)
    sessions = []
    for number in (b"one", b"two"):
        far.send_ticket(600, number)
        near.feed(far.drain())
        assert near.read(1) is None
        sessions.append(near.session())
    assert sessions[0] != sessions[1]
    for session, number in zip(sessions, (b"one", b"two"), strict=True):
        near, far = connect(server, client, session=session)
        assert far.ticket_application_data() == number
        far.send_ticket(600, b"again " + number)
        assert far.ticket_application_data() == number
        near.feed(far.drain())
        near.read(1)
        _, far = connect(server, client, session=near.session())
        assert far.ticket_application_data() == b"again " + number


def test_a_ticket_between_data() -> None:
    near, far = connect(ticket_server(), client_config())
    far.write(b"before ")
    far.send_ticket(600, b"")
    far.write(b"after")
    near.feed(far.drain())
    assert read_all(near) == b"before after"
    assert near.session() is not None


def test_empty_sealed_data() -> None:
    server, client = ticket_server(), client_config()
    _, far = connect(server, client, session=issue(server, client, data=b""))
    assert far.session_reused()
    assert far.ticket_application_data() is None


def test_the_most_data() -> None:
    server, client = ticket_server(), client_config()
    data = bytes(16384)
    _, far = connect(server, client, session=issue(server, client, data=data))
    assert far.ticket_application_data() == data
    with pytest.raises(ValueError, match="16384"):
        far.send_ticket(600, data + b"x")


def test_another_config_does_not_know_the_ticket() -> None:
    client = client_config()
    session = issue(ticket_server(), client)
    near, far = connect(ticket_server(), client, session=session)
    assert not near.session_reused()
    assert not far.session_reused()
    assert far.ticket_application_data() is None
    assert far.client_names() == [(0, CLIENT_NAME)]


def test_a_damaged_session_is_a_full_handshake_or_an_error() -> None:
    server, client = ticket_server(), client_config()
    session = bytearray(issue(server, client))
    with pytest.raises(_native.TlsError):
        _native.Connection(client, session=b"\x30\x03\x02\x01\x01")
    with pytest.raises(_native.TlsError):
        _native.Connection(client, session=b"")
    outcomes = set()
    for place in range(len(session) - 80, len(session), 7):
        changed = bytes(session[:place]) + bytes((session[place] ^ 0x55,)) + bytes(session[place + 1 :])
        try:
            _, far = connect(server, client, session=changed)
        except _native.TlsError:
            outcomes.add("refused")
        else:
            outcomes.add("resumed" if far.session_reused() else "full")
            assert far.ticket_application_data() in {None, SEALED}
    assert outcomes & {"refused", "full"}


def test_a_ticket_ends() -> None:
    """A second is the protocol's smallest unit: this one has to be waited for."""
    server, client = ticket_server(), client_config()
    session = issue(server, client, lifetime=1)
    deadline = time.monotonic() + 10
    while connect(server, client, session=session)[1].session_reused():
        assert time.monotonic() < deadline, "the ticket does not end"
        time.sleep(0.1)
    near, far = connect(server, client, session=session)
    assert not near.session_reused()
    assert far.client_names() == [(0, CLIENT_NAME)]


def test_the_config_caps_the_lifetime() -> None:
    server, client = ticket_server(lifetime=1), client_config()
    session = issue(server, client, lifetime=600)
    deadline = time.monotonic() + 10
    while connect(server, client, session=session)[1].session_reused():
        assert time.monotonic() < deadline, "the ticket does not end"
        time.sleep(0.1)


def test_who_may_not_send_tickets() -> None:
    near, far = connect(ticket_server(lifetime=0), client_config())
    for connection in (near, far):
        with pytest.raises(RuntimeError):
            connection.send_ticket(600, b"")
    _, far = connect(ticket_server(version=TLS12), client_config())
    with pytest.raises(RuntimeError, match=r"TLS 1\.3"):
        far.send_ticket(600, b"")
    near, far = connect(ticket_server(), client_config())
    with pytest.raises(ValueError, match="one second"):
        far.send_ticket(0, b"")
    with pytest.raises(OverflowError):
        far.send_ticket(-1, b"")
    far.shutdown()


def test_a_config_with_lifetime_0_never_resumes() -> None:
    client = client_config()
    session = issue(ticket_server(), client)
    near, far = connect(ticket_server(lifetime=0), client, session=session)
    assert not near.session_reused()
    assert not far.session_reused()


def test_a_ticket_of_tls13_is_nothing_in_tls12() -> None:
    server, client = ticket_server(), client_config()
    near, far = connect(ticket_server(version=TLS12), client, session=issue(server, client))
    assert far.version() == TLS12
    assert not near.session_reused()
    assert not far.session_reused()
    assert far.peer_chain() == list(client_identity().chain)


def test_tls12_never_resumes() -> None:
    server, client = ticket_server(version=TLS12), client_config()
    near, _ = connect(server, client)
    session = near.session()
    assert session is None
    near, far = connect(server, client)
    assert not near.session_reused()
    assert not far.session_reused()


def test_options_do_not_turn_resumption_on() -> None:
    no_ticket = 1 << 14
    server = ticket_server(lifetime=0)
    assert server.set_options(set_bits=0, clear_bits=no_ticket) & no_ticket
    server = ticket_server(lifetime=5)
    assert not server.set_options(set_bits=no_ticket) & no_ticket


def test_lifetimes() -> None:
    with pytest.raises(ValueError, match="seven days"):
        server_config().set_tickets(lifetime=604801)
    with pytest.raises(RuntimeError, match="only a server"):
        client_config().set_tickets(lifetime=1)
