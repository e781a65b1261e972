"""JOSE as the documents have it: RFC 7515 appendix A, RFC 7520 section 4, RFC 8037 appendix A, RFC 9964, RFC 7638.

Their tokens name no signer by a DNS name, so `parse` takes none of them: their keys, signatures and thumbprints are
what is compared, and what must be refused.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from dnsbound.credential.signature import BadSignature, verifying_key
from dnsbound.errors import Malformed
from dnsbound.objects import jose
from dnsbound.objects.algorithms import algorithm_of_jose, verify
from dnsbound.objects.jose import base64url
from dnsbound.objects.jose.strict_json import read_object

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "jose-vectors.json").read_text())
SIGNATURES = pytest.mark.parametrize("vector", VECTORS["signatures"], ids=lambda vector: vector["source"])


def check(protected: str, payload: str, signature: str, jwk: dict[str, Any]) -> None:
    header = read_object(base64url.decode(protected.encode(), "header"), "header")
    key = verifying_key(jose.spki_of_jwk(jwk))
    octets = base64url.decode(signature.encode(), "signature")
    verify(key, algorithm_of_jose(header["alg"]), octets, f"{protected}.{payload}".encode())


@SIGNATURES
def test_signatures_verify_by_the_key_of_the_document(vector: dict[str, Any]) -> None:
    protected, payload, signature = vector["compact"].split(".")
    check(protected, payload, signature, vector["jwk"])
    with pytest.raises(BadSignature):
        check(protected, payload + "AAAA", signature, vector["jwk"])


@SIGNATURES
def test_keys_are_the_same_in_both_forms(vector: dict[str, Any]) -> None:
    assert jose.jwk_of(jose.spki_of_jwk(vector["jwk"])) == vector["jwk"]


@SIGNATURES
def test_a_signer_without_a_dns_name_is_nobody(vector: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        jose.parse(vector["compact"], typ=jose.ANY_TYP)


def test_json_forms_hold_the_same_signatures() -> None:
    by_source = {vector["source"]: vector for vector in VECTORS["signatures"]}
    general = json.loads(VECTORS["general"]["text"])
    for entry, source in zip(general["signatures"], ("RFC 7515 A.2", "RFC 7515 A.3"), strict=True):
        check(entry["protected"], general["payload"], entry["signature"], by_source[source]["jwk"])
    flattened = json.loads(VECTORS["flattened"]["text"])
    check(flattened["protected"], flattened["payload"], flattened["signature"], by_source["RFC 7515 A.3"]["jwk"])
    for text in (VECTORS["general"]["text"], VECTORS["flattened"]["text"]):
        with pytest.raises(Malformed):
            jose.parse_json(text, typ=jose.ANY_TYP)


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=lambda vector: vector["source"])
def test_what_is_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        jose.parse(vector["compact"], typ=jose.ANY_TYP)


@pytest.mark.parametrize(
    "vector",
    VECTORS["thumbprints"] + [vector for vector in VECTORS["signatures"] if "thumbprint" in vector],
    ids=lambda vector: vector["source"],
)
def test_thumbprints(vector: dict[str, Any]) -> None:
    assert base64url.encode(jose.thumbprint(vector["jwk"])).decode() == vector["thumbprint"]
    assert jose.thumbprint_uri(vector["jwk"]).endswith(f":sha-256:{vector['thumbprint']}")


def test_the_subject_public_key_info_that_tlsa_records_name() -> None:
    [vector] = VECTORS["tlsa"]
    jwk = next(known["jwk"] for known in VECTORS["signatures"] if known["source"] == "RFC 8037 A.4")
    assert jose.spki_of_jwk(jwk).hex() == vector["spki"]
