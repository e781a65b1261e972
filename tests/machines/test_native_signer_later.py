"""Keys outside the engine over datagrams, and when a client is asked after the handshake."""

import pytest

from dnsbound import _native
from machines.datagram_pairs import DTLS12, complete, datagram_client, datagram_server, meet
from machines.native_pairs import CODE_POINT, RAW, X509, authority, connect, flow, server_config
from machines.test_native_signer import SCHEMES, Elsewhere, TokenRemovedError, failing, identity

KINDS = ["p256", "p384", "rsa2048"]


def server_elsewhere(elsewhere: Elsewhere, kind: str, *, bare: bool) -> _native.Config:
    config = _native.Config(server_side=True, datagram=True)
    own = elsewhere.own
    config.set_credential_signer([] if bare else own.chain, own.spki, SCHEMES[kind], elsewhere)
    config.set_certificate_types(own=[RAW] if bare else [X509], peer=[X509, RAW])
    config.set_peer_verification("accept-required")
    return config


def client_elsewhere(elsewhere: Elsewhere, kind: str, *, bare: bool) -> _native.Config:
    config = _native.Config(server_side=False, datagram=True)
    own = elsewhere.own
    config.set_credential_signer([] if bare else own.chain, own.spki, SCHEMES[kind], elsewhere)
    config.set_certificate_types(own=[RAW] if bare else [X509], peer=[X509])
    config.set_peer_verification("verify")
    config.add_trust_anchors([authority().chain[0]])
    return config


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bare", [False, True])
def test_a_server_signs_elsewhere(kind: str, bare: bool) -> None:
    elsewhere = Elsewhere(identity(kind))
    client = datagram_client(peer=[RAW] if bare else [X509], verification="accept" if bare else "verify")
    near, far = meet(server_elsewhere(elsewhere, kind, bare=bare), client)
    complete(near, far)
    assert near.version() == DTLS12
    assert [scheme for scheme, _ in elsewhere.asked] == [SCHEMES[kind][0]]
    assert near.peer_raw_public_key() == (elsewhere.own.spki if bare else None)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bare", [False, True])
def test_a_client_signs_elsewhere(kind: str, bare: bool) -> None:
    elsewhere = Elsewhere(identity(kind))
    near, far = meet(datagram_server(peer=[X509, RAW]), client_elsewhere(elsewhere, kind, bare=bare))
    complete(near, far)
    assert [scheme for scheme, _ in elsewhere.asked] == [SCHEMES[kind][0]]
    assert far.peer_raw_public_key() == (elsewhere.own.spki if bare else None)


def test_what_the_signer_raises_is_the_cause() -> None:
    removed = TokenRemovedError()
    near, far = meet(datagram_server(), client_elsewhere(failing(removed), "p256", bare=False))
    with pytest.raises(_native.TlsError) as failed:
        complete(near, far)
    assert failed.value.__cause__ is removed
    assert failed.value.alert_sent == 80


def late_client(elsewhere: Elsewhere, *, bare: bool) -> _native.Config:
    config = _native.Config(server_side=False)
    own = elsewhere.own
    config.set_credential_signer([] if bare else own.chain, own.spki, SCHEMES["p256"], elsewhere)
    config.set_certificate_types(own=[RAW] if bare else [X509], peer=[X509])
    config.add_trust_anchors([authority().chain[0]])
    config.set_clientid(CODE_POINT)
    config.set_post_handshake_auth(True)
    return config


@pytest.mark.parametrize("bare", [False, True])
def test_a_client_that_is_asked_later_signs_elsewhere(bare: bool) -> None:
    elsewhere = Elsewhere(identity("p256"))
    near, far = connect(server_config(verification="none", peer=(X509, RAW)), late_client(elsewhere, bare=bare))
    assert elsewhere.asked == []
    far.request_client_certificate()
    flow(near, far)
    assert near.read(100) is None
    flow(near, far)
    assert far.read(100) is None
    shown = far.late_answer()
    assert shown is not None
    assert shown[:2] == (([], elsewhere.own.spki) if bare else (list(elsewhere.own.chain), None))
    assert len(elsewhere.asked) == 1


def test_a_late_signature_that_fails_ends_the_connection() -> None:
    removed = TokenRemovedError()
    near, far = connect(server_config(verification="none", peer=(X509, RAW)), late_client(failing(removed), bare=False))
    far.request_client_certificate()
    flow(near, far)
    with pytest.raises(_native.TlsError) as failed:
        near.read(100)
    assert failed.value.__cause__ is removed
    flow(near, far)
    with pytest.raises(_native.TlsError) as told:
        far.read(100)
    assert told.value.alert_received == 80
