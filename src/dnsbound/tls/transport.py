"""Where a connection's ciphertext comes from and goes to: the seam of the shim, and its form over two memory BIOs.

The form over a socket is on the edge (`dnsbound.edge.context_socket`); nothing here does input or output.
"""

import ssl
from typing import Any, Final, Protocol, TypeAlias

from dnsbound._native import Connection
from dnsbound.tls.errors import want_write

Until: TypeAlias = float | None
"""When an operation gives up, by the transport's own clock; None for never. Only the transport reads it."""


class Transport(Protocol):
    """Moves ciphertext. What it raises is an `ssl.SSLError`, or an `OSError` of the operating system."""

    ended: bool
    """The peer's side ended, and the connection was told so."""

    @property
    def write_limit(self) -> int:
        """Most plaintext to encrypt before what it became is flushed; 0 for no limit."""

    def attach(self, connection: Connection) -> None:
        """The connection this transport carries; told once, when it is made."""

    def begin(self) -> Until:
        """An operation of the caller begins: a timeout counts from here."""

    def fill(self, connection: Connection, until: Until) -> bool:
        """Give the connection the next ciphertext, or the end; False when there is none now or ever."""

    def flush(self, connection: Connection, until: Until) -> None:
        """Take away all that the connection produced; SSLWantWriteError when some of it has to wait."""

    def returned(self) -> Any:  # noqa: ANN401 (what `unwrap` gives: a socket, or None)
        """What the caller of `unwrap` gets."""


class BioTransport:
    """Over `ssl.MemoryBIO` pairs, as asyncio and its likes use them."""

    __slots__ = ("_incoming", "_outgoing", "ended")

    write_limit: Final = 0

    def __init__(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self.ended = False

    def attach(self, connection: Connection) -> None:
        pass

    def begin(self) -> None:
        return None

    def fill(self, connection: Connection, until: Until = None) -> bool:  # noqa: ARG002 (never waits)
        incoming = self._incoming
        if incoming.pending:
            connection.feed(incoming.read())
            return True
        if incoming.eof and not self.ended:
            self.ended = True
            connection.feed_eof()
            return True
        return False

    def flush(self, connection: Connection, until: Until = None) -> None:  # noqa: ARG002 (never waits)
        if connection.pending_out():
            try:
                self._outgoing.write(connection.drain())
            except ssl.SSLError:  # the caller wrote an end into its own outgoing BIO
                raise want_write() from None

    def returned(self) -> None:
        return None
