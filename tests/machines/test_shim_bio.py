"""The shim over memory BIOs against the standard library's TLS: what Python's users expect of an SSLObject."""

import ssl
import sys
import weakref
from pathlib import Path

import pytest

from dnsbound.edge.context import Context
from dnsbound.errors import DnsboundError
from dnsbound.tls.errors import (
    TLSAlertReceived,
    TLSCertificateRefused,
    TLSMisuse,
    TLSPeerError,
    TLSUnexpectedEOF,
)
from machines.native_pairs import SERVER, Identity, authority, make_identity
from machines.shim_pairs import Pair, admitted, client, credential, door, stock_client, stock_server


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    """Our client and the standard library's server, shaken hands, its tickets still unread."""
    both = Pair.of(client(), stock_server(tmp_path))
    assert both.shake() == (True, True)
    return both


def test_pending_counts_ciphertext_that_was_taken(pair: Pair) -> None:
    pair.far.write(b"a" * 100)
    pair.far.write(b"b" * 100)
    assert pair.near.read(1) == b"a"
    assert pair.to_near.pending == 0
    assert pair.near.pending() > 199, "99 decrypted octets and a record that is still ciphertext"
    assert pair.near.read(1000) == b"a" * 99
    assert pair.near.pending() > 100
    assert pair.near.read(1000) == b"b" * 100
    assert pair.near.pending() == 0


def test_read_into_a_buffer(pair: Pair) -> None:
    pair.far.write(b"0123456789")
    buffer = bytearray(b".........")
    assert pair.near.read(4, buffer) == 4
    assert buffer == b"0123....."
    assert pair.near.read(0, memoryview(buffer)[4:]) == 5, "nothing asked for means the whole buffer"
    assert buffer == b"012345678"
    assert pair.near.read(100, buffer) == 1
    assert pair.near.read(0) == b""
    with pytest.raises(ValueError, match="negative"):
        pair.near.read(-1)
    with pytest.raises(ssl.SSLWantReadError):
        pair.near.read(1, buffer)


def test_write_takes_any_buffer_at_once(pair: Pair) -> None:
    large = bytes(range(256)) * 1000
    assert pair.near.write(memoryview(large)) == len(large)
    assert pair.near.write(b"") == 0
    received = b""
    while len(received) < len(large):
        received += pair.far.read(65536)
    assert received == large


def test_close_notify_ends_the_stream(pair: Pair) -> None:
    pair.far.write(b"last")
    with pytest.raises(ssl.SSLWantReadError):
        pair.far.unwrap()
    assert pair.near.read(100) == b"last"
    assert pair.near.read(100) == b""
    assert pair.near.read(100, bytearray(3)) == 0
    assert pair.near.unwrap() is None
    assert pair.far.unwrap() is None
    with pytest.raises(TLSPeerError) as caught:
        pair.near.write(b"x")
    assert caught.value.reason == "PROTOCOL_IS_SHUTDOWN"


def test_unwrap_waits_for_the_peer(pair: Pair) -> None:
    with pytest.raises(ssl.SSLWantReadError):
        pair.near.unwrap()
    assert pair.far.read(1) == b""
    pair.far.unwrap()
    assert pair.near.unwrap() is None


def test_unwrap_says_when_data_was_left_unread(pair: Pair) -> None:
    pair.far.write(b"unread")
    with pytest.raises(TLSPeerError) as caught:
        pair.near.unwrap()
    assert caught.value.reason == "APPLICATION_DATA_AFTER_CLOSE_NOTIFY"


def test_end_without_close_notify(pair: Pair) -> None:
    pair.to_near.write_eof()
    for _ in range(2):
        with pytest.raises(ssl.SSLEOFError) as caught:
            pair.near.read(1)
        assert isinstance(caught.value, TLSUnexpectedEOF)
        assert isinstance(caught.value, DnsboundError)
        assert caught.value.args[0] == ssl.SSL_ERROR_EOF
        assert "UNEXPECTED_EOF_WHILE_READING" in str(caught.value.strerror)


def test_end_during_the_handshake(tmp_path: Path) -> None:
    pair = Pair.of(client(), stock_server(tmp_path))
    pair.to_near.write_eof()
    with pytest.raises(ssl.SSLEOFError):
        pair.near.do_handshake()


