"""A signer, what its name's records say, and requests it signs."""

from collections.abc import Iterable
from typing import Any

from dnsbound import AccessList
from dnsbound.credential.credential import Credential
from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.edge.nonces import NonceMemory, NoncesHere
from dnsbound.edge.object_verifier import ObjectVerifier
from dnsbound.edge.signed_requests import SignedRequests
from dnsbound.iana import MatchingType, Selector, Usage
from dnsbound.objects.http_signatures import HttpRequest, sign_request
from dnsbound.objects.http_signatures.profile import with_fields
from dnsbound.records.tlsa import TLSA
from unit.claims import DOOR, NAME, NOW, Records, answer

ORIGIN = "https://api.example"
URL = f"{ORIGIN}/reports?day=1"
CONTENT = b"42 km"
NONCE = "abcdefghijklmnopqrstuvwx"
RAW = Credential.generate(NAME, now=NOW, algorithm=KeyAlgorithm.ED25519, kind="raw")
X509 = Credential.generate(NAME, now=NOW)
OTHER = Credential.generate(NAME, now=NOW)
FIELDS = (("Content-Type", "text/plain"), ("X-Tenant", "cars"))


def tlsa(
    credential: Credential,
    usage: Usage = Usage.DANE_EE,
    selector: Selector = Selector.SPKI,
    matching_type: MatchingType = MatchingType.SHA2_256,
) -> TLSA:
    return credential.tlsa(usage, selector, matching_type)


def request(method: str = "POST", url: str = URL, fields: Iterable[tuple[str, str]] = FIELDS) -> HttpRequest:
    return HttpRequest.of(method, url, fields)


def signed(
    credential: Credential = RAW,
    *,
    message: HttpRequest | None = None,
    content: bytes = CONTENT,
    now: float = NOW,
    nonce: str = NONCE,
    **options: Any,
) -> HttpRequest:
    """A request with its signature on it."""
    message = message or request()
    return with_fields(message, sign_request(message, content, credential, now=now, nonce=nonce, **options))


def without(message: HttpRequest, *names: str) -> HttpRequest:
    kept = [(name, value) for name, value in message.fields if name not in names]
    return HttpRequest.of(message.method, message.target_uri, kept)


def altered(message: HttpRequest, name: str, *values: str) -> HttpRequest:
    """The message with these lines of a field in place of those it has."""
    return with_fields(without(message, name), [(name, value) for value in values])


def records(*published: TLSA, **facts: Any) -> Records:
    return Records(answer(NAME, *published, **({"validated_at": NOW} | facts)))


def door(known: Records, *, nonces: NonceMemory | None = None, now: float = NOW, **options: Any) -> SignedRequests:
    verifier = ObjectVerifier(
        AccessList.allowing(DOOR, [NAME]), known, door=DOOR, clock=lambda: now, on_decision=options.pop("seen", None)
    )
    return SignedRequests(verifier, origin=ORIGIN, nonces=NoncesHere() if nonces is None else nonces, **options)


def verify(requests: SignedRequests, message: HttpRequest, content: bytes = CONTENT, **options: Any) -> Any:
    return requests.verify_blocking(message, lambda: content, **options)
