"""TLS 1.2 in an order, or with contents, that no library sends, at the native engine with its last flight held.

What holds for each: the right alert in clear, no flight, no facts about a peer that proved nothing. What a door makes
of it is in `test_hostile_client_12`.
"""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from adversary.hostile_client import (
    ALERT,
    CERTIFICATE,
    CERTIFICATE_VERIFY,
    CHANGE_CIPHER_SPEC,
    CLIENT_HELLO,
    FINISHED,
    SERVER_HELLO,
    client_name,
    extension,
    vector,
)
from adversary.hostile_client_12 import CLIENT_KEY_EXCHANGE, DOWNGRADE_SENTINEL, HostileClient12
from dnsbound import _native
from machines.native_pairs import (
    CLIENT_NAME,
    CODE_POINT,
    RAW,
    TLS12,
    TLS13,
    X509,
    client_identity,
    make_identity,
    server_config,
)

WARNING, FATAL = 1, 2
UNEXPECTED_MESSAGE, BAD_RECORD_MAC, HANDSHAKE_FAILURE, BAD_CERTIFICATE = 10, 20, 40, 42
ILLEGAL_PARAMETER, DECODE_ERROR, DECRYPT_ERROR, PROTOCOL_VERSION, NO_RENEGOTIATION = 47, 50, 51, 70, 100
CERTIFICATE_TYPES, SESSION_TICKET = 19, 35


def key() -> ec.EllipticCurvePrivateKey:
    made = client_identity().key
    assert isinstance(made, ec.EllipticCurvePrivateKey)
    return made


def config(*, versions: tuple[int, int] = (TLS12, TLS12), types: tuple[int, ...] = (RAW, X509)) -> _native.Config:
    made = server_config(versions=versions, peer=types, clientid=False, verification="accept")
    made.set_clientid(CODE_POINT, profiles=["cid07"])
    made.set_held_flight(True)
    return made


class Conversation:
    """A hostile client and the engine."""

    def __init__(self, client: HostileClient12 | None = None, made: _native.Config | None = None) -> None:
        self.client = client or HostileClient12(extra_extensions=extension(CODE_POINT, client_name(CLIENT_NAME)))
        self.server = _native.Connection(made or config())

    def say(self, *wire: bytes) -> bool:
        """Whether the engine's handshake is complete; what it said is read by the client, whatever happens."""
        self.server.feed(b"".join(wire))
        try:
            return self.server.do_handshake()
        finally:
            self.client.receive(self.server.drain())

    def greet(self) -> HostileClient12:
        """Up to the server's ServerHelloDone."""
        assert not self.say(self.client.client_hello())
        assert self.client.hello_done
        return self.client

    def flight(self) -> list[bytes]:
        """The honest one, message by message."""
        client = self.client
        shown = [client.raw_key(client_identity().spki)] if client.raw_public_key else [client.certificate(chain())]
        return [
            *shown,
            client.client_key_exchange(),
            client.certificate_verify(key()),
            client.change_cipher_spec(),
            client.finished(),
        ]

    def breaks(self, alert: int, *wire: bytes) -> None:
        """The engine ends it with this alert, in clear, and has learnt nothing."""
        with pytest.raises(_native.TlsError) as error:
            self.say(*wire)
        assert self.client.alerts == [(FATAL, alert)], error.value
        assert self.client.protected_alerts == []
        self.learnt_nothing()

    def learnt_nothing(self) -> None:
        assert not self.server.handshake_complete
        assert not self.client.server_finished
        assert self.server.client_names() == []
        with pytest.raises((_native.TlsError, RuntimeError)):
            self.server.read(100)
        with pytest.raises(_native.TlsError):
            self.server.release_flight()
        assert self.server.drain() == b""


def chain() -> tuple[bytes, ...]:
    return client_identity().chain


@pytest.mark.parametrize("raw", [False, True], ids=["x509", "raw"])
def test_an_honest_flight_waits_for_the_release(raw: bool) -> None:
    name = extension(CODE_POINT, client_name(CLIENT_NAME))
    talk = Conversation(HostileClient12(raw_public_key=raw, extra_extensions=name))
    client = talk.greet()
    assert client.hello_extensions()[CODE_POINT] == b""
    assert client.hello_extensions().get(CERTIFICATE_TYPES) == (b"\x02" if raw else None)
    assert talk.say(*talk.flight(), client.data(b"report"))
    assert not client.server_finished
    assert talk.server.client_names() == [(0, CLIENT_NAME)]
    with pytest.raises(RuntimeError):
        talk.server.read(100)
    talk.server.release_flight()
    client.receive(talk.server.drain())
    assert client.server_finished
    assert talk.server.read(100) == b"report"
    assert client.secrets is not None
    assert talk.server.export_keying_material(b"x", 32, b"y") == client.secrets.exported(b"x", 32, b"y")


