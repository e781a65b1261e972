"""Authenticating the client of a live connection late, by exported authenticators (RFC 9261).

    late = ExportedAuthentication(connection)        on the server
    octets = late.request()                          carried to the client by the application
    answer = answer_request(connection, octets, credential)      on the client
    peer = await late.verify(answer)                 the engine's verdict, as for a handshake

The messages travel inside the connection they are bound to, in whatever form the application has for them
(`dnsbound.adapters.http_authentication` is one for HTTP). It works over TLS 1.3 and over TLS 1.2 with the extended
master secret, and where TLS's own post-handshake authentication is forbidden, as in HTTP/2. A verified late identity is
a live session like any other: it is asked about again, and when its name is no longer good the connection is cut.

It decides nothing (the engine does) and knows no protocol of the application's.
"""

import asyncio
import contextlib
import secrets
import time
import weakref
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, TypeAlias

from dnsbound.edge.authenticator import Authenticator
from dnsbound.edge.connection_of import Cut, cutter, live_connection, shim_of
from dnsbound.edge.context_arguments import code_point, name_sources
from dnsbound.edge.context_credential import SigningCredential
from dnsbound.edge.context_door import AuthenticatorLike, teller_of
from dnsbound.edge.current_peer import ConnectionPeer
from dnsbound.edge.server_transport import ServerTransport
from dnsbound.edge.session_sweep import LiveConnection, sweep_for
from dnsbound.errors import LimitExceeded, PeerError, Reason, Refused, Undecided
from dnsbound.limits import LATE_IDENTITIES
from dnsbound.names import ClientName
from dnsbound.tls import exported_authenticator as authenticators
from dnsbound.tls.authenticator_request import AuthenticatorRequest, Role
from dnsbound.tls.errors import TLSMisuse
from dnsbound.tls.exported_authenticator import ContextForm, InvalidAuthenticator, context_of
from dnsbound.tls.handshake_claim import ClaimRules
from dnsbound.tls.late_claim import authenticator_claim
from dnsbound.tls.server_shim import ServerShim
from dnsbound.tls.shim import Shim
from dnsbound.verify.claim import Claim
from dnsbound.verify.peer import VerifiedPeer
from dnsbound.verify.sessions import Session

CONTEXT_OCTETS: Final = 32
"""Of the contexts of our requests: nobody guesses one."""

Register: TypeAlias = Callable[[LiveConnection], Session]


class LateIdentity:
    """A verified name on a connection, beside the one its handshake told. A session's handle."""

    def __init__(self, peer: VerifiedPeer, connection: object, cut: Cut) -> None:
        self.holder: Final = ConnectionPeer(peer, connection)
        self._cut = cut
        self.end: Callable[[], None] | None = None
        """Ends the account kept of it."""

    def renewed(self, peer: VerifiedPeer) -> None:
        self.holder.peer = peer

    def cut(self, reason: Refused | Undecided) -> None:
        """The identity is withdrawn and the connection cut. From any thread."""
        self.holder.ended = reason
        self._cut(reason)


