"""Who is on the other end: the verified peer of the connection whose callbacks are running.

Every callback of a connection that our protocol serves runs in one `contextvars.Context` of that connection, so tasks
started there inherit the peer and no framework has to pass it along. A task started outside a connection has none, and
asking is then an error rather than an answer: a framework set to start its tasks in an empty context (uvicorn's
`reset_contextvars`) must not turn every client into an anonymous one.

Not an authorisation: it says who was verified, not what that name may do here.
"""

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from dnsbound.errors import Misuse, Refused, Undecided
from dnsbound.verify.peer import VerifiedPeer


class ConnectionPeer:
    """The peer of one live connection: changed when evidence is renewed, ended when the name is no longer good."""

    __slots__ = ("_account", "_connection", "ended", "peer")

    def __init__(self, peer: VerifiedPeer | None, connection: object = None) -> None:
        # Weak: the connection holds this object, and a task may hold it for longer than the connection lasts.
        self._connection = None if connection is None else weakref.ref(connection)
        self._account: Callable[[], object] | None = None
        self.peer = peer
        """None: the door's policy is `optional` and the client made no claim."""
        self.ended: Refused | Undecided | None = None
        """Why the connection was cut, once it was."""

    def current(self) -> VerifiedPeer | None:
        """The peer, or None for a client that made no claim; raises why the connection was cut, once it was."""
        if self.ended is not None:
            # A fresh instance: the stored one would grow a traceback with every task that asks.
            raise type(self.ended)(self.ended.reason, self.ended.detail)
        return self.peer

    def keep_account(self, end: Callable[[], object]) -> None:
        """A live session stands for this peer; end: ends the account kept of it. One that stood before is ended."""
        self.end_account()
        self._account = end

    def end_account(self) -> None:
        end, self._account = self._account, None
        if end is not None:
            end()

    @property
    def connection(self) -> Any:  # noqa: ANN401 (a ServerTransport or a TLSSocket)
        """The connection itself; None once it is gone."""
        return None if self._connection is None else self._connection()


CONNECTION_PEER: Final[ContextVar[ConnectionPeer | None]] = ContextVar("dnsbound.connection_peer")
"""Set in the context of each served connection; read it through `verified_peer`. None is as if it were not set."""


@contextmanager
def outside_any_connection() -> Iterator[None]:
    """For what is begun while a connection is served and has no part in it."""
    token = CONNECTION_PEER.set(None)
    try:
        yield
    finally:
        CONNECTION_PEER.reset(token)


def verified_peer() -> VerifiedPeer | None:
    """The verified peer of the connection this code serves.

    None means one thing only: the door's policy is `optional` and this client made no claim. Raises Misuse where no
    connection of a dnsbound server is being served, and Refused or Undecided once the connection was cut because its
    name is no longer good.
    """
    holder = CONNECTION_PEER.get(None)
    if holder is None:
        raise Misuse("verified_peer() was called outside a connection that a dnsbound server serves")
    return holder.current()


def current_connection() -> Any:  # noqa: ANN401 (a ServerTransport or a TLSSocket)
    """The connection this code serves: a `ServerTransport` on an event loop, a `TLSSocket` in a blocking server.

    For what concerns it as a whole, such as authenticating its client late. Raises Misuse where no connection of a
    dnsbound server is being served, or it is gone.
    """
    holder = CONNECTION_PEER.get(None)
    connection = None if holder is None else holder.connection
    if connection is None:
        raise Misuse("current_connection() was called outside a connection that a dnsbound server serves")
    return connection
