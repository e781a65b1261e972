"""Faces for MQTT brokers that ask by HTTP: RabbitMQ's authentication backend, and EMQX's authenticator and authorizer.

RabbitMQ tells a user name and no key. So its questions are about a name that somebody else has verified before RabbitMQ
heard of it, the gate in front of it, which the front's settings must say (`verified_by`), and which shows by a password
that it is the one that logs in; the name is then looked for on the access list and judged by its grants alone. Its
trust store, which verifies clients itself, is another matter: `danger_trust_store = ...` names a directory that the
materialiser writes, and serves what is in it; the danger is told in docs/howto/materialiser.md. EMQX can hand over the
certificate, so its logins are claims like any other.

What this is not: how those questions are written (`protocols.rabbitmq_http`, `protocols.emqx_http`).
"""

import logging
import ssl
import time
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from hmac import compare_digest
from http import HTTPStatus
from typing import Final

from dnsbound.credential.credential import Credential
from dnsbound.edge.authz_http import HttpFace
from dnsbound.edge.authz_routes import HttpOptions, HttpRequest, HttpResponse
from dnsbound.edge.broker_password import broker_password
from dnsbound.edge.enrolled_certificates import EnrolledCertificates
from dnsbound.edge.front import Allowed, Asked, Denied, Front, FrontDoor
from dnsbound.edge.toml_tables import TomlTable
from dnsbound.errors import DnsboundError, Reason, Refused
from dnsbound.names import ClientName
from dnsbound.protocols.emqx_http import ALLOWED, DENIED, EmqxLogin, EmqxTopic, admission
from dnsbound.protocols.mqtt_grants import is_own_client_id
from dnsbound.protocols.rabbitmq_http import ALLOW, DENY, RabbitAsked, RabbitQuestion, listing, permits

_TEXT: Final = (b"Content-Type", b"text/plain")
_JSON: Final = (b"Content-Type", b"application/json")
_PEM: Final = (b"Content-Type", b"application/x-pem-file")
_QUESTIONS: Final = frozenset(question.value for question in RabbitQuestion)
_LISTING: Final = "certificates"

_log: Final = logging.getLogger("dnsbound.authz")


@dataclass(frozen=True, slots=True, kw_only=True)
class RabbitOptions(HttpOptions):
    """vhost, exchange: of RabbitMQ's MQTT plugin. verified_by: who verifies names in front of RabbitMQ. password: what
    that one says at a login, and nobody else knows; None with a trust store. trust_store: the certificates that
    RabbitMQ verifies clients by."""

    vhost: str = "/"
    exchange: str = "amq.topic"
    verified_by: str = ""
    password: bytes | None = field(default=None, repr=False)
    trust_store: EnrolledCertificates | None = None


class RabbitRoute:
    """`/rabbitmq/user`, `vhost`, `resource` and `topic`, and `/rabbitmq/certificates` for the trust store."""

    path: Final = "/rabbitmq"

    def answer(self, request: HttpRequest, door: FrontDoor) -> HttpResponse | Awaitable[HttpResponse]:
        word, _, file = request.path.removeprefix(f"{self.path}/").partition("/")
        options = request.options if isinstance(request.options, RabbitOptions) else RabbitOptions()
        if word == _LISTING and options.trust_store is not None:
            return _listed(options.trust_store, file)
        if file or word not in _QUESTIONS:
            return HttpResponse(status=HTTPStatus.NOT_FOUND)
        octets = request.body if request.method == "POST" else request.query.encode()
        try:
            asked = RabbitAsked.from_form(RabbitQuestion(word), octets)
            if asked.kind is RabbitQuestion.USER and options.trust_store is not None:
                return self._login(asked, options.trust_store, door)
            if asked.kind is RabbitQuestion.USER and not _is_from(options, asked):
                raise Refused(Reason.NO_POSSESSION, f"{asked.username} did not come by {options.verified_by}")
            grants = door.authenticator.permit(asked.username).grants
            allowed = permits(asked, grants, vhost=options.vhost, exchange=options.exchange)
        except DnsboundError as error:
            _report(door, error, request)
            allowed = False
        return _word(allowed=allowed)

    async def _login(self, asked: RabbitAsked, trust_store: EnrolledCertificates, door: FrontDoor) -> HttpResponse:
        """One of the certificates that RabbitMQ trusts for this name was shown: any that still holds will do."""
        for certificate in trust_store.of(asked.username):
            question = Asked(
                chain=(certificate,), name=asked.username.text, source=asked.source, protocol="RabbitMQ trust store"
            )
            answer = await door.ask(question)
            if isinstance(answer, Allowed) and answer.name == asked.username:
                return _word(allowed=True)
        return _word(allowed=False)


def _is_from(options: RabbitOptions, asked: RabbitAsked) -> bool:
    """Whether the one who verifies names logs in: whoever else reaches RabbitMQ does not know the password."""
    return options.password is not None and compare_digest(options.password, asked.password.encode())


