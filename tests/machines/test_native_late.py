"""Authentication after the handshake in the native engine: asked, answered, kept apart, settled."""

import pytest

from adversary.hostile_client import extension
from dnsbound import _native
from machines.native_hostile_server import HostileServer
from machines.native_pairs import (
    CLIENT_NAME,
    CODE_POINT,
    RAW,
    SERVER,
    TLS12,
    X509,
    Identity,
    authority,
    client_identity,
    connect,
    flow,
    make_identity,
    read_all,
    server_config,
    server_identity,
)

EXTENSION_NOT_RECEIVED, WRONG_SSL_VERSION = 279, 266
"""SSL_R_ numbers."""
SSL_LIBRARY = 20


def offering(
    *,
    identity: Identity | None = None,
    own: tuple[int, ...] = (X509,),
    offers: bool = True,
    clientid: bool = True,
    shows: bool = True,
) -> _native.Config:
    config = _native.Config(server_side=False)
    identity = identity or client_identity()
    if shows:
        config.set_credential(identity.chain if own == (X509,) else (), identity.private_key)
    config.add_trust_anchors([authority().chain[0]])
    config.set_certificate_types(own=own, peer=(X509,))
    if clientid:
        config.set_clientid(CODE_POINT)
    config.set_post_handshake_auth(offers)
    return config


def quiet_server() -> _native.Config:
    """Asks for nothing in the handshake."""
    return server_config(verification="none", peer=(X509, RAW))


def answered(near: _native.Connection, far: _native.Connection) -> None:
    """Carry request and answer; the client reads, then the server."""
    flow(near, far)
    assert near.read(100) is None
    flow(near, far)
    assert far.read(100) is None


@pytest.mark.parametrize("own", [(X509,), (RAW,)], ids=["x509", "raw"])
@pytest.mark.parametrize("verification", ["none", "accept"])
def test_the_answer_is_kept_apart_until_it_is_settled(own: tuple[int, ...], verification: str) -> None:
    """A raw key can be shown where the handshake agreed on raw keys, also if nothing was asked for in it."""
    near, far = connect(server_config(verification=verification, peer=(X509, RAW)), offering(own=own))
    in_handshake = verification == "accept"
    before = (far.peer_chain(), far.peer_raw_public_key(), far.client_names())
    assert any(before) is in_handshake
    assert far.late_answer() is None
    for accept in (False, True):
        far.request_client_certificate()
        assert far.late_answer_awaited()
        assert far.late_answer() is None
        answered(near, far)
        assert not far.late_answer_awaited()
        shown = far.late_answer()
        assert shown is not None
        chain, key, names = shown
        assert names == [(0, CLIENT_NAME)]
        assert chain == (list(client_identity().chain) if own == (X509,) else [])
        assert key == (client_identity().spki if own == (RAW,) else None)
        assert (far.peer_chain(), far.peer_raw_public_key(), far.client_names()) == before
        far.settle_late_answer(accept)
        assert far.late_answer() is None
        told = (far.peer_chain(), far.peer_raw_public_key(), far.client_names())
        assert told == ((chain, key, [(0, CLIENT_NAME)]) if accept else before)
    assert near.clientid_requested()
    assert near.certificate_requested()


def test_again_and_again() -> None:
    near, far = connect(quiet_server(), offering())
    for _ in range(5):
        far.request_client_certificate()
        answered(near, far)
        far.settle_late_answer(accept=True)
        near.write(b"ping")
        far.feed(near.drain())
        assert far.read(10) == b"ping"


def test_a_client_may_decline() -> None:
    near, far = connect(server_config(verification="accept-required"), offering())
    before = far.peer_chain()
    assert before
    far.request_client_certificate()
    answered(near, far)
    far.settle_late_answer(accept=False)
    near, far = connect(quiet_server(), offering(shows=False))
    far.request_client_certificate()
    answered(near, far)
    assert far.late_answer() == ([], None, [])
    far.settle_late_answer(accept=False)
    assert far.peer_chain() == []
    far.write(b"go on")
    near.feed(far.drain())
    assert near.read(10) == b"go on"


