"""Servers that serve each connection in a thread of its own, for programs without an event loop.

The handshake, and the wait for the verdict, happen in the connection's thread, never in the accepting one: there, one
slow client or DNS answer would stall all others. That is also why a listening socket must not be wrapped with
`Context.wrap_socket`: its `accept()` shakes hands in the accepting thread.

    class Server(VerifiedPeerMixIn, http.server.HTTPServer):
        context = dnsbound.Context.server(...)
"""

import logging
import socket
import socketserver
import ssl
from collections.abc import Callable
from typing import Any, Final

from dnsbound import limits
from dnsbound.edge.context import Context
from dnsbound.edge.current_peer import CONNECTION_PEER, ConnectionPeer
from dnsbound.edge.handshake_slots import HandshakeOutcome
from dnsbound.errors import DnsboundError, Misuse

_log: Final = logging.getLogger("dnsbound.listen")

_DISCARD_OCTETS: Final = 65_536


class VerifiedPeerMixIn(socketserver.ThreadingMixIn):
    """Mix in before a stream server of `socketserver`, and set `context`, a server Context with an authenticator.

    Handlers get the TLS socket as their request, and only for admitted clients; in the handler's thread
    `verified_peer()` says who it is. Unfinished handshakes are limited by the Context's `handshake_slots`; how many
    admitted clients there may be is left to the server, as in `socketserver`.
    """

    context: Context
    daemon_threads = True

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 (socketserver's signature)
        """In the accepting thread: take a slot, or close at once."""
        if not self.context.handshake_slots.take():
            request.close()
            return
        super().process_request(request, client_address)

    def finish_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """In the connection's thread: shake hands, wait for the verdict, serve."""
        slots = self.context.handshake_slots
        try:
            connection = self._admit(request, client_address)
        finally:
            slots.give_back()
        if connection is None:
            return
        holder = CONNECTION_PEER.set(ConnectionPeer(connection.verified_peer()))
        try:
            super().finish_request(connection, client_address)  # type: ignore[misc]
        finally:
            CONNECTION_PEER.reset(holder)
            _close(connection)

    def _admit(self, request: socket.socket, client_address: Any) -> Any:  # noqa: ANN401
        """The TLS socket of an admitted client, or None, counted and logged."""
        slots = self.context.handshake_slots
        request.settimeout(slots.seconds)
        connection = None
        try:
            connection = self.context.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
            connection.do_handshake()
        except (OSError, DnsboundError) as error:
            slots.count(HandshakeOutcome.TIMED_OUT if isinstance(error, TimeoutError) else HandshakeOutcome.REFUSED)
            _log.debug("the handshake of %s ended: %s", client_address, error)
            if connection is not None:
                _linger(connection)
            return None
        connection.settimeout(None)
        slots.count(HandshakeOutcome.ADMITTED)
        return connection


def _close(connection: ssl.SSLSocket) -> None:
    """Say close_notify, then end."""
    try:
        connection.settimeout(limits.LINGER_SECONDS.default)
        connection.unwrap()
    except (OSError, ValueError):  # already closed, or the peer is gone
        pass
    _linger(connection)


def _linger(connection: ssl.SSLSocket) -> None:
    """Close so that the peer can still read our last octets: half, then wait for it within limits."""
    left = limits.LINGER_OCTETS.default
    try:
        connection.settimeout(limits.LINGER_SECONDS.default)
        connection.shutdown(socket.SHUT_WR)
        while left > 0 and (discarded := len(socket.socket.recv(connection, _DISCARD_OCTETS))):
            left -= discarded
    except OSError:  # the peer is gone, or took too long
        pass
    finally:
        connection.close()


def blocking_server(
    handle: Callable[[ssl.SSLSocket], None], host: str, port: int, *, context: Context
) -> socketserver.TCPServer:
    """A TCP server, bound and listening, that runs `handle(tls_socket)` in a thread for each admitted client.

    Call its `serve_forever()`, and `shutdown()` from another thread. Misuse when context is not a
    server Context.
    """
    if not context.is_door:
        raise Misuse("blocking_server needs a server Context of dnsbound")

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            handle(self.request)

    class Server(VerifiedPeerMixIn, socketserver.TCPServer):
        allow_reuse_address = True
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    Server.context = context
    return Server((host, port), Handler)
