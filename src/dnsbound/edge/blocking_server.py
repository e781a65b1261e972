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
import sys
import time
from collections.abc import Callable
from typing import Any, Final, cast

from dnsbound import limits
from dnsbound.edge.authenticator import Authenticator
from dnsbound.edge.context import Context
from dnsbound.edge.context_objects import TLSSocket
from dnsbound.edge.current_peer import CONNECTION_PEER, ConnectionPeer
from dnsbound.edge.handshake_slots import HandshakeOutcome
from dnsbound.edge.late_socket import keep_account
from dnsbound.edge.session_sweep import SweepThread
from dnsbound.errors import DnsboundError, Misuse
from dnsbound.tls.server_shim import ServerShim

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
    suppress_ragged_eofs = True
    """As in `ssl`, whose default this is: a handler reads a connection that ended without close_notify as one that
    ended. False makes it an error; set it where the end of a message is the end of the connection."""
    _sweep: SweepThread | None = None

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 (socketserver's signature)
        """In the accepting thread: take a slot, or close at once."""
        slots = self.context.handshake_slots
        if not slots.take(_host(client_address)):
            request.close()
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread could be started
            slots.give_back(_host(client_address))
            raise

    def finish_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """In the connection's thread: shake hands, wait for the verdict, serve."""
        slots = self.context.handshake_slots
        try:
            connection = admitted(self.context, request, client_address, suppress_ragged_eofs=self.suppress_ragged_eofs)
        finally:
            slots.give_back(_host(client_address))
        if connection is None:
            return
        peer = ConnectionPeer(connection.verified_peer(), connection)
        token = CONNECTION_PEER.set(peer)
        try:
            keep_account_of(connection, peer, self.context)
            super().finish_request(connection, client_address)  # type: ignore[misc]
        finally:
            CONNECTION_PEER.reset(token)
            peer.end_account()
            _close(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """A connection that breaks, or is cut, is no error of this server: no traceback for each."""
        error = sys.exc_info()[1]
        if isinstance(error, (ssl.SSLError, ConnectionError, TimeoutError)) and not isinstance(error, Misuse):
            _log.debug("the connection of %s ended: %s", client_address, error)
        else:
            super().handle_error(request, client_address)  # type: ignore[misc]

    # --- live sessions

    def service_actions(self) -> None:
        """In the accepting thread, about twice a second: cut the sessions whose time is over, and start a look at the
        others when it is time."""
        super().service_actions()  # type: ignore[misc]
        if self._sweep is None and isinstance(self.context.authenticator, Authenticator):
            self._sweep = SweepThread(self.context.authenticator)
        if self._sweep is not None:
            self._sweep.look()


def admitted(
    context: Context,
    request: socket.socket,
    client_address: object,
    *,
    suppress_ragged_eofs: bool = True,
) -> TLSSocket | None:
    """Shake hands and wait for the verdict, in a thread that may: the TLS socket of an admitted client, or None,
    counted and logged, once the client has had time to read its alert. The slot is the caller's."""
    slots = context.handshake_slots
    request.settimeout(slots.seconds)
    connection = None
    try:
        connection = context.wrap_socket(
            request, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=suppress_ragged_eofs
        )
        connection.do_handshake()
    except (OSError, DnsboundError) as error:
        slots.count(HandshakeOutcome.TIMED_OUT if isinstance(error, TimeoutError) else HandshakeOutcome.REFUSED)
        _log.debug("the handshake of %s ended: %s", client_address, error)
        if connection is not None:
            _linger(connection)
        return None
    connection.settimeout(None)
    slots.count(HandshakeOutcome.ADMITTED)
    return cast("TLSSocket", connection)


def keep_account_of(connection: TLSSocket, peer: ConnectionPeer, context: Context) -> None:
    """Have the name asked about again for as long as the connection is served. LimitExceeded when there are too
    many."""
    shim = connection.shim
    if peer.peer is not None and isinstance(shim, ServerShim):
        assert shim.claim is not None  # a verified peer made one
        keep_account(connection, peer, context.authenticator, shim.claim, peer.peer)


def _host(client_address: object) -> str:
    """What a slot is charged to: the host of an IP socket, empty for a local one."""
    return str(client_address[0]) if isinstance(client_address, tuple) and client_address else ""


def _close(connection: ssl.SSLSocket) -> None:
    """Say close_notify and wait for the peer's; a peer that still sends is waited for a little longer."""
    try:
        connection.settimeout(limits.LINGER_SECONDS.default)
        connection.unwrap()
    except TimeoutError:
        connection.close()
    except (OSError, ValueError):  # the peer still sends, or is gone, or the handler closed the socket
        _linger(connection)
    else:
        connection.close()


def _linger(connection: ssl.SSLSocket) -> None:
    """Close so that the peer can still read our last octets: half, then wait for it within limits, which a peer that
    drips octets does not stretch."""
    left, until = limits.LINGER_OCTETS.default, time.monotonic() + limits.LINGER_SECONDS.default
    try:
        connection.shutdown(socket.SHUT_WR)
        while left > 0 and (seconds := until - time.monotonic()) > 0:
            connection.settimeout(seconds)
            discarded = len(socket.socket.recv(connection, _DISCARD_OCTETS))
            left = left - discarded if discarded else 0
    except OSError:  # the peer is gone, or took too long
        pass
    finally:
        connection.close()


def blocking_server(
    handle: Callable[[ssl.SSLSocket], None], host: str, port: int, *, context: Context
) -> socketserver.TCPServer:
    """A TCP server, bound and listening, that runs `handle(tls_socket)` in a thread for each admitted client.

    Call its `serve_forever()`, and `shutdown()` from another thread. In `handle`, a connection that ends without
    close_notify is an error (`suppress_ragged_eofs` is False). Misuse when context is not a
    server Context.
    """
    if not context.is_door:
        raise Misuse("blocking_server needs a server Context of dnsbound")

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            handle(self.request)

    class Server(VerifiedPeerMixIn, socketserver.TCPServer):
        allow_reuse_address = True
        suppress_ragged_eofs = False
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    Server.context = context
    return Server((host, port), Handler)