def test_application_data_between_request_and_answer() -> None:
    near, far = connect(quiet_server(), offering())
    near.write(b"before it saw the request")
    far.request_client_certificate()
    far.feed(near.drain())
    assert far.read(100) == b"before it saw the request"
    assert far.late_answer_awaited()
    far.write(b"to the client")
    near.feed(far.drain())
    assert near.read(100) == b"to the client"
    near.write(b"after the answer")
    far.feed(near.drain())
    assert far.read(100) == b"after the answer"
    assert far.late_answer() is not None


def test_writing_while_the_answer_is_half_here() -> None:
    """OpenSSL takes no data then; it waits, in order, for the rest of the answer."""
    near, far = connect(quiet_server(), offering())
    far.request_client_certificate()
    flow(near, far)
    assert near.read(10) is None
    octets = near.drain()
    for place in range(1, len(octets), 37):
        far.feed(octets[place - 1 : place] if place == 1 else octets[place - 37 : place])
        assert far.read(10) is None
        assert far.write(b"%d " % place) > 0
    far.feed(octets[place:])
    assert far.read(10) is None
    assert far.late_answer() is not None
    far.write(b"end")
    near.feed(far.drain())
    assert read_all(near) == b"".join(b"%d " % number for number in range(1, len(octets), 37)) + b"end"


def test_writing_while_a_request_is_half_here() -> None:
    near, far = connect(quiet_server(), offering())
    far.request_client_certificate()
    octets = far.drain()
    for octet in octets:
        assert near.write(b"x") == 1
        near.feed(bytes((octet,)))
        assert near.read(10) is None
    far.feed(near.drain())
    assert read_all(far) == b"x" * len(octets)
    assert far.late_answer() is not None


def test_ts_04_not_to_a_client_that_did_not_offer() -> None:
    near, far = connect(quiet_server(), offering(offers=False))
    with pytest.raises(_native.TlsError) as caught:
        far.request_client_certificate()
    assert (caught.value.library, caught.value.reason) == (SSL_LIBRARY, EXTENSION_NOT_RECEIVED)
    assert far.drain() == b""
    far.write(b"unharmed")
    near.feed(far.drain())
    assert near.read(10) == b"unharmed"


def test_ts_04_not_in_tls_1_2() -> None:
    near, far = connect(
        server_config(verification="none", versions=(TLS12, TLS12)), offering(clientid=False), name=None
    )
    with pytest.raises(_native.TlsError) as caught:
        far.request_client_certificate()
    assert (caught.value.library, caught.value.reason) == (SSL_LIBRARY, WRONG_SSL_VERSION)
    far.write(b"unharmed")
    near.feed(far.drain())
    assert near.read(10) == b"unharmed"


def test_ts_04_a_client_that_forbids_it_ends_the_connection() -> None:
    near, far = connect(server_config(verification="accept"), offering())
    near.forbid_late_requests()
    far.request_client_certificate()
    near.feed(far.drain())
    with pytest.raises(_native.TlsError) as caught:
        near.read(10)
    assert caught.value.alert_sent is not None
    far.feed(near.drain())
    with pytest.raises(_native.TlsError) as caught:
        far.read(10)
    assert caught.value.alert_received is not None
    assert far.late_answer() is None


def hostile(near: _native.Connection, **options: bytes) -> HostileServer:
    """A server that says anything, once the handshake with it is complete."""
    assert not near.do_handshake()
    far = HostileServer(server_identity(), **options)
    near.feed(far.answer(near.drain()))
    assert near.do_handshake()
    near.drain()
    return far


def test_ts_04_a_request_that_was_not_offered_is_an_unexpected_message() -> None:
    near = _native.Connection(offering(offers=False), server_hostname=SERVER, client_name=CLIENT_NAME)
    near.feed(hostile(near).late_request(b"context"))
    with pytest.raises(_native.TlsError) as caught:
        near.read(1)
    assert caught.value.alert_sent == 10


@pytest.mark.parametrize("asks", [True, False])
def test_the_name_is_given_to_a_late_request_that_asks_for_it(asks: bool) -> None:
    """Whatever the handshake's request said."""
    near = _native.Connection(offering(), server_hostname=SERVER, client_name=CLIENT_NAME)
    question = extension(CODE_POINT, b"\x00")
    far = hostile(near, request=b"" if asks else question)
    near.feed(far.late_request(b"context", question if asks else b""))
    assert near.read(1) is None
    (kind, certificate), *_ = far.open(near.drain())
    assert (kind, certificate[0]) == (22, 11)
    assert certificate[4:12] == b"\x07context"
    assert (CLIENT_NAME in certificate) is asks


