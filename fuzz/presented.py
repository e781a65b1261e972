"""Where the verify service reads what fronts hand on of strangers' certificates."""

from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from dnsbound.credential.credential import Credential
from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.edge.authenticator import Authenticator
from dnsbound.edge.authz_routes import AuthRoute, HttpOptions, HttpRequest, HttpResponse, VerifyRoute, query_of
from dnsbound.edge.front import Front, FrontDoor
from dnsbound.edge.no_lookups import NoLookups
from dnsbound.names import ClientName
from dnsbound.protocols.identity_headers import byte_sequence
from dnsbound.protocols.presented_by_fronts import (
    byte_sequences,
    certificates_of_field,
    certificates_of_forwarded,
    digest_of_text,
    presented_of_body,
)
from dnsbound.verify.access import AccessList
from dnsbound.verify.claim import NameSource
from fuzz.target import Target, text

NOW = 1_790_000_000.0
NAME = ClientName.parse("car54._device.cars.example")
DOOR = "api.cars.example"


@cache
def chain() -> tuple[bytes, ...]:
    return CertificateAuthority.create("fuzz", now=NOW).issue(NAME, now=NOW).chain


@cache
def leaf() -> bytes:
    return Credential.generate(NAME, now=NOW).chain[0]


def pem(*certificates: bytes) -> bytes:
    return b"".join(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in certificates)


def escaped(*certificates: bytes) -> bytes:
    return pem(*certificates).replace(b"\n", b"%0A").replace(b" ", b"%20").replace(b"+", b"%2B")


def forwarded() -> bytes:
    return b'Hash=;Cert="' + escaped(leaf()) + b'";Subject="CN=\\"a\\"";URI=;DNS=' + NAME.to_wire()


@cache
def door() -> FrontDoor:
    access = AccessList.allowing(DOOR, [NAME.text])
    authenticator = Authenticator(access, NoLookups(), door=DOOR, clock=lambda: NOW, danger_any_clock=True)
    front = Front(label="fuzz", door=DOOR, claim_from=(NameSource.SAN, NameSource.STATED))
    return FrontDoor(front, authenticator)


def judged(request: HttpRequest) -> int:
    """A question in every way it can be asked: whatever it says, without evidence there is no yes."""
    statuses = []
    for route in (AuthRoute(), VerifyRoute()):
        answer = route.answer(request, door())
        if not isinstance(answer, HttpResponse):
            answer.close()  # type: ignore[attr-defined] # a coroutine: the DNS would have to be asked
            continue
        assert answer.status != 200
        statuses.append(answer.status)
    return len(statuses)


def asked_by_field(octets: bytes) -> int:
    fields = ((b"x-client-cert", octets), (b"x-real-ip", octets[:40]), (b"x-client-name", octets[-40:]))
    return judged(HttpRequest(method="GET", path="/auth", fields=fields))


def asked_by_envoy(octets: bytes) -> int:
    options = HttpOptions(certificate_field="X-Forwarded-Client-Cert")
    fields = ((b"x-forwarded-client-cert", octets),)
    return judged(HttpRequest(method="GET", path="/auth", fields=fields, options=options))


def asked_by_body(octets: bytes) -> int:
    return judged(HttpRequest(method="POST", path="/verify", body=octets))


PRESENTED_TARGETS: dict[str, Target] = {
    "front-field": Target(
        certificates_of_field, lambda: [escaped(*chain()), pem(leaf()), byte_sequence(leaf()).encode(), b"(null)"]
    ),
    "front-byte-sequences": Target(byte_sequences, lambda: [", ".join(map(byte_sequence, chain())).encode()]),
    "front-forwarded": Target(certificates_of_forwarded, lambda: [forwarded()]),
    "front-body": Target(presented_of_body, lambda: [pem(*chain()), b"".join(chain()), escaped(leaf())]),
    "front-digest": Target(lambda octets: digest_of_text(text(octets)), lambda: [b"00:11", b"AABB"]),
    "front-query": Target(lambda octets: query_of(text(octets)), lambda: [b"name=a&client=192.0.2.1", b"door=%41"]),
    "front-asked-by-field": Target(asked_by_field, lambda: [escaped(*chain()), byte_sequence(leaf()).encode()]),
    "front-asked-by-envoy": Target(asked_by_envoy, lambda: [forwarded()]),
    "front-asked-by-body": Target(asked_by_body, lambda: [pem(*chain()), leaf()]),
}
