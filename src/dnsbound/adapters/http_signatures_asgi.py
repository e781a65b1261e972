"""ASGI: requests that are signed with a DNS-bound key (RFC 9421), whoever ended their TLS.

    requests = SignedRequests(ObjectVerifier(access, resolver, door="api"), origin="https://api.example", nonces=...)
    app = SignedRequestsMiddleware(app, requests)

puts `scope["extensions"]["dnsbound"]` there as `adapters.asgi` does, so that its `require` works behind it,

    verified_peer     VerifiedPeer: the signer's evidence; None where signatures are `optional` and there is none
    name, grants      the signer's name as text, and what the access list grants it
    signed_request    VerifiedObject: with what the signature said and covered; None without one

and peer and grants into `scope["state"]`. Fields that were not signed are still in the request: what an application
decides by must be among those that `SignedRequests` covers. The content is held and checked before the application is
called, which gets exactly what was signed.

A request that is refused is answered 401, with what is to be signed (Accept-Signature) and no word of why; one that
could not be decided 503; one with too much content 413. WebSockets have no content to sign and are refused, or, where
signatures are optional, nobody's. With `answers` every response to a signed request is signed with that credential and
held until it is whole, so this middleware stands outside of those that change contents.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from dnsbound.adapters.asgi import EXTENSION, Application, Receive, Scope, Send
from dnsbound.credential.credential import Credential
from dnsbound.credential.presented import Presented
from dnsbound.edge.signed_requests import SignedRequests
from dnsbound.errors import LimitExceeded, Malformed, Refused, Undecided
from dnsbound.http_limits import HTTP_SIGNED_BODY_OCTETS
from dnsbound.objects.http_signatures.message import HttpRequest, HttpResponse
from dnsbound.objects.http_signatures.profile import MessageSignature, accept_signature, sign_response
from dnsbound.objects.signed import VerifiedObject

Message: TypeAlias = Any
Shown: TypeAlias = Callable[[str, Iterable[tuple[bytes, bytes]]], Presented | None]

_CHALLENGE: Final = b"HTTP-Message-Signature"
"""RFC 9110 section 15.5.2 wants a scheme; there is none registered, and what is to be done is in Accept-Signature."""
_RETRY_SECONDS: Final = b"5"
_WORDS: Final = {401: b"a signed request is wanted\n", 413: b"too much content\n", 503: b"try again\n"}
_UNSIGNABLE: Final = frozenset(
    {"http.response.pathsend", "http.response.zerocopysend", "http.response.trailers", "http.response.push"}
)
"""Ways around the messages that a response is signed from."""


class SignedRequestsMiddleware:
    """Wraps an ASGI application. Everything in the scope stays, but an extension of this name from elsewhere."""

    def __init__(
        self,
        app: Application,
        requests: SignedRequests,
        *,
        optional: bool = False,
        shown: Shown | None = None,
        answers: Credential | None = None,
    ) -> None:
        """optional: requests without any signature come through, as nobody's; one that does not hold is refused all the
        same. shown: what the client's connection has shown, such as `ClientCertField`. answers: with what responses are
        signed."""
        self._app = app
        self._requests = requests
        self._optional = optional
        self._shown = shown
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
        elif self._optional and not _is_signed(scope):
            await self._app({**scope, **_evidence(scope, None)}, receive, send)
        elif scope["type"] == "websocket":
            await receive()  # the opening handshake, which is answered 403
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._request(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            request = self._requests.request(scope["method"], _target(scope), scope["headers"])
            source = _address(scope)
            presented = None if self._shown is None else self._shown(source, scope["headers"])
            content = _Content(receive, self._requests.content_octets)
            verified, held = await self._requests.verify(request, content.read, source=source, presented=presented)
        except (Refused, Malformed):
            challenge = ((b"www-authenticate", _CHALLENGE), (b"accept-signature", accept_signature().encode()))
            await _answer(send, 401, *challenge)
        except Undecided:
            await _answer(send, 503, (b"retry-after", _RETRY_SECONDS))
        except LimitExceeded:
            await _answer(send, 413, (b"connection", b"close"))
        except _Gone:
            return
        else:
            scope = {**scope, **_evidence(scope, verified)}
            if self._answers is not None:
                extensions = scope["extensions"].items()
                scope["extensions"] = {name: said for name, said in extensions if name not in _UNSIGNABLE}
                send = _Answer(request, verified.content, self._answers, self._requests, send).send
            await self._app(scope, _Replay(held, receive).receive, send)


class _Gone(Exception):
    """The client went away while its content was read: there is nobody to answer."""


class _Content:
    """The content of a request, up to a limit."""

    def __init__(self, receive: Receive, octets: int) -> None:
        self._receive = receive
        self._octets = octets

    async def read(self) -> bytes:
        held = bytearray()
        more = True
        while more:
            message = await self._receive()
            if message["type"] != "http.request":
                raise _Gone
            held += message.get("body", b"")
            more = message.get("more_body", False)
            if len(held) > self._octets:
                raise LimitExceeded(HTTP_SIGNED_BODY_OCTETS.name, f"more than {self._octets} octets")
        return bytes(held)


class _Replay:
    """Gives the content that was checked, then what else the server has to say."""

    def __init__(self, content: bytes, receive: Receive) -> None:
        self._content: bytes | None = content
        self._receive = receive

    async def receive(self) -> Message:
        if self._content is None:
            return await self._receive()
        content, self._content = self._content, None
        return {"type": "http.request", "body": content, "more_body": False}


class _Answer:
    """Holds a response until it is whole, signs it, and sends it."""

    def __init__(
        self, request: HttpRequest, said: MessageSignature, credential: Credential, requests: SignedRequests, send: Send
    ) -> None:
        self._request = request
        self._said = said
        self._credential = credential
        self._requests = requests
        self._send = send
        self._start: Message | None = None
        self._held = bytearray()

    async def send(self, message: Message) -> None:
        """LimitExceeded for a response that is too long to be held: an application that streams is not signed for."""
        if message["type"] == "http.response.start":
            self._start = message
            return
        if message["type"] != "http.response.body" or self._start is None:
            await self._send(message)
            return
        self._held += message.get("body", b"")
        if len(self._held) > self._requests.content_octets:
            raise LimitExceeded(
                HTTP_SIGNED_BODY_OCTETS.name, f"a response of more than {self._requests.content_octets}"
            )
        if message.get("more_body", False):
            return
        start, self._start = self._start, None
        content = b"" if self._request.method == "HEAD" else bytes(self._held)
        response = HttpResponse.of(start["status"], start.get("headers", ()), request=self._request)
        added = sign_response(
            response, content, self._credential, request_label=self._said.label, now=self._requests.verifier.now()
        )
        headers = [*start.get("headers", ()), *((name.lower().encode(), value.encode()) for name, value in added)]
        await self._send({**start, "headers": headers})
        await self._send({"type": "http.response.body", "body": bytes(self._held), "more_body": False})


def _is_signed(scope: Scope) -> bool:
    return any(name.lower() in (b"signature", b"signature-input") for name, _ in scope["headers"])


def _target(scope: Scope) -> str:
    """Path and query as they came. Servers that do not tell the path as it came have it written anew."""
    raw = scope.get("raw_path")
    path = quote(scope["path"]) if raw is None else raw.decode("latin-1")
    query = scope.get("query_string", b"").decode("latin-1")
    return f"{path}?{query}" if query else path


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""


def _evidence(scope: Scope, verified: VerifiedObject | None) -> dict[str, Any]:
    peer = None if verified is None else verified.peer
    told = {
        "verified_peer": peer,
        "name": None if peer is None else str(peer.name),
        "grants": {} if peer is None else peer.grants,
        "signed_request": verified,
    }
    return {
        "extensions": {**(scope.get("extensions") or {}), EXTENSION: told},
        "state": {**(scope.get("state") or {}), "verified_peer": peer, "grants": told["grants"]},
    }


async def _answer(send: Send, status: int, *fields: tuple[bytes, bytes]) -> None:
    body = _WORDS[status]
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode()), *fields]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
