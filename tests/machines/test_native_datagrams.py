"""The native engine over datagrams: cookies, MTU, retransmission, and what it refuses."""

import os
import time

import pytest

from dnsbound import _native
from machines.datagram_pairs import (
    ADDRESS,
    ALERT,
    DTLS12,
    HANDSHAKE,
    KEYS,
    carry,
    complete,
    datagram_client,
    datagram_server,
    hello,
    meet,
    records,
    verified_hello,
)
from machines.native_pairs import RAW, SERVER, client_config, client_identity, make_identity, server_config

HELLO_VERIFY_REQUEST = 3
HANDSHAKE_FAILURE = 40


@pytest.fixture
def listener() -> _native.CookieListener:
    return _native.CookieListener(datagram_server())


# --- cookies


def test_a_first_hello_is_answered_by_a_shorter_datagram_with_its_own_number(listener: _native.CookieListener) -> None:
    first = hello(_native.Connection(datagram_client()))
    request = listener.receive(first, address=ADDRESS, keys=KEYS)
    assert isinstance(request, bytes)
    assert len(request) < len(first)
    (record,) = records([request])
    assert (record.kind, record.epoch, record.sequence) == (HANDSHAKE, 0, records([first])[0].sequence)
    assert record.body[0] == HELLO_VERIFY_REQUEST
    # The same again: nothing was kept that could change the answer.
    assert listener.receive(first, address=ADDRESS, keys=KEYS) == request


def test_a_cookie_serves_the_address_and_the_hello_it_was_made_for(listener: _native.CookieListener) -> None:
    near, other = (_native.Connection(datagram_client()) for _ in range(2))
    second = verified_hello(near, listener)
    assert isinstance(listener.receive(second, address=ADDRESS[:-1] + b"\x99", keys=KEYS), bytes)
    assert isinstance(listener.receive(second, address=ADDRESS, keys=(os.urandom(32),)), bytes)
    # The cookie of one hello in the body of another.
    mine, theirs = second, verified_hello(other, listener)
    place = 13 + 12 + 2 + 32 + 1 + 1
    stolen = mine[:place] + theirs[place : place + 16] + mine[place + 16 :]
    assert isinstance(listener.receive(stolen, address=ADDRESS, keys=KEYS), bytes)
    assert isinstance(listener.receive(mine, address=ADDRESS, keys=KEYS), _native.Connection)


def test_an_older_key_still_verifies_and_makes_no_new_cookies(listener: _native.CookieListener) -> None:
    second = verified_hello(_native.Connection(datagram_client()), listener)
    newer = os.urandom(32)
    assert isinstance(listener.receive(second, address=ADDRESS, keys=(newer, *KEYS)), _native.Connection)
    first = hello(_native.Connection(datagram_client()))
    assert listener.receive(first, address=ADDRESS, keys=(newer, *KEYS)) == listener.receive(
        first, address=ADDRESS, keys=(newer,)
    )


def test_whatever_is_no_hello_is_answered_by_nothing(listener: _native.CookieListener) -> None:
    first = hello(_native.Connection(datagram_client()))
    for broken in (
        b"",
        b"\x00" * 13,
        os.urandom(200),
        *(first[:size] for size in range(13 + 12 + 2 + 32 + 1)),
        bytes((23,)) + first[1:],  # application data
        first[:3] + b"\x00\x01" + first[5:],  # epoch 1
        first[:13] + b"\x02" + first[14:],  # a ServerHello
        first[:17] + b"\x00\x02" + first[19:],  # a third message
        first[:19] + b"\x00\x00\x01" + first[22:],  # not the first fragment
    ):
        assert listener.receive(broken, address=ADDRESS, keys=KEYS) is None
        assert _native.client_hello_random(broken) is None


def test_the_random_tells_hellos_apart_and_stays_with_one(listener: _native.CookieListener) -> None:
    near = _native.Connection(datagram_client())
    first = hello(near)
    near.feed_datagram(listener.receive(first, address=ADDRESS, keys=KEYS))  # type: ignore[arg-type]
    second = hello(near)
    assert _native.client_hello_random(first) == _native.client_hello_random(second) == second[27:59]
    assert _native.client_hello_random(hello(_native.Connection(datagram_client()))) != second[27:59]


def test_a_server_has_no_connection_without_a_cookie() -> None:
    with pytest.raises(ValueError, match="CookieListener"):
        _native.Connection(datagram_server())
    for config in (server_config(), client_config(), datagram_client()):
        with pytest.raises(ValueError, match="server over datagrams"):
            _native.CookieListener(config)


