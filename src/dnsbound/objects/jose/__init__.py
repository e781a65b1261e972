"""JOSE: what a name signs as JWS and JWT, what is encrypted to it as JWE, and its key as JWK.

    token = jose.sign(b"...", credential, typ="example")
    verified = await verifier.verify(jose.parse(token, typ="example"))     # a dnsbound.ObjectVerifier
    verified.name, verified.payload

`parse` and its likes say what a token claims, and nothing of that may be used before it was verified.
"""

from dnsbound.objects.encryption import Opened, Recipient
from dnsbound.objects.jose.header import JoseHeader
from dnsbound.objects.jose.jwe import decrypt, encrypt
from dnsbound.objects.jose.jwk import jwk_of, spki_of_jwk, thumbprint, thumbprint_uri
from dnsbound.objects.jose.jws import ANY_TYP, parse, sign
from dnsbound.objects.jose.jws_json import parse_json, sign_flattened, sign_general
from dnsbound.objects.jose.jwt import JwtClaims, parse_jwt, sign_jwt
from dnsbound.objects.jose.sealed import open_sealed, seal

__all__ = [
    "ANY_TYP",
    "JoseHeader",
    "JwtClaims",
    "Opened",
    "Recipient",
    "decrypt",
    "encrypt",
    "jwk_of",
    "open_sealed",
    "parse",
    "parse_json",
    "parse_jwt",
    "seal",
    "sign",
    "sign_flattened",
    "sign_general",
    "sign_jwt",
    "spki_of_jwk",
    "thumbprint",
    "thumbprint_uri",
]
