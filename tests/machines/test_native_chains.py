"""A server's DNSSEC chain on the wire (RFC 9102), and the pause in which a client's caller judges it."""

from typing import Any

import pytest

from adversary.hostile_client import (
    CERTIFICATE,
    Entry,
    HostileClient,
    extension,
    extensions_of,
)
from dnsbound import _native
from dnsbound.iana import DNSSEC_CHAIN
from machines.native_hostile_server import HostileServer, client_hello_extensions
from machines.native_pairs import (
    CLIENT_NAME,
    RAW,
    SERVER,
    TLS12,
    TLS13,
    X509,
    client_config,
    client_identity,
    make_identity,
    server_config,
    server_identity,
    shake,
)

DECODE_ERROR, ILLEGAL_PARAMETER, UNSUPPORTED_EXTENSION, HANDSHAKE_FAILURE = 50, 47, 110, 40
APPLICATION_VERIFICATION = 50
"""X509_V_ERR_APPLICATION_VERIFICATION."""
PORT = 8443
CHAIN = b"\x00\x07" + bytes(range(256)) * 20
"""About as long as real ones; the engine does not look inside."""
VERSIONS = pytest.mark.parametrize("version", [TLS12, TLS13])


def speaking(config: _native.Config) -> _native.Config:
    config.set_dnssec_chain(DNSSEC_CHAIN)
    return config


def asking(*, port: int | None = PORT, host: str = SERVER, **options: Any) -> _native.Connection:
    return _native.Connection(speaking(client_config(**options)), server_hostname=host, chain_port=port)


def serving(*chains: tuple[str, int, bytes], **options: Any) -> _native.Connection:
    config = speaking(server_config(verification="accept", **options))
    return _native.Connection(config, served_chains=chains or [(SERVER, PORT, CHAIN)])


def until_judgement(near: _native.Connection, far: _native.Connection) -> None:
    for _ in range(4):
        assert not near.do_handshake()
        if near.awaits_judgement():
            return
        far.feed(near.drain())
        far.do_handshake()
        near.feed(far.drain())
    raise AssertionError("nothing is to be judged")


# --- the server's chain


@VERSIONS
@pytest.mark.parametrize("own", [X509, RAW])
def test_dc_02_the_chain_of_this_name_and_port(version: int, own: int) -> None:
    near = asking(peer=[RAW, X509])
    others = [
        ("other.example", PORT, b"no"),
        (SERVER, 443, b"no"),
        (SERVER.upper(), PORT, CHAIN),
        (SERVER, PORT, b"no"),
    ]
    far = serving(*others, own=[own], versions=(version, version))
    until_judgement(near, far)
    assert near.server_chain() == CHAIN
    near.set_server_tlsa(SERVER, [(3, 1, 0, server_identity().spki)])
    near.judge_server(True)
    shake(near, far)
    assert near.server_tlsa_match() == (3, 1, 0, server_identity().spki)
    assert far.server_chain() is None


@VERSIONS
@pytest.mark.parametrize(
    "chain", [("other.example", PORT), (SERVER, PORT + 1), ("x" + SERVER, PORT)], ids=["host", "port", "longer"]
)
def test_dc_02_no_other_chain_is_sent(version: int, chain: tuple[str, int]) -> None:
    near = asking()
    far = serving((*chain, CHAIN), versions=(version, version))
    until_judgement(near, far)
    assert near.server_chain() is None
    near.judge_server(True)
    shake(near, far)


def test_nobody_asked() -> None:
    near, far = asking(port=None), serving()
    shake(near, far)
    assert near.server_chain() is None
    assert not near.awaits_judgement()


def test_a_server_that_does_not_know_it() -> None:
    near, far = asking(), _native.Connection(server_config(verification="accept"))
    until_judgement(near, far)
    assert near.server_chain() is None


def test_dc_01_the_question_is_a_port_and_comes_with_a_name() -> None:
    near = asking()
    near.do_handshake()
    extensions = client_hello_extensions(near.drain())
    assert extensions[DNSSEC_CHAIN] == PORT.to_bytes(2, "big")
    assert SERVER.encode() in extensions[0]
    with pytest.raises(ValueError, match="the server's name"):
        _native.Connection(speaking(client_config()), chain_port=PORT)


def test_it_survives_a_retry() -> None:
    client = speaking(client_config())
    client.set_groups("P-256:X25519")
    config = speaking(server_config(verification="accept"))
    config.set_groups("X25519")
    near = _native.Connection(client, server_hostname=SERVER, chain_port=PORT)
    far = _native.Connection(config, served_chains=[(SERVER, PORT, CHAIN)])
    until_judgement(near, far)
    assert near.server_chain() == CHAIN


