"""Client and server of the native engine in handshakes of QUIC, joined by their messages, without any packet."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from dnsbound import _native
from machines.native_pairs import (
    CLIENT_NAME,
    CODE_POINT,
    SERVER,
    X509,
    authority,
    client_identity,
    server_identity,
)

ALPN = b"meter/1"
PARAMETERS = b"\x0f\x04near"
INITIAL, HANDSHAKE, APPLICATION = 0, 2, 3

Secrets = dict[tuple[int, bool], tuple[int, bytes]]


def quic_server(
    *, verification: str = "accept-required", peer: Sequence[int] = (X509,), alpn: Sequence[bytes] = (ALPN,)
) -> _native.Config:
    config = _native.Config(server_side=True, quic=True)
    config.set_credential(server_identity().chain, server_identity().private_key)
    config.set_peer_verification(verification)
    config.set_certificate_types(own=(X509,), peer=peer)
    config.set_clientid(CODE_POINT)
    config.set_alpn(alpn)
    return config


def quic_client(*, bare: bool = False, own: Sequence[int] = (X509,), alpn: Sequence[bytes] = (ALPN,)) -> _native.Config:
    config = _native.Config(server_side=False, quic=True)
    config.set_credential(() if bare else client_identity().chain, client_identity().private_key)
    config.add_trust_anchors([authority().chain[0]])
    config.set_certificate_types(own=own, peer=(X509,))
    config.set_clientid(CODE_POINT)
    config.set_alpn(alpn)
    return config


@dataclass(slots=True, kw_only=True)
class End:
    """One end, and what it has yielded."""

    connection: _native.Connection
    sent: dict[int, bytes] = field(default_factory=lambda: defaultdict(bytes))
    secrets: Secrets = field(default_factory=dict)

    def step(self) -> bool:
        done = self.connection.do_handshake()
        for level, writes, suite, secret in self.connection.take_secrets():
            self.secrets[level, writes] = (suite, secret)
        return done

    def give(self, to: "End") -> None:
        for level, octets in self.connection.take_crypto():
            self.sent[level] += octets
            to.connection.feed_crypto(level, octets)


def quic_ends(
    server: _native.Config | None = None, client: _native.Config | None = None, *, name: bytes | None = CLIENT_NAME
) -> tuple[End, End]:
    """(client, server), before the handshake."""
    near = _native.Connection(client or quic_client(), server_hostname=SERVER, client_name=name)
    far = _native.Connection(server or quic_server())
    near.set_transport_parameters(PARAMETERS)
    far.set_transport_parameters(b"\x0f\x03far")
    return End(connection=near), End(connection=far)


def quic_shake(near: End, far: End) -> None:
    for _ in range(6):
        done = near.step()
        near.give(far)
        done &= far.step()
        far.give(near)
        if done:
            return
    raise AssertionError("the handshake does not come to an end")
