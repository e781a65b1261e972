"""What the HTTP face of the verify service answers at its paths.

`/auth`, and all below it: a request about a request, as nginx, Caddy, Traefik, HAProxy and Envoy ask. The certificate
is in one field, which the front sets and no other field stands in for; method, query and body are the client's and are
not looked at.

`/verify`: a front's own question, as scripts in HAProxy, Apache, Kamailio, Prosody and njs ask. The body is what the
client showed; or, without one, the query says digests of it. The answer is JSON.

A yes is 200 with the fields of `protocols.identity_headers`. A no is 401 where the client showed nothing, and 403; what
could not be found out is 403 or 503, as the front's settings say. Other paths are other faces' (`HttpRoute`).
Sections: RFC 9110 sections 15.5.2 and 15.5.4; RFC 9440 sections 2.2 and 2.3.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Final, Protocol

from dnsbound.edge.front import Allowed, Asked, Denied, FrontDoor
from dnsbound.errors import DnsboundError, LimitExceeded, Malformed, Misuse, Reason
from dnsbound.protocols.identity_headers import DOOR, REASON, grants_text, identity_headers
from dnsbound.protocols.presented_by_fronts import (
    byte_sequences,
    certificates_of_field,
    certificates_of_forwarded,
    digests_of_texts,
    is_nothing,
    joined,
    percent_decoded,
    presented_of_body,
)
from dnsbound.times import iso

Fields = tuple[tuple[bytes, bytes], ...]

CERTIFICATE_FIELD: Final = "X-Client-Cert"
SOURCE_FIELD: Final = "X-Real-IP"
NAME_FIELD: Final = "X-Client-Name"
PROTOCOL_FIELD: Final = "X-Client-TLS"
"""Version of TLS, for the log alone."""
_FORWARDED: Final = "x-forwarded-client-cert"
_RFC_9440: Final = "client-cert"
_CHALLENGE: Final = (b"WWW-Authenticate", b"TLS-Client-Certificate")
"""RFC 9110 section 15.5.2 wants one; no scheme is registered for what TLS does."""
_DIGESTS: Final = ("spki_sha256", "certificate_sha256", "spki_sha512", "certificate_sha512")
_QUERY_WORDS: Final = frozenset({"name", "client", "door", "protocol", *_DIGESTS})


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """A front's settings of this face: which fields it sets, and what an open question is answered with."""

    certificate_field: str = CERTIFICATE_FIELD
    source_field: str = SOURCE_FIELD
    name_field: str = NAME_FIELD
    undecided: HTTPStatus = HTTPStatus.FORBIDDEN

    @property
    def chain_field(self) -> str:
        return f"{self.certificate_field}-Chain"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """path: as it came, without the secret and the query. fields: names in lower case."""

    method: str
    path: str
    query: str = ""
    fields: Fields = ()
    body: bytes = b""
    options: HttpOptions = field(default_factory=HttpOptions)

    def value(self, name: str) -> bytes | None:
        """Of the one field of this name; None without it. Malformed for several: nobody can tell whose they are."""
        wanted = name.lower().encode("ascii")
        found = [value for field_name, value in self.fields if field_name == wanted]
        if len(found) > 1:
            raise Malformed(f"several fields {name}")
        return found[0] if found else None

    def text(self, name: str) -> str:
        """The same as text, empty without it."""
        value = self.value(name)
        return "" if value is None or is_nothing(value) else value.decode("latin-1").strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """fields: without Content-Length, which is the body's."""

    status: int
    fields: Fields = ()
    body: bytes = b""


class HttpRoute(Protocol):
    """What answers at a path and all below it."""

    @property
    def path(self) -> str: ...

    def answer(self, request: HttpRequest, door: FrontDoor) -> HttpResponse | Awaitable[HttpResponse]:
        """An awaitable where somebody has to be waited for. Raises nothing for what a request says."""
        ...


class AuthRoute:
    """`/auth`."""

    path: Final = "/auth"

    def answer(self, request: HttpRequest, door: FrontDoor) -> HttpResponse | Awaitable[HttpResponse]:
        try:
            asked = Asked(
                chain=_chain_of_fields(request),
                name=request.text(request.options.name_field) or None,
                source=request.text(request.options.source_field),
                protocol=request.text(PROTOCOL_FIELD)[:_PROTOCOL_CHARACTERS],
                door=request.text(DOOR) or None,
            )
        except (Malformed, LimitExceeded) as error:
            return plain_answer(door.malformed(error), request.options)
        return _asked(asked, request, door, plain_answer)


class VerifyRoute:
    """`/verify`."""

    path: Final = "/verify"

    def answer(self, request: HttpRequest, door: FrontDoor) -> HttpResponse | Awaitable[HttpResponse]:
        try:
            asked = _asked_of_query(request)
        except (Malformed, LimitExceeded) as error:
            return json_answer(door.malformed(error), request.options)
        return _asked(asked, request, door, json_answer)


HTTP_ROUTES: Final[tuple[HttpRoute, ...]] = (AuthRoute(), VerifyRoute())

_PROTOCOL_CHARACTERS: Final = 32
_Write = Callable[[Allowed | Denied, HttpOptions], HttpResponse]


def _asked(
    asked: Asked, request: HttpRequest, door: FrontDoor, write: _Write
) -> HttpResponse | Awaitable[HttpResponse]:
    answer = door.at_hand(asked)
    if answer is not None:
        return write(answer, request.options)

    async def wait() -> HttpResponse:
        return write(await door.ask(asked), request.options)

    return wait()


