"""The signatures of RFC 9421 appendix B, and the signature bases they are of."""

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import load_der_private_key

from dnsbound.credential.keys import public_key_from_spki
from dnsbound.credential.signature import BadSignature
from dnsbound.credential.signer import LocalSigner
from dnsbound.objects.http_signatures import algorithms
from dnsbound.objects.http_signatures.content_digest import check_content
from dnsbound.objects.http_signatures.message import HttpRequest, HttpResponse, lines
from dnsbound.objects.http_signatures.signing_input import components_of, signature_base
from dnsbound.objects.http_signatures.structured import dictionary, inner_list, text_of_dictionary

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "rfc9421-vectors.json").read_text())
CASES = {case["section"]: case for case in VECTORS["cases"]}


def message(kind: str) -> HttpRequest | HttpResponse:
    said = VECTORS["messages"][kind]
    if "status" in said:
        request = message("request")
        assert isinstance(request, HttpRequest)
        return HttpResponse.of(said["status"], said["fields"], request=request)
    return HttpRequest.of(said["method"], said["url"], said["fields"])


def base_of(case: dict[str, Any], read: HttpRequest | HttpResponse | None = None) -> bytes:
    items, parameters = inner_list(dictionary(f"sig={case['input']}", "Signature-Input")["sig"], "Signature-Input")
    return signature_base(read or message(case["message"]), components_of(items), items, parameters)


@pytest.mark.parametrize("section", CASES)
def test_hs_14_the_published_signature_is_of_our_signature_base(section: str) -> None:
    case = CASES[section]
    key = public_key_from_spki(b64decode(VECTORS["keys"][case["keyid"]]))
    signature, base = b64decode(case["signature"]), base_of(case)
    algorithms.verify(key, None, signature, base)
    with pytest.raises(BadSignature):
        algorithms.verify(key, None, signature, base + b" ")
    with pytest.raises(BadSignature):
        algorithms.verify(key, "hmac-sha256", signature, base)


def test_the_base_of_appendix_b_2_6_is_written_out() -> None:
    assert base_of(CASES["B.2.6"]).decode() == "\n".join(
        [
            '"date": Tue, 20 Apr 2021 02:07:55 GMT',
            '"@method": POST',
            '"@path": /foo',
            '"@authority": example.com',
            '"content-type": application/json',
            '"content-length": 18',
            f'"@signature-params": {CASES["B.2.6"]["input"]}',
        ]
    )


def test_ed25519_signs_the_very_octets_of_appendix_b_2_6() -> None:
    key = load_der_private_key(b64decode(VECTORS["ed25519_private"]), None)
    assert isinstance(key, ed25519.Ed25519PrivateKey)
    assert algorithms.sign(LocalSigner(key), base_of(CASES["B.2.6"])) == b64decode(CASES["B.2.6"]["signature"])


@pytest.mark.parametrize("section", CASES)
def test_signature_input_is_written_as_it_was_read(section: str) -> None:
    said = f"sig={CASES[section]['input']}"
    assert text_of_dictionary(dictionary(said, "Signature-Input")) == said


@pytest.mark.parametrize("kind", ["request", "response"])
def test_the_published_digests_are_of_the_contents(kind: str) -> None:
    value = lines(message(kind).fields, "content-digest")[0]
    content = VECTORS["messages"][kind]["content"].encode()
    check_content(value, content)
    with pytest.raises(BadSignature):
        check_content(value, content + b" ")
