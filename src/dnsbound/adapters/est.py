"""EST (RFC 7030): devices enrol over HTTPS, with any client that speaks it.

    app = EnrolmentApplication(service, authenticator=door, publication=servers).asgi()

serves /.well-known/est/ and /.well-known/est/LABEL/ with cacerts, csrattrs, simpleenroll and simplereenroll, on
unmodified uvicorn over a Context whose policy is `optional` and which always asks for certificates. HTTP Basic carries
the name and its one-time token; a key or name that was proved in the handshake does without. An answer comes once every
server of the zone shows the record; before, 202 says when to ask again.

Private keys are neither made nor taken: serverkeygen is refused. Strangers get one answer, whatever is wrong. Each
decision is one line of JSON of the logger `dnsbound.enrolment`. Sections: RFC 7030 sections 3 and 4; RFC 8951.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, Protocol

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from dnsbound.adapters.est_connection import Client, client_of_connection, name_in_certificate
from dnsbound.adapters.est_limits import EnrolmentLimits
from dnsbound.adapters.est_service import EnrolmentService, Granted
from dnsbound.credential.certificate_request import CertificateRequest
from dnsbound.edge.authenticator import Authenticator
from dnsbound.errors import DnsboundError, LimitExceeded, Malformed, PeerError, Refused, Undecided
from dnsbound.limits import (
    ENROLMENT_BODY_SECONDS,
    ENROLMENT_REQUEST_OCTETS,
    ENROLMENT_RETRY_SECONDS,
    ENROLMENTS_AT_ONCE,
    RENEWAL_RETRY_SECONDS,
)
from dnsbound.names import ClientName
from dnsbound.provision.enrolment import est_messages as wire
from dnsbound.provision.enrolment.refusal import STRANGERS, Because, EnrolmentRefused
from dnsbound.provision.entries import Identity
from dnsbound.provision.errors import InventoryFailed
from dnsbound.provision.owner import OwnerName
from dnsbound.times import Moment, iso

_log: Final = logging.getLogger("dnsbound.enrolment")
_MINUTE: Final = 60
_NOBODY: Final = ClientName.parse("nobody.invalid")

HEALTH: Final = "/healthz"

STATUS_FOR_REFUSAL: Final[Mapping[Because, int]] = MappingProxyType(
    {
        Because.NOT_AUTHORISED: 401,
        Because.EXPIRED: 401,
        Because.USED: 401,
        Because.ANOTHER_KEY: 401,
        Because.OTHER_NAME: 400,
        Because.WEAK_KEY: 400,
        Because.WANTS_AUTHORITY: 400,
        Because.NOT_LINKED: 400,
        Because.REGISTERED: 403,
        Because.REVOKED: 403,
        Because.BLOCKED: 403,
        Because.IN_CHANGE: 409,
        Because.NO_ROOM: 403,
        Because.NO_ZONE: 403,
    }
)


class Publication(Protocol):
    """Knows when a record is there for everybody."""

    async def is_served(self, identity: Identity, *, now: Moment) -> bool:
        """Whether every authoritative server shows the identity's records, signed. False also where it cannot tell."""
        ...


class _Answer(Exception):
    """Ends a request with this response."""

    def __init__(self, response: Response, outcome: str, because: str) -> None:
        super().__init__(because)
        self.response = response
        self.outcome = outcome
        self.because = because