def test_nothing_is_known_before_the_handshake(tmp_path: Path) -> None:
    near = Pair.of(client(), stock_server(tmp_path)).near
    assert near.version() is None
    assert near.cipher() is None
    assert near.compression() is None
    assert near.selected_alpn_protocol() is None
    assert near.get_channel_binding("tls-exporter") is None
    with pytest.raises(ValueError, match="handshake not done"):
        near.getpeercert()
    with pytest.raises(TLSPeerError):
        near.unwrap()


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_facts_agree_with_the_other_end(tmp_path: Path, version: str) -> None:
    near, far = client(), stock_server(tmp_path)
    near.set_alpn_protocols(["h2", "http/1.1"])
    far.set_alpn_protocols(["http/1.1"])
    near.maximum_version = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}[version]
    pair = Pair.of(near, far)
    pair.shake()
    assert pair.near.version() == pair.far.version() == version
    assert pair.near.cipher() == pair.far.cipher()
    assert pair.near.selected_alpn_protocol() == pair.far.selected_alpn_protocol() == "http/1.1"
    assert pair.near.shared_ciphers() is None
    binding = pair.near.get_channel_binding("tls-unique")
    assert binding == (pair.far.get_channel_binding("tls-unique") if version == "TLSv1.2" else None)
    assert pair.near.server_hostname == SERVER
    assert not pair.near.server_side
    assert pair.near.context is near
    assert pair.near.session_reused is False


def test_tls_unique_from_the_servers_side() -> None:
    far = Context(ssl.PROTOCOL_TLS_SERVER)
    own = door()
    far._set(credential=own._settings.credential)
    old = stock_client()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    pair = Pair.of(old, far)
    assert pair.shake() == (True, True)
    assert pair.far.get_channel_binding("tls-unique") == pair.near.get_channel_binding("tls-unique")
    assert pair.far.cipher() in pair.far.shared_ciphers()


def test_channel_bindings_are_the_same_at_both_ends() -> None:
    pair = admitted(client(credential()), door())
    for kind, octets in (("tls-exporter", 32), ("tls-server-end-point", 32)):
        binding = pair.near.get_channel_binding(kind)
        assert binding == pair.far.get_channel_binding(kind)
        assert len(binding) == octets
    near, far = (
        pair.near.export_keying_material(b"label", 16, b"c"),
        pair.far.export_keying_material(b"label", 16, b"c"),
    )
    assert near == far
    assert near != pair.near.export_keying_material(b"label", 16)
    with pytest.raises(ValueError, match="not implemented"):
        pair.near.get_channel_binding("tls-telepathy")


RICH = (SERVER, "*.wild.example", "192.0.2.7", "2001:db8::7")


@pytest.mark.parametrize("kind", ["p256", "rsa", "ed25519"])
def test_certificate_is_shown_as_the_standard_library_shows_it(tmp_path: Path, kind: str) -> None:
    far = stock_server(tmp_path, make_identity(SERVER, issuer=authority(), san=RICH, kind=kind))
    shown = []
    for near in (client(), stock_client()):
        pair = Pair.of(near, far)
        pair.shake()
        shown.append((pair.near.getpeercert(), pair.near.getpeercert(binary_form=True)))
    assert shown[0] == shown[1]
    assert shown[0][0]["subjectAltName"][2:] == (("IP Address", "192.0.2.7"), ("IP Address", "2001:DB8:0:0:0:0:0:7"))


def test_verified_and_unverified_chains(pair: Pair) -> None:
    leaf = pair.near.getpeercert(binary_form=True)
    assert pair.near.shim.get_unverified_chain()[0] == leaf
    assert pair.near.shim.get_verified_chain() == [leaf, authority().chain[0]]
    [shown, _root] = pair.near.shim.get_verified_chain()
    assert shown.public_bytes(2) == leaf
    assert ssl.PEM_cert_to_DER_cert(shown.public_bytes()) == leaf
    assert shown.get_info() == pair.near.getpeercert()
    with pytest.raises(ValueError, match="format"):
        shown.public_bytes(3)
    if sys.version_info >= (3, 13):
        assert pair.near.get_verified_chain() == [leaf, authority().chain[0]]
        assert pair.near.get_unverified_chain()[0] == leaf


