"""Any octets, in any slices, at any time, and several threads: an exception of ours or nothing, never a crash."""

import resource
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adversary.hostile_client import APPLICATION_DATA, HANDSHAKE, Entry, HostileClient
from adversary.key_schedule import Protection, expand_label
from dnsbound import _native
from machines.native_pairs import (
    CLIENT_NAME,
    RAW,
    client_config,
    client_identity,
    connect,
    flow,
    read_all,
    server_config,
    server_identity,
)

SERVER_CONFIG = server_config(peer=[0, RAW])
CLIENT_CONFIG = client_config()


def drive(connection: _native.Connection) -> None:
    """Whatever a caller may do with a connection in any state."""
    for call in (
        connection.do_handshake,
        lambda: connection.read(100),
        lambda: connection.write(b"x"),
        lambda: connection.export_keying_material(b"EXPORTER-x", 32, None),
        lambda: connection.send_ticket(1, b""),
        connection.shutdown,
        lambda: connection.send_alert(40),
    ):
        try:
            call()
        except (_native.TlsError, RuntimeError):
            continue
    facts(connection)


FACTS = (
    *("version", "cipher", "shared_ciphers", "group", "selected_alpn", "server_name", "peer_chain", "verified_chain"),
    *("peer_raw_public_key", "verify_result", "certificate_types", "clientid_requested", "client_names", "session"),
    *("certificate_requested", "server_tlsa_match", "session_reused", "ticket_application_data", "finished"),
    *("late_answer_awaited", "late_answer"),
    *("handshake_digest", "extended_master_secret"),
    *("take_keylog", "clientid_empty", "pending_in", "pending_out", "pending_plain", "drain", "request_signalled"),
    "parked",
    *("awaits_judgement", "server_chain", "carried_chain", "carried_chain_requested"),
)


def facts(connection: _native.Connection) -> None:
    for name in FACTS:
        getattr(connection, name)()


def fresh(*, server_side: bool) -> _native.Connection:
    return (
        _native.Connection(SERVER_CONFIG) if server_side else _native.Connection(CLIENT_CONFIG, client_name=CLIENT_NAME)
    )


records = st.builds(
    lambda kind, version, body: bytes((kind,)) + version + len(body).to_bytes(2, "big") + body,
    st.integers(19, 25),
    st.sampled_from([b"\x03\x01", b"\x03\x03", b"\x03\x04", b"\x02\x00"]),
    st.binary(max_size=400),
)


@settings(max_examples=200, deadline=None)
@given(
    chunks=st.lists(st.one_of(st.binary(max_size=300), records), max_size=6),
    server_side=st.booleans(),
    eof=st.booleans(),
)
def test_any_octets_at_the_start(chunks: list[bytes], server_side: bool, eof: bool) -> None:
    connection = fresh(server_side=server_side)
    for chunk in chunks:
        connection.feed(chunk)
        try:
            assert not connection.do_handshake()
        except _native.TlsError:
            break
    if eof:
        connection.feed_eof()
    drive(connection)
    assert not connection.handshake_complete
    assert connection.client_names() == []
    assert connection.peer_chain() == []


@settings(max_examples=150, deadline=None)
@given(
    chunks=st.lists(st.one_of(st.binary(max_size=300), records), max_size=6),
    server_side=st.booleans(),
    eof=st.booleans(),
)
def test_any_octets_after_the_handshake(chunks: list[bytes], server_side: bool, eof: bool) -> None:
    near, far = connect(SERVER_CONFIG, CLIENT_CONFIG)
    connection = far if server_side else near
    for chunk in chunks:
        connection.feed(chunk)
        try:
            # None of it was sealed by the peer, so none of it may come out.
            assert not connection.read(1000)
        except _native.TlsError:
            break
    if eof:
        connection.feed_eof()
    drive(connection)


def honest_flight(server: _native.Connection) -> bytes:
    client = HostileClient()
    server.feed(client.client_hello())
    server.do_handshake()
    client.receive(server.drain())
    identity = client_identity()
    return client.certificate([Entry(identity.chain[0])]) + client.certificate_verify(identity.key) + client.finished()


@settings(max_examples=150, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255))
def test_a_changed_octet_never_completes_the_handshake(place: float, change: int) -> None:
    server = fresh(server_side=True)
    flight = bytearray(honest_flight(server))
    flight[int(place * len(flight))] ^= change
    server.feed(flight)
    try:
        complete = server.do_handshake()
    except _native.TlsError:
        complete = False
    assert not complete
    assert server.peer_chain() == []
    drive(server)


