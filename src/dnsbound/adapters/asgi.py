"""ASGI: the verified peer in the scope of every request and websocket.

    app = VerifiedPeerMiddleware(app)

puts `scope["extensions"]["dnsbound"]` there (ASGI 3 section "Extensions"), with

    verified_peer   VerifiedPeer, or None: the door's policy is `optional` and the client made no claim
    name            its name as text, or None

An application that rather asks `dnsbound.verified_peer()` needs no middleware. Neither decides what the name may do.
The server must run on a loop of `dnsbound.loop_factory` and start its tasks in the connection's context, as hypercorn
and uvicorn do (with its `reset_contextvars` off, the default); where it does not, a request fails with Misuse.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

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
        await self._app({**scope, "extensions": extensions}, receive, send)


def _evidence(peer: VerifiedPeer | None) -> dict[str, Any]:
    return {"verified_peer": peer, "name": None if peer is None else str(peer.name)}
