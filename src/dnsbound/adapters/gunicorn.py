"""gunicorn: WSGI applications whose clients are verified, under gunicorn's own thread workers.

In `gunicorn.conf.py`:

    worker_class, threads = "gthread", 16
    certfile = keyfile = "server.pem"            # that gunicorn speaks TLS at all
    ssl_context = door(make_context)             # make_context() -> dnsbound.Context.server(...)

and around the application `dnsbound.adapters.wsgi.VerifiedPeerMiddleware`. The Context is made in each worker, after
the fork: clocks, resolvers and live sessions are a process's own. The handshake, and the wait for the verdict, happen
in the connection's thread, within the Context's limits; a client that is refused gets its alert and nothing else.

gunicorn keeps connections that wait for their next request in its accepting thread, without a thread each. One whose
name is no longer good is cut there as well.
"""

import errno
import logging
import os
import threading
from collections.abc import Callable
from typing import Any, Final

from dnsbound.edge.authenticator import Authenticator
from dnsbound.edge.blocking_server import admitted, keep_account_of
from dnsbound.edge.context import Context
from dnsbound.edge.context_objects import TLSSocket
from dnsbound.edge.current_peer import ConnectionPeer
from dnsbound.edge.session_sweep import SweepThread
from dnsbound.errors import LimitExceeded, Misuse

_log: Final = logging.getLogger("dnsbound.listen")

_LOOK_SECONDS: Final = 0.5
_peers: Final[dict[TLSSocket, ConnectionPeer]] = {}
"""Of the connections of this process."""


def door(make_context: Callable[[], Context]) -> "Callable[[object, object], Door]":
    """gunicorn's `ssl_context` hook. make_context is called once in each worker process."""
    doors: dict[int, Door] = {}
    lock = threading.Lock()

    def ssl_context(_config: object, _default: object) -> Door:
        with lock:
            here = doors.get(os.getpid())
            if here is None:
                here = doors[os.getpid()] = Door(make_context())
            return here

    return ssl_context


class Door:
    """What gunicorn takes for its TLS context: one object for all connections of a worker."""

    def __init__(self, context: Context) -> None:
        """Misuse for what is not a server Context of ours."""
        if not isinstance(context, Context) or not context.is_door:
            raise Misuse("gunicorn's door needs a server Context of dnsbound, and was given something else")
        self._context = context
        threading.Thread(target=self._keep_watch, name="dnsbound-sweep", daemon=True).start()

    def wrap_socket(self, sock: Any, **_options: object) -> TLSSocket:  # noqa: ANN401 (a socket, as in `ssl`)
        """In the connection's thread: the connection of an admitted client. ConnectionResetError otherwise: gunicorn
        would answer any other error with a page, in clear."""
        slots, address = self._context.handshake_slots, sock.getpeername()
        host = str(address[0]) if isinstance(address, tuple) else ""
        if not slots.take(host):
            raise ConnectionResetError(errno.ECONNRESET, "too many handshakes")
        try:
            connection = admitted(self._context, sock, address)
        finally:
            slots.give_back(host)
        if connection is None:
            raise ConnectionResetError(errno.ECONNRESET, "the client was not let in")
        peer = ConnectionPeer(connection.verified_peer(), connection)
        try:
            keep_account_of(connection, peer, self._context)
        except LimitExceeded as error:
            _log.warning("a client is turned away: %s", error)
            connection.close()
            raise ConnectionResetError(errno.ECONNRESET, str(error)) from error
        _peers[connection] = peer
        return connection

    def _keep_watch(self) -> None:
        """gunicorn tells nobody that it closes a connection."""
        authenticator = self._context.authenticator
        sweep = SweepThread(authenticator) if isinstance(authenticator, Authenticator) else None
        pause = threading.Event()
        while not pause.wait(_LOOK_SECONDS):
            for connection in [one for one in list(_peers) if one.fileno() < 0]:
                _peers.pop(connection).end_account()
            if sweep is not None:
                sweep.look()


def peer_of(connection: object) -> ConnectionPeer | None:
    """Who is at the other end of a connection that a Door let in; None for any other."""
    return _peers.get(connection) if isinstance(connection, TLSSocket) else None