class EnrolmentApplication:
    """See the module. labels: what may stand in the path before the operation, and below which name those who use it
    must ask; requests without a label may ask for any. limits: of sources. retry_seconds, renewal_seconds: when devices
    ask again while a record is not served yet, and while the former key is to be used. body_seconds: for a request."""

    def __init__(
        self,
        service: EnrolmentService,
        *,
        authenticator: Authenticator,
        publication: Publication,
        labels: Mapping[str, OwnerName] | None = None,
        limits: EnrolmentLimits | None = None,
        retry_seconds: int | None = None,
        renewal_seconds: int | None = None,
        body_seconds: int | None = None,
    ) -> None:
        self._service = service
        self._authenticator = authenticator
        self._publication = publication
        self._labels = dict(labels or {})
        self._limits = limits or EnrolmentLimits()
        self._retry_seconds = ENROLMENT_RETRY_SECONDS.checked(retry_seconds)
        self._renewal_seconds = RENEWAL_RETRY_SECONDS.checked(renewal_seconds)
        self._body_seconds = ENROLMENT_BODY_SECONDS.checked(body_seconds)

    def asgi(self) -> Starlette:
        """The ASGI application."""
        operations = (
            ("cacerts", "GET", self._cacerts),
            ("csrattrs", "GET", self._csrattrs),
            ("simpleenroll", "POST", self._simpleenroll),
            ("simplereenroll", "POST", self._simplereenroll),
            ("serverkeygen", "POST", self._not_offered),
            ("fullcmc", "POST", self._not_offered),
        )
        routes = [
            Route(f"{place}/{operation}", self._guarded(handle), methods=[method])
            for operation, method, handle in operations
            for place in (wire.PATH, wire.PATH + "/{label}")
        ]
        return Starlette(routes=[Route(HEALTH, self._guarded(self._health), methods=["GET"]), *routes])

    # --- operations

    async def _cacerts(self, _request: Request) -> Response:
        return _pkcs7(self._service.authorities, wire.PKCS7)

    async def _csrattrs(self, _request: Request) -> Response:
        attributes = wire.wanted_attributes(linking=self._service.require_linking)
        return Response(wire.to_base64(attributes), media_type=wire.CSR_ATTRIBUTES, headers=_BASE64)

    async def _not_offered(self, _request: Request) -> Response:
        raise _answer(501, "not offered: keys are made on the device and never leave it", "refused")

    async def _health(self, _request: Request) -> Response:
        await asyncio.to_thread(self._service.inventory.enrolments.is_expected, _NOBODY, now=self._service.now())
        return Response("ok\n", media_type="text/plain")

    async def _simpleenroll(self, request: Request) -> Response:
        source = _source(request)
        credentials = wire.BasicCredentials.parse(request.headers.getlist("authorization"))
        asked = await self._certificate_request(request)
        client = client_of_connection()
        maker: ClientName | None = None
        try:
            if credentials is not None:
                name = _parsed(credentials.user)
            else:
                with contextlib.suppress(Refused):  # A name that does not hold proves nothing; the key still may.
                    maker = await self._name_of(client, source)
                name = _only_name(asked)
            _check_below(name, self._below(request))
            granted = await asyncio.to_thread(
                self._service.enrol,
                asked,
                client,
                name=name,
                token=None if credentials is None else credentials.password,
                maker=maker,
                source=source,
                wants_certificate=not _wants_records(request),
            )
        except EnrolmentRefused as refusal:
            request.state.name = "" if credentials is None else credentials.user[:253]
            if refusal.because in STRANGERS:
                self._limits.failed(source, now=self._service.now())
            raise
        return await self._granted(request, granted)

    async def _simplereenroll(self, request: Request) -> Response:
        source = _source(request)
        asked = await self._certificate_request(request)
        client = client_of_connection()
        name = await self._name_of(client, source)
        if name is None:
            self._limits.failed(source, now=self._service.now())
            raise _answer(403, "a device that is known shows its certificate or key, and its name", "refused")
        request.state.name = name.canonical
        _check_below(name, self._below(request))
        if client.spki is not None:
            await asyncio.to_thread(self._service.sighted, name, client.spki)
        granted = await asyncio.to_thread(
            self._service.renew,
            asked,
            client,
            name=name,
            source=source,
            wants_certificate=not _wants_records(request),
        )
        return await self._granted(request, granted)

    async def _granted(self, request: Request, granted: Granted) -> Response:
        request.state.name = granted.identity.name.canonical
        served = await self._publication.is_served(granted.identity, now=self._service.now())
        if not served or not granted.may_switch:
            why = "the former key is to be used yet" if served else "the record is not served everywhere yet"
            pause = self._retry_seconds if granted.may_switch else self._renewal_seconds
            raise _answer(202, why, "waiting", retry_after=pause)
        request.state.outcome = "again" if granted.again else "enrolled"
        if _wants_records(request):
            lines = "".join(record.to_text() + "\n" for record in granted.identity.records)
            return Response(lines, media_type=wire.RECORDS)
        return _pkcs7((granted.certificate,), wire.CERTS_ONLY)

    # --- what requests have in common

    def _guarded(self, handle: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            request.state.name = request.state.outcome = request.state.because = ""
            source, now = _source(request), self._service.now()
            try:
                self._below(request)
                with self._limits.request(source, now=now):
                    response = await handle(request)
            except _Answer as answer:
                response, request.state.outcome, request.state.because = answer.response, answer.outcome, answer.because
            except (DnsboundError, ClientDisconnect) as error:
                response, request.state.outcome, request.state.because = self._told(error)
            _report(request, response, at=now, source=source)
            return response

        return guarded

    def _told(self, error: Exception) -> tuple[Response, str, str]:
        """What a failure is to the client, and to the log."""
        if isinstance(error, EnrolmentRefused):
            text = "not authorised" if error.because in STRANGERS else error.detail
            return _plain(STATUS_FOR_REFUSAL.get(error.because, 403), text), "refused", str(error)
        if isinstance(error, LimitExceeded):
            crowded = error.limit == ENROLMENTS_AT_ONCE.name
            answer = _plain(503, "too many requests", 1) if crowded else _plain(429, "too many requests", _MINUTE)
        elif isinstance(error, Refused):
            answer = _plain(401, "not authorised")
        elif isinstance(error, Malformed | PeerError | ClientDisconnect):
            answer = _plain(400, str(error)[:200])
        elif isinstance(error, Undecided | InventoryFailed):
            return _plain(503, "not now", self._retry_seconds), "undecided", str(error)
        else:
            _log.error("a request for enrolment failed", exc_info=error)
            return _plain(500, "failed"), "undecided", type(error).__name__
        return answer, "refused", str(error) or type(error).__name__

    def _below(self, request: Request) -> OwnerName | None:
        label = request.path_params.get("label")
        if label is None:
            return None
        if label not in self._labels:
            raise _answer(404, "no such label", "refused")
        return self._labels[label]

    async def _certificate_request(self, request: Request) -> CertificateRequest:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != wire.PKCS10:
            raise _answer(415, f"a request is sent as {wire.PKCS10}", "refused")
        body = bytearray()
        try:
            async with asyncio.timeout(self._body_seconds):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > ENROLMENT_REQUEST_OCTETS.default:
                        raise _answer(413, "the request is too long", "refused")
        except TimeoutError:
            raise _answer(408, "the request came too slowly", "refused") from None
        return CertificateRequest.from_der(wire.from_base64(bytes(body)))

    async def _name_of(self, client: Client, source: str) -> ClientName | None:
        return await name_in_certificate(client, self._authenticator, source=source)


def _wants_records(request: Request) -> bool:
    return wire.RECORDS in request.headers.get("accept", "").lower()


def _parsed(user: str) -> ClientName:
    try:
        return ClientName.parse(user)
    except Malformed as error:
        raise EnrolmentRefused(Because.NOT_AUTHORISED, f"the user of HTTP Basic is no client name: {error}") from None


def _only_name(asked: CertificateRequest) -> ClientName:
    """Whom the request asks to be, where no token says for whom it is."""
    if len(asked.names) != 1:
        raise EnrolmentRefused(Because.NOT_AUTHORISED, "no token, and no single name in the request")
    return _parsed(asked.names[0])


def _check_below(name: ClientName, top: OwnerName | None) -> None:
    if top is not None and not OwnerName.parse(name.canonical).is_at_or_below(top):
        raise EnrolmentRefused(Because.NOT_AUTHORISED, f"{name} is not below {top}, as the label of the path asks")


_BASE64: Final = {"content-transfer-encoding": "base64"}
"""RFC 8951 section 3.1 makes it mean nothing; clients of before look for it."""


def _pkcs7(certificates: tuple[bytes, ...], kind: str) -> Response:
    return Response(wire.to_base64(wire.certs_only(certificates)), headers={"content-type": kind, **_BASE64})


def _answer(status: int, text: str, outcome: str, *, retry_after: int | None = None) -> _Answer:
    return _Answer(_plain(status, text, retry_after), outcome, text)


def _plain(status: int, text: str, retry_after: int | None = None) -> Response:
    headers = {} if retry_after is None else {"retry-after": str(retry_after)}
    if status == 401:
        headers["www-authenticate"] = wire.CHALLENGE
    return Response(f"{text}\n", status_code=status, media_type="text/plain", headers=headers)


def _source(request: Request) -> str:
    return "" if request.client is None else request.client.host


def _report(request: Request, response: Response, *, at: Moment, source: str) -> None:
    state = request.state
    shown: dict[str, Any] = {
        "at": iso(at),
        "operation": request.url.path.rpartition("/")[2],
        "outcome": state.outcome or "told",
        "name": state.name,
        "source": source,
        "because": state.because[:1000],
        "status": response.status_code,
    }
    line = {key: value for key, value in shown.items() if value != ""}
    _log.info("%s", json.dumps(line, separators=(",", ":")), extra={"enrolment": line})
