"""Keys outside the engine: every kind signs through a callback, at both ends, in both versions and both forms."""

import gc
import threading
import weakref
from functools import cache
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from dnsbound import _native
from machines.native_pairs import (
    CLIENT_NAME,
    RAW,
    SERVER,
    TLS12,
    TLS13,
    X509,
    Identity,
    authority,
    client_config,
    connect,
    make_identity,
    server_config,
    shake,
)

if TYPE_CHECKING:
    from collections.abc import Callable

INTERNAL_ERROR = 80
SCHEMES = {
    "p256": (0x0403,),
    "p384": (0x0503,),
    "rsa2048": (0x0804, 0x0805, 0x0806),
    "ed25519": (0x0807,),
    "mldsa65": (0x0905,),
}
_HASHES = {3: hashes.SHA256(), 4: hashes.SHA256(), 5: hashes.SHA384(), 6: hashes.SHA512()}
_CURVE_HASHES = {0x0403: hashes.SHA256(), 0x0503: hashes.SHA384(), 0x0603: hashes.SHA512()}


@cache
def identity(kind: str) -> Identity:
    return make_identity(SERVER, kind=kind, issuer=authority())


class Elsewhere:
    """A key that signs by a call, and remembers what it was asked."""

    def __init__(self, own: Identity) -> None:
        self.own = own
        self.asked: list[tuple[int, bytes]] = []
        self.before: Callable[[], object] = lambda: None

    def __call__(self, scheme: int, message: bytes) -> bytes:
        self.asked.append((scheme, message))
        self.before()
        key = self.own.key
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return key.sign(message, ec.ECDSA(_CURVE_HASHES[scheme]))
        if isinstance(key, rsa.RSAPrivateKey):
            digest = _HASHES[scheme >> 8 if scheme < 0x0800 else scheme & 0xF]
            if scheme < 0x0800:
                return key.sign(message, padding.PKCS1v15(), digest)
            return key.sign(message, padding.PSS(padding.MGF1(digest), padding.PSS.DIGEST_LENGTH), digest)
        return key.sign(message)


def use(config: _native.Config, elsewhere: Elsewhere, schemes: tuple[int, ...], *, bare: bool = False) -> None:
    own = elsewhere.own
    config.set_credential_signer([] if bare else own.chain, own.spki, schemes, elsewhere)


def server_elsewhere(
    elsewhere: Elsewhere, schemes: tuple[int, ...], *, raw: bool = False, bare: bool = False, version: int = TLS13
) -> _native.Config:
    config = _native.Config(server_side=True)
    use(config, elsewhere, schemes, bare=bare)
    config.set_certificate_types(own=[RAW if raw else X509], peer=[X509, RAW])
    config.set_peer_verification("accept-required")
    config.set_versions(version, version)
    config.set_clientid(65300)
    return config


def client_elsewhere(
    elsewhere: Elsewhere, schemes: tuple[int, ...], *, raw: bool = False, bare: bool = False
) -> _native.Config:
    config = _native.Config(server_side=False)
    use(config, elsewhere, schemes, bare=bare)
    config.set_certificate_types(own=[RAW if raw else X509], peer=[X509])
    config.add_trust_anchors([authority().chain[0]])
    config.set_clientid(65300)
    return config


@pytest.mark.parametrize("kind", SCHEMES)
@pytest.mark.parametrize(("raw", "bare"), [(False, False), (True, False), (True, True)])
def test_a_server_signs_elsewhere(kind: str, raw: bool, bare: bool) -> None:
    elsewhere = Elsewhere(identity(kind))
    server = server_elsewhere(elsewhere, SCHEMES[kind], raw=raw, bare=bare)
    client = client_config(peer=[RAW if raw else X509], verification="accept" if raw else "verify")
    near, far = connect(server, client)
    assert [scheme for scheme, _ in elsewhere.asked] == [SCHEMES[kind][0]]
    assert near.version() == TLS13
    if raw:
        assert near.peer_raw_public_key() == elsewhere.own.spki
    else:
        assert near.peer_chain() == list(elsewhere.own.chain)
    # RFC 9846 section 4.5.3: sixty-four spaces, the context string, a zero octet, the hash of the transcript.
    assert elsewhere.asked[0][1].startswith(b" " * 64 + b"TLS 1.3, server CertificateVerify\0")
    far.write(b"data")


