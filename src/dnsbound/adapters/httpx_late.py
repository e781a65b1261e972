"""httpx: a client that authenticates in the middle of a connection, by exported authenticators in HTTP fields.

    context = dnsbound.Context.client()                              says no name in the handshake
    httpx.Client(transport=LateAuthenticationTransport(credential, context))
    httpx.AsyncClient(transport=AsyncLateAuthenticationTransport(credential, context))

When a server answers 401 with a challenge of `dnsbound.adapters.http_authentication`, the request is repeated with the
answer, and later requests to that origin refer to it. An authenticator is worth something on one connection only, so
there is one connection to each origin: requests go one after the other, but beside each other over HTTP/2 in an
AsyncClient. When it is gone the next one is authenticated as it is challenged. Bodies are held in memory, to be sent
again.

Whoever is asked to fetch a URL by this client shows its credential to that server if it asks, as in a handshake.
"""

import threading
import weakref
from collections.abc import Iterator
from typing import Any, Final, Generic, TypeAlias, TypeVar

import anyio
import httpx

from dnsbound.adapters.http_authentication import Answer, Reference, challenge_in
from dnsbound.edge.connection_of import shim_of
from dnsbound.edge.context import Context
from dnsbound.edge.context_credential import SigningCredential
from dnsbound.edge.exported_authentication import answer_request
from dnsbound.errors import DnsboundError
from dnsbound.names import ClientName
from dnsbound.tls.authenticator_request import AuthenticatorRequest, Role
from dnsbound.tls.errors import TLSMisuse
from dnsbound.tls.shim import Shim

ATTEMPTS: Final = 3
"""For one request. A connection that ends between challenge and answer brings another challenge."""
ONE_CONNECTION: Final = httpx.Limits(max_connections=1, max_keepalive_connections=1)

Origin: TypeAlias = tuple[str, str, int | None]

_Transport = TypeVar("_Transport")
_Lock = TypeVar("_Lock")


class _Lane(Generic[_Transport, _Lock]):
    """The way to one origin: a transport of one connection, and what was proved on it."""

    def __init__(self, transport: _Transport, lock: _Lock) -> None:
        self.transport = transport
        self.lock = lock
        self.proved: bytes | None = None
        """Context of the answer that proved our name."""
        self._shim: weakref.ref[Shim] | None = None

    def note(self, shim: Shim, context: bytes) -> None:
        self._shim, self.proved = weakref.ref(shim), context

    def was_proved_since(self, shim: Shim, shown: bytes | None) -> bool:
        """Another request's answer was taken on this connection, after a request that showed `shown` was sent."""
        return self.proved not in {None, shown} and self._shim is not None and self._shim() is shim

    def forget(self) -> None:
        self._shim = self.proved = None


def _dressed(request: httpx.Request, credentials: Answer | Reference | None) -> httpx.Request:
    """The request with what there is to say of oneself."""
    headers = request.headers.copy()
    if credentials is not None:
        headers["Authorization"] = credentials.to_text()
    return httpx.Request(
        request.method, request.url, headers=headers, stream=request.stream, extensions=request.extensions
    )


def _referring(request: httpx.Request, proved: bytes | None) -> httpx.Request:
    return _dressed(request, None if proved is None else Reference(proved))


def _is_done(response: httpx.Response, shim: Shim) -> bool:
    """The answer went to the connection it is bound to. On another one, which came in its place, it proves nothing."""
    return response.status_code not in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN} or _shim(response) is shim


class _Answers:
    """What both transports know: who they are, and how a challenge is answered."""

    def __init__(
        self,
        credential: SigningCredential,
        context: Context,
        *,
        name: ClientName | str | None = None,
        clientid: int | None = None,
        http2: bool = False,
        **options: Any,  # noqa: ANN401 (those of httpx.HTTPTransport)
    ) -> None:
        """credential: with certificates. name: stated in place of its own. options: local_address, retries,
        socket_options, proxy, ... of httpx.HTTPTransport."""
        if not credential.chain:
            raise TLSMisuse("exported authenticators show certificates, no raw public keys (RFC 9261 section 5.2.1)")
        if options.keys() & {"verify", "cert", "limits"}:
            raise TLSMisuse("the Context verifies, the credential is shown, and there is one connection to an origin")
        self._credential = credential
        self._name = name
        self._clientid = clientid
        self._options = {"verify": context, "http2": http2, "limits": ONE_CONNECTION, **options}

    def _answer(self, shim: Shim, challenge: bytes, request: httpx.Request) -> tuple[Answer, bytes]:
        """The answer, and its context."""
        try:
            octets = answer_request(shim, challenge, self._credential, name=self._name, clientid=self._clientid)
            context = AuthenticatorRequest.parse(challenge, Role.SERVER).context
        except DnsboundError as error:
            raise httpx.RemoteProtocolError(f"the challenge cannot be answered: {error}", request=request) from error
        return Answer(octets), context