def refused_by_client(near: ssl.SSLContext, far: ssl.SSLContext, host: str = SERVER) -> TLSCertificateRefused:
    pair = Pair.of(near, far, host=host)
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        pair.shake()
    assert isinstance(caught.value, TLSCertificateRefused)
    assert caught.value.reason == "CERTIFICATE_VERIFY_FAILED"
    with pytest.raises(ssl.SSLError):
        pair.far.do_handshake()
    return caught.value


def test_unknown_authority(tmp_path: Path) -> None:
    error = refused_by_client(client(), stock_server(tmp_path, make_identity(SERVER)))
    assert error.verify_code == 18


def test_wrong_name(tmp_path: Path) -> None:
    error = refused_by_client(client(), stock_server(tmp_path), "other.example")
    assert error.verify_code == 62
    assert error.verify_message


@pytest.mark.parametrize(("days", "code"), [((-3, -1), 10), ((1, 3), 9)])
def test_outside_its_dates(tmp_path: Path, days: tuple[float, float], code: int) -> None:
    stale: Identity = make_identity(SERVER, issuer=authority(), days=days)
    assert refused_by_client(client(), stock_server(tmp_path, stale)).verify_code == code


def test_addresses_are_checked_and_never_sent_as_a_name(tmp_path: Path) -> None:
    seen: list[str | None] = []
    far = stock_server(tmp_path)
    far.sni_callback = lambda _made, name, _context: seen.append(name)
    for host in ("192.0.2.7", "2001:db8::7", SERVER):
        assert Pair.of(client(), far, host=host).shake() == (True, True)
    assert seen == [None, None, SERVER]
    assert refused_by_client(client(), far, "192.0.2.8").verify_code == 64


def test_alert_received(tmp_path: Path) -> None:
    far = stock_server(tmp_path)
    far.verify_mode = ssl.CERT_REQUIRED
    far.load_verify_locations(cadata=authority().chain[0])
    pair = Pair.of(client(credential()), far)
    with pytest.raises(ssl.SSLError):
        pair.shake()
    with pytest.raises(TLSAlertReceived) as caught:
        pair.near.read(1)
    assert caught.value.reason == "TLSV1_ALERT_UNKNOWN_CA"
    assert caught.value.library == "SSL"
    assert caught.value.errno == ssl.SSL_ERROR_SSL


def test_octets_that_are_no_tls(tmp_path: Path) -> None:
    pair = Pair.of(client(), stock_server(tmp_path))
    pair.to_near.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(TLSPeerError):
        pair.near.do_handshake()


def test_ordinary_servers_have_no_door() -> None:
    far = Context(ssl.PROTOCOL_TLS_SERVER)
    far._set(credential=door()._settings.credential)
    pair = Pair.of(stock_client(), far)
    assert pair.shake() == (True, True)
    assert pair.far.verified_peer() is None
    pair.near.write(b"hello")
    assert pair.far.read(10) == b"hello"
    assert not far.is_door


@pytest.mark.parametrize("known", [False, True])
def test_ordinary_server_with_a_certificate_authority(known: bool) -> None:
    far = Context(ssl.PROTOCOL_TLS_SERVER)
    far._set(credential=door()._settings.credential)
    far.verify_mode = ssl.CERT_REQUIRED
    far.load_verify_locations(cadata=authority().chain[0])
    own = make_identity("user.example", issuer=authority() if known else None)
    near = client(credential(None))
    near._set(credential=type(near._settings.credential)(chain=own.chain, key=own.private_key))
    pair = Pair.of(near, far)
    if known:
        assert pair.shake() == (True, True)
        assert pair.far.getpeercert()["subject"] == ((("commonName", "user.example"),),)
    else:
        with pytest.raises(TLSCertificateRefused):
            pair.shake()


def test_a_client_asks_for_no_certificate(pair: Pair) -> None:
    with pytest.raises(TLSMisuse):
        pair.near.verify_client_post_handshake()


def test_connection_keeps_its_context(pair: Pair) -> None:
    pair.near.context = pair.near.context
    with pytest.raises(TLSMisuse):
        pair.near.context = client()
    with pytest.raises(TLSMisuse):
        pair.near.session = None


def test_objects_go_when_their_user_lets_go(tmp_path: Path) -> None:
    """No reference cycle: thousands of connections must not wait for the garbage collector."""
    pair = Pair.of(client(), stock_server(tmp_path))
    pair.shake()
    gone = weakref.ref(pair.near.shim)
    del pair
    assert gone() is None