def test_cookies_need_keys_and_an_address(listener: _native.CookieListener) -> None:
    first = hello(_native.Connection(datagram_client()))
    for address, keys in ((b"", KEYS), (b"x" * 256, KEYS), (ADDRESS, ()), (ADDRESS, (b"short",))):
        with pytest.raises(ValueError, match=r"cookie key|address"):
            listener.receive(first, address=address, keys=keys)


def test_the_server_begins_at_the_number_of_the_hello(listener: _native.CookieListener) -> None:
    """RFC 6347 section 4.2.1: repeated hellos and their answers would otherwise meet the ServerHello's number."""
    near = _native.Connection(quick(datagram_client()))
    requests = [listener.receive(hello(near), address=ADDRESS, keys=KEYS)]
    for _ in range(3):
        time.sleep(near.timeout() or 0)
        assert near.handle_timeout()
        requests += [listener.receive(again, address=ADDRESS, keys=KEYS) for again in near.take_datagrams()]
    for request in requests:
        assert isinstance(request, bytes)
        near.feed_datagram(request)
    near.do_handshake()
    second = near.take_datagrams()[0]
    far = listener.receive(second, address=ADDRESS, keys=KEYS)
    assert isinstance(far, _native.Connection)
    far.do_handshake()
    first = records(carry(far, near))[0]
    assert first.sequence == records([second])[0].sequence > 3
    near.do_handshake()
    assert near.take_datagrams()


# --- the handshake


@pytest.mark.parametrize("bare", [False, True])
def test_certificates_and_raw_keys(bare: bool) -> None:
    peer = [RAW] if bare else [0]
    verification = "none" if bare else "verify"
    client, server = meet(
        datagram_server(bare=bare, peer=peer), datagram_client(bare=bare, peer=peer, verification=verification)
    )
    complete(client, server)
    assert server.version() == client.version() == DTLS12
    if bare:
        assert server.peer_raw_public_key() == client_identity().spki
    else:
        assert server.peer_chain()[0] == client_identity().chain[0]
    client.write(b"reading 1")
    carry(client, server)
    assert server.read(100) == b"reading 1"
    assert client.export_keying_material(b"EXPORTER-x", 32, b"") == server.export_keying_material(
        b"EXPORTER-x", 32, b""
    )


def test_the_servers_name_is_checked() -> None:
    client, server = meet(datagram_server(), datagram_client(), verify_hostname=SERVER)
    complete(client, server)
    client, server = meet(datagram_server(), datagram_client(), verify_hostname="another.example")
    server.do_handshake()
    carry(server, client)
    with pytest.raises(_native.TlsError) as caught:
        client.do_handshake()
    assert caught.value.verify_code == 62  # X509_V_ERR_HOSTNAME_MISMATCH


def test_an_ed25519_client_is_taken_and_an_ed25519_server_is_not() -> None:
    client, server = meet(datagram_server(), datagram_client(identity=make_identity("c.example", kind="ed25519")))
    complete(client, server)
    assert server.handshake_complete
    _, server = meet(datagram_server(identity=make_identity(SERVER, kind="ed25519")), datagram_client())
    with pytest.raises(_native.TlsError) as caught:
        server.do_handshake()
    assert caught.value.reason == 193  # SSL_R_NO_SHARED_CIPHER


def test_datagrams_fit_the_mtu() -> None:
    server_side, client_side = datagram_server(), datagram_client()
    for config in (server_side, client_side):
        config.set_datagrams(mtu=300)
    client, server = meet(server_side, client_side)
    sizes = []
    while not client.handshake_complete:
        server.do_handshake()
        sizes += [len(datagram) for datagram in carry(server, client)]
        client.do_handshake()
        sizes += [len(datagram) for datagram in carry(client, server)]
    assert max(sizes) <= 300
    assert len(sizes) > 4
    client.write(b"x" * client.data_mtu())
    (datagram,) = client.take_datagrams()
    assert 290 < len(datagram) <= 300


def test_constrained_ciphers_and_groups() -> None:
    for cipher, level in (("ECDHE-ECDSA-AES128-CCM", 2), ("ECDHE-ECDSA-AES128-CCM8", 0)):
        server_side, client_side = datagram_server(), datagram_client()
        for config in (server_side, client_side):
            config.set_cipher_list(cipher)
            config.set_security_level(level)
            # P-256 as well: before TLS 1.3 the list also says which curves a certificate may have.
            config.set_groups("X25519:P-256")
        client, server = meet(server_side, client_side)
        complete(client, server)
        assert (server.cipher() or ("",))[0] == cipher
        assert server.group() == "x25519"


