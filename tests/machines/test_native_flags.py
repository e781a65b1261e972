"""The request flag on the wire: who sends it when, who is asked for a certificate, and what ends the handshake.

draft-ietf-tls-tlsflags-16 sections 2 and 3; draft-jhoyla-req-mtls-flag.
"""

import hashlib
from typing import Any

import pytest

from adversary.hostile_client import (
    CERTIFICATE,
    CERTIFICATE_REQUEST,
    ENCRYPTED_EXTENSIONS,
    FINISHED,
    HANDSHAKE,
    NEW_SESSION_TICKET,
    SERVER_HELLO,
    Entry,
    HostileClient,
    extension,
    extensions_of,
    message,
    vector,
)
from dnsbound import _native
from dnsbound.errors import Malformed, PeerError
from dnsbound.iana import REQUEST_CLIENT_AUTH, TLS_FLAGS, TLS_FLAGS_PROTOTYPE
from dnsbound.tls.flags import Flags, Message, check_flags
from machines.native_hostile_server import RETRY_RANDOM, HostileServer, client_hello_extensions
from machines.native_pairs import (
    RAW,
    SERVER,
    TLS12,
    TLS13,
    client_config,
    client_identity,
    connect,
    server_config,
    server_identity,
)

STANDARD = (TLS_FLAGS, REQUEST_CLIENT_AUTH)
PROTOTYPE = (TLS_FLAGS_PROTOTYPE, REQUEST_CLIENT_AUTH)
ILLEGAL_PARAMETER = 47
DATA = bytes.fromhex("0b0000000000000000000001")
"""extension_data with flag 80 alone."""
OTHERS = "020001"
"""Flag 8, which nobody here asks about."""


def asking_signalled(*signals: tuple[int, int], **options: Any) -> _native.Config:
    config = server_config(verification="accept-signalled", **options)
    config.set_request_signal(signals or (STANDARD, PROTOTYPE))
    return config


def signalling(*signals: tuple[int, int], send: bool = True, **options: Any) -> _native.Config:
    config = client_config(**options)
    config.set_request_signal(signals or (STANDARD,), send=send)
    return config


@pytest.mark.parametrize("signal", [STANDARD, PROTOTYPE])
def test_fl_04_a_client_that_signals_is_asked_and_told_why(signal: tuple[int, int]) -> None:
    near, far = connect(asking_signalled(), signalling(signal))
    assert (near.certificate_requested(), near.request_signalled(), far.request_signalled()) == (True, True, True)
    assert far.peer_chain() == list(client_identity().chain)


def test_fl_04_the_echo_is_under_the_same_extension_type_and_no_other() -> None:
    for number in (TLS_FLAGS, TLS_FLAGS_PROTOTYPE):
        client = arrived(asking_signalled(), extension(number, DATA))
        assert {TLS_FLAGS, TLS_FLAGS_PROTOTYPE} & set(client.requested_extensions()) == {number}
        assert client.requested_extensions()[number] == DATA
    both = arrived(asking_signalled(), extension(TLS_FLAGS, DATA) + extension(TLS_FLAGS_PROTOTYPE, DATA))
    assert {TLS_FLAGS, TLS_FLAGS_PROTOTYPE} <= set(both.requested_extensions())


def test_fl_05_a_client_that_does_not_signal_is_not_asked() -> None:
    near, far = connect(asking_signalled(), client_config())
    assert (near.certificate_requested(), far.request_signalled(), far.peer_chain()) == (False, False, [])
    client = arrived(asking_signalled(), extension(TLS_FLAGS, bytes.fromhex(OTHERS)))
    assert CERTIFICATE_REQUEST not in client.handshake


def test_fl_05_who_asks_anyway_does_not_set_the_flag() -> None:
    config = server_config(verification="accept")
    config.set_request_signal([STANDARD, PROTOTYPE])
    client = arrived(config, b"")
    assert not {TLS_FLAGS, TLS_FLAGS_PROTOTYPE} & set(client.requested_extensions())
    assert CERTIFICATE_REQUEST in client.handshake


def test_fl_04_who_asks_anyway_sets_it_for_who_signalled() -> None:
    config = server_config(verification="accept")
    config.set_request_signal([STANDARD])
    near, far = connect(config, signalling())
    assert near.request_signalled()
    assert far.request_signalled()


def test_fl_06_a_client_without_a_certificate_answers_with_an_empty_one() -> None:
    near, far = connect(asking_signalled(), signalling(anonymous=True), name=None)
    assert near.request_signalled()
    assert far.peer_chain() == []


