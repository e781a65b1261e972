"""Signing HTTP requests, and knowing who answered: the client's side of RFC 9421.

    signer = RequestSigner(credential)
    fields = signer.sign("POST", "https://api.example/reports", {"Content-Type": "text/plain"}.items(), b"...")

The fields go on the request with those that were given; nothing of it may change on the way but what is not covered.
A request is signed once, and sent once: another attempt is another nonce.
"""

import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from dnsbound.credential.credential import Credential
from dnsbound.edge.object_verifier import ObjectVerifier
from dnsbound.errors import LimitExceeded, Malformed, Misuse, Reason, Refused
from dnsbound.http_limits import HTTP_SIGNATURE_SECONDS
from dnsbound.objects.http_signatures.algorithms import algorithm_of_signer
from dnsbound.objects.http_signatures.message import HttpRequest, HttpResponse
from dnsbound.objects.http_signatures.profile import (
    MessageSignature,
    SignedFields,
    parse_response,
    sign_request,
    with_fields,
)
from dnsbound.objects.signed import SignedObject, VerifiedObject
from dnsbound.times import Moment

_NONCE_OCTETS: Final = 18
"""24 characters that nobody guesses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRequest:
    """A request as it is to be sent."""

    added: SignedFields
    """The fields to be added, by their usual names."""
    message: HttpRequest
    """The whole of it, which its response is checked with."""


class RequestSigner:
    """Signs requests with one credential. Any number of threads may use it."""

    def __init__(
        self,
        credential: Credential,
        *,
        seconds: int | None = None,
        cover: Iterable[str] = (),
        key_in_band: bool = True,
        clock: Callable[[], Moment] = time.time,
    ) -> None:
        """As `objects.http_signatures.sign_request`. Misuse for a credential without a name, or with a key that HTTP
        has no algorithm for."""
        if credential.name is None:
            raise Misuse("whoever signs has a name: this credential has none")
        algorithm_of_signer(credential.signer)
        HTTP_SIGNATURE_SECONDS.checked(seconds)
        self._credential = credential
        self._seconds = seconds
        self._cover = tuple(cover)
        self._key_in_band = key_in_band
        self._clock = clock

    def sign(
        self, method: str, url: str, fields: Iterable[tuple[str | bytes, str | bytes]], content: bytes = b""
    ) -> SignedRequest:
        """url: absolute. fields: those the request has. content: as it is sent. Malformed for what is no request."""
        request = HttpRequest.of(method, url, fields)
        added = sign_request(
            request,
            content,
            self._credential,
            now=self._clock(),
            nonce=secrets.token_urlsafe(_NONCE_OCTETS),
            seconds=self._seconds,
            cover=self._cover,
            key_in_band=self._key_in_band,
        )
        return SignedRequest(added=added, message=with_fields(request, added))


class SignedResponses:
    """Who answered, by the response's signature, which holds for one request alone."""

    def __init__(self, verifier: ObjectVerifier, *, cover: Iterable[str] = ()) -> None:
        """verifier: expects the server by its name, as `ObjectVerifier.expecting(["api.example"], resolver)`."""
        self._verifier = verifier
        self._cover = tuple(cover)

    async def verify(
        self, request: HttpRequest, status: int, fields: Iterable[tuple[bytes, bytes]], content: bytes
    ) -> VerifiedObject:
        """request: `SignedRequest.message`. content: before any decoding. Refused or Undecided unless the response was
        signed, by an expected name, as the answer to this request; whatever does not parse is Refused too."""
        signed = self._parsed(request, status, fields, content)
        return await self._verifier.verify(signed)

    def verify_blocking(
        self, request: HttpRequest, status: int, fields: Iterable[tuple[bytes, bytes]], content: bytes
    ) -> VerifiedObject:
        """As `verify`, for a thread that may wait."""
        return self._verifier.verify_blocking(self._parsed(request, status, fields, content))

    def _parsed(
        self, request: HttpRequest, status: int, fields: Iterable[tuple[bytes, bytes]], content: bytes
    ) -> SignedObject:
        try:
            response = HttpResponse.of(status, fields, request=request)
            signed = parse_response(response, now=self._verifier.now(), cover=self._cover)
            said: MessageSignature = signed.content
            said.check_content(content)
        except Refused as error:
            self._verifier.turned_away(error)
            raise
        except (Malformed, LimitExceeded) as error:
            refused = Refused(Reason.BAD_SIGNATURE, str(error))
            self._verifier.turned_away(refused)
            raise refused from error
        return signed
