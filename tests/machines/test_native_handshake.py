"""Handshakes of the native engine with itself: versions, kinds of credential, negotiation, transport in any slices."""

import pytest

from dnsbound import _native
from machines.native_pairs import (
    CLIENT_NAME,
    RAW,
    SERVER,
    TLS12,
    TLS13,
    X509,
    client_config,
    client_identity,
    connect,
    flow,
    make_identity,
    read_all,
    server_config,
    server_identity,
    shake,
)


def talk(client: _native.Connection, server: _native.Connection) -> None:
    """Octets arrive both ways."""
    client.write(b"from the client")
    server.write(b"from the server")
    flow(client, server)
    assert server.read(100) == b"from the client"
    assert client.read(100) == b"from the server"
    assert client.read(100) is None


@pytest.mark.parametrize("version", [TLS12, TLS13])
@pytest.mark.parametrize("client_kind", [X509, RAW])
@pytest.mark.parametrize("server_kind", [X509, RAW])
def test_every_kind_of_credential(version: int, client_kind: int, server_kind: int) -> None:
    verification = "verify" if server_kind == X509 else "accept"
    server = server_config(own=[server_kind], peer=[client_kind], versions=(version, version))
    client = client_config(own=[client_kind], peer=[server_kind], verification=verification)
    near, far = connect(server, client)
    assert near.version() == far.version() == version
    assert near.certificate_types() == far.certificate_types() == (client_kind, server_kind)
    if client_kind == X509:
        assert far.peer_chain() == list(client_identity().chain)
        assert far.peer_raw_public_key() is None
    else:
        assert far.peer_chain() == []
        assert far.peer_raw_public_key() == client_identity().spki
    if server_kind == X509:
        assert near.peer_chain() == list(server_identity().chain)
        assert near.peer_raw_public_key() is None
    else:
        assert near.peer_chain() == []
        assert near.peer_raw_public_key() == server_identity().spki
    expected = [(0, CLIENT_NAME)] if version == TLS13 else []
    assert far.client_names() == expected
    assert near.clientid_requested() == far.clientid_requested() == bool(expected)
    assert near.certificate_requested()
    talk(near, far)


def test_a_bare_key_is_enough_for_a_raw_client() -> None:
    near, far = connect(server_config(peer=[RAW]), client_config(own=[RAW], bare=True))
    assert far.peer_raw_public_key() == client_identity().spki
    assert far.client_names() == [(0, CLIENT_NAME)]
    talk(near, far)


def test_a_bare_key_is_enough_for_a_raw_server() -> None:
    server = _native.Config(server_side=True)
    server.set_credential([], server_identity().private_key)
    server.set_certificate_types(own=[RAW], peer=[X509])
    near, _ = connect(server, client_config(peer=[RAW], verification="accept"), name=None)
    assert near.peer_raw_public_key() == server_identity().spki


@pytest.mark.parametrize(
    ("offered", "accepted", "chosen"),
    [([RAW, X509], [X509], X509), ([RAW, X509], [RAW], RAW), ([X509], [RAW, X509], X509), ([RAW], [X509, RAW], RAW)],
)
def test_the_negotiated_type_decides(offered: list[int], accepted: list[int], chosen: int) -> None:
    near, far = connect(server_config(peer=accepted), client_config(own=offered))
    assert near.certificate_types() == far.certificate_types() == (chosen, X509)
    assert bool(far.peer_chain()) == (chosen == X509)
    assert (far.peer_raw_public_key() is not None) == (chosen == RAW)
    assert far.client_names() == [(0, CLIENT_NAME)]


def first_look(client: _native.Connection) -> None:
    """TLS 1.3's client meets a refusal on its first read, TLS 1.2's at the end of its handshake or then."""
    client.do_handshake()
    client.read(1)