def _report(door: FrontDoor, error: DnsboundError, request: HttpRequest) -> None:
    """A refusal by the access list is a decision; anything else is a question that was none."""
    if isinstance(error, Refused):
        door.authenticator.turned_away(error, source=door.front.label)
    else:
        door.malformed(error, source=request.text(request.options.source_field))


def _word(*, allowed: bool) -> HttpResponse:
    return HttpResponse(status=HTTPStatus.OK, fields=(_TEXT,), body=ALLOW if allowed else DENY)


def _listed(trust_store: EnrolledCertificates, file: str) -> HttpResponse:
    """The list, or one certificate of it. There is no Last-Modified: its whole seconds would hide the second of two
    changes, and RabbitMQ would go on trusting what was removed."""
    if not file:
        return HttpResponse(status=HTTPStatus.OK, fields=(_JSON,), body=listing(_trusted(trust_store)))
    for certificate in _trusted(trust_store):
        if file == f"{sha256(certificate).hexdigest()}.pem":
            body = ssl.DER_cert_to_PEM_cert(certificate).encode("ascii")
            return HttpResponse(status=HTTPStatus.OK, fields=(_PEM,), body=body)
    return HttpResponse(status=HTTPStatus.NOT_FOUND)


def _trusted(trust_store: EnrolledCertificates) -> Iterator[bytes]:
    yield _nobody()
    yield from trust_store.all()


@cache
def _nobody() -> bytes:
    """A certificate whose key is gone already: RabbitMQ passes over a list without any, and would keep the last one."""
    return Credential.generate(ClientName.parse("nobody.invalid"), now=time.time()).chain[0]


class RabbitFace(HttpFace):
    """A `Face`."""

    def __init__(self) -> None:
        super().__init__((RabbitRoute(),))

    def options(self, table: TomlTable, front: Front) -> RabbitOptions:
        http = super().options(table, front)
        verified_by = table.text("verified_by") if "verified_by" in table else ""
        trust_store = table.path("danger_trust_store") if "danger_trust_store" in table else None
        if bool(verified_by) == (trust_store is not None):
            raise table.wrong(
                'RabbitMQ tells no key: say who verifies names before it, as in verified_by = "gate"'
                " (or danger_trust_store, where RabbitMQ verifies certificates itself)"
            )
        password = broker_password(table) if verified_by else None
        if verified_by and password is None:
            raise table.wrong(f"password_file is missing: what {verified_by} says at RabbitMQ, and nobody else knows")
        return RabbitOptions(
            source_field=http.source_field,
            vhost=table.text("vhost", "/"),
            exchange=table.text("exchange", "amq.topic"),
            verified_by=verified_by,
            password=password,
            trust_store=None if trust_store is None else EnrolledCertificates(trust_store),
        )


# --- EMQX


class EmqxRoute:
    """`/emqx/login` and `/emqx/topic`."""

    path: Final = "/emqx"

    def answer(self, request: HttpRequest, door: FrontDoor) -> HttpResponse | Awaitable[HttpResponse]:
        word = request.path.removeprefix(f"{self.path}/")
        try:
            if word == "login":
                return self._login(EmqxLogin.from_wire(request.body), door)
            if word == "topic":
                asked = EmqxTopic.from_wire(request.body)
                granted = asked.is_granted(door.authenticator.permit(asked.username).grants)
                return _emqx(ALLOWED if granted else DENIED)
        except DnsboundError as error:
            _report(door, error, request)
        # Also where there is no such path: EMQX goes on to its next authenticator after any other status.
        return _emqx(DENIED)

    async def _login(self, login: EmqxLogin, door: FrontDoor) -> HttpResponse:
        presented = login.presented
        answer: Allowed | Denied = await door.ask(
            Asked(
                chain=presented.chain,
                raw_public_key=presented.raw_public_key,
                name=login.username or None,
                source=login.source,
                protocol="EMQX",
            )
        )
        if not isinstance(answer, Allowed):
            return _emqx(DENIED)
        if login.username.lower() != answer.name.canonical:
            return _emqx(DENIED)  # EMQX would go on under the name that was stated.
        if not is_own_client_id(login.client_id, answer.name):
            # Whoever connects with the identifier of another takes over its session (MQTT 5.0 section 3.1.4).
            _log.info(
                "front %s: %s connects with a client identifier that is not its own", door.front.label, answer.name
            )
            return _emqx(DENIED)
        try:
            return _emqx(admission(answer.name, login.client_id, answer.grants, answer.valid_until))
        except DnsboundError as error:
            door.malformed(error, source=login.source)
            return _emqx(DENIED)


def _emqx(body: bytes) -> HttpResponse:
    return HttpResponse(status=HTTPStatus.OK, fields=(_JSON,), body=body)


class EmqxFace(HttpFace):
    """A `Face`."""

    def __init__(self) -> None:
        super().__init__((EmqxRoute(),))
