"""Authentication after the handshake on a blocking socket, and the live session of a connection a thread serves."""

import contextlib
import socket
import time
from functools import partial
from typing import Final

from dnsbound.edge.authenticator import Authenticator
from dnsbound.edge.context_door import AuthenticatorLike, in_event_loop, teller_of
from dnsbound.edge.context_objects import TLSSocket
from dnsbound.edge.current_peer import CONNECTION_PEER, ConnectionPeer
from dnsbound.errors import LimitExceeded, Reason, Refused, Undecided
from dnsbound.tls.errors import TLSMisuse, verdict_error
from dnsbound.tls.handshake_claim import NO_CLAIM
from dnsbound.tls.post_handshake import LateStage
from dnsbound.tls.server_shim import ServerShim
from dnsbound.verify.claim import Claim
from dnsbound.verify.peer import VerifiedPeer

_LEAST_SECONDS: Final = 0.001
"""A socket's timeout of 0 would mean another thing."""


class LiveSocket:
    """A session's handle: ends the connection under its handler's hands."""

    def __init__(self, connection: TLSSocket, shim: ServerShim, peer: ConnectionPeer) -> None:
        self._connection = connection
        self._shim = shim
        self._peer = peer

    def renewed(self, peer: VerifiedPeer) -> None:
        known = self._peer.peer
        if known is not None and known.name == peer.name:  # who has said another name late stays who it is
            self._peer.peer = peer

    def cut(self, reason: Refused | Undecided) -> None:
        """Without close_notify, which is the handler's thread to send. What the system has received already would still
        be read after the socket is shut down, so the connection itself gives out nothing more: the handler gets the
        verdict as an error."""
        self._peer.ended = reason
        self._shim.cut(reason)
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._connection, socket.SHUT_RDWR)


def keep_account(
    connection: TLSSocket, holder: ConnectionPeer, authenticator: AuthenticatorLike, claim: Claim, peer: VerifiedPeer
) -> None:
    """Have the name asked about again for as long as the connection is served; the server sweeps."""
    shim = connection.shim
    if isinstance(authenticator, Authenticator) and isinstance(shim, ServerShim):
        live = LiveSocket(connection, shim, holder)
        session = authenticator.sessions.register(peer, claim, live, now=peer.verified_at)
        holder.keep_account(partial(authenticator.sessions.remove, session))


def authenticate_client(
    connection: TLSSocket, *, required: bool | None = None, seconds: float | None = None
) -> VerifiedPeer | None:
    """See `TLSSocket.authenticate_client`."""
    shim = connection.shim
    if not isinstance(shim, ServerShim):
        raise TLSMisuse("a client is authenticated at the server's end of its connection")
    if connection.gettimeout() == 0 or in_event_loop():
        raise TLSMisuse("a verdict blocks: on an event loop, a connection's transport has authenticate_client()")
    context = shim.context
    if shim.late.stage is LateStage.QUIET:
        shim.ask_late()
    if shim.late.stage is LateStage.ASKED:
        _await_answer(connection, shim, context.handshake_slots.seconds if seconds is None else seconds)
    return _judge(connection, shim, required=context.requires_claim if required is None else required)


def _await_answer(connection: TLSSocket, shim: ServerShim, seconds: float) -> None:
    until, before = time.monotonic() + seconds, connection.gettimeout()
    try:
        answered = False
        while not answered:
            connection.settimeout(max(until - time.monotonic(), _LEAST_SECONDS))
            answered = shim.read_for_answer()
    except (TimeoutError, LimitExceeded):
        shim.refuse_late(Refused(Reason.NO_CREDENTIAL, f"no answer within {seconds:g} s"))
        raise TimeoutError(f"no answer within {seconds:g} s") from None
    finally:
        connection.settimeout(before)


def _judge(connection: TLSSocket, shim: ServerShim, *, required: bool) -> VerifiedPeer | None:
    authenticator = shim.context.authenticator
    try:
        claim = shim.late_claim()
    except Refused as refusal:
        if refusal.reason in NO_CLAIM and not required:
            shim.late.settle(accept=False)
            return None
        if (tell := teller_of(authenticator)) is not None:
            tell(refusal, shim.source)
        raise _refused(shim, refusal) from None
    try:
        peer: VerifiedPeer = authenticator.authenticate_blocking(claim)
        _admit(connection, shim, claim, peer)
    except (Refused, Undecided) as verdict:
        raise _refused(shim, verdict) from None
    except BaseException:
        shim.refuse_late(Undecided(Reason.DNS_FAILED, "the authenticator failed"))
        raise
    return peer


def _admit(connection: TLSSocket, shim: ServerShim, claim: Claim, peer: VerifiedPeer) -> None:
    holder = CONNECTION_PEER.get(None)
    if holder is not None and holder.connection is connection:
        try:
            keep_account(connection, holder, shim.context.authenticator, claim, peer)
        except LimitExceeded as error:
            raise Undecided(Reason.WORK_BUDGET, str(error)) from error
        holder.peer = peer
    shim.admit_late(claim, peer)


def _refused(shim: ServerShim, verdict: Refused | Undecided) -> OSError:
    """The verdict as an error, once the client was told."""
    shim.refuse_late(verdict)
    return verdict_error(verdict)
