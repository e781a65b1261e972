"""The HTTP face of the verify service: HTTP/1.1 and 1.0 over a stream, kept alive, one write for each answer.

Requests are read with h11 and answered in the order in which they came; the next one is not looked at before. Who may
ask follows from the socket, and from a secret where the front has one: `Authorization: Bearer SECRET`, or a path
`/s/SECRET/...` for servers that can set no field. What is answered at which path is `authz_routes`.

What this is not: a server for strangers. It listens on Unix sockets and on the loopback.
Sections: RFC 9112 sections 2 to 9; RFC 9110 sections 5 and 10.1.1; RFC 6750 section 2.1.
"""

import logging
import socket
import time
from collections.abc import Awaitable, Sequence
from email.utils import formatdate
from functools import lru_cache
from hmac import compare_digest
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import h11

from dnsbound.door_limits import FRONT_BODY_OCTETS, FRONT_HEADER_OCTETS
from dnsbound.edge.authz_routes import (
    CERTIFICATE_FIELD,
    HTTP_ROUTES,
    NAME_FIELD,
    SOURCE_FIELD,
    HttpOptions,
    HttpRequest,
    HttpResponse,
    HttpRoute,
)
from dnsbound.edge.front import Front
from dnsbound.edge.served_front import FrontConnection, ServedFront, StreamServer
from dnsbound.edge.toml_tables import TomlTable

if TYPE_CHECKING:
    from dnsbound.times import Seconds

_SECRET_PATH: Final = "/s/"  # noqa: S105 (where one follows)
_BEARER: Final = b"bearer "
_UNDECIDED: Final = {"403": HTTPStatus.FORBIDDEN, "503": HTTPStatus.SERVICE_UNAVAILABLE}

_log: Final = logging.getLogger("dnsbound.authz")


class HttpFace:
    """A `Face`. routes: what is answered where; a path counts for all below it."""

    def __init__(self, routes: Sequence[HttpRoute] = HTTP_ROUTES) -> None:
        self._routes: Final = tuple(routes)

    def options(self, table: TomlTable, front: Front) -> HttpOptions:
        del front
        return HttpOptions(
            certificate_field=_field_name(table, "certificate_field", CERTIFICATE_FIELD),
            source_field=_field_name(table, "source_field", SOURCE_FIELD),
            name_field=_field_name(table, "name_field", NAME_FIELD),
            undecided=table.chosen("undecided", _UNDECIDED, HTTPStatus.FORBIDDEN),
        )

    async def serve(self, served: ServedFront, sock: socket.socket) -> StreamServer:
        return await StreamServer.start(served, sock, lambda front: HttpConnection(front, self._routes))


def _field_name(table: TomlTable, key: str, default: str) -> str:
    name = table.text(key, default)
    if not (name.isascii() and name.replace("-", "").isalnum()):
        raise table.wrong("is no name of a header field (letters, digits and hyphens)", key)
    return name


