"""HTTP/1.1 and 1.0 in the gate: each request is read, held to its grammar and written anew, with the identity of the
client in its fields; each response comes back the same way.

Nothing that a client wrote reaches a back end but through h11's writer, so that what a lenient parser could read as a
second request is not there any more. The client's connection and the back end's are one to one. Requests may be
pipelined: each has a reader and a writer of its own, and answers keep their order. A WebSocket is opened by a request
like any other; once the back end has switched, octets pass as they are. HTTP/2 is not spoken.

Trailers of requests are not passed on (RFC 9110 section 6.5.1 allows it: some back ends would take them for fields);
those of responses are.

Sections: RFC 9112 sections 2 to 9; RFC 9110 sections 6.5, 7.6, 7.8, 10.1.1, 15.2; RFC 6455 sections 4.1 and 4.2.2.
"""

from collections import deque
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

import h11

from dnsbound.door_limits import HTTP_HEAD_OCTETS, HTTP_PIPELINED
from dnsbound.errors import DnsboundError, LimitExceeded, PeerError
from dnsbound.protocols.gated import NOTHING, BackendError, GateClient, GateIdentity, Step, ended_by_grants
from dnsbound.protocols.http_fields import Forwarded, to_backend, to_client, way_of
from dnsbound.protocols.http_head import HeadBuffer, RequestHead, Unfit, check_framing, connection_options, values
from dnsbound.protocols.identity_headers import identity_headers


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRules:
    """A gate's choices. client_cert: whether a back end gets the client's certificate too (RFC 9440)."""

    forwarded: Forwarded = Forwarded.REPLACE
    client_cert: bool = False
    head_octets: int = HTTP_HEAD_OCTETS.default


@dataclass(slots=True, kw_only=True)
class _Exchange:
    """One request and its answer. client: reads the one and writes the other. backend: the other way round."""

    head: RequestHead
    client: h11.Connection
    backend: h11.Connection
    request_done: bool = False
    answered: bool = False
    """The head of the final answer was sent."""
    answer_done: bool = False


@dataclass(slots=True)
class _Out:
    to_client: bytearray = field(default_factory=bytearray)
    to_backend: bytearray = field(default_factory=bytearray)