# --- the order of messages


def without(client: HostileClient12, *parts: str) -> list[bytes]:
    """An honest flight that lacks, repeats or moves something: its messages are made in the order named."""
    made = {
        "certificate": lambda: client.certificate(chain()),
        "no certificate": lambda: client.certificate([]),
        "another certificate": lambda: client.certificate(make_identity("other.example").chain),
        "exchange": client.client_key_exchange,
        "signature": lambda: client.certificate_verify(key()),
        "wrong signature": lambda: client.certificate_verify(key(), damaged=True),
        "another's signature": lambda: client.certificate_verify(ec.generate_private_key(ec.SECP256R1())),
        "change": client.change_cipher_spec,
        "finished": client.finished,
        "wrong finished": lambda: client.finished(damaged=True),
        "data": lambda: client.data(b"report"),
        "hello": client.client_hello,
    }
    return [made[part]() for part in parts]


ORDERS = {
    "no signature": ("certificate exchange change finished", UNEXPECTED_MESSAGE),
    "a wrong signature": ("certificate exchange wrong+signature change finished", DECRYPT_ERROR),
    "another's signature": ("certificate exchange another's+signature change finished", DECRYPT_ERROR),
    "two signatures": ("certificate exchange signature signature change finished", UNEXPECTED_MESSAGE),
    "a signature under the keys": ("certificate exchange change signature finished", UNEXPECTED_MESSAGE),
    "a signature for nothing": ("no+certificate exchange signature change finished", UNEXPECTED_MESSAGE),
    "no certificate at all": ("exchange change finished", UNEXPECTED_MESSAGE),
    "two certificates": ("certificate another+certificate exchange signature change finished", UNEXPECTED_MESSAGE),
    "a certificate after the exchange": ("certificate exchange certificate signature change", UNEXPECTED_MESSAGE),
    "two exchanges": ("certificate exchange exchange signature change finished", UNEXPECTED_MESSAGE),
    "finished in clear": ("certificate exchange signature finished", UNEXPECTED_MESSAGE),
    "a wrong finished": ("certificate exchange signature change wrong+finished", DECRYPT_ERROR),
    "data before finished": ("certificate exchange signature change data finished", UNEXPECTED_MESSAGE),
    "data in clear": ("certificate exchange signature data", UNEXPECTED_MESSAGE),
    "a second hello": ("hello", UNEXPECTED_MESSAGE),
    "a second hello under the keys": ("certificate exchange signature change hello", UNEXPECTED_MESSAGE),
}


@pytest.mark.parametrize("case", ORDERS)
def test_any_other_order_breaks_it(case: str) -> None:
    order, alert = ORDERS[case]
    talk = Conversation()
    client = talk.greet()
    talk.breaks(alert, *without(client, *(part.replace("+", " ") for part in order.split())))


def test_keys_changed_before_there_are_any() -> None:
    """CVE-2014-0224: both sides would have gone on with a key that anybody knows."""
    talk = Conversation()
    talk.greet()
    talk.breaks(UNEXPECTED_MESSAGE, bytes((CHANGE_CIPHER_SPEC, 3, 3, 0, 1, 1)))


def test_a_certificate_of_another_after_the_signature_of_the_first() -> None:
    """The key that signed is the key of the certificate that counts."""
    talk = Conversation()
    client = talk.greet()
    other = make_identity("other.example")
    wire = [client.certificate(other.chain), client.client_key_exchange(), client.certificate_verify(key())]
    talk.breaks(DECRYPT_ERROR, *wire, client.change_cipher_spec(), client.finished())


@pytest.mark.parametrize("kind", [0, 4, 8, 12, 14, 22, 24, 67, 254])
def test_a_message_of_no_client(kind: int) -> None:
    """HelloRequest, a ticket, a server's own, a KeyUpdate, unknown ones."""
    talk = Conversation()
    client = talk.greet()
    talk.breaks(UNEXPECTED_MESSAGE, client.say(kind, b""))


class Trailing(HostileClient12):
    """Puts an octet behind the body of one kind of message."""

    padded = -1

    def say(self, kind: int, body: bytes) -> bytes:
        return super().say(kind, body + (b"!" if kind == self.padded else b""))


@pytest.mark.parametrize("raw", [False, True], ids=["x509", "raw"])
@pytest.mark.parametrize(
    ("kind", "alert"),
    [
        (CLIENT_HELLO, DECODE_ERROR),
        (CERTIFICATE, DECODE_ERROR),
        (CLIENT_KEY_EXCHANGE, DECODE_ERROR),
        (CERTIFICATE_VERIFY, DECODE_ERROR),
    ],
)
def test_an_octet_behind_a_message(kind: int, alert: int, raw: bool) -> None:
    client = Trailing(raw_public_key=raw)
    client.padded = kind
    talk = Conversation(client)
    if kind == CLIENT_HELLO:
        talk.breaks(alert, client.client_hello())
    else:
        talk.greet()
        talk.breaks(alert, *talk.flight())


