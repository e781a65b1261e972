"""The profile: what is signed of a request and of its response, and what a verifier insists on.

    request     @method @target-uri content-digest, and content-type, content-encoding, signature-key and the fields
                that both ends have agreed on, where they are there; created, expires, nonce, keyid, alg, tag
    response    @status content-digest, and of its request the signature ("signature";req), which binds the rest of it;
                content-type and the others as above; created, expires, keyid, alg, tag

`keyid` is the signer's DNS name. Every message has a Content-Digest, also without content, so that a missing one is
always a fault. Whether the content is the digest's is for `check_content`, once the content is there; whether a nonce
was there before is for the receiver's memory. Signatures with other tags are other people's, and are left alone.
Sections: RFC 9421 sections 2.4, 3.1, 3.2 and 7; RFC 9530.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias, TypeVar

from dnsbound.credential.credential import Credential
from dnsbound.credential.keys import PublicKey
from dnsbound.credential.presented import Presented
from dnsbound.credential.signature import BadSignature
from dnsbound.errors import Malformed, Misuse, Reason, Refused
from dnsbound.http_limits import HTTP_CLOCK_SKEW, HTTP_SIGNATURE_SECONDS
from dnsbound.objects.http_signatures import algorithms, content_digest
from dnsbound.objects.http_signatures.key_field import FIELD as SIGNATURE_KEY
from dnsbound.objects.http_signatures.key_field import key_field, presented_in
from dnsbound.objects.http_signatures.message import HttpRequest, HttpResponse, fields_of, lines
from dnsbound.objects.http_signatures.signature_fields import (
    SIGNATURE,
    SIGNATURE_INPUT,
    TAG,
    ReceivedSignature,
    SignatureParameters,
    fields_of_signature,
)
from dnsbound.objects.http_signatures.signing_input import Component, field_value, signature_base
from dnsbound.objects.http_signatures.structured import text_of_dictionary
from dnsbound.objects.signed import SignedObject
from dnsbound.times import Moment

FORM: Final = "HTTP signature"
LABEL: Final = "dnsbound"
"""Of the signatures that are made here; any other is read."""
_OF_REQUEST: Final = (Component("@method"), Component("@target-uri"), Component(content_digest.FIELD))
_OF_RESPONSE: Final = (Component("@status"), Component(content_digest.FIELD))
_WHERE_THERE: Final = ("content-type", "content-encoding", SIGNATURE_KEY)
"""Fields that are covered whenever a message has them: they say how its content is read, or whose key signed."""
_OURS: Final = frozenset({SIGNATURE, SIGNATURE_INPUT, SIGNATURE_KEY})

_Message = TypeVar("_Message", bound=HttpRequest | HttpResponse)
SignedFields: TypeAlias = tuple[tuple[str, str], ...]
"""Fields to be added to a message, by their names as they are usually written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageSignature:
    """What a signature said, beside its signer; `SignedObject.content`."""

    label: str
    parameters: SignatureParameters
    covered: tuple[Component, ...]
    content_digest: str
    """The signed digest: the content is to be checked against it (`check_content`)."""

    @property
    def nonce(self) -> str:
        """Of a request. Misuse for a response, which has none."""
        if self.parameters.nonce is None:
            raise Misuse("the signature of a response has no nonce")
        return self.parameters.nonce

    @property
    def remembered_until(self) -> Moment:
        """How long a nonce can come again: no clock that is taken shows a later time."""
        return float(self.parameters.expires + HTTP_CLOCK_SKEW.default)

    def check_content(self, content: bytes) -> None:
        """Refused(BAD_SIGNATURE) unless this is the content that was signed."""
        try:
            content_digest.check_content(self.content_digest, content)
        except (BadSignature, Malformed) as error:
            raise Refused(Reason.BAD_SIGNATURE, str(error)) from error


def sign_request(
    request: HttpRequest,
    content: bytes,
    credential: Credential,
    *,
    now: Moment,
    nonce: str,
    seconds: int | None = None,
    cover: Iterable[str] = (),
    key_in_band: bool = True,
) -> SignedFields:
    """The fields that sign a request. content: as it is sent, after any encoding.

    nonce: fresh for every request, and not to be guessed. seconds: until it expires. cover: further fields that are
    covered where the request has them. key_in_band: whether the key, or the certificates, are sent along, which the
    receiver needs unless the signer's records hold them in full, or its TLS connection shows them.
    Misuse for a credential without a name or with a key that HTTP has no algorithm for, and a request signed before.
    """
    parameters = _parameters(credential, now=now, seconds=seconds, nonce=nonce)
    return _sign(request, content, credential, parameters, _OF_REQUEST, cover=cover, key_in_band=key_in_band)


def sign_response(
    response: HttpResponse,
    content: bytes,
    credential: Credential,
    *,
    request_label: str,
    now: Moment,
    seconds: int | None = None,
    cover: Iterable[str] = (),
    key_in_band: bool = True,
) -> SignedFields:
    """The fields that sign a response. request_label: of the request's signature (`MessageSignature.label`). Misuse as
    `sign_request`."""
    parameters = _parameters(credential, now=now, seconds=seconds, nonce=None)
    required = (*_OF_RESPONSE, Component(SIGNATURE, of_request=True, member=request_label))
    return _sign(response, content, credential, parameters, required, cover=cover, key_in_band=key_in_band)


