"""A server's end of a QUIC connection: from the claim to the verdict, and to the session that is kept account of.

What it needs of its server is a `QuicHost`. Not here: the socket, and who is known under which connection id
(`quic_server`).
"""

import asyncio
import logging
from typing import TYPE_CHECKING, Final, Protocol

from dnsbound.edge.current_peer import ConnectionPeer
from dnsbound.edge.handshake_slots import HandshakeOutcome
from dnsbound.edge.quic_connection import Address, QuicEnd, QuicLimits
from dnsbound.errors import Reason, Refused, Undecided
from dnsbound.tls.association import Phase
from dnsbound.tls.errors import without_frames
from dnsbound.tls.server_shim import ServerShim
from dnsbound.verify.claim import Claim
from dnsbound.verify.peer import VerifiedPeer

if TYPE_CHECKING:
    from dnsbound.edge.quic_engine import QuicEngine
    from dnsbound.tls.quic_handshake import QuicHandshake
    from dnsbound.verify.sessions import Session

_log: Final = logging.getLogger("dnsbound.listen")


class QuicHost(Protocol):
    """Who has the socket, and all connections."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop: ...
    @property
    def bounds(self) -> QuicLimits: ...
    @property
    def seconds(self) -> int:
        """From a client's first datagram to its verdict."""

    def send(self, datagram: bytes, address: Address) -> None: ...
    def judge(self, served: "ServedQuic", claim: Claim) -> None:
        """Have `served.settle` called, now or later."""

    def opened(self, served: "ServedQuic", claim: Claim | None) -> None:
        """The client is in."""

    def finished(self, served: "ServedQuic", outcome: HandshakeOutcome) -> None:
        """Its handshake needs no slot any more."""

    def add_name(self, served: "ServedQuic", connection_id: bytes) -> None: ...
    def drop_name(self, served: "ServedQuic", connection_id: bytes) -> None: ...
    def forget(self, served: "ServedQuic") -> None:
        """It is over."""


class ServedQuic(QuicEnd):
    """A server's end of a connection. It is its session's handle (`session_sweep.LiveConnection`)."""

    def __init__(
        self, host: QuicHost, engine: "QuicEngine", handshake: "QuicHandshake", address: Address, source: str
    ) -> None:
        super().__init__(engine, handshake, loop=host.loop, bounds=host.bounds, address=address)
        self.address_text: Final = str(address[0])
        self.source: Final = source
        """What its share of the limits is charged to."""
        self.names: Final[set[bytes]] = set()
        """Connection ids under which datagrams are this connection's."""
        self.peer: Final = ConnectionPeer(None, self)
        self.session: Session | None = None
        self._host = host
        self._before = Phase.HANDSHAKE
        self._early = host.bounds.early_octets
        self._has_slot = True
        self._deadline: asyncio.TimerHandle | None = host.loop.call_later(host.seconds, self._too_late)

    def verified_peer(self) -> VerifiedPeer | None:
        """The client's evidence, as `dnsbound.verified_peer` tells it."""
        return self.peer.current()

    def receive(self, datagram: bytes, address: Address) -> None:
        if self._before in {Phase.HANDSHAKE, Phase.VERDICT}:
            self._early -= len(datagram)
            if self._early < 0:
                self._finish(HandshakeOutcome.REFUSED)
                self.close()
                return
        super().receive(datagram, address)

    def settle(self, verdict: VerifiedPeer | Refused | Undecided) -> None:
        """Act on a verdict; one that comes too late changes nothing."""
        if isinstance(verdict, VerifiedPeer):
            self.peer.peer = verdict
        self._handshake.settle(verdict)
        self._soon()

    # --- session_sweep.LiveConnection, from any thread

    def renewed(self, peer: VerifiedPeer) -> None:
        self.peer.peer = peer

    def cut(self, reason: Refused | Undecided) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._cut, reason)

    def _cut(self, reason: Refused | Undecided) -> None:
        self.peer.ended = without_frames(reason)
        self._handshake.cut(reason)
        self._soon()

    # --- QuicEnd's steps

    def _stepped(self) -> None:
        before, phase = self._before, self._handshake.phase
        if before is phase:
            return
        claim = self._handshake.shim.claim if isinstance(self._handshake.shim, ServerShim) else None
        self._before = phase
        if phase is Phase.VERDICT and claim is not None:
            self._host.judge(self, claim)
            self._stepped()
        elif phase is Phase.OPEN:
            self._finish(HandshakeOutcome.ADMITTED)
            self._engine.open_streams()
            self._host.opened(self, claim)
        elif before in {Phase.HANDSHAKE, Phase.VERDICT}:
            refused = phase is Phase.REFUSED or self._handshake.error is not None
            self._finish(HandshakeOutcome.REFUSED if refused else HandshakeOutcome.GONE)

    def _too_late(self) -> None:
        self._deadline = None
        self._finish(HandshakeOutcome.TIMED_OUT)
        seconds = self._host.seconds
        if self._handshake.phase is Phase.VERDICT:
            claim = self._handshake.pending_claim
            _log.warning("no verdict about %s within %g s", claim and claim.name, seconds)
            self.settle(Undecided(Reason.DNS_FAILED, f"no verdict within {seconds:g} s"))
        else:
            self.close()

    def _finish(self, outcome: HandshakeOutcome) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if self._has_slot:
            self._has_slot = False
            self._host.finished(self, outcome)

    def _transmit(self, datagram: bytes, address: Address) -> None:
        self._host.send(datagram, address)

    def _known_as(self, connection_id: bytes) -> None:
        self._host.add_name(self, connection_id)

    def _no_longer(self, connection_id: bytes) -> None:
        self._host.drop_name(self, connection_id)

    def _forgotten(self) -> None:
        self._finish(HandshakeOutcome.GONE)
        self._host.forget(self)
