"""ASGI: clients that are authenticated in the middle of a connection, by exported authenticators in HTTP fields.

    app = LateAuthenticationMiddleware(app)

An application answers 401 where it wants to know who asks: the middleware adds the challenge. A client that knows the
scheme (`dnsbound.adapters.httpx_late`) repeats the request with its answer, on the same connection, and later requests
refer to it. In a request that carries either, and in no other, `dnsbound.verified_peer()` is that client, and
`scope["extensions"]["dnsbound"]` has `verified_peer`, `name` and `late`. Whoever fails gets 403 and no reason.

The server must run on a loop of `dnsbound.loop_factory` behind a server Context, as for `VerifiedPeerMiddleware`, which
may stand before or behind this one. Fields and flow: `dnsbound.adapters.http_authentication`.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final, TypeVar, cast

from dnsbound.adapters.asgi import EXTENSION, Application, Receive, Scope, Send
from dnsbound.adapters.http_authentication import Answer, challenge_text, credentials_in
from dnsbound.edge.context_door import AuthenticatorLike
from dnsbound.edge.current_peer import CONNECTION_PEER, ConnectionPeer, current_connection, verified_peer
from dnsbound.edge.exported_authentication import ExportedAuthentication
from dnsbound.edge.server_transport import ServerTransport
from dnsbound.errors import LimitExceeded, Malformed, Misuse, PeerError, Reason, Refused, Undecided
from dnsbound.tls.exported_authenticator import context_of

Predicate = Callable[[Scope], bool]

_Call = TypeVar("_Call", Receive, Send)

_NOBODY: Final = (Refused, Undecided, Malformed, LimitExceeded, PeerError)
_UNAUTHORIZED, _FORBIDDEN = 401, 403


class _Connection:
    """What is known of one connection: its authentication, and the challenge that waits for an answer."""

    __slots__ = ("challenge", "late")

    def __init__(self, late: ExportedAuthentication) -> None:
        self.late = late
        self.challenge: bytes | None = None

    def request(self) -> bytes:
        """The challenge that is open, or a new one: a client that asks for many things is asked once."""
        if self.challenge is None or not self.late.is_fresh(self.challenge):
            self.challenge = self.late.request()
        return self.challenge

    async def identity(self, authenticator: bytes) -> ConnectionPeer | None:
        """Who answered; None for a client that declines."""
        try:
            await self.late.verify(authenticator)
        except Refused as refusal:
            if refusal.reason is Reason.NO_CREDENTIAL:
                return None
            raise
        return self.late.identity(context_of(authenticator) or b"")


class LateAuthenticationMiddleware:
    """Wraps an ASGI application.

    authenticator: judges late claims; by default the door's own. required: says of a scope whether it takes a late
    identity, so that the challenge goes out before the application is asked; by default the application's 401 says so.
    claim_from, clientid: as for `Context.server`, by default the door's.
    """

    def __init__(
        self,
        app: Application,
        *,
        authenticator: AuthenticatorLike | None = None,
        required: Predicate = lambda _: False,
        claim_from: Iterable[str] | None = None,
        clientid: int | None = None,
    ) -> None:
        self._app = app
        self._required = required
        self._begin = partial(
            ExportedAuthentication,
            authenticator=authenticator,
            claim_from=None if claim_from is None else tuple(claim_from),
            clientid=clientid,
        )
        self._connections: dict[ServerTransport, _Connection] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            verified_peer()
        except (Refused, Undecided):
            # The connection was cut after this request came in: there is nobody to answer.
            return
        connection = self._connection()
        try:
            holder = await _identity(connection, scope)
            peer = None if holder is None else holder.current()
        except _NOBODY:
            await _refuse(scope, send, _FORBIDDEN)
            return
        if holder is None:
            await self._without(connection, scope, receive, send)
            return
        known = {"verified_peer": peer, "name": None if peer is None else str(peer.name), "late": True}
        receive, send = _of_the_server(receive), _of_the_server(_challenging(connection, send))
        token = CONNECTION_PEER.set(holder)
        try:
            await self._app(_extended(scope, known), receive, send)
        finally:
            CONNECTION_PEER.reset(token)

    def _connection(self) -> _Connection:
        transport = current_connection()
        if not isinstance(transport, ServerTransport):
            raise Misuse("LateAuthenticationMiddleware needs a server on a loop of dnsbound.loop_factory")
        known = self._connections.get(transport)
        if known is None:
            known = self._connections[transport] = _Connection(self._begin(transport))
            transport.at_end(partial(self._connections.pop, transport, None))
        return known

    async def _without(self, connection: _Connection, scope: Scope, receive: Receive, send: Send) -> None:
        """A request without a late identity."""
        if self._required(scope):
            await _refuse(scope, _challenging(connection, send), _UNAUTHORIZED)
        else:
            await self._app(scope, receive, _challenging(connection, send))


async def _identity(connection: _Connection, scope: Scope) -> ConnectionPeer | None:
    """Whom the request's credentials stand for; None without any, and where they refer to nobody on this connection."""
    fields = [value.decode("latin-1") for name, value in scope["headers"] if name == b"authorization"]
    credentials = credentials_in(fields)
    if credentials is None:
        return None
    if isinstance(credentials, Answer):
        return await connection.identity(credentials.authenticator)
    return connection.late.identity(credentials.context)


def _extended(scope: Scope, known: dict[str, Any]) -> Scope:
    extensions = scope.get("extensions") or {}
    return {**scope, "extensions": {**extensions, EXTENSION: {**extensions.get(EXTENSION, {}), **known}}}


def _of_the_server(call: _Call) -> _Call:
    """The server's own work during a request, which it does as before: servers begin a request that was pipelined
    behind this one while they send the last of this answer, and that request has no part in this identity."""
    before = CONNECTION_PEER.get()

    async def calling(*message: Any) -> Any:  # noqa: ANN401 (ASGI's)
        token = CONNECTION_PEER.set(before)
        try:
            return await call(*message)
        finally:
            CONNECTION_PEER.reset(token)

    return cast("_Call", calling)


def _challenging(connection: _Connection, send: Send) -> Send:
    """Adds the challenge to an answer 401."""

    async def sending(message: Any) -> None:  # noqa: ANN401 (ASGI's)
        if message["type"] == "http.response.start" and message["status"] == _UNAUTHORIZED:
            message = _with_challenge(message, connection)
        await send(message)

    return sending


def _with_challenge(message: Any, connection: _Connection) -> Any:  # noqa: ANN401 (ASGI's)
    try:
        challenge = challenge_text(connection.request()).encode("ascii")
    except LimitExceeded:
        # This connection asked too often: there is no challenge left, and 401 needs one.
        return {**message, "status": _FORBIDDEN}
    fields = [*message.get("headers", ()), (b"www-authenticate", challenge), (b"cache-control", b"no-store")]
    return {**message, "headers": fields}


async def _refuse(scope: Scope, send: Send, status: int) -> None:
    """One answer for every failure; a websocket is not accepted, which its client sees as 403."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    fields = [(b"content-length", b"0"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": b""})