class HttpGate:
    """The filter of one connection (`dnsbound.protocols.gated.GatedProtocol`)."""

    def __init__(self, client: GateClient, rules: HttpRules) -> None:
        self._client = client
        self._rules: Final = rules
        self._way: Final = way_of(client)
        self._identity: list[tuple[bytes, bytes]] = []
        self._buffer = HeadBuffer(rules.head_octets)
        self._reading: _Exchange | None = None
        """Its request is not complete."""
        self._waiting: deque[_Exchange] = deque()
        """Not done in both directions, the oldest first."""
        self._switched = False
        self._closing = False
        """The client was told, or has said itself, that it asks no more on this connection."""
        self._told_last = False
        """It was told so."""
        self._over = False
        self._down: BackendError | None = None
        self._out = _Out()

    def begin(self) -> Step:
        if not isinstance(self._client, GateIdentity):
            return NOTHING
        try:
            self._identity = self._told(self._client)
        except DnsboundError as error:
            self._out.to_client += _answer(500)
            return self._ended(error)
        return NOTHING

    def renewed(self, identity: GateIdentity) -> Step:
        """Requests from now on say what holds now. What was switched cannot be told any more."""
        if self._over:
            return NOTHING
        if self._switched:
            return ended_by_grants(self._client, identity)
        try:
            self._identity = self._told(identity)
        except DnsboundError as error:
            return self._ended(error)
        self._client = identity
        return NOTHING

    def _told(self, client: GateIdentity) -> list[tuple[bytes, bytes]]:
        return identity_headers(
            name=client.name,
            door=client.door,
            grants=client.grants,
            valid_until=client.valid_until,
            certificate=client.certificate if self._rules.client_cert else None,
        )

    def unreachable(self, error: BackendError) -> Step:
        self._down = error  # told to the client when it asks for something
        return NOTHING

    # --- what the client says

    def client_said(self, octets: bytes) -> Step:
        if self._switched:
            return Step(to_backend=octets)
        if self._over or self._closing_after_this:
            return NOTHING
        try:
            while octets:
                octets = self._head(octets) if self._reading is None else self._content(self._reading, octets)
        except Unfit as error:
            return self._refused(error)
        except (LimitExceeded, PeerError, BackendError) as error:
            return self._ended(error)
        except h11.ProtocolError as error:
            return self._refused(Unfit(error.error_status_hint, str(error)))
        return self._step()

    @property
    def _closing_after_this(self) -> bool:
        """The last request of this connection is complete: RFC 9112 section 9.6 has the rest ignored."""
        return self._closing and self._reading is None

    def _head(self, octets: bytes) -> bytes:
        if self._closing:
            return b""
        if self._waiting and self._waiting[-1].head.upgrade:
            raise PeerError("HTTP: octets behind a request to switch protocols, before the answer")
        complete = self._buffer.receive(octets)
        if complete is None:
            return b""
        octets, rest = complete
        check_framing(octets)
        reader = h11.Connection(h11.SERVER, max_incomplete_event_size=self._rules.head_octets)
        reader.receive_data(octets)
        request = reader.next_event()
        if not isinstance(request, h11.Request):
            raise Unfit(400, "a head that is none")
        head = RequestHead.of(request)
        if self._down is not None:
            self._out.to_client += _answer(502)
            raise self._down
        if len(self._waiting) >= HTTP_PIPELINED.default:
            raise LimitExceeded(HTTP_PIPELINED.name, "requests before their answers")
        self._pass_on(head, reader)
        return self._content(self._waiting[-1], rest)

    def _pass_on(self, head: RequestHead, reader: h11.Connection) -> None:
        writer = h11.Connection(h11.CLIENT, max_incomplete_event_size=self._rules.head_octets)
        fields = to_backend(head, identity=self._identity, came=self._way, forwarded=self._rules.forwarded)
        request = h11.Request(method=head.method, target=head.target, headers=fields)
        self._out.to_backend += writer.send(request) or b""
        self._reading = _Exchange(head=head, client=reader, backend=writer)
        self._waiting.append(self._reading)
        self._closing = self._closing or head.is_last

    def _content(self, exchange: _Exchange, octets: bytes) -> bytes:
        """Pass content on; what stands behind the request."""
        if octets:
            exchange.client.receive_data(octets)
        while True:
            event = exchange.client.next_event()
            if isinstance(event, h11.Data):
                self._out.to_backend += exchange.backend.send(h11.Data(data=event.data)) or b""
            elif isinstance(event, h11.EndOfMessage):
                self._out.to_backend += exchange.backend.send(h11.EndOfMessage()) or b""
                exchange.request_done = True
                self._reading = None
                self._settle(exchange)
                return bytes(exchange.client.trailing_data[0])
            else:
                return b""

    def client_ended(self) -> Step:
        if self._switched or self._over:
            return NOTHING
        if self._reading is not None or not self._buffer.is_empty:
            return self._ended(PeerError("HTTP: the connection ended within a request"))
        return NOTHING

    # --- what the back end says

    def backend_said(self, octets: bytes) -> Step:
        if self._switched:
            return Step(to_client=octets)
        if self._over:
            return NOTHING
        try:
            while octets:
                octets = self._response(octets)
        except BackendError as error:
            return self._failed(error)
        except h11.ProtocolError as error:
            return self._failed(BackendError(f"the back end's answer: {error}"))
        return self._step()

    def backend_ended(self) -> Step:
        if self._switched or self._over:
            return NOTHING
        if not self._waiting or self._waiting[0].answer_done or (self._told_last and not self._waiting[0].answered):
            return NOTHING
        try:
            self._response(b"")
        except (BackendError, h11.ProtocolError) as error:
            return self._failed(BackendError(f"the back end ended before or within its answer: {error}"))
        return self._step()

    def _response(self, octets: bytes) -> bytes:
        """Pass on what octets, or the end where there are none, tell of the oldest answer; what stands behind it."""
        if not self._waiting or self._waiting[0].answer_done:
            raise BackendError("the back end answered what nobody asked")
        exchange = self._waiting[0]
        exchange.backend.receive_data(octets)
        while True:
            event = exchange.backend.next_event()
            if isinstance(event, h11.InformationalResponse):
                if self._interim(exchange, event):
                    return b""
            elif isinstance(event, h11.Response):
                self._answer(exchange, event)
            elif isinstance(event, h11.Data):
                self._out.to_client += exchange.client.send(h11.Data(data=event.data)) or b""
            elif isinstance(event, h11.EndOfMessage):
                self._out.to_client += exchange.client.send(_end(exchange, event)) or b""
                exchange.answer_done = True
                self._settle(exchange)
                return bytes(exchange.backend.trailing_data[0])
            else:
                return b""

    def _interim(self, exchange: _Exchange, event: h11.InformationalResponse) -> bool:
        """Pass a 1xx on; whether it was the switch to another protocol."""
        switching = event.status_code == HTTPStatus.SWITCHING_PROTOCOLS
        if exchange.head.version == b"1.0":
            return False  # RFC 9110 section 15.2: a client of HTTP/1.0 knows none
        fields = to_client(tuple(event.headers.raw_items()), switching=switching, closing=False)
        told = h11.InformationalResponse(status_code=event.status_code, headers=fields, reason=event.reason)
        self._out.to_client += exchange.client.send(told) or b""
        if switching:
            self._switched = True
            self._waiting.clear()
            self._out.to_client += exchange.backend.trailing_data[0]
        return switching

    def _answer(self, exchange: _Exchange, event: h11.Response) -> None:
        came = tuple(event.headers.raw_items())
        ends = event.http_version < b"1.1" or b"close" in connection_options(came) or _until_the_end(exchange, event)
        fields = to_client(came, switching=False, closing=ends)
        told = h11.Response(status_code=event.status_code, headers=fields, reason=event.reason)
        self._out.to_client += exchange.client.send(told) or b""
        exchange.answered = True
        self._closing = self._closing or ends
        self._told_last = ends or exchange.head.is_last

    def _settle(self, exchange: _Exchange) -> None:
        if exchange.request_done and exchange.answer_done:
            self._waiting.remove(exchange)

    # --- ends

    def _refused(self, error: Unfit) -> Step:
        """A request that is not passed on, or not to its end: told to the client where no answer was begun."""
        if not self._waiting or (self._waiting[0] is self._reading and not self._reading.answered):
            self._out.to_client += _answer(error.status)
        return self._ended(error)

    def _failed(self, error: BackendError) -> Step:
        if self._waiting and not self._waiting[0].answered:
            self._out.to_client += _answer(502)
        return self._ended(error)

    def _ended(self, error: DnsboundError) -> Step:
        self._over = True
        return self._step(error)

    def _step(self, end: DnsboundError | None = None) -> Step:
        out, self._out = self._out, _Out()
        return Step(to_client=bytes(out.to_client), to_backend=bytes(out.to_backend), end=end)


def _end(exchange: _Exchange, event: h11.EndOfMessage) -> h11.EndOfMessage:
    """The end of an answer, with its trailers where the client can get any."""
    if exchange.head.version == b"1.0" or not event.headers:
        return h11.EndOfMessage()
    return h11.EndOfMessage(headers=to_client(tuple(event.headers.raw_items()), switching=False, closing=False))


def _until_the_end(exchange: _Exchange, event: h11.Response) -> bool:
    """RFC 9112 section 6.3: whether the content of a response lasts until the back end ends its connection."""
    came = tuple(event.headers.raw_items())
    if exchange.head.method == b"HEAD" or event.status_code in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
        return False
    return not values(came, b"content-length") and not values(came, b"transfer-encoding")


def _answer(status: int) -> bytes:
    """An answer of the gate's own, the last of its connection. It says no more than its status."""
    phrase = HTTPStatus(status).phrase
    return f"HTTP/1.1 {status} {phrase}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode("ascii")