def test_a_raw_key_is_asked_for_in_time() -> None:
    """The type of the certificate is negotiated in EncryptedExtensions, so the decision stands before it."""
    near, far = connect(asking_signalled(peer=[RAW, 0]), signalling(own=[RAW], bare=True))
    assert near.certificate_types()[0] == RAW
    assert far.peer_raw_public_key() == client_identity().spki
    _, quiet = connect(asking_signalled(peer=[RAW, 0]), client_config(own=[RAW], bare=True))
    assert quiet.peer_raw_public_key() is None


@pytest.mark.parametrize("send", [False, True])
def test_the_client_s_hello_is_the_draft_s(send: bool) -> None:
    for number, flag in (STANDARD, PROTOTYPE, (0xFF77, 2039)):
        client = _native.Connection(signalling((number, flag), send=send), server_hostname=SERVER)
        client.do_handshake()
        expected = Flags.of([flag]).to_wire() if send else None
        assert client_hello_extensions(client.drain()).get(number) == expected


def test_a_client_sends_the_first_of_two() -> None:
    client = _native.Connection(signalling(PROTOTYPE, STANDARD), server_hostname=SERVER)
    client.do_handshake()
    extensions = client_hello_extensions(client.drain())
    assert (TLS_FLAGS_PROTOTYPE in extensions, TLS_FLAGS in extensions) == (True, False)


def test_another_flag_is_not_this_one() -> None:
    near, _ = connect(asking_signalled((TLS_FLAGS, 17)), signalling((TLS_FLAGS, 18)))
    assert not near.certificate_requested()
    near, _ = connect(asking_signalled((TLS_FLAGS, 17)), signalling((TLS_FLAGS, 17)))
    assert near.certificate_requested()


def test_beside_other_flags_it_is_seen() -> None:
    data = Flags.of([3, REQUEST_CLIENT_AUTH, 1999]).to_wire()
    client = arrived(asking_signalled(), extension(TLS_FLAGS, data))
    assert client.requested_extensions()[TLS_FLAGS] == DATA


def test_a_resumed_handshake_asks_nobody() -> None:
    server = asking_signalled()
    server.set_tickets(lifetime=600)
    config = signalling()
    near, far = connect(server, config)
    far.send_ticket(600, b"")
    near.feed(far.drain())
    assert near.read(1) is None
    near, far = connect(server, config, session=near.session())
    assert far.session_reused()
    assert far.request_signalled()
    assert not near.certificate_requested()


@pytest.mark.parametrize("versions", [(TLS12, TLS12), (TLS12, TLS13)])
def test_tls_1_2_knows_no_flags(versions: tuple[int, int]) -> None:
    server = asking_signalled(versions=(TLS12, TLS12))
    client = signalling()
    client.set_versions(*versions)
    near, far = connect(server, client)
    assert near.version() == TLS12
    assert (near.certificate_requested(), far.request_signalled()) == (False, False)


# --- after a HelloRetryRequest


def test_the_signal_survives_a_retry() -> None:
    server, client = asking_signalled(), signalling()
    server.set_groups("X25519")
    client.set_groups("P-256:X25519")
    near, far = connect(server, client)
    assert near.group() == "x25519"
    assert near.request_signalled()
    assert far.peer_chain() == list(client_identity().chain)


class RetriedClient(HostileClient):
    """Sends no key share at first, and other extensions the second time."""

    def first_hello(self) -> bytes:
        extras, self.extra_extensions = self.extra_extensions, b""
        share = self._key.public_key().public_bytes_raw()
        whole = self.client_hello()[5:]
        entry = vector(b"\x00\x1d" + vector(share, 2), 2)
        body = whole[4:]
        at = 34 + 1 + body[34] + 4 + 2
        block = body[at + 2 :].replace(extension(51, entry), extension(51, vector(b"", 2))) + extras
        whole = message(1, body[:at] + vector(block, 2))
        self._transcript = whole
        return bytes.fromhex("160301") + vector(whole, 2)

    def _message(self, whole: bytes) -> None:
        if whole[0] == SERVER_HELLO and whole[6:38] == RETRY_RANDOM:
            self._transcript = message(254, hashlib.sha256(self._transcript).digest()) + whole
        else:
            super()._message(whole)


@pytest.mark.parametrize(("first", "second"), [(True, False), (False, True)])
def test_fl_05_the_second_hello_counts(first: bool, second: bool) -> None:
    said = extension(TLS_FLAGS, DATA)
    config = asking_signalled()
    config.set_groups("X25519")
    server, client = _native.Connection(config), RetriedClient(extra_extensions=said if first else b"")
    server.feed(client.first_hello())
    assert not server.do_handshake()
    retry = server.drain()
    assert RETRY_RANDOM in retry
    assert DATA not in retry, "FL-02: nothing is acknowledged in a HelloRetryRequest"
    client.receive(retry)
    client.extra_extensions = said if second else b""
    server.feed(client.client_hello())
    assert not server.do_handshake()
    client.receive(server.drain())
    assert client.complete
    assert (CERTIFICATE_REQUEST in client.handshake) == second
    assert (TLS_FLAGS in client.requested_extensions()) == second


