"""The DNSSEC chain that a client carries, on the wire: when it is sent, and which alert answers what does not fit."""

from typing import Any

import pytest

from adversary.hostile_client import (
    Entry,
    HostileClient,
    extension,
)
from dnsbound import _native
from dnsbound.iana import CARRIED_CHAIN
from machines.native_hostile_server import HostileServer
from machines.native_pairs import (
    CLIENT_NAME,
    RAW,
    SERVER,
    TLS12,
    TLS13,
    X509,
    client_config,
    client_identity,
    flow,
    make_identity,
    server_config,
    server_identity,
    shake,
)

DECODE_ERROR, ILLEGAL_PARAMETER, UNSUPPORTED_EXTENSION = 50, 47, 110
CHAIN = b"\x00\x07" + bytes(range(256)) * 20


def wanting(*, request: bool = True, **options: Any) -> _native.Config:
    config = server_config(**options)
    config.set_carried_chain(CARRIED_CHAIN, request=request)
    return config


def carrying(chain: bytes | None = CHAIN, **options: Any) -> _native.Connection:
    config = client_config(**options)
    config.set_carried_chain(CARRIED_CHAIN)
    return _native.Connection(config, server_hostname=SERVER, client_name=CLIENT_NAME, carried_chain=chain)


@pytest.mark.parametrize("own", [X509, RAW])
@pytest.mark.parametrize("chain", [b"\x00", CHAIN, bytes(65_000)], ids=len)
def test_a_carried_chain_arrives_beside_the_name(own: int, chain: bytes) -> None:
    near, far = carrying(chain, own=[own]), _native.Connection(wanting(peer=[own]))
    shake(near, far)
    assert far.carried_chain() == chain
    assert [tuple(answer) for answer in far.client_names()] == [(0, CLIENT_NAME)]
    assert near.carried_chain_requested()
    assert far.carried_chain_requested()
    assert near.carried_chain() is None


@pytest.mark.parametrize(("names", "fits"), [(600, True), (900, False)])
def test_chain_and_certificates_share_the_100_kib_of_one_message(names: int, fits: bool) -> None:
    san = [f"host{number:04}.a-rather-long-name-for-a-host-number.example" for number in range(names)]
    near, far = carrying(bytes(65_000), identity=make_identity("car54.example", san=san)), _native.Connection(wanting())
    if fits:
        shake(near, far)
        assert far.carried_chain() == bytes(65_000)
        return
    with pytest.raises(_native.TlsError) as refused:
        shake(near, far)
    assert refused.value.alert_sent == ILLEGAL_PARAMETER


def test_it_is_carried_in_the_first_entry_only() -> None:
    identity = make_identity("car54.cars.example", issuer=make_identity("Cars", authority=True, san=()))
    near, far = carrying(identity=identity), _native.Connection(wanting())
    shake(near, far)
    assert far.carried_chain() == CHAIN
    assert far.peer_chain() == list(identity.chain)


@pytest.mark.parametrize("known", [False, True])
def test_a_client_that_was_not_asked_carries_nothing(known: bool) -> None:
    near = carrying()
    far = _native.Connection(wanting(request=False) if known else server_config())
    shake(near, far)
    assert not near.carried_chain_requested()
    assert far.carried_chain() is None


def test_a_client_without_a_chain() -> None:
    near, far = carrying(None), _native.Connection(wanting())
    shake(near, far)
    assert near.carried_chain_requested()
    assert far.carried_chain() is None


def test_tls_1_2_carries_nothing() -> None:
    near = carrying(None)
    far = _native.Connection(wanting(versions=(TLS12, TLS12)))
    shake(near, far)
    assert not near.carried_chain_requested()


def present(*entries: bytes, config: _native.Config | None = None) -> _native.Connection:
    server, client = _native.Connection(config or wanting()), HostileClient()
    server.feed(client.client_hello())
    assert not server.do_handshake()
    client.receive(server.drain())
    identity = client_identity()
    ders = (identity.chain[0], make_identity("b.example").chain[0])
    server.feed(client.certificate([Entry(der, block) for der, block in zip(ders, entries, strict=False)]))
    server.feed(client.certificate_verify(identity.key))
    server.feed(client.finished())
    return server


def test_the_request_is_empty() -> None:
    client = HostileClient()
    server = _native.Connection(wanting())
    server.feed(client.client_hello())
    server.do_handshake()
    client.receive(server.drain())
    assert client.requested_extensions()[CARRIED_CHAIN] == b""