@settings(max_examples=200, deadline=None)
@given(block=st.binary(max_size=80), entry=st.binary(max_size=120))
def test_any_octets_inside_the_encrypted_certificate(block: bytes, entry: bytes) -> None:
    """Sealed properly, so they reach the parsers: as a certificate's octets and as its extensions."""
    for content in (Entry(client_identity().chain[0], block), Entry(entry, block), Entry(entry)):
        server, client = fresh(server_side=True), HostileClient(raw_public_key=bool(len(block) & 1))
        server.feed(client.client_hello())
        server.do_handshake()
        client.receive(server.drain())
        server.feed(client.certificate([content]))
        server.feed(client.certificate_verify(client_identity().key))
        server.feed(client.finished())
        alert: int | None = None
        try:
            complete = server.do_handshake()
        except _native.TlsError as refused:
            complete, alert = False, refused.alert_sent
        assert complete == server.handshake_complete
        assert complete == (alert is None)
        drive(server)


@settings(max_examples=100, deadline=None)
@given(certificate=st.binary(max_size=200), key=st.binary(max_size=200), session=st.binary(max_size=200))
def test_any_octets_as_credential_or_session(certificate: bytes, key: bytes, session: bytes) -> None:
    config = _native.Config(server_side=False)
    for call in (
        lambda: config.set_credential([certificate], client_identity().private_key),
        lambda: config.set_credential([], key),
        lambda: config.add_trust_anchors([certificate]),
        lambda: _native.Connection(CLIENT_CONFIG, session=session),
    ):
        try:
            call()
        except (_native.TlsError, ValueError):
            continue
        raise AssertionError("random octets were taken")


def test_half_open_handshakes_are_dropped_anywhere() -> None:
    for stop in range(0, 2000, 97):
        server = fresh(server_side=True)
        client = fresh(server_side=False)
        client.do_handshake()
        server.feed(client.drain()[:stop])
        server.do_handshake()
        del server, client


def test_a_flood_of_key_updates_is_not_amplified() -> None:
    """Each request is answered with at most as many octets, and data goes on."""
    server, client = fresh(server_side=True), HostileClient()
    server.feed(client.client_hello())
    server.do_handshake()
    client.receive(server.drain())
    identity = client_identity()
    server.feed(client.certificate([Entry(identity.chain[0])]))
    server.feed(client.certificate_verify(identity.key))
    server.feed(client.finished())
    assert server.do_handshake()
    assert server.drain() == b""
    update_requested = b"\x18\x00\x00\x01\x01"
    fed = 0
    for _ in range(500):
        assert client._send is not None
        record = client._send.seal(HANDSHAKE, update_requested)
        fed += len(record)
        server.feed(record)
        client._send = Protection(expand_label(client._send.secret, "traffic upd", b"", 32))
    server.feed(client._send.seal(APPLICATION_DATA, b"still here"))
    assert server.read(100) == b"still here"
    answer = server.pending_out()
    server.write(b"x")
    assert 0 < server.pending_out() <= fed + 100
    assert answer <= fed


def test_one_connection_and_many_threads() -> None:
    near, far = connect(SERVER_CONFIG, CLIENT_CONFIG)
    rounds, failures = 200, []

    def write(octet: bytes) -> None:
        try:
            for _ in range(rounds):
                near.write(octet * 1000)
                facts(far)
        except Exception as failure:  # noqa: BLE001  handed to the main thread
            failures.append(failure)

    threads = [threading.Thread(target=write, args=(bytes((65 + number,)),)) for number in range(4)]
    received = []
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) or near.pending_out():
        # One reader, so the records keep their order; drain is the writers' contention point.
        far.feed(near.drain())
        received.append(read_all(far))
    for thread in threads:
        thread.join(30)
    far.feed(near.drain())
    received.append(read_all(far))
    assert failures == []
    data = b"".join(received)
    assert len(data) == 4 * rounds * 1000
    assert {octet: data.count(octet) for octet in b"ABCD"} == dict.fromkeys(b"ABCD", rounds * 1000)


def test_many_connections_of_one_config_in_many_threads() -> None:
    failures = []

    def work() -> None:
        try:
            for _ in range(15):
                near, far = connect(SERVER_CONFIG, CLIENT_CONFIG)
                assert far.client_names() == [(0, CLIENT_NAME)]
                near.write(b"hello")
                flow(near, far)
                assert far.read(10) == b"hello"
                assert near.peer_chain() == list(server_identity().chain)
        except Exception as failure:  # noqa: BLE001  handed to the main thread
            failures.append(failure)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []


def test_a_connection_that_is_not_made_leaves_nothing_behind() -> None:
    config = client_config()
    for name in ("server_hostname", "verify_hostname"):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(2000):
            with pytest.raises(ValueError, match="zero octet"):
                _native.Connection(config, **{name: "server\0.example"})
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 10 * 1024, "KiB"