def test_a_client_that_may_not_show_x509_shows_nothing() -> None:
    near, far = connect(server_config(peer=[X509], verification="accept"), client_config(own=[RAW]))
    assert near.certificate_types() == (X509, X509)
    assert far.peer_chain() == far.client_names() == []


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_a_server_takes_only_the_types_it_asked_for(version: int) -> None:
    near = _native.Connection(client_config(own=[X509]))
    far = _native.Connection(server_config(peer=[RAW], versions=(version, version)))
    with pytest.raises(_native.TlsError) as refused:
        shake(near, far)
    assert refused.value.alert_sent == 43
    assert not far.handshake_complete
    assert far.peer_chain() == []
    near.feed(far.drain())
    assert near.handshake_complete == (version == TLS13)
    with pytest.raises(_native.TlsError) as told:
        first_look(near)
    assert told.value.alert_received == 43


def test_a_client_takes_only_the_types_it_asked_for() -> None:
    near = _native.Connection(client_config(peer=[RAW], verification="accept"))
    far = _native.Connection(server_config(own=[X509]))
    with pytest.raises(_native.TlsError) as refused:
        shake(near, far)
    assert refused.value.alert_sent == 43
    assert not near.handshake_complete


@pytest.mark.parametrize("kind", ["p256", "p384", "ed25519", "rsa", "mldsa65"])
@pytest.mark.parametrize("own", [X509, RAW])
def test_every_kind_of_key(kind: str, own: int) -> None:
    identity = make_identity("car54.cars.example", kind=kind)
    near, far = connect(server_config(peer=[own]), client_config(identity=identity, own=[own]))
    assert far.peer_raw_public_key() == (identity.spki if own == RAW else None)
    assert far.peer_chain() == ([] if own == RAW else list(identity.chain))
    talk(near, far)


def test_facts_are_empty_before_the_handshake_is_complete() -> None:
    near = _native.Connection(client_config(), server_hostname=SERVER, client_name=CLIENT_NAME)
    far = _native.Connection(server_config())
    for connection in (near, far):
        assert not connection.handshake_complete
        assert connection.version() == 0
        assert connection.cipher() is None
        assert connection.group() is None
        assert connection.selected_alpn() is None
        assert connection.peer_chain() == connection.verified_chain() == connection.client_names() == []
        assert connection.peer_raw_public_key() is None
        assert connection.finished() == (b"", b"")
        assert connection.session() is None
        assert not connection.session_reused()
        assert connection.ticket_application_data() is None
        assert connection.server_tlsa_match() is None
        assert not connection.clientid_requested()
        assert not connection.certificate_requested()
    assert far.server_name() is None
    assert near.server_name() == SERVER
    assert (near.server_side, far.server_side) == (False, True)


def test_the_client_name_is_not_told_before_possession_is_proved() -> None:
    """All of the client's last flight but its Finished has arrived: nothing may be known yet."""
    near = _native.Connection(client_config(), client_name=CLIENT_NAME)
    far = _native.Connection(server_config())
    near.do_handshake()
    far.feed(near.drain())
    far.do_handshake()
    near.feed(far.drain())
    near.do_handshake()
    flight = near.drain()
    far.feed(flight[:-1])
    assert not far.do_handshake()
    assert far.client_names() == []
    assert far.peer_chain() == []
    far.feed(flight[-1:])
    assert far.do_handshake()
    assert far.client_names() == [(0, CLIENT_NAME)]


def test_one_octet_at_a_time() -> None:
    near = _native.Connection(client_config(), client_name=CLIENT_NAME)
    far = _native.Connection(server_config())
    near.do_handshake()
    for giver, taker in [(near, far), (far, near), (near, far)]:
        for octet in giver.drain():
            taker.feed(bytes((octet,)))
            taker.do_handshake()
    assert near.handshake_complete
    assert far.handshake_complete
    talk(near, far)


def test_data_of_the_same_flight_stays_readable() -> None:
    near = _native.Connection(client_config(), client_name=CLIENT_NAME)
    far = _native.Connection(server_config())
    near.do_handshake()
    flow(near, far)
    far.do_handshake()
    near.feed(far.drain())
    assert near.do_handshake()
    near.write(b"early bird")
    near.write(b"and more")
    far.feed(near.drain())
    assert far.do_handshake()
    assert far.pending_in() > 0
    assert far.read(5) == b"early"
    assert far.pending_plain() == 5
    assert read_all(far) == b" birdand more"
    assert far.pending_in() == far.pending_plain() == 0


