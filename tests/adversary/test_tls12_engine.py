"""TLS 1.2 in an order, or with contents, that no library sends, at the native engine with its last flight held.

What holds for each: the right alert in clear, no flight, no facts about a peer that proved nothing. What a door makes
of it is in `test_hostile_client_12`.
"""

import pytest

from adversary.hostile_client import (
    CERTIFICATE,
    CERTIFICATE_VERIFY,
    CHANGE_CIPHER_SPEC,
    CLIENT_HELLO,
    client_name,
    extension,
    vector,
)
from adversary.hostile_client_12 import CLIENT_KEY_EXCHANGE, HostileClient12
from adversary.tls12_conversation import (
    BAD_CERTIFICATE,
    CERTIFICATE_TYPES,
    DECODE_ERROR,
    DECRYPT_ERROR,
    UNEXPECTED_MESSAGE,
    Conversation,
    chain,
    in_order,
    key,
)
from dnsbound import _native
from machines.native_pairs import (
    CLIENT_NAME,
    CODE_POINT,
    client_identity,
    make_identity,
)


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
    talk.breaks(alert, *in_order(client, *(part.replace("+", " ") for part in order.split())))


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
