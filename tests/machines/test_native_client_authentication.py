"""What both ends say about client certificates, octet by octet: kinds of certificates, requests, empty answers.

RFC 7250 sections 3 and 4; RFC 9846 sections 4.3, 4.4.2 and 4.5.1.
"""

from collections.abc import Sequence

import pytest

from adversary.hostile_client import (
    CERTIFICATE,
    CERTIFICATE_REQUEST,
    CLIENT_CERTIFICATE_TYPE,
    CLIENT_HELLO,
    ENCRYPTED_EXTENSIONS,
    HANDSHAKE,
    Entry,
    HostileClient,
    extension,
    extensions_of,
    vector,
)
from dnsbound import _native
from machines.native_hostile_server import HostileServer
from machines.native_pairs import (
    CLIENT_NAME,
    CODE_POINT,
    RAW,
    TLS13,
    X509,
    client_config,
    client_identity,
    server_config,
    server_identity,
)

SERVER_CERTIFICATE_TYPE, SIGNATURE_ALGORITHMS, POST_HANDSHAKE_AUTH = 20, 13, 49
OPENPGP, IEEE_1609_DOT_2 = 1, 3
DECODE_ERROR, UNSUPPORTED_CERTIFICATE = 50, 43


def client_hello_extensions(config: _native.Config) -> dict[int, bytes]:
    client = _native.Connection(config, client_name=CLIENT_NAME)
    assert not client.do_handshake()
    flight = client.drain()
    assert (flight[0], flight[5]) == (HANDSHAKE, CLIENT_HELLO)
    hello = flight[5 : 5 + int.from_bytes(flight[3:5], "big")]
    after_session = 4 + 34 + 1 + hello[38]
    after_suites = after_session + 2 + int.from_bytes(hello[after_session : after_session + 2], "big")
    after_compression = after_suites + 1 + hello[after_suites]
    return extensions_of(hello[after_compression + 2 :])


def arrive(config: _native.Config, client: HostileClient) -> _native.Connection:
    """A server that has the hostile client's hello before it; the client has the server's flight."""
    server = _native.Connection(config)
    server.feed(client.client_hello())
    assert not server.do_handshake()
    client.receive(server.drain())
    assert client.complete
    return server


def offering(*kinds: int) -> HostileClient:
    return HostileClient(extra_extensions=extension(CLIENT_CERTIFICATE_TYPE, vector(bytes(kinds), 1)))


def answered(client: HostileClient) -> dict[int, bytes]:
    return extensions_of(client.handshake[ENCRYPTED_EXTENSIONS][2:])


def alert_of(server: _native.Connection) -> int | None:
    with pytest.raises(_native.TlsError) as refused:
        server.do_handshake()
    assert not server.handshake_complete
    assert server.client_names() == server.peer_chain() == []
    assert server.peer_raw_public_key() is None
    return refused.value.alert_sent


# --- kinds of certificates


@pytest.mark.parametrize(
    ("own", "peer", "offered"),
    [
        ([X509], [X509], {}),
        ([RAW], [X509], {CLIENT_CERTIFICATE_TYPE: b"\x01\x02"}),
        ([RAW, X509], [X509], {CLIENT_CERTIFICATE_TYPE: b"\x02\x02\x00"}),
        ([X509], [RAW], {SERVER_CERTIFICATE_TYPE: b"\x01\x02"}),
        ([X509], [X509, RAW], {SERVER_CERTIFICATE_TYPE: b"\x02\x00\x02"}),
    ],
)
def test_a_client_offers_what_it_can_use_and_nothing_where_that_is_x509_alone(
    own: list[int], peer: list[int], offered: dict[int, bytes]
) -> None:
    """RFC 7250 section 4.1."""
    said = client_hello_extensions(client_config(own=own, peer=peer, verification="accept"))
    kinds = (CLIENT_CERTIFICATE_TYPE, SERVER_CERTIFICATE_TYPE)
    assert {number: said[number] for number in kinds if number in said} == offered


@pytest.mark.parametrize(
    ("accepted", "offered", "chosen"),
    [
        ([RAW, X509], [RAW, X509], RAW),
        ([RAW, X509], [X509, RAW], X509),
        ([RAW, X509], [OPENPGP, IEEE_1609_DOT_2, RAW], RAW),
        ([RAW], [X509, RAW], RAW),
        ([RAW, X509], [X509], X509),
    ],
)
def test_a_server_answers_with_a_kind_that_was_offered(accepted: list[int], offered: list[int], chosen: int) -> None:
    """RFC 7250 section 4.2. X.509 is what no answer means, and OpenSSL does not spell it."""
    client = offering(*offered)
    arrive(server_config(peer=accepted), client)
    assert CERTIFICATE_REQUEST in client.handshake
    assert answered(client).get(CLIENT_CERTIFICATE_TYPE, bytes((X509,))) == bytes((chosen,))


