"""Authentication after the handshake on an event loop: ask, wait for the answer, have it judged, act on the verdict.

The answer comes in the same stream as application data, so the transport looks for it whenever it has read. What TLS
itself allows is in `dnsbound.tls.post_handshake`; who the client may be is the authenticator's to say.
"""

import asyncio
import logging
import ssl
from typing import TYPE_CHECKING, Final

from dnsbound.edge.authenticator import Authenticator
from dnsbound.edge.connection_errors import ended_session
from dnsbound.edge.context_door import teller_of, verdict_of
from dnsbound.edge.session_sweep import sweep_for
from dnsbound.errors import LimitExceeded, Reason, Refused, Undecided
from dnsbound.tls.handshake_claim import NO_CLAIM
from dnsbound.tls.post_handshake import LateStage
from dnsbound.verify.claim import Claim
from dnsbound.verify.peer import VerifiedPeer

if TYPE_CHECKING:
    from dnsbound.edge.server_protocol import ServerProtocol
    from dnsbound.edge.server_transport import ServerTransport

_log: Final = logging.getLogger("dnsbound.listen")


class LateHandshake:
    """One connection's. Made when it is first needed."""

    def __init__(self, protocol: "ServerProtocol", transport: "ServerTransport") -> None:
        self._protocol = protocol
        self._transport = transport
        self._shim = protocol.shim
        self._turn = asyncio.Lock()
        self._answer: asyncio.Future[None] | None = None

    # --- called by the transport

    @property
    def awaits_answer(self) -> bool:
        return self._answer is not None and not self._answer.done()

    def read(self) -> None:
        """Octets arrived while the application takes none: read on to the answer, and keep what comes before it."""
        try:
            while self.awaits_answer and not self._shim.read_for_answer():
                pass
        except ssl.SSLWantReadError:
            pass
        except LimitExceeded:
            # No more is received until the application reads, or the time is over.
            self._protocol.plain.pause_reading()
        except OSError as error:
            self._transport.broken(error)
        self.look()

    def look(self) -> None:
        """Octets were read: has the answer come with them?"""
        if self._answer is not None and not self._answer.done() and self._stage is LateStage.JUDGING:
            self._answer.set_result(None)

    def connection_ended(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError("the connection ended before the client answered"))

    # --- called by the application

    async def authenticate(self, *, required: bool | None, seconds: float | None) -> VerifiedPeer | None:
        """See `ServerTransport.authenticate_client`."""
        async with self._turn:
            if not self._protocol.is_open:
                raise ConnectionResetError("the connection has ended")
            if self._stage is LateStage.QUIET:
                self._shim.ask_late()
                self._protocol.flush()
            # Otherwise a call that was cancelled has left its request, or its answer, behind.
            if self._stage is LateStage.ASKED:
                await self._wait(self._protocol.context.handshake_slots.seconds if seconds is None else seconds)
            return await self._judge(required=self._protocol.context.requires_claim if required is None else required)

    @property
    def _stage(self) -> LateStage:
        return self._shim.late.stage

    async def _wait(self, seconds: float) -> None:
        self._answer = self._protocol.loop.create_future()
        try:
            self._transport.receive_for(self)
            async with asyncio.timeout(seconds):
                await self._answer
        except TimeoutError:
            self._transport.refuse(Refused(Reason.NO_CREDENTIAL, f"no answer within {seconds:g} s"))
            raise
        finally:
            self._answer = None
            self._transport.receive_for(self)

    async def _judge(self, *, required: bool) -> VerifiedPeer | None:
        authenticator = self._protocol.context.authenticator
        try:
            claim = self._shim.late_claim()
        except Refused as refusal:
            if refusal.reason in NO_CLAIM and not required:
                self._shim.late.settle(accept=False)
                return None
            if (tell := teller_of(authenticator)) is not None:
                tell(refusal, self._shim.source)
            raise self._refused(refusal) from None
        verdict = await verdict_of(authenticator, claim)
        if isinstance(verdict, Refused | Undecided):
            raise self._refused(verdict) from None
        self._admit(claim, verdict)
        return verdict

    def _refused(self, verdict: Refused | Undecided) -> OSError:
        self._transport.refuse(verdict)
        return ended_session(verdict)

    def _admit(self, claim: Claim, peer: VerifiedPeer) -> None:
        if not self._protocol.is_open:
            raise ConnectionResetError("the connection ended before the verdict")
        authenticator = self._protocol.context.authenticator
        if isinstance(authenticator, Authenticator):
            try:
                self._transport.keep_account(sweep_for(self._protocol.loop, authenticator), claim, peer)
            except LimitExceeded as error:
                raise self._refused(Undecided(Reason.WORK_BUDGET, str(error))) from error
        self._shim.admit_late(claim, peer)
        self._transport.peer.peer = peer