# --- loss


def quick(config: _native.Config) -> _native.Config:
    config.set_datagrams(first_timeout=20, longest_timeout=40)
    return config


def test_a_lost_flight_is_sent_again_when_its_time_has_come() -> None:
    client, server = meet(datagram_server(), quick(datagram_client()))
    carry(client, server)
    assert not client.handle_timeout()
    assert client.take_datagrams() == []
    left = client.timeout()
    assert left is not None
    time.sleep(left)
    assert client.handle_timeout()
    (again,) = client.take_datagrams()
    assert _native.client_hello_random(again) is not None


def test_a_lost_last_flight_is_sent_again_when_the_client_repeats_its_own() -> None:
    client, server = meet(datagram_server(), quick(datagram_client()))
    server.do_handshake()
    carry(server, client)
    client.do_handshake()
    carry(client, server)
    assert server.do_handshake()
    lost = server.take_datagrams()
    assert [record.kind for record in records(lost)] == [20, HANDSHAKE]
    assert server.timeout() is None
    for _ in range(3):
        time.sleep(client.timeout() or 0)
        assert client.handle_timeout()
        carry(client, server)
        assert server.read(100) is None
    carry(server, client)
    assert client.do_handshake()


def test_a_peer_that_never_answers_ends_the_handshake() -> None:
    client, _ = meet(datagram_server(), quick(datagram_client()))
    for _ in range(12):
        time.sleep(client.timeout() or 0)
        assert client.handle_timeout()
    time.sleep(client.timeout() or 0)
    for call in (client.handle_timeout, client.do_handshake):
        with pytest.raises(_native.TlsError) as caught:
            call()
        assert caught.value.reason == 312  # SSL_R_READ_TIMEOUT_EXPIRED


def test_replayed_reordered_and_forged_records_change_nothing() -> None:
    client, server = meet(datagram_server(), datagram_client())
    complete(client, server)
    for text in (b"one", b"two"):
        client.write(text)
    first, second = client.take_datagrams()
    forged = second[:-1] + bytes((second[-1] ^ 1,))
    plaintext_alert = bytes((ALERT, 0xFE, 0xFD)) + (99).to_bytes(8) + b"\x00\x02\x02\x28"
    for datagram in (forged, plaintext_alert, second, second, first, first, os.urandom(100)):
        server.feed_datagram(datagram)
    assert server.read(100) == b"two"
    assert server.read(100) == b"one"
    assert server.read(100) is None
    assert server.take_datagrams() == []


@pytest.mark.parametrize(
    "cipher", ["AES128-SHA", "AES256-SHA384", "AES128-CCM8", "CHACHA20-POLY1305", "AES256-GCM-SHA384"]
)
def test_the_shortest_records_of_each_cipher_arrive(cipher: str) -> None:
    server_side, client_side = datagram_server(), datagram_client()
    for config in (server_side, client_side):
        config.set_security_level(0)
        config.set_cipher_list(f"ECDHE-ECDSA-{cipher}")
    client, server = meet(server_side, client_side)
    complete(client, server)
    for size in range(1, 40):
        client.write(bytes(size))
        carry(client, server)
        assert server.read(100) == bytes(size)
    client.shutdown()
    carry(client, server)
    assert server.read(100) == b""


@pytest.mark.parametrize("length", range(28))
def test_a_record_too_short_for_its_cipher_ends_nothing(length: int) -> None:
    """OpenSSL itself gives up on one, which would let anybody end an association who can guess two ports."""
    client, server = meet(datagram_server(), datagram_client())
    complete(client, server)
    client.write(b"after")
    (whole,) = client.take_datagrams()
    short = bytes((23, 0xFE, 0xFD)) + (1 << 48 | 999).to_bytes(8) + length.to_bytes(2) + bytes(length)
    for datagram in (short, short + whole, whole):
        server.feed_datagram(datagram)
    assert server.read(100) == b"after"
    assert server.read(100) is None


def test_close_notify() -> None:
    client, server = meet(datagram_server(), datagram_client())
    complete(client, server)
    assert not client.shutdown()
    carry(client, server)
    assert server.read(100) == b""
    assert server.shutdown()
    carry(server, client)
    assert client.shutdown()


# --- the held flight