@pytest.mark.parametrize("kind", SCHEMES)
@pytest.mark.parametrize(("raw", "bare"), [(False, False), (True, False), (True, True)])
def test_a_client_signs_elsewhere(kind: str, raw: bool, bare: bool) -> None:
    elsewhere = Elsewhere(identity(kind))
    _, far = connect(server_config(peer=[X509, RAW]), client_elsewhere(elsewhere, SCHEMES[kind], raw=raw, bare=bare))
    assert [scheme for scheme, _ in elsewhere.asked] == [SCHEMES[kind][0]]
    assert far.client_names() == [(0, CLIENT_NAME)]
    if raw:
        assert far.peer_raw_public_key() == elsewhere.own.spki
    else:
        assert far.peer_chain() == list(elsewhere.own.chain)


@pytest.mark.parametrize("kind", ["p256", "p384", "rsa2048", "ed25519"])
def test_both_ends_sign_elsewhere_in_tls_1_2(kind: str) -> None:
    ours, theirs = Elsewhere(identity(kind)), Elsewhere(identity(kind))
    server = server_elsewhere(ours, SCHEMES[kind], version=TLS12)
    near, far = connect(server, client_elsewhere(theirs, SCHEMES[kind]))
    assert near.version() == TLS12
    assert [scheme for scheme, _ in ours.asked + theirs.asked] == [SCHEMES[kind][0]] * 2
    assert far.peer_chain() == list(theirs.own.chain)


@pytest.mark.parametrize("kind", ["p256", "rsa2048", "ed25519"])
def test_a_bare_key_serves_in_tls_1_2(kind: str) -> None:
    elsewhere = Elsewhere(identity(kind))
    server = server_elsewhere(elsewhere, SCHEMES[kind], raw=True, bare=True, version=TLS12)
    near, _ = connect(server, client_config(peer=[RAW], verification="accept"))
    assert near.version() == TLS12
    assert near.peer_raw_public_key() == elsewhere.own.spki


def test_a_bare_key_in_octets_that_would_not_be_sent_is_refused() -> None:
    """A verifier hashes the SubjectPublicKeyInfo: another encoding of the same key is another hash."""
    spki = identity("p256").spki
    compressed = b"\x30\x39" + spki[2:23] + b"\x03\x22\0" + bytes([2 + spki[-1] % 2]) + spki[27:59]
    with pytest.raises(ValueError, match="encoding"):
        server_config_without_key().set_credential_signer([], compressed, (0x0403,), Elsewhere(identity("p256")))


def test_tls_1_2_uses_pkcs1_where_that_is_all_the_key_can_do() -> None:
    elsewhere = Elsewhere(identity("rsa2048"))
    near, _ = connect(server_elsewhere(elsewhere, (0x0501,), version=TLS12), client_config())
    assert near.version() == TLS12
    assert [scheme for scheme, _ in elsewhere.asked] == [0x0501]


def test_a_key_is_asked_for_nothing_it_cannot_do() -> None:
    """A P-256 key with SHA-384 is a choice TLS 1.2 leaves to the peer."""
    elsewhere = Elsewhere(identity("p256"))
    client = client_config()
    client.set_signature_algorithms("ECDSA+SHA384:ECDSA+SHA256:rsa_pss_rsae_sha256")
    connect(server_elsewhere(elsewhere, (0x0403,), version=TLS12), client)
    assert [scheme for scheme, _ in elsewhere.asked] == [0x0403]
    with pytest.raises(_native.TlsError):
        connect(server_elsewhere(elsewhere, (0x0603,)), client_config())
    assert len(elsewhere.asked) == 1


@pytest.mark.parametrize("kind", SCHEMES)
def test_a_server_with_a_key_elsewhere_takes_every_kind_of_client(kind: str) -> None:
    server = server_elsewhere(Elsewhere(identity("p256")), SCHEMES["p256"])
    _, far = connect(server, client_config(identity=identity(kind)))
    assert far.peer_chain() == list(identity(kind).chain)