def parse_request(
    request: HttpRequest, *, now: Moment, cover: Iterable[str] = (), presented: Presented | None = None
) -> SignedObject:
    """The signed request, of which nothing is trusted yet. cover: as in `sign_request`; a field of these that is there
    and not covered is a fault. presented: what the connection has shown of the client, which counts where the request
    brings no key itself.

    Refused: NO_CREDENTIAL without a signature that is meant for us, STALE outside its time. Malformed, LimitExceeded.
    """
    received = _find(request, now=now)
    if received.said.nonce is None:
        raise Malformed("the signature has no nonce")
    return _parsed(request, received, _OF_REQUEST, cover=cover, presented=presented)


def parse_response(
    response: HttpResponse, *, request_label: str = LABEL, now: Moment, cover: Iterable[str] = ()
) -> SignedObject:
    """As `parse_request`, of a response; `response.request` is the request with the signature that was sent."""
    received = _find(response, now=now)
    required = (*_OF_RESPONSE, Component(SIGNATURE, of_request=True, member=request_label))
    return _parsed(response, received, required, cover=cover, presented=None)


def accept_signature() -> str:
    """The value of Accept-Signature: what a client is to sign, and how (RFC 9421 section 5.1)."""
    items = [component.item for component in _OF_REQUEST]
    return text_of_dictionary({LABEL: (items, {"created": True, "expires": True, "tag": TAG})})


def _sign(
    message: _Message,
    content: bytes,
    credential: Credential,
    said: SignatureParameters,
    required: Sequence[Component],
    *,
    cover: Iterable[str],
    key_in_band: bool,
) -> SignedFields:
    for field in _OURS:
        if lines(message.fields, field):
            raise Misuse(f"the message has {field} already")
    added: list[tuple[str, str]] = []
    digests = lines(message.fields, content_digest.FIELD)
    if digests:
        content_digest.check_content(", ".join(digests), content)
    else:
        added.append(("Content-Digest", content_digest.content_digest(content)))
    if key_in_band:
        added.append(("Signature-Key", key_field(LABEL, credential)))
    whole = with_fields(message, added)
    components = (*required, *_where_there(whole, required, cover))
    base = signature_base(whole, components, [component.item for component in components], said.parameters)
    signature = algorithms.sign(credential.signer, base)
    return (*added, *fields_of_signature(LABEL, components, said.parameters, signature))


def _parameters(credential: Credential, *, now: Moment, seconds: int | None, nonce: str | None) -> SignatureParameters:
    if credential.name is None:
        raise Misuse("whoever signs has a name: this credential has none")
    created = int(now)
    return SignatureParameters(
        name=credential.name,
        created=created,
        expires=created + HTTP_SIGNATURE_SECONDS.checked(seconds),
        alg=algorithms.algorithm_of_signer(credential.signer),
        nonce=nonce,
    )


def _find(message: HttpRequest | HttpResponse, *, now: Moment) -> ReceivedSignature:
    received = ReceivedSignature.find(message)
    if received is None:
        raise Refused(Reason.NO_CREDENTIAL, f"the message has no signature with the tag {TAG}")
    said, skew = received.said, HTTP_CLOCK_SKEW.default
    if said.expires - said.created > HTTP_SIGNATURE_SECONDS.default:
        raise Refused(Reason.STALE, f"the signature is for {said.expires - said.created} s")
    if now > said.expires + skew:
        raise Refused(Reason.STALE, f"the signature expired {now - said.expires:.0f} s ago")
    if now < said.created - skew:
        raise Refused(Reason.STALE, f"the signature was made {said.created - now:.0f} s from now")
    return received


def _parsed(
    message: HttpRequest | HttpResponse,
    received: ReceivedSignature,
    required: Sequence[Component],
    *,
    cover: Iterable[str],
    presented: Presented | None,
) -> SignedObject:
    wanted = (*required, *_where_there(message, required, cover))
    missing = [component.name for component in wanted if component not in received.components]
    if missing:
        raise Malformed(f"the signature does not cover {', '.join(missing)}")
    base, said, signature = received.base(message), received.said, received.signature

    def check(key: PublicKey) -> None:
        algorithms.verify(key, said.alg, signature, base)

    return SignedObject(
        name=said.name,
        form=FORM,
        algorithm=said.alg or "of the key",
        presented=presented_in(message, received.label) or presented or Presented(),
        check=check,
        payload=None,
        content=MessageSignature(
            label=received.label,
            parameters=said,
            covered=received.components,
            content_digest=field_value(message, content_digest.FIELD),
        ),
    )


def _where_there(
    message: HttpRequest | HttpResponse, required: Sequence[Component], cover: Iterable[str]
) -> list[Component]:
    """Further fields that are covered, of those that the message has."""
    there = {name for name, _ in message.fields}
    wanted = dict.fromkeys((*_WHERE_THERE, *(name.lower() for name in cover)))
    return [Component(name) for name in wanted if name in there and Component(name) not in required]


def with_fields(message: _Message, added: Iterable[tuple[str, str]]) -> _Message:
    """The message with fields added behind those it has."""
    return replace(message, fields=(*message.fields, *fields_of(added)))
