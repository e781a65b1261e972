"""Where signed objects of strangers are read: JWS in its forms, JWT, JWK, and the URIs that name signers."""

import contextlib
import json
from functools import cache

from dnsbound.credential.credential import Credential
from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.credential.signature import BadSignature, verifying_key
from dnsbound.objects import jose
from dnsbound.objects.jose import base64url
from dnsbound.objects.jose.header import read_header
from dnsbound.objects.jose.strict_json import read_object
from dnsbound.objects.signed import SignedObject
from dnsbound.objects.signer_name import name_of_uri, signer_name, signer_uri
from fuzz.target import Target, text

NAME = "car54._device.cars.example"
NOW = 1_790_000_000.0


@cache
def credentials() -> tuple[Credential, ...]:
    return tuple(
        Credential.generate(NAME, now=NOW, algorithm=kind)
        for kind in (KeyAlgorithm.P256, KeyAlgorithm.ED25519, KeyAlgorithm.RSA2048, KeyAlgorithm.MLDSA44)
    )


def _checked(signed: SignedObject) -> SignedObject:
    """As the engine does it, by whatever key it brings along."""
    with contextlib.suppress(BadSignature):
        if not signed.presented.is_empty:
            signed.check(verifying_key(signed.presented.spki))
    return signed


def read_token(octets: bytes) -> object:
    return _checked(jose.parse(octets, typ=jose.ANY_TYP))


def read_detached(octets: bytes) -> object:
    return _checked(jose.parse(octets, typ=jose.ANY_TYP, detached=b"payload"))


def read_json_form(octets: bytes) -> object:
    return [_checked(signed) for signed in jose.parse_json(octets, typ=jose.ANY_TYP)]


def read_claims(octets: bytes) -> object:
    """Claims under a good header and signature, so that they are what is read."""
    token = jose.sign(octets, credentials()[1], typ="JWT")
    return jose.parse_jwt(token, now=NOW, audience="gov.example")


def read_protected(octets: bytes) -> object:
    return read_header(base64url.encode(octets))


def read_jwk(octets: bytes) -> object:
    spki = jose.spki_of_jwk(read_object(octets, "JWK"))
    return jose.thumbprint(jose.jwk_of(spki)), verifying_key(spki)


def read_uri(octets: bytes) -> object:
    name = name_of_uri(text(octets))
    if name_of_uri(signer_uri(name)) != name or signer_name(name.text) != name:
        raise AssertionError("a name and its URI are not each other's")
    return name


def _tokens() -> list[bytes]:
    raw = [jose.sign(b"payload", credential.as_raw_key()) for credential in credentials()]
    return [made.encode() for made in (jose.sign(b"payload", credentials()[0], typ="JWT"), *raw)]


def _json_forms() -> list[bytes]:
    return [
        jose.sign_flattened(b"payload", credentials()[0]).encode(),
        jose.sign_general(b"payload", credentials()[:3]).encode(),
    ]


def _claims() -> list[bytes]:
    good = {"iss": NAME, "aud": ["gov.example"], "iat": NOW, "nbf": NOW, "exp": NOW + 60, "jti": "x", "sub": "y"}
    return [json.dumps(good).encode()]


def _headers() -> list[bytes]:
    made = [jose.sign(b"", credential, detached=True) for credential in credentials()[:2]]
    return [base64url.decode(token.partition(".")[0].encode(), "seed") for token in made]


def _jwks() -> list[bytes]:
    return [json.dumps(jose.jwk_of(credential.spki)).encode() for credential in credentials()]


JOSE_TARGETS: dict[str, Target] = {
    "jws": Target(read_token, _tokens),
    "jws-detached": Target(read_detached, lambda: [jose.sign(b"payload", credentials()[1], detached=True).encode()]),
    "jws-json": Target(read_json_form, _json_forms),
    "jwt-claims": Target(read_claims, _claims),
    "jose-header": Target(read_protected, _headers),
    "jwk": Target(read_jwk, _jwks),
    "signer-uri": Target(
        read_uri,
        lambda: [f"dns:{NAME}?type=TLSA".encode(), f"dns:///{NAME}?class=IN;type=52".encode()],
    ),
}
