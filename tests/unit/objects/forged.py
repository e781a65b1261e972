"""Tokens of any header, rightly signed: what a hostile or careless signer sends."""

import json
from collections.abc import Mapping
from typing import Any

from dnsbound.credential.credential import Credential
from dnsbound.objects.algorithms import ALGORITHMS, choose_algorithm
from dnsbound.objects.algorithms import sign as sign_raw
from dnsbound.objects.jose import base64url, jwk_of


def text(value: Mapping[str, Any] | bytes) -> str:
    """A header, or claims, in base64url: octets as they are."""
    octets = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64url.encode(octets).decode()


def header(credential: Credential, **members: Any) -> dict[str, Any]:
    """A good protected header, with these members instead; None leaves one out."""
    good = {
        "alg": choose_algorithm(credential.signer).jose,
        "kid": credential.name.text if credential.name else "",
        "jwk": jwk_of(credential.spki),
    }
    return {name: value for name, value in (good | members).items() if value is not None}


def token(credential: Credential, protected: Mapping[str, Any] | bytes, payload: bytes = b"payload") -> str:
    """Signed by the key with the algorithm that the header says, as far as it is the key's, whatever else it says."""
    message = f"{text(protected)}.{base64url.encode(payload).decode()}"
    return f"{message}.{signature(credential, protected, message.encode())}"


def signature(credential: Credential, protected: Mapping[str, Any] | bytes, message: bytes) -> str:
    said = protected.get("alg") if isinstance(protected, Mapping) else None
    algorithm = ALGORITHMS.get(said) if isinstance(said, str) else None
    own = choose_algorithm(credential.signer)
    chosen = algorithm if algorithm is not None and algorithm.kind is own.kind else own
    return base64url.encode(sign_raw(credential.signer, chosen, message)).decode()