def test_accepted_algorithms_and_own_ones_are_two_lists() -> None:
    for first in (True, False):
        elsewhere = Elsewhere(identity("rsa2048"))
        server = _native.Config(server_side=True)
        if first:
            server.set_signature_algorithms("ed25519")
        use(server, elsewhere, SCHEMES["rsa2048"])
        if not first:
            server.set_signature_algorithms("ed25519")
        server.set_peer_verification("accept-required")
        _, far = connect(server, client_config(identity=identity("ed25519"), clientid=False), name=None)
        assert far.peer_chain() == list(identity("ed25519").chain)
    near = _native.Connection(client_config(identity=identity("p256"), clientid=False), server_hostname=SERVER)
    far = _native.Connection(server)
    with pytest.raises(_native.TlsError):
        shake(near, far)


class TokenRemovedError(Exception):
    pass


def failing(error: BaseException) -> Elsewhere:
    def fail() -> None:
        raise error

    elsewhere = Elsewhere(identity("p256"))
    elsewhere.before = fail
    return elsewhere


@pytest.mark.parametrize("server_fails", [True, False])
@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_what_the_signer_raises_is_the_cause(server_fails: bool, version: int) -> None:
    removed = TokenRemovedError("no token in the slot")
    if server_fails:
        near = _native.Connection(client_config(), server_hostname=SERVER, client_name=CLIENT_NAME)
        far = _native.Connection(server_elsewhere(failing(removed), SCHEMES["p256"], version=version))
    else:
        client = client_elsewhere(failing(removed), SCHEMES["p256"])
        near = _native.Connection(client, server_hostname=SERVER, client_name=CLIENT_NAME)
        far = _native.Connection(server_config(versions=(version, version)))
    with pytest.raises(_native.TlsError) as failed:
        shake(near, far)
    assert failed.value.__cause__ is removed
    assert failed.value.alert_sent == INTERNAL_ERROR
    broken, peer = (far, near) if server_fails else (near, far)
    with pytest.raises(_native.TlsError) as again:
        broken.do_handshake()
    assert again.value.text == failed.value.text
    assert again.value.__cause__ is None
    peer.feed(broken.drain())
    with pytest.raises(_native.TlsError) as told:
        peer.do_handshake()
    assert told.value.alert_received == INTERNAL_ERROR
    assert told.value.__cause__ is None


class Local:
    """Something that a caller's frame holds."""


def test_a_failed_connection_keeps_no_frames_of_its_callers() -> None:
    """A token that is pulled out fails at every handshake; what those leave behind would add up."""

    def fail() -> None:
        raise TokenRemovedError

    elsewhere = Elsewhere(identity("p256"))
    elsewhere.before = fail
    server = server_elsewhere(elsewhere, SCHEMES["p256"])

    def call() -> weakref.ref[Local]:
        local = Local()
        near = _native.Connection(client_config(), server_hostname=SERVER, client_name=CLIENT_NAME)
        far = _native.Connection(server)
        with pytest.raises(_native.TlsError) as failed:
            shake(near, far)
        assert isinstance(failed.value.__cause__, TokenRemovedError)
        return weakref.ref(local)

    left = call()
    gc.collect()
    assert left() is None


def test_an_interrupt_is_raised_once_as_it_is() -> None:
    near = _native.Connection(
        client_elsewhere(failing(KeyboardInterrupt()), SCHEMES["p256"]), server_hostname=SERVER, client_name=CLIENT_NAME
    )
    far = _native.Connection(server_config())
    with pytest.raises(KeyboardInterrupt):
        shake(near, far)
    with pytest.raises(_native.TlsError) as again:
        near.do_handshake()
    assert again.value.__cause__ is None
    assert again.value.alert_sent == INTERNAL_ERROR


@pytest.mark.parametrize("answer", [b"", b"x" * 100, bytearray(64), None, "text"])
def test_what_is_no_signature_ends_the_handshake(answer: object) -> None:
    own = identity("p256")
    config = _native.Config(server_side=True)
    config.set_credential_signer(own.chain, own.spki, (0x0403,), lambda _scheme, _message: answer)
    far = _native.Connection(config)
    with pytest.raises(_native.TlsError) as failed:
        shake(_native.Connection(client_config(anonymous=True), server_hostname=SERVER), far)
    assert failed.value.alert_sent == INTERNAL_ERROR
    assert isinstance(failed.value.__cause__, ValueError if isinstance(answer, bytes) else TypeError)


