"""The shim's transport for whoever carries the octets itself: fed as they arrive, taken when there is room to send.

The form of `dnsbound.tls.transport.Transport` without memory BIOs between: ciphertext goes into the engine straight
from the receive buffer, and what the engine produces is collected so that several records leave at once. The protocol
of an event loop uses it, and so does EAP-TLS.
"""

from typing import Final

from dnsbound._native import Connection
from dnsbound.tls.transport import Until


class FedTransport:
    """One connection's octets. The protocol calls `feed`, `feed_end` and `take`; the shim calls the rest."""

    __slots__ = ("_at_end", "_connection", "_produced", "ended")

    write_limit: Final = 0

    def __init__(self) -> None:
        self._connection: Connection
        self._produced: list[bytes] = []
        self._at_end = False
        self.ended = False

    # --- the protocol's side

    def feed(self, octets: bytes | memoryview) -> None:
        """Ciphertext from the peer; copied before this returns."""
        self._connection.feed(octets)

    def feed_end(self) -> None:
        """The peer sends no more."""
        self._at_end = True

    def take(self) -> bytes:
        """Octets to send; empty when there are none."""
        produced = self._produced
        if not produced:
            return b""
        octets = produced[0] if len(produced) == 1 else b"".join(produced)
        produced.clear()
        return octets

    # --- the shim's side

    def attach(self, connection: Connection) -> None:
        self._connection = connection

    def begin(self) -> Until:
        return None

    def fill(self, connection: Connection, until: Until) -> bool:  # noqa: ARG002 (never waits)
        if self._at_end and not self.ended:
            self.ended = True
            connection.feed_eof()
            return True
        return False

    def flush(self, connection: Connection, until: Until) -> None:  # noqa: ARG002 (never waits)
        if connection.pending_out():
            self._produced.append(connection.drain())

    def returned(self) -> None:
        return None
