"""Exported authenticators and their requests: seeds from keys that are the same every time.

A mutated authenticator almost never has the right MAC, so targets compute it anew, and one the signature too: the
peer of an established connection can do that, and reaches everything behind them.
"""

import hashlib
from functools import cache

from dnsbound.adapters import http_authentication
from dnsbound.adapters.http_authentication import Answer, Reference
from dnsbound.credential.credential import Credential
from dnsbound.iana import DANE_CLIENTID, TLS_1_3, HandshakeType
from dnsbound.names import ClientName
from dnsbound.tls import exported_authenticator
from dnsbound.tls.authenticator_request import AuthenticatorRequest, Role
from dnsbound.tls.exported_authenticator import AuthenticatorKeys
from dnsbound.tls.handshake_claim import ClaimRules
from dnsbound.tls.handshake_messages import Certificate, CertificateRequest, CertificateVerify, split
from dnsbound.tls.late_claim import authenticator_claim
from dnsbound.verify.claim import NameSource
from fuzz.target import Target, text

NAME = ClientName.parse("car54._device.cars.example")
RULES = ClaimRules(door="api", name_sources=tuple(NameSource))
FINISHED_OCTETS = 36
"""Of a Finished message with SHA-256."""


def exporter(label: bytes, length: int, context: bytes | None, /) -> bytes:
    return hashlib.shake_256(label + b"|" + (context or b"")).digest(length)


@cache
def keys() -> AuthenticatorKeys:
    return AuthenticatorKeys.export(
        exporter, Role.CLIENT, version=TLS_1_3, digest="sha256", extended_master_secret=True
    )


@cache
def request() -> AuthenticatorRequest:
    return AuthenticatorRequest.build(Role.SERVER, b"c" * 32, clientid=DANE_CLIENTID)


@cache
def credential() -> Credential:
    return Credential.generate(NAME, now=1_790_000_000.0)


@cache
def answers() -> list[bytes]:
    """With a certificate and its name; and the empty one."""
    own = credential()
    made = exported_authenticator.build(keys(), request(), own.chain, own.signer, client_name=own.name)
    return [made, exported_authenticator.build_empty(keys(), request())]


def validate(octets: bytes) -> object:
    validated = exported_authenticator.validate(keys(), request(), octets)
    return authenticator_claim(validated, RULES)


def validate_resealed(octets: bytes) -> object:
    return validate(octets + keys().finished(request().octets, *_messages(octets)).to_wire())


def validate_resigned(certificate: bytes) -> object:
    """A Certificate message of any contents, signed by the client's own key."""
    signer = credential().signer
    signature = signer.sign(keys().content_to_sign(request().octets, certificate), signer.schemes[0])
    return validate_resealed(certificate + CertificateVerify(scheme=signer.schemes[0], signature=signature).to_wire())


def _messages(octets: bytes) -> list[bytes]:
    """The messages themselves, as their MAC covers them."""
    return [message for _, message in split(octets, most=3)]


def parts(kind: HandshakeType) -> list[bytes]:
    return [octets for number, octets in split(answers()[0], most=3) if number == kind]


AUTHENTICATOR_TARGETS: dict[str, Target] = {
    "authenticator": Target(validate, lambda: answers()[:1]),
    "authenticator-resealed": Target(validate_resealed, lambda: [answers()[0][:-FINISHED_OCTETS]]),
    "authenticator-resigned": Target(validate_resigned, lambda: parts(HandshakeType.CERTIFICATE)),
    "authenticator-challenge": Target(
        lambda octets: http_authentication.challenge_in([text(octets)]),
        lambda: [http_authentication.challenge_text(request().octets).encode()],
    ),
    "authenticator-credentials": Target(
        lambda octets: http_authentication.credentials_in([text(octets)]),
        lambda: [made.to_text().encode() for made in (Answer(answers()[0]), Reference(b"c" * 32))],
    ),
    "authenticator-context": Target(exported_authenticator.context_of, answers),
    "authenticator-request": Target(
        lambda octets: AuthenticatorRequest.parse(octets, Role.SERVER, clientid=DANE_CLIENTID),
        lambda: [request().octets],
    ),
    "certificate-request": Target(CertificateRequest.from_wire, lambda: [request().octets]),
    "certificate-message": Target(Certificate.from_wire, lambda: parts(HandshakeType.CERTIFICATE)),
    "certificate-verify": Target(CertificateVerify.from_wire, lambda: parts(HandshakeType.CERTIFICATE_VERIFY)),
}
