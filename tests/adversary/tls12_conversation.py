"""A hostile client of TLS 1.2 and the native engine, joined in memory, with the engine's last flight held."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from adversary.hostile_client import client_name, extension
from adversary.hostile_client_12 import HostileClient12
from dnsbound import _native
from machines.native_pairs import (
    CLIENT_NAME,
    CODE_POINT,
    RAW,
    TLS12,
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


def in_order(client: HostileClient12, *parts: str) -> list[bytes]:
    """Messages of a client's last flight, made in the order named: one may be absent, repeated or out of its place."""
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
