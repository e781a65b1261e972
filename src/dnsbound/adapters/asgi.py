"""ASGI: the verified peer in the scope of every request and websocket.

    app = VerifiedPeerMiddleware(app)

puts `scope["extensions"]["dnsbound"]` there (ASGI 3 section "Extensions"), with

    verified_peer   VerifiedPeer, or None: the door's policy is `optional` and the client made no claim
    name            its name as text, or None
    grants          what the access list grants it; empty without a peer

and peer and grants into `scope["state"]`, where Starlette and FastAPI have `request.state.verified_peer` and
`request.state.grants`. What a name may do is for the application to say; `require(app, role="admin")` lets through
those alone that have a name and these grants.

An application that rather asks `dnsbound.verified_peer()` needs no middleware. The server must run on a loop of
`dnsbound.loop_factory` and start its tasks in the connection's context, as hypercorn and uvicorn do (with its
`reset_contextvars` off, the default); where it does not, a request fails with Misuse.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

from dnsbound.adapters.required_grants import grants_hold
from dnsbound.edge.current_peer import verified_peer
from dnsbound.errors import Refused, Undecided
from dnsbound.verify.peer import VerifiedPeer

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

EXTENSION: Final = "dnsbound"


class VerifiedPeerMiddleware:
    """Wraps an ASGI application. Everything in the scope stays, but an extension of this name from elsewhere."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            peer = verified_peer()
        except (Refused, Undecided):
            # The connection was cut after this request came in: there is nobody to answer.
            return
        extensions = {**(scope.get("extensions") or {}), EXTENSION: _evidence(peer)}
        grants = {} if peer is None else peer.grants
        state = {**(scope.get("state") or {}), "verified_peer": peer, "grants": grants}
        await self._app({**scope, "extensions": extensions, "state": state}, receive, send)


def require(app: Application, **grants: object) -> Application:
    """Only for clients with a name and these grants, each by itself or in a list: others are answered 403, and their
    websockets closed before they open. Stands inside of the middleware."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await app(scope, receive, send)
            return
        told = (scope.get("extensions") or {}).get(EXTENSION, _evidence(None))
        if told["verified_peer"] is not None and grants_hold(told["grants"], grants):
            await app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()  # the opening handshake, which is answered 403
            await send({"type": "websocket.close", "code": 1008})
        else:
            headers = [(b"content-type", b"text/plain"), (b"content-length", b"10")]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": b"forbidden\n"})

    return guarded


def _evidence(peer: VerifiedPeer | None) -> dict[str, Any]:
    if peer is None:
        return {"verified_peer": None, "name": None, "grants": {}}
    return {"verified_peer": peer, "name": str(peer.name), "grants": peer.grants}
