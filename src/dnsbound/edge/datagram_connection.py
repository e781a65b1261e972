"""A program's end of an association: messages, who the peer is, and its end. What both kinds of waiting share.

One message is one datagram: it arrives whole or not at all, perhaps late, and nobody is told. Application data never
flows before the verdict.
"""

import asyncio
from typing import TYPE_CHECKING, Any, Self

from dnsbound.edge.current_peer import ConnectionPeer
from dnsbound.errors import Misuse
from dnsbound.tls.association import Association, Phase
from dnsbound.tls.client_shim import ClientShim
from dnsbound.tls.errors import without_frames
from dnsbound.tls.shim import Shim

if TYPE_CHECKING:
    from dnsbound.records.tlsa import TLSA
    from dnsbound.verify.peer import VerifiedPeer


class DatagramEnd:
    """One end of an admitted association."""

    def __init__(self, association: Association, address: Any, peer: ConnectionPeer | None = None) -> None:  # noqa: ANN401 (a socket address)
        self._association = association
        self._peer = peer
        self.address = address
        """The peer's."""

    # --- facts

    @property
    def shim(self) -> Shim:
        """The TLS connection itself: version(), cipher(), group(), getpeercert(), export_keying_material()."""
        return self._association.shim

    @property
    def is_open(self) -> bool:
        return self._association.phase is Phase.OPEN

    @property
    def message_octets(self) -> int:
        """Octets of one message at most."""
        return self._association.message_octets

    @property
    def dropped(self) -> int:
        """Messages that found the queue full."""
        return self._association.dropped

    def verified_peer(self) -> "VerifiedPeer | None":
        """On a server: the client's evidence, as `dnsbound.verified_peer` tells it."""
        if self._peer is None:
            raise Misuse("only the server's end of an association knows a verified client")
        return self._peer.current()

    def server_tlsa(self) -> "TLSA | None":
        """On a client: the record that authenticated the server; None when certificate authorities did."""
        if not isinstance(self.shim, ClientShim):
            raise Misuse("only the client's end of an association knows its server's record")
        return self.shim.server_tlsa()

    def _next(self) -> bytes | None:
        """The next message, b"" after the end, None when there is none yet; raises why the association broke off."""
        association = self._association
        message = association.next_message()
        if message is not None:
            return message
        if association.phase is not Phase.CLOSED:
            return None
        if association.error is not None:
            raise without_frames(association.error)
        return b""


class AwaitedEnd(DatagramEnd):
    """One end on an event loop, for one reader at a time."""

    _waiting: asyncio.Future[None] | None = None

    async def receive(self) -> bytes:
        """The next message; b"" after the peer's close_notify, or an end without one: see the server's idle time.
        Raises why, when the association broke off or was cut."""
        while (message := self._next()) is None:
            await self._change()
        return message

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        message = await self.receive()
        if not message:
            raise StopAsyncIteration
        return message

    async def _change(self) -> None:
        if self._waiting is None:
            self._waiting = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._waiting)

    def wake(self) -> None:
        """Something arrived, or the end."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)