def test_a_wrong_signature_is_the_peers_to_find() -> None:
    own = identity("ed25519")
    config = _native.Config(server_side=True)
    config.set_credential_signer(own.chain, own.spki, (0x0807,), lambda _scheme, _message: bytes(64))
    with pytest.raises(_native.TlsError) as refused:
        shake(_native.Connection(client_config(anonymous=True), server_hostname=SERVER), _native.Connection(config))
    assert refused.value.alert_sent == 51


@pytest.mark.parametrize("call", ["version", "drain", "do_handshake"])
def test_a_signer_may_not_use_the_connection_it_signs_for(call: str) -> None:
    elsewhere = Elsewhere(identity("p256"))
    far = _native.Connection(server_elsewhere(elsewhere, SCHEMES["p256"]))
    elsewhere.before = getattr(far, call)
    with pytest.raises(_native.TlsError) as failed:
        shake(_native.Connection(client_config(), server_hostname=SERVER, client_name=CLIENT_NAME), far)
    assert isinstance(failed.value.__cause__, RuntimeError)


def test_a_signer_may_use_another_connection() -> None:
    """A signing service that is itself reached over TLS."""
    inner, outer = Elsewhere(identity("p256")), Elsewhere(identity("ed25519"))
    outer.before = lambda: connect(server_elsewhere(inner, SCHEMES["p256"]), client_config())
    connect(server_elsewhere(outer, SCHEMES["ed25519"]), client_config())
    assert len(inner.asked) == len(outer.asked) == 1


def test_a_slow_signer_holds_up_no_other_connection() -> None:
    entered, release = threading.Event(), threading.Event()
    slow = Elsewhere(identity("p256"))

    def wait() -> None:
        entered.set()
        assert release.wait(60)

    slow.before = wait
    config = server_elsewhere(slow, SCHEMES["p256"])
    ends: list[_native.Connection] = []
    thread = threading.Thread(target=lambda: ends.extend(connect(config, client_config())))
    thread.start()
    try:
        assert entered.wait(60)
        for _ in range(3):
            connect(server_config(), client_config())
        assert config.frozen
        assert not ends
    finally:
        release.set()
        thread.join(60)
    assert [end.handshake_complete for end in ends] == [True, True]


def test_many_threads_sign_at_once() -> None:
    elsewhere = Elsewhere(identity("p256"))
    server, client = server_elsewhere(elsewhere, SCHEMES["p256"]), client_config()
    threads = [threading.Thread(target=lambda: [connect(server, client) for _ in range(10)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(elsewhere.asked) == 40


def server_config_without_key() -> _native.Config:
    return _native.Config(server_side=True)


def test_what_does_not_fit_is_refused() -> None:
    own, other = identity("p256"), identity("ed25519")
    never = Elsewhere(own)
    with pytest.raises(_native.TlsError):
        server_config_without_key().set_credential_signer(own.chain, other.spki, (0x0807,), never)
    with pytest.raises(_native.TlsError):
        server_config_without_key().set_credential_signer([], b"\x30\x00", (0x0403,), never)
    with pytest.raises(ValueError, match="behind the public key"):
        server_config_without_key().set_credential_signer([], own.spki + b"\0", (0x0403,), never)
    with pytest.raises(ValueError, match="one signature scheme"):
        server_config_without_key().set_credential_signer(own.chain, own.spki, (), never)
    with pytest.raises(ValueError, match="0x0999"):
        server_config_without_key().set_credential_signer(own.chain, own.spki, (0x0999,), never)
    config = server_config_without_key()
    config.set_credential_signer(own.chain, own.spki, (0x0403,), never)
    with pytest.raises(RuntimeError):
        config.set_credential(other.chain, other.private_key)
    with pytest.raises(RuntimeError):
        config.set_credential_signer(own.chain, own.spki, (0x0403,), never)
    config = server_config_without_key()
    config.set_credential(other.chain, other.private_key)
    with pytest.raises(RuntimeError):
        config.set_credential_signer(own.chain, own.spki, (0x0403,), never)
    assert not never.asked