def test_the_end_of_the_handshake_is_repeatable() -> None:
    near, far = connect(server_config(), client_config())
    assert near.do_handshake()
    assert far.do_handshake()
    assert near.drain() == far.drain() == b""


@pytest.mark.parametrize(
    ("server", "client", "chosen"),
    [
        ([b"h2", b"http/1.1"], [b"http/1.1", b"h2"], b"h2"),
        ([b"http/1.1"], [b"h2", b"http/1.1"], b"http/1.1"),
        ([], [b"h2"], None),
        ([b"h2"], [], None),
    ],
)
def test_alpn(server: list[bytes], client: list[bytes], chosen: bytes | None) -> None:
    far_config, near_config = server_config(), client_config()
    far_config.set_alpn(server)
    near_config.set_alpn(client)
    near, far = connect(far_config, near_config)
    assert near.selected_alpn() == far.selected_alpn() == chosen


def test_no_alpn_in_common_is_no_application_protocol() -> None:
    far_config, near_config = server_config(), client_config()
    far_config.set_alpn([b"mqtt"])
    near_config.set_alpn([b"h2"])
    near, far = _native.Connection(near_config), _native.Connection(far_config)
    with pytest.raises(_native.TlsError) as refused:
        shake(near, far)
    assert refused.value.alert_sent == 120
    near.feed(far.drain())
    with pytest.raises(_native.TlsError) as told:
        near.do_handshake()
    assert told.value.alert_received == 120
    assert told.value.alert_sent is None


def test_the_server_name_arrives_and_an_address_is_not_sent() -> None:
    near, far = connect(server_config(), client_config())
    assert near.server_name() == far.server_name() == SERVER
    near = _native.Connection(client_config(), server_hostname="192.0.2.7", verify_hostname="192.0.2.7")
    far = _native.Connection(server_config())
    shake(near, far)
    assert near.server_name() is None
    assert far.server_name() is None


def test_cipher_suites_groups_and_signature_algorithms() -> None:
    far_config, near_config = server_config(), client_config()
    far_config.set_cipher_suites("TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256")
    near_config.set_cipher_suites("TLS_AES_128_GCM_SHA256")
    far_config.set_groups("X25519:P-256")
    near_config.set_groups("P-256")
    near_config.set_signature_algorithms("ecdsa_secp256r1_sha256")
    near, far = connect(far_config, near_config)
    assert near.cipher() == far.cipher() == ("TLS_AES_128_GCM_SHA256", "TLSv1.3", 128)
    assert near.group() == far.group() == "secp256r1"
    assert far.shared_ciphers()[0] == "TLS_AES_128_GCM_SHA256"
    assert near.shared_ciphers() == []


def test_the_default_offers_the_hybrid_group() -> None:
    near, _ = connect(server_config(), client_config())
    assert near.group() == "X25519MLKEM768"


def test_tls12_cipher_list_and_extended_master_secret() -> None:
    far_config = server_config(versions=(TLS12, TLS12))
    far_config.set_cipher_list("ECDHE-ECDSA-AES128-GCM-SHA256")
    near, far = connect(far_config, client_config())
    assert near.cipher() == ("ECDHE-ECDSA-AES128-GCM-SHA256", "TLSv1.2", 128)
    assert near.finished() == far.finished()[::-1]


@pytest.mark.parametrize("side", ["client", "server"])
def test_tls12_without_extended_master_secret_is_refused(side: str) -> None:
    no_extended_master_secret = 1 << 0
    far_config, near_config = server_config(versions=(TLS12, TLS12)), client_config()
    (near_config if side == "client" else far_config).set_options(set_bits=no_extended_master_secret)
    near, far = _native.Connection(near_config), _native.Connection(far_config)
    with pytest.raises(_native.TlsError) as refused:
        shake(near, far)
    assert (refused.value.library, refused.value.reason) == (20, 104)
    assert refused.value.alert_sent == 40
    assert not (near.handshake_complete and far.handshake_complete)