# --- raw keys


def test_a_key_where_a_certificate_was_agreed() -> None:
    talk = Conversation(HostileClient12(raw_public_key=False))
    client = talk.greet()
    wire = [client.raw_key(client_identity().spki), client.client_key_exchange(), client.certificate_verify(key())]
    talk.breaks(DECODE_ERROR, *wire, client.change_cipher_spec(), client.finished())


def test_a_certificate_where_a_key_was_agreed() -> None:
    talk = Conversation(HostileClient12(raw_public_key=True))
    client = talk.greet()
    wire = [client.certificate(chain()), client.client_key_exchange(), client.certificate_verify(key())]
    talk.breaks(DECODE_ERROR, *wire, client.change_cipher_spec(), client.finished())


RAW_KEYS = {
    "two": lambda spki: vector(spki, 3) * 2,
    "two inside": lambda spki: vector(spki * 2, 3),
    "a list of one": lambda spki: vector(vector(spki, 3), 3),
    "with an octet behind it": lambda spki: vector(spki + b"!", 3),
    "cut short": lambda spki: vector(spki[:-1], 3),
    "nothing after the length": lambda _spki: vector(b"", 3) + b"",
}


@pytest.mark.parametrize("case", RAW_KEYS)
def test_what_is_not_one_key(case: str) -> None:
    talk = Conversation(HostileClient12(raw_public_key=True))
    client = talk.greet()
    wire = [client.say(CERTIFICATE, RAW_KEYS[case](client_identity().spki)), client.client_key_exchange()]
    with pytest.raises(_native.TlsError):
        talk.say(*wire, client.certificate_verify(key()), client.change_cipher_spec(), client.finished())
    assert client.alerts[0][1] in {DECODE_ERROR, BAD_CERTIFICATE, UNEXPECTED_MESSAGE}
    talk.learnt_nothing()


def test_an_empty_raw_key_is_no_key() -> None:
    """Nothing is shown, so nothing may be signed; the handshake itself may go on, as with an empty list."""
    talk = Conversation(HostileClient12(raw_public_key=True))
    client = talk.greet()
    shown = client.say(CERTIFICATE, vector(b"", 3))
    assert talk.say(shown, client.client_key_exchange(), client.change_cipher_spec(), client.finished())
    assert talk.server.peer_raw_public_key() is None
    assert talk.server.peer_chain() == []


# --- what the hello says


def test_the_master_secret_must_be_extended() -> None:
    """RFC 7627 section 5.2: without it two connections can be made to share their keys."""
    talk = Conversation(HostileClient12(extended_master_secret=False))
    talk.greet()
    talk.breaks(HANDSHAKE_FAILURE, *talk.flight())


def test_saying_that_it_is_extended_and_not_extending_it() -> None:
    talk = Conversation()
    client = talk.greet()
    client.extended_master_secret = False
    wire = [client.certificate(chain()), client.client_key_exchange(), client.certificate_verify(key())]
    talk.breaks(BAD_RECORD_MAC, *wire, client.change_cipher_spec(), client.finished())


HELLO_NAMES = {
    "twice": (extension(CODE_POINT, client_name(CLIENT_NAME)) * 2, ILLEGAL_PARAMETER),
    "an octet behind it": (extension(CODE_POINT, client_name(CLIENT_NAME) + b"!"), DECODE_ERROR),
    "a length past the end": (extension(CODE_POINT, b"\x1b" + CLIENT_NAME), DECODE_ERROR),
    "the form of ca13's request": (extension(CODE_POINT, b"\0"), DECODE_ERROR),
}


@pytest.mark.parametrize("case", HELLO_NAMES)
def test_a_malformed_name_in_the_hello(case: str) -> None:
    wire, alert = HELLO_NAMES[case]
    talk = Conversation(HostileClient12(extra_extensions=wire))
    talk.breaks(alert, talk.client.client_hello())


def test_a_name_and_no_certificate() -> None:
    """The engine lets it through, with nothing anybody could take for a proof of possession."""
    talk = Conversation()
    client = talk.greet()
    assert talk.say(*without(client, "no certificate", "exchange", "change", "finished"))
    assert talk.server.peer_chain() == []
    assert talk.server.peer_raw_public_key() is None
    assert client.handshake.get(FINISHED) is None


def test_a_choice_of_less_is_marked() -> None:
    """RFC 9846 section 4.2.3: a client of TLS 1.3 that was talked down sees it in the server's random."""
    talk = Conversation(made=config(versions=(TLS12, TLS13)))
    assert talk.greet().server_random.endswith(DOWNGRADE_SENTINEL)
    talk = Conversation(made=config())
    assert not talk.greet().server_random.endswith(b"DOWNGRD\x01")