def test_an_honest_flight_of_the_hostile_client_is_taken() -> None:
    server = present(extension(CARRIED_CHAIN, CHAIN))
    assert server.do_handshake()
    assert server.carried_chain() == CHAIN


@pytest.mark.parametrize(
    ("entries", "alert"),
    [
        ([extension(CARRIED_CHAIN, b"")], DECODE_ERROR),
        ([extension(CARRIED_CHAIN, CHAIN) * 2], ILLEGAL_PARAMETER),
        ([b"", extension(CARRIED_CHAIN, CHAIN)], ILLEGAL_PARAMETER),
        ([extension(CARRIED_CHAIN, CHAIN)] * 2, ILLEGAL_PARAMETER),
    ],
    ids=["empty", "twice", "second-entry", "both-entries"],
)
def test_a_carried_chain_that_does_not_fit(entries: list[bytes], alert: int) -> None:
    server = present(*entries)
    with pytest.raises(_native.TlsError) as refused:
        server.do_handshake()
    assert refused.value.alert_sent == alert
    assert server.carried_chain() is None


def test_a_carried_chain_unasked() -> None:
    server = present(extension(CARRIED_CHAIN, CHAIN), config=wanting(request=False))
    with pytest.raises(_native.TlsError) as refused:
        server.do_handshake()
    assert refused.value.alert_sent == UNSUPPORTED_EXTENSION


def test_without_possession_a_carried_chain_is_never_told() -> None:
    server, client = _native.Connection(wanting()), HostileClient()
    server.feed(client.client_hello())
    server.do_handshake()
    client.receive(server.drain())
    server.feed(client.certificate([Entry(client_identity().chain[0], extension(CARRIED_CHAIN, CHAIN))]))
    assert not server.do_handshake()
    assert server.carried_chain() is None
    server.feed(client.certificate_verify(client_identity().key, damaged=True))
    with pytest.raises(_native.TlsError):
        server.do_handshake()
    assert server.carried_chain() is None


@pytest.mark.parametrize("place", ["entry", "encrypted", "hello"])
def test_the_client_refuses_the_carried_chain_s_type_elsewhere(place: str) -> None:
    config = client_config()
    config.set_carried_chain(CARRIED_CHAIN)
    config.set_versions(TLS13, TLS13)
    config.set_groups("X25519")
    config.set_cipher_suites("TLS_AES_128_GCM_SHA256")
    client = _native.Connection(config, server_hostname=SERVER, carried_chain=CHAIN)
    client.do_handshake()
    server = HostileServer(server_identity(), **{place: extension(CARRIED_CHAIN, b"")})
    client.feed(server.answer(client.drain()))
    with pytest.raises(_native.TlsError) as refused:
        client.do_handshake()
    assert refused.value.alert_sent == (UNSUPPORTED_EXTENSION if place == "entry" else ILLEGAL_PARAMETER)
    assert CHAIN not in client.drain()


def test_a_request_that_is_not_empty() -> None:
    config = client_config()
    config.set_carried_chain(CARRIED_CHAIN)
    config.set_versions(TLS13, TLS13)
    config.set_groups("X25519")
    config.set_cipher_suites("TLS_AES_128_GCM_SHA256")
    client = _native.Connection(config, server_hostname=SERVER, carried_chain=CHAIN)
    client.do_handshake()
    client.feed(HostileServer(server_identity(), request=extension(CARRIED_CHAIN, b"\x00")).answer(client.drain()))
    with pytest.raises(_native.TlsError) as refused:
        client.do_handshake()
    assert refused.value.alert_sent == DECODE_ERROR


def test_resumption_brings_no_chain() -> None:
    server = wanting()
    server.set_tickets(lifetime=600)
    config = client_config()
    config.set_carried_chain(CARRIED_CHAIN)
    near = _native.Connection(config, server_hostname=SERVER, client_name=CLIENT_NAME, carried_chain=CHAIN)
    far = _native.Connection(server)
    shake(near, far)
    far.send_ticket(600, b"")
    flow(near, far)
    assert near.read(1) is None
    again = _native.Connection(config, server_hostname=SERVER, session=near.session(), carried_chain=CHAIN)
    far = _native.Connection(server)
    shake(again, far)
    assert far.session_reused()
    assert far.carried_chain() is None


@pytest.mark.parametrize("size", [0, 65_001])
def test_sizes_that_no_extension_has(size: int) -> None:
    with pytest.raises(ValueError, match="1 to 65000"):
        carrying(bytes(size))
