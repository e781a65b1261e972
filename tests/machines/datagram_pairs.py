"""Client and server of the native engine over datagrams, joined in memory, and what their records look like."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dnsbound import _native
from machines.native_pairs import RAW, X509, Identity, authority, client_identity, server_identity

DTLS12 = 0xFEFD
ADDRESS = b"\x7f\x00\x00\x01\x12\x34"
KEYS = (os.urandom(32),)

ALERT, HANDSHAKE, APPLICATION_DATA = 21, 22, 23


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A record as it stands in a datagram (RFC 6347 section 4.1)."""

    kind: int
    epoch: int
    sequence: int
    body: bytes


def records(datagrams: Iterable[bytes]) -> list[Record]:
    found = []
    for datagram in datagrams:
        rest = datagram
        while rest:
            length = int.from_bytes(rest[11:13])
            found.append(
                Record(
                    kind=rest[0],
                    epoch=int.from_bytes(rest[3:5]),
                    sequence=int.from_bytes(rest[5:11]),
                    body=rest[13 : 13 + length],
                )
            )
            rest = rest[13 + length :]
    return found


def datagram_server(
    *, identity: Identity | None = None, bare: bool = False, peer: Sequence[int] = (X509,)
) -> _native.Config:
    config = _native.Config(server_side=True, datagram=True)
    identity = identity or server_identity()
    config.set_credential(() if bare else identity.chain, identity.private_key)
    config.set_certificate_types(own=[RAW] if bare else [X509], peer=peer)
    config.set_peer_verification("accept-required")
    return config


def datagram_client(
    *, identity: Identity | None = None, bare: bool = False, peer: Sequence[int] = (X509,), verification: str = "verify"
) -> _native.Config:
    config = _native.Config(server_side=False, datagram=True)
    identity = identity or client_identity()
    config.set_credential(() if bare else identity.chain, identity.private_key)
    config.set_certificate_types(own=[RAW] if bare else [X509], peer=peer)
    config.set_peer_verification(verification)
    config.add_trust_anchors([authority().chain[0]])
    return config


def hello(client: _native.Connection) -> bytes:
    """The one datagram of a client's first flight."""
    assert not client.do_handshake()
    (datagram,) = client.take_datagrams()
    return datagram


def verified_hello(client: _native.Connection, listener: _native.CookieListener, address: bytes = ADDRESS) -> bytes:
    """The client's hello with the cookie that the listener asked for."""
    request = listener.receive(hello(client), address=address, keys=KEYS)
    assert isinstance(request, bytes)
    client.feed_datagram(request)
    return hello(client)


def meet(
    server: _native.Config, client: _native.Config, *, verify_hostname: str | None = None
) -> tuple[_native.Connection, _native.Connection]:
    """(client, server) after the cookie exchange; the server has read the hello, and answered nothing yet."""
    listener = _native.CookieListener(server)
    near = _native.Connection(client, verify_hostname=verify_hostname)
    far = listener.receive(verified_hello(near, listener), address=ADDRESS, keys=KEYS)
    assert isinstance(far, _native.Connection)
    return near, far


def carry(sender: _native.Connection, receiver: _native.Connection) -> list[bytes]:
    datagrams = sender.take_datagrams()
    for datagram in datagrams:
        receiver.feed_datagram(datagram)
    return datagrams


def complete(client: _native.Connection, server: _native.Connection) -> None:
    """The handshake without any loss."""
    for _ in range(10):
        done = server.do_handshake()
        carry(server, client)
        done &= client.do_handshake()
        carry(client, server)
        if done:
            return
    raise AssertionError("the handshake does not come to an end")
