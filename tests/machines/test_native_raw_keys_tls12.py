"""Raw public keys over TLS 1.2: what is offered, answered and presented (RFC 7250 sections 3 and 4).

The server's answers stand in its ServerHello, and a client's Certificate is in clear: both are read, and changed, here.
"""

import pytest

from adversary.hostile_client import CERTIFICATE, CLIENT_CERTIFICATE_TYPE, HANDSHAKE, message, vector
from dnsbound import _native
from machines.native_hellos import hello_extensions, with_extensions
from machines.native_pairs import (
    RAW,
    SERVER,
    TLS12,
    X509,
    client_config,
    client_identity,
    make_identity,
    server_config,
    server_identity,
)

SERVER_CERTIFICATE_TYPE = 20
OPENPGP = 1
HEADER = 5
HANDSHAKE_FAILURE, BAD_CERTIFICATE, UNSUPPORTED_CERTIFICATE, ILLEGAL_PARAMETER = 40, 42, 43, 47
DECODE_ERROR, DECRYPT_ERROR = 50, 51


def hellos(near: _native.Config, far: _native.Config) -> tuple[_native.Connection, _native.Connection, bytes, bytes]:
    """(client, server, ClientHello, the server's flight)."""
    caller, called = _native.Connection(near, server_hostname=SERVER), _native.Connection(far)
    caller.do_handshake()
    hello = caller.drain()
    called.feed(hello)
    called.do_handshake()
    return caller, called, hello, called.drain()


def old(**options: object) -> _native.Config:
    return server_config(versions=(TLS12, TLS12), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("own", "offered"),
    [([X509], None), ([RAW], b"\x01\x02"), ([RAW, X509], b"\x02\x02\x00"), ([X509, RAW], b"\x02\x00\x02")],
)
def test_rp_01_a_client_offers_what_it_can_use(own: list[int], offered: bytes | None) -> None:
    _, _, hello, _ = hellos(client_config(own=own), old(peer=[RAW, X509]))
    assert hello_extensions(hello).get(CLIENT_CERTIFICATE_TYPE) == offered


@pytest.mark.parametrize(
    ("own", "peer", "answer"),
    [([RAW], [RAW, X509], RAW), ([X509, RAW], [RAW, X509], X509), ([RAW, X509], [X509, RAW], RAW)],
)
def test_rp_02_the_answer_is_one_of_those_offered(own: list[int], peer: list[int], answer: int) -> None:
    _, _, hello, flight = hellos(client_config(own=own), old(peer=peer))
    said = hello_extensions(flight).get(CLIENT_CERTIFICATE_TYPE, bytes((X509,)))
    assert said == bytes((answer,))
    assert said[0] in hello_extensions(hello)[CLIENT_CERTIFICATE_TYPE][1:]


def test_rp_02_no_answer_without_a_certificate_request() -> None:
    _, _, _, flight = hellos(client_config(own=[RAW]), old(peer=[RAW, X509], verification="none"))
    assert CLIENT_CERTIFICATE_TYPE not in hello_extensions(flight)


def test_rp_02_no_answer_unasked() -> None:
    _, _, _, flight = hellos(client_config(own=[X509]), old(peer=[X509, RAW]))
    assert CLIENT_CERTIFICATE_TYPE not in hello_extensions(flight)


@pytest.mark.parametrize(
    ("offered", "taken"), [([X509], [RAW]), ([3], [X509, RAW]), ([OPENPGP, 3], [X509, RAW]), ([OPENPGP], [RAW])]
)
def test_rp_03_no_kind_in_common_is_unsupported_certificate(offered: list[int], taken: list[int]) -> None:
    caller, called = _native.Connection(client_config(own=[RAW])), _native.Connection(old(peer=taken))
    caller.do_handshake()
    called.feed(with_extensions(caller.drain(), {CLIENT_CERTIFICATE_TYPE: vector(bytes(offered), 1)}))
    with pytest.raises(_native.TlsError) as refused:
        called.do_handshake()
    assert refused.value.alert_sent == UNSUPPORTED_CERTIFICATE


def refused(body: bytes) -> int | None:
    """The alert to a client's flight whose Certificate has this body."""
    caller, called, _, flight = hellos(client_config(own=[RAW]), old(peer=[RAW]))
    caller.feed(flight)
    caller.do_handshake()
    answer = caller.drain()
    assert answer[HEADER] == CERTIFICATE
    end = HEADER + int.from_bytes(answer[3:5], "big")
    certificate = message(CERTIFICATE, body)
    called.feed(bytes((HANDSHAKE, 3, 3)) + vector(certificate, 2) + answer[end:])
    with pytest.raises(_native.TlsError) as told:
        called.do_handshake()
    assert called.peer_raw_public_key() is None
    assert called.client_names() == []
    return told.value.alert_sent


def key(octets: bytes) -> bytes:
    return vector(octets, 3)


@pytest.mark.parametrize(
    "body",
    [
        key(client_identity().spki + b"\0"),
        key(client_identity().spki) * 2,
        key(client_identity().spki) + b"\0",
        key(client_identity().spki[:-1]),
        key(client_identity().chain[0]),
        vector(key(client_identity().spki), 3),
    ],
    ids=["trailing", "two keys", "trailing in the message", "cut short", "a certificate", "as a list"],
)
def test_rp_04_one_key_as_der_and_nothing_else(body: bytes) -> None:
    assert refused(body) in {DECODE_ERROR, BAD_CERTIFICATE, UNSUPPORTED_CERTIFICATE, ILLEGAL_PARAMETER}


def test_rp_04_no_key_is_none() -> None:
    assert refused(key(b"")) == HANDSHAKE_FAILURE


def test_rp_04_another_key_than_the_one_that_signs() -> None:
    assert refused(key(make_identity("other.example").spki)) == DECRYPT_ERROR


@pytest.mark.parametrize("extension", [CLIENT_CERTIFICATE_TYPE, SERVER_CERTIFICATE_TYPE])
def test_rp_05_openpgp_is_no_kind_of_ours(extension: int) -> None:
    caller = _native.Connection(client_config(own=[RAW], peer=[RAW], verification="accept"))
    called = _native.Connection(old(own=[X509, RAW], peer=[X509, RAW]))
    caller.do_handshake()
    called.feed(with_extensions(caller.drain(), {extension: bytes((1, OPENPGP))}))
    with pytest.raises(_native.TlsError) as refused:
        called.do_handshake()
    assert refused.value.alert_sent == UNSUPPORTED_CERTIFICATE


@pytest.mark.parametrize("kind", [X509, RAW])
def test_a_server_shows_what_it_answered(kind: int) -> None:
    verification = "verify" if kind == X509 else "accept"
    near = client_config(own=[RAW], peer=[kind], verification=verification)
    caller, called, _, flight = hellos(near, old(own=[kind], peer=[RAW]))
    for _ in range(3):
        caller.feed(flight)
        caller.do_handshake()
        called.feed(caller.drain())
        called.do_handshake()
        flight = called.drain()
    assert (caller.handshake_complete, called.handshake_complete) == (True, True)
    assert called.peer_raw_public_key() == client_identity().spki
    assert caller.peer_raw_public_key() == (server_identity().spki if kind == RAW else None)