@VERSIONS
def test_the_longest_chain(version: int) -> None:
    longest = bytes(65_000)
    near, far = asking(), serving((SERVER, PORT, longest), versions=(version, version))
    until_judgement(near, far)
    assert near.server_chain() == longest


# --- the pause


@VERSIONS
def test_nothing_of_the_client_is_shown_before_the_judgement(version: int) -> None:
    """Not its certificate, not its name: after the ClientHello it has sent nothing at all."""
    config = speaking(client_config())
    near = _native.Connection(config, server_hostname=SERVER, chain_port=PORT, client_name=CLIENT_NAME)
    far = serving(versions=(version, version))
    until_judgement(near, far)
    assert near.pending_out() == 0
    assert not near.do_handshake(), "it stands still until somebody judges"
    assert near.awaits_judgement()
    assert near.pending_out() == 0
    with pytest.raises(RuntimeError):
        near.write(b"early")
    assert near.server_tlsa_match() is None
    assert near.peer_chain() == []
    near.judge_server(True)
    shake(near, far)
    assert not near.awaits_judgement()


@VERSIONS
def test_a_server_that_is_denied_is_told_and_sees_nothing(version: int) -> None:
    near, far = asking(), serving(versions=(version, version))
    until_judgement(near, far)
    near.judge_server(False)
    with pytest.raises(_native.TlsError) as denied:
        near.do_handshake()
    assert (denied.value.verify_code, denied.value.alert_sent) == (APPLICATION_VERIFICATION, HANDSHAKE_FAILURE)
    far.feed(near.drain())
    with pytest.raises(_native.TlsError) as told:
        far.do_handshake()
    assert told.value.alert_received == HANDSHAKE_FAILURE
    assert far.peer_chain() == []


@VERSIONS
def test_dc_04_the_records_of_the_chain_decide(version: int) -> None:
    """Records that do not match end it, although a certificate authority vouches for the server."""
    near, far = asking(), serving(versions=(version, version))
    until_judgement(near, far)
    assert near.set_server_tlsa(SERVER, [(3, 1, 1, bytes(32))]) == 1
    near.judge_server(True)
    with pytest.raises(_native.TlsError) as refused:
        near.do_handshake()
    assert refused.value.verify_code == 65


@VERSIONS
def test_records_make_up_for_an_authority_nobody_knows(version: int) -> None:
    stranger = make_identity("unheard.example")
    near, far = asking(), serving(identity=stranger, versions=(version, version))
    until_judgement(near, far)
    near.set_server_tlsa(SERVER, [(3, 1, 0, stranger.spki)])
    near.judge_server(True)
    shake(near, far)
    near, far = asking(), serving(identity=stranger, versions=(version, version))
    until_judgement(near, far)
    near.judge_server(True)
    with pytest.raises(_native.TlsError) as refused:
        near.do_handshake()
    assert refused.value.verify_code == 18


def test_a_raw_key_needs_records() -> None:
    near, far = asking(peer=[RAW, X509]), serving(own=[RAW])
    until_judgement(near, far)
    near.judge_server(True)
    with pytest.raises(_native.TlsError):
        near.do_handshake()


def test_judging_out_of_turn() -> None:
    near, far = asking(), serving()
    for allowed in (True, False):
        with pytest.raises(RuntimeError):
            near.judge_server(allowed)
    until_judgement(near, far)
    near.judge_server(True)
    with pytest.raises(RuntimeError):
        near.judge_server(False)
    with pytest.raises(RuntimeError):
        far.judge_server(True)
    with pytest.raises(RuntimeError, match="before the handshake"):
        near.set_server_tlsa(SERVER, [(3, 1, 1, bytes(32))])


def test_a_client_that_verifies_nothing_is_not_held_up() -> None:
    near, far = asking(verification="none"), serving()
    shake(near, far)
    assert near.server_chain() == CHAIN


# --- what ends the handshake


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x01\xbb\x00", bytes(2000)], ids=len)
def test_questions_that_are_no_port(data: bytes) -> None:
    server = serving()
    server.feed(HostileClient(extra_extensions=extension(DNSSEC_CHAIN, data)).client_hello())
    with pytest.raises(_native.TlsError) as refused:
        server.do_handshake()
    assert refused.value.alert_sent == DECODE_ERROR


