"""After the handshake: reading, writing, closing, alerts, the end of the transport."""

import pytest

from dnsbound import _native
from machines.native_pairs import (
    TLS12,
    TLS13,
    client_config,
    connect,
    flow,
    read_all,
    server_config,
)

versions = pytest.mark.parametrize("version", [TLS12, TLS13])
Pair = tuple[_native.Connection, _native.Connection]


def pair(version: int = TLS13) -> Pair:
    return connect(server_config(versions=(version, version)), client_config())


@versions
@pytest.mark.parametrize("size", [1, 16384, 16385, 100_000, 1_000_000])
def test_any_amount_arrives(version: int, size: int) -> None:
    near, far = pair(version)
    data = bytes(range(256)) * (size // 256 + 1)
    assert near.write(data[:size]) == size
    assert near.pending_out() > size
    far.feed(near.drain())
    assert near.pending_out() == 0
    assert far.pending_in() > size
    assert read_all(far) == data[:size]
    assert far.pending_in() == 0
    assert far.read(1) is None


def test_bytes_like_objects() -> None:
    near, far = pair()
    assert near.write(bytearray(b"bytearray ")) == 10
    assert near.write(memoryview(b"_memoryview_")[1:-1]) == 10
    wire = near.drain()
    far.feed(bytearray(wire[:20]))
    far.feed(memoryview(wire)[20:])
    assert read_all(far) == b"bytearray memoryview"
    assert near.write(b"") == 0
    assert near.pending_out() == 0
    for wrong in ("text", 5, None):
        with pytest.raises((TypeError, BufferError)):
            near.write(wrong)  # type: ignore[arg-type]
        with pytest.raises((TypeError, BufferError)):
            near.feed(wrong)  # type: ignore[arg-type]
    with pytest.raises(BufferError):
        near.feed(memoryview(b"12345678").cast("I"))  # not octets


def test_a_read_gives_no_more_than_it_was_asked_for() -> None:
    near, far = pair()
    near.write(b"0123456789")
    far.feed(near.drain())
    assert far.read(3) == b"012"
    assert far.pending_plain() == 7
    assert far.pending_in() == 0
    assert far.read(1 << 40) == b"3456789"
    assert far.pending_plain() == 0


def test_ciphertext_that_is_not_read_is_pending() -> None:
    """What an event loop asks before it waits for the socket: nothing may be swallowed."""
    near, far = pair()
    near.write(b"x" * 10)
    record = near.drain()
    near.write(b"y" * 10)
    far.feed(record)
    far.feed(near.drain())
    assert far.pending_in() == 2 * len(record)
    assert far.read(100) == b"x" * 10
    assert far.pending_in() == len(record)
    assert far.read(100) == b"y" * 10
    assert far.pending_in() == 0


def test_nothing_can_be_read_or_written_before_the_handshake() -> None:
    near = _native.Connection(client_config())
    for call in (
        lambda: near.read(1),
        lambda: near.write(b"x"),
        near.shutdown,
        lambda: near.send_alert(40),
        lambda: near.send_ticket(1, b""),
        lambda: near.export_keying_material(b"EXPORTER-x", 32, None),
    ):
        with pytest.raises(RuntimeError, match="handshake is not complete"):
            call()


def test_a_read_of_nothing_is_misuse() -> None:
    near, _ = pair()
    with pytest.raises(ValueError, match="one octet"):
        near.read(0)
    with pytest.raises(OverflowError):
        near.read(-1)


@versions
def test_close_notify_both_ways(version: int) -> None:
    near, far = pair(version)
    assert near.shutdown() is False
    assert near.shutdown() is False
    flow(near, far)
    assert far.read(10) == b""
    assert far.read(10) == b""
    assert far.shutdown() is True
    near.feed(far.drain())
    assert near.shutdown() is True
    assert near.drain() == far.drain() == b""


@versions
def test_data_before_the_peer_s_close_notify_stays_readable(version: int) -> None:
    near, far = pair(version)
    far.write(b"last words")
    far.shutdown()
    near.feed(far.drain())
    assert near.shutdown() is False
    assert near.read(100) == b"last words"
    assert near.read(100) == b""
    assert near.shutdown() is True


def test_no_write_after_close_notify() -> None:
    near, far = pair()
    near.shutdown()
    near.drain()
    for call in (lambda: near.write(b"x"), lambda: near.send_alert(40)):
        with pytest.raises(RuntimeError, match="close_notify"):
            call()
    far.write(b"still readable")
    near.feed(far.drain())
    assert near.read(100) == b"still readable"
    assert near.drain() == b""


@versions
def test_the_end_of_the_transport_without_close_notify(version: int) -> None:
    near, far = pair(version)
    near.write(b"cut")
    far.feed(near.drain())
    far.feed_eof()
    assert far.read(10) == b"cut"
    with pytest.raises(_native.TlsError) as cut:
        far.read(10)
    assert cut.value.unexpected_eof
    assert (cut.value.library, cut.value.reason) == (20, 294)
    assert cut.value.alert_received is None
    with pytest.raises(_native.TlsError) as again:
        far.write(b"x")
    assert again.value.unexpected_eof


def test_the_end_of_the_transport_after_close_notify() -> None:
    near, far = pair()
    near.shutdown()
    far.feed(near.drain())
    far.feed_eof()
    assert far.read(10) == b""


def test_the_end_of_the_transport_inside_a_record() -> None:
    near, far = pair()
    near.write(b"cut in half")
    far.feed(near.drain()[:-1])
    far.feed_eof()
    with pytest.raises(_native.TlsError) as cut:
        far.read(10)
    assert cut.value.unexpected_eof


def test_the_end_of_the_transport_during_the_handshake() -> None:
    far = _native.Connection(server_config())
    far.feed_eof()
    with pytest.raises(_native.TlsError) as cut:
        far.do_handshake()
    assert cut.value.unexpected_eof
    assert not far.handshake_complete


def test_no_feeding_after_the_end_of_the_transport() -> None:
    near, _ = pair()
    near.feed_eof()
    with pytest.raises(RuntimeError, match="has ended"):
        near.feed(b"x")


# 40 handshake_failure, 42 bad_certificate, 46 certificate_unknown, 48 unknown_ca, 49 access_denied, 80 internal_error,
# 116 certificate_required, 115 unknown_psk_identity, 120 no_application_protocol
@pytest.mark.parametrize("description", [40, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 70, 71, 80, 110, 116, 120])
def test_an_alert_after_the_handshake_is_understood(description: int) -> None:
    near, far = pair()
    far.write(b"held")
    far.send_alert(description)
    near.feed(far.drain())
    assert near.read(100) == b"held"
    with pytest.raises(_native.TlsError) as told:
        near.read(100)
    assert told.value.alert_received == description
    assert told.value.alert_sent is None
    assert (told.value.library, told.value.reason) == (20, 1000 + description)


@pytest.mark.parametrize("side", ["client", "server"])
@versions
def test_an_alert_is_the_last_thing(version: int, side: str) -> None:
    near, far = pair(version)
    sender, receiver = (near, far) if side == "client" else (far, near)
    receiver.write(b"unread")
    sender.feed(receiver.drain())
    sender.send_alert(40)
    assert sender.pending_out() > 0
    last = sender.drain()
    for call in (
        lambda: sender.write(b"x"),
        lambda: sender.read(1),
        sender.shutdown,
        lambda: sender.send_alert(40),
        sender.do_handshake,
    ):
        with pytest.raises(_native.TlsError) as closed:
            call()
        assert closed.value.alert_sent == 40
    assert sender.drain() == b""
    receiver.feed(last)
    with pytest.raises(_native.TlsError) as told:
        receiver.read(1)
    assert told.value.alert_received == 40
    assert sender.version() == version


@pytest.mark.parametrize("version", [TLS13])
def test_the_client_s_first_read_meets_the_alert(version: int) -> None:
    """TLS 1.3: the client believes itself done before the server has spoken about it."""
    near, far = _native.Connection(client_config()), _native.Connection(server_config(versions=(version, version)))
    near.do_handshake()
    flow(near, far)
    far.do_handshake()
    near.feed(far.drain())
    assert near.do_handshake()
    near.write(b"request")
    far.feed(near.drain())
    assert far.do_handshake()
    far.send_alert(40)
    near.feed(far.drain())
    with pytest.raises(_native.TlsError) as told:
        near.read(1)
    assert told.value.alert_received == 40


@pytest.mark.parametrize("description", [1, 39, 117, 254])
def test_an_alert_nobody_knows_cannot_be_sent(description: int) -> None:
    _, far = pair()
    with pytest.raises(ValueError, match="alert"):
        far.send_alert(description)
    assert far.drain() == b""
    far.write(b"still alive")
    assert far.pending_out() > 0


def test_an_alert_has_one_octet() -> None:
    _, far = pair()
    for description in (-1, 256):
        with pytest.raises(OverflowError):
            far.send_alert(description)


@versions
def test_a_changed_record_is_bad_record_mac(version: int) -> None:
    near, far = pair(version)
    near.write(b"integrity")
    record = bytearray(near.drain())
    record[-1] ^= 1
    far.feed(record)
    with pytest.raises(_native.TlsError) as refused:
        far.read(10)
    assert refused.value.alert_sent == 20
    near.feed(far.drain())
    with pytest.raises(_native.TlsError) as told:
        near.read(10)
    assert told.value.alert_received == 20
    assert told.value.reason == 1020


def test_octets_that_are_no_tls() -> None:
    far = _native.Connection(server_config())
    far.feed(b"GET / HTTP/1.1\r\nHost: server.example\r\n\r\n")
    with pytest.raises(_native.TlsError) as refused:
        far.do_handshake()
    assert (refused.value.library, refused.value.reason) == (20, 156)  # SSL_R_HTTP_REQUEST


def test_a_failed_handshake_stays_failed() -> None:
    far = _native.Connection(server_config())
    far.feed(b"\x16\x03\x01\x00\x05hello")
    causes = []
    for call in (far.do_handshake, far.do_handshake, lambda: far.read(1), lambda: far.write(b"x"), far.shutdown):
        with pytest.raises(_native.TlsError) as refused:
            call()
        causes.append((refused.value.library, refused.value.reason, refused.value.alert_sent, refused.value.text))
    assert len(set(causes)) == 1
    assert not far.handshake_complete


def test_the_shape_of_an_error() -> None:
    error = _native.TlsError("nobody filled this in")
    assert (error.library, error.reason, error.verify_code) == (0, 0, 0)
    assert (error.text, error.verify_text) == ("", "")
    assert (error.alert_received, error.alert_sent, error.unexpected_eof) == (None, None, False)
    assert _native.TlsError.__module__ == "dnsbound._native"