@pytest.mark.parametrize("side", ["client", "server"])
def test_tls12_without_extended_master_secret_is_for_those_who_ask_for_the_danger(side: str) -> None:
    no_extended_master_secret = 1 << 0
    far_config, near_config = server_config(versions=(TLS12, TLS12)), client_config()
    without, other = (near_config, far_config) if side == "client" else (far_config, near_config)
    without.set_options(set_bits=no_extended_master_secret)
    for config in (without, other):
        config.set_danger_no_extended_master_secret(True)
    near, far = _native.Connection(near_config), _native.Connection(far_config)
    shake(near, far)
    for end in (near, far):
        assert (end.handshake_complete, end.extended_master_secret()) == (True, False)


def test_no_version_in_common_is_protocol_version() -> None:
    near_config = client_config()
    near_config.set_versions(TLS13, TLS13)
    near = _native.Connection(near_config)
    far = _native.Connection(server_config(versions=(TLS12, TLS12)))
    with pytest.raises(_native.TlsError) as refused:
        shake(near, far)
    assert refused.value.alert_sent == 70


def test_a_client_without_a_certificate() -> None:
    near, far = connect(server_config(verification="accept"), client_config(anonymous=True))
    assert near.certificate_requested()
    assert far.peer_chain() == far.client_names() == []
    assert far.peer_raw_public_key() is None
    talk(near, far)


@pytest.mark.parametrize("verification", ["accept-required", "verify-required"])
@pytest.mark.parametrize("kind", [X509, RAW])
def test_a_required_certificate_is_required(verification: str, kind: int) -> None:
    near = _native.Connection(client_config(anonymous=True, own=[kind]))
    far = _native.Connection(server_config(verification=verification, peer=[kind]))
    with pytest.raises(_native.TlsError) as refused:
        shake(near, far)
    assert refused.value.alert_sent == 116
    assert near.handshake_complete
    near.feed(far.drain())
    with pytest.raises(_native.TlsError) as told:
        near.read(1)
    assert told.value.alert_received == 116


def test_a_server_that_asks_for_nothing() -> None:
    near, far = connect(server_config(verification="none"), client_config())
    assert not near.certificate_requested()
    assert not far.clientid_requested()
    assert far.peer_chain() == far.client_names() == []


def test_a_hello_retry_request() -> None:
    far_config, near_config = server_config(), client_config()
    far_config.set_groups("X25519")
    near_config.set_groups("P-256:X25519")  # the share is P-256's
    near, far = connect(far_config, near_config)
    assert near.group() == far.group() == "x25519"
    assert far.client_names() == [(0, CLIENT_NAME)]
    talk(near, far)


def test_a_chain_of_many_records() -> None:
    identity = client_identity()
    long = make_identity("long.example", san=[f"name-{number}.long.example" for number in range(1000)])
    chain = (identity.chain[0], *long.chain * 3)
    assert sum(map(len, chain)) > 3 * 16384
    config = client_config(anonymous=True)
    config.set_credential(chain, identity.private_key)
    near, far = connect(server_config(), config)
    assert far.peer_chain() == list(chain)
    talk(near, far)


def test_a_chain_beyond_the_limit_is_refused() -> None:
    """OpenSSL takes 100 KiB of certificates."""
    identity = client_identity()
    long = make_identity("long.example", san=[f"name-{number}.long.example" for number in range(1000)])
    config = client_config(anonymous=True)
    config.set_credential((identity.chain[0], *long.chain * 5), identity.private_key)
    near, far = _native.Connection(config), _native.Connection(server_config())
    with pytest.raises(_native.TlsError) as refused:
        shake(near, far)
    assert refused.value.alert_sent == 47
    assert far.peer_chain() == []
