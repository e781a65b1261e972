"""The library http-message-signatures as the other party: it verifies what we sign, and signs what we verify."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from http_message_signatures import HTTPMessageSigner, HTTPMessageVerifier, InvalidSignature, MappingKeyResolver
from http_message_signatures.algorithms import ECDSA_P256_SHA256, ED25519, RSA_PSS_SHA512

from dnsbound.credential.credential import Credential
from dnsbound.credential.keys import KeyAlgorithm, public_key_from_spki
from dnsbound.credential.signature import BadSignature
from dnsbound.credential.signer import LocalSigner
from dnsbound.edge.request_signing import RequestSigner
from dnsbound.objects.http_signatures import HttpRequest, HttpResponse, parse_request, parse_response, sign_response
from dnsbound.objects.http_signatures.profile import LABEL

NAME = "car54._device.cars.example"
URL = "https://api.example/reports?day=1"
ALGORITHMS = {
    KeyAlgorithm.P256: ECDSA_P256_SHA256,
    KeyAlgorithm.ED25519: ED25519,
    KeyAlgorithm.RSA2048: RSA_PSS_SHA512,
}
CONTENT = b'{"km": 42}'


@dataclass
class Message:
    """What the library wants of a request."""

    method: str = "POST"
    url: str = URL
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})


@dataclass
class Answer:
    """And of a response."""

    request: Message
    status_code: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})


def credential(algorithm: KeyAlgorithm) -> Credential:
    return Credential.generate(NAME, now=datetime.now(tz=UTC).timestamp(), algorithm=algorithm, kind="raw")


def keys(of: Credential) -> MappingKeyResolver:
    assert isinstance(of.signer, LocalSigner)
    public: Any = public_key_from_spki(of.spki)
    private: Any = of.signer.key
    return MappingKeyResolver(public_keys={NAME: public}, private_keys={NAME: private})


def peer_verifies(message: Any, of: Credential, algorithm: KeyAlgorithm, content: bytes) -> Any:
    verifier = HTTPMessageVerifier(signature_algorithm=ALGORITHMS[algorithm], key_resolver=keys(of))
    return verifier.verify(message, expect_tag="dnsbound", body=content, max_age=timedelta(seconds=300))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_hs_15_the_library_verifies_what_is_signed_here(algorithm: KeyAlgorithm) -> None:
    of, message = credential(algorithm), Message()
    added = RequestSigner(of).sign(message.method, message.url, message.headers.items(), CONTENT).added
    message.headers |= dict(added)
    (result,) = peer_verifies(message, of, algorithm, CONTENT)
    assert result.body == CONTENT
    assert result.parameters["keyid"] == NAME
    assert {'"@method"', '"@target-uri"', '"content-type"'} <= set(result.covered_components)
    with pytest.raises(InvalidSignature):
        peer_verifies(message, of, algorithm, CONTENT + b" ")
    message.method = "PUT"
    with pytest.raises(InvalidSignature):
        peer_verifies(message, of, algorithm, CONTENT)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_hs_15_what_the_library_signs_is_verified_here(algorithm: KeyAlgorithm) -> None:
    of, message, now = credential(algorithm), Message(), datetime.now(tz=UTC)
    HTTPMessageSigner(signature_algorithm=ALGORITHMS[algorithm], key_resolver=keys(of)).sign(
        message,
        key_id=NAME,
        created=now,
        expires=now + timedelta(seconds=60),
        nonce="a-nonce-of-the-library",
        tag="dnsbound",
        covered_component_ids=("@method", "@target-uri", "content-type", "@authority", "@path", "@query", "@scheme"),
        body=CONTENT,
    )
    read = HttpRequest.of(message.method, message.url, message.headers.items())
    signed = parse_request(read, now=now.timestamp())
    signed.check(public_key_from_spki(of.spki))
    signed.content.check_content(CONTENT)
    assert (signed.name.text, signed.content.nonce) == (NAME, "a-nonce-of-the-library")
    other = HttpRequest.of("PUT", message.url, message.headers.items())
    with pytest.raises(BadSignature):
        parse_request(other, now=now.timestamp()).check(public_key_from_spki(of.spki))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_hs_15_responses_both_ways(algorithm: KeyAlgorithm) -> None:
    of, now = credential(algorithm), datetime.now(tz=UTC)
    sent = RequestSigner(of).sign("POST", URL, Message().headers.items(), CONTENT)
    asked = Message(headers=dict(Message().headers) | dict(sent.added))
    ours = Answer(asked)
    response = HttpResponse.of(200, ours.headers.items(), request=sent.message)
    ours.headers |= dict(sign_response(response, b"ok", of, request_label=LABEL, now=now.timestamp()))
    (result,) = peer_verifies(ours, of, algorithm, b"ok")
    assert '"signature";req;key="dnsbound"' in result.covered_components

    theirs = Answer(asked)
    HTTPMessageSigner(signature_algorithm=ALGORITHMS[algorithm], key_resolver=keys(of)).sign(
        theirs,
        key_id=NAME,
        created=now,
        expires=now + timedelta(seconds=60),
        tag="dnsbound",
        covered_component_ids=("@status", "content-type", '"signature";req;key="dnsbound"', '"@method";req'),
        body=b"ok",
    )
    read = HttpResponse.of(200, theirs.headers.items(), request=sent.message)
    signed = parse_response(read, now=now.timestamp())
    signed.check(public_key_from_spki(of.spki))
    signed.content.check_content(b"ok")