class Collector(HostileClient):
    """Keeps the bodies of tickets too."""

    def _message(self, whole: bytes) -> None:
        super()._message(whole)
        if whole[0] == NEW_SESSION_TICKET:
            self.handshake[NEW_SESSION_TICKET] = whole[4:]


@pytest.mark.parametrize("number", [TLS_FLAGS, TLS_FLAGS_PROTOTYPE])
def test_fl_02_a_server_acknowledges_in_its_request_and_nowhere_else(number: int) -> None:
    """Proposed flags of others are not acknowledged either."""
    config = asking_signalled()
    config.set_tickets(lifetime=600)
    data = Flags.of([0, REQUEST_CLIENT_AUTH, 900]).to_wire()
    server, client = _native.Connection(config), Collector(extra_extensions=extension(number, data))
    server.feed(client.client_hello())
    assert not server.do_handshake()
    client.receive(server.drain())
    identity = client_identity()
    server.feed(client.certificate([Entry(identity.chain[0])]) + client.certificate_verify(identity.key))
    server.feed(client.finished())
    assert server.do_handshake()
    server.send_ticket(600, b"")
    client.receive(server.drain())
    assert client.requested_extensions()[number] == DATA
    header = number.to_bytes(2, "big") + len(DATA).to_bytes(2, "big")
    found = {kind for kind, body in client.handshake.items() if header in body or number in kinds_in(kind, body)}
    assert set(client.handshake) >= {SERVER_HELLO, ENCRYPTED_EXTENSIONS, CERTIFICATE, NEW_SESSION_TICKET}
    assert found == {CERTIFICATE_REQUEST}


def kinds_in(kind: int, body: bytes) -> set[int]:
    """Extension types of the messages whose extensions stand at the end."""
    at = 0
    if kind == NEW_SESSION_TICKET:  # lifetime, age, nonce, ticket
        at = 9 + body[8]
        at += 2 + int.from_bytes(body[at : at + 2], "big")
    elif kind == CERTIFICATE_REQUEST:
        at = 1 + body[0]
    elif kind != ENCRYPTED_EXTENSIONS:
        return set()
    return set(extensions_of(body[at + 2 :]))


# --- what ends the handshake, at a server


def arrived(config: _native.Config, extensions: bytes) -> HostileClient:
    """A hostile client that was answered up to the server's Finished."""
    client = HostileClient(extra_extensions=extensions)
    server = _native.Connection(config)
    server.feed(client.client_hello())
    assert not server.do_handshake()
    client.receive(server.drain())
    assert FINISHED in client.handshake
    return client


BAD_FORMS = ["", "00", "0100", "020100", "0201", "010101", "ff" + "01" * 254]


@pytest.mark.parametrize("form", BAD_FORMS, ids=lambda form: form[:6] or "nothing")
def test_fl_01_bad_forms_in_a_client_hello(form: str) -> None:
    server, client = _native.Connection(asking_signalled()), HostileClient()
    client.extra_extensions = extension(TLS_FLAGS, bytes.fromhex(form))
    server.feed(client.client_hello())
    with pytest.raises(_native.TlsError) as refused:
        server.do_handshake()
    assert refused.value.alert_sent == ILLEGAL_PARAMETER
    client.receive(server.drain())
    assert client.alerts == [(2, ILLEGAL_PARAMETER)]
    with pytest.raises(Malformed):
        Flags.from_wire(bytes.fromhex(form))


@pytest.mark.parametrize("number", [TLS_FLAGS, TLS_FLAGS_PROTOTYPE])
@pytest.mark.parametrize("raw", [False, True])
def test_fl_08_a_client_s_certificate_is_no_place_for_flags(number: int, raw: bool) -> None:
    server = _native.Connection(asking_signalled(peer=[RAW, 0]))
    client = HostileClient(extra_extensions=extension(TLS_FLAGS, DATA), raw_public_key=raw)
    server.feed(client.client_hello())
    assert not server.do_handshake()
    client.receive(server.drain())
    identity = client_identity()
    server.feed(client.certificate([Entry(identity.spki if raw else identity.chain[0], extension(number, DATA))]))
    with pytest.raises(_native.TlsError) as refused:
        server.do_handshake()
    assert refused.value.alert_sent == ILLEGAL_PARAMETER


def test_two_copies_in_one_hello() -> None:
    server = _native.Connection(asking_signalled())
    server.feed(HostileClient(extra_extensions=extension(TLS_FLAGS, DATA) * 2).client_hello())
    with pytest.raises(_native.TlsError) as refused:
        server.do_handshake()
    assert refused.value.alert_sent == ILLEGAL_PARAMETER


# --- what ends the handshake, at a client