@pytest.mark.parametrize(
    ("version", "alerts"),
    [
        (0x0302, [(FATAL, PROTOCOL_VERSION)]),
        (0x0301, [(FATAL, PROTOCOL_VERSION)]),
        (0x0300, [(FATAL, HANDSHAKE_FAILURE)]),
        (0x0200, []),  # no record that an alert could answer
    ],
)
def test_older_versions(version: int, alerts: list[tuple[int, int]]) -> None:
    client = HostileClient12()
    client.version = version
    talk = Conversation(client)
    with pytest.raises(_native.TlsError):
        talk.say(client.client_hello())
    assert client.alerts == alerts
    talk.learnt_nothing()


def test_a_hello_for_a_server_without_tls_1_2() -> None:
    talk = Conversation(made=config(versions=(TLS13, TLS13)))
    talk.breaks(PROTOCOL_VERSION, talk.client.client_hello())


def test_no_ticket_is_given_to_one_who_asks() -> None:
    """A ticket would outlive the verdict, and TLS 1.2's goes out before it."""
    name = extension(CODE_POINT, client_name(CLIENT_NAME))
    talk = Conversation(HostileClient12(extra_extensions=name + extension(SESSION_TICKET, b"")))
    client = talk.greet()
    assert SESSION_TICKET not in client.hello_extensions()
    assert client.handshake[SERVER_HELLO][34] == 0, "and no session to come back to"
    assert talk.say(*talk.flight())
    talk.server.release_flight()
    client.receive(talk.server.drain())
    assert (client.server_finished, client.tickets) == (True, 0)


# --- after the handshake


def admitted() -> Conversation:
    talk = Conversation()
    talk.greet()
    assert talk.say(*talk.flight())
    talk.server.release_flight()
    talk.client.receive(talk.server.drain())
    assert talk.client.server_finished
    return talk


def test_renegotiation_is_declined_each_time() -> None:
    """An honest one, which names this handshake's Finished, by somebody who would now be somebody else."""
    talk = admitted()
    client, server = talk.client, talk.server
    client.renegotiation_info = client.verify_data
    client.extra_extensions = extension(CODE_POINT, client_name(b"car55._device.cars.example"))
    for _ in range(3):
        server.feed(client.aside(CLIENT_HELLO, client.hello_body()))
        assert server.read(100) is None
        client.receive(server.drain())
    assert client.alerts == [(WARNING, NO_RENEGOTIATION)] * 3
    assert server.client_names() == [(0, CLIENT_NAME)]
    server.feed(client.data(b"still here"))
    assert server.read(100) == b"still here"


def test_renegotiation_while_the_verdict_is_awaited() -> None:
    talk = Conversation()
    client = talk.greet()
    flight = talk.flight()
    client.renegotiation_info = client.verify_data
    assert talk.say(*flight, client.aside(CLIENT_HELLO, client.hello_body()))
    assert talk.server.client_names() == [(0, CLIENT_NAME)]
    talk.server.release_flight()
    assert talk.server.read(100) is None
    client.receive(talk.server.drain())
    assert client.server_finished
    assert client.alerts == [(WARNING, NO_RENEGOTIATION)]


def test_asking_for_ever_costs_the_asker_more() -> None:
    """Each hello is answered by a warning, which is shorter, and nothing is kept of it."""
    talk = admitted()
    client, server = talk.client, talk.server
    client.renegotiation_info = client.verify_data
    for _ in range(200):
        asked = client.aside(CLIENT_HELLO, client.hello_body())
        server.feed(asked)
        assert server.read(100) is None
        assert server.pending_in() == 0
        assert len(server.drain()) < len(asked) / 4


@pytest.mark.parametrize("what", ["alerts", "empty records"])
def test_a_flood_of_what_means_nothing_ends(what: str) -> None:
    """Each costs work and moves nothing: a peer cannot go on with it for ever."""
    talk = admitted()
    client, server = talk.client, talk.server
    endless = {
        "alerts": lambda: client.alert(WARNING, 90),
        "empty records": lambda: client.data(b""),
    }[what]

    def flood() -> None:
        for _ in range(100):
            server.feed(endless())
            assert server.read(100) is None

    with pytest.raises(_native.TlsError):
        flood()


def test_a_record_sealed_twice_is_not_read_twice() -> None:
    talk = admitted()
    record = talk.client.data(b"once")
    talk.server.feed(record)
    assert talk.server.read(100) == b"once"
    talk.server.feed(record)
    with pytest.raises(_native.TlsError):
        talk.server.read(100)
    assert talk.server.drain()[0] == ALERT
