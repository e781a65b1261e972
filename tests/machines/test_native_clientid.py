"""dane_clientid on the wire: when it is sent, what is taken, and which alert answers what does not fit.

draft-ietf-dance-client-auth-13 section 7; RFC 9846 section 4.3.
"""

from collections.abc import Sequence

import pytest

from adversary.hostile_client import CERTIFICATE, HANDSHAKE, Entry, HostileClient, extension, vector
from dnsbound import _native
from machines.native_hostile_server import HostileServer
from machines.native_pairs import (
    CLIENT_NAME,
    CODE_POINT,
    RAW,
    TLS13,
    client_config,
    client_identity,
    connect,
    make_identity,
    server_config,
    server_identity,
)

DECODE_ERROR, ILLEGAL_PARAMETER, UNSUPPORTED_EXTENSION = 50, 47, 110


def arrive(server: _native.Connection, client: HostileClient) -> None:
    """The hostile client's handshake up to the server's Finished."""
    server.feed(client.client_hello())
    assert not server.do_handshake()
    client.receive(server.drain())
    assert client.complete


def present(server: _native.Connection, client: HostileClient, *extensions: bytes) -> None:
    """A Certificate with these extensions by entry, and the rest of an honest flight."""
    identity = client_identity()
    certificates = (identity.chain[0], make_identity("other.example").chain[0], make_identity("third.example").chain[0])
    entries = [Entry(der, block) for der, block in zip(certificates, extensions, strict=False)]
    if client.raw_public_key:
        entries = [Entry(identity.spki, block) for block in extensions]
    server.feed(client.certificate(entries))
    server.feed(client.certificate_verify(identity.key))
    server.feed(client.finished())


def clientid(data: bytes) -> bytes:
    return extension(CODE_POINT, data)


@pytest.mark.parametrize("name", [b"a.b", CLIENT_NAME, b"x" * 255])
@pytest.mark.parametrize("own", [0, RAW])
def test_the_name_arrives_as_it_was_given(name: bytes, own: int) -> None:
    _, far = connect(server_config(peer=[own]), client_config(own=[own]), name=name)
    assert far.client_names() == [(0, name)]


def test_it_is_in_the_first_entry_only() -> None:
    authority = make_identity("Client Authority", authority=True, san=())
    identity = make_identity("car54.cars.example", issuer=authority)
    _, far = connect(server_config(), client_config(identity=identity))
    assert far.peer_chain() == list(identity.chain)
    assert far.client_names() == [(0, CLIENT_NAME)]


@pytest.mark.parametrize("raw", [False, True])
def test_the_request_is_one_zero_octet(raw: bool) -> None:
    client = HostileClient(raw_public_key=raw)
    arrive(_native.Connection(server_config(peer=[RAW, 0])), client)
    assert client.requested_extensions()[CODE_POINT] == b"\0"


def test_a_client_without_a_name_sends_nothing() -> None:
    near, far = connect(server_config(), client_config(), name=None)
    assert near.clientid_requested()
    assert far.client_names() == []
    assert far.peer_chain() == list(client_identity().chain)


def test_a_client_that_was_not_asked_sends_nothing() -> None:
    near, far = connect(server_config(clientid=False), client_config())
    assert near.certificate_requested()
    assert not near.clientid_requested()
    assert not far.clientid_requested()
    assert far.client_names() == []


def test_a_client_that_does_not_know_it_is_served() -> None:
    near, far = connect(server_config(), client_config(clientid=False), name=None)
    assert far.clientid_requested()
    assert not near.clientid_requested()
    assert far.client_names() == []


def test_another_code_point_is_another_extension() -> None:
    client = client_config(clientid=False)
    client.set_clientid(CODE_POINT + 1)
    near, far = connect(server_config(), client)
    assert not near.clientid_requested()
    assert far.client_names() == []


def test_a_client_with_no_certificate_cannot_say_its_name() -> None:
    _, far = connect(server_config(verification="accept"), client_config(anonymous=True))
    assert far.client_names() == []


@pytest.mark.parametrize("raw", [False, True])
def test_an_honest_flight_of_the_hostile_client_is_taken(raw: bool) -> None:
    server, client = _native.Connection(server_config(peer=[RAW, 0])), HostileClient(raw_public_key=raw)
    arrive(server, client)
    present(server, client, clientid(vector(CLIENT_NAME, 1)))
    assert server.do_handshake()
    assert server.client_names() == [(0, CLIENT_NAME)]
    assert (server.peer_raw_public_key() is not None) == raw


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize(
    ("data", "alert"),
    [
        (b"", DECODE_ERROR),
        (b"\x05abcd", DECODE_ERROR),
        (b"\x03abcd", DECODE_ERROR),
        (b"\x00a", DECODE_ERROR),
        (b"\xff" + b"x" * 254, DECODE_ERROR),
        (b"\xff" + b"x" * 256, DECODE_ERROR),
        (vector(CLIENT_NAME, 2), DECODE_ERROR),
    ],
)
def test_ts_01_octets_that_do_not_fit_their_length(raw: bool, data: bytes, alert: int) -> None:
    refuse(alert, clientid(data), raw=raw)


def refuse(alert: int, *extensions: bytes, raw: bool = False, config: _native.Config | None = None) -> None:
    """The flight with these extensions ends the handshake with this alert, and leaves nothing behind."""
    server = _native.Connection(config or server_config(peer=[RAW, 0]))
    client = HostileClient(raw_public_key=raw)
    arrive(server, client)
    present(server, client, *extensions)
    with pytest.raises(_native.TlsError) as refused:
        server.do_handshake()
    assert refused.value.alert_sent == alert
    assert refused.value.alert_received is None
    assert refused.value.library == 20
    assert not server.handshake_complete
    assert server.client_names() == []
    client.receive(server.drain())
    assert client.alerts == [(2, alert)]
    with pytest.raises(_native.TlsError) as again:
        server.do_handshake()
    assert (again.value.reason, again.value.alert_sent) == (refused.value.reason, alert)