# --- questions


def _chain_of_fields(request: HttpRequest) -> tuple[bytes, ...]:
    """By the one field that the front sets. What stands in any other may be the client's own words."""
    options = request.options
    value = request.value(options.certificate_field)
    if value is None:
        return ()
    kind = options.certificate_field.lower()
    if kind == _FORWARDED:
        return certificates_of_forwarded(value)
    others = request.value(options.chain_field)
    if kind == _RFC_9440:
        if is_nothing(value):
            return ()
        leaf = byte_sequences(value)
        if len(leaf) != 1:
            raise Malformed("Client-Cert is a list")
        return joined(leaf, byte_sequences(others) if others else ())
    return joined(certificates_of_field(value), certificates_of_field(others) if others else ())


def _asked_of_query(request: HttpRequest) -> Asked:
    said = query_of(request.query)
    unknown = said.keys() - _QUERY_WORDS
    if unknown:
        raise Malformed(f"/verify knows no {min(unknown)[:40]!r}")
    asked = Asked(
        name=said.get("name") or request.text(request.options.name_field) or None,
        source=said.get("client") or request.text(request.options.source_field),
        protocol=said.get("protocol", "")[:_PROTOCOL_CHARACTERS],
        door=said.get("door") or request.text(DOOR) or None,
    )
    digests = {kind: said[kind] for kind in _DIGESTS if said.get(kind)}
    if request.body:
        if digests:
            raise Malformed("/verify: a body and digests at once")
        shown = presented_of_body(request.body)
        return replace(asked, chain=shown.chain, raw_public_key=shown.raw_public_key)
    return replace(asked, digests=digests_of_texts(digests)) if digests else asked


def query_of(query: str) -> dict[str, str]:
    """The pairs of a query, escapes decoded and nothing of forms: `+` stays what it is. Malformed."""
    said: dict[str, str] = {}
    for pair in query.split("&") if query else ():
        key, equals, value = pair.partition("=")
        try:
            word, text = percent_decoded(key.encode()).decode(), percent_decoded(value.encode()).decode()
        except UnicodeDecodeError:
            raise Malformed("the query is not UTF-8") from None
        if not equals or not word or word in said:
            raise Malformed("the query is not pairs of different words")
        said[word] = text
    return said


# --- answers


def plain_answer(answer: Allowed | Denied, options: HttpOptions) -> HttpResponse:
    """For fronts that may show it to the client: it says nothing but the status. The reason is in a field that the
    front keeps to itself."""
    if isinstance(answer, Allowed):
        try:
            return HttpResponse(status=HTTPStatus.OK, fields=_identity(answer))
        except DnsboundError as error:
            return _unsayable(error)
    status = status_of(answer, options)
    return HttpResponse(status=status, fields=_refusal(answer, status), body=f"{status.phrase}\n".encode())


def json_answer(answer: Allowed | Denied, options: HttpOptions) -> HttpResponse:
    """For scripts: allowed, name, door, grants, reason and valid_until in JSON, beside the same status and fields."""
    if isinstance(answer, Allowed):
        try:
            fields = _identity(answer)
            grants = json.loads(grants_text(answer.grants))
        except DnsboundError as error:
            return _unsayable(error)
        told = {
            "allowed": True,
            "name": answer.name.canonical,
            "door": answer.peer.door,
            "grants": grants,
            "reason": "",
            "valid_until": iso(answer.valid_until),
        }
        return HttpResponse(status=HTTPStatus.OK, fields=(*fields, _JSON), body=_json(told))
    status = status_of(answer, options)
    told = {"allowed": False, "name": "", "door": "", "grants": {}, "reason": answer.reason, "valid_until": ""}
    return HttpResponse(status=status, fields=(*_refusal(answer, status), _JSON), body=_json(told))


_JSON: Final = (b"Content-Type", b"application/json")


def _json(told: dict[str, object]) -> bytes:
    return json.dumps(told, separators=(",", ":")).encode() + b"\n"


def status_of(answer: Denied, options: HttpOptions) -> HTTPStatus:
    """401 where the client showed nothing, so that a front may ask for it; otherwise 403, or what the front takes for
    a question that stays open."""
    if answer.is_undecided:
        return options.undecided
    return HTTPStatus.UNAUTHORIZED if answer.reason == Reason.NO_CREDENTIAL.value else HTTPStatus.FORBIDDEN


def _refusal(answer: Denied, status: HTTPStatus) -> Fields:
    reason = (REASON.encode("ascii"), answer.reason.encode("ascii"))
    return (reason, _CHALLENGE) if status is HTTPStatus.UNAUTHORIZED else (reason,)


def _identity(answer: Allowed) -> Fields:
    peer = answer.peer
    return tuple(identity_headers(name=peer.name, door=peer.door, grants=peer.grants, valid_until=peer.valid_until))


def _unsayable(error: DnsboundError) -> HttpResponse:
    """Somebody who may come in, with grants that no field can hold: whoever reads less than all of them would grant
    something else."""
    if not isinstance(error, LimitExceeded | Misuse):
        raise error
    body = f"{HTTPStatus.INTERNAL_SERVER_ERROR.phrase}\n".encode()
    return HttpResponse(status=HTTPStatus.INTERNAL_SERVER_ERROR, body=body)
