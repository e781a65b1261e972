"""Two ends of a QUIC handshake as `tls/quic_handshake` has them, without packets."""

from typing import Any

from dnsbound.edge.context import Context
from dnsbound.tls.quic_handshake import CryptoTransport, QuicHandshake
from machines.native_pairs import SERVER
from machines.shim_pairs import Doorkeeper, client, credential, door

ALPN = "meter/1"


def contexts(keeper: Doorkeeper | None = None, **options: Any) -> tuple[Context, Context]:
    near, far = client(credential(), quic=True), door(keeper, quic=True, **options)
    for context in (near, far):
        context.set_alpn_protocols([ALPN])
    return near, far


def ends(keeper: Doorkeeper | None = None, **options: Any) -> tuple[QuicHandshake, QuicHandshake]:
    """(client, server), before the handshake."""
    near, far = contexts(keeper, **options)
    to_near, to_far = CryptoTransport(), CryptoTransport()
    return (
        QuicHandshake(near.client_shim(to_near, SERVER), to_near),
        QuicHandshake(far.server_shim(to_far, source="192.0.2.54"), to_far),
    )


def begun(keeper: Doorkeeper | None = None, **options: Any) -> tuple[QuicHandshake, QuicHandshake]:
    """With their transport parameters set, and the hello on its way."""
    near, far = ends(keeper, **options)
    near.set_parameters(b"\x0f\x04near")
    far.set_parameters(b"\x0f\x03far")
    near.begin()
    return near, far


def carry(near: QuicHandshake, far: QuicHandshake) -> None:
    """Both ways, until nobody has anything to say."""
    while True:
        flights = near.take(), far.take()
        for end, flight in zip((far, near), flights, strict=True):
            for level, octets in flight:
                end.receive(level, octets)
        if not any(flights):
            return
