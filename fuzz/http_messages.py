"""Where signed HTTP messages are read: their fields, and the signature base that is made of them."""

from functools import cache

from dnsbound.credential.credential import Credential
from dnsbound.credential.keys import KeyAlgorithm, public_key_from_spki
from dnsbound.credential.signature import BadSignature
from dnsbound.objects.http_signatures import (
    HttpRequest,
    HttpResponse,
    parse_request,
    parse_response,
    sign_request,
    sign_response,
)
from dnsbound.objects.http_signatures.message import target_uri
from dnsbound.objects.http_signatures.profile import LABEL, with_fields
from fuzz.target import Target, text

NOW = 1_790_000_000.0
URL = "https://api.example/reports?day=1"
NONCE = "abcdefghijklmnopqrstuvwx"


@cache
def signers() -> tuple[Credential, Credential]:
    name = "car54._device.cars.example"
    raw = Credential.generate(name, now=NOW, algorithm=KeyAlgorithm.ED25519, kind="raw")
    return raw, Credential.generate(name, now=NOW)


def fields_in(octets: bytes) -> list[tuple[str | bytes, str | bytes]]:
    """Lines of `name: value`, whatever is in them."""
    return [(name.strip(), value) for name, _, value in (line.partition(b":") for line in octets.split(b"\n"))]


def request(octets: bytes) -> object:
    """The fields of a request; what parses is checked by both keys too, and against some content."""
    signed = parse_request(HttpRequest.of("POST", URL, fields_in(octets)), now=NOW)
    for signer in signers():
        try:
            signed.check(public_key_from_spki(signer.spki))
        except BadSignature:
            continue
    signed.content.check_content(b"42 km")
    return signed


def response(octets: bytes) -> object:
    asked = with_signature(signers()[0])
    return parse_response(HttpResponse.of(200, fields_in(octets), request=asked), now=NOW)


def target(octets: bytes) -> object:
    """Its one form is its own."""
    found = target_uri(text(octets))
    assert target_uri(found) == found
    return found


def with_signature(signer: Credential) -> HttpRequest:
    message = HttpRequest.of("POST", URL, [("Content-Type", "text/plain")])
    return with_fields(message, sign_request(message, b"42 km", signer, now=NOW, nonce=NONCE))


def lines_of(message: HttpRequest | HttpResponse) -> bytes:
    return "\n".join(f"{name}: {value}" for name, value in message.fields).encode()


def responses() -> list[bytes]:
    raw, certified = signers()
    message = HttpResponse.of(200, [("Content-Type", "text/plain")], request=with_signature(raw))
    added = sign_response(message, b"ok", certified, request_label=LABEL, now=NOW)
    return [lines_of(with_fields(message, added))]


HTTP_MESSAGE_TARGETS: dict[str, Target] = {
    "http-signed-request": Target(request, lambda: [lines_of(with_signature(signer)) for signer in signers()]),
    "http-signed-response": Target(response, responses),
    "http-target": Target(target, lambda: [URL.encode(), b"http://[2001:db8::1]:80?#x"]),
}