def _origin(url: httpx.URL) -> Origin:
    return url.scheme, url.host, url.port


def _challenge(response: httpx.Response, request: httpx.Request) -> bytes | None:
    if response.status_code != httpx.codes.UNAUTHORIZED or request.url.scheme != "https":
        return None
    try:
        return challenge_in(response.headers.get_list("www-authenticate"))
    except DnsboundError as error:
        raise httpx.RemoteProtocolError(f"the challenge cannot be read: {error}", request=request) from error


def _shim(response: httpx.Response) -> Shim:
    return shim_of(response.extensions["network_stream"])


class _Turn(httpx.SyncByteStream):
    """A response that is being read: the next request waits for its end. httpcore's pool does not keep apart threads
    that share a connection."""

    def __init__(self, stream: httpx.SyncByteStream, lock: threading.Lock) -> None:
        self._stream = stream
        self._lock: threading.Lock | None = lock

    def __iter__(self) -> Iterator[bytes]:
        yield from self._stream

    def close(self) -> None:
        lock, self._lock = self._lock, None
        try:
            self._stream.close()
        finally:
            if lock is not None:
                lock.release()


class LateAuthenticationTransport(_Answers, httpx.BaseTransport):
    """For `httpx.Client`. A request that brings an Authorization field of its own is left alone."""

    def __init__(self, credential: SigningCredential, context: Context, **options: Any) -> None:  # noqa: ANN401 (as above)
        super().__init__(credential, context, **options)
        self._lanes: dict[Origin, _Lane[httpx.HTTPTransport, threading.Lock]] = {}
        self._lock = threading.Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        lane = self._lane(request)
        patience = request.extensions.get("timeout", {}).get("pool")
        if not lane.lock.acquire(timeout=-1 if patience is None else patience):
            raise httpx.PoolTimeout("the connection to the server is in use", request=request)
        try:
            response = self._exchange(lane, request)
        except BaseException:
            lane.lock.release()
            raise
        assert isinstance(response.stream, httpx.SyncByteStream)
        response.stream = _Turn(response.stream, lane.lock)
        return response

    def _exchange(self, lane: _Lane[httpx.HTTPTransport, threading.Lock], request: httpx.Request) -> httpx.Response:
        send = lane.transport.handle_request
        if "Authorization" in request.headers:
            return send(request)
        request.read()
        response = send(_referring(request, lane.proved))
        for _ in range(ATTEMPTS):
            challenge = _challenge(response, request)
            if challenge is None:
                break
            shim = _shim(response)
            response.read()
            lane.forget()
            answer, context = self._answer(shim, challenge, request)
            response = send(_dressed(request, answer))
            if _is_done(response, shim):
                if response.status_code != httpx.codes.FORBIDDEN:
                    lane.note(shim, context)
                break
        return response

    def _lane(self, request: httpx.Request) -> _Lane[httpx.HTTPTransport, threading.Lock]:
        origin = _origin(request.url)
        with self._lock:
            if origin not in self._lanes:
                self._lanes[origin] = _Lane(httpx.HTTPTransport(**self._options), threading.Lock())
            return self._lanes[origin]

    def close(self) -> None:
        for lane in self._lanes.values():
            lane.transport.close()


class AsyncLateAuthenticationTransport(_Answers, httpx.AsyncBaseTransport):
    """For `httpx.AsyncClient`. A request that brings an Authorization field of its own is left alone."""

    def __init__(self, credential: SigningCredential, context: Context, **options: Any) -> None:  # noqa: ANN401 (as above)
        super().__init__(credential, context, **options)
        self._lanes: dict[Origin, _Lane[httpx.AsyncHTTPTransport, anyio.Lock]] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        lane = self._lane(request)
        send = lane.transport.handle_async_request
        if "Authorization" in request.headers:
            return await send(request)
        await request.aread()
        shown = lane.proved
        response = await send(_referring(request, shown))
        for _ in range(ATTEMPTS):
            challenge = _challenge(response, request)
            if challenge is None:
                break
            shim = _shim(response)
            await response.aread()
            async with lane.lock:
                if lane.was_proved_since(shim, shown):
                    shown = lane.proved
                    response = await send(_referring(request, shown))
                    continue
                lane.forget()
                answer, context = self._answer(shim, challenge, request)
                response = await send(_dressed(request, answer))
                if _is_done(response, shim):
                    if response.status_code != httpx.codes.FORBIDDEN:
                        lane.note(shim, context)
                    break
        return response

    def _lane(self, request: httpx.Request) -> _Lane[httpx.AsyncHTTPTransport, anyio.Lock]:
        origin = _origin(request.url)
        if origin not in self._lanes:
            self._lanes[origin] = _Lane(httpx.AsyncHTTPTransport(**self._options), anyio.Lock())
        return self._lanes[origin]

    async def aclose(self) -> None:
        for lane in self._lanes.values():
            await lane.transport.aclose()