def test_in_two_entries() -> None:
    refuse(ILLEGAL_PARAMETER, clientid(vector(b"a.example", 1)), clientid(vector(b"b.example", 1)))


def test_twice_in_one_entry() -> None:
    refuse(ILLEGAL_PARAMETER, clientid(vector(b"a.example", 1)) * 2)


def test_in_the_second_and_third_entry() -> None:
    name = clientid(vector(b"a.example", 1))
    refuse(ILLEGAL_PARAMETER, b"", name, name)


def test_unasked() -> None:
    config = server_config(clientid=False)
    config.set_clientid(CODE_POINT, request=False)
    refuse(UNSUPPORTED_EXTENSION, clientid(vector(CLIENT_NAME, 1)), config=config)


def test_not_requested_is_not_in_the_request() -> None:
    config = server_config(clientid=False)
    config.set_clientid(CODE_POINT, request=False)
    client = HostileClient()
    arrive(_native.Connection(config), client)
    assert CODE_POINT not in client.requested_extensions()
    near, far = connect(server_config(clientid=False), client_config())
    assert not near.clientid_requested()
    assert far.client_names() == []


def test_a_zero_length_name_is_a_shape_and_is_reported() -> None:
    """Refusing it is handshake_failure, and the caller's."""
    server, client = _native.Connection(server_config()), HostileClient()
    arrive(server, client)
    present(server, client, clientid(b"\0"))
    assert server.do_handshake()
    assert server.client_names() == [(0, b"")]


def test_in_another_entry_it_is_reported_with_its_place() -> None:
    server, client = _native.Connection(server_config()), HostileClient()
    arrive(server, client)
    present(server, client, b"", clientid(vector(b"a.example", 1)))
    assert server.do_handshake()
    assert server.client_names() == [(1, b"a.example")]


@pytest.mark.parametrize("what", ["certificate_verify", "finished"])
def test_a_name_without_possession_is_never_told(what: str) -> None:
    server, client = _native.Connection(server_config()), HostileClient()
    arrive(server, client)
    identity = client_identity()
    server.feed(client.certificate([Entry(identity.chain[0], clientid(vector(CLIENT_NAME, 1)))]))
    assert not server.do_handshake()
    assert server.client_names() == server.peer_chain() == []
    server.feed(client.certificate_verify(identity.key, damaged=what == "certificate_verify"))
    if what == "finished":
        assert not server.do_handshake()
        assert server.client_names() == []
        server.feed(client.finished(damaged=True))
    with pytest.raises(_native.TlsError) as refused:
        server.do_handshake()
    assert refused.value.alert_sent == 51
    assert server.client_names() == server.peer_chain() == []


def ask(
    *,
    request: bytes = b"",
    entry: bytes = b"",
    name: bytes | None = CLIENT_NAME,
    profiles: Sequence[str] = ("ca13",),
) -> tuple[_native.Connection, HostileServer]:
    """A client that has the hostile server's flight before it."""
    config = client_config(clientid=False)
    config.set_clientid(CODE_POINT, profiles=profiles)
    config.set_versions(TLS13, TLS13)
    config.set_groups("X25519")
    config.set_cipher_suites("TLS_AES_128_GCM_SHA256")
    client = _native.Connection(config, client_name=name)
    server = HostileServer(server_identity(), request=request, entry=entry)
    assert not client.do_handshake()
    client.feed(server.answer(client.drain()))
    return client, server


def test_the_client_answers_in_the_bytes_of_the_draft() -> None:
    client, server = ask(request=clientid(b"\0"))
    assert client.do_handshake()
    assert client.clientid_requested()
    assert client.certificate_requested()
    messages = b"".join(content for kind, content in server.open(client.drain()) if kind == HANDSHAKE)
    assert messages[0] == CERTIFICATE
    expected = bytes.fromhex("001b1a") + b"car54._device.cars.example"
    assert len(expected) == 29
    assert CODE_POINT.to_bytes(2, "big") + expected in messages


def test_the_client_does_not_answer_unasked() -> None:
    client, server = ask()
    assert client.do_handshake()
    assert not client.clientid_requested()
    assert CLIENT_NAME not in b"".join(content for _, content in server.open(client.drain()))


@pytest.mark.parametrize(
    ("data", "alert"),
    [
        (b"", DECODE_ERROR),
        (b"\x01", DECODE_ERROR),
        (b"\x00\x00", DECODE_ERROR),
        (vector(b"server.example", 1), ILLEGAL_PARAMETER),
    ],
)
def test_the_client_refuses_a_request_that_does_not_fit(data: bytes, alert: int) -> None:
    client, server = ask(request=clientid(data))
    with pytest.raises(_native.TlsError) as refused:
        client.do_handshake()
    assert refused.value.alert_sent == alert
    assert not client.clientid_requested()
    flight = client.drain()
    assert server.alerts(flight) == [alert]
    assert CLIENT_NAME not in b"".join(content for _, content in server.open(flight) if content)


def test_the_client_refuses_it_beside_the_server_s_own_certificate() -> None:
    client, server = ask(request=clientid(b"\0"), entry=clientid(b"\0"))
    with pytest.raises(_native.TlsError) as refused:
        client.do_handshake()
    assert refused.value.alert_sent == UNSUPPORTED_EXTENSION
    assert server.alerts(client.drain()) == [UNSUPPORTED_EXTENSION]
