"""WSGI: the verified peer in the environment of every request (PEP 3333).

    application = VerifiedPeerMiddleware(application)

puts there

    dnsbound.peer      VerifiedPeer, or None: the door's policy is `optional` and the client made no claim
    dnsbound.grants    what the access list grants it; empty without a peer
    REMOTE_USER        the name, and AUTH_TYPE `DANE`; both are absent without a peer

and takes away every field of the request that could pass for one of these, or for another front end's word. While the
application runs, `dnsbound.verified_peer()` says the same. It stands behind servers of ours (`edge.blocking_server`)
and gunicorn (`adapters.gunicorn`); behind another server a request fails with Misuse. What the name may do is not
decided here: `require` does, by grants.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import copy_context
from typing import Any, Final, TypeAlias

from dnsbound.adapters.required_grants import grants_hold
from dnsbound.edge.current_peer import CONNECTION_PEER, verified_peer
from dnsbound.errors import Refused, Undecided
from dnsbound.protocols.identity_headers import is_identity_header
from dnsbound.verify.peer import VerifiedPeer

Environment: TypeAlias = dict[str, Any]
StartResponse: TypeAlias = Callable[..., Any]
Application: TypeAlias = Callable[[Environment, StartResponse], Iterable[bytes]]

PEER: Final = "dnsbound.peer"
GRANTS: Final = "dnsbound.grants"
AUTH_TYPE: Final = "DANE"
_NOBODY: Final[Mapping[str, Any]] = {}


class VerifiedPeerMiddleware:
    """Wraps a WSGI application."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def __call__(self, environ: Environment, start_response: StartResponse) -> Iterable[bytes]:
        context = copy_context()
        if (connection := environ.get("gunicorn.socket")) is not None:
            from dnsbound.adapters.gunicorn import peer_of  # the whole of TLS, which no other server needs here

            if (holder := peer_of(connection)) is not None:
                context.run(CONNECTION_PEER.set, holder)
        try:
            peer = context.run(verified_peer)
        except (Refused, Undecided):
            # Cut after this request came in: nobody would read the answer.
            start_response("403 Forbidden", [("Content-Length", "0"), ("Connection", "close")])
            return []
        tell(environ, peer)
        answer = context.run(self._application, environ, start_response)
        return _InContext(answer, context)


class _InContext:
    """The application's answer, whose every step runs where its call ran."""

    def __init__(self, answer: Iterable[bytes], context: Any) -> None:  # noqa: ANN401 (a contextvars.Context)
        self._answer = answer
        self._context = context

    def __iter__(self) -> Iterator[bytes]:
        steps = self._context.run(iter, self._answer)
        while (step := self._context.run(next, steps, None)) is not None:
            yield step

    def close(self) -> None:
        close = getattr(self._answer, "close", None)
        if close is not None:
            self._context.run(close)


def require(application: Application, **grants: object) -> Application:
    """Only for clients with a name and these grants: `require(app, role="admin")`. Others are answered 403.

    A grant that is a list has the wanted value among its entries."""

    def guarded(environ: Environment, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get(PEER) is not None and grants_hold(environ[GRANTS], grants):
            return application(environ, start_response)
        start_response("403 Forbidden", [("Content-Type", "text/plain"), ("Content-Length", "10")])
        return [b"forbidden\n"]

    return guarded


def tell(environ: Environment, peer: VerifiedPeer | None) -> None:
    """Put the peer into the environment, and take away what could pass for it."""
    for key in list(environ):
        if key.startswith("HTTP_") and is_identity_header(key.removeprefix("HTTP_").encode("latin-1", "replace")):
            del environ[key]
    for key in [PEER, GRANTS, "REMOTE_USER", "AUTH_TYPE", *(key for key in environ if key.startswith("SSL_CLIENT_"))]:
        environ.pop(key, None)
    environ[PEER], environ[GRANTS] = peer, _NOBODY if peer is None else peer.grants
    if peer is not None:
        environ |= {"REMOTE_USER": peer.name.canonical, "AUTH_TYPE": AUTH_TYPE}