def test_dc_02_without_sni_no_chain_is_sent() -> None:
    question = extension(DNSSEC_CHAIN, PORT.to_bytes(2, "big"))
    assert first_entry(serving(), HostileClient(server_name="", extra_extensions=question)) == {}


def first_entry(server: _native.Connection, client: HostileClient) -> dict[int, bytes]:
    """Extensions of the first entry of the server's Certificate."""
    server.feed(client.client_hello())
    server.do_handshake()
    client.receive(server.drain())
    body = client.handshake[CERTIFICATE][4:]
    size = int.from_bytes(body[:3], "big")
    block = body[3 + size :]
    return extensions_of(block[2 : 2 + int.from_bytes(block[:2], "big")])


def test_dc_02_it_stands_in_the_first_entry_for_those_who_ask() -> None:
    question = extension(DNSSEC_CHAIN, PORT.to_bytes(2, "big"))
    assert first_entry(serving(), HostileClient(server_name=SERVER, extra_extensions=question)) == {DNSSEC_CHAIN: CHAIN}
    assert first_entry(serving(), HostileClient(server_name=SERVER)) == {}


def hostile(*, asks: bool = True, **places: bytes) -> tuple[_native.Connection, HostileServer]:
    config = speaking(client_config())
    config.set_versions(TLS13, TLS13)
    config.set_groups("X25519")
    config.set_cipher_suites("TLS_AES_128_GCM_SHA256")
    client = _native.Connection(config, server_hostname=SERVER, chain_port=PORT if asks else None)
    client.do_handshake()
    server = HostileServer(server_identity(), **places)
    client.feed(server.answer(client.drain()))
    return client, server


@pytest.mark.parametrize("place", ["hello", "encrypted", "request"])
def test_a_chain_in_another_message(place: str) -> None:
    client, _ = hostile(**{place: extension(DNSSEC_CHAIN, CHAIN)})
    with pytest.raises(_native.TlsError) as refused:
        client.do_handshake()
    assert refused.value.alert_sent == ILLEGAL_PARAMETER


def test_a_chain_that_was_not_asked_for() -> None:
    client, server = hostile(asks=False, entry=extension(DNSSEC_CHAIN, CHAIN))
    with pytest.raises(_native.TlsError) as refused:
        client.do_handshake()
    assert refused.value.alert_sent == UNSUPPORTED_EXTENSION
    assert server.alerts(client.drain()) == [UNSUPPORTED_EXTENSION]


def test_two_chains_in_one_entry() -> None:
    client, _ = hostile(entry=extension(DNSSEC_CHAIN, CHAIN) * 2)
    with pytest.raises(_native.TlsError) as refused:
        client.do_handshake()
    assert refused.value.alert_sent == ILLEGAL_PARAMETER


def test_any_octets_are_handed_on() -> None:
    client, _ = hostile(entry=extension(DNSSEC_CHAIN, b""))
    assert not client.do_handshake()
    assert client.server_chain() == b""


def test_a_chain_in_a_client_s_certificate() -> None:
    config = speaking(server_config())
    server, client = _native.Connection(config), HostileClient()
    server.feed(client.client_hello())
    assert not server.do_handshake()
    client.receive(server.drain())
    server.feed(client.certificate([Entry(client_identity().chain[0], extension(DNSSEC_CHAIN, CHAIN))]))
    with pytest.raises(_native.TlsError) as refused:
        server.do_handshake()
    assert refused.value.alert_sent == UNSUPPORTED_EXTENSION


# --- arguments


@pytest.mark.parametrize(
    "options",
    [
        {"chain_port": 443},
        {"chain_port": 443, "server_hostname": SERVER},
        {"carried_chain": CHAIN},
        {"served_chains": [(SERVER, 443, CHAIN)]},
    ],
    ids=str,
)
def test_chains_need_their_extension(options: dict[str, Any]) -> None:
    for config in (client_config(), server_config()):
        with pytest.raises(ValueError, match=r".+"):
            _native.Connection(config, **options)


def test_roles_and_sizes() -> None:
    with pytest.raises(ValueError, match="only a server"):
        _native.Connection(speaking(client_config()), served_chains=[(SERVER, 443, CHAIN)])
    with pytest.raises(ValueError, match="asks for a chain"):
        _native.Connection(speaking(server_config()), chain_port=443)
    for size in (0, 65_001):
        with pytest.raises(ValueError, match="1 to 65000"):
            serving((SERVER, 443, bytes(size)))
    for port in (-1, 65_536):
        with pytest.raises(OverflowError):
            asking(port=port)