def held(used: list[bytes] | None = None) -> tuple[_native.Connection, _native.Connection]:
    """(client, server): the server's handshake is complete, its last flight is held, and the client waits for it.
    used: takes what the server has sent."""
    config = datagram_server()
    config.set_held_flight(True)
    client, server = meet(config, quick(datagram_client()))
    server.do_handshake()
    (used if used is not None else []).extend(carry(server, client))
    client.do_handshake()
    carry(client, server)
    assert server.do_handshake()
    assert server.flight_held
    assert server.take_datagrams() == []
    return client, server


def repeat(client: _native.Connection, server: _native.Connection) -> list[bytes]:
    """The client's timer runs out; what the server answers."""
    time.sleep(client.timeout() or 0)
    assert client.handle_timeout()
    carry(client, server)
    return server.take_datagrams()


def test_repetitions_do_not_release_a_held_flight() -> None:
    client, server = held()
    for _ in range(2):
        assert repeat(client, server) == []
        assert server.pending_in() == 0
    for call in (lambda: server.read(1), lambda: server.write(b"x"), server.shutdown):
        with pytest.raises(RuntimeError, match="held"):
            call()
    assert not client.handshake_complete


def test_a_released_flight_is_sent_again_when_it_is_lost() -> None:
    client, server = held()
    server.release_flight()
    assert not server.flight_held
    assert [record.kind for record in records(server.take_datagrams())] == [20, HANDSHAKE]
    time.sleep(client.timeout() or 0)
    assert client.handle_timeout()
    carry(client, server)
    assert server.read(100) is None
    carry(server, client)
    assert client.do_handshake()


def test_a_refused_client_reads_an_alert_in_clear_and_gets_it_again() -> None:
    client, server = held()
    server.send_alert(HANDSHAKE_FAILURE)
    (lost,) = server.take_datagrams()
    (record,) = records([lost])
    assert (record.kind, record.epoch, record.body) == (ALERT, 0, bytes((2, HANDSHAKE_FAILURE)))
    (again,) = repeat(client, server)
    assert records([again])[0].sequence == record.sequence + 1
    client.feed_datagram(again)
    with pytest.raises(_native.TlsError) as caught:
        client.do_handshake()
    assert caught.value.alert_received == HANDSHAKE_FAILURE
    with pytest.raises(_native.TlsError):
        server.read(1)


def test_the_sequence_number_of_the_alert_was_never_used() -> None:
    used: list[bytes] = []
    _, server = held(used)
    server.send_alert(HANDSHAKE_FAILURE)
    (alert,) = records(server.take_datagrams())
    # The ChangeCipherSpec that was dropped had one, too.
    assert alert.sequence == max(record.sequence for record in records(used)) + 2


# --- what a Config over datagrams takes


def test_versions_tickets_and_numbers() -> None:
    config = datagram_server()
    assert (config.server_side, config.datagram) == (True, True)
    config.set_versions(DTLS12, DTLS12)
    for versions in ((0x0303, 0x0303), (DTLS12, 0xFEFC), (0xFEFF, DTLS12)):
        with pytest.raises(ValueError, match="versions"):
            config.set_versions(*versions)
    with pytest.raises(ValueError, match="versions"):
        server_config().set_versions(DTLS12, DTLS12)
    with pytest.raises(RuntimeError, match="streams"):
        config.set_tickets(lifetime=60)
    with pytest.raises(RuntimeError, match="streams"):
        server_config().set_datagrams()
    for numbers in ({"mtu": 255}, {"mtu": 4097}, {"first_timeout": 0}, {"longest_timeout": 999}):
        with pytest.raises(ValueError, match=r"octets|milliseconds"):
            config.set_datagrams(**numbers)
    no_ticket = 1 << 14
    assert config.set_options(set_bits=0, clear_bits=no_ticket) & no_ticket


def test_streams_and_datagrams_do_not_mix() -> None:
    stream, datagram = _native.Connection(client_config()), _native.Connection(datagram_client())
    for call in (stream.take_datagrams, stream.timeout, stream.handle_timeout, stream.data_mtu):
        with pytest.raises(RuntimeError, match="not run over datagrams"):
            call()
    with pytest.raises(RuntimeError, match="not run over datagrams"):
        stream.feed_datagram(b"x")
    with pytest.raises(RuntimeError, match="not run over a stream"):
        datagram.drain()
    with pytest.raises(RuntimeError, match="not run over a stream"):
        datagram.feed_eof()
    with pytest.raises(RuntimeError, match="not run over a stream"):
        datagram.feed(b"x")