class HttpConnection(FrontConnection):
    """One connection of a front."""

    def __init__(self, served: ServedFront, routes: Sequence[HttpRoute]) -> None:
        super().__init__(served)
        self._routes = routes
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=FRONT_HEADER_OCTETS.default)
        self._request: h11.Request | None = None
        self._body: list[bytes] = []
        self._body_octets = 0
        self._is_begun = False
        """Octets of a request have come, and its answer is still due."""
        self._began: Seconds = 0.0

    def received(self, octets: bytes) -> None:
        if not self._is_begun:
            # Once for each request: whoever sends an octet now and then gets no more time than others.
            self._is_begun = True
            self.wait_for_rest()
        self._http.receive_data(octets)
        self._advance()

    def finished(self) -> None:
        self._http.receive_data(b"")
        self._advance()

    def resumed(self) -> None:
        self._advance()

    def _advance(self) -> None:
        try:
            while not self.is_waiting and self._step():
                pass
        except h11.RemoteProtocolError as error:
            self.served.turn_away("http", f"asks in HTTP that is none: {error}")
            self._fail(error.error_status_hint)

    def _step(self) -> bool:
        """Take one event; False when there is nothing to do before more octets come, or ever."""
        event = self._http.next_event()
        if isinstance(event, h11.Request):
            self._request, self._began = event, time.perf_counter()
            _check_framing(event)
            if self._http.they_are_waiting_for_100_continue:
                self._send(h11.InformationalResponse(status_code=100, headers=[]))
        elif isinstance(event, h11.Data):
            return self._add(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage):
            self._answer()
        elif isinstance(event, h11.ConnectionClosed):
            self.close()
            return False
        else:  # NEED_DATA, or PAUSED: a request of a connection that is to end, or of another protocol
            return False
        return True

    def _add(self, octets: bytes) -> bool:
        self._body_octets += len(octets)
        if self._body_octets > FRONT_BODY_OCTETS.default:
            self.served.turn_away("body", "asks with a body that is too long")
            self._fail(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return False
        self._body.append(octets)
        return True

    def _answer(self) -> None:
        assert self._request is not None
        request, body = self._request, b"".join(self._body)
        self._request, self._body, self._body_octets = None, [], 0
        answer = self._routed(request, body)
        if isinstance(answer, HttpResponse):
            self._respond(request, answer)
        else:
            self.meanwhile(self._later(request, answer))

    async def _later(self, request: h11.Request, awaited: Awaitable[HttpResponse]) -> None:
        self._respond(request, await awaited)

    def _routed(self, request: h11.Request, body: bytes) -> HttpResponse | Awaitable[HttpResponse]:
        if request.method == b"CONNECT":
            return _plain(HTTPStatus.METHOD_NOT_ALLOWED)
        target = request.target.decode("ascii")
        served, secret = self.served, _bearer(request)
        if target.startswith(_SECRET_PATH):
            said, _, rest = target.removeprefix(_SECRET_PATH).partition("/")
            secret, target = said.encode("ascii"), f"/{rest}"
        if not _is_known(secret, served.front.secrets):
            served.turn_away("secret", "asks without its secret")
            return _plain(HTTPStatus.FORBIDDEN)
        path, _, query = target.partition("?")
        for route in self._routes:
            if path == route.path or path.startswith(f"{route.path}/"):
                return self._judged(route, request, path=path, query=query, body=body)
        served.turn_away("path", f"asks at a path that is not here: {path[:80]!r}")
        return _plain(HTTPStatus.NOT_FOUND)

    def _judged(
        self, route: HttpRoute, request: h11.Request, *, path: str, query: str, body: bytes
    ) -> HttpResponse | Awaitable[HttpResponse]:
        options = self.served.front.options
        asked = HttpRequest(
            method=request.method.decode("ascii"),
            path=path,
            query=query,
            fields=tuple(request.headers),
            body=body,
            options=options if isinstance(options, HttpOptions) else HttpOptions(),
        )
        try:
            return route.answer(asked, self.served.door)
        except Exception:  # noqa: BLE001 (whatever is broken here lets nobody in, and the front is not to blame)
            _log.exception("front %s: a question failed", self.served.front.label)
            return _plain(HTTPStatus.INTERNAL_SERVER_ERROR)

    def _respond(self, request: h11.Request, response: HttpResponse) -> None:
        """Head and body in one write."""
        fields = [
            (b"Date", _date(int(time.time()))),
            (b"Cache-Control", b"no-store"),
            *response.fields,
            (b"Content-Length", str(len(response.body)).encode("ascii")),
        ]
        if self.served.is_ending:
            fields.append((b"Connection", b"close"))
        reason = HTTPStatus(response.status).phrase.encode("ascii")
        parts = [self._http.send(h11.Response(status_code=response.status, headers=fields, reason=reason))]
        if response.body and request.method != b"HEAD":
            parts.append(self._http.send(h11.Data(data=response.body)))
        parts.append(self._http.send(h11.EndOfMessage()))
        self.write(b"".join(part for part in parts if part))
        self.served.door.counters.took(time.perf_counter() - self._began)
        if self._http.our_state is h11.MUST_CLOSE:
            self.close()
            return
        self._http.start_next_cycle()
        self._is_begun = bool(self._http.trailing_data[0])
        if self._is_begun:
            self.wait_for_rest()
        else:
            self.wait_for_request()

    def _fail(self, status: int) -> None:
        """Say why if that can still be said, and end the connection."""
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            fields = [(b"Connection", b"close"), (b"Content-Length", b"0")]
            self._send(h11.Response(status_code=status, headers=fields), h11.EndOfMessage())
        self.close()

    def _send(self, *events: h11.InformationalResponse | h11.Response | h11.EndOfMessage) -> None:
        self.write(b"".join(filter(None, (self._http.send(event) for event in events))))


def _check_framing(request: h11.Request) -> None:
    """RFC 9112 section 6.3: a length and chunks at once may be an attempt to hide a request within another."""
    if {b"content-length", b"transfer-encoding"} <= {name for name, _ in request.headers}:
        raise h11.RemoteProtocolError("a length and chunks at once", HTTPStatus.BAD_REQUEST)


def _bearer(request: h11.Request) -> bytes:
    found = [value for name, value in request.headers if name == b"authorization"]
    if len(found) == 1 and found[0][: len(_BEARER)].lower() == _BEARER:
        return bytes(found[0][len(_BEARER) :].strip())
    return b""


def _is_known(said: bytes, secrets: tuple[bytes, ...]) -> bool:
    """Every secret is compared, in a time that does not depend on what was said."""
    if not secrets:
        return True
    return any([compare_digest(said, secret) for secret in secrets])  # noqa: C419 (all of them)


def _plain(status: HTTPStatus) -> HttpResponse:
    return HttpResponse(status=status, body=f"{status.phrase}\n".encode())


@lru_cache(maxsize=2)
def _date(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode("ascii")
