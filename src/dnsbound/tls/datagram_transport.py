"""The shim's transport over datagrams: a queue in, a queue out. It never waits, and a datagram stays whole."""

from collections import deque
from typing import Final

from dnsbound._native import Connection
from dnsbound.tls.transport import Until


class DatagramTransport:
    """Datagrams of one association. Whoever has the socket puts them in and takes them out."""

    __slots__ = ("_incoming", "_outgoing", "connection", "ended")

    write_limit: Final = 0

    connection: Connection
    """The one it carries, from `attach` on."""

    def __init__(self) -> None:
        self._incoming: deque[bytes] = deque()
        self._outgoing: list[bytes] = []
        self.ended = False
        """Never: datagrams have no end, only a close_notify that may be lost."""

    def put(self, datagram: bytes) -> None:
        """One datagram from the peer."""
        self._incoming.append(datagram)

    def take(self) -> list[bytes]:
        """Datagrams to send, in order."""
        datagrams, self._outgoing = self._outgoing, []
        return datagrams

    def attach(self, connection: Connection) -> None:
        self.connection = connection

    def begin(self) -> None:
        return None

    def fill(self, connection: Connection, until: Until = None) -> bool:  # noqa: ARG002 (never waits)
        if not self._incoming:
            return False
        connection.feed_datagram(self._incoming.popleft())
        return True

    def flush(self, connection: Connection, until: Until = None) -> None:  # noqa: ARG002 (never waits)
        if connection.pending_out():
            self._outgoing += connection.take_datagrams()

    def returned(self) -> None:
        return None
