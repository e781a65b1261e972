"""TLS that starts in the middle of a connection: STARTTLS and its likes, on the server's side."""

import asyncio
from typing import TYPE_CHECKING

from dnsbound.edge.current_peer import CONNECTION_PEER
from dnsbound.edge.server_protocol import ServerProtocol
from dnsbound.edge.server_transport import ServerTransport
from dnsbound.tls.errors import TLSPeerError

if TYPE_CHECKING:
    from dnsbound.edge.context import Context


class PlaintextBeforeTLS(TLSPeerError):
    """Octets arrived in clear where only TLS was expected: an injection, or a client that did not wait its turn."""

    def __init__(self) -> None:
        super().__init__("octets arrived in clear before TLS began", reason="PLAINTEXT_BEFORE_TLS", library="DNSBOUND")


async def upgrade(
    loop: asyncio.AbstractEventLoop,
    plain: asyncio.Transport,
    protocol: asyncio.BaseProtocol,
    context: "Context",
    *,
    announce: bool = False,
    handshake_timeout: float | None = None,
    shutdown_timeout: float | None = None,
) -> ServerTransport:
    """Start TLS, as the server, on a connection that exists; returns once the client is admitted.

    The application's protocol stays; announce: call its connection_made again. From now on `verified_peer()` answers
    in the task that awaits this. Raises what the client was refused with, an OSError, once the client has had time to
    read its alert and the connection is closed.

    What the client sent early is delivered once the awaiting task has had its turn. A caller that awaits through
    another task (`asyncio.wait_for` before Python 3.12) comes a step later: there, a protocol that answers by itself
    must not use the transport it had before.
    """
    if _holds_plaintext(protocol):
        plain.close()
        raise PlaintextBeforeTLS
    waiter: asyncio.Future[ServerTransport] = loop.create_future()
    gate = ServerProtocol(
        loop,
        context,
        lambda: protocol,
        handshake_timeout=handshake_timeout,
        shutdown_timeout=shutdown_timeout,
        announce=announce,
        waiter=waiter,
    )
    # Paused while the protocols are exchanged: uvloop chooses how it receives when reading starts.
    plain.pause_reading()
    plain.set_protocol(gate)
    gate.connection_made(plain)
    plain.resume_reading()
    transport = await gate.admitted(waiter)
    CONNECTION_PEER.set(transport.peer)
    return transport


def _holds_plaintext(protocol: asyncio.BaseProtocol) -> bool:
    """Octets that came before TLS must not be taken for protected ones (STARTTLS injection, CVE-2011-0411).

    Only a stream protocol's buffer can be looked into; any other protocol has to clear its own.
    """
    reader = getattr(protocol, "_stream_reader", None)
    return bool(getattr(reader, "_buffer", None))
