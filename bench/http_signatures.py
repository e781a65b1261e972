"""Signing and verifying HTTP requests: ours, http-message-signatures, and the bare primitive, over the same request.

Each in turn, in the same run, by the processor's time; the least of the rounds and the median count. "By name" is all
that a server does with a request it has received: the fields, the clock, the access list, the signature, records at
hand, the content's digest, the nonce, which is fresh each time because the request is signed beforehand as often as it
is verified.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import cycle
from statistics import median
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from http_message_signatures import HTTPMessageSigner, HTTPMessageVerifier, MappingKeyResolver
from http_message_signatures.algorithms import ECDSA_P256_SHA256

from bench.rounds import seconds_each
from bench.table import Table
from dnsbound.credential.credential import Credential
from dnsbound.edge.nonces import NoncesHere
from dnsbound.edge.object_verifier import ObjectVerifier
from dnsbound.edge.request_signing import RequestSigner
from dnsbound.edge.signed_requests import SignedRequests
from dnsbound.objects.http_signatures import HttpRequest, parse_request
from dnsbound.testing import World

ORIGIN: Final = "https://api.example"
URL: Final = f"{ORIGIN}/reports?day=1"
CONTENT: Final = b'{"route":"' + b"x" * 898 + b'"}'
FIELDS: Final = (("Content-Type", "application/json"), ("User-Agent", "bench"), ("Accept", "*/*"))
BARE: Final = "bare cryptography"
_LONG_TTL: Final = 3600

Once = Callable[[], object]


@dataclass
class Message:
    """What http-message-signatures wants of a request."""

    method: str = "POST"
    url: str = URL
    headers: dict[str, str] = field(default_factory=lambda: dict(FIELDS))


def measure(repeats: int, rounds: int) -> Table:
    """Operations per second, with ECDSA P-256."""
    table = Table(
        "Signed HTTP requests, operations per second: best (median)", ["", "sign", "of bare", "verify", "of bare"]
    )
    with World() as world:
        device = world.organisation("cars.example").device("car54", ttl=_LONG_TTL)
        raw = device.credential.as_raw_key()
        work = {
            BARE: _bare(raw),
            "ours, signature only": (_sign(raw), _parse(raw)),
            "ours, by name": (None, _by_name(world, raw, 2 * (repeats + 2) * rounds)),
            "http-message-signatures": _library(raw),
        }
        times: dict[tuple[str, int], list[float]] = {}
        for _ in range(rounds):
            for label, each in work.items():
                for index, once in enumerate(each):
                    if once is not None:
                        times.setdefault((label, index), []).append(seconds_each(once, repeats))
    for label in work:
        table.row(label, *_cells(times, label, 0), *_cells(times, label, 1))
    table.note(f"Content of {len(CONTENT)} octets; key in band; records at hand; one thread.")
    return table


def _cells(times: dict[tuple[str, int], list[float]], label: str, index: int) -> tuple[str, str]:
    taken = times.get((label, index))
    if taken is None:
        return "", ""
    share = min(times[BARE, index]) / min(taken)
    return f"{1 / min(taken):,.0f} ({1 / median(taken):,.0f})", f"{share:.2f}"


def _signed(credential: Credential) -> HttpRequest:
    return RequestSigner(credential).sign("POST", URL, FIELDS, CONTENT).message


def _bare(credential: Credential) -> tuple[Once, Once]:
    """What the library alone does with octets as many as a signature base has."""
    message = b"x" * 600
    key: Any = credential.private_key
    algorithm = ec.ECDSA(hashes.SHA256())
    signature = key.sign(message, algorithm)
    return partial(key.sign, message, algorithm), partial(key.public_key().verify, signature, message, algorithm)


def _sign(credential: Credential) -> Once:
    return partial(RequestSigner(credential).sign, "POST", URL, FIELDS, CONTENT)


def _parse(credential: Credential) -> Once:
    message, key = _signed(credential), credential.private_key
    assert key is not None
    public = key.public_key()
    now = datetime.now(tz=UTC).timestamp()

    def once() -> None:
        signed = parse_request(HttpRequest.of("POST", URL, message.fields), now=now)
        signed.check(public)
        signed.content.check_content(CONTENT)

    return once


def _by_name(world: World, credential: Credential, times: int) -> Once:
    assert credential.name is not None
    verifier = ObjectVerifier.expecting([credential.name.text], world.resolver())
    requests = SignedRequests(verifier, origin=ORIGIN, nonces=NoncesHere())
    waiting: Iterator[HttpRequest] = cycle([_signed(credential) for _ in range(times)])

    def once() -> None:
        fields = [(name.encode(), value.encode()) for name, value in next(waiting).fields]
        requests.verify_blocking(requests.request("POST", "/reports?day=1", fields), lambda: CONTENT)

    once()
    return once


def _library(credential: Credential) -> tuple[Once, Once]:
    key: Any = credential.private_key
    keys = MappingKeyResolver(public_keys={"car": key.public_key()}, private_keys={"car": key})
    signer = HTTPMessageSigner(signature_algorithm=ECDSA_P256_SHA256, key_resolver=keys)
    verifier = HTTPMessageVerifier(signature_algorithm=ECDSA_P256_SHA256, key_resolver=keys)

    def sign() -> Message:
        message, now = Message(), datetime.now(tz=UTC)
        signer.sign(
            message,
            key_id="car",
            created=now,
            expires=now + timedelta(seconds=300),
            nonce="abcdefghijklmnopqrstuvwx",
            tag="dnsbound",
            covered_component_ids=("@method", "@target-uri", "content-type"),
            body=CONTENT,
        )
        return message

    signed = sign()
    return sign, lambda: verifier.verify(signed, expect_tag="dnsbound", body=CONTENT)