PLACES: dict[Message, str] = {
    Message.SERVER_HELLO: "hello",
    Message.ENCRYPTED_EXTENSIONS: "encrypted",
    Message.CERTIFICATE_REQUEST: "request",
    Message.SERVER_CERTIFICATE: "entry",
}


def hostile_pair(*, send: bool, **places: bytes) -> tuple[_native.Connection, HostileServer, bytes]:
    config = signalling(STANDARD, PROTOTYPE, send=send)
    config.set_versions(TLS13, TLS13)
    config.set_groups("X25519:P-256")
    config.set_cipher_suites("TLS_AES_128_GCM_SHA256")
    client = _native.Connection(config)
    assert not client.do_handshake()
    return client, HostileServer(server_identity(), **places), client.drain()


def outcome(client: _native.Connection, flight: bytes) -> int | None:
    """The alert the client answers with; None when it goes on."""
    client.feed(flight)
    try:
        if not client.do_handshake() or client.read(1) is None:
            return None
    except _native.TlsError as refused:
        return refused.alert_sent
    raise AssertionError("the server sent data")


def answered(message: Message, data: bytes, *, send: bool, number: int = TLS_FLAGS) -> int | None:
    block = extension(number, data)
    if message in PLACES:
        client, server, hello = hostile_pair(send=send, **{PLACES[message]: block})
        return outcome(client, server.answer(hello))
    client, server, hello = hostile_pair(send=send)
    if message is Message.HELLO_RETRY_REQUEST:
        return outcome(client, server.retry(hello, block))
    assert outcome(client, server.answer(hello)) is None
    return outcome(client, server.ticket(block))


FROM_SERVERS = [message for message in Message if message not in {Message.CLIENT_HELLO, Message.CLIENT_CERTIFICATE}]


@pytest.mark.parametrize("send", [False, True])
@pytest.mark.parametrize("numbers", [(80,), (8,), (900,), (80, 900)])
@pytest.mark.parametrize("message", FROM_SERVERS)
def test_fl_02_03_08_the_client_keeps_the_tables(message: Message, numbers: tuple[int, ...], send: bool) -> None:
    """The native rules and the tables of `dnsbound.tls.flags` say the same of every message. The ticket's own flag is
    the one case where the tables know more than an end that resumes nothing across names has to."""
    flags = Flags.of(numbers)
    try:
        check_flags(flags, message, answered=Flags.of([REQUEST_CLIENT_AUTH]) if send else None)
        expected = None
    except PeerError:
        expected = ILLEGAL_PARAMETER
    if (message, numbers) == (Message.CERTIFICATE_REQUEST, (8,)):
        expected = None
    assert answered(message, flags.to_wire(), send=send) == expected


@pytest.mark.parametrize("form", BAD_FORMS, ids=lambda form: form[:6] or "nothing")
@pytest.mark.parametrize("message", FROM_SERVERS)
def test_fl_01_bad_forms_from_a_server(message: Message, form: str) -> None:
    assert answered(message, bytes.fromhex(form), send=True) == ILLEGAL_PARAMETER


def test_fl_08_an_echo_under_the_other_extension_type_was_not_asked_for() -> None:
    assert answered(Message.CERTIFICATE_REQUEST, DATA, send=True, number=TLS_FLAGS_PROTOTYPE) == ILLEGAL_PARAMETER


def test_without_the_setting_the_extension_is_unknown() -> None:
    config = client_config()
    config.set_versions(TLS13, TLS13)
    config.set_groups("X25519")
    config.set_cipher_suites("TLS_AES_128_GCM_SHA256")
    client = _native.Connection(config)
    client.do_handshake()
    server = HostileServer(server_identity(), request=extension(TLS_FLAGS, DATA))
    client.feed(server.answer(client.drain()))
    assert client.do_handshake()
    assert next(kind for kind, _ in server.open(client.drain())) == HANDSHAKE


# --- configuration


@pytest.mark.parametrize(
    "signals", [[], [STANDARD, PROTOTYPE, (0xFF77, 1)], [(62, 2040)], [STANDARD, STANDARD], [(13, 80)]]
)
def test_signals_that_cannot_be_known(signals: list[tuple[int, int]]) -> None:
    with pytest.raises((ValueError, _native.TlsError)):
        _native.Config(server_side=True).set_request_signal(signals)


def test_roles() -> None:
    with pytest.raises(ValueError, match="does not signal"):
        _native.Config(server_side=True).set_request_signal([STANDARD], send=True)
    with pytest.raises(ValueError, match="only a server"):
        _native.Config(server_side=False).set_peer_verification("accept-signalled")
    known = _native.Config(server_side=True)
    known.set_request_signal([STANDARD])
    with pytest.raises(RuntimeError):
        known.set_request_signal([PROTOTYPE])
