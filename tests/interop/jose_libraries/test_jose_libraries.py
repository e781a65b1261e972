"""Tokens in both directions between us and the libraries of JOSE that others use: joserfc, jwcrypto, PyJWT (JO-28)."""

import json
from typing import Any

import jwt
import pytest
from joserfc import jws as joserfc_jws
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from jwcrypto.jwk import JWK
from jwcrypto.jws import JWS

from dnsbound.credential.credential import Credential
from dnsbound.credential.keys import KeyAlgorithm, private_key_to_pem
from dnsbound.edge.object_verifier import ObjectVerifier
from dnsbound.iana import MatchingType
from dnsbound.objects import jose
from dnsbound.objects.jose import base64url
from unit.claims import NAME, NOW, Records, answer

ALGORITHMS = {
    "ES256": KeyAlgorithm.P256,
    "EdDSA": KeyAlgorithm.ED25519,
    "Ed25519": KeyAlgorithm.ED25519,
    "RS256": KeyAlgorithm.RSA2048,
    "PS256": KeyAlgorithm.RSA2048,
    "ML-DSA-44": KeyAlgorithm.MLDSA44,
    "ML-DSA-65": KeyAlgorithm.MLDSA65,
    "ML-DSA-87": KeyAlgorithm.MLDSA87,
}
POST_QUANTUM = [name for name in ALGORITHMS if name.startswith("ML-DSA")]
CREDENTIALS = {
    kind: Credential.generate(NAME, now=NOW, algorithm=kind, kind="raw") for kind in set(ALGORITHMS.values())
}
REPORT = b'{"km":12}'
LATER = 4_000_000_000


def credential(algorithm: str) -> Credential:
    return CREDENTIALS[ALGORITHMS[algorithm]]


def private_pem(algorithm: str) -> bytes:
    key = credential(algorithm).private_key
    assert key is not None
    return private_key_to_pem(key)


def verified(token: str, algorithm: str, **options: Any) -> bytes:
    """What a token says that another library made, verified by name; its key is in the DNS."""
    record = credential(algorithm).tlsa(matching_type=MatchingType.FULL)
    verifier = ObjectVerifier.expecting([NAME], Records(answer(NAME, record)), clock=lambda: NOW)
    return verifier.verify_blocking(jose.parse(token, typ=None, algorithms=[algorithm], **options)).payload


def registry(algorithm: str) -> JWSRegistry:
    """Takes headers with keys, and our names for signers."""
    made = JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    made.max_header_length = 4096
    return made


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # what it is called everywhere but in joserfc
@pytest.mark.parametrize("algorithm", [name for name in ALGORITHMS if name not in POST_QUANTUM])
def test_jo_28_joserfc_both_ways(algorithm: str) -> None:
    kind = {KeyAlgorithm.P256: ECKey, KeyAlgorithm.ED25519: OKPKey, KeyAlgorithm.RSA2048: RSAKey}[ALGORITHMS[algorithm]]
    key = kind.import_key(private_pem(algorithm))
    ours = jose.sign(REPORT, credential(algorithm), algorithm=algorithm, x5u=False)
    assert joserfc_jws.deserialize_compact(ours, key, registry=registry(algorithm)).payload == REPORT
    flattened = json.loads(jose.sign_flattened(REPORT, credential(algorithm), algorithm=algorithm, x5u=False))
    assert joserfc_jws.deserialize_json(flattened, key, registry=registry(algorithm)).payload == REPORT
    theirs = joserfc_jws.serialize_compact({"alg": algorithm, "kid": NAME}, REPORT, key, algorithms=[algorithm])
    assert verified(theirs, algorithm) == REPORT
    claims = {"iss": NAME, "exp": LATER, "aud": "gov.example"}
    theirs = joserfc_jwt.encode({"alg": algorithm, "kid": NAME}, claims, key, algorithms=[algorithm])
    assert jose.parse_jwt(theirs, now=NOW, audience="gov.example").content.members["iss"] == NAME


@pytest.mark.parametrize("algorithm", [name for name in ALGORITHMS if name != "Ed25519"])
def test_jo_28_jwcrypto_both_ways(algorithm: str) -> None:
    """Also post-quantum keys (RFC 9964), and payloads that are signed as they are (RFC 7797)."""
    public = JWK(**jose.jwk_of(credential(algorithm).spki))
    made = JWS()
    made.allowed_algs = [algorithm]
    made.deserialize(jose.sign(REPORT, credential(algorithm), algorithm=algorithm), public)
    assert made.payload == REPORT
    detached = JWS()
    detached.allowed_algs = [algorithm]
    detached.deserialize(jose.sign(b"a.b", credential(algorithm), algorithm=algorithm, detached=True))
    detached.verify(public, detached_payload=b"a.b")
    key = _jwcrypto_key(algorithm)
    for protected in ({"alg": algorithm, "kid": NAME}, {"alg": algorithm, "kid": NAME, "b64": False, "crit": ["b64"]}):
        theirs = JWS(REPORT)
        theirs.allowed_algs = [algorithm]
        theirs.add_signature(key, None, json.dumps(protected))
        assert verified(theirs.serialize(compact=True), algorithm) == REPORT


def _jwcrypto_key(algorithm: str) -> JWK:
    if algorithm not in POST_QUANTUM:
        return JWK.from_pem(private_pem(algorithm))
    own: Any = credential(algorithm)
    seed = jose.jwk_of(own.spki) | {"priv": _base64url(own.private_key.private_bytes_raw())}
    return JWK(**seed)


def _base64url(octets: bytes) -> str:
    return base64url.encode(octets).decode()


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256", "PS256"])
def test_jo_28_pyjwt_both_ways(algorithm: str) -> None:
    own: Any = credential(algorithm)
    ours = jose.sign_jwt({"aud": "gov.example", "km": 12}, own, now=NOW, lifetime=10**9, algorithm=algorithm)
    key = jwt.PyJWK(jose.jwk_of(own.spki), algorithm=algorithm).key
    theirs_read = jwt.decode(ours, key, algorithms=[algorithm], audience="gov.example", issuer=NAME)
    assert theirs_read["km"] == 12
    claims = {"iss": NAME, "exp": LATER, "aud": ["gov.example"], "km": 13}
    theirs = jwt.encode(claims, own.private_key, algorithm=algorithm, headers={"kid": NAME})
    record = own.tlsa(matching_type=MatchingType.FULL)
    verifier = ObjectVerifier.expecting([NAME], Records(answer(NAME, record)), clock=lambda: NOW)
    signed = jose.parse_jwt(theirs, now=NOW, audience="gov.example")
    assert verifier.verify_blocking(signed).content.members["km"] == 13


def test_jo_28_several_signatures_by_jwcrypto() -> None:
    second = Credential.generate("truck1._device.trucks.example", now=NOW, kind="raw")
    ours = jose.sign_general(REPORT, [credential("ES256"), second])
    for signer in (credential("ES256"), second):
        made = JWS()
        made.deserialize(ours)
        made.verify(JWK(**jose.jwk_of(signer.spki)))
        assert made.payload == REPORT
    theirs = JWS(REPORT)
    for algorithm in ("ES256", "EdDSA"):
        theirs.add_signature(JWK.from_pem(private_pem(algorithm)), None, json.dumps({"alg": algorithm, "kid": NAME}))
    assert [signed.algorithm for signed in jose.parse_json(theirs.serialize(), typ=None)] == ["ES256", "EdDSA"]