def test_a_server_that_asks_for_no_certificate_answers_no_kind() -> None:
    client = offering(RAW)
    server = _native.Connection(server_config(peer=[RAW, X509], verification="none"))
    server.feed(client.client_hello())
    server.do_handshake()
    client.receive(server.drain())
    assert CERTIFICATE_REQUEST not in client.handshake
    assert CLIENT_CERTIFICATE_TYPE not in answered(client)


def test_a_client_that_did_not_offer_gets_no_answer() -> None:
    client = HostileClient()
    arrive(server_config(peer=[X509, RAW]), client)
    assert CLIENT_CERTIFICATE_TYPE not in answered(client)


@pytest.mark.parametrize(
    ("accepted", "offered"), [([RAW], [X509]), ([RAW], [OPENPGP]), ([RAW, X509], [IEEE_1609_DOT_2])]
)
def test_no_kind_in_common_is_unsupported_certificate(accepted: list[int], offered: list[int]) -> None:
    server = _native.Connection(server_config(peer=accepted))
    server.feed(offering(*offered).client_hello())
    assert alert_of(server) == UNSUPPORTED_CERTIFICATE


@pytest.mark.parametrize("server_side", [True, False])
def test_openpgp_is_no_kind_of_ours(server_side: bool) -> None:
    config = _native.Config(server_side=server_side)
    for lists in ({"own": [OPENPGP], "peer": [X509]}, {"own": [X509], "peer": [RAW, OPENPGP]}):
        with pytest.raises(ValueError, match="certificate types"):
            config.set_certificate_types(**lists)


# --- what a raw key looks like


def present(entries: Sequence[Entry]) -> int | None:
    """The alert that these entries in place of a raw public key get."""
    client = HostileClient(raw_public_key=True)
    server = arrive(server_config(peer=[RAW, X509]), client)
    server.feed(client.certificate(entries))
    server.feed(client.certificate_verify(client_identity().key))  # type: ignore[arg-type]
    server.feed(client.finished())
    return alert_of(server)


def test_two_raw_keys_are_refused() -> None:
    key = client_identity().spki
    assert present([Entry(key), Entry(key)]) == DECODE_ERROR


@pytest.mark.parametrize(
    "octets",
    [
        client_identity().chain[0],
        client_identity().spki + b"\0",
        client_identity().spki[:-1],
        b"\x30\x00",
        b"key",
    ],
    ids=["certificate", "an octet too many", "an octet too few", "empty sequence", "text"],
)
def test_what_is_no_subject_public_key_info_is_refused(octets: bytes) -> None:
    assert present([Entry(octets)]) is not None


# --- requests and empty answers


def test_ts_02_a_request_names_signature_algorithms() -> None:
    """RFC 9846 section 4.4.2."""
    client = HostileClient()
    arrive(server_config(), client)
    algorithms = client.requested_extensions()[SIGNATURE_ALGORITHMS]
    assert algorithms[:2] == (len(algorithms) - 2).to_bytes(2, "big")
    assert bytes.fromhex("0403") in [algorithms[at : at + 2] for at in range(2, len(algorithms), 2)]


def test_ts_05_a_client_without_a_certificate_answers_with_an_empty_list() -> None:
    """RFC 9846 section 4.5.1; and without an entry there is no place for a name."""
    config = client_config(anonymous=True)
    config.set_versions(TLS13, TLS13)
    config.set_groups("X25519")
    config.set_cipher_suites("TLS_AES_128_GCM_SHA256")
    client = _native.Connection(config, client_name=CLIENT_NAME)
    server = HostileServer(server_identity(), request=extension(CODE_POINT, b"\0"))
    assert not client.do_handshake()
    client.feed(server.answer(client.drain()))
    assert client.do_handshake()
    said = b"".join(content for kind, content in server.open(client.drain()) if kind == HANDSHAKE)
    assert said[:8] == bytes((CERTIFICATE,)) + bytes.fromhex("000004 00 000000")


def test_a_client_never_offers_to_authenticate_later() -> None:
    """RFC 9846 section 4.3.6: without post_handshake_auth a server must not ask after the handshake."""
    assert POST_HANDSHAKE_AUTH not in client_hello_extensions(client_config(own=[RAW, X509]))
