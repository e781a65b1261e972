"""Handshakes for QUIC: messages by level, secrets that agree, the name across, and what must not happen (RFC 9001)."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnsbound import _native
from machines.native_pairs import CLIENT_NAME, RAW, TLS12, TLS13, client_identity
from machines.quic_pairs import (
    ALPN,
    APPLICATION,
    HANDSHAKE,
    INITIAL,
    PARAMETERS,
    quic_client,
    quic_ends,
    quic_server,
    quic_shake,
)

UNEXPECTED_MESSAGE, HANDSHAKE_FAILURE, NO_APPLICATION_PROTOCOL = 10, 40, 120


def test_both_ends_agree_on_all_secrets() -> None:
    near, far = quic_ends()
    quic_shake(near, far)
    levels = {level for level, _ in near.secrets}
    assert levels == {HANDSHAKE, APPLICATION}
    for level in levels:
        assert near.secrets[level, True] == far.secrets[level, False]
        assert near.secrets[level, False] == far.secrets[level, True]
    suites = {suite for suite, _ in near.secrets.values()}
    assert len(suites) == 1
    assert suites <= {0x1301, 0x1302, 0x1303}
    assert len({secret for _, secret in near.secrets.values()}) == 4


def test_the_name_crosses_and_is_told_once_possession_is_proved() -> None:
    near, far = quic_ends()
    near.step()
    near.give(far)
    assert not far.step()
    # The keys that write application data are there, and nobody has proved anything.
    assert (APPLICATION, True) in far.secrets
    assert far.connection.client_names() == []
    assert far.connection.peer_chain() == []
    far.give(near)
    quic_shake(near, far)
    assert far.connection.client_names() == [(0, CLIENT_NAME)]
    assert far.connection.peer_chain() == list(client_identity().chain)
    assert far.connection.version() == near.connection.version() == TLS13
    assert far.connection.selected_alpn() == ALPN


def test_raw_keys_cross() -> None:
    near, far = quic_ends(quic_server(peer=(RAW,)), quic_client(bare=True, own=(RAW,)))
    quic_shake(near, far)
    assert far.connection.peer_raw_public_key() == client_identity().spki
    assert far.connection.client_names() == [(0, CLIENT_NAME)]


def test_transport_parameters_cross() -> None:
    near, far = quic_ends()
    assert far.connection.peer_transport_parameters() is None
    quic_shake(near, far)
    assert far.connection.peer_transport_parameters() == PARAMETERS
    assert near.connection.peer_transport_parameters() == b"\x0f\x03far"


def test_messages_are_in_their_levels() -> None:
    near, far = quic_ends()
    quic_shake(near, far)
    assert set(near.sent) == {INITIAL, HANDSHAKE}
    assert set(far.sent) == {INITIAL, HANDSHAKE}
    assert near.sent[INITIAL][0] == 1
    assert far.sent[INITIAL][0] == 2
    # RFC 9001 section 8.4: no legacy_session_id
    assert near.sent[INITIAL][38] == 0


def test_a_handshake_needs_transport_parameters() -> None:
    connection = _native.Connection(quic_client(), client_name=CLIENT_NAME)
    with pytest.raises(RuntimeError):
        connection.do_handshake()
    connection.set_transport_parameters(PARAMETERS)
    assert not connection.do_handshake()
    with pytest.raises(RuntimeError):
        connection.set_transport_parameters(PARAMETERS)


def test_octets_may_come_one_at_a_time() -> None:
    near, far = quic_ends()
    near.step()
    for level, octets in near.connection.take_crypto():
        for octet in octets:
            far.connection.feed_crypto(level, bytes((octet,)))
            far.step()
    assert (HANDSHAKE, False) in far.secrets


@pytest.mark.parametrize("level", [INITIAL, HANDSHAKE, APPLICATION])
def test_octets_of_another_level_never_take_part(level: int) -> None:
    """RFC 9001 section 4.1.3: what comes in a level that is not read now is no part of the handshake."""
    near, far = quic_ends()
    near.step()
    near.give(far)
    far.step()
    far.give(near)
    near.step()
    for _, octets in near.connection.take_crypto():
        far.connection.feed_crypto(level, octets)
    if level == HANDSHAKE:
        assert far.step()
    else:
        assert not far.step()
        assert not far.connection.handshake_complete
        assert far.connection.pending_in() > 0


def test_a_level_that_ends_with_octets_unread_ends_the_handshake() -> None:
    near, far = quic_ends()
    near.step()
    near.give(far)
    far.connection.feed_crypto(INITIAL, b"\x0b\x00\x00\x00")
    with pytest.raises(_native.TlsError):
        far.step()
    assert far.connection.alert() == UNEXPECTED_MESSAGE
    assert not far.connection.handshake_complete


def test_trailing_octets_in_one_piece_end_it_too() -> None:
    near, far = quic_ends()
    near.step()
    hello = b"".join(octets for _, octets in near.connection.take_crypto())
    far.connection.feed_crypto(INITIAL, hello + b"\x14\x00\x00\x00")
    with pytest.raises(_native.TlsError):
        far.step()
    assert far.connection.alert() == UNEXPECTED_MESSAGE


def test_a_refusal_is_an_alert_for_the_connection_close() -> None:
    near, far = quic_ends()
    quic_shake(near, far)
    assert far.connection.alert() is None
    far.connection.send_alert(HANDSHAKE_FAILURE)
    assert far.connection.alert() == HANDSHAKE_FAILURE
    assert far.connection.take_crypto() == []


def test_openssls_own_alert_is_told() -> None:
    near, far = quic_ends(client=quic_client(alpn=[b"other"]))
    near.step()
    near.give(far)
    with pytest.raises(_native.TlsError) as caught:
        far.step()
    assert far.connection.alert() == caught.value.alert_sent == NO_APPLICATION_PROTOCOL


def test_key_update_is_no_message_of_quic() -> None:
    """RFC 9001 section 6."""
    near, far = quic_ends()
    near.step()
    near.give(far)
    far.step()
    far.connection.feed_crypto(HANDSHAKE, b"\x18\x00\x00\x01\x00")
    with pytest.raises(_native.TlsError):
        far.step()
    assert far.connection.alert() == UNEXPECTED_MESSAGE


@pytest.mark.parametrize(
    "call",
    [
        lambda at: at.feed(b"x"),
        lambda at: at.drain(),
        lambda at: at.feed_datagram(b"x"),
        lambda at: at.read(1),
        lambda at: at.write(b"x"),
        lambda at: at.shutdown(),
        lambda at: at.timeout(),
        lambda at: at.request_client_certificate(),
        lambda at: at.send_ticket(60, b""),
    ],
)
def test_nothing_of_a_stream_works(call: Callable[[_native.Connection], object]) -> None:
    near, far = quic_ends()
    quic_shake(near, far)
    with pytest.raises(RuntimeError):
        call(far.connection)


@pytest.mark.parametrize("method", ["take_crypto", "take_secrets", "peer_transport_parameters", "alert"])
def test_nothing_of_quic_works_on_a_stream(method: str) -> None:
    connection = _native.Connection(_native.Config(server_side=True))
    with pytest.raises(RuntimeError):
        getattr(connection, method)()
    with pytest.raises(RuntimeError):
        connection.feed_crypto(INITIAL, b"x")
    with pytest.raises(RuntimeError):
        connection.set_transport_parameters(PARAMETERS)


def test_quic_is_tls_1_3_alone() -> None:
    config = _native.Config(server_side=True, quic=True)
    with pytest.raises(ValueError, match="versions"):
        config.set_versions(TLS12, TLS13)
    with pytest.raises(RuntimeError):
        config.set_tickets(lifetime=60)
    with pytest.raises(ValueError, match="DTLS"):
        _native.Config(server_side=True, quic=True, datagram=True)


@pytest.mark.parametrize("length", [0, 65_001])
def test_transport_parameters_have_bounds(length: int) -> None:
    connection = _native.Connection(quic_client(), client_name=CLIENT_NAME)
    with pytest.raises(ValueError, match="transport parameters"):
        connection.set_transport_parameters(bytes(length))


pieces = st.tuples(st.sampled_from([INITIAL, 1, HANDSHAKE, APPLICATION, 7]), st.binary(max_size=300))


@settings(max_examples=150, deadline=None)
@given(before=st.lists(pieces, max_size=4), after=st.lists(pieces, max_size=4), halfway=st.booleans())
def test_any_octets_only_ever_fail(
    before: list[tuple[int, bytes]], after: list[tuple[int, bytes]], halfway: bool
) -> None:
    near, far = quic_ends()
    try:
        for level, octets in before:
            far.connection.feed_crypto(level, octets)
        near.step()
        if halfway:
            near.give(far)
        far.step()
        for level, octets in after:
            far.connection.feed_crypto(level, octets)
        far.step()
    except _native.TlsError:
        assert far.connection.alert() is not None
    assert not far.connection.handshake_complete
    assert far.connection.client_names() == []