class ExportedAuthentication:
    """Late authentication on one connection, at the server's end.

    connection: a server's ServerTransport, StreamWriter, TLSObject or TLSSocket. authenticator: judges the claims; by
    default the door's own. claim_from, clientid: as for `Context.server`, by default the door's. context_form: of TLS
    1.2's exporter, both ends alike. Not thread-safe, but for what live sessions do to it.
    """

    def __init__(
        self,
        connection: object,
        authenticator: AuthenticatorLike | None = None,
        *,
        claim_from: Iterable[str] | None = None,
        clientid: int | None = None,
        context_form: ContextForm = ContextForm.ZERO_LENGTH,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = live_connection(connection)
        shim = shim_of(self._connection)
        if not isinstance(shim, ServerShim):
            raise TLSMisuse("a client is authenticated at the server's end of its connection")
        self._shim = shim
        self._authenticator: Final[AuthenticatorLike] = authenticator or shim.context.authenticator
        sources = shim.name_sources if claim_from is None else name_sources(claim_from)
        self._rules = ClaimRules(door=self._authenticator.door, name_sources=sources)
        self._tell = teller_of(self._authenticator)
        self._clientid: int = shim.context.clientid if clientid is None else code_point(clientid)
        self._clock = clock
        self._keys = shim.authenticator_keys(Role.CLIENT, context_form=context_form)
        self._identities: dict[bytes, LateIdentity] = {}

    # --- asking

    def request(self) -> bytes:
        """A new request. Each is answered once, within `limits.AUTHENTICATOR_SECONDS`. LimitExceeded after too many on
        one connection."""
        request = AuthenticatorRequest.build(Role.SERVER, secrets.token_bytes(CONTEXT_OCTETS), clientid=self._clientid)
        self._shim.authenticator_contexts.sent(request, now=self._clock())
        return request.octets

    # --- the answer

    async def verify(self, authenticator: bytes) -> VerifiedPeer:
        """Judge the answer to a request: the evidence, or Refused or Undecided.

        Refused has NO_CREDENTIAL when the client declined, NO_POSSESSION when the authenticator is not of this
        connection, answers no request that is open, or its signature is wrong. Malformed or LimitExceeded for octets
        that are no authenticator. PeerError when the connection ended meanwhile. The connection goes on whatever the
        verdict; once verified, the identity is kept account of as a live session.
        """
        context, claim = self._claim(authenticator)
        peer = await self._authenticator.authenticate(claim)
        register: Register | None = None
        if isinstance(self._authenticator, Authenticator):
            sweep = sweep_for(asyncio.get_running_loop(), self._authenticator)
            register = partial(sweep.register, peer, claim)
        return self._keep(context, claim, peer, register)

    def verify_blocking(self, authenticator: bytes) -> VerifiedPeer:
        """The same, for a thread that may wait. The session is registered with the Authenticator; a `VerifiedPeerMixIn`
        server sweeps those of its Context's own."""
        context, claim = self._claim(authenticator)
        peer = self._authenticator.authenticate_blocking(claim)
        register: Register | None = None
        if isinstance(self._authenticator, Authenticator):
            register = partial(self._authenticator.sessions.register, peer, claim, now=peer.verified_at)
        return self._keep(context, claim, peer, register)

    def identity(self, context: bytes) -> ConnectionPeer | None:
        """The identity that was verified by the answer to the request with this context, if it was."""
        identity = self._identities.get(context)
        return None if identity is None else identity.holder

    def is_fresh(self, request: bytes) -> bool:
        """Whether a request of ours still waits for its answer, and will for some time."""
        parsed = AuthenticatorRequest.parse(request, Role.SERVER, clientid=self._clientid)
        return self._shim.authenticator_contexts.is_fresh(parsed, now=self._clock())

    def _claim(self, authenticator: bytes) -> tuple[bytes, Claim]:
        try:
            request = self._request_of(authenticator)
            validated = authenticators.validate(self._keys, request, authenticator)
            said = {"source": self._shim.source, "protocol": self._shim.version() or ""}
            return request.context, authenticator_claim(validated, self._rules, **said)
        except Refused as refusal:
            self._turned_away(refusal)
            raise
        except PeerError as error:
            unproved = Refused(Reason.NO_POSSESSION, str(error))
            self._turned_away(unproved)
            raise unproved from error

    def _request_of(self, authenticator: bytes) -> AuthenticatorRequest:
        """The request this answers, which is used up with it. An empty authenticator does not name its request: it is
        of the one whose MAC it is."""
        contexts, now = self._shim.authenticator_contexts, self._clock()
        context = context_of(authenticator)
        if context is None:
            for request in contexts.awaited:
                with contextlib.suppress(InvalidAuthenticator):
                    try:
                        authenticators.validate(self._keys, request, authenticator)
                    except Refused:
                        return contexts.answered(request.context, now=now)
            raise InvalidAuthenticator("an empty authenticator that answers no request of this connection")
        return contexts.answered(context, now=now)

    def _turned_away(self, refusal: Refused) -> None:
        if self._tell is not None:
            self._tell(refusal, self._shim.source)

    def _keep(self, context: bytes, claim: Claim, peer: VerifiedPeer, register: Register | None) -> VerifiedPeer:
        if (peer.name, peer.door) != (claim.name, claim.door):
            raise TLSMisuse(f"evidence for {peer.name} at {peer.door} cannot admit {claim.name} at {claim.door}")
        transport = self._connection if isinstance(self._connection, ServerTransport) else None
        if not self._shim.is_open or (transport is not None and transport.is_closing()):
            raise PeerError("the connection ended before the verdict")
        self._forget(peer.name)
        if len(self._identities) >= LATE_IDENTITIES.default:
            raise LimitExceeded(LATE_IDENTITIES.name, f"{len(self._identities)} late identities on one connection")
        identity = LateIdentity(peer, transport or self._shim.owner, cutter(self._connection, self._shim))
        if register is not None and isinstance(self._authenticator, Authenticator):
            identity.end = partial(self._authenticator.sessions.remove, register(identity))
            if transport is not None:
                transport.at_end(identity.end)
            else:
                weakref.finalize(self._shim, identity.end).atexit = False
        self._identities[context] = identity
        return peer

    def _forget(self, name: ClientName) -> None:
        """One identity for each name: the newest."""
        for context, identity in list(self._identities.items()):
            if identity.holder.peer is not None and identity.holder.peer.name == name:
                del self._identities[context]
                if identity.end is not None:
                    identity.end()


# --- the client's end


def answer_request(
    connection: object,
    request: bytes,
    credential: SigningCredential,
    *,
    name: ClientName | str | None = None,
    clientid: int | None = None,
    context_form: ContextForm = ContextForm.ZERO_LENGTH,
) -> bytes:
    """The authenticator that answers a server's request with a credential, at the client's end of the connection.

    connection: a StreamWriter, transport, TLSObject or TLSSocket. name: stated in place of the credential's own.
    clientid: code point of dane_clientid, by default the Context's.

    Malformed for octets that are no request, PeerError for a context that came before and for schemes the key does not
    have, TLSMisuse for a raw public key.
    """
    shim, parsed = _asked(connection, request, clientid)
    if not credential.chain:
        raise TLSMisuse("exported authenticators show certificates, no raw public keys (RFC 9261 section 5.2.1)")
    stated = ClientName.parse(name) if isinstance(name, str) else name or credential.name
    keys = shim.authenticator_keys(Role.CLIENT, context_form=context_form)
    return authenticators.build(keys, parsed, credential.chain, credential.signer, client_name=stated)


def decline_request(
    connection: object,
    request: bytes,
    *,
    clientid: int | None = None,
    context_form: ContextForm = ContextForm.ZERO_LENGTH,
) -> bytes:
    """The empty authenticator: this client has nothing to show, or will not."""
    shim, parsed = _asked(connection, request, clientid)
    return authenticators.build_empty(shim.authenticator_keys(Role.CLIENT, context_form=context_form), parsed)


def _asked(connection: object, request: bytes, clientid: int | None) -> tuple[Shim, AuthenticatorRequest]:
    shim = shim_of(connection)
    if shim.server_side:
        raise TLSMisuse("a server's request is answered at the client's end of the connection")
    parsed = AuthenticatorRequest.parse(
        request, Role.SERVER, clientid=shim.context.clientid if clientid is None else code_point(clientid)
    )
    shim.authenticator_contexts.received(parsed.context)
    return shim, parsed