@pytest.mark.parametrize("data", [b"", b"\x01a", b"\x01"])
def test_a_late_request_that_does_not_fit_ends_the_connection(data: bytes) -> None:
    near = _native.Connection(offering(), server_hostname=SERVER, client_name=CLIENT_NAME)
    far = hostile(near)
    near.feed(far.late_request(b"context", extension(CODE_POINT, data)))
    with pytest.raises(_native.TlsError) as caught:
        near.read(1)
    assert caught.value.alert_sent == (47 if data == b"\x01a" else 50)


def test_one_request_at_a_time_and_only_by_a_server() -> None:
    near, far = connect(quiet_server(), offering())
    with pytest.raises(RuntimeError):
        far.settle_late_answer(accept=True)
    with pytest.raises(RuntimeError):
        near.request_client_certificate()
    far.request_client_certificate()
    for _ in range(2):
        with pytest.raises(RuntimeError):
            far.request_client_certificate()
        with pytest.raises(RuntimeError):
            far.settle_late_answer(accept=True)
    answered(near, far)
    with pytest.raises(RuntimeError):
        far.request_client_certificate()
    far.settle_late_answer(accept=True)
    far.request_client_certificate()


def test_not_before_the_handshake_nor_after_the_end() -> None:
    early = _native.Connection(quiet_server())
    with pytest.raises(RuntimeError):
        early.request_client_certificate()
    _, far = connect(quiet_server(), offering())
    far.send_alert(40)
    with pytest.raises(_native.TlsError):
        far.request_client_certificate()


def test_a_wrong_signature_ends_the_connection() -> None:
    """Any octet of the answer changed is a record that does not decrypt; the signature itself is OpenSSL's to check, so
    a name may only be taken from an answer that is complete."""
    near, far = connect(quiet_server(), offering())
    far.request_client_certificate()
    flow(near, far)
    near.read(10)
    octets = bytearray(near.drain())
    octets[len(octets) // 2] ^= 1
    far.feed(bytes(octets))
    with pytest.raises(_native.TlsError):
        far.read(10)
    assert far.late_answer() is None


def test_a_server_that_asks_later_does_not_ask_in_the_handshake() -> None:
    config = server_config(verification="accept")
    config.set_post_handshake_auth(True)
    near, far = connect(config, offering())
    assert not near.certificate_requested()
    assert far.peer_chain() == []
    far.request_client_certificate()
    answered(near, far)
    assert far.late_answer() is not None


def test_the_mode_still_counts() -> None:
    """verify-required: no certificate is certificate_required, another authority's is unknown_ca."""
    for identity, alert in ((None, 116), (client_identity(), 48)):
        config = server_config(verification="verify-required")
        config.set_post_handshake_auth(True)
        near, far = connect(config, offering(identity=identity, shows=identity is not None))
        far.request_client_certificate()
        flow(near, far)
        near.read(10)
        far.feed(near.drain())
        with pytest.raises(_native.TlsError) as caught:
            far.read(10)
        assert caught.value.alert_sent == alert


def test_resumed_connections_can_be_asked_as_well() -> None:
    config = server_config(verification="accept")
    config.set_tickets(lifetime=600)
    clients = offering()
    near, far = connect(config, clients)
    far.send_ticket(600, b"sealed")
    near.feed(far.drain())
    near.read(1)
    session = near.session()
    near, far = connect(config, clients, session=session)
    assert far.session_reused()
    assert far.ticket_application_data() == b"sealed"
    far.request_client_certificate()
    answered(near, far)
    shown = far.late_answer()
    assert shown is not None
    assert shown[0] == list(client_identity().chain)
    assert far.ticket_application_data() == b"sealed"


def test_a_long_chain_arrives_in_several_records() -> None:
    issuer = make_identity("issuer", authority=True, san=())
    long = Identity(key=client_identity().key, chain=(*client_identity().chain, *(issuer.chain * 60)))
    near, far = connect(quiet_server(), offering(identity=long))
    far.request_client_certificate()
    answered(near, far)
    shown = far.late_answer()
    assert shown is not None
    assert len(shown[0]) == 61
