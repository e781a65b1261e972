"""httpx: requests signed with a DNS-bound key (RFC 9421), and, where it is asked for, answers that are signed too.

    httpx.Client(auth=SignedByName(credential), base_url="https://api.example")
    httpx.AsyncClient(auth=SignedByName(credential, answers=ObjectVerifier.expecting(["api.example"], resolver)))

No client certificate is needed, so it works through proxies that end TLS. Contents are held in memory. With `answers`
a response that is not signed by an expected name, for this very request, raises Refused or Undecided, and what was
verified is `response.extensions["dnsbound"]`, a VerifiedObject; such responses are asked for without Content-Encoding,
since the digest is of what was sent and httpx hands on what is decoded. A redirect leads to another target, which the
signature is not of: its server refuses.
"""

from collections.abc import AsyncGenerator, Generator, Iterable
from typing import Final

import httpx

from dnsbound.credential.credential import Credential
from dnsbound.edge.object_verifier import ObjectVerifier
from dnsbound.edge.request_signing import RequestSigner, SignedRequest, SignedResponses
from dnsbound.errors import Reason, Refused

EXTENSION: Final = "dnsbound"


class SignedByName(httpx.Auth):
    """For `auth=` of a client, synchronous or asynchronous, or of one request."""

    def __init__(
        self,
        credential: Credential,
        *,
        answers: ObjectVerifier | None = None,
        seconds: int | None = None,
        cover: Iterable[str] = (),
        key_in_band: bool = True,
    ) -> None:
        """As `RequestSigner`. answers: who may answer; without it answers are not looked at."""
        self._signer = RequestSigner(credential, seconds=seconds, cover=cover, key_in_band=key_in_band)
        self._answers = None if answers is None else SignedResponses(answers)

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.read()
        signed = self._sign(request)
        response = yield request
        if self._answers is not None:
            response.read()
            verified = self._answers.verify_blocking(
                signed.message, response.status_code, response.headers.raw, _content(response)
            )
            response.extensions[EXTENSION] = verified

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        await request.aread()
        signed = self._sign(request)
        response = yield request
        if self._answers is not None:
            await response.aread()
            verified = await self._answers.verify(
                signed.message, response.status_code, response.headers.raw, _content(response)
            )
            response.extensions[EXTENSION] = verified

    def _sign(self, request: httpx.Request) -> SignedRequest:
        if self._answers is not None:
            request.headers["Accept-Encoding"] = "identity"
        signed = self._signer.sign(request.method, _target(request.url), request.headers.raw, request.content)
        for name, value in signed.added:
            request.headers[name] = value
        return signed


def _target(url: httpx.URL) -> str:
    """The target as it stands in the request, without user information."""
    authority = url.netloc.decode("ascii")
    return f"{url.scheme}://{authority}{url.raw_path.decode('ascii')}"


def _content(response: httpx.Response) -> bytes:
    if "content-encoding" in response.headers:
        raise Refused(Reason.BAD_SIGNATURE, "the answer has a Content-Encoding, which was not asked for")
    return response.content
